"""Making a backup: what did not change is linked, what is missing is told, and it is there at once or not at all."""

import errno
import json
import os
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

import pytest

from peak_observe import BackupError, BackupFinished, BackupStatus, BackupType, RecoveryManager
from peak_observe.backup_recovery.create import reader, writer
from peak_observe.backup_recovery.files import copying
from peak_observe.backup_recovery.repository import manifest_file
from peak_observe.backup_recovery.repository.manifest import Entry, decode_name
from peak_observe.testing import RecordingObserver

from ..conftest import OLD, Program

if TYPE_CHECKING:
    from peak_observe.backup_recovery import Progress

ALL = (True, True, True)
KEPT = {"metadata.json", "manifest.json", "config", "data", "state.json"}
NAMES = ["a", "a.b", "a b", "a%", "a%41", "A", "b", "ä", "\udcff", "z\udce4", "day1", "day10", "\U0001f600", "-", "~"]


def folder_of(manager: RecoveryManager, backup_id: str) -> Path:
    """Return the folder of a backup."""
    return manager._get_backup_dir(backup_id)


def entries(manager: RecoveryManager, backup_id: str) -> dict[str, Entry]:
    """Return what is in a backup by its place."""
    manifest = manager._repository.manifest(manager.get_backup(backup_id))
    return {entry.stored: entry for entry in manifest.entries}


def taken(manager: RecoveryManager, backup_id: str) -> dict[str, str]:
    """Return how each file was taken."""
    return {place: entry.taken for place, entry in entries(manager, backup_id).items() if entry.type == "file"}


def contents(picture: dict[str, tuple[object, ...]]) -> dict[str, tuple[object, ...]]:
    """Return a picture without modes, which stand in the manifest only."""
    return {name: (kind, *rest) for name, (kind, _, *rest) in picture.items()}


def test_a_backup_is_a_plain_folder(manager: RecoveryManager, program: Program) -> None:
    """A person with `cp` and no Python gets everything back."""
    backup_id = manager.create_backup(*ALL)
    before, folder = program.picture(), folder_of(manager, backup_id)
    assert {path.name for path in folder.iterdir()} == KEPT
    shutil.rmtree(program.folder)
    program.config.parent.mkdir(parents=True)
    subprocess.run(["cp", "-a", folder / "config" / "config.toml", program.config], check=True)
    subprocess.run(["cp", "-a", folder / "data" / "data", program.data], check=True)
    subprocess.run(["chmod", "-R", "u+w", program.folder], check=True)
    assert contents(program.picture()) == contents(before)


def test_the_metadata_tells_what_is_in_it(manager: RecoveryManager, program: Program) -> None:
    """Files, bytes, parts, what its maker said."""
    backup = manager.get_backup(manager.create_backup(*ALL, description="Daily backup", tags=["daily", "production"]))
    assert (backup.status, backup.backup_type) == (BackupStatus.SUCCESS, BackupType.FULL)
    assert (backup.description, backup.tags, backup.error_message) == ("Daily backup", ["daily", "production"], "")
    assert {kind: part.files for kind, part in backup.parts.items()} == {"config": 1, "data": 4, "state": 1}
    assert backup.files_count == 6
    state = folder_of(manager, backup.backup_id) / "state.json"
    files = [program.config, *program.data.rglob("*.csv"), state]
    assert backup.size_bytes == sum(path.stat().st_size for path in files)
    assert json.loads(state.read_text())["providers"] == {"bot": {"orders": 2}}


def test_stored_files_cannot_be_written(manager: RecoveryManager) -> None:
    """Nor is the state of the program for everybody to read."""
    folder = folder_of(manager, manager.create_backup(*ALL))
    assert (folder / "config" / "config.toml").stat().st_mode & 0o777 == 0o400
    assert (folder / "state.json").stat().st_mode & 0o777 == 0o400


@pytest.mark.parametrize(
    ("included", "expected"),
    [
        ((True, True, True), BackupType.FULL),
        ((True, False, True), BackupType.FULL),
        ((True, True, False), BackupType.CONFIG),
        ((True, False, False), BackupType.CONFIG),
        ((False, True, False), BackupType.STATE),
        ((False, False, True), BackupType.DATA),
        ((False, True, True), BackupType.DATA),
    ],
)
def test_the_type_says_what_is_included(
    manager: RecoveryManager,
    included: tuple[bool, bool, bool],
    expected: BackupType,
) -> None:
    """By its most telling part."""
    assert manager.get_backup(manager.create_backup(*included)).backup_type is expected


def test_what_did_not_change_is_linked(manager: RecoveryManager, program: Program, trusting: None) -> None:
    """And what did is read again; the older backup stays what it was."""
    first = manager.create_backup(*ALL)
    program.write(program.trades / "1.csv", "more\n")
    second = manager.create_backup(*ALL)
    found = taken(manager, second)
    assert found.pop("data/data/trades/1.csv") == "copied"
    assert found.pop("state.json") == "copied"
    assert set(found.values()) == {"linked"}
    one, two = (folder_of(manager, name) / "config" / "config.toml" for name in (first, second))
    assert one.samefile(two)
    assert manager.verify_backup(first).ok
    assert manager.verify_backup(second).ok


def test_each_part_is_compared_with_the_last_that_holds_it(manager: RecoveryManager, trusting: None) -> None:
    """A daily backup of the data links to yesterday's though the configuration's are hourly."""
    manager.create_backup(*ALL)
    manager.create_backup(True, False, False)
    found = taken(manager, manager.create_backup(True, False, True))
    assert set(found.values()) == {"linked"}


def test_a_file_that_changed_a_moment_ago_is_read(manager: RecoveryManager, program: Program) -> None:
    """A second change in the same tick of the clock would not show in its times."""
    manager.create_backup(*ALL)
    status = program.config.stat()
    program.config.write_text("pair = 'ETH/USD'\n")
    os.utime(program.config, ns=(status.st_atime_ns, status.st_mtime_ns))
    found = folder_of(manager, manager.create_backup(*ALL)) / "config" / "config.toml"
    assert found.read_text() == "pair = 'ETH/USD'\n"


def test_a_change_that_hides_its_time_is_seen(manager: RecoveryManager, program: Program, trusting: None) -> None:
    """Whoever sets a file back cannot set back the time of its status."""
    manager.create_backup(*ALL)
    program.write(program.config, "pair = 'ETH/USD'\n")
    assert program.config.stat().st_mtime == OLD
    found = folder_of(manager, manager.create_backup(*ALL)) / "config" / "config.toml"
    assert found.read_text() == "pair = 'ETH/USD'\n"


class Changing:
    """A tree and two named files that change at random.

    Args:
        folder: Where they are.
        random: What decides.
    """

    def __init__(self, folder: Path, random: Random) -> None:
        self.tree = folder / "tree"
        self.tree.mkdir()
        self.named = [folder / name for name in ("one.csv", "two.csv")]
        self._random = random
        for path in self.named:
            self._write(path)

    def change(self) -> None:
        """Make a file, a folder or a link, or remove, replace or rewrite what is there."""
        folders = [self.tree, *(path for path in self.tree.rglob("*") if path.is_dir() and not path.is_symlink())]
        path = self._random.choice(folders) / self._random.choice(NAMES)
        what = self._random.choice(["file", "file", "file", "folder", "folder", "link", "nothing", "named"])
        if what == "named":
            self._write(self._random.choice(self.named))
            return
        if path.is_dir() and not path.is_symlink():
            if what == "folder" or self._random.random() < 0.5:
                return
            shutil.rmtree(path)
        path.unlink(missing_ok=True)
        if what == "file":
            self._write(path)
        elif what == "folder":
            path.mkdir()
        elif what == "link":
            path.symlink_to(self.tree)

    def files(self) -> dict[Path, tuple[int, ...]]:
        """Return what tells whether a file changed."""
        found = [*self.named, *(path for path in self.tree.rglob("*") if path.is_file() and not path.is_symlink())]
        return {path: (status.st_ino, status.st_ctime_ns) for path in found for status in [path.stat()]}

    def _write(self, path: Path) -> None:
        path.write_text(str(self._random.random()))


@pytest.mark.parametrize("seed", range(20))
def test_whatever_is_added_or_removed_around_them_unchanged_files_are_linked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, trusting: None, seed: int
) -> None:
    """The manifest is followed along the walk, by short stretches here, and left and found again at each change."""
    monkeypatch.setattr(writer, "BATCH", 7)
    monkeypatch.setattr(manifest_file, "BUFFER", 200)
    random = Random(seed)
    changing = Changing(tmp_path, random)
    before: dict[Path, tuple[int, ...]] = {}
    for _ in range(6):
        for _ in range(random.choice([0, 1, 3, 40])):
            changing.change()
        manager = RecoveryManager(tmp_path / "backups")
        for path in random.sample([changing.tree, *changing.named], 3):
            manager.data_backup.add_data_path(path)
        backup_id = manager.create_backup(False, False, True)
        found = taken(manager, backup_id)
        now = changing.files()
        expected = {path: "linked" if before.get(path) == facts else "copied" for path, facts in now.items()}
        assert {decode_name(place): how for place, how in found.items()} == {
            f"data/{path.relative_to(tmp_path)}": how for path, how in expected.items()
        }
        for path in now:
            assert (folder_of(manager, backup_id) / "data" / path.relative_to(tmp_path)).read_text() == path.read_text()
        before = now


def test_where_only_content_changed_the_manifest_is_read_once(
    manager: RecoveryManager, program: Program, monkeypatch: pytest.MonkeyPatch, trusting: None
) -> None:
    """Nothing has to be looked for in it."""
    for folder in ("empty", "a", "b/empty", "b/c"):
        program.write(program.data / folder / "x.csv", "1\n")
    for folder in ("empty", "b/empty"):
        (program.data / folder / "x.csv").unlink()
    manager.create_backup(*ALL)
    program.write(program.trades / "1.csv", "more\n")

    def starts(*_: object) -> None:
        pytest.fail("a place was looked for")

    monkeypatch.setattr(manifest_file.ManifestFile, "starts", starts)
    found = taken(manager, manager.create_backup(True, False, True))
    assert found.pop("data/data/trades/1.csv") == "copied"
    assert set(found.values()) == {"linked"}


@pytest.mark.parametrize("kind", ["text", "database"])
@pytest.mark.parametrize("names", [2, 3])
def test_a_name_that_is_replaced_after_the_walk_met_it_is_that_name_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, names: int, kind: str
) -> None:
    """As an editor saves a file: its other names are still the old file, and so are their copies."""
    tree, new = tmp_path / "tree", tmp_path / "new"
    tree.mkdir()
    for path, value in ((tree / "a", 1), (new, 2)):
        path.write_text(f"{value}\n" * 100)
        if kind == "database":
            path.unlink()
            with sqlite3.connect(path) as database:
                database.execute(f"CREATE TABLE t AS SELECT {value} AS x")
            database.close()
    os.link(tree / "a", tree / "b")
    if names > 2:
        os.link(tree / "a", tmp_path / "outside")
    old, lstat = (tree / "b").read_bytes(), os.lstat

    def saved(path: str) -> os.stat_result:
        found = lstat(path)
        if path == f"{tree}/a" and new.exists():
            new.replace(path)
        return found

    manager = RecoveryManager(tmp_path / "backups")
    manager.data_backup.add_data_path(tree)
    monkeypatch.setattr(os, "lstat", saved)
    backup_id = manager.create_backup(False, False, True)
    monkeypatch.undo()
    assert (tree / "a").read_bytes() != old == (tree / "b").read_bytes()
    assert (folder_of(manager, backup_id) / "data" / "tree" / "b").read_bytes() == old
    assert (folder_of(manager, backup_id) / "data" / "tree" / "a").read_bytes() == (tree / "a").read_bytes()


@pytest.mark.parametrize("names", [1, 2])
def test_where_the_newest_copy_is_gone_that_of_the_last_good_backup_is_linked_to(
    manager: RecoveryManager, program: Program, trusting: None, names: int
) -> None:
    """The newest one is partial, and somebody removed a copy in it."""
    if names > 1:
        os.link(program.trades / "1.csv", program.data / "again.csv")
    manager.create_backup(False, False, True)
    (program.data / "nowhere").symlink_to("nothing")
    partial = manager.create_backup(False, False, True)
    for path in folder_of(manager, partial).rglob("*.csv"):
        path.unlink()
    assert set(taken(manager, manager.create_backup(False, False, True)).values()) == {"linked"}


@pytest.mark.parametrize("order", [[0, 1], [1, 0]], ids=str)
def test_a_damaged_database_is_told_whatever_the_order_of_the_named_paths(
    tmp_path: Path, trusting: None, order: list[int]
) -> None:
    """Also where it was one more name of another when it was last backed up."""
    paths = [tmp_path / "a.db", tmp_path / "b.db"]
    with sqlite3.connect(paths[0]) as database:
        database.execute("CREATE TABLE trades (x)")
    database.close()
    os.link(*paths)
    for named in ([0, 1], order):
        manager = RecoveryManager(tmp_path / "backups")
        for number in named:
            manager.data_backup.add_data_path(paths[number])
        backup = manager.get_backup(manager.create_backup(False, False, True))
        paths[1].unlink()
        paths[1].write_bytes(b"damaged" * 1000)
    assert backup is not None
    assert backup.status is BackupStatus.PARTIAL
    assert "b.db" in backup.error_message


@pytest.mark.parametrize("number", [errno.EMLINK, errno.EXDEV, errno.EPERM, errno.EOPNOTSUPP, errno.ENOENT])
def test_where_links_cannot_be_made_files_are_copied(
    manager: RecoveryManager,
    monkeypatch: pytest.MonkeyPatch,
    trusting: None,
    number: int,
) -> None:
    """Too many links, another file system, one without links, or the copy is gone."""
    manager.create_backup(*ALL)

    def link(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "link", link)
    backup_id = manager.create_backup(*ALL)
    assert set(taken(manager, backup_id).values()) == {"copied"}
    assert manager.verify_backup(backup_id).ok


def test_nothing_is_linked_to_what_is_known_to_be_corrupt(
    manager: RecoveryManager, program: Program, trusting: None
) -> None:
    """A copy that is not what it was must not live on."""
    first = manager.create_backup(*ALL)
    damaged = folder_of(manager, first) / "config" / "config.toml"
    damaged.chmod(0o644)
    damaged.write_text("pair = 'XXX/USD'\n")
    assert not manager.verify_backup(first).ok
    found = folder_of(manager, manager.create_backup(*ALL)) / "config" / "config.toml"
    assert found.read_text() == program.config.read_text()


def test_an_incremental_backup_holds_what_changed(manager: RecoveryManager, program: Program, trusting: None) -> None:
    """And comes back through its base."""
    base = manager.create_backup(*ALL)
    program.write(program.trades / "1.csv", "more\n")
    before = program.picture()
    backup = manager.get_backup(manager.create_backup(*ALL, incremental=True))
    assert (backup.backup_type, backup.base) == (BackupType.INCREMENTAL, base)
    stored = [path for path in folder_of(manager, backup.backup_id).rglob("*.csv") if not path.is_symlink()]
    assert [path.name for path in stored] == ["1.csv"]
    assert backup.files_count == 6
    shutil.rmtree(program.data)
    assert manager.verify_backup(backup.backup_id).ok
    assert manager.restore_backup(backup.backup_id, restore_data=True)
    assert program.picture() == before


def test_an_incremental_backup_without_a_base_is_a_full_one(manager: RecoveryManager) -> None:
    """There is nothing that it could leave out."""
    backup = manager.get_backup(manager.create_backup(*ALL, incremental=True))
    assert (backup.backup_type, backup.base) == (BackupType.FULL, "")
    manager.create_backup(True, False, False)
    assert manager.get_backup(manager.create_backup(*ALL, incremental=True)).base == backup.backup_id


def test_a_base_is_not_removed_while_it_is_needed(manager: RecoveryManager) -> None:
    """Neither by name nor by cleaning up."""
    base = manager.create_backup(*ALL)
    needing = manager.create_backup(*ALL, incremental=True)
    assert not manager.delete_backup(base)
    assert manager.cleanup_old_backups(1) == 0
    assert manager.delete_backup(needing)
    assert manager.delete_backup(base)


def test_what_is_missing_makes_it_partial(manager: RecoveryManager, program: Program) -> None:
    """It says what, it is told, and it does not count as fresh."""
    program.config.unlink()
    with RecordingObserver() as seen:
        backup = manager.get_backup(manager.create_backup(*ALL))
    assert backup.status is BackupStatus.PARTIAL
    assert backup.error_message == f"{program.config}: is missing"
    assert manager.last_success() is None
    [event] = seen.of(BackupFinished)
    assert (event.outcome, event.message) == ("partial", backup.error_message)
    assert backup.parts["data"].files == 4


def test_a_provider_that_fails_makes_it_partial(manager: RecoveryManager) -> None:
    """And is named."""
    manager.state_snapshot.register_provider("broken", lambda: 1 / 0)
    backup = manager.get_backup(manager.create_backup(*ALL))
    assert backup.status is BackupStatus.PARTIAL
    assert "state provider 'broken': ZeroDivisionError" in backup.error_message


def test_a_file_that_cannot_be_read_makes_it_partial(
    manager: RecoveryManager, program: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All the others are in it."""
    opened = os.open

    def guarded(path: object, *args: object, **kwargs: object) -> int:
        if str(path) == str(program.trades / "1.csv"):
            raise PermissionError(errno.EACCES, "Permission denied")
        return opened(path, *args, **kwargs)

    monkeypatch.setattr(os, "open", guarded)
    backup = manager.get_backup(manager.create_backup(*ALL))
    assert backup.error_message == f"{program.trades / '1.csv'}: cannot be read: Permission denied"
    assert backup.parts["data"].files == 3


def test_a_file_that_vanishes_makes_it_partial(
    manager: RecoveryManager, program: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between being found and being read."""
    copied = copying.copied

    def vanish(path: str, *args: object) -> copying.Copied:
        if path.endswith("1.csv"):
            (program.trades / "1.csv").unlink()
        return copied(path, *args)

    monkeypatch.setattr(copying, "copied", vanish)
    backup = manager.get_backup(manager.create_backup(*ALL))
    assert backup.error_message == f"{program.trades / '1.csv'}: was removed while the backup was made"


@pytest.mark.parametrize(("changes", "expected"), [(1, "success"), (99, "partial")])
def test_a_file_that_changes_is_read_again(
    manager: RecoveryManager, program: Program, monkeypatch: pytest.MonkeyPatch, changes: int, expected: str
) -> None:
    """A few times; then what there is of it is kept, and marked."""
    copied, left = copying.copied, [changes]

    def restless(path: str, *args: object) -> copying.Copied:
        found = copied(path, *args)
        if path.endswith("1.csv") and left[0]:
            left[0] -= 1
            return found._replace(stable=False)
        return found

    monkeypatch.setattr(copying, "copied", restless)
    backup = manager.get_backup(manager.create_backup(*ALL))
    assert backup.status.value == expected
    how = taken(manager, backup.backup_id)["data/data/trades/1.csv"]
    assert how == ("copied" if changes == 1 else "torn")
    if changes > reader.READS:
        assert "changed while it was read, 3 times" in backup.error_message


def test_a_full_disk_is_told_and_leaves_the_rest_as_it_was(
    manager: RecoveryManager, program: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    """FAILED is on record, nothing is left lying about, and older backups restore."""
    good = manager.create_backup(*ALL)

    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch, RecordingObserver() as seen:
        patch.setattr(os, "write", full)
        with pytest.raises(BackupError, match="no backup was made: No space left on device"):
            manager.create_backup(*ALL)
    failed, older = manager.list_backups()
    assert (failed.status, older.backup_id) == (BackupStatus.FAILED, good)
    assert "No space left" in failed.error_message
    assert seen.of(BackupFinished)[0].outcome == "failed"
    assert not list(manager.backup_root.glob(".staging*"))
    assert manager.verify_backup(good).ok
    assert manager.last_success() == older.created


def test_an_interruption_leaves_nothing(manager: RecoveryManager, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C comes through, and is counted."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(copying, "copied", interrupt)
        manager.create_backup(*ALL)
    assert manager.list_backups() == []
    assert not list(manager.backup_root.glob(".staging*"))
    assert manager._repository.ledger.read().runs["interrupted"] == 1


def test_an_interruption_that_comes_again_counts_once(
    manager: RecoveryManager, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second Ctrl-C comes between the account and the removal of the folder, which the next run then clears."""
    rmdir = os.rmdir

    def interrupt(path: object = "", *_: object, **options: Any) -> None:
        if options:  # a folder below
            rmdir(path, **options)
        else:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(copying, "copied", interrupt)
        patch.setattr("os.rmdir", interrupt)
        manager.create_backup(*ALL)
    assert len(list(manager.backup_root.glob(".staging*"))) == 1
    manager.create_backup(*ALL)
    assert not list(manager.backup_root.glob(".staging*"))
    runs = manager._repository.ledger.read().runs
    assert (runs["interrupted"], runs["success"]) == (1, 1)


def test_a_crash_is_counted_and_cleared_by_the_next_run(manager: RecoveryManager, tmp_path: Path) -> None:
    """It leaves nothing but its staging folder."""
    program = (
        "import os, sys; from peak_observe.backup_recovery import RecoveryManager;"
        "from peak_observe.backup_recovery.files import copying;"
        "copying.copied = lambda *_: os.kill(os.getpid(), 9);"
        f"m = RecoveryManager({str(manager.backup_root)!r});"
        f"m.data_backup.add_data_path({str(tmp_path / 'program')!r});"
        "m.create_backup(False, False, True)"
    )
    done = subprocess.run([sys.executable, "-c", program], check=False)
    assert done.returncode == -9
    assert len(list(manager.backup_root.glob(".staging*"))) == 1
    assert manager.list_backups() == []
    manager.create_backup(*ALL)
    assert not list(manager.backup_root.glob(".staging*"))
    runs = manager._repository.ledger.read().runs
    assert (runs["interrupted"], runs["success"]) == (1, 1)


def test_a_live_database_is_in_it_whole(manager: RecoveryManager, program: Program, trusting: None) -> None:
    """Its log is no file of its own, and is not forgotten when only it has changed."""
    path = program.data / "trades.sqlite"
    database = sqlite3.connect(path, isolation_level=None)
    database.execute("PRAGMA journal_mode=WAL")
    database.execute("CREATE TABLE t (x)")
    counts = []
    for _ in range(2):
        database.execute("INSERT INTO t VALUES (1)")
        backup_id = manager.create_backup(False, False, True)
        assert taken(manager, backup_id)["data/data/trades.sqlite"] == "sqlite"
        assert "data/data/trades.sqlite-wal" not in entries(manager, backup_id)
        copy = sqlite3.connect(f"file:{folder_of(manager, backup_id)}/data/data/trades.sqlite?immutable=1", uri=True)
        counts += copy.execute("SELECT count(*) FROM t").fetchone()
        copy.close()
    assert counts == [1, 2]
    database.close()
    manager.create_backup(False, False, True)
    resting = taken(manager, manager.create_backup(False, False, True))
    assert resting["data/data/trades.sqlite"] == "linked"


def test_a_damaged_database_makes_it_partial(manager: RecoveryManager, program: Program) -> None:
    """A copy of what cannot be read is no backup."""
    database = sqlite3.connect(program.data / "db")
    database.execute("CREATE TABLE t (x)")
    database.executemany("INSERT INTO t VALUES (?)", (("x" * 100,) for _ in range(1000)))
    database.commit()
    database.close()
    with (program.data / "db").open("r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * 4096)
    backup = manager.get_backup(manager.create_backup(*ALL))
    assert backup.status is BackupStatus.PARTIAL
    assert "db: SQLite: " in backup.error_message
    assert "data/data/db" not in entries(manager, backup.backup_id)


def test_the_repository_does_not_hold_itself(tmp_path: Path, program: Program) -> None:
    """Though it lies in the folder that is backed up."""
    manager = RecoveryManager(program.folder / "backups")
    manager.data_backup.add_data_path(program.folder)
    for _ in range(2):
        backup_id = manager.create_backup(False, False, True)
    assert not [place for place in entries(manager, backup_id) if "backups" in place]


def test_progress_is_told(manager: RecoveryManager) -> None:
    """File by file, up to all."""
    told: list[Progress] = []
    manager.create_backup(False, False, True, progress=told.append)
    assert told[-1][1:] == (4, 4, told[-1].total_bytes, told[-1].total_bytes)
    assert {item.doing for item in told} == {"data"}
    assert sorted(item.files for item in told) == [item.files for item in told]


@pytest.mark.parametrize("incremental", [True, False])
def test_progress_of_what_need_not_be_read_is_told(
    manager: RecoveryManager, program: Program, trusting: None, incremental: bool
) -> None:
    """Each name of a file once, whether it is linked, stays where it is, or has to be read."""
    os.link(program.trades / "1.csv", program.data / "again.csv")
    os.link(program.trades / "1.csv", program.data / "and again.csv")
    for change in ("none", "none", "of the names", "none"):
        if change == "of the names":
            program.write(program.trades / "1.csv", "2\n")
        told: list[Progress] = []
        manager.create_backup(False, False, True, progress=told.append, incremental=incremental)
        assert told[-1][1:] == (6, 6, told[-1].total_bytes, told[-1].total_bytes)
        assert sorted(item.files for item in told) == [item.files for item in told]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"include_config": False, "include_state": False, "include_data": False}, "include_config"),
        ({"description": "\udc80"}, "description"),
        ({"tags": [5]}, "tags"),
    ],
)
def test_nonsense_is_refused(manager: RecoveryManager, arguments: dict[str, object], message: str) -> None:
    """By one message that names it."""
    with pytest.raises(ValueError, match=message):
        manager.create_backup(**arguments)


def test_odd_names_come_back(manager: RecoveryManager, program: Program) -> None:
    """Spaces, newlines, percent signs, and bytes that are no text."""
    for raw in (b"a b\n", b"100%", b"caf\xe9", "日本".encode(), b"x" * 250):
        (program.data / os.fsdecode(raw)).write_bytes(raw)
    before = program.picture()
    backup_id = manager.create_backup(*ALL)
    assert manager.verify_backup(backup_id).ok
    shutil.rmtree(program.data)
    assert manager.restore_backup(backup_id, restore_data=True)
    assert program.picture() == before
