"""Sources of every kind: what can be backed up is, what cannot is named, and nothing passes for good that is not."""

import grp
import logging
import os
import pwd
import sqlite3
import stat
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from peak_observe.backup_recovery import BackupMetadata, RecoveryManager
from peak_observe.backup_recovery.files import copying, sqlite
from peak_observe.backup_recovery.repository.manifest import Entry

FAR = {
    "year 2300": 10_413_792_000 * 10**9,
    "year 2446": 15_032_385_535 * 10**9,
    "year 1960": -315_619_200 * 10**9 + 5,
    "a moment before 1970": -1,
    "beyond 64 bits, with nanoseconds": 13_569_465_600_123_456_789,
}


def made(manager: RecoveryManager) -> tuple[BackupMetadata, dict[str, Entry]]:
    """Make a backup, and return what it is and what is in it."""
    backup = manager.get_backup(manager.create_backup())
    entries = manager._repository.manifest(backup).entries
    return backup, {entry.stored: entry for entry in entries if entry.kind != "state"}


def of(tmp_path: Path, *named: Path, **options: object) -> RecoveryManager:
    """Return the manager of a repository of some paths."""
    manager = RecoveryManager(tmp_path / "backups", **options)
    for path in named:
        manager.data_backup.add_data_path(path)
    return manager


@pytest.mark.parametrize("when", FAR.values(), ids=FAR)
def test_any_time_that_a_file_system_holds_comes_back(tmp_path: Path, when: int) -> None:
    """Of a file and of a folder; what a file system rounds is rounded before the backup."""
    data = tmp_path / "data"
    (data / "folder").mkdir(parents=True)
    (data / "file").write_text("x")
    for path in (data / "file", data / "folder"):
        os.utime(path, ns=(when, when))
    times = {path: path.stat().st_mtime_ns for path in (data / "file", data / "folder")}
    manager = of(tmp_path, data)
    backup, _ = made(manager)
    assert backup.good
    assert manager.drill().ok
    _, entries = made(manager)
    assert entries["data/data/file"].modified_ns == times[data / "file"]
    manager.restore(backup.backup_id, config=False, data=True, restore_to=tmp_path / "back")
    for path, time in times.items():
        assert (tmp_path / "back" / "data" / "data" / path.name).stat().st_mtime_ns == time


def test_a_backup_that_no_restore_could_read_does_not_appear(
    manager: RecoveryManager, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The manifest is read back with the restore's own code first."""
    monkeypatch.setattr("peak_observe.backup_recovery.create.reader.stat.S_IMODE", lambda _: 0o10000)
    with pytest.raises(Exception, match=r"its manifest could not be read back: .* has a type, size, hash, mode"):
        manager.create_backup()
    assert [backup.status.value for backup in manager.list_backups()] == ["failed"]


def test_names_of_owners_are_kept(manager: RecoveryManager) -> None:
    """Numbers mean somebody else on another host."""
    backup = manager.get_backup(manager.create_backup())
    manifest = manager._repository.manifest(backup)
    for entry in manifest.entries:
        assert manifest.uname(entry) == pwd.getpwuid(os.getuid()).pw_name
        assert manifest.gname(entry) == grp.getgrgid(entry.gid).gr_name


def test_the_state_has_the_time_of_its_backup(manager: RecoveryManager, tmp_path: Path) -> None:
    """Not that of 1970."""
    backup, _ = made(manager)
    manager.restore(backup.backup_id, state=True, restore_to=tmp_path / "back")
    assert abs((tmp_path / "back" / "state.json").stat().st_mtime - backup.created.timestamp()) < 60


@pytest.mark.parametrize(
    "path", ["/proc/self/status", "/proc/filesystems", "/sys/kernel/mm/transparent_hugepage/enabled"]
)
def test_what_the_kernel_makes_up_has_content(tmp_path: Path, path: str) -> None:
    """Though it says that it has 0 bytes, or a page."""
    manager = of(tmp_path, Path(path))
    backup, entries = made(manager)
    assert backup.good, backup.error_message
    [entry] = entries.values()
    stored = (manager.backup_root / backup.backup_id / entry.stored).read_bytes()
    assert 0 < len(stored) == entry.size
    assert manager.verify_backup(backup.backup_id).ok


@contextmanager
def inside(folder: Path) -> Iterator[None]:
    """Work in a folder whose path may be longer than the system takes."""
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


def deep(folder: Path, length: int) -> None:
    """Make a file whose path has so many bytes, which may be more than the system takes at once."""
    left = length - len(str(folder)) - len("/file")
    with inside(folder):
        while left > 0:
            name = "d" * min(200, max(1, left - 1))
            left -= len(name) + 1
            Path(name).mkdir()
            os.chdir(name)
        Path("file").write_text("deep")


@pytest.mark.parametrize("length", [4030, 4090, 6000])
def test_a_path_that_is_too_long_is_a_problem_and_no_failure(tmp_path: Path, length: int) -> None:
    """It is so in the repository earlier than at its source; everything else is in the backup."""
    data = tmp_path / "data"
    data.mkdir()
    (data / "near").write_text("near")
    deep(data, length)
    manager = of(tmp_path, data)
    backup, entries = made(manager)
    assert backup.status.value == "partial"
    assert (
        1 <= len(backup.problems) <= 2
    )  # the folder whose listing is too long, and what is too long in the repository
    assert all("long" in str(problem) for problem in backup.problems)
    assert entries["data/data/near"].size == 4
    assert manager.verify_backup(backup.backup_id).ok
    subprocess.run(["rm", "-rf", str(data)], check=True)


@pytest.mark.parametrize("length", [3960])
def test_a_path_that_is_nearly_too_long_comes_back(tmp_path: Path, length: int) -> None:
    """Whatever is a good backup drills as well."""
    data = tmp_path / "data"
    data.mkdir()
    deep(data, length)
    manager = of(tmp_path, data)
    backup, _ = made(manager)
    assert backup.good
    assert manager.drill().ok


def database(path: Path, rows: int = 100) -> None:
    """Make a SQLite database of a few pages."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with closing(sqlite3.connect(path)) as made:
        made.execute("CREATE TABLE t (x)")
        made.executemany("INSERT INTO t VALUES (?)", (("x" * 100,) for _ in range(rows)))
        made.commit()


def truncated(path: Path) -> None:
    """Cut it in the middle of a page."""
    os.truncate(path, path.stat().st_size - 100)


def cut_short(path: Path) -> None:
    """Cut it at a page, so that its size could be right."""
    os.truncate(path, path.stat().st_size - 4096)


def zeroed(path: Path) -> None:
    """Write zeros over its first page, and with it the header that it is known by."""
    with path.open("r+b") as file:
        file.write(bytes(4096))


def emptied(path: Path) -> None:
    """Leave nothing."""
    os.truncate(path, 0)


def replaced(path: Path) -> None:
    """Write something else into its place, of a size that no database has."""
    path.write_bytes(b"no database\n" * 3)


def of_one_byte(path: Path) -> None:
    """Leave what SQLite takes for an empty database."""
    os.truncate(path, 1)


@pytest.mark.parametrize("damage", [truncated, cut_short, zeroed, emptied, of_one_byte, replaced])
def test_a_database_that_was_damaged_makes_each_later_backup_partial(tmp_path: Path, damage: object) -> None:
    """It is known by its earlier backup; the good copy there is not pruned for copies of the damaged one."""
    path = tmp_path / "data" / "orders.db"
    database(path)
    manager = of(tmp_path, path.parent)
    good = manager.create_backup()
    damage(path)
    for _ in range(3):
        backup, entries = made(manager)
        assert backup.status.value == "partial"
        assert backup.error_message.startswith(f"{path}: SQLite: ")
        assert good in backup.error_message
        assert "data/data/orders.db" not in entries
    manager.cleanup_old_backups(keep_count=1)
    assert manager.get_backup(good).good
    path.unlink()
    database(path)
    backup, entries = made(manager)
    assert backup.good
    assert entries["data/data/orders.db"].taken == "sqlite"


@pytest.mark.parametrize("damage", [truncated, cut_short])
def test_a_damaged_database_is_known_by_its_header_too(tmp_path: Path, damage: object) -> None:
    """Also where no earlier backup tells what it was."""
    path = tmp_path / "data" / "orders.db"
    database(path)
    damage(path)
    backup, _ = made(of(tmp_path, path.parent))
    assert backup.error_message.startswith(f"{path}: SQLite: ")


def in_use(path: Path) -> None:
    """Leave what a crash leaves of a database in WAL mode: nearly all is in its log."""
    with closing(sqlite3.connect(path.parent.parent / "live")) as live:
        live.execute("PRAGMA journal_mode=WAL")
        live.execute("CREATE TABLE t (x)")
        live.commit()
        for side in ("", "-wal"):
            path.with_name(path.name + side).write_bytes(path.parent.with_name(f"live{side}").read_bytes())


@pytest.mark.parametrize("content", [b"", bytes(4096), os.urandom(8192)], ids=["emptied", "zeroed", "encrypted"])
def test_a_file_with_a_log_of_sqlite_beside_it_that_is_no_database_is_told(tmp_path: Path, content: bytes) -> None:
    """It is damaged, or two parts of it that were read at different times; both are kept, and nothing says success."""
    path = tmp_path / "data" / "orders.db"
    path.parent.mkdir()
    in_use(path)
    path.write_bytes(content)
    backup, entries = made(of(tmp_path, path.parent))
    reason = "has SQLite's -wal beside it and is no database: it is damaged, or encrypted and in use"
    assert backup.error_message == f"{path}: {reason}"
    assert {"data/data/orders.db", "data/data/orders.db-wal"} <= set(entries)
    assert made(of(tmp_path / "other", path.parent, exclude=["*.db"]))[0].good


def test_a_damaged_log_of_a_database_is_told(tmp_path: Path) -> None:
    """SQLite takes it for an empty one, and leaves out what was committed last without a word."""
    path = tmp_path / "data" / "orders.db"
    path.parent.mkdir()
    in_use(path)
    path.with_name("orders.db-wal").write_bytes(bytes(4096))
    backup, _ = made(of(tmp_path, path.parent))
    reason = "SQLite: its write-ahead log is damaged, and with it what was committed last"
    assert backup.error_message == f"{path}: {reason}"


def test_a_sound_database_of_an_odd_size_is_taken(tmp_path: Path) -> None:
    """A crash may have left part of a page behind its end, which SQLite does not mind."""
    path = tmp_path / "data" / "orders.db"
    database(path)
    with path.open("ab") as file:
        file.write(b"x" * 100)
    backup, entries = made(of(tmp_path, path.parent))
    assert backup.good, backup.error_message
    assert entries["data/data/orders.db"].taken == "sqlite"


def test_a_file_that_was_a_database_can_become_another_file(tmp_path: Path) -> None:
    """After one good backup without it."""
    path = tmp_path / "data" / "orders.db"
    database(path)
    manager = of(tmp_path, path.parent)
    manager.create_backup()
    path.unlink()
    assert made(manager)[0].good
    path.write_text("text")
    assert made(manager)[0].good


@pytest.mark.parametrize("length", [470, 500, 700])
def test_a_database_deeper_than_sqlite_can_open_is_taken(tmp_path: Path, length: int) -> None:
    """Its own limit is 512 bytes, at the source as in the repository."""
    folder = tmp_path / "data"
    while len(str(folder)) < length:
        folder /= "d" * min(100, max(1, length - len(str(folder)) - 1))
    path = folder / "orders.db"
    database(tmp_path / "short.db")
    folder.mkdir(parents=True)
    (tmp_path / "short.db").rename(path)
    manager = of(tmp_path, tmp_path / "data")
    backup, entries = made(manager)
    assert backup.good, backup.error_message
    [entry] = [item for item in entries.values() if item.type == "file"]
    assert entry.taken == "sqlite"
    sqlite.check(str(manager.backup_root / backup.backup_id / entry.stored))
    assert manager.drill().ok
    assert stat.S_IMODE((manager.backup_root / backup.backup_id / entry.stored).stat().st_mode) == 0o400


def test_two_programs_that_take_turns_store_what_changed_only(tmp_path: Path, trusting: None) -> None:
    """Each finds its files in its own last backup, not in the newest of all."""
    one, two = tmp_path / "one", tmp_path / "two"
    for folder in (one, two):
        folder.mkdir()
        (folder / "file").write_text(folder.name)
    managers = [of(tmp_path, one), of(tmp_path, two)]
    for manager in managers * 2:
        _, entries = made(manager)
        taken = {entry.taken for entry in entries.values() if entry.stored.endswith("/file")}
    assert taken == {"linked"}
    assert managers[0]._repository.ledger.load().stored_bytes == managers[0]._repository.measured()


def test_an_incremental_backup_finds_its_files_under_their_places(tmp_path: Path, trusting: None) -> None:
    """Two files of one name change places in a backup when they are named in another order."""
    for folder, text in (("one", "first"), ("two", "second")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "app.toml").write_text(text)
    paths = [tmp_path / folder / "app.toml" for folder in ("one", "two")]
    of(tmp_path, *paths).create_backup()
    manager = of(tmp_path, *reversed(paths))
    backup_id = manager.create_backup(incremental=True)
    assert manager.verify_backup(backup_id).ok
    manager.restore(backup_id, config=False, data=True, restore_to=tmp_path / "back")
    stored = {path.name: path.read_text() for path in (tmp_path / "back" / "data").iterdir()}
    assert stored == {"app.toml": "second", "app.toml.2": "first"}


def test_the_repository_itself_is_no_data(tmp_path: Path) -> None:
    """Nothing of it would be taken, and nothing is no success."""
    backup, entries = made(of(tmp_path, tmp_path / "backups"))
    assert backup.error_message.startswith(f"{tmp_path / 'backups'}: is the repository itself")
    assert not entries


def test_attributes_that_no_backup_holds_are_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """When it is made, also of files that did not change, and when it is restored; what a system sets counts not."""
    data = tmp_path / "data"
    data.mkdir()
    for name in ("plain", "marked"):
        (data / name).write_text("x")
    try:
        os.setxattr(data / "marked", "user.origin", b"exchange")
        os.setxattr(data, "user.origin", b"exchange")
    except OSError:
        pytest.skip("a file system without extended attributes")
    manager = of(tmp_path, data)
    for _ in range(2):
        backup, entries = made(manager)
        assert backup.good
        assert [name for name, entry in entries.items() if entry.xattrs] == ["data/data", "data/data/marked"]
        (told,) = backup.left_out
        assert str(told) == "ACLs and other extended attributes: those of data/data; data/data/marked are not kept"
    (data / "marked").write_text("changed")
    manager.restore(backup.backup_id, config=False, data=True)
    assert f"set those of 1 files and folders again: {data / 'marked'}" in caplog.text


def test_repositories_and_caches_below_the_data_are_left_out(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Of a cache its tag stays, by which a restored one is known again; the log names both."""
    data = tmp_path / "data"
    for name in ("kept", "cache/deep", "other/.peak-observe", "false"):
        (data / name).mkdir(parents=True)
        (data / name / "file").write_text("x")
    (data / "cache" / "CACHEDIR.TAG").write_text("Signature: 8a477f597d28d172789f06886806bc55\n# a cache\n")
    (data / "false" / "CACHEDIR.TAG").write_text("Signature: none")
    manager = of(tmp_path, data)
    with caplog.at_level(logging.INFO, "peak_observe.backup"):
        backup, entries = made(manager)
    assert backup.good
    assert sorted(entries) == [
        "data/data",
        "data/data/cache",
        "data/data/cache/CACHEDIR.TAG",
        "data/data/false",
        "data/data/false/CACHEDIR.TAG",
        "data/data/false/file",
        "data/data/kept",
        "data/data/kept/file",
    ]
    texts = "\n".join(record.getMessage() for record in caplog.records)
    assert f"{data}/cache: a cache, as its CACHEDIR.TAG says" in texts
    assert f"{data}/other: a repository of backups" in texts
    (told,) = backup.left_out
    assert str(told) == (
        f"caches and repositories of backups: what is in {data}/other; {data}/cache is not kept; "
        "name a folder itself to keep it"
    )
    assert not manager.diff(backup.backup_id).added


def test_a_cache_that_is_named_itself_is_taken(tmp_path: Path) -> None:
    """Who names it means it."""
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "CACHEDIR.TAG").write_bytes(b"Signature: 8a477f597d28d172789f06886806bc55")
    (tmp_path / "cache" / "file").write_text("x")
    assert "data/cache/file" in made(of(tmp_path, tmp_path / "cache"))[1]


def growing(monkeypatch: pytest.MonkeyPatch, path: Path, *, shrinks: bool = False) -> None:
    """Have a file appended to whenever it is read, or cut."""
    pump = copying._pump

    def busy(source: int, *args: object, **more: object) -> copying.Copied:
        if path.samefile(f"/proc/self/fd/{source}"):
            with path.open("ab") as file:
                file.truncate(2) if shrinks else file.write(b"more\n")
        return pump(source, *args, **more)

    monkeypatch.setattr(copying, "_pump", busy)


def test_of_a_file_that_only_grows_its_beginning_is_a_good_backup(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where somebody says that it does nothing else."""
    path = tmp_path / "data" / "trades.log"
    path.parent.mkdir()
    path.write_bytes(b"line\n")
    growing(monkeypatch, path)
    backup, _ = made(of(tmp_path, path.parent))
    assert backup.error_message == (
        f"{path}: changed while it was read, 3 times; "
        "it grew: if nothing but that ever happens to it, name it in append_only"
    )
    before = path.read_bytes()
    manager = of(tmp_path, path.parent, append_only=["*.log"])
    backup, entries = made(manager)
    assert backup.good, backup.error_message
    stored = manager.backup_root / backup.backup_id / "data" / "data" / "trades.log"
    assert stored.read_bytes() == before
    assert entries["data/data/trades.log"].size == len(before)
    assert manager.verify_backup(backup.backup_id).ok


def test_a_file_that_shrinks_is_not_append_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever was said of it."""
    path = tmp_path / "data" / "trades.log"
    path.parent.mkdir()
    path.write_bytes(b"line\n" * 100)
    growing(monkeypatch, path, shrinks=True)
    backup, _ = made(of(tmp_path, path.parent, append_only=["*.log"]))
    assert backup.error_message == f"{path}: changed while it was read, 3 times"


@pytest.mark.parametrize("wrong", [[5], "/", [""]])
def test_append_only_must_be_patterns(tmp_path: Path, wrong: object) -> None:
    """By one message that names it."""
    with pytest.raises(ValueError, match="append_only must be patterns"):
        RecoveryManager(tmp_path, append_only=wrong)


@pytest.mark.parametrize("incremental", [False, True])
def test_names_of_one_file_are_stored_once(tmp_path: Path, trusting: None, incremental: bool) -> None:
    """The manifest tells that they are one; also in a later backup, in which nothing changed."""
    data = tmp_path / "data"
    (data / "z").mkdir(parents=True)
    (data / "b").write_bytes(b"x" * 5000)
    os.link(data / "b", data / "a")
    os.link(data / "b", data / "z" / "c")
    manager = of(tmp_path, data)
    for number in range(2):
        backup_id = manager.create_backup(incremental=incremental and number > 0)
        backup = manager.get_backup(backup_id)
        entries = {entry.stored: entry for entry in manager._repository.manifest(backup).entries}
        links = {name: entries[f"data/data/{name}"].hardlink for name in ("a", "b", "z/c")}
        assert links == {"a": "", "b": "data/data/a", "z/c": "data/data/a"}
        assert manager.verify_backup(backup_id).ok
    assert manager._repository.measured() < 20_000
    manager.cleanup_old_backups(keep_count=1)
    assert manager._repository.ledger.load().stored_bytes == manager._repository.measured()
    (data / "z" / "c").unlink()
    (data / "b").unlink()
    os.utime(data / "a")
    manager.create_backup()
    manager.cleanup_old_backups(keep_count=1)
    assert manager._repository.ledger.load().stored_bytes == manager._repository.measured()


def test_names_of_one_file_come_back(tmp_path: Path) -> None:
    """Each with the content of all."""
    data = tmp_path / "data"
    (data / "z").mkdir(parents=True)
    (data / "a").write_bytes(b"x" * 5000)
    os.link(data / "a", data / "z" / "c")
    manager = of(tmp_path, data)
    backup_id = manager.create_backup()
    manager.restore(backup_id, config=False, data=True, restore_to=tmp_path / "back")
    assert (tmp_path / "back" / "data" / "data" / "z" / "c").read_bytes() == b"x" * 5000


def test_a_new_name_of_a_known_file_may_come_first(tmp_path: Path, trusting: None) -> None:
    """In the order of names before the one that is known; one that goes leaves the others."""
    data = tmp_path / "data"
    data.mkdir()
    (data / "m").write_bytes(b"x" * 5000)
    os.link(data / "m", data / "z")
    manager = of(tmp_path, data)
    manager.create_backup()
    os.link(data / "m", data / "a")
    for gone, links in (("", {"a": "", "m": "data/data/a", "z": "data/data/a"}), ("a", {"m": "", "z": "data/data/m"})):
        (data / gone).unlink() if gone else None
        for incremental in (False, True):
            backup = manager.get_backup(manager.create_backup(incremental=incremental))
            entries = {entry.stored: entry for entry in manager._repository.manifest(backup).entries}
            assert {name: entries[f"data/data/{name}"].hardlink for name in links} == links
            assert manager.verify_backup(backup.backup_id).ok
            assert manager.drill().ok


def test_holes_are_not_read(tmp_path: Path) -> None:
    """A file of 64 GiB with a few bytes in it takes no time and no room, and comes back."""
    path = tmp_path / "data" / "sparse"
    path.parent.mkdir()
    with path.open("wb") as file:
        file.truncate(1 << 30)
        file.seek(1 << 29)
        file.write(b"middle")
    read = []
    readv = os.readv
    os.readv = lambda *args: read.append(readv(*args)) or read[-1]
    try:
        backup, entries = made(of(tmp_path, path.parent))
    finally:
        os.readv = readv
    assert sum(read) < 1 << 20
    assert (backup.good, entries["data/data/sparse"].size, entries["data/data/sparse"].sparse) == (True, 1 << 30, True)
    assert (tmp_path / "backups" / backup.backup_id / "data" / "data" / "sparse").stat().st_blocks < 1000
