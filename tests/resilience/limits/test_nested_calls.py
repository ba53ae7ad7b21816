"""A call inside a call of the same bulkhead belongs to it: it passes, and is counted once."""

import asyncio
import gc
import threading
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import count

import pytest

from peak_observe import BulkheadFullError, Policy, bulkhead, retry_with_backoff
from peak_observe.resilience.limits import semaphore

PATIENCE = 30.0
NUMBERS = count()


@pytest.fixture
def name() -> str:
    """Return a name that nobody has."""
    return f"nested.{next(NUMBERS)}"


def test_a_function_that_calls_another_behind_the_same_bulkhead_passes(name: str) -> None:
    """However deep, and in_flight says one."""
    limited = bulkhead(1, name=name)

    @limited
    def request(depth: int) -> int:
        return request(depth - 1) if depth else limited.in_flight

    @limited
    def balance() -> int:
        return request(3)

    assert balance() == 1
    assert limited.stats.at_once == 1
    assert limited.in_flight == 0


def test_a_coroutine_and_the_tasks_that_it_waits_for_pass(name: str) -> None:
    """Also in a thread that asyncio hands its context to."""
    limited = bulkhead(1, name=name)

    @limited
    async def request() -> int:
        await asyncio.sleep(0)
        return limited.in_flight

    @limited
    async def balance() -> list[int]:
        found = await asyncio.gather(request(), request(), asyncio.wait_for(request(), PATIENCE))
        return [*found, await asyncio.to_thread(limited.call(lambda: limited.in_flight))]

    assert asyncio.run(balance()) == [1, 1, 1, 1]
    assert limited.stats.at_once == 1


def test_a_task_that_outlives_the_call_needs_a_place_of_its_own(name: str) -> None:
    """A reader that connect() starts belongs to it only until it returns."""

    async def main() -> None:
        limited, go_on = bulkhead(1, name=name), asyncio.Event()

        @limited
        async def read() -> int:
            return limited.in_flight

        async def later() -> int:
            await go_on.wait()
            return await read()

        @limited
        async def connect() -> asyncio.Task[int]:
            return asyncio.create_task(later())

        task = await connect()
        assert limited.in_flight == 0
        async with limited:  # this task is not inside connect(), and takes the only place
            go_on.set()
            with pytest.raises(BulkheadFullError):
                await task
        assert await read() == 1

    asyncio.run(main())


def test_another_thread_needs_a_place_of_its_own(name: str) -> None:
    """A thread inherits no context, so what it does is work of its own."""
    limited = bulkhead(1, name=name)
    with limited, ThreadPoolExecutor(1) as pool, pytest.raises(BulkheadFullError):
        pool.submit(limited.call(lambda: None)).result(PATIENCE)


def test_blocks_nest_and_the_outermost_gives_the_place_back(name: str) -> None:
    """Blocks in calls, calls in blocks, plain and async."""
    limited = bulkhead(1, name=name)

    async def main() -> None:
        async with limited, limited:
            with limited:
                assert limited.call(lambda: limited.in_flight)() == 1
            assert limited.in_flight == 1

    @limited
    def call() -> None:
        with limited:
            pass
        assert limited.in_flight == 1

    asyncio.run(main())
    call()
    assert limited.in_flight == 0
    assert limited.stats.at_once == 2


def test_two_bulkheads_inside_each_other_are_two(name: str) -> None:
    """A call belongs to the bulkhead that it is inside of, not to any."""
    outer, inner = bulkhead(1, name=name), bulkhead(1, name=f"{name}.inner")
    with outer, inner, outer:
        assert (outer.in_flight, inner.in_flight) == (1, 1)
    with inner, ThreadPoolExecutor(1) as pool, pytest.raises(BulkheadFullError):
        pool.submit(outer.call(inner.call(lambda: None))).result(PATIENCE)


def test_the_consumer_of_a_generator_is_not_inside_it(name: str) -> None:
    """Its steps are, and between them it holds its place all the same."""
    limited = bulkhead(1, name=name)

    @limited
    def items() -> Iterator[int]:
        yield limited.call(lambda: limited.in_flight)()

    @limited
    async def items_async() -> AsyncIterator[int]:
        yield limited.call(lambda: limited.in_flight)()

    async def main() -> None:
        generator = items_async()
        assert await anext(generator) == 1
        with pytest.raises(BulkheadFullError), limited:
            pytest.fail("the generator has the only place")
        await generator.aclose()

    generator = items()
    assert next(generator) == 1
    with pytest.raises(BulkheadFullError), limited:
        pytest.fail("the generator has the only place")
    generator.close()
    asyncio.run(main())
    assert limited.in_flight == 0


@pytest.mark.parametrize("asynchronous", [False, True])
def test_a_generator_that_outlives_the_call_it_began_in_takes_a_place(name: str, *, asynchronous: bool) -> None:
    """At its next step, and gives it back at its end."""
    limited = bulkhead(1, name=name)

    @limited
    def items() -> Iterator[int]:
        yield from range(3)

    @limited
    async def items_async() -> AsyncIterator[int]:
        for number in range(3):
            yield number

    @limited
    async def begin_async() -> AsyncIterator[int]:
        generator = items_async()
        assert await anext(generator) == 0
        return generator

    @limited
    def begin() -> Iterator[int]:
        generator = items()
        assert next(generator) == 0
        return generator

    async def main() -> None:
        generator = await begin_async()
        assert limited.in_flight == 0
        assert await anext(generator) == 1
        assert limited.in_flight == 1
        assert [number async for number in generator] == [2]

    if asynchronous:
        asyncio.run(main())
    else:
        generator = begin()
        assert limited.in_flight == 0
        assert next(generator) == 1
        assert limited.in_flight == 1
        assert list(generator) == [2]
    assert limited.in_flight == 0
    assert limited.stats.at_once == 2


def test_a_lambda_that_returns_a_coroutine_is_one_call(name: str) -> None:
    """What it awaits belongs to it."""
    limited = bulkhead(1, name=name)

    @limited
    async def request(symbol: str) -> int:
        return len(symbol) * limited.in_flight

    assert asyncio.run(limited.call(lambda: request("X"))()) == 1
    assert limited.in_flight == 0


def test_a_policy_around_both_passes(name: str) -> None:
    """The bulkhead of a policy is one bulkhead for all its functions."""
    policy = Policy(bulkhead(1), retry_with_backoff(1), name=name)

    @policy
    def request(symbol: str) -> str:
        return symbol

    assert policy(lambda: request("passed"))() == "passed"


def test_many_threads_with_nested_calls_never_pass_the_limit(name: str) -> None:
    """And each outer call is counted once."""
    limited, most, lock, inside = bulkhead(3, wait=PATIENCE, name=name), 0, threading.Lock(), 0

    @limited
    def inner() -> None:
        nonlocal most
        with lock:
            most = max(most, inside)

    @limited
    def outer() -> None:
        nonlocal inside
        with lock:
            inside += 1
        inner()
        with lock:
            inside -= 1

    with ThreadPoolExecutor(32) as pool:
        for future in [pool.submit(outer) for _ in range(3000)]:
            future.result(PATIENCE)
    assert 1 <= most <= 3
    assert limited.stats.at_once + limited.stats.after_wait == 3000
    assert limited.in_flight == 0


def test_a_task_that_starts_its_successor_for_ever_collects_nothing(name: str) -> None:
    """Permits that were released are dropped from the context that tasks inherit."""

    async def main() -> int:
        limited = bulkhead(2, wait=PATIENCE, name=name)

        @limited
        async def step(left: int) -> asyncio.Task | int:
            return asyncio.create_task(step(left - 1)) if left else len(semaphore._held.get())

        found = await step(50)
        while isinstance(found, asyncio.Task):
            found = await found
        return found

    assert asyncio.run(main()) <= 2
    gc.collect()
