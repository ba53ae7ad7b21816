"""Hard links in a restore: names of one file are one again, others are not, and none is written through another."""

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from peak_observe import BackupError, RecoveryManager, RestoreRefusedError

from ..conftest import OLD, as_user, picture

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root mounts, and becomes another user")
BOT = 1


@pytest.fixture
def tmp_path(public_path: Path) -> Path:
    """Return a folder that other users get to."""
    return public_path


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Return a folder with two files, `a` and `b`."""
    folder = tmp_path / "d"
    folder.mkdir()
    write(folder / "a", "AAA\n")
    write(folder / "b", "BBB\n")
    return folder


def write(path: Path, text: str) -> None:
    """Write a file that has not changed for long."""
    path.write_text(text)
    os.utime(path, (OLD, OLD))


def link(first: Path, second: Path) -> None:
    """Make a path one more name of a file."""
    second.unlink(missing_ok=True)
    second.hardlink_to(first)


def of(root: Path, *paths: Path) -> RecoveryManager:
    """Return a manager for which these paths are named."""
    made = RecoveryManager(root)
    for path in paths:
        made.data_backup.add_data_path(path)
    return made


@pytest.fixture
def manager(tmp_path: Path, data: Path) -> RecoveryManager:
    """Return a manager for which the folder is named."""
    return of(tmp_path / "backups", data)


def check_refused(manager: RecoveryManager, *problems: str, **options: object) -> None:
    """Check that a dry run and a real one are refused for these reasons."""
    (backup,) = manager.list_backups()
    for dry_run in (True, False):
        with pytest.raises(RestoreRefusedError) as error:
            manager.restore(backup.backup_id, config=False, data=True, dry_run=dry_run, **options)
        assert error.value.reasons == ("blocked",)
        for problem, found in zip(problems, error.value.problems, strict=True):
            assert problem in found
            assert "give each name a file of its own, or restore into another folder" in found


def as_bot(manager: RecoveryManager, data: Path, act: Callable[[RecoveryManager], object]) -> None:
    """Do something as a user to whom the files and backups belong, and the folder of the files does not."""
    (backup,) = manager.list_backups()
    manager.restore(backup.backup_id, data=True, restore_to=data.parent / "first")  # loads all that the child needs
    subprocess.run(["chown", "-R", f"{BOT}:{BOT}", str(manager.backup_root)], check=True)
    for path in data.iterdir():
        os.chown(path, BOT, BOT)
    data.chmod(0o755)
    as_user(BOT, lambda: act(of(manager.backup_root, data)))


def create(manager: RecoveryManager) -> str:
    """Back up the files alone."""
    return manager.create_backup(include_config=False, include_data=True, include_state=False)


ONE = "are one file now, which cannot be replaced where it is, and are not in the backup"
OUTSIDE = "cannot be replaced where it is, and names of its file that are not restored would change with it (1)"


@as_root
def test_two_files_that_are_one_now_are_not_written_through_each_other(manager: RecoveryManager, data: Path) -> None:
    """In a folder that this user may not write the one that was right would get the content of the other."""
    create(manager)
    link(data / "a", data / "b")
    before = picture(data)
    as_bot(manager, data, lambda user: check_refused(user, f"{data}/a and {data}/b {ONE}"))
    assert picture(data) == before


@as_root
@pytest.mark.parametrize("mode", [0o644, 0o600], ids=oct)
def test_a_secret_that_is_one_file_with_another_one_now_is_refused(
    manager: RecoveryManager, data: Path, mode: int
) -> None:
    """Of the same content, which all would read; where it may be read as well, it is written."""
    write(data / "b", "AAA\n")
    (data / "b").chmod(mode)
    backup_id = create(manager)
    link(data / "a", data / "b")
    (data / "a").write_text("wrong\n")
    if mode == 0o600:
        as_bot(manager, data, lambda user: check_refused(user, f"{data}/a and {data}/b {ONE}"))
    else:
        as_bot(manager, data, lambda user: user.restore(backup_id, config=False, data=True))
    assert (data / "b").read_text() == ("wrong\n" if mode == 0o600 else "AAA\n")


@as_root
@pytest.mark.parametrize("named", [False, True])
def test_a_name_outside_of_the_restore_is_not_written_through(
    manager: RecoveryManager, data: Path, tmp_path: Path, named: bool
) -> None:
    """It is in no backup, or in none of what was asked for."""
    create(manager)
    keep = data / "keep" if named else tmp_path / "keep"
    write(keep, "in no backup\n")
    link(keep, data / "b")
    as_bot(manager, data, lambda user: check_refused(user, f"{data}/b {OUTSIDE}", paths="b"))
    as_bot(manager, data, lambda user: check_refused(user, f"{data}/b {OUTSIDE}"))
    assert keep.read_text() == "in no backup\n"


@as_root
def test_names_of_one_file_are_written_where_all_are_restored(manager: RecoveryManager, data: Path) -> None:
    """They were one file in the backup; one of them alone would change the other without a word."""
    link(data / "a", data / "b")
    backup_id = create(manager)
    (data / "a").write_text("wrong\n")
    inode = (data / "a").stat().st_ino

    def act(user: RecoveryManager) -> None:
        check_refused(user, f"{data}/b {OUTSIDE}", paths="b")
        user.restore(backup_id, config=False, data=True)

    as_bot(manager, data, act)
    assert [(path.read_text(), path.stat().st_ino) for path in (data / "a", data / "b")] == [("AAA\n", inode)] * 2


@as_root
def test_what_is_mounted_twice_is_not_written_through(
    manager: RecoveryManager, data: Path, tmp_path: Path, mounted: Callable[..., Path]
) -> None:
    """One file with a single name, as Docker hands it to two places of a container."""
    create(manager)
    live = tmp_path / "live"
    write(live, "AAA\n")
    for name in ("a", "b"):
        mounted("--bind", str(live), on=data / name)
    check_refused(manager, f"{data}/a and {data}/b {ONE}")
    assert live.read_text() == "AAA\n"


@as_root
def test_a_mounted_file_with_another_name_is_not_written_through(
    manager: RecoveryManager, data: Path, tmp_path: Path, mounted: Callable[..., Path]
) -> None:
    """Where it is mounted from nobody sees from here; with a single name it is written."""
    backup_id = create(manager)
    live, keep = tmp_path / "live", tmp_path / "keep"
    write(live, "wrong\n")
    link(live, keep)
    mounted("--bind", str(live), on=data / "b")
    check_refused(manager, f"{data}/b {OUTSIDE}")
    keep.unlink()
    manager.restore(backup_id, config=False, data=True)
    assert live.read_text() == "BBB\n"


@as_root
def test_names_of_one_file_in_a_folder_that_is_mounted_twice_count_once(
    manager: RecoveryManager, data: Path, tmp_path: Path, mounted: Callable[..., Path]
) -> None:
    """Two paths to one name hide no name that is outside."""
    again, keep = tmp_path / "again", tmp_path / "keep"
    again.mkdir()
    mounted("--bind", str(data), on=again)
    create(of(manager.backup_root, data, again))
    write(keep, "in no backup\n")
    link(keep, data / "b")

    def act(user: RecoveryManager) -> None:
        user.data_backup.add_data_path(again)
        check_refused(user, f"{data}/b {OUTSIDE}")

    as_bot(manager, data, act)


def inodes(*paths: Path) -> set[int]:
    """Return which files these are."""
    return {path.lstat().st_ino for path in paths}


def test_names_are_one_file_without_the_first_one(manager: RecoveryManager, data: Path, tmp_path: Path) -> None:
    """The first name of a file is of a part, or a path, that is not asked for."""
    config = tmp_path / "c"
    config.mkdir()
    write(config / "x", "one\n")
    for path in (data / "x", data / "y"):
        link(config / "x", path)
    for name in ("b", "c"):
        link(data / "a", data / name)
    manager.config_backup.add_config(config)
    backup_id = manager.create_backup(include_data=True)
    for number, options in enumerate([{}, {"paths": ["d/b", "d/c", "d/x", "d/y"]}]):
        out = tmp_path / f"out{number}"
        manager.restore(backup_id, config=False, data=True, restore_to=out, **options)
        for names in (("x", "y"), ("b", "c")):
            assert len(inodes(*(out / "data" / "d" / name for name in names))) == 1, names
    for path in (data / "b", data / "x", data / "y"):
        path.unlink()
        write(path, "wrong\n")
    plan = manager.restore(backup_id, config=False, data=True, paths=["d/b", "d/c", "d/x", "d/y"]).plan
    assert plan.replaced == tuple(f"{data}/{name}" for name in "bxy")
    assert [(data / name).read_text() for name in "bcxy"] == ["AAA\n", "AAA\n", "one\n", "one\n"]
    assert (len(inodes(*(data / name for name in "abc"))), len(inodes(data / "x", data / "y"))) == (1, 1)
    assert manager.restore(backup_id, data=True).plan.replaced == (f"{data}/x", f"{data}/y")
    assert len(inodes(config / "x", data / "x", data / "y")) == 1


def test_two_names_that_are_the_same_become_one_file_without_the_first_one(
    manager: RecoveryManager, data: Path
) -> None:
    """Where they are restored alone, the first of the two takes its role."""
    for name in ("b", "c"):
        link(data / "a", data / name)
    backup_id = create(manager)
    (data / "b").unlink()
    write(data / "b", "AAA\n")
    assert len(manager.restore(backup_id, config=False, data=True, paths=["d/b", "d/c"]).plan.replaced) == 1
    assert len(inodes(data / "b", data / "c")) == 1


def test_two_files_that_became_one_are_two_again(manager: RecoveryManager, data: Path, tmp_path: Path) -> None:
    """Of the same content, so that whoever changes one changes no other; a name that is not restored stays with it."""
    for name in ("a", "b", "c"):
        write(data / name, "S\n")
    link(data / "b", data / "e")
    backup_id = create(manager)
    for name in ("b", "c", "e"):
        link(data / "a", data / name)
    link(data / "a", tmp_path / "keep")
    plan = manager.restore(backup_id, config=False, data=True, dry_run=True, paths="d/b").plan
    assert plan.replaced == ()
    plan = manager.restore(backup_id, config=False, data=True).plan
    assert plan.replaced == tuple(f"{data}/{name}" for name in "bce")
    assert len(inodes(*(data / name for name in "abc"))) == 3
    assert inodes(data / "b") == inodes(data / "e")
    assert inodes(data / "a") == inodes(tmp_path / "keep")
    assert manager.restore(backup_id, config=False, data=True).plan.replaced == ()


@as_root
def test_two_files_that_became_one_stay_where_none_can_be_replaced(manager: RecoveryManager, data: Path) -> None:
    """Both hold what they should, and nothing else can be had."""
    write(data / "b", "AAA\n")
    create(manager)
    link(data / "a", data / "b")

    def act(user: RecoveryManager) -> None:
        (backup,) = user.list_backups()
        assert user.restore(backup.backup_id, config=False, data=True).plan.replaced == ()

    as_bot(manager, data, act)
    assert inodes(data / "a") == inodes(data / "b")


@as_root
def test_names_on_another_disk_are_one_file_there(
    manager: RecoveryManager, data: Path, mounted: Callable[..., Path]
) -> None:
    """The first of them that could become no link takes the role of the first name for the others."""
    volume = data / "volume"
    volume.mkdir()
    for name in ("x", "y"):
        link(data / "a", volume / name)
    backup_id = create(manager)
    mounted("-t", "tmpfs", "-o", "size=2m", "none", on=volume)
    manager.restore(backup_id, config=False, data=True)
    assert [(volume / name).read_text() for name in "xy"] == ["AAA\n"] * 2
    assert len(inodes(volume / "x", volume / "y")) == 1


def test_a_backup_that_does_not_tell_names_of_one_file_parts_none(manager: RecoveryManager, data: Path) -> None:
    """One of the original code base has copies only."""
    folder = manager.backup_root / "backup_1734431400000000_20241217_103000_000000"
    for path in (data / "a", data / "b"):
        copy = folder / "data" / "d" / path.name
        copy.parent.mkdir(parents=True, exist_ok=True)
        write(copy, "AAA\n")
    facts = {"backup_id": folder.name, "backup_type": "data", "created_at": "2024-12-17T10:30:00", "status": "success"}
    (folder / "metadata.json").write_text(json.dumps({**facts, "files_count": 2, "error_message": ""}))
    link(data / "a", data / "b")
    assert manager.restore(folder.name, config=False, data=True).plan.replaced == ()
    assert len(inodes(data / "a", data / "b")) == 1


@as_root
def test_an_error_takes_a_file_back_that_was_written_by_both_of_its_names(
    manager: RecoveryManager,
    data: Path,
    tmp_path: Path,
    mounted: Callable[..., Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What the second name held was new by then, so that the first one is taken back last."""
    link(data / "a", data / "b")
    backup_id = create(manager)
    live = tmp_path / "live"
    write(live, "as before\n")
    for name in ("a", "b"):
        mounted("--bind", str(live), on=data / name)

    def failing(*_: object) -> None:
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr("peak_observe.backup_recovery.restore.transaction.change_folders", failing)
        with pytest.raises(BackupError):
            manager.restore(backup_id, config=False, data=True)
    assert live.read_text() == "as before\n"
    manager.restore(backup_id, config=False, data=True)
    assert live.read_text() == "AAA\n"
