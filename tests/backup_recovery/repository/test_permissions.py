"""Nobody but its owner can read a repository, and nothing in it gives somebody the rights of somebody else."""

import logging
import os
import stat
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from peak_observe.backup_recovery import ConfigBackup, DataBackup, RecoveryManager, RetentionPolicy

from ..conftest import Program, as_user

OTHERS = 0o077


def open_to_others(folder: Path) -> list[str]:
    """Return what is in a folder, and itself, that others could read or that gives rights away."""
    paths = [folder, *folder.rglob("*")]
    modes = {str(path): stat.S_IMODE(path.lstat().st_mode) for path in paths if not path.is_symlink()}
    return sorted(path for path, mode in modes.items() if mode & OTHERS or mode & 0o7000)


def test_everything_in_a_repository_is_for_its_owner_only(manager: RecoveryManager, program: Program) -> None:
    """Whatever the modes of the sources, and also while it is written."""
    seen: list[str] = []
    (program.data / "locked").mkdir(mode=0o700)
    (program.data / "locked" / "key").write_text("secret")
    old = os.umask(0)
    try:
        manager.create_backup(progress=lambda _: seen.extend(open_to_others(manager.backup_root)))
        manager.create_backup(incremental=True)
        manager.verify_backup(manager.list_backups()[0].backup_id)
    finally:
        os.umask(old)
    assert seen == open_to_others(manager.backup_root) == []
    assert stat.S_IMODE(manager.backup_root.stat().st_mode) == 0o700


@pytest.mark.parametrize("mode", [0o4755, 0o2755, 0o6711, 0o1777, 0o777, 0o444, 0o040])
def test_a_stored_file_runs_as_nobody_else(manager: RecoveryManager, program: Program, mode: int) -> None:
    """The manifest keeps the mode that the source has."""
    program.config.chmod(mode)
    backup = manager.get_backup(manager.create_backup())
    stored = manager.backup_root / backup.backup_id / "config" / "config.toml"
    assert stat.S_IMODE(stored.stat().st_mode) == 0o400 | (mode & 0o100)
    [entry] = [item for item in manager._repository.manifest(backup).entries if item.stored == "config/config.toml"]
    assert entry.mode == mode


def test_a_plain_copy_runs_as_nobody_else(program: Program, tmp_path: Path) -> None:
    """It keeps the other permissions, as nothing else does; its folders keep theirs."""
    program.config.chmod(0o4755)
    program.trades.chmod(0o2711)
    (program.trades / "0.csv").chmod(0o6664)
    ConfigBackup([program.config]).backup(tmp_path / "config")
    DataBackup([program.data]).backup(tmp_path / "data")
    assert stat.S_IMODE((tmp_path / "config" / "config.toml").stat().st_mode) == 0o755
    assert stat.S_IMODE((tmp_path / "data" / "data" / "trades" / "0.csv").stat().st_mode) == 0o664
    assert stat.S_IMODE((tmp_path / "data" / "data" / "trades").stat().st_mode) == 0o711
    assert stat.S_IMODE((tmp_path / "data").stat().st_mode) == 0o700


def loosen(folder: Path) -> None:
    """Give a repository the modes that older versions gave it."""
    for path in [folder, *folder.rglob("*")]:
        if not path.is_symlink():
            path.chmod(0o755 if path.is_dir() else 0o644)


def test_an_older_repository_is_tightened_with_one_line(
    manager: RecoveryManager, caplog: pytest.LogCaptureFixture
) -> None:
    """By the next run that writes; it lists and restores as before."""
    first = manager.create_backup()
    loosen(manager.backup_root)
    with caplog.at_level(logging.INFO, "peak_observe.backup"):
        manager.create_backup()
        manager.create_backup()
    assert open_to_others(manager.backup_root) == []
    lines = [record.getMessage() for record in caplog.records if "took the right" in record.getMessage()]
    assert len(lines) == 1
    assert str(manager.backup_root) in lines[0]
    assert manager.verify_backup(first).ok


def test_a_folder_that_others_use_stays_open(program: Program, tmp_path: Path) -> None:
    """A repository may have been put into a folder of other things, which is not ours to close."""
    tmp_path.chmod(0o755)
    manager = RecoveryManager(tmp_path)
    manager.config_backup.add_config(program.config)
    backup_id = manager.create_backup()
    loosen(tmp_path / backup_id)
    manager.create_backup()
    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o755
    assert open_to_others(tmp_path / backup_id) == open_to_others(tmp_path / ".peak-observe") == []


def test_a_saved_state_is_for_its_owner_only(manager: RecoveryManager, tmp_path: Path) -> None:
    """It may hold anything that a program knows."""
    manager.state_snapshot.save(tmp_path / "state.json")
    assert open_to_others(tmp_path / "state.json") == []


@contextmanager
def umask(value: int) -> Iterator[None]:
    """Make files with a umask."""
    before = os.umask(value)
    try:
        yield
    finally:
        os.umask(before)


def backed_up(folder: Path) -> RecoveryManager:
    """Make two backups of a file and the output of a command, and read them."""
    manager = RecoveryManager(folder / "backups")
    manager.data_backup.add_data_path(folder / "data")
    manager.data_backup.add_command("pg", ["stat", "-L", "-c", "%a", "/dev/stdout"])
    for _ in range(2):
        assert manager.get_backup(manager.create_backup()).good
    assert manager.drill().ok
    assert not (folder / "backups.dumps").exists()
    return manager


def modes(folder: Path) -> set[int]:
    """Return the modes of a folder and of all that is in it."""
    return {stat.S_IMODE(path.lstat().st_mode) for path in (folder, *folder.rglob("*"))}


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
@pytest.mark.parametrize("value", [0, 0o77, 0o277, 0o777])
def test_a_umask_neither_opens_a_repository_nor_locks_its_owner_out(public_path: Path, value: int) -> None:
    """It is as private as it is and as useful, whatever the umask of the program is; which stays as it was."""
    (public_path / "data").mkdir()
    (public_path / "data" / "file").write_text("x")
    os.chown(public_path, 4711, 4711)

    def act() -> None:
        with umask(value):
            manager = backed_up(public_path)
            assert os.umask(value) == value
        assert modes(manager.backup_root) == {0o700, 0o600, 0o400}

    as_user(4711, act)


ACL = struct.pack("<I", 2) + b"".join(
    struct.pack("<HHI", tag, 7, number) for tag, number in ((1, 2**32 - 1), (2, 4711), (4, 2**32 - 1), (16, 2**32 - 1))
) + struct.pack("<HHI", 32, 5, 2**32 - 1)  # fmt: skip
"""Default access of a folder for its owner, the user 4711, its group and others, as Linux keeps it."""


@pytest.mark.parametrize("kind", ["setgid", "setgid repository", "acl"])
def test_what_a_folder_hands_on_opens_no_repository(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, kind: str
) -> None:
    """The group of a folder above, and what its default ACL lets somebody do; nothing is told of again and again."""
    folder = tmp_path / "shared"
    (folder / "data").mkdir(parents=True)
    (folder / "data" / "file").write_text("x")
    folder.chmod(0o2775)
    if kind == "setgid repository":
        (folder / "backups").mkdir()
        (folder / "backups").chmod(0o2775)
    if kind == "acl":
        try:
            os.setxattr(folder, "system.posix_acl_default", ACL)
        except OSError:
            pytest.skip("the file system has no ACLs")
    with umask(0):
        manager = backed_up(folder)
        with caplog.at_level("INFO", "peak_observe.backup"):
            manager.create_backup()
    assert not [mode for mode in modes(manager.backup_root) if mode & 0o7077 & ~stat.S_ISGID]
    assert "took the right" not in caplog.text
    if kind == "acl" and os.geteuid() == 0:
        stored = manager.backup_root / manager.list_backups()[0].backup_id / "data" / "data" / "file"
        for path in (*stored.parents[:4], folder, tmp_path):
            path.chmod(path.stat().st_mode | 0o001)
        as_user(4711, lambda: _refused(stored))


def _refused(path: Path) -> None:
    with pytest.raises(PermissionError):
        path.read_text()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root works in a repository of somebody else")
@pytest.mark.parametrize("first", ["bot", "root"])
def test_root_locks_the_owner_of_a_repository_not_out(public_path: Path, first: str) -> None:
    """Whatever root looks at, proves or restores there, its owner goes on making and removing backups."""
    (public_path / "data").mkdir()
    (public_path / "data" / "file").write_text("x")
    (public_path / "backups").mkdir(mode=0o700)
    (public_path / "backups" / ".peak-observe").mkdir(mode=0o700)
    for path in (public_path, *public_path.rglob("*")):
        os.chown(path, 4711, 4711)

    def opened() -> RecoveryManager:
        manager = RecoveryManager(public_path / "backups", max_age=3600)
        manager.data_backup.add_data_path(public_path / "data")
        return manager

    def made() -> None:
        manager = opened()
        assert manager.get_backup(manager.create_backup()).good
        manager.prune(RetentionPolicy(last=1))

    if first == "root":
        opened()
    as_user(4711, made)
    root = opened()
    assert root.verify_backup(root.list_backups()[0].backup_id).ok
    assert root.drill().ok
    root.restore(root.list_backups()[0].backup_id, data=True, restore_to=public_path / "out")
    own = public_path / "backups" / ".peak-observe"
    assert {path.name: path.stat().st_uid for path in own.iterdir() if path.stat().st_uid != 4711} == {}
    as_user(4711, made)
    assert len(opened().list_backups()) == 1


def test_a_repository_that_a_link_names_is_tightened(program: Program, tmp_path: Path) -> None:
    """Others could hide all backups otherwise, or exchange them; a link in it is not followed."""
    (tmp_path / "real").mkdir()
    (tmp_path / "real").chmod(0o777)
    (tmp_path / "elsewhere").mkdir(mode=0o755)
    (tmp_path / "real" / ".drill-1").symlink_to("../elsewhere")
    (tmp_path / "link").symlink_to("real")
    manager = RecoveryManager(tmp_path / "link")
    manager.config_backup.add_config(program.config)
    manager.create_backup()
    assert open_to_others(tmp_path / "real") == []
    assert (tmp_path / "link").is_symlink()
    assert stat.S_IMODE((tmp_path / "elsewhere").stat().st_mode) == 0o755


@pytest.mark.parametrize("other", ["files", "sticky"])
def test_a_link_to_what_others_use_tightens_nothing_of_theirs(program: Program, tmp_path: Path, other: str) -> None:
    """Whoever has put the link there: only a folder that is nothing but a repository is closed."""
    (tmp_path / "real").mkdir()
    if other == "files":
        (tmp_path / "real" / "somebody's").write_text("x")
    mode = 0o1777 if other == "sticky" else 0o755
    (tmp_path / "real").chmod(mode)
    (tmp_path / "link").symlink_to("real")
    manager = RecoveryManager(tmp_path / "link")
    manager.config_backup.add_config(program.config)
    manager.create_backup()
    assert stat.S_IMODE((tmp_path / "real").stat().st_mode) == mode
