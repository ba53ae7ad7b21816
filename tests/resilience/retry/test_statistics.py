"""A function that is retried carries its statistics."""

from collections.abc import Callable, Iterator

import pytest

from peak_observe import circuit_breaker, retry_with_backoff
from peak_observe.measures import RETRIES
from peak_observe.testing import ManualClock


def failing(times: int, clock: ManualClock, name: str) -> Callable[[], str]:
    """Return a retried function that fails so often."""
    left = iter(range(times))

    @retry_with_backoff(3, clock=clock, name=name)
    def fetch() -> str:
        if next(left, None) is not None:
            raise ConnectionError("lost")
        return "answer"

    return fetch


def test_operations_and_attempts_are_counted() -> None:
    """By outcome, with the seconds slept and the errors."""
    fetch = failing(5, ManualClock(), "statistics.counted")
    with pytest.raises(ConnectionError):
        fetch()
    fetch()
    fetch()
    assert fetch.retry.stats == (1, 1, 1, 0, 0, 0, 4, 6.0, {"ConnectionError": 5})
    assert fetch.retry.stats.exhausted == 1
    assert repr(fetch.retry) == "<Retry 'statistics.counted' of 3 attempts>"


def test_a_reset_begins_them_anew_and_leaves_the_metrics_alone() -> None:
    """Counters of Prometheus never fall."""
    fetch = failing(1, ManualClock(), "statistics.reset")
    fetch()
    fetch.retry.reset()
    assert fetch.retry.stats == (0, 0, 0, 0, 0, 0, 0, 0.0, {})
    fetch()
    assert fetch.retry.stats.first_try == 1
    assert RETRIES.get("statistics.reset").read().calls[:2] == [1, 1]


class Account:
    """Has methods with a retry, one with a breaker around it."""

    @circuit_breaker(name="statistics.method")
    @retry_with_backoff(name="statistics.method")
    def method(self) -> str:
        """Answer."""
        return "answer"

    @retry_with_backoff(name="statistics.items")
    def items(self) -> Iterator[int]:
        """Yield an item."""
        yield 1


def test_methods_carry_them_too() -> None:
    """Also where a breaker is directly around the retry, and for generators."""
    account = Account()
    account.method()
    list(account.items())
    assert account.method.retry.stats.first_try == account.items.retry.stats.first_try == 1
    assert account.method.retry.name == "statistics.method"
    assert account.method.breaker.stats.success_count == 1
