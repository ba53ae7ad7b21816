"""Checks of circuits, backups and loops."""

from collections.abc import Callable
from datetime import timedelta
from enum import Enum
from pathlib import Path
from types import SimpleNamespace

import pytest

from peak_observe import CircuitBreaker, RecoveryManager
from peak_observe.resilience.health import checks
from peak_observe.testing import ManualClock


@pytest.mark.parametrize("by_name", [True, False])
def test_a_circuit_that_opens_and_closes(clock: ManualClock, by_name: bool) -> None:
    """Closed lets pass; open and half-open do not."""
    breaker = CircuitBreaker(1, 60, name="checked.api", clock=clock)
    check = checks.breaker_closed("checked.api" if by_name else breaker)
    assert check() == (True, "circuit 'checked.api' is closed", {"state": "closed", "failure_count": 0})
    with pytest.raises(ConnectionError):
        breaker.call(fail)()
    assert check() == (False, "circuit 'checked.api' is open", {"state": "open", "failure_count": 1})
    clock.advance(60)
    assert check()[:2] == (False, "circuit 'checked.api' is half-open")


def fail() -> None:
    """Fail like an exchange that is away."""
    raise ConnectionError("no answer")


def test_a_circuit_that_nobody_made() -> None:
    """It may come later; until then it is unhealthy and says what it looked for."""
    check = checks.breaker_closed("checked.later")
    healthy, message, _ = check()
    assert not healthy
    assert "checked.later" in message
    breaker = CircuitBreaker(name="checked.later")
    assert check()[0], breaker


class Status(Enum):
    """How a backup ended."""

    SUCCESS = "success"
    PARTIAL = "partial"
    FAILED = "failed"


@pytest.fixture
def manager(clock: ManualClock) -> SimpleNamespace:
    """What the check asks of a RecoveryManager; `add(hours, status)` makes a backup so many hours ago."""
    backups: list = []

    def add(hours: float, status: Status = Status.SUCCESS) -> None:
        at = (clock.now() - timedelta(hours=hours)).isoformat()
        backups.append(SimpleNamespace(backup_id=f"backup-{hours}", status=status, created_at=at))

    return SimpleNamespace(list_backups=lambda: list(backups), add=add)


def freshness(manager: SimpleNamespace, clock: ManualClock) -> tuple:
    """Return what the check says for a limit of a day."""
    return checks.backup_freshness(manager, max_age=86_400, clock=clock)()


def test_a_backup_has_to_exist(manager: SimpleNamespace, clock: ManualClock) -> None:
    """None at all, or none that succeeded, is unhealthy."""
    assert freshness(manager, clock) == (False, "there is no backup that succeeded", {})
    manager.add(1, Status.PARTIAL)
    manager.add(1, Status.FAILED)
    assert freshness(manager, clock)[0] is False


def test_the_newest_that_succeeded_counts(manager: SimpleNamespace, clock: ManualClock) -> None:
    """A failed one of today does not freshen one of last week."""
    manager.add(168)
    manager.add(1, Status.FAILED)
    assert freshness(manager, clock)[:2] == (False, "newest backup is 7.0 d old, at most 1.0 d allowed")
    manager.add(6)
    found = freshness(manager, clock)
    assert found[:2] == (True, "newest backup is 6.0 h old, at most 1.0 d allowed")
    assert found[2] == {"backup_id": "backup-6", "age_seconds": 21_600.0}


def test_a_backup_from_the_future_is_no_comfort(manager: SimpleNamespace, clock: ManualClock) -> None:
    """It would be fresh for ever."""
    manager.add(-48)
    message = "newest backup was made 2.0 d in the future: is the clock right?"
    assert freshness(manager, clock)[:2] == (False, message)


def test_a_heartbeat(clock: ManualClock) -> None:
    """Before the first beat and too long after the last it is unhealthy."""
    heart = checks.Heartbeat(10, clock=clock)
    assert heart() == (False, "no beat yet", {})
    heart.beat()
    clock.advance(10)
    assert heart() == (True, "last beat 10.0 s ago, at most 10.0 s allowed", {"age_seconds": 10.0})
    clock.advance(0.5)
    assert heart()[0] is False
    heart.beat()
    assert heart()[0] is True


@pytest.mark.parametrize("make", [lambda: checks.Heartbeat(0), lambda: checks.backup_freshness(None, max_age=-1)])
def test_ages_that_make_no_sense_are_refused(make: Callable) -> None:
    """When the check is made."""
    with pytest.raises(ValueError, match="max_age must be"):
        make()


@pytest.fixture
def recovery(tmp_path: Path, clock: ManualClock) -> RecoveryManager:
    """Return a manager that names a file of configuration and one of data."""
    for name in ("bot.toml", "trades.csv"):
        (tmp_path / name).write_text("a = 1")
    manager = RecoveryManager(tmp_path / "backups", clock=clock)
    manager.config_backup.add_config(tmp_path / "bot.toml")
    manager.data_backup.add_data_path(tmp_path / "trades.csv")
    return manager


def test_a_backup_that_is_known_to_be_corrupt_does_not_count(recovery: RecoveryManager, clock: ManualClock) -> None:
    """An older one does that is whole, and the message names the corrupt one; a repaired one counts again."""
    check = checks.backup_freshness(recovery, max_age=7200, clock=clock)
    first = recovery.create_backup()
    assert check()[:2] == (True, "newest backup is 0.0 s old, at most 2.0 h allowed")
    clock.advance(3600)
    second = recovery.create_backup()
    stored = {name: next(recovery.backup_root.glob(f"{name}/config/*bot.toml")) for name in (first, second)}
    for name in (second, first):
        Path(stored[name]).chmod(0o644)
        stored[name].write_text("a = 2")
        assert not recovery.verify_backup(name).ok
        if name == second:
            message = f"newest backup is 1.0 h old, at most 2.0 h allowed; known to be corrupt: {second}"
            assert check()[:2] == (True, message)
    what = f"{recovery.config_backup.config_paths[0]}, {recovery.data_backup.data_paths[0]}"
    message = f"no backup that succeeded and is whole holds {what}; known to be corrupt: {second}, {first}"
    assert check()[:2] == (False, message)
    stored[second].write_text("a = 1")
    assert recovery.verify_backup(second).ok
    assert check()[0] is True


def test_a_backup_based_on_a_corrupt_one_does_not_count(recovery: RecoveryManager, clock: ManualClock) -> None:
    """It needs its files; who names nothing is told so as well."""
    base = recovery.create_backup()
    clock.advance(60)
    upon = recovery.create_backup(incremental=True)
    stored = next(recovery.backup_root.glob(f"{base}/config/*bot.toml"))
    stored.chmod(0o644)
    stored.write_text("a = 2")
    assert not recovery.verify_backup(base).ok
    other = RecoveryManager(recovery.backup_root, name="other", clock=clock)
    message = f"no backup that succeeded is whole; known to be corrupt: {upon}, {base}"
    assert checks.backup_freshness(other, max_age=3600, clock=clock)() == (False, message, {})


def test_all_that_is_named_has_to_be_in_a_fresh_backup(recovery: RecoveryManager, clock: ManualClock) -> None:
    """A backup without the data is no fresh one of them, as the metrics tell it: the oldest of the newest counts."""
    check = checks.backup_freshness(recovery, max_age=3600, clock=clock)
    data = recovery.data_backup.data_paths[0]
    recovery.create_backup(include_data=False)
    healthy, message, details = check()
    assert (healthy, message) == (False, f"no backup that succeeded and is whole holds {data}")
    assert details == {"missing": [str(data)]}
    both = recovery.create_backup()
    clock.advance(7200)
    recovery.create_backup(include_data=False)
    healthy, message, details = check()
    assert (healthy, message) == (False, f"newest backup of {data} is 2.0 h old, at most 1.0 h allowed")
    assert details == {"backup_id": both, "age_seconds": 7200.0}
    recovery.state_snapshot.register_provider("bot", lambda: {"a": 1})
    recovery.create_backup(include_state=False)
    assert check()[:2] == (False, "no backup that succeeded and is whole holds the state 'bot'")
    recovery.create_backup()
    assert check()[:2] == (True, "newest backup is 0.0 s old, at most 1.0 h allowed")
