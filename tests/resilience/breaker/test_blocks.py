"""`with breaker:` blocks end their own call, wherever they are left."""

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, contextmanager
from contextvars import copy_context

import pytest

from peak_observe import CircuitBreaker
from peak_observe.testing import ManualClock


@pytest.fixture
def clock() -> ManualClock:
    """Return a clock that stands still."""
    return ManualClock()


@pytest.fixture
def breaker(clock: ManualClock) -> CircuitBreaker:
    """Return a breaker that opens at its second failure."""
    return CircuitBreaker(2, 30, name="blocks", clock=clock)


def counts(breaker: CircuitBreaker) -> tuple[int, int]:
    """Return how many calls succeeded and failed."""
    snapshot = breaker.snapshot()
    return snapshot.succeeded, snapshot.failed


def test_a_generator_may_begin_and_end_in_different_contexts(breaker: CircuitBreaker) -> None:
    """FastAPI enters and leaves a dependency in two copies of the request's context."""

    def dependency() -> Iterator[None]:
        with breaker:
            yield

    generator = dependency()
    copy_context().run(next, generator)
    assert copy_context().run(next, generator, None) is None
    failing = dependency()
    copy_context().run(next, failing)
    with pytest.raises(ConnectionError):
        copy_context().run(failing.throw, ConnectionError())
    assert counts(breaker) == (1, 1)


def test_an_async_generator_may_do_so_too(breaker: CircuitBreaker) -> None:
    """Each of its steps is a task of its own here."""

    async def dependency() -> AsyncIterator[None]:
        async with breaker:
            yield

    async def main() -> None:
        generator = dependency()
        await asyncio.create_task(anext(generator))
        assert await asyncio.create_task(anext(generator, None)) is None

    asyncio.run(main())
    assert counts(breaker) == (1, 0)


def test_generators_that_take_turns_end_their_own_calls(breaker: CircuitBreaker, clock: ManualClock) -> None:
    """The first that began ends first, and its time is its own."""

    def dependency() -> Iterator[None]:
        with breaker:
            yield

    first, second = dependency(), dependency()
    next(first)
    clock.advance(10)
    next(second)
    assert next(first, None) is None
    assert breaker._controller.counts.duration_sum == pytest.approx(10)
    clock.advance(1)
    assert next(second, None) is None
    assert breaker._controller.counts.duration_sum == pytest.approx(11)


def test_a_block_may_be_left_by_another_thread(breaker: CircuitBreaker) -> None:
    """As that of an ExitStack, or of an object that is handed on."""
    stack = ExitStack()
    stack.enter_context(breaker)
    thread = threading.Thread(target=stack.close)
    thread.start()
    thread.join()
    assert counts(breaker) == (1, 0)
    with breaker:
        """A later block of this thread is not taken for the one that has ended."""
    assert counts(breaker) == (2, 0)


def test_blocks_around_a_generator_keep_their_calls(breaker: CircuitBreaker) -> None:
    """A block of the same context that is still open is not ended by a generator's."""

    @contextmanager
    def session() -> Iterator[None]:
        with breaker:
            yield

    with breaker:
        with pytest.raises(ConnectionError), session():
            raise ConnectionError
        assert counts(breaker) == (0, 0)
    assert counts(breaker) == (1, 0)


def test_nothing_is_kept_of_blocks_that_have_ended(breaker: CircuitBreaker) -> None:
    """Nor of generators that are never finished."""

    def dependency() -> Iterator[None]:
        with breaker:
            yield

    for _ in range(3):
        next(dependency())
        with breaker:
            """Nothing."""
    assert not breaker._blocks._open
    assert not breaker._blocks._generators
