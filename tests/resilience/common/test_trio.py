"""The primitives wait, are timed and are cancelled in programs that run trio, also below anyio."""

import asyncio
import threading
from collections.abc import Coroutine
from dataclasses import dataclass
from itertools import count
from typing import Any

import anyio
import anyio.lowlevel
import pytest
import trio
import trio.testing

from peak_observe import (
    BulkheadFullError,
    CallTimeoutError,
    CircuitBreaker,
    CircuitOpenError,
    HealthCheck,
    Policy,
    RateLimitedError,
    bulkhead,
    circuit_breaker,
    deadline,
    rate_limit,
    retry_with_backoff,
    retrying,
    timeout,
)
from peak_observe.resilience.common.event_loop import is_running, running_loop
from peak_observe.support.async_library import running_trio, task_event

NUMBERS = count()


def name() -> str:
    """Return a name that no other test uses."""
    return f"trio.{next(NUMBERS)}"


def run(func: Any, *args: Any) -> Any:
    """Run a coroutine function on trio, whose clock jumps ahead when all tasks wait for it."""
    return trio.run(func, *args, clock=trio.testing.MockClock(autojump_threshold=0))


def failing(times: int) -> Any:
    """Return a coroutine function that fails so many times, and then returns how often it was called."""
    calls = count(1)

    async def call() -> int:
        await trio.lowlevel.checkpoint()
        number = next(calls)
        if number <= times:
            raise ConnectionError(number)
        return number

    return call


def test_a_retry_sleeps_with_trio() -> None:
    """Its delays pass on the clock of trio."""

    async def main() -> float:
        assert await retry_with_backoff(3, name=name())(failing(2))() == 3
        return trio.current_time()

    assert run(main) == pytest.approx(3.0)


def test_the_last_error_of_a_retry_comes_through() -> None:
    """It is not replaced by one of the sleep."""
    with pytest.raises(ConnectionError, match="2"):
        run(retry_with_backoff(2, name=name())(failing(9)))


def test_a_block_is_retried() -> None:
    """With `async for` and `async with`, and a timeout of each attempt."""

    async def main() -> int:
        async for attempt in retrying(3, name=name(), attempt_timeout=1.0):
            async with attempt:
                if attempt.number < 3:
                    await trio.sleep_forever()
                return attempt.number
        raise AssertionError

    assert run(main) == 3


@pytest.mark.parametrize("around", [lambda call: call, Policy(deadline=100)])
def test_an_attempt_that_hangs_is_cancelled_and_retried(around: Any) -> None:
    """By `attempt_timeout`, also inside a policy with a deadline."""
    calls = count(1)

    async def call() -> str:
        if next(calls) < 3:
            await trio.sleep_forever()
        return "done"

    assert run(around(retry_with_backoff(3, attempt_timeout=0.5, name=name())(call))) == "done"


def test_a_timeout_cancels() -> None:
    """Its error says which, and the function sees the cancellation of trio."""
    seen = []

    @timeout(2, name="slow")
    async def call() -> None:
        try:
            await trio.sleep_forever()
        except trio.Cancelled as error:
            seen.append(type(error))
            raise

    with pytest.raises(CallTimeoutError, match="slow"):
        run(call)
    assert seen == [trio.Cancelled]


def test_the_functions_own_timeout_error_is_no_timeout_of_ours() -> None:
    """It comes through as it is."""

    @timeout(2, name=name())
    async def call() -> None:
        raise TimeoutError("of the socket")

    with pytest.raises(TimeoutError, match="of the socket") as caught:
        run(call)
    assert type(caught.value) is TimeoutError


def test_each_step_of_an_async_generator_is_timed() -> None:
    """What hangs between two items is cancelled."""

    @timeout(1, name=name())
    async def items() -> Any:
        yield 1
        await trio.sleep_forever()

    async def main() -> list[int]:
        found = []
        with pytest.raises(CallTimeoutError):
            async for item in items():
                found.append(item)
                await trio.sleep(5)
        return found

    assert run(main) == [1]


def test_a_deadline_ends_the_retries() -> None:
    """With the time of the process, as limits of all threads are compared."""

    async def main() -> None:
        with deadline(0.5):
            await retry_with_backoff(3, base_delay=60, name=name())(failing(9))()

    with pytest.raises(ConnectionError, match="1"):
        run(main)


def test_cancellation_from_outside_goes_through_and_counts_as_nothing() -> None:
    """A scope that gives up on a call says nothing of the service, and a probe is released by it."""
    breaker = CircuitBreaker(1, name=name())

    @breaker
    @retry_with_backoff(3, base_delay=60, name=name())
    async def call() -> None:
        await trio.sleep_forever()

    async def main() -> bool:
        with trio.move_on_after(1) as scope:
            await call()
        return scope.cancelled_caught

    assert run(main)
    assert breaker.stats.failure_count == 0
    assert breaker.state.value == "closed"


def test_a_sleep_between_attempts_is_cancelled() -> None:
    """Nobody waits for it to its end."""

    async def main() -> float:
        with trio.move_on_after(1):
            await retry_with_backoff(3, base_delay=60, name=name())(failing(9))()
        return trio.current_time()

    assert run(main) == pytest.approx(1.0)


def test_a_circuit_opens_and_refuses() -> None:
    """As everywhere; a call in a nursery of a call belongs to it and is counted once."""
    breaker = CircuitBreaker(2, name=name())

    @breaker
    async def call(depth: int) -> None:
        if not depth:
            raise ConnectionError
        async with trio.open_nursery() as nursery:
            nursery.start_soon(call, depth - 1)

    async def main() -> None:
        for failures in (1, 2):
            with pytest.raises(ExceptionGroup):
                await call(2)
            assert breaker.stats.failure_count == failures
        with pytest.raises(CircuitOpenError):
            await call(0)

    run(main)


def test_tasks_wait_for_places_in_turn() -> None:
    """A bulkhead of one lets three through one after the other."""
    limited = bulkhead(1, wait=60, name=name())(trio.sleep)

    async def main() -> float:
        async with trio.open_nursery() as nursery:
            for _ in range(3):
                nursery.start_soon(limited, 1)
        return trio.current_time()

    assert run(main) == pytest.approx(3.0)


def test_a_full_bulkhead_refuses_after_its_wait() -> None:
    """Its place is another task's."""
    limited = bulkhead(1, wait=1, name=name())(trio.sleep)

    async def main() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(limited, 60)
            await trio.testing.wait_all_tasks_blocked()
            with pytest.raises(BulkheadFullError):
                await limited(0)
            assert trio.current_time() == pytest.approx(1.0)
            nursery.cancel_scope.cancel()

    run(main)


def test_a_place_given_by_another_thread_wakes_the_task() -> None:
    """The run of trio is told, not spun in."""
    places = bulkhead(1, wait=30, name=name())
    held, done = threading.Event(), threading.Event()

    def apart() -> None:
        with places:
            held.set()
            done.wait(60)

    async def main() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(enter)
            await trio.sleep(0.05)
            done.set()

    async def enter() -> None:
        async with places:
            entered.append(running_trio())

    entered: list[Any] = []
    thread = threading.Thread(target=apart)
    thread.start()
    held.wait(60)
    trio.run(main)
    thread.join()
    assert entered == [trio]


def test_a_rate_limit_waits_for_its_turn() -> None:
    """And refuses where that is too far away."""
    limited = rate_limit(1, per=0.05, wait=1, name=name())
    strict = rate_limit(1, per=60, name=name())

    async def main() -> None:
        async with limited:
            pass
        await limited.async_acquire()
        await strict.async_acquire()
        with pytest.raises(RateLimitedError):
            await strict.async_acquire()

    trio.run(main)


def test_checks_run_on_trio() -> None:
    """Coroutine functions on the caller's run, others in threads, all under their timeouts."""
    health, seen = HealthCheck(), []

    @health.check("task")
    async def task() -> bool:
        await trio.sleep(0.01)
        seen.append(running_loop())
        return True

    @health.check("hangs", timeout=0.05)
    async def hangs() -> bool:
        await trio.sleep_forever()
        raise AssertionError

    @health.check("thread")
    def thread() -> bool:
        return threading.current_thread() is not threading.main_thread()

    @health.check("returns a coroutine")
    def returns() -> Coroutine[Any, Any, bool]:
        return task()

    async def main() -> dict[str, bool]:
        results = await health.async_run_all()
        assert seen == [running_loop()] * 2
        return {check: result.healthy for check, result in results.items()}

    assert trio.run(main) == {"task": True, "hangs": False, "thread": True, "returns a coroutine": True}


def test_checks_in_the_background_run_on_the_trio_that_started_them() -> None:
    """And in a thread once that has ended."""
    health, seen = HealthCheck(), []

    @health.check("task")
    async def task() -> bool:
        seen.append(running_loop())
        return True

    async def main() -> Any:
        health.start(interval=0.01)
        with trio.fail_after(30):
            while not seen:  # noqa: ASYNC110 - it is set in whatever the check runs on
                await trio.sleep(0.01)
        assert (await health.async_get_status())["healthy"]
        return running_loop()

    try:
        token = trio.run(main)
        assert seen[0] is token
        assert not is_running(token)
        health.stop()
        assert health.run_all()["task"].healthy
    finally:
        health.stop()


def test_a_sync_wait_on_trio_is_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    """It holds up all tasks, as on the loop of asyncio."""

    @retry_with_backoff(2, base_delay=0.001, name=name())
    def call() -> None:
        raise ConnectionError

    async def main() -> None:
        with pytest.raises(ConnectionError):
            call()

    trio.run(main)
    assert "running event loop" in caplog.text


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_anyio_works_on_both(backend: str) -> None:
    """Its sleep, task groups and scopes are those of the library below."""
    limited = bulkhead(1, wait=30, name=name())(anyio.sleep)

    async def main() -> None:
        calls = count(1)

        @Policy(circuit_breaker(), retry_with_backoff(3, base_delay=0.001), timeout(5), name=name())
        async def call() -> int:
            await anyio.lowlevel.checkpoint()
            if (number := next(calls)) < 3:
                raise ConnectionError
            return number

        assert await call() == 3
        async with anyio.create_task_group() as group:
            group.start_soon(limited, 0.001)
            group.start_soon(limited, 0.001)
        with anyio.move_on_after(0.01) as scope:
            await retry_with_backoff(2, base_delay=60, name=name())(failing_with_anyio)()
        assert scope.cancelled_caught

    anyio.run(main, backend=backend)


async def failing_with_anyio() -> None:
    """Fail."""
    await anyio.lowlevel.checkpoint()
    raise ConnectionError


@dataclass(frozen=True)
class Frozen(Exception):  # noqa: N818 - of a user who names it so
    """Exception that refuses new attributes."""

    code: int = 1


def test_another_library_is_refused_in_words_and_the_error_is_kept() -> None:
    """A retry cannot sleep where neither asyncio nor trio runs; what made it sleep is the cause."""

    async def call() -> None:
        raise Frozen

    coroutine = retry_with_backoff(2, name=name())(call)()
    with pytest.raises(RuntimeError, match="asyncio or trio") as caught:
        coroutine.send(None)
    assert isinstance(caught.value.__cause__, Frozen)


def test_limits_and_timeouts_are_refused_in_the_same_words() -> None:
    """Nothing is left waiting, and no place is taken."""

    async def call() -> None:
        """Return at once."""

    places = bulkhead(1, wait=1, name=name())
    with places, pytest.raises(RuntimeError, match="asyncio or trio"):
        threaded(lambda: places(call)().send(None))
    with pytest.raises(RuntimeError, match="asyncio or trio"):
        timeout(1, name=name())(call)().send(None)
    with places:
        """It is free."""


def threaded(func: Any) -> None:
    """Call a function in another thread, and raise what it raises."""
    found: list[BaseException] = []

    def call() -> None:
        try:
            func()
        except BaseException as error:
            found.append(error)

    thread = threading.Thread(target=call)
    thread.start()
    thread.join()
    if found:
        raise found[0]


def test_asyncio_inside_a_program_that_has_trio_stays_asyncio() -> None:
    """What counts is the library of the running task, not what is imported."""

    async def main() -> None:
        assert running_trio() is None
        assert running_loop() is asyncio.get_running_loop()
        event = task_event()
        event.set()
        await event.wait(60)

    asyncio.run(main())
    assert running_trio() is None
