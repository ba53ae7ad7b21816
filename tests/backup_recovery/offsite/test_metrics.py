"""Metrics of an off-site store, as the program and the exporter tell them."""

import json
from pathlib import Path

import pytest

from peak_observe.backup_recovery import RecoveryManager, RetentionPolicy
from peak_observe.backup_recovery.repository.reading import reading_of
from peak_observe.errors import BackupError

from .conftest import random_bytes


def read(away):
    """Return the reading of the store, made from the disk."""
    return reading_of(away.manager._repository, kinds=(), max_age=None).offsite


def test_repository_without_a_store_tells_nothing(manager) -> None:
    """No series, so that no alert waits for what nobody has set up."""
    manager.create_backup()
    assert reading_of(manager._repository, kinds=(), max_age=None).offsite is None


def test_store_is_told_of_from_init_on(away) -> None:
    """Before the first push its age counts from the beginning, so that a schedule that never pushes is noticed."""
    found = read(away)
    assert (found.last_backup, found.last_push, found.pushes) == (0.0, 0.0, [0, 0])
    assert 0 <= found.age < 600


def test_push_is_told(away) -> None:
    """Times, sizes and outcomes; the age is that of the backup, not that of the push."""
    report = away.pushed()
    found = read(away)
    assert found.pushes == [1, 0]
    assert (found.sent_bytes, found.objects, found.damaged) == (report.sent_bytes, report.objects, 0)
    assert found.last_backup <= found.last_push
    away.pushed()
    assert read(away).reused_bytes > 0


def test_failure_is_told(away) -> None:
    """It counts, and the last success stays."""
    away.pushed()
    before = read(away).last_push
    away.place.rename(away.folder / "gone")
    with pytest.raises(BackupError):
        away.opened().push()
    assert (read(away).pushes, read(away).last_push) == ([1, 1], before)
    assert read(away).last_attempt > before


def test_damage_and_its_mend_are_told(away) -> None:
    """What verification finds is told until a push has mended it."""
    away.pushed()
    away.objects()[0].unlink()
    away.opened().verify()
    assert read(away).damaged == 1
    away.opened().push()
    assert read(away).damaged == 0
    away.opened().verify()
    assert read(away).last_verified > 0


def lost(away) -> str:
    """Push two backups with content of their own, remove an object of the older one, look at all, and return it."""
    (away.program.data / "old.bin").write_bytes(random_bytes(1 << 20))
    older = away.pushed().backup_id
    (victim,) = away.objects()
    (away.program.data / "old.bin").write_bytes(random_bytes(1 << 20))
    away.pushed()
    victim.unlink()
    away.opened().verify(all_=True)
    assert read(away).damaged == 1
    return older


@pytest.mark.parametrize("new", [False, True])
def test_push_sends_again_what_is_missing_of_an_older_backup(away, new: bool) -> None:
    """Whether the backup that is meant is new or was there already."""
    older = lost(away)
    before = read(away).sent_bytes
    report = away.pushed() if new else away.opened().push()
    assert read(away).damaged == 0
    assert read(away).sent_bytes - before > report.sent_bytes
    assert read(away).objects == len(away.objects())
    assert all(report.ok for report in away.opened().verify(all_=True, identity=away.identity))
    assert away.opened().push(older).was_there


def test_damage_that_cannot_be_mended_is_told_until_its_record_is_gone(away) -> None:
    """Neither a push of other backups ends it, nor a look at one that is whole."""
    older = lost(away)
    away.manager.delete_backup(older)
    away.pushed()
    assert read(away).damaged == 1
    assert away.opened().verify()[0].ok
    assert read(away).damaged == 1
    away.opened().prune(RetentionPolicy(last=1))
    away.opened().push()
    assert read(away).damaged == 0


@pytest.mark.parametrize("look", ["verify", "push"])
def test_damage_that_is_whole_again_is_told_until_the_next_look(away, look: str) -> None:
    """Somebody has brought the object back, as from a version that the provider has kept."""
    made = away.pushed().backup_id
    (victim,) = away.objects()
    victim.rename(away.folder / "kept")
    away.opened().verify()
    assert read(away).damaged == 1
    (away.folder / "kept").rename(victim)
    getattr(away.opened(), look)(made)
    assert read(away).damaged == 0


def test_damage_that_only_the_private_key_shows_is_told_until_it_is_sent_again(away) -> None:
    """A look without the key sees nothing, and a push sends an object again only once it is removed."""
    away.pushed()
    (victim,) = away.objects()
    content = bytearray(victim.read_bytes())
    content[-1] ^= 1
    victim.write_bytes(content)
    away.opened().verify(identity=away.identity)
    assert read(away).damaged == 1
    assert away.opened().verify()[0].ok
    away.opened().push()
    assert read(away).damaged == 1
    victim.unlink()
    away.opened().push()
    assert read(away).damaged == 0
    assert away.opened().verify(identity=away.identity)[0].ok


def test_one_of_two_damaged_objects_that_is_sent_again_leaves_the_other(away, monkeypatch) -> None:
    """The other one has the size that it should have, so that no push sends it."""
    monkeypatch.setattr("peak_observe.backup_recovery.offsite.push.BUNDLE", 10)
    away.pushed()
    first, second = away.objects()[:2]
    for path in (first, second):
        path.write_bytes(path.read_bytes()[:-1] + b"?")
    away.opened().verify(identity=away.identity)
    assert read(away).damaged == 2
    first.unlink()
    away.opened().push()
    assert read(away).damaged == 1
    assert not away.opened().verify(identity=away.identity)[0].ok
    second.unlink()
    away.opened().push()
    away.opened().verify(identity=away.identity)
    assert read(away).damaged == 0


def test_damaged_record_is_sent_again(away) -> None:
    """It is told by any look, and the next push writes it anew."""
    older = away.pushed().backup_id
    away.pushed()
    (away.place / "backups" / "bot1" / older).write_bytes(b"")
    away.opened().verify()
    assert read(away).damaged == 1
    away.opened().push()
    assert read(away).damaged == 0
    assert len(away.opened().backups()[0]) == 2


def test_damage_of_another_host_is_told_until_that_has_mended_it(away, tmp_path: Path) -> None:
    """Who has found it looks again with each push, and sends nothing of what is not his."""
    older = away.pushed().backup_id
    away.objects()[0].unlink()
    manager = RecoveryManager(tmp_path / "other")
    manager.state_snapshot.register_provider("other", dict)
    made = manager.create_backup()
    other = away.opened(host="bot2", repository=manager.backup_root)
    other.init(identity=away.identity)
    other.verify(all_=True)
    other.push(made)
    assert other._status.read().missing == 1
    away.opened().push(older)
    other.push(made)
    assert other._status.read().missing == 0


def test_a_backup_that_is_damaged_here_too_does_not_hinder_the_push(away, caplog) -> None:
    """The log tells of it, and what the store has lost is still told of."""
    older = lost(away)
    (stored,) = (away.manager.backup_root / older).rglob("old.bin")
    stored.chmod(0o600)
    stored.write_bytes(b"other")
    report = away.pushed()
    assert (report.was_there, read(away).pushes[1], read(away).damaged) == (False, 0, 1)
    assert any(f"{older} in the store is damaged and is not sent again" in text for text in caplog.messages)


def test_count_of_an_older_program_is_told_until_all_was_looked_at(away) -> None:
    """It has kept no names, so that nobody knows what was found."""
    away.pushed()
    away.pushed()
    path = away.store._status.path
    old = {name: value for name, value in json.loads(path.read_text()).items() if name != "damaged"}
    path.write_text(json.dumps({**old, "missing": 2}))
    away.opened().push()
    away.opened().verify()
    assert read(away).damaged == 2
    away.opened().verify(all_=True)
    assert read(away).damaged == 0


def test_promise_of_the_store_is_its_own(away) -> None:
    """It is kept with the store and told without the program that gave it."""
    away.opened(max_age=3600).push(away.manager.create_backup())
    assert read(away).max_age == 3600


def test_scrape_shows_the_store(away) -> None:
    """The names of the catalogue, with the repository as their label."""
    from prometheus_client import CollectorRegistry, generate_latest

    from peak_observe import register

    away.pushed()
    registry = CollectorRegistry()
    register(registry)
    text = generate_latest(registry).decode()
    label = f'repository="{away.manager._repository.name}"'
    assert f'peak_offsite_pushes_total{{outcome="success",{label}}}' in text
    assert f"peak_offsite_age_seconds{{{label}}}" in text
