"""A coroutine that takes too long is cancelled; what cannot be interrupted is refused when it is decorated."""

import asyncio
import functools
import gc
from collections.abc import AsyncIterator, Callable, Iterator
from itertools import count

import pytest

from peak_observe import CallTimedOut, CallTimeoutError, CircuitBreaker, DeadlineExceededError, deadline, timeout
from peak_observe.measures import TIMEOUTS
from peak_observe.resilience.common.deadlines import remaining
from peak_observe.testing import ManualClock, RecordingObserver

NUMBERS = count()
LONG = 30.0


@pytest.fixture
def name() -> str:
    """Return a name that nobody has."""
    return f"cutoff.{next(NUMBERS)}"


async def hang() -> None:
    """Never end."""
    await asyncio.Event().wait()


def test_one_that_takes_too_long_is_cancelled(name: str) -> None:
    """Its clean-up runs, and the error says who and how long."""
    cleaned = []

    @timeout(0.01, name=name)
    async def work() -> None:
        try:
            await hang()
        finally:
            cleaned.append(True)

    with RecordingObserver() as seen, pytest.raises(CallTimeoutError) as error:
        asyncio.run(work())
    assert (error.value.name, error.value.seconds) == (name, 0.01)
    assert str(error.value) == f"{name} took longer than 0.01 s and was cancelled"
    assert isinstance(error.value, TimeoutError)
    assert cleaned == [True]
    assert seen.of(CallTimedOut) == [CallTimedOut(name, 0.01)]
    assert TIMEOUTS.get(name).read().calls == [0, 1, 0]


def test_one_that_ends_in_time_is_left_alone(name: str) -> None:
    """Result and exception pass, and both count as in time."""
    limited = timeout(LONG, name=name)

    async def work(error: Exception | None = None) -> str:
        await asyncio.sleep(0)
        if error:
            raise error
        return "done"

    assert asyncio.run(limited(work)()) == "done"
    for own in (ConnectionError("lost"), TimeoutError("the socket's own")):
        with pytest.raises(type(own)) as error:
            asyncio.run(limited(work)(own))
        assert error.value is own
    found = TIMEOUTS.get(name).read()
    assert (found.calls, found.seconds) == ([3, 0, 0], LONG)


def test_cancellation_from_outside_stays_cancellation(name: str) -> None:
    """The caller gave the order, not the clock."""

    async def main() -> None:
        task = asyncio.create_task(timeout(LONG, name=name)(hang)())
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    assert TIMEOUTS.get(name).read().calls == [1, 0, 0]


def test_one_that_does_not_let_itself_be_cancelled_keeps_its_result(name: str) -> None:
    """But it was not in time."""

    @timeout(0.01, name=name)
    async def stubborn() -> str:
        try:
            await hang()
        except asyncio.CancelledError:
            return "late"

    assert asyncio.run(stubborn()) == "late"
    assert TIMEOUTS.get(name).read().calls == [0, 1, 0]


def test_the_deadline_of_the_caller_cuts_it(name: str) -> None:
    """And the error says what was left."""

    async def main() -> None:
        with deadline(0.01):
            await timeout(LONG, name=name)(hang)()

    with pytest.raises(CallTimeoutError) as error:
        asyncio.run(main())
    assert error.value.seconds <= 0.01


def test_beyond_the_deadline_nothing_is_begun(name: str) -> None:
    """There is no time to give."""
    clock = ManualClock()

    async def main() -> None:
        with deadline(1, clock=clock):
            clock.advance(1)
            await timeout(LONG, name=name)(hang)()

    with pytest.raises(DeadlineExceededError, match=name):
        asyncio.run(main())
    assert TIMEOUTS.get(name).read().calls == [0, 0, 1]


def test_what_is_called_below_sees_it_as_its_deadline(name: str) -> None:
    """And nothing of it stays."""

    @timeout(5, name=name)
    async def work() -> float:
        return remaining()

    async def main() -> None:
        assert 0 < await work() <= 5
        assert remaining() is None

    asyncio.run(main())


def test_an_async_generator_has_its_time_for_each_step(name: str) -> None:
    """However long the consumer thinks in between."""
    cleaned = []

    @timeout(1.0, name=name)
    async def items() -> AsyncIterator[int]:
        try:
            yield 1
            await asyncio.sleep(0)
            yield 2
            await hang()
        finally:
            cleaned.append(True)

    async def main() -> list[int]:
        found = []
        with pytest.raises(CallTimeoutError):
            async for item in items():
                found.append(item)
                await asyncio.sleep(0.7)
                assert remaining() is None
        return found

    assert asyncio.run(main()) == [1, 2]
    assert cleaned == [True]
    assert TIMEOUTS.get(name).read().calls == [0, 1, 0]


def test_an_async_generator_is_sent_to_thrown_at_and_closed(name: str) -> None:
    """As without it."""
    cleaned = []

    @timeout(LONG, name=name)
    async def echo() -> AsyncIterator[object]:
        try:
            sent = yield "first"
            try:
                yield f"got {sent}"
            except ValueError as error:
                yield f"caught {error}"
            yield "last"
        finally:
            cleaned.append(True)

    async def talk() -> list[object]:
        generator = echo()
        heard = [await anext(generator), await generator.asend("hello"), await generator.athrow(ValueError("thrown"))]
        await generator.aclose()
        return heard

    assert asyncio.run(talk()) == ["first", "got hello", "caught thrown"]
    assert cleaned == [True]
    assert TIMEOUTS.get(name).read().calls == [1, 0, 0]


def plain() -> None:
    """Do nothing."""


def numbers() -> Iterator[int]:
    """Yield nothing."""
    yield 1


@pytest.mark.parametrize("func", [plain, numbers, functools.partial(plain), len, lambda: asyncio.sleep(1)])
def test_what_cannot_be_interrupted_is_refused(func: Callable) -> None:
    """At decoration, with all that can be done instead."""
    with pytest.raises(TypeError, match=r"timeout cannot interrupt .*, which is no coroutine function"):
        timeout(5)(func)


def test_methods_and_partials_of_coroutines_are_taken(name: str) -> None:
    """They can be cancelled."""

    class Client:
        @timeout(LONG, name=name)
        async def fetch(self, symbol: str) -> str:
            return symbol

        @classmethod
        @timeout(LONG, name=name)
        async def make(cls) -> str:
            return cls.__name__

    assert asyncio.run(Client().fetch("BTC")) == "BTC"
    assert asyncio.run(Client.make()) == "Client"
    assert asyncio.run(timeout(LONG, name=name)(functools.partial(Client().fetch, "ETH"))()) == "ETH"


def test_its_name_is_that_of_the_function() -> None:
    """And what is decorated keeps its series alive."""

    @timeout(LONG)
    async def fetch_quote() -> None:
        pass

    gc.collect()
    asyncio.run(fetch_quote())
    found = TIMEOUTS.get(f"{__name__}.{test_its_name_is_that_of_the_function.__name__}.<locals>.fetch_quote").read()
    assert found.calls == [1, 0, 0]


def test_a_circuit_outside_counts_it_as_a_failure(name: str) -> None:
    """A service that hangs is one that fails."""
    breaker = CircuitBreaker(1, name=name)
    with pytest.raises(CallTimeoutError):
        asyncio.run(breaker.call(timeout(0.01, name=name)(hang))())
    assert breaker.state.value == "open"


@pytest.mark.parametrize("seconds", [0, -1, float("nan"), float("inf"), "5", True, None])
def test_nonsense_is_refused(seconds: object) -> None:
    """With one error that names the argument."""
    with pytest.raises(ValueError, match="seconds must be"):
        timeout(seconds)


def test_without_parentheses_the_error_shows_how() -> None:
    """There is no time that fits everything."""
    with pytest.raises(ValueError, match=r"timeout needs seconds: write @timeout\(5\)"):
        timeout(hang)
