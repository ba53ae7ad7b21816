"""Two stores of one repository: what one of them tells does not hide what the other one does not."""

import json

import pytest

from peak_observe.backup_recovery.offsite.offsite import OffsiteStore
from peak_observe.errors import BackupError
from peak_observe.measures.offsite import OffsiteReading

from .test_metrics import read


@pytest.fixture
def second(away) -> OffsiteStore:
    """Return another store of the same repository."""
    store = OffsiteStore(
        f"file://{away.folder}/second", recipients=[away.recipient], repository=away.manager.backup_root, host="bot1"
    )
    store.init()
    return store


def test_success_of_one_does_not_hide_the_failure_of_the_other(away, second) -> None:
    """The times that alerts compare are those of the store that fails, whichever push was the last one."""
    away.pushed()
    second.push()
    before = read(away).last_push
    away.place.rename(away.folder / "gone")
    made = away.manager.create_backup()
    with pytest.raises(BackupError):
        away.opened().push(made)
    second.push(made)
    found = read(away)
    assert found.last_attempt > found.last_push
    assert found.last_push <= before
    assert found.pushes == [3, 1]
    assert found.last_backup == away.store._status.read().last_backup


def test_the_store_that_is_late_shows(away, second) -> None:
    """With the promise that it breaks, not with that of the other one."""
    away.opened(max_age=1e9).push(away.manager.create_backup())
    changed = {"max_age": 60.0, "configured_at": 1.0, "last_backup": 1.0, "last_push": 1.0}
    path = second._status.path
    path.write_text(json.dumps({**json.loads(path.read_text()), **changed}))
    found = read(away)
    assert (found.max_age, found.last_backup) == (60.0, 1.0)
    assert found.age > 1e9


def test_damage_is_that_of_its_store(away, second) -> None:
    """The same backup in the other store is whole: its listing says so, and metrics tell of the damage."""
    made = away.pushed().backup_id
    second.push(made)
    away.objects()[0].unlink()
    away.opened().verify()
    second.verify()
    assert (away.store.damaged(), second.damaged()) == ({("bot1", made)}, set())
    assert read(away).damaged == 1


def test_status_of_an_older_program_goes_to_the_store_that_comes_first(away, second) -> None:
    """It had one for all stores; metrics tell of it until then, and count it once."""
    away.pushed()
    mine, other = away.store._status.path, second._status.path
    common = mine.with_name("offsite.json")
    other.unlink()
    mine.rename(common)
    assert read(away).pushes == [1, 0]
    second.push()
    assert not common.exists()
    assert second._status.read().pushes == {"success": 2}
    away.store.push()
    assert away.store._status.read().pushes == {"success": 1}


def test_store_that_is_only_looked_at_is_not_told_of(away, second) -> None:
    """This host has no key to it and never pushes there: nobody waits for its backups."""
    away.pushed()
    second.push()
    second._status.path.unlink()
    second.key_file.unlink()
    store = OffsiteStore(second.url, repository=away.manager.backup_root)
    assert store.verify(identity=away.identity)[0].ok
    assert store.drill(identity=away.identity).ok
    assert not second._status.path.exists()


def test_new_store_does_not_make_an_old_drill_late() -> None:
    """A drill is compared with the first use of the same store."""
    old, new = OffsiteReading(), OffsiteReading()
    old.configured, old.last_drill, new.configured = 100.0, 5_000.0, 6_000.0
    old.add(new)
    assert (old.configured, old.last_drill) == (100.0, 5_000.0)


def test_a_store_that_failed_shows_before_one_where_a_push_is_under_way() -> None:
    """The push under way may well succeed, and the alert needs the failure to last."""
    fails, pushes = OffsiteReading(), OffsiteReading()
    fails.last_attempt, fails.last_push, fails.failing = 100.0, 50.0, True
    pushes.last_attempt, pushes.last_push = 120.0, 40.0
    pushes.add(fails)
    assert (pushes.last_attempt, pushes.last_push) == (100.0, 50.0)


def test_status_names_its_store_without_secrets(away, tmp_path) -> None:
    """Whoever looks which file is of which store finds its address there."""
    assert away.store._status.read().url == away.store.url
    store = OffsiteStore("rclone::sftp,host=x,pass=hunter2hunter2:bot", repository=away.manager.backup_root)
    store._note(lambda status: status)
    assert "hunter2" not in store._status.path.read_text()
