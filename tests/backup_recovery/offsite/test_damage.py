"""Damage of a store: every object that is missing, cut, changed or exchanged is found and named."""

import errno

import pytest

from peak_observe.backup_recovery import RetentionPolicy
from peak_observe.backup_recovery.offsite.transport import Counted
from peak_observe.errors import (
    BackupCorruptError,
    BackupError,
    BackupNotFoundError,
    BackupUnreadableError,
    StoreError,
)

from ..conftest import prune
from .conftest import random_bytes

KINDS = ("objects", "manifests", "backups", "indexes", "keys")


def files(away, kind: str):
    """Return the files of one kind of object."""
    return sorted(path for path in (away.place / kind).rglob("*") if path.is_file())


def cut(path) -> None:
    """Remove the second half."""
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def change(path) -> None:
    """Change a byte in the middle."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(bytes(content))


def empty(path) -> None:
    """Leave nothing in it."""
    path.write_bytes(b"")


def remove(path) -> None:
    """Remove it."""
    path.unlink()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("harm", [cut, change, empty, remove])
def test_damage_is_found(away, kind: str, harm) -> None:
    """With the private key verification or the command itself names what is damaged, and a drill does not succeed."""
    away.pushed()
    victim = files(away, kind)[0]
    harm(victim)
    name = victim.name[:16]
    if (kind, harm) == ("backups", remove):
        assert away.opened().verify(identity=away.identity) == []  # a backup without its record is none
        with pytest.raises(BackupError):
            away.opened().drill(identity=away.identity)
        return
    with pytest.raises(BackupError) as error:
        away.opened().drill(identity=away.identity)
    if kind == "keys":
        assert name in str(error.value) or "private key does not open" in str(error.value)
        return
    problems = [problem for report in away.opened().verify(identity=away.identity) for problem in report.problems]
    assert problems
    if (kind, harm) != ("indexes", remove):
        assert any(name in problem or f"{kind}/" in problem or "manifest.json" in problem for problem in problems)


@pytest.mark.parametrize("kind", KINDS[:-1])
@pytest.mark.parametrize("harm", [cut, change, empty, remove])
def test_damage_of_a_base_is_damage_of_what_is_based_on_it(away, kind: str, harm) -> None:
    """Nobody restores the one without the other, so that no verification may call it whole."""
    base = away.pushed().backup_id
    victims = files(away, kind)
    away.program.write(away.program.trades / "9.csv", "9,1\n")
    name = away.pushed(incremental=True, include_state=False).backup_id
    assert away.manager.get_backup(name).base == base
    harm(victims[0])
    (report,) = away.opened().verify(name, identity=away.identity)
    assert not report.ok
    assert not [one for one in away.opened().verify(all_=True, identity=away.identity) if one.ok]
    status = away.store._status.read()
    assert (status.missing > 0, status.last_verified) == (True, 0.0)
    with pytest.raises(BackupError):
        away.opened().restore(name, identity=away.identity, restore_to=away.folder / "out")
    if harm is remove or (kind == "objects" and harm is not change):
        (report,) = away.opened().verify()
        assert (report.backup_id, report.ok) == (name, False)


def test_a_backup_whose_base_has_no_record_is_no_good_one(away) -> None:
    """The newest that can be restored is another one then, and the last good one that prune keeps is that."""
    whole = away.pushed().backup_id
    base = away.pushed().backup_id
    name = away.pushed(incremental=True, include_state=False).backup_id
    (away.place / "backups" / "bot1" / base).unlink()
    with away.opened().fetched(identity=away.identity) as (_, chosen):
        assert chosen == whole
    report = away.opened().prune(RetentionPolicy(last=1))
    assert [kept.backup.backup_id for kept in report.by_host["bot1"].keep] == [name, whole]
    (away.place / "backups" / "bot1" / whole).unlink()
    with pytest.raises(BackupNotFoundError, match=f"{name} is known to be corrupt"):
        away.opened().restore(identity=away.identity, restore_to=away.folder / "out")


@pytest.mark.parametrize("harm", [cut, empty, remove])
def test_damage_is_found_without_the_private_key(away, harm) -> None:
    """The host that pushes sees what is missing or has another size."""
    away.pushed()
    victim = files(away, "objects")[0]
    harm(victim)
    (report,) = away.opened().verify()
    assert (report.ok, report.every_byte) == (False, False)
    assert f"objects/{victim.name[:2]}/{victim.name[:16]}…" in report.problems[0]
    assert away.store._status.read().missing == len(report.problems)


def test_exchanged_objects_are_found(away, monkeypatch) -> None:
    """An object that is sound in itself, under the name of another, is not what was stored."""
    monkeypatch.setattr("peak_observe.backup_recovery.offsite.push.BUNDLE", 10)
    away.pushed()
    first, second, *_ = files(away, "objects")
    content = first.read_bytes()
    first.write_bytes(second.read_bytes())
    second.write_bytes(content)
    (report,) = away.opened().verify(identity=away.identity)
    assert {path.name[:16] for path in (first, second)} <= {text[len("objects/00/") :][:16] for text in report.problems}


def test_exchanged_records_are_found(away) -> None:
    """An older record under the name of the newest does not pass for it."""
    away.pushed()
    away.pushed()
    older, newer = files(away, "backups")
    newer.write_bytes(older.read_bytes())
    good, bad = away.opened().backups()
    assert [item.backup.backup_id for item in good] == [older.name]
    assert [item.name.rpartition("/")[2] for item in bad] == [newer.name]
    assert "signature is wrong" in bad[0].reason


def test_restore_names_the_object_and_writes_nothing(away, tmp_path) -> None:
    """A damaged object is named with a file that needs it, and no file is half restored."""
    away.pushed()
    change(files(away, "objects")[0])
    with pytest.raises(BackupCorruptError, match=f"objects/../{files(away, 'objects')[0].name[:16]}…, with "):
        away.opened().restore(identity=away.identity, restore_to=tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("harm", [cut, empty, remove])
def test_next_push_mends_what_is_missing(away, harm) -> None:
    """What is missing or cut is sent again with the next backup, and everything is whole then."""
    away.pushed()
    harm(files(away, "objects")[0])
    away.pushed()
    reports = away.opened().verify(identity=away.identity)
    assert [report.ok for report in reports] == [True]


@pytest.mark.parametrize("kind", ["objects", "manifests", "backups"])
def test_same_push_again_mends_what_is_missing(away, kind: str) -> None:
    """A backup that is in the store without all that it needs is not taken for one that is there."""
    made = away.pushed().backup_id
    remove(files(away, kind)[0])
    assert not away.opened().push(made).was_there
    assert [report.ok for report in away.opened().verify(identity=away.identity)] == [True]


def test_push_mends_a_damaged_record(away) -> None:
    """The same backup pushed again has its record back."""
    made = away.pushed().backup_id
    cut(files(away, "backups")[0])
    away.opened().push(made)
    assert away.opened().verify(identity=away.identity)[0].ok


def test_prune_removes_nothing_while_a_record_is_unreadable(away) -> None:
    """Nobody knows what such a backup needs."""
    away.pushed()
    away.pushed()
    cut(files(away, "backups")[0])
    before = away.names()
    with pytest.raises(BackupError, match=r"nothing was removed, as backups/.* cannot be read"):
        away.opened().prune(RetentionPolicy(last=1))
    assert away.names() == before


def test_strange_files_do_no_harm(away) -> None:
    """Files of a NAS or a desktop are no backups, hinder no prune and stay; one with a name of ours is told of."""
    away.pushed()
    (folder,) = (away.place / "objects").iterdir()
    strange = [
        "backups/.DS_Store",
        "backups/bot1/Thumbs.db",
        "manifests/.nfs0001",
        "objects/zz/notes.txt",
        "readme.txt",
    ]
    strange += ["objects/.DS_Store", f"objects/{folder.name}/.nfs0002", "indexes/.DS_Store", "leases/.nfs0003"]
    for name in strange:
        (away.place / name).parent.mkdir(parents=True, exist_ok=True)
        (away.place / name).write_text("hello")
    good, bad = away.opened().backups()
    assert (len(good), len(bad)) == (1, 0)
    assert all(report.ok for report in away.opened().verify(all_=True, identity=away.identity))
    away.pushed()
    report = away.opened().prune(RetentionPolicy(last=1))
    assert len(report.by_host["bot1"].remove) == 1
    assert set(strange) <= away.names()
    assert away.opened().drill(identity=away.identity).ok
    (away.place / "backups/bot1/backup_stray").write_text("hello")
    assert [len(found) for found in away.opened().backups()] == [1, 1]


@pytest.mark.parametrize("size", [0, 4096, 64 << 10], ids=str)
def test_what_a_power_cut_has_shortened_is_sent_again(away, monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    """A push that goes on where it was does not take an object without its end for one that was sent."""
    (away.program.data / "more.bin").write_bytes(random_bytes(1 << 20))
    made = away.manager.create_backup()

    def failed(*_: object) -> None:
        raise StoreError("the line is cut")

    with monkeypatch.context() as patch, pytest.raises(StoreError):
        patch.setattr("peak_observe.backup_recovery.offsite.store.Store.write_index", failed)
        away.store.push(made)
    (sent,) = files(away, "objects")
    with sent.open("r+b") as file:
        file.truncate(size)
    away.opened().push(made)
    assert sent.stat().st_size > 1 << 20
    (report,) = away.opened().verify(identity=away.identity)
    assert report.ok
    assert away.opened().drill(identity=away.identity).ok


@pytest.mark.parametrize("what", ["push.opened", "push.ManifestFile.check"])
def test_a_stored_file_that_may_not_be_read_is_not_corrupt(away, monkeypatch: pytest.MonkeyPatch, what: str) -> None:
    """It says nothing of its content that this user may not read it."""
    backup_id = away.manager.create_backup()

    def refused(*_: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    with monkeypatch.context() as patch, pytest.raises(BackupUnreadableError, match=r": Permission denied"):
        patch.setattr(f"peak_observe.backup_recovery.offsite.{what}", refused)
        away.store.push(backup_id)
    assert away.store.push(backup_id)


@pytest.mark.parametrize("files", [0, 1, -1])
def test_a_backup_that_is_pruned_while_it_is_pushed_was_removed(away, files: int) -> None:
    """Before its first file is read, between two, or after the last: nothing is corrupt, and nothing of it counts."""
    old, new = away.manager.create_backup(), away.manager.create_backup()

    def tell(progress) -> None:
        if progress.files == files % (progress.total_files + 1):
            prune(away.manager)

    with pytest.raises(BackupNotFoundError, match="it was removed meanwhile"):
        away.store.push(old, progress=tell)
    assert away.store.backups()[0] == []
    assert away.store.push().backup_id == new


def forget_indexes(away) -> None:
    """Remove what this host has kept of the store's indexes."""
    for path in away.manager.backup_root.glob(".peak-observe/offsite-*/*"):
        path.unlink()


@pytest.mark.parametrize("kept", [True, False], ids=["kept", "not-kept"])
@pytest.mark.parametrize("new", [True, False], ids=["new", "same"])
@pytest.mark.parametrize("harm", [cut, change, empty, remove])
def test_push_mends_a_damaged_index(away, harm, new: bool, kept: bool) -> None:
    """Also one whose size tells nothing, with the copy that this host has kept, or by sending its backups again."""
    made = away.pushed().backup_id
    (victim,) = files(away, "indexes")
    harm(victim)
    assert not away.opened().verify()[0].ok
    if not kept:
        forget_indexes(away)
    away.opened().push(away.manager.create_backup() if new else made)
    assert [report.ok for report in away.opened().verify(all_=True, identity=away.identity)] == [True] * (1 + new)
    assert away.store._status.read().missing == 0
    assert away.opened().drill(identity=away.identity).ok


@pytest.mark.parametrize("harm", [cut, change])
def test_damage_of_an_index_that_cannot_be_mended_stays_known(away, monkeypatch, harm) -> None:
    """What this host has kept of an index proves nothing, where the store refuses to write it anew."""
    made = away.pushed().backup_id
    harm(files(away, "indexes")[0])
    away.opened().verify()
    before = away.store._status.read().missing
    away.manager.delete_backup(made)
    (away.program.data / "more.bin").write_bytes(random_bytes(100))
    newer = away.manager.create_backup()
    real = Counted.put

    def only_new(self: Counted, name: str, content: bytes, *, new: bool = False) -> None:
        if name.startswith("indexes/") and not new:
            raise StoreError(f"cannot write {name}: the credentials do not allow it")
        real(self, name, content, new=new)

    with monkeypatch.context() as patch:
        patch.setattr(Counted, "put", only_new)
        away.opened().push(newer)
    assert away.store._status.read().missing == before > 0
    away.opened().push(newer)
    assert away.store._status.read().missing == 0
    assert all(report.ok for report in away.opened().verify(all_=True, identity=away.identity))


def test_an_index_of_another_size_is_not_hidden_by_what_was_kept(away) -> None:
    """The push sends what nobody could restore, before anybody has verified the store."""
    made = away.pushed().backup_id
    cut(files(away, "indexes")[0])
    assert not away.opened().push(made).was_there
    assert away.opened().verify(identity=away.identity)[0].ok
