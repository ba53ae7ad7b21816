"""Checks of circuits and backups, and a heartbeat for a loop."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from peak_observe.clock import SYSTEM_CLOCK, Clock
from peak_observe.resilience.breaker.registry import get_breaker
from peak_observe.resilience.breaker.snapshot import CircuitState
from peak_observe.resilience.common import validation
from peak_observe.resilience.health.formatting import FUTURE, CheckFunction, Outcome, seconds

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping

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


@runtime_checkable
class _Named(_Backups, Protocol):
    """Further members, of a manager that knows what is named and which backups are corrupt."""

    def newest_of_named(self) -> Mapping[str, Any]: ...
    def unrestorable_backups(self) -> Collection[str]: ...


def backup_freshness(manager: _Backups, *, max_age: float, clock: Clock = SYSTEM_CLOCK) -> CheckFunction:
    """Return a check that the newest backup that succeeded is young enough; partial and failed ones do not count.

    Nor does one that is known to be corrupt, or is based on one. Each path and state provider that is named has to be
    in a backup that is young enough.

    Args:
        manager: A `RecoveryManager`.
        max_age: Seconds it may be old.
        clock: Source of the time; for tests.

    Raises:
        ValueError: The age makes no sense.
    """
    validation.check_period("max_age", max_age)

    def check() -> Outcome:
        newest = _newest(manager)
        made = {name: _made(backup) for name, backup in newest.items() if backup is not None}
        if len(made) < len(newest):
            return _missing(manager, [name for name in newest if name not in made])
        name = min(made, key=made.__getitem__)
        age = clock.now().timestamp() - made[name]
        details = {"backup_id": newest[name].backup_id, "age_seconds": round(age, 1)}
        if (ahead := max(made.values()) - clock.now().timestamp()) > FUTURE:
            return False, f"newest backup was made {seconds(ahead)} in the future: is the clock right?", details
        what = f" of {name}" if len(set(made.values())) > 1 else ""
        message = f"newest backup{what} is {seconds(max(0.0, age))} old, at most {seconds(max_age)} allowed"
        return age <= max_age, message + _corrupt(manager, made[name]), details

    return check


def _newest(manager: _Backups) -> Mapping[str, Any]:
    """Return the newest good backup of each thing that is named; only a `RecoveryManager` knows what that is."""
    if isinstance(manager, _Named):
        return manager.newest_of_named()
    return {"": max(_succeeded(manager), key=_made, default=None)}


def _missing(manager: _Backups, names: list[str]) -> Outcome:
    """Return what to say where some of what is named is in no good backup."""
    if not any(_succeeded(manager)):
        return False, "there is no backup that succeeded", {}
    what = ", ".join(names)
    message = f"no backup that succeeded and is whole holds {what}" if what else "no backup that succeeded is whole"
    return False, message + _corrupt(manager, 0.0), {"missing": names} if what else {}


def _corrupt(manager: _Backups, after: float) -> str:
    """Return the names of the backups that succeeded after a time and do not count, for the end of a message."""
    corrupt = manager.unrestorable_backups() if isinstance(manager, _Named) else ()
    names = [item.backup_id for item in _succeeded(manager) if item.backup_id in corrupt and _made(item) > after]
    return f"; known to be corrupt: {', '.join(names)}" if names else ""


def _succeeded(manager: _Backups) -> Iterator[Any]:
    return (backup for backup in manager.list_backups() if backup.status.value == "success")


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
