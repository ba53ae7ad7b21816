"""Checks of circuits and backups, and a heartbeat for a loop."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any, Protocol

from peak_observe.clock import SYSTEM_CLOCK, Clock
from peak_observe.resilience.breaker.registry import get_breaker
from peak_observe.resilience.breaker.snapshot import CircuitState
from peak_observe.resilience.common import validation
from peak_observe.resilience.health.formatting import FUTURE, CheckFunction, Outcome, seconds

if TYPE_CHECKING:
    from collections.abc import Iterable

    from peak_observe.resilience.breaker.breaker import CircuitBreaker

LETS_PASS = (CircuitState.CLOSED, CircuitState.DISABLED)


def breaker_closed(breaker: CircuitBreaker | str) -> CheckFunction:
    """Return a check that a circuit lets calls pass.

    Args:
        breaker: The breaker or its name; a name is looked up at each run.
    """

    def check() -> Outcome:
        try:
            found = get_breaker(breaker) if isinstance(breaker, str) else breaker
        except KeyError as error:
            return False, str(error.args[0]), {}
        state, failures = found.state, found.stats.failure_count
        details = {"state": state.value, "failure_count": failures}
        return state in LETS_PASS, f"circuit '{found.name}' is {state.value.replace('_', '-')}", details

    return check


class _Backups(Protocol):
    """Members of a `RecoveryManager` that the check uses."""

    def list_backups(self) -> Iterable[Any]: ...


def backup_freshness(manager: _Backups, *, max_age: float, clock: Clock = SYSTEM_CLOCK) -> CheckFunction:
    """Return a check that the newest backup that succeeded is young enough; partial and failed ones do not count.

    Args:
        manager: A `RecoveryManager`.
        max_age: Seconds it may be old.
        clock: Source of the time; for tests.

    Raises:
        ValueError: The age makes no sense.
    """
    validation.check_period("max_age", max_age)

    def check() -> Outcome:
        good = [backup for backup in manager.list_backups() if backup.status.value == "success"]
        if not good:
            return False, "there is no backup that succeeded", {}
        newest = max(good, key=_made)
        age = clock.now().timestamp() - _made(newest)
        details = {"backup_id": newest.backup_id, "age_seconds": round(age, 1)}
        if age < -FUTURE:
            return False, f"newest backup was made {seconds(-age)} in the future: is the clock right?", details
        message = f"newest backup is {seconds(max(0.0, age))} old, at most {seconds(max_age)} allowed"
        return age <= max_age, message, details

    return check


def _made(backup: Any) -> float:
    return datetime.fromisoformat(str(backup.created_at)).timestamp()


class Heartbeat:
    """Check that a loop is alive: the loop calls `beat()`, and the check fails when that was too long ago.

    Args:
        max_age: Seconds that may pass between two beats.
        clock: Where the time comes from; for tests.

    Raises:
        ValueError: The age makes no sense.
    """

    def __init__(self, max_age: float, *, clock: Clock = SYSTEM_CLOCK) -> None:
        validation.check_period("max_age", max_age)
        self._max_age = max_age
        self._clock = clock
        self._last: float | None = None

    def beat(self) -> None:
        """Record that the loop is alive; costs next to nothing."""
        self._last = self._clock.monotonic()

    def __call__(self) -> Outcome:
        """Return whether the last beat was recent enough; before the first one it was not."""
        if self._last is None:
            return False, "no beat yet", {}
        age = self._clock.monotonic() - self._last
        message = f"last beat {seconds(age)} ago, at most {seconds(self._max_age)} allowed"
        return age <= self._max_age, message, {"age_seconds": round(age, 3)}
