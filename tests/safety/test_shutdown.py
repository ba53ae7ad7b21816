"""Stopping in order: waits end, readiness is withdrawn, hooks run, the last snapshot is in order."""

import asyncio
import json
import signal
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from peak_observe import ShuttingDownError, bulkhead, rate_limit, retry_with_backoff, retrying, stopping
from peak_observe.resilience import HealthCheck
from peak_observe.resilience.health.http import answers
from peak_observe.support.shutdown_state import SHUTDOWN
from tests.safety.conftest import Processes

LONG = 3600.0


@pytest.fixture(autouse=True)
def other_tests() -> Iterator[None]:
    """Let the tests after this one wait again."""
    yield
    SHUTDOWN.disarm()


def fails() -> None:
    """Fail, so that a retry waits."""
    raise ConnectionError


async def fails_async() -> None:
    """Fail, so that a retry waits."""
    raise ConnectionError


def refuse(thread: threading.Thread) -> None:
    """Start no thread, as a system that has none to give."""
    raise RuntimeError("can't start new thread")


def a_retry() -> None:
    """Wait between two attempts."""
    retry_with_backoff(2, LONG, LONG, name="stopped.retry")(fails)()


def a_retry_loop() -> None:
    """Wait between two attempts of a loop."""
    for attempt in retrying(2, LONG, LONG, name="stopped.loop"):
        with attempt:
            fails()


def a_rate_limit() -> None:
    """Wait for a turn."""
    limited = rate_limit(1, per=LONG, burst=1, wait=LONG, name="stopped.rate")(lambda: None)
    limited()
    limited()


def a_bulkhead() -> None:
    """Wait for a place that another call holds."""
    places = bulkhead(1, wait=LONG, name="stopped.bulkhead")
    taken = places(lambda: threading.Thread(target=inner) and inner())

    def inner() -> None:
        failed: list[BaseException] = []

        def other() -> None:
            try:
                places(lambda: None)()
            except ShuttingDownError as error:
                failed.append(error)

        thread = threading.Thread(target=other)
        thread.start()
        thread.join()
        raise failed[0]

    taken()


@pytest.mark.parametrize("wait", [a_retry, a_retry_loop, a_rate_limit, a_bulkhead])
def test_a_wait_ends_when_the_shutdown_begins(wait: object) -> None:
    """In a thread, at once."""
    ended: list[BaseException] = []

    def run() -> None:
        try:
            wait()
        except ShuttingDownError as error:
            ended.append(error)

    with stopping() as stop:
        thread = threading.Thread(target=run)
        thread.start()
        time.sleep(0.2)
        assert not ended
        stop.begin()
        thread.join(60)
    assert "the program is shutting down" in str(ended[0])


def test_waits_of_tasks_end_too() -> None:
    """A retry, a rate limit and a bulkhead of an async program."""

    async def main() -> list[object]:
        async def failing() -> None:
            raise ConnectionError

        async def nothing() -> None:
            await asyncio.sleep(LONG)

        limited = rate_limit(1, per=LONG, burst=1, wait=LONG, name="stopped.async_rate")
        await limited.async_acquire()
        placed = bulkhead(1, wait=LONG, name="stopped.async_bulkhead")(nothing)
        async with stopping() as stop:
            holder = asyncio.create_task(placed())
            await asyncio.sleep(0.05)
            tasks = [
                asyncio.create_task(retry_with_backoff(2, LONG, LONG, name="stopped.async_retry")(failing)()),
                asyncio.create_task(limited.async_acquire()),
                asyncio.create_task(placed()),
            ]
            await asyncio.sleep(0.1)
            stop.begin()
            found = await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), 60)
            holder.cancel()
        return found

    assert [type(error) for error in asyncio.run(main())] == [ShuttingDownError] * 3


def test_a_wait_that_would_begin_later_ends_at_once() -> None:
    """What is asked for after the beginning is not waited for."""
    with stopping() as stop:
        stop.begin()
        with pytest.raises(ShuttingDownError):
            a_retry()


def test_hooks_run_in_order_and_may_wait(capsys: pytest.CaptureFixture[str]) -> None:
    """To cancel orders they need the rate limit, whose waits of the program have ended."""
    limited = rate_limit(20, burst=1, wait=LONG, name="stopped.hooks")
    limited.acquire()
    order = []
    with stopping() as stop:
        for number in range(3):
            stop.then(lambda number=number: (limited.acquire(), order.append(number)))
    assert order == [0, 1, 2]


def test_a_hook_that_raises_does_not_stop_the_next(caplog: pytest.LogCaptureFixture) -> None:
    """It is logged by its name."""
    ran = []
    with stopping() as stop:
        stop.then(fails, name="close the books")
        stop.then(lambda: ran.append(1))
    assert ran == [1]
    assert "close the books" in caplog.text


def test_a_hook_that_hangs_does_not_hold_up_the_end(caplog: pytest.LogCaptureFixture) -> None:
    """The deadline is for all of them."""
    release = threading.Event()
    began = time.monotonic()
    with stopping(deadline=0.3) as stop:
        stop.then(release.wait, name="hangs")
        stop.then(lambda: None, name="too late")
    release.set()
    assert time.monotonic() - began < 20
    assert "hook hangs has not ended" in caplog.text
    assert "hook too late did not run" in caplog.text


def test_hooks_run_where_no_thread_can_start(monkeypatch: pytest.MonkeyPatch) -> None:
    """As at the end of a program, or at the limit of the system: orders are cancelled all the same."""
    done = []
    with stopping(deadline=60) as stop:
        stop.then(lambda: done.append("orders"))
        monkeypatch.setattr(threading.Thread, "start", refuse)
    assert done == ["orders"]


def test_hooks_run_on_the_loop_where_no_thread_can_start(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Coroutines, too; SIGTERM cancels the block at once, as nobody would watch the deadline."""
    done = []

    async def cancel_orders() -> None:
        await asyncio.sleep(0)
        done.append("orders")

    async def main() -> None:
        with monkeypatch.context() as patch:
            async with stopping(deadline=600) as stop:
                stop.then(fails, name="broken")
                stop.then(cancel_orders)
                stop.then(lambda: done.append("books"))
                patch.setattr(threading.Thread, "start", refuse)
                stop._on_sigterm(signal.SIGTERM, None)
                await asyncio.sleep(LONG)
        done.append("after")

    asyncio.run(main())
    assert done == ["orders", "books", "after"]
    assert "hook broken of the shutdown failed" in caplog.text


def test_sigterm_ends_the_block_where_no_thread_can_start(processes: Processes) -> None:
    """Nobody would watch the deadline: so the block ends at once, as if a wait had ended."""
    code = """
import threading, time
from peak_observe import stopping
from tests.safety.test_shutdown import refuse

with stopping(deadline=600) as stop:
    stop.then(lambda: print("hook", flush=True))
    threading.Thread.start = refuse
    print("ready", flush=True)
    time.sleep(3600)
print("after", flush=True)
"""
    bot = processes.start(code)
    assert bot.stdout.readline() == "ready\n"
    bot.send_signal(signal.SIGTERM)
    assert bot.stdout.read() == "hook\nafter\n"
    assert bot.wait(60) == 0


def test_coroutines_are_hooks_of_async_programs() -> None:
    """On the loop of the block."""

    async def main() -> list[object]:
        ran = []

        async def close() -> None:
            ran.append(asyncio.get_running_loop())

        async with stopping() as stop:
            stop.then(close)
        assert ran == [asyncio.get_running_loop()]
        return ran

    assert asyncio.run(main())


def test_the_end_of_a_wait_ends_the_block_and_nothing_more() -> None:
    """Its error does not come out; any other does."""
    with stopping() as stop:
        stop.begin()
        a_retry()
    with pytest.raises(ZeroDivisionError), stopping():
        raise ZeroDivisionError


def test_readiness_is_withdrawn() -> None:
    """While the process is still alive."""
    answer = answers(HealthCheck())
    with stopping() as stop:
        assert answer("/livez").status == 200
        stop.begin()
        for path in ("/readyz", "/healthz", "/readyz?verbose"):
            assert answer(path)[:2] == (503, b"shutting down\n")
        assert answer("/health").status == 503
        assert json.loads(answer("/health").body)["status"] == "fail"
        assert answer("/livez").status == 200


@pytest.mark.parametrize("deadline", [0, -1, "soon", float("nan"), None])
def test_the_deadline_makes_sense_or_is_refused(deadline: object) -> None:
    """In one line."""
    with pytest.raises(ValueError, match="deadline"):
        stopping(deadline)


def test_a_hook_can_be_called() -> None:
    """Or is refused."""
    with pytest.raises(TypeError, match="then"):
        stopping().then(3)


BOT = """
import sys, threading, time
import peak_observe
from peak_observe import ShuttingDownError, start_exporter, stopping
from peak_observe.exchange_client.backpressure import Backpressure
from peak_observe.clock import SYSTEM_CLOCK
from tests.safety.test_shutdown import a_bulkhead, a_rate_limit, a_retry

peak_observe.configure(process="bot")

def a_ban():
    held = Backpressure("kraken", 3600, SYSTEM_CLOCK)
    held.set(time.time() + 1800, "banned")
    held.wait()

def run(wait):
    try:
        wait()
    except ShuttingDownError:
        print("ended", wait.__name__, flush=True)

with start_exporter(0) as exporter, stopping(deadline=float(sys.argv[2])) as stop:
    threads = [threading.Thread(target=run, args=(wait,)) for wait in (a_bulkhead, a_rate_limit, a_ban)]
    for thread in threads:
        thread.start()
    stop.then(lambda: [thread.join() for thread in threads], name="threads")
    stop.then(lambda: print("first", flush=True))
    stop.then(lambda: (print(exporter.url, flush=True), sys.stdin.readline()))
    stop.then(lambda: print("second", flush=True))
    print("ready", flush=True)
    if sys.argv[1] == "waits":
        a_retry()
    elif sys.argv[1] == "polls":
        while not stop.requested:
            time.sleep(0.01)
    else:
        while True:
            time.sleep(0.2)
print("after", flush=True)
"""


@pytest.mark.parametrize("how", ["waits", "polls", "hangs"])
def test_sigterm_ends_a_program_in_order(processes: Processes, tmp_path: Path, how: str) -> None:
    """Also one that does not leave its block: then the hooks run beside it."""
    bot = processes.start(BOT, how, "10" if how == "hangs" else "60")
    assert bot.stdout.readline() == "ready\n"
    time.sleep(0.3)
    bot.send_signal(signal.SIGTERM)
    seen = [bot.stdout.readline() for _ in range(5)]
    assert sorted(seen[:3]) == ["ended a_ban\n", "ended a_bulkhead\n", "ended a_rate_limit\n"]
    assert seen[3] == "first\n"
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(seen[4].strip().removesuffix("metrics") + "readyz", timeout=60)
    assert refused.value.code == 503
    refused.value.close()
    bot.stdin.write("go on\n")
    bot.stdin.flush()
    rest = bot.stdout.read()
    code = bot.wait(60)
    assert rest == ("second\n" if how == "hangs" else "second\nafter\n")
    assert code == (128 + signal.SIGTERM if how == "hangs" else 0)
    assert '"ended"' in (tmp_path / "bot.snap").read_text(errors="replace")


def test_an_async_program_that_hangs_is_cancelled(processes: Processes) -> None:
    """Its block ends, its hooks run on its loop, and the program goes on behind it."""
    code = """
import asyncio
from peak_observe import stopping

async def main():
    async with stopping(deadline=4) as stop:
        async def hook():
            print("hook", flush=True)
        stop.then(hook)
        print("ready", flush=True)
        await asyncio.sleep(3600)
    print("after", flush=True)

asyncio.run(main())
"""
    bot = processes.start(code)
    assert bot.stdout.readline() == "ready\n"
    bot.send_signal(signal.SIGTERM)
    assert bot.stdout.read() == "hook\nafter\n"
    assert bot.wait(60) == 0


def test_a_second_sigterm_ends_it_at_once(processes: Processes) -> None:
    """For whoever cannot wait."""
    code = """
import time
from peak_observe import stopping
with stopping(deadline=600) as stop:
    stop.then(lambda: (print("hook", flush=True), time.sleep(3600)))
    print("ready", flush=True)
    stop.wait()
"""
    bot = processes.start(code)
    assert bot.stdout.readline() == "ready\n"
    bot.send_signal(signal.SIGTERM)
    assert bot.stdout.readline() == "hook\n"
    bot.send_signal(signal.SIGTERM)
    assert bot.wait(60) == -signal.SIGTERM


def test_a_second_ctrl_c_loses_no_hook(processes: Processes) -> None:
    """Whoever presses it twice wants his orders cancelled all the same."""
    code = """
import sys, time
from peak_observe import stopping
with stopping(deadline=600) as stop:
    stop.then(lambda: (print("cancels", flush=True), sys.stdin.readline(), print("cancelled", flush=True)))
    stop.then(lambda: print("second", flush=True))
    print("ready", flush=True)
    time.sleep(3600)
"""
    bot = processes.start(code)
    assert bot.stdout.readline() == "ready\n"
    bot.send_signal(signal.SIGINT)
    assert bot.stdout.readline() == "cancels\n"
    bot.send_signal(signal.SIGINT)
    assert bot.stdout.readline().endswith("SIGTERM ends them at once\n")
    bot.stdin.write("go on\n")
    bot.stdin.flush()
    assert [bot.stdout.readline() for _ in range(2)] == ["cancelled\n", "second\n"]
    assert bot.stdout.read().endswith("KeyboardInterrupt\n")
    assert bot.wait(30) == -signal.SIGINT


def test_hooks_of_a_block_around_another_one_run_too() -> None:
    """Its deadline counts from when it ends itself, and the shutdown is not forgotten meanwhile."""
    ran: list[str] = []
    with stopping(deadline=60) as outer:
        outer.then(lambda: ran.append("outer"))
        with stopping(deadline=60) as inner:
            inner.then(lambda: ran.append("inner"))
        with stopping(deadline=60) as late:
            assert late.requested
        with pytest.raises(RuntimeError, match="entered already"), outer:
            pass
    assert ran == ["inner", "outer"]
    with outer:
        assert not outer.requested


def test_sigterm_ends_blocks_in_blocks_by_the_deadline(processes: Processes) -> None:
    """Hooks of all of them run, the innermost first, though the program hangs."""
    code = """
import time
from peak_observe import stopping
with stopping(deadline=4) as outer, stopping(deadline=4) as inner:
    outer.then(lambda: print("outer", flush=True))
    inner.then(lambda: print("inner", flush=True))
    print("ready", flush=True)
    while True:
        time.sleep(0.2)
"""
    bot = processes.start(code)
    assert bot.stdout.readline() == "ready\n"
    bot.send_signal(signal.SIGTERM)
    assert bot.stdout.read() == "inner\nouter\n"
    assert bot.wait(30) == 128 + signal.SIGTERM


def test_a_forked_child_that_leaves_the_block_runs_no_hook(processes: Processes) -> None:
    """Or it would cancel the orders of its parent."""
    code = """
import os, sys
from peak_observe import stopping
with stopping(deadline=60) as stop:
    stop.then(lambda: print("hook of", "parent" if os.getpid() == parent else "child", flush=True))
    parent = os.getpid()
    if child := os.fork():
        os.waitpid(child, 0)
    else:
        sys.exit()
"""
    bot = processes.start(code)
    assert bot.stdout.read() == "hook of parent\n"
    assert bot.wait(30) == 0


async def a_group_of_waits() -> None:
    """Wait in two tasks, whose errors are one group."""

    async def wait() -> None:
        await retry_with_backoff(2, LONG, LONG, name="stopped.group")(fails_async)()

    async with asyncio.TaskGroup() as group:
        group.create_task(wait())
        group.create_task(wait())


def test_the_end_of_waits_of_a_group_of_tasks_ends_the_block_and_nothing_more() -> None:
    """A group of nothing but ends of waits is no error; with another one it is."""
    with stopping(deadline=60) as stop:
        threading.Timer(0.2, stop.begin).start()
        asyncio.run(a_group_of_waits())
    with pytest.raises(ExceptionGroup), stopping(deadline=60) as stop:
        stop.begin()
        raise ExceptionGroup("both", [ShuttingDownError("retry"), ValueError("a mistake")])


def test_a_coroutine_that_exits_does_not_end_the_loop(caplog: pytest.LogCaptureFixture) -> None:
    """As a plain hook it is named in the log, the next one runs, and the program goes on."""
    ran: list[str] = []

    async def exits() -> None:
        sys.exit(3)

    async def main() -> None:
        async with stopping(deadline=60) as stop:
            stop.then(exits, name="exits")
            stop.then(lambda: ran.append("next"))
        ran.append("after")

    asyncio.run(main())
    assert ran == ["next", "after"]
    assert "hook exits of the shutdown failed: SystemExit: 3" in caplog.text


def test_a_program_of_trio_ends_in_order(processes: Processes) -> None:
    """Its block is cancelled, and its hooks run on its loop."""
    code = """
import trio
from peak_observe import stopping

async def main():
    async with stopping(deadline=4) as stop:
        async def hook():
            await trio.sleep(0.01)
            print("hook", flush=True)
        stop.then(hook)
        print("ready", flush=True)
        await trio.sleep_forever()
    print("after", flush=True)

trio.run(main)
"""
    bot = processes.start(code)
    assert bot.stdout.readline() == "ready\n"
    bot.send_signal(signal.SIGTERM)
    assert bot.stdout.read() == "hook\nafter\n"
    assert bot.wait(30) == 0


def test_without_a_block_nothing_has_changed() -> None:
    """A wait costs what it did, and a shutdown of another block is over."""
    assert not SHUTDOWN.armed
    began = time.monotonic()
    with pytest.raises(ConnectionError):
        retry_with_backoff(2, 0.01, name="unarmed")(fails)()
    assert time.monotonic() - began < 10
