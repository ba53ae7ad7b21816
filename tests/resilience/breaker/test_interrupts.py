"""Ctrl-C at any moment of a protected call leaves no lock held and no permit lost."""

import asyncio
import dis
import gc
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import FrameType

import pytest

import peak_observe
from peak_observe import CircuitBreaker, CircuitOpenError, CircuitState
from peak_observe.measures import BATCH
from peak_observe.testing import ManualClock

PACKAGE = str(Path(peak_observe.__file__).parent)
# `make nightly` tries each bytecode; every other run tries one in so many, as each costs a call that is traced.
STRIDE = 1 if os.environ.get("NIGHTLY") else 19
# Here the interpreter itself lets no signal in: it would keep the exception that it is about to handle for ever.
CLOSED_DOOR = dis.opmap.get("PUSH_EXC_INFO")

pytestmark = pytest.mark.filterwarnings(
    "ignore:coroutine .* was never awaited",  # nobody can await what was made a moment before Ctrl-C came
    "ignore::pytest.PytestUnraisableExceptionWarning",  # the same, as pytest tells it
)


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """Write no log line for each of thousands of changes of state."""
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


class Interruption:
    """Raises KeyboardInterrupt before the bytecode of that number, counted within the package.

    Args:
        number: From 0.
    """

    def __init__(self, number: int) -> None:
        self.left = number
        self.came = False

    def __call__(self, frame: FrameType, event: str, _: object) -> object:
        """Count the bytecodes of the package's own frames."""
        if not frame.f_code.co_filename.startswith(PACKAGE):
            return None
        frame.f_trace_opcodes = True
        if event == "opcode":
            if self.left == 0 and frame.f_code.co_code[frame.f_lasti] != CLOSED_DOOR:
                self.came = True
                self.left = -1
                raise KeyboardInterrupt
            self.left = max(0, self.left - 1) if self.left >= 0 else -1
        return self


def interrupted(number: int, call: Callable[[], object]) -> bool:
    """Make a call, interrupted at a bytecode, and return whether it has so many."""
    before, interruption = sys.gettrace(), Interruption(number)
    sys.settrace(interruption)
    try:
        call()
    except (KeyboardInterrupt, ConnectionError, CircuitOpenError):
        pass
    finally:
        sys.settrace(before)
    return interruption.came


def fail() -> None:
    """Fail."""
    raise ConnectionError


def ignore() -> None:
    """End in a way that says nothing."""
    raise CircuitOpenError("another", 1.0)


async def later() -> str:
    """Answer after a while."""
    await asyncio.sleep(0)
    return "answer"


def items() -> Iterator[int]:
    """Yield two items."""
    yield from range(2)


async def async_items() -> AsyncIterator[int]:
    """Yield two items."""
    yield 1
    yield 2


async def collect(generator: AsyncIterator[int]) -> list[int]:
    """Return all items."""
    return [item async for item in generator]


def run(coroutine: object) -> None:
    """Run a coroutine that waits for nothing but its turn, without an event loop to interrupt."""
    try:
        while True:
            coroutine.send(None)
    except StopIteration:
        pass
    finally:
        coroutine.close()


CALLS = {
    "success": lambda breaker: breaker.call(len)(""),
    "failure": lambda breaker: breaker.call(fail)(),
    "ignored": lambda breaker: breaker.call(ignore)(),
    "coroutine": lambda breaker: run(breaker.call(later)()),
    "lambda": lambda breaker: run(breaker.call(lambda: later())()),  # noqa: PLW0108 - a plain function it has to be
    "generator": lambda breaker: list(breaker.call(items)()),
    "async generator": lambda breaker: run(collect(breaker.call(async_items)())),
}
STATES = {
    "failing": lambda breaker, clock: breaker.configure(failure_threshold=2),
    "window": lambda breaker, clock: breaker.configure(window=4, slow_call_seconds=5.0),
    "full": lambda breaker, clock: breaker._controller.counts.pending.extend([0.0] * (BATCH - 1)),
    "open": lambda breaker, clock: breaker.trip("test"),
    "half_open": lambda breaker, clock: (breaker.trip("test"), clock.advance(60)),
}


@pytest.mark.parametrize("kind", CALLS)
@pytest.mark.parametrize("state", STATES)
def test_ctrl_c_at_any_bytecode_leaves_no_lock_and_no_permit(state: str, kind: str) -> None:
    """However far the call had come; the next call works as if nothing had happened."""
    # In a thread of its own, as the interpreter may go on believing that it handles what was raised at such a place.
    with ThreadPoolExecutor(1) as pool:
        pool.submit(interrupt_everywhere, state, kind).result()


def interrupt_everywhere(state: str, kind: str) -> None:
    """Make a call again and again, each time interrupted a little later."""
    name = f"interrupts.{state}.{kind}"
    for number in range(len(name) % STRIDE, 10_000, STRIDE):
        clock = ManualClock()
        breaker = CircuitBreaker(1, name=name, clock=clock, ignore=CircuitOpenError)
        STATES[state](breaker, clock)
        came = interrupted(number, lambda: CALLS[kind](breaker))  # noqa: B023 - called at once
        assert not breaker._controller.lock._is_owned(), f"bytecode {number}"
        if breaker.snapshot().probes:
            gc.collect()
        assert breaker.snapshot().probes == 0, f"bytecode {number}"
        clock.advance(60)
        assert breaker.call(len)("four") == 4
        assert breaker.state is CircuitState.CLOSED
        if not came:
            break
    assert number > 20


def test_real_signals_tear_nothing() -> None:
    """Whenever they come: the window's sums are those of its cells, no lock is held, all permits are back."""
    breaker = CircuitBreaker(recovery_timeout=0, name="interrupts.signals", window=50, failure_ratio=0.9)
    succeed, broken = breaker.call(len), breaker.call(fail)
    caught, done, this = [], threading.Event(), threading.get_ident()

    def interrupt(_: int, frame: FrameType) -> None:
        if frame.f_code.co_filename.startswith(PACKAGE):
            raise KeyboardInterrupt

    def bother() -> None:
        while not done.is_set():
            signal.pthread_kill(this, signal.SIGUSR1)
            time.sleep(0.0002)

    before, other = signal.signal(signal.SIGUSR1, interrupt), threading.Thread(target=bother)
    other.start()
    try:
        deadline = time.monotonic() + 60
        while len(caught) < 300 and time.monotonic() < deadline:
            for number in range(200):
                try:
                    broken() if number % 10 else succeed("")
                except (ConnectionError, CircuitOpenError):
                    pass
                except KeyboardInterrupt:
                    caught.append(number)
                    assert not breaker._controller.lock._is_owned()
    finally:
        done.set()
        other.join()
        signal.signal(signal.SIGUSR1, before)
    assert len(caught) >= 300
    gc.collect()
    assert breaker.snapshot().probes == 0
    told = breaker.snapshot()[8:10]
    breaker._controller.circuit.window.recount()
    assert breaker.snapshot()[8:10] == told
    breaker.reset()
    assert breaker.call(len)("four") == 4
