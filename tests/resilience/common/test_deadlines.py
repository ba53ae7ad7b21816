"""A deadline is one moment, seen by all that happens below it."""

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, contextmanager
from contextvars import copy_context
from dataclasses import dataclass

import pytest

from peak_observe import (
    DeadlineExceededError,
    Policy,
    circuit_breaker,
    deadline,
    retry_with_backoff,
    retrying,
    timeout,
)
from peak_observe.resilience.common.deadlines import remaining
from peak_observe.testing import ManualClock


@pytest.fixture
def clock() -> ManualClock:
    """Return a clock that stands still."""
    return ManualClock()


def test_without_one_nothing_is_limited() -> None:
    """There is no number of seconds that would be true."""
    assert remaining() is None


def test_the_time_left_shrinks_and_never_goes_below_zero(clock: ManualClock) -> None:
    """It is absolute: waiting does not move it."""
    with deadline(5, clock=clock):
        assert remaining() == 5
        clock.advance(2)
        assert remaining() == 3
        clock.advance(10)
        assert remaining() == 0.0
    assert remaining() is None


@pytest.mark.parametrize(("outer", "inner", "left"), [(5, 10, 5), (10, 5, 5)])
def test_of_two_the_earlier_holds(clock: ManualClock, outer: float, inner: float, left: float) -> None:
    """A callee cannot give itself more time than its caller has."""
    with deadline(outer, clock=clock), deadline(inner, clock=clock):
        assert remaining() == left


def test_the_wall_clock_does_not_matter(clock: ManualClock) -> None:
    """NTP may set it back while a call runs."""
    with deadline(5, clock=clock):
        clock.jump(-3600)
        assert remaining() == 5


def test_tasks_inherit_it_and_threads_do_not(clock: ManualClock) -> None:
    """As context variables do."""
    seen: list[float | None] = []

    async def look() -> None:
        seen.append(remaining())

    async def main() -> None:
        with deadline(5, clock=clock):
            await asyncio.create_task(look())

    asyncio.run(main())
    with deadline(5, clock=clock):
        thread = threading.Thread(target=lambda: seen.append(remaining()))
        thread.start()
        thread.join()
    assert seen == [5, None]


@pytest.mark.parametrize("seconds", [0, -1, float("nan"), float("inf"), "5", True])
def test_nonsense_is_refused_before_the_block(seconds: object) -> None:
    """With one error that names the argument."""
    with pytest.raises(ValueError, match="seconds must be"):
        deadline(seconds)


def test_the_error_says_who_waited_and_for_how_long() -> None:
    """It is a TimeoutError too, so code that handles those handles it."""
    error = DeadlineExceededError("kraken", 2.5)
    assert isinstance(error, TimeoutError)
    assert (error.name, error.needed) == ("kraken", 2.5)
    assert str(error) == "kraken would have to wait 2.5 s, which is beyond the deadline"


def test_a_task_that_outlives_the_block_is_free_of_it(clock: ManualClock) -> None:
    """A reader that `connect()` starts reads for as long as the program runs."""
    seen: list[float | None] = []

    async def reader(go_on: asyncio.Event) -> None:
        seen.append(remaining())
        await go_on.wait()
        seen.append(remaining())

    async def main() -> None:
        go_on = asyncio.Event()
        with deadline(50, clock=clock):
            with deadline(5, clock=clock):
                task = asyncio.create_task(reader(go_on))
                await asyncio.sleep(0)
            go_on.set()
            await task

    asyncio.run(main())
    assert seen == [5, 50]


@pytest.mark.parametrize("seconds", [5, None])
def test_none_lifts_what_is_around(clock: ManualClock, seconds: float | None) -> None:
    """A deadline inside it holds again, and the outer one after it."""
    with deadline(1, clock=clock):
        with deadline(None, clock=clock):
            assert remaining() is None
            with deadline(seconds, clock=clock):
                assert remaining() == seconds
        assert remaining() == 1


def test_blocks_may_end_in_any_order(clock: ManualClock) -> None:
    """Generators that are closed late end theirs late."""
    first, second = deadline(1, clock=clock), deadline(5, clock=clock)
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    assert remaining() == 5
    second.__exit__(None, None, None)
    assert remaining() is None


def test_one_object_is_one_block_at_a_time(clock: ManualClock) -> None:
    """It may be used again afterwards."""
    block = deadline(5, clock=clock)
    with block, pytest.raises(RuntimeError, match="with deadline"):
        block.__enter__()
    with block:
        assert remaining() == 5


@dataclass(frozen=True)
class FrozenError(Exception):
    """An error as some libraries make them."""

    code: int


@dataclass(frozen=True, slots=True)
class FrozenSlottedError(Exception):
    """The same with slots."""

    code: int


@pytest.mark.parametrize("kind", [FrozenError, FrozenSlottedError])
def test_a_frozen_exception_comes_through_unchanged(kind: type[Exception]) -> None:
    """Nothing is assigned to it on its way."""
    error = kind(5)

    def fail() -> None:
        raise error

    async def fail_later() -> None:
        raise error

    def items() -> Iterator[int]:
        yield 1
        raise error

    for protected in (fail, deadline(5)(fail), Policy(retry_with_backoff(2, 0), deadline=5)(fail)):
        with pytest.raises(kind) as caught, deadline(5):
            protected()
        assert caught.value is error
    policy = Policy(circuit_breaker(), retry_with_backoff(2, 0, attempt_timeout=3), timeout(2), deadline=5)
    for awaited in (deadline(5)(fail_later), policy(fail_later), timeout(5)(fail_later)):
        with pytest.raises(kind) as caught:
            asyncio.run(awaited())
        assert caught.value is error
    with pytest.raises(kind):
        list(Policy(circuit_breaker(), deadline=5)(items)())


def test_it_decorates_functions_of_each_kind(clock: ManualClock) -> None:
    """Each call has one, and a generator one for all its steps."""

    @deadline(5, clock=clock)
    def plain() -> float | None:
        return remaining()

    @deadline(5, clock=clock)
    async def later() -> float | None:
        return remaining()

    @deadline(5, clock=clock)
    def items() -> Iterator[float | None]:
        yield remaining()
        clock.advance(1)
        yield remaining()

    assert (plain(), asyncio.run(later()), list(items())) == (5, 5, [5, 4])


def test_a_generator_keeps_its_deadline_to_itself(clock: ManualClock) -> None:
    """Its consumer runs between two items, and is not meant."""

    def items() -> Iterator[float | None]:
        with deadline(5, clock=clock):
            while True:
                yield remaining()

    async def later() -> AsyncIterator[float | None]:
        async with deadline(5, clock=clock):
            while True:
                yield remaining()

    def attempts() -> Iterator[float | None]:
        for attempt in retrying(timeout=5, clock=clock):
            with attempt:
                yield remaining()

    async def consume() -> None:
        stream = later()
        assert (await anext(stream), remaining(), await anext(stream)) == (5, None, 5)
        await stream.aclose()

    for kind in (items, attempts):
        generator = kind()
        assert (next(generator), remaining()) == (5, None)
        generator.close()
    asyncio.run(consume())
    assert remaining() is None


def test_a_context_manager_made_of_a_generator_sets_it_for_its_block(clock: ManualClock) -> None:
    """There the consumer is meant."""

    @contextmanager
    def limited() -> Iterator[None]:
        with ExitStack() as stack:
            stack.enter_context(deadline(5, clock=clock))
            yield

    def items() -> Iterator[float | None]:
        with limited():
            yield remaining()

    with limited():
        assert remaining() == 5
    generator = items()
    assert (next(generator), remaining()) == (5, None)


def test_a_generator_may_end_in_another_context(clock: ManualClock) -> None:
    """FastAPI enters and leaves a dependency in two copies of the request's context."""

    def dependency() -> Iterator[int]:
        with deadline(5, clock=clock):
            yield 1

    for protected in (dependency, Policy(circuit_breaker(), retry_with_backoff(), deadline=5)(dependency)):
        generator = protected()
        copy_context().run(next, generator)
        assert copy_context().run(next, generator, None) is None


def test_a_context_manager_of_a_class_sets_it_for_its_block(clock: ManualClock) -> None:
    """Of a generator that has the block too, and not for its consumer."""

    class Limited:
        def __enter__(self) -> None:
            self.limit = deadline(5, clock=clock)
            self.limit.__enter__()

        def __exit__(self, *error: object) -> None:
            self.limit.__exit__(None, None, None)

    def items() -> Iterator[float | None]:
        with Limited():
            yield remaining()
            yield remaining()

    with Limited():
        assert remaining() == 5
    generator = items()
    assert (next(generator), remaining(), next(generator), remaining()) == (5, None, 5, None)
