"""Functions of the user's that judge: plain ones are called, coroutine functions are awaited or refused."""

import asyncio
import logging
from collections.abc import Callable, Iterator

import pytest

from peak_observe import CircuitBreaker, CircuitState, observe, retry_with_backoff, retrying
from peak_observe.resilience.common.callbacks import SafeCallback
from peak_observe.testing import ManualClock


async def judge(value: object) -> bool:
    """Judge, later: what is 0 is bad."""
    await asyncio.sleep(0)
    return value == 0


BREAKER = ["expected_exception", "ignore", "recovery_timeout"]
RETRY = ["expected_exception", "delays", "retry_after"]


@pytest.mark.parametrize("argument", BREAKER)
def test_a_breaker_refuses_a_judge_that_nobody_can_await(argument: str) -> None:
    """Its coroutine would be true for everything."""
    with pytest.raises(ValueError, match=f"{argument} must be a plain function of .*not <function judge"):
        CircuitBreaker(**{argument: judge})
    breaker = CircuitBreaker()
    with pytest.raises(ValueError, match=f"{argument} must be a plain function"):
        breaker.configure(**{argument: judge})


@pytest.mark.parametrize("argument", RETRY)
def test_a_retry_refuses_a_judge_that_nobody_can_await(argument: str) -> None:
    """The same."""
    with pytest.raises(ValueError, match=f"{argument} must be a plain function"):
        retry_with_backoff(**{argument: judge})


@pytest.mark.parametrize(
    "protect",
    [
        CircuitBreaker(failure_result=judge).call,
        retry_with_backoff(retry_result=judge),
        retry_with_backoff(on_retry=judge),
    ],
)
def test_a_plain_function_has_no_judge_to_await(protect: Callable) -> None:
    """The error says which function."""
    with pytest.raises(ValueError, match=r"must be a plain function .*plain"):
        protect(lambda: 0)


def test_a_plain_loop_awaits_nothing() -> None:
    """`async for` does."""
    with pytest.raises(ValueError, match="async for"):
        iter(retrying(on_retry=judge))


def test_an_observer_is_a_plain_function() -> None:
    """Events come from any thread."""
    with pytest.raises(TypeError, match="nobody awaits the coroutine function"):
        observe(judge)


def test_a_breaker_awaits_the_judge_of_results() -> None:
    """Of a coroutine function, also after a change of settings."""
    breaker = CircuitBreaker(2, name="callbacks.breaker", failure_result=judge)

    async def answer(value: int) -> int:
        return value

    protected, plain = breaker.call(answer), CircuitBreaker(1, name="callbacks.configured")
    later = plain.call(answer)
    plain.configure(failure_result=judge)
    assert asyncio.run(protected(0)) == asyncio.run(later(0)) == 0
    assert (breaker.stats.failure_count, plain.state) == (1, CircuitState.OPEN)
    asyncio.run(protected(1))
    assert (breaker.stats.failure_count, breaker.stats.success_count) == (0, 1)


def test_a_retry_awaits_its_judge_and_its_hook() -> None:
    """Of coroutine functions, async generators and `async for`."""
    told: list[int] = []
    clock = ManualClock()

    async def hook(event: object) -> None:
        await asyncio.sleep(0)
        told.append(event.attempt)

    values = iter([0, 0, 7])

    @retry_with_backoff(3, 1, clock=clock, retry_result=judge, on_retry=hook)
    async def answer() -> int:
        return next(values)

    async def loop() -> None:
        async for attempt in retrying(2, 1, clock=clock, on_retry=hook):
            async with attempt:
                if attempt.number == 1:
                    raise ConnectionError

    assert asyncio.run(answer()) == 7
    asyncio.run(loop())
    assert told == [1, 2, 1]


def test_a_judge_that_fails_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    """The result counts as good."""

    async def broken(_: object) -> bool:
        raise KeyError

    breaker = CircuitBreaker(1, name="callbacks.broken", failure_result=broken)

    @breaker.call
    async def answer() -> int:
        return 0

    with caplog.at_level(logging.ERROR):
        for _ in range(2):
            asyncio.run(answer())
    assert breaker.stats.success_count == 2
    assert sum("failure_result" in record.getMessage() for record in caplog.records) == 1


def test_a_plain_function_that_returns_a_coroutine_says_nothing(caplog: pytest.LogCaptureFixture) -> None:
    """A lambda hides what it is until it is called."""
    callback = SafeCallback("judge", lambda _: judge(0))
    with caplog.at_level(logging.ERROR):
        assert callback.is_true(0, default=False) is False
        assert callback.call(0, default=5) == 5
    assert "nobody awaits" in caplog.text


def test_a_generator_function_is_no_judge() -> None:
    """It would be true as well."""

    def items(_: object) -> Iterator[bool]:
        yield False

    with pytest.raises(ValueError, match="judge must be a plain function"):
        SafeCallback("judge", items)
