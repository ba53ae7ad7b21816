"""The breaker of a generator judges the generator, not its consumer."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator

import pytest

from peak_observe import CircuitBreaker, CircuitState
from peak_observe.measures import BREAKERS
from peak_observe.testing import ManualClock


@pytest.fixture
def clock() -> ManualClock:
    """Return a clock that stands still."""
    return ManualClock()


def breaker_of(name: str, clock: ManualClock, **options: object) -> CircuitBreaker:
    """Return a breaker that opens at its first failure."""
    return CircuitBreaker(1, 30, name=f"streams.{name}", clock=clock, **options)


class Stream:
    """A generator of either kind, read by one loop.

    Args:
        breaker: What protects it.
        clock: The time that passes inside.
        fails_at: The item at which it fails.
    """

    def __init__(self, breaker: CircuitBreaker, clock: ManualClock, fails_at: int = 0) -> None:
        self.clock = clock
        self.fails_at = fails_at
        self.plain, self.later = breaker.call(self.items), breaker.call(self.async_items)

    def items(self) -> Iterator[int]:
        """Yield numbers for ever, one a second."""
        number = 0
        while True:
            self.clock.advance(1)
            number += 1
            if number == self.fails_at:
                raise ConnectionError
            yield number

    async def async_items(self) -> AsyncIterator[int]:
        """Do the same."""
        for number in self.items():
            yield number

    def read(self, kind: str, body: Callable[[int], object]) -> None:
        """Read it and call `body` with each item, which may raise."""

        async def read_later() -> None:
            stream = self.later()
            try:
                async for item in stream:
                    body(item)
            except KeyError as error:
                await stream.athrow(error)
            finally:
                await stream.aclose()

        if kind == "async":
            asyncio.run(read_later())
            return
        stream = self.plain()
        try:
            for item in stream:
                body(item)
        except KeyError as error:
            stream.throw(error)
        finally:
            stream.close()


both = pytest.mark.parametrize("kind", ["sync", "async"])


@both
def test_the_time_of_the_consumer_does_not_count(kind: str, clock: ManualClock) -> None:
    """A stream that is read slowly is not slow."""
    breaker = CircuitBreaker(
        name=f"streams.slow.{kind}", clock=clock, window=1, slow_call_seconds=10, slow_call_ratio=1.0
    )
    stream = Stream(breaker, clock, fails_at=4)
    with pytest.raises(ConnectionError):
        stream.read(kind, lambda _: clock.advance(100))
    assert BREAKERS.get(breaker.name).read().duration_sum == 4


@both
def test_errors_of_the_consumer_do_not_count(kind: str, clock: ManualClock) -> None:
    """`contextmanager` throws them in, so the generator sees them."""
    breaker = breaker_of(f"thrown.{kind}", clock)
    with pytest.raises(KeyError):
        Stream(breaker, clock).read(kind, lambda item: {}[item])
    snapshot = breaker.snapshot()
    assert (snapshot.state, snapshot.failed, snapshot.ignored) == (CircuitState.CLOSED, 0, 1)


def test_an_error_that_the_generator_makes_of_the_consumers_does_not_count(clock: ManualClock) -> None:
    """Translated, it is still the consumer's."""
    breaker = breaker_of("translated", clock)

    @breaker.call
    def session() -> Iterator[int]:
        try:
            yield 1
        except KeyError as error:
            raise ConnectionError from error

    stream = session()
    next(stream)
    with pytest.raises(ConnectionError):
        stream.throw(KeyError())
    assert (breaker.state, breaker.snapshot().ignored) == (CircuitState.CLOSED, 1)


@both
def test_an_error_of_the_generator_counts(kind: str, clock: ManualClock) -> None:
    """Also after some items."""
    breaker = breaker_of(f"failed.{kind}", clock)
    with pytest.raises(ConnectionError):
        Stream(breaker, clock, fails_at=3).read(kind, print)
    assert breaker.state is CircuitState.OPEN


@both
def test_an_endless_probe_has_succeeded_with_its_first_item(kind: str, clock: ManualClock) -> None:
    """Others may call meanwhile; if it fails in the end, that counts too."""
    breaker = breaker_of(f"probe.{kind}", clock)
    breaker.trip("test")
    clock.advance(30)
    states: list[CircuitState] = []
    with pytest.raises(ConnectionError):
        Stream(breaker, clock, fails_at=3).read(kind, lambda _: states.append(breaker.state))
    snapshot = breaker.snapshot()
    assert states == [CircuitState.CLOSED] * 2
    assert (snapshot.state, snapshot.succeeded, snapshot.failed, snapshot.probes) == (CircuitState.OPEN, 1, 1, 0)


@both
def test_a_probe_that_fails_before_its_first_item_reopens(kind: str, clock: ManualClock) -> None:
    """Nothing came."""
    breaker = breaker_of(f"probe_failed.{kind}", clock)
    breaker.trip("test")
    clock.advance(30)
    with pytest.raises(ConnectionError):
        Stream(breaker, clock, fails_at=1).read(kind, print)
    assert (breaker.state, breaker.snapshot().succeeded) == (CircuitState.OPEN, 0)
