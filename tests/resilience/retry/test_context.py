"""Retries around a block of code."""

import asyncio
import gc
import threading
from contextvars import copy_context

import pytest

from peak_observe import Recovered, RetryScheduled, deadline, retrying
from peak_observe.measures import RETRIES, RetryReading
from peak_observe.resilience.common.deadlines import remaining
from peak_observe.testing import ManualClock, RecordingObserver


def reading(name: str) -> RetryReading:
    """Return what Prometheus would be told of a name."""
    return RETRIES.get(name).read()


def test_a_block_is_tried_until_it_succeeds() -> None:
    """With the delays, counts and events of a decorated function."""
    clock, numbers = ManualClock(), []
    with RecordingObserver() as seen:
        for attempt in retrying(5, clock=clock, name="loops.success"):
            with attempt:
                numbers.append(attempt.number)
                if attempt.number < 3:
                    raise ConnectionError
    assert numbers == [1, 2, 3]
    assert clock.sleeps == [1, 2]
    assert reading("loops.success").calls == [0, 1, 0, 0, 0, 0]
    assert [type(event) for event in seen.events] == [RetryScheduled, RetryScheduled, Recovered]


def test_the_last_exception_leaves_the_loop() -> None:
    """Unchanged, with no context of ours."""
    clock = ManualClock()
    with pytest.raises(ConnectionError) as caught:
        for attempt in retrying(2, clock=clock, name="loops.exhausted"):
            with attempt:
                raise ConnectionError(attempt.number)
    assert caught.value.args == (2,)
    assert caught.value.__context__ is caught.value.__cause__ is None
    assert reading("loops.exhausted").calls == [0, 0, 1, 0, 0, 0]


@pytest.mark.parametrize("way", ["end", "break", "continue", "return"])
def test_leaving_the_block_is_a_success(way: str) -> None:
    """However it is left, but by an exception."""
    name = f"loops.{way}"

    def use() -> str:
        for attempt in retrying(name=name):
            with attempt:
                if way == "break":
                    break
                if way == "continue":
                    continue
                if way == "return":
                    return "returned"
        return "done"

    assert use() == ("returned" if way == "return" else "done")
    assert reading(name).calls == [1, 0, 0, 0, 0, 0]


def test_an_unexpected_exception_leaves_at_once() -> None:
    """As in a function."""
    with pytest.raises(KeyError):
        for attempt in retrying(expected_exception=OSError, name="loops.unexpected"):
            with attempt:
                raise KeyError
    assert reading("loops.unexpected").calls == [0, 0, 0, 1, 0, 0]


def test_coroutines_loop_too() -> None:
    """With `async for`, and `with` or `async with`."""
    clock = ManualClock()

    async def use() -> int:
        async for attempt in retrying(clock=clock, name="loops.async"):
            with attempt:
                if attempt.number < 2:
                    raise ConnectionError
        async for attempt in retrying(clock=clock, name="loops.async"):
            async with attempt:
                if attempt.number < 3:
                    raise ConnectionError
        return attempt.number

    assert asyncio.run(use()) == 3
    assert clock.sleeps == [1, 1, 2]
    assert reading("loops.async").calls == [0, 2, 0, 0, 0, 0]


def test_an_attempt_of_a_coroutine_is_cut_off_and_retried() -> None:
    """With `async with`; whatever is expected, a cut off attempt counts as failed."""

    async def use() -> str:
        async for attempt in retrying(2, 0, expected_exception=KeyError, attempt_timeout=0.02, name="loops.cut"):
            async with attempt:
                if attempt.number == 1:
                    await asyncio.Event().wait()
                return "in time"
        return "never"

    assert asyncio.run(use()) == "in time"
    assert reading("loops.cut").errors == {"TimeoutError": 1}


def test_a_plain_block_cannot_be_cut_off() -> None:
    """Both forms say so instead of promising it."""
    with pytest.raises(ValueError, match="attempt_timeout needs `async for`"):
        iter(retrying(attempt_timeout=1, name="loops.plain"))

    async def use() -> None:
        async for attempt in retrying(attempt_timeout=1, name="loops.plain"):
            with attempt:
                pass

    with pytest.raises(TypeError, match="attempt_timeout needs `async with attempt:`"):
        asyncio.run(use())


def test_one_object_serves_many_loops_at_the_same_time() -> None:
    """Each has its own attempts and delays; nothing is shared but the counts."""
    clock = ManualClock()
    shared = retrying(3, clock=clock, name="loops.shared", delays=iter([1, 2]))
    seen: dict[int, list[int]] = {number: [] for number in range(8)}

    def use(number: int) -> None:
        for attempt in shared:
            with attempt:
                seen[number].append(attempt.number)
                if attempt.number < 3:
                    raise ConnectionError

    threads = [threading.Thread(target=use, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seen == {number: [1, 2, 3] for number in range(8)}
    assert sorted(clock.sleeps) == [1] * 8 + [2] * 8
    assert reading("loops.shared").calls == [0, 8, 0, 0, 0, 0]


def test_a_loop_outlives_its_object() -> None:
    """Which is made in the head of the loop, mostly, and counts nevertheless."""
    for attempt in retrying(2, 0, name="loops.head"):
        gc.collect()
        with attempt:
            if attempt.number < 2:
                raise ConnectionError
    gc.collect()
    assert reading("loops.head").calls == [0, 1, 0, 0, 0, 0]


def test_a_block_without_the_attempt_is_found_out() -> None:
    """It would run for ever."""
    with pytest.raises(RuntimeError, match="needs `with attempt:`"):
        for _ in retrying(name="loops.without"):
            pass


def test_the_time_of_the_loop_is_up() -> None:
    """No attempt begins beyond it, and what is called in the block knows of it."""
    clock, attempts = ManualClock(), []
    with pytest.raises(ConnectionError):
        for attempt in retrying(10, clock=clock, timeout=5, name="loops.time"):
            with attempt:
                attempts.append(clock.monotonic())
                raise ConnectionError
    assert attempts == [0, 1, 3]
    with deadline(5, clock=clock), pytest.raises(ConnectionError):
        for attempt in retrying(10, clock=clock, name="loops.time"):
            with attempt:
                raise ConnectionError
    assert reading("loops.time").calls == [0, 0, 0, 0, 2, 0]


def test_cancelling_the_wait_of_a_loop_ends_it() -> None:
    """Counted, as in a function."""

    async def use() -> None:
        async for attempt in retrying(base_delay=3600, name="loops.cancelled"):
            with attempt:
                raise ConnectionError

    async def cancel() -> None:
        task = asyncio.create_task(use())
        await asyncio.sleep(0.01)
        task.cancel()
        await task

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(cancel())
    assert reading("loops.cancelled").calls == [0, 0, 0, 1, 0, 0]


def test_nonsense_is_refused() -> None:
    """As for a function."""
    with pytest.raises(ValueError, match="max_attempts"):
        retrying(max_attempts=0)


def test_a_block_has_no_result() -> None:
    """So that none can be judged; the message says what to do."""
    with pytest.raises(TypeError, match="'retry_result'; did you mean an exception in the block, as a block has no"):
        retrying(retry_result=bool)


def test_the_attempts_of_a_loop_can_be_taken_by_hand() -> None:
    """They are an iterator, of both kinds."""
    loop = iter(retrying(2, 0, name="loops.by_hand"))
    for attempt in loop:
        with attempt:
            if attempt.number < 2:
                raise ConnectionError
    assert next(loop, "over") == "over"

    async def use() -> str:
        attempts = aiter(retrying(2, 0, name="loops.by_hand"))
        async for attempt in attempts:
            with attempt:
                pass
        return await anext(attempts, "over")

    assert asyncio.run(use()) == "over"


def test_a_block_that_is_left_in_another_context_leaks_nothing() -> None:
    """As a generator that holds it may be, when it is closed by whoever finds it."""
    attempt = next(iter(retrying(timeout=60, name="loops.context")))
    copy_context().run(attempt.__enter__)
    attempt.__exit__(None, None, None)
    assert remaining() is None
    assert reading("loops.context").calls == [1, 0, 0, 0, 0, 0]
