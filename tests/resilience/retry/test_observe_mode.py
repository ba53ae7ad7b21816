"""A dry run of a retry: each function is called once, and what would have been retried is counted."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from peak_observe import GaveUp, Policy, RetryBudget, RetryScheduled, idempotent, last_good, observe, retry_with_backoff
from peak_observe.errors import ConfigError
from peak_observe.measures import RETRIES
from peak_observe.telemetry.metrics.renderer import Renderer
from peak_observe.testing import ManualClock


class Service:
    """A service that fails so many times, and counts its calls."""

    def __init__(self, failures: int = 99, error: type[Exception] = ConnectionError) -> None:
        self.failures = failures
        self.error = error
        self.calls = 0

    def __call__(self) -> str:
        """Ask."""
        self.calls += 1
        if self.calls <= self.failures:
            raise self.error("down")
        return "up"


@pytest.fixture
def clock() -> ManualClock:
    """A clock by hand."""
    return ManualClock()


def plain(protect: Any, service: Service) -> Callable[[], Any]:
    """Protect a plain function."""
    found: Callable[[], Any] = protect(service)
    return found


def coroutine(protect: Any, service: Service) -> Callable[[], Any]:
    """Protect a coroutine function."""

    @protect
    async def ask() -> str:
        await asyncio.sleep(0)
        return service()

    def call() -> Any:
        return asyncio.run(ask())

    call.retry = ask.retry  # type: ignore[attr-defined] # as the decorator has it
    return call


@pytest.mark.parametrize("kind", [plain, coroutine])
def test_it_calls_once_and_counts(kind: Any, clock: ManualClock) -> None:
    """The error comes through without a note, a delay or an event."""
    service, told = Service(2), []
    ask = kind(
        retry_with_backoff(3, mode="observe", clock=clock, on_retry=told.append, on_give_up=told.append), service
    )
    end = observe(lambda event: told.append(event) if isinstance(event, RetryScheduled | GaveUp) else None)
    for _ in range(2):
        with pytest.raises(ConnectionError) as caught:
            ask()
        assert not hasattr(caught.value, "__notes__")
    end()
    assert (ask(), service.calls, clock.sleeps, told) == ("up", 3, [], [])
    seen = ask.retry.snapshot()
    stats = seen.stats
    assert (seen.would_retry, stats.first_try, stats.exhausted, stats.retries) == (2, 1, 0, 0)
    assert stats.errors == {"ConnectionError": 2}
    assert (seen.mode, ask.retry.stats) == ("observe", stats)
    ask.retry.reset()
    assert ask.retry.snapshot().would_retry == 0


def test_what_would_not_have_been_retried_is_counted_as_ever(clock: ManualClock) -> None:
    """So the shares are those of a retry that enforces."""
    protect = retry_with_backoff(3, 10.0, expected_exception=OSError, mode="observe", clock=clock, timeout=5)
    other, late = protect(Service(error=KeyError)), protect(Service())
    with pytest.raises(KeyError):
        other()
    with pytest.raises(ConnectionError):
        late()
    assert (other.retry.stats.not_retryable, late.retry.stats.out_of_time) == (1, 1)


def test_metrics_tell_of_it(clock: ManualClock) -> None:
    """The outcome is there from the beginning, and only of those that observe."""
    dry = retry_with_backoff(name="retry.dry", mode="observe", clock=clock)(Service())
    retry_with_backoff(name="retry.real", clock=clock)(Service(0))()
    start = 'peak_retry_calls_total{operation="retry.'

    def lines() -> list[str]:
        found = [line for line in Renderer().render().decode().splitlines() if line.startswith(start)]
        return [line.removeprefix(start) for line in found if "would_retry" in line]

    assert lines() == ['dry",outcome="would_retry"} 0.0']
    with pytest.raises(ConnectionError):
        dry()
    assert lines() == ['dry",outcome="would_retry"} 1.0']


def test_nothing_else_changes_for_the_caller(clock: ManualClock) -> None:
    """No fallback stands in, no timeout cuts an attempt, no token of a budget is taken, no result is retried."""
    budget = RetryBudget(ratio=0.1, min_per_second=1, name="dry", clock=clock)
    before = budget.snapshot().tokens
    ask = retry_with_backoff(mode="observe", fallback="old", budget=budget, clock=clock)(Service())
    with pytest.raises(ConnectionError):
        ask()
    kept = retry_with_backoff(mode="observe", fallback=last_good(5), clock=clock)(Service())
    with pytest.raises(ConnectionError):
        kept()
    assert budget.snapshot().tokens >= before

    @retry_with_backoff(mode="observe", attempt_timeout=0.01)
    async def slow() -> str:
        await asyncio.sleep(0.05)
        return "late"

    assert asyncio.run(slow()) == "late"
    bad = retry_with_backoff(mode="observe", retry_result=lambda result: result == "bad", clock=clock)(lambda: "bad")
    assert (bad(), bad.retry.snapshot().would_retry) == ("bad", 1)  # type: ignore[attr-defined] # which decorators add


def test_a_write_may_run_dry_but_not_enforce() -> None:
    """It is called once in any case; to enforce is refused in words."""

    @idempotent(False)
    def buy() -> None:
        """Buy."""

    dry = retry_with_backoff(mode="observe")(buy)
    dry()
    with pytest.raises(TypeError, match="it must not happen twice"):
        dry.retry.configure(mode="enforce")  # type: ignore[attr-defined] # which decorators add
    assert dry.retry.snapshot().mode == "observe"  # type: ignore[attr-defined] # as above


def test_modes_change_while_calls_go_on(clock: ManualClock) -> None:
    """And counts go on."""
    service = Service()
    ask = retry_with_backoff(2, clock=clock, name="retry.modes")(service)
    for mode, calls in (("enforce", 2), ("observe", 1), ("enforce", 2), ("observe", 1)):
        ask.retry.configure(mode=mode)
        before = service.calls
        with pytest.raises(ConnectionError):
            ask()
        assert service.calls - before == calls
    assert (ask.retry.stats.exhausted, ask.retry.snapshot().would_retry) == (2, 2)
    found = RETRIES.get("retry.modes")
    assert found is not None
    reading = found.read()
    assert reading is not None
    assert reading.calls == [0, 0, 2, 0, 0, 0, 2]
    again = retry_with_backoff(2, clock=clock, name="retry.modes")(Service(0))
    again()
    reading = found.read()
    assert reading is not None
    assert reading.calls == [1, 0, 2, 0, 0, 0, 2]


def test_a_policy_and_its_file_have_it_too() -> None:
    """And another mode is an error that names it."""
    service = Service()
    ask = Policy.from_config({"retry": {"mode": "observe"}}, name="retry.file")(service)
    with pytest.raises(ConnectionError):
        ask()
    assert service.calls == 1
    with pytest.raises(ConfigError, match=r"x\.retry\.mode: it must be 'enforce' or 'observe'"):
        Policy.from_config({"retry": {"mode": "dry"}}, name="x")
    with pytest.raises(ValueError, match="mode must be 'enforce' or 'observe'"):
        retry_with_backoff(mode="dry")  # type: ignore[call-overload] - the mistake that is tried
