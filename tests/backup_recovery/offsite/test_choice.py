"""Choice of the backup that is restored, and of those that stay, where a store is damaged or a clock was wrong."""

from datetime import UTC, datetime, timedelta

import pytest

from peak_observe.backup_recovery import RecoveryManager, RetentionPolicy
from peak_observe.clock import SystemClock
from peak_observe.errors import BackupCorruptError

from .conftest import random_bytes
from .test_damage import change, cut, empty, files, remove


def pushed_with(away, **options) -> tuple[str, set]:
    """Push a backup with content of its own; return its name, and the objects that it alone needs."""
    before = set(files(away, "objects"))
    (away.program.data / "own.bin").write_bytes(random_bytes(1 << 20))
    return away.pushed(**options).backup_id, set(files(away, "objects")) - before


def kept(report) -> list[str]:
    """Return the backups that a prune has kept."""
    return [item.backup.backup_id for item in report.by_host["bot1"].keep]


def test_a_backup_that_is_known_to_be_damaged_is_no_good_one(away, caplog) -> None:
    """Prune keeps the newest sound one, and the newest that is meant is that one, which the log tells."""
    whole, _ = pushed_with(away)
    name, (victim,) = pushed_with(away)
    change(victim)
    assert not away.opened().verify(identity=away.identity)[0].ok
    for harm in (change, lambda _: None):  # the object is whole again, and nobody has looked
        harm(victim)
        with away.opened().fetched(identity=away.identity) as (_, chosen):
            assert chosen == whole
        assert f"{name} in the store is passed over: it is known to be damaged" in caplog.messages
    assert away.opened().drill(identity=away.identity).backup_id == whole
    report = away.opened().prune(RetentionPolicy(last=1))
    assert (kept(report), report.by_host["bot1"].corrupt) == ([name, whole], (name,))
    (away.place / "backups" / "bot1" / whole).unlink()
    with away.opened().fetched(identity=away.identity) as (_, chosen):
        assert chosen == name  # better than none


def test_a_damaged_backup_is_taken_where_no_other_one_holds_what_is_wanted(away) -> None:
    """A sound one of something else is not what is meant."""
    away.pushed(include_data=False)
    name, (victim,) = pushed_with(away)
    change(victim)
    assert not away.opened().verify(identity=away.identity)[0].ok
    for places in ((), (str(away.program.data),)):
        with (
            pytest.raises(BackupCorruptError, match=name),
            away.opened().fetched(identity=away.identity, places=places),
        ):
            pass


def test_what_is_based_on_a_damaged_backup_is_no_good_one(away) -> None:
    """Also where only the base was verified."""
    whole, _ = pushed_with(away)
    base, (victim,) = pushed_with(away)
    name = away.pushed(incremental=True, include_state=False).backup_id
    change(victim)
    away.opened().verify(base, identity=away.identity)
    with away.opened().fetched(identity=away.identity) as (_, chosen):
        assert chosen == whole
    assert kept(away.opened().prune(RetentionPolicy(last=1))) == [name, base, whole]


@pytest.mark.parametrize("harm", [cut, change, empty, remove])
def test_content_that_was_written_anew_is_read_where_the_backup_needs_it(away, harm) -> None:
    """The files that did not change lie in two objects, and the newer one is nothing to the older backup."""
    whole, _ = pushed_with(away)
    _, (victim,) = pushed_with(away)
    harm(victim)
    assert [report.ok for report in away.opened().verify(whole, identity=away.identity)] == [True]
    assert away.opened().restore(whole, identity=away.identity, restore_to=away.folder / "out")


@pytest.mark.parametrize("kind", ["objects", "manifests", "indexes"])
@pytest.mark.parametrize("harm", [cut, remove])
def test_prune_sees_what_is_missing_before_anybody_has_verified(away, kind: str, harm) -> None:
    """A backup whose object, manifest or index is not there is not the last good one."""
    whole, _ = pushed_with(away)
    before = {*files(away, kind)}
    name, _ = pushed_with(away)
    (victim,) = {*files(away, kind)} - before
    (harm if kind != "manifests" else remove)(victim)
    report = away.opened().prune(RetentionPolicy(last=1), dry_run=True)
    assert kept(report) == [name, whole]
    assert kept(away.opened().prune(RetentionPolicy(last=1))) == [name, whole]
    assert away.opened().restore(whole, identity=away.identity, restore_to=away.folder / "out")


class Ahead(SystemClock):
    """Clock that is 400 days ahead."""

    def now(self) -> datetime:
        """Return the wall-clock time."""
        return datetime.now(UTC) + timedelta(days=400)


class Behind(SystemClock):
    """Clock that has forgotten the time."""

    def now(self) -> datetime:
        """Return the wall-clock time."""
        return datetime(1970, 1, 2, tzinfo=UTC)


def test_a_backup_of_the_future_is_not_the_newest(away, program) -> None:
    """One that a clock has made that was ahead would be the newest one for more than a year."""
    ahead = RecoveryManager(away.manager.backup_root, clock=Ahead())
    ahead.data_backup.add_data_path(program.data)
    future = away.store.push(ahead.create_backup(include_config=False)).backup_id
    with away.opened().fetched(identity=away.identity) as (_, chosen):
        assert chosen == future  # there is no other one
    names = [away.pushed(include_config=False).backup_id for _ in range(2)]
    with away.opened().fetched(identity=away.identity) as (_, chosen):
        assert chosen == names[-1]
    assert away.opened().drill(identity=away.identity).backup_id == names[-1]
    assert [report.backup_id for report in away.opened().verify()] == [names[-1]]
    assert [item.backup.backup_id for item in away.opened().backups()[0]] == [names[1], names[0], future]
    behind = away.opened(clock=Behind())
    with behind.fetched(identity=away.identity) as (_, chosen):
        assert chosen == names[-1]


def test_two_programs_of_one_host_are_told_apart_by_what_they_hold(away) -> None:
    """Each proves and restores the newest one of its own, though another's is newer; a new machine takes that."""
    mine = away.pushed().backup_id
    other = away.folder / "other.csv"
    other.write_text("x")
    manager = RecoveryManager(away.folder / "repository of another")
    manager.data_backup.add_data_path(other)
    made = manager.create_backup()
    theirs = away.opened(repository=manager.backup_root)
    theirs.init(identity=away.identity)
    theirs.push(made)
    for store, name in ((away.opened(), mine), (theirs, made)):
        assert store.drill(identity=away.identity).backup_id == name
        assert [report.backup_id for report in store.verify()] == [name]
        out = away.folder / f"out of {name}"
        store.restore(identity=away.identity, restore_to=out)
        assert bool(list(out.rglob("other.csv"))) == (name == made)
    for unknown in (away.folder / "nothing yet", other):  # the other one cannot be listed
        assert away.opened(repository=unknown).drill(identity=away.identity).backup_id == made


def test_a_host_that_was_installed_anew_keeps_what_it_makes(away, tmp_path) -> None:
    """It begins to number its backups at 1, and those of before are older all the same."""
    before = [away.pushed().backup_id for _ in range(3)]
    anew = RecoveryManager(tmp_path / "anew")
    anew.config_backup.add_config(away.program.config)
    anew.data_backup.add_data_path(away.program.data)
    made = anew.create_backup(include_state=False)
    store = away.opened(repository=tmp_path / "anew")
    store.init(identity=away.identity)
    store.push(made)
    report = store.prune(RetentionPolicy(last=1), dry_run=True)
    assert kept(report)[0] == made
    assert not {made} & {backup.backup_id for backup in report.by_host["bot1"].remove}
    assert {backup.backup_id for backup in report.by_host["bot1"].remove} >= set(before[:-1])
