"""Ctrl-C at any bytecode of a protected call loses no place and leaves no lock held."""

import asyncio
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from types import FrameType

import pytest

import peak_observe
from peak_observe import BulkheadFullError, bulkhead, rate_limit, timeout
from peak_observe.measures import TIMEOUTS

# A coroutine that was made and is then not awaited is what Ctrl-C leaves of any coroutine.
pytestmark = [
    pytest.mark.filterwarnings("ignore:coroutine '.*' was never awaited:RuntimeWarning"),
]
RESILIENCE = str(Path(peak_observe.__file__).parent / "resilience")


class Interrupter:
    """Raises KeyboardInterrupt before the n-th bytecode that the room runs, if there are as many.

    Args:
        at: Its number, from 0.
    """

    def __init__(self, at: int) -> None:
        self.left = at
        self.done = False

    def __call__(self, frame: FrameType, event: str, _: object) -> object:
        """Follow the frames of the room bytecode by bytecode."""
        if not frame.f_code.co_filename.startswith(RESILIENCE):
            return None
        frame.f_trace_opcodes = True
        if event == "opcode" and not self.done:
            self.left -= 1
            if self.left < 0:
                self.done = True
                raise KeyboardInterrupt
        return self

    def run(self, call: Callable[[], object]) -> bool:
        """Return whether the call was interrupted, in a thread of its own.

        What Python 3.11 knows of the exceptions that a thread handles is not always right after that.
        """
        with ThreadPoolExecutor(1) as thread:
            return thread.submit(self._run, call).result()

    def _run(self, call: Callable[[], object]) -> bool:
        before = sys.gettrace()
        sys.settrace(self)
        try:
            call()
        except KeyboardInterrupt:
            pass
        finally:
            sys.settrace(before)
        return self.done


def everywhere(call: Callable[[], object], check: Callable[[], None]) -> int:
    """Interrupt a call at each of its bytecodes in turn; return how many there are."""
    at = 0
    while Interrupter(at).run(call):
        check()
        at += 1
    return at


def free(lock: threading.RLock) -> bool:
    """Return whether another thread can have a lock."""
    found = []
    thread = threading.Thread(target=lambda: found.append(lock.acquire(timeout=5)) or lock.release())
    thread.start()
    thread.join()
    return found == [True]


def test_a_bulkhead_around_a_function() -> None:
    """In, inside, and out again."""
    limited = bulkhead(1, name="interrupted.function")
    core = limited.core()

    def check() -> None:
        assert limited.in_flight == 0
        assert free(core._lock)

    assert everywhere(limited.call(lambda: None), check) > 50
    limited.call(lambda: None)()


def test_a_bulkhead_around_a_coroutine() -> None:
    """The same, awaited."""
    limited = bulkhead(1, name="interrupted.coroutine")
    core = limited.core()

    @limited
    async def work() -> None:
        pass

    def step() -> None:
        with suppress(StopIteration):
            work().send(None)

    def check() -> None:
        assert limited.in_flight == 0
        assert free(core._lock)

    assert everywhere(step, check) > 50


def test_a_wait_in_line() -> None:
    """That ends as nobody leaves: those in line are gone afterwards, and whoever held the place holds it still."""
    limited = bulkhead(1, wait=1e-4, name="interrupted.line")
    core = limited.core()
    waiting = limited.call(lambda: pytest.fail("there is no place"))

    def wait() -> None:
        with suppress(BulkheadFullError):
            waiting()

    def check() -> None:
        assert limited.in_flight == 1
        assert free(core._lock)
        assert core.read().waiting == 0

    with limited:
        assert everywhere(wait, check) > 100
    assert limited.in_flight == 0


def test_leaving_while_somebody_waits() -> None:
    """The one in line gets the place all the same, at the latest when the next one looks."""
    limited, inside = bulkhead(1, wait=30, name="interrupted.leaving"), []
    core = limited.core()

    def once(at: int) -> bool:
        entered, let_go = threading.Event(), threading.Event()

        def wait() -> None:
            with limited:
                inside.append(at)

        def work() -> None:
            entered.set()
            while not core.queue:
                let_go.wait(0.0005)

        waiter = threading.Thread(target=lambda: entered.wait(60) and wait())
        waiter.start()
        interrupted = Interrupter(at).run(limited.call(work))
        entered.set()
        core.read()
        waiter.join(60)
        assert not waiter.is_alive()
        assert limited.in_flight == 0
        return interrupted

    at = 0
    while once(at):
        at += 1
    assert inside == list(range(at + 1))
    assert at > 50


def test_a_rate_limit() -> None:
    """No lock is held; a turn that was taken is at worst unused."""
    limited = rate_limit(1e9, burst=10**6, name="interrupted.rate")
    core = limited.core()
    assert everywhere(limited.call(lambda: None), lambda: free(core._lock) or pytest.fail("locked")) > 30


def test_a_timeout() -> None:
    """The call is cancelled or ends, and the next one works; its loop is our own to step."""

    @timeout(30, name="interrupted.timeout")
    async def work() -> str:
        await asyncio.sleep(0)
        return "done"

    loop = asyncio.new_event_loop()

    def call() -> None:
        loop.run_until_complete(work())

    try:
        assert everywhere(call, lambda: loop.run_until_complete(asyncio.sleep(0))) > 50
        assert loop.run_until_complete(work()) == "done"
    finally:
        loop.close()
    assert TIMEOUTS.get("interrupted.timeout").read().calls[1:] == [0, 0]
