"""Restores that a crash cut off, and whose files are out of reach when they are brought to their end."""

import errno
import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from peak_observe import BackupError, RecoveryManager
from peak_observe.backup_recovery.restore import transaction
from peak_observe.backup_recovery.restore.journal import Journal, Step

from ..conftest import Program

WAY_OUT = "backups`; if that can never be, look at the files that"


class Crash(BaseException):
    """A crash."""


def crash(*_: object) -> None:
    """Crash."""
    raise Crash


@pytest.fixture
def cut_off(
    manager: RecoveryManager, program: Program, monkeypatch: pytest.MonkeyPatch
) -> Callable[[Callable[[Program], object]], Path]:
    """Return a function that changes the program, crashes after the first rename, and returns the journal's path."""

    def cut(change: Callable[[Program], object]) -> Path:
        backup_id = manager.create_backup(include_data=True, include_state=False)
        change(program)
        rename, renamed = os.rename, []

        def once(path: str, to: str) -> None:
            if str(path).endswith(".new"):
                if renamed:
                    raise Crash
                renamed.append(to)
            rename(path, to)

        with monkeypatch.context() as patch, pytest.raises(Crash):
            patch.setattr(transaction.os, "rename", once)
            patch.setattr(transaction.Transaction, "_undo", crash)
            manager.restore(backup_id, config=False, data=True)
        (journal,) = (manager.backup_root / ".peak-observe").glob("restore-*.swapping.json")
        return journal

    return cut


def all_trades_wrong(program: Program) -> None:
    """Change all files of a folder."""
    for path in program.trades.iterdir():
        path.write_text("wrong")


@pytest.mark.parametrize("place", ["a folder that is not there", "an empty mount point"])
def test_a_restore_waits_for_its_disk(
    place: str, manager: RecoveryManager, program: Program, cut_off: Callable[..., Path], tmp_path: Path
) -> None:
    """All files are those of the backup in the end, and until then nothing says so."""
    before = program.picture()
    journal = cut_off(all_trades_wrong)
    program.trades.rename(tmp_path / "disk")
    missing = str(program.trades)
    if place == "an empty mount point":
        program.trades.mkdir()
        missing += "/"
    for _ in range(2):
        with pytest.raises(BackupError) as caught:
            RecoveryManager(manager.backup_root)
        assert f"brought to its end: {missing}" in str(caught.value)
        assert "mount its disk" in str(caught.value)
        assert f"{WAY_OUT} {journal} names" in str(caught.value)
        assert "\n" not in str(caught.value)
    shutil.rmtree(program.trades, ignore_errors=True)
    (tmp_path / "disk").rename(program.trades)
    RecoveryManager(manager.backup_root)
    assert program.picture() == before
    assert not journal.exists()


def test_a_new_file_that_went_away_is_not_taken_for_restored(
    manager: RecoveryManager, program: Program, cut_off: Callable[..., Path]
) -> None:
    """Somebody removed it, or the disk is another one: the old file is there still."""
    cut_off(all_trades_wrong)
    news = sorted(program.trades.glob(".peak-*.new"))
    news[0].unlink()
    with pytest.raises(BackupError, match=r"trades/1\.csv: neither"):
        RecoveryManager(manager.backup_root)


def test_a_file_that_a_program_has_replaced_since_is_restored(
    manager: RecoveryManager, program: Program, cut_off: Callable[..., Path]
) -> None:
    """It took its place, as the old one beside it shows, and what came later is somebody else's."""
    journal = cut_off(all_trades_wrong)
    (program.trades / "later").write_text("later")
    (program.trades / "later").rename(program.trades / "0.csv")
    RecoveryManager(manager.backup_root)
    assert (program.trades / "0.csv").read_text() == "later"
    assert (program.trades / "1.csv").read_text() == "1,64000\n" * 10
    assert not journal.exists()


def test_a_folder_whose_permissions_change_may_be_away(
    manager: RecoveryManager, program: Program, cut_off: Callable[..., Path], tmp_path: Path
) -> None:
    """The message names it, and nothing is lost when it is back."""
    before = program.picture()

    def change(program: Program) -> None:
        all_trades_wrong(program)
        (program.data / "empty").chmod(0o711)

    cut_off(change)
    (program.data / "empty").rename(tmp_path / "away")
    with pytest.raises(BackupError, match=r"data/empty: this folder is not there.*peak-observe backup recover"):
        RecoveryManager(manager.backup_root)
    (tmp_path / "away").rename(program.data / "empty")
    RecoveryManager(manager.backup_root)
    assert program.picture() == before


def test_an_undo_waits_for_its_disk_as_well(
    manager: RecoveryManager, program: Program, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Else the old files would stay away for ever."""
    backup_id = manager.create_backup(include_data=True)
    all_trades_wrong(program)
    before = program.picture()
    with monkeypatch.context() as patch, pytest.raises(Crash):
        patch.setattr(transaction.Transaction, "_sync", crash)
        patch.setattr(transaction.Transaction, "_undo_step", crash)
        manager.restore(backup_id, data=True)
    program.trades.rename(tmp_path / "disk")
    with pytest.raises(BackupError, match="trades: this folder is not there"):
        RecoveryManager(manager.backup_root)
    (tmp_path / "disk").rename(program.trades)
    RecoveryManager(manager.backup_root)
    assert program.picture() == before


def test_an_error_that_leaves_files_between_names_the_journal(
    manager: RecoveryManager, program: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next use of the repository reads it."""
    backup_id = manager.create_backup(include_data=True)
    all_trades_wrong(program)
    before = program.picture()

    def failing(*_: object) -> None:
        raise OSError(errno.EIO, "Input/output error", "/x")

    with monkeypatch.context() as patch, pytest.raises(BackupError) as caught:
        patch.setattr(transaction.Transaction, "_sync", failing)
        patch.setattr(transaction.Transaction, "_undo_step", failing)
        manager.restore(backup_id, data=True)
    (journal,) = (manager.backup_root / ".peak-observe").glob("restore-*.undoing.json")
    assert str(caught.value).startswith("files are between old and new until the next use of the repository")
    assert str(caught.value).endswith(f"as writing failed: Input/output error (/x); {journal} names them")
    RecoveryManager(manager.backup_root)
    assert program.picture() == before


@pytest.mark.parametrize("phase", ["swapping", "undoing"])
def test_a_drill_that_is_gone_is_no_loss(manager: RecoveryManager, tmp_path: Path, phase: str) -> None:
    """Its folder is removed before anything else, and that of temporary files may be empty after a crash."""
    for place in (manager.backup_root, tmp_path / "tmp"):
        folder = place / ".drill-backup_1-0123abcd"
        steps = [Step(str(folder / "config"), 5, 5, tree=True)]
        journal = manager.backup_root / ".peak-observe" / f"restore-x.{phase}.json"
        journal.write_bytes(Journal("x", "backup_1", [], steps).to_json())
        RecoveryManager(manager.backup_root)
        assert not journal.exists()


@pytest.fixture
def stuck(manager: RecoveryManager, program: Program, cut_off: Callable[..., Path], tmp_path: Path) -> RecoveryManager:
    """Return a manager of a repository with the journal of a restore whose disk is not there."""
    cut_off(all_trades_wrong)
    program.trades.rename(tmp_path / "disk")
    return manager


def test_what_has_to_do_with_other_files_goes_on(
    stuck: RecoveryManager, program: Program, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A disk that died in the middle of a restore keeps nobody from restoring to another one."""
    (backup_id,) = (backup.backup_id for backup in stuck.list_backups())
    assert stuck.drill().ok
    stuck.restore(backup_id, data=True, restore_to=tmp_path / "out")
    made = stuck.create_backup(include_data=False)
    stuck.restore(made)
    stuck.cleanup_old_backups(1)
    told = [line for line in caplog.messages if "cannot be brought to its end" in line]
    assert len(told) == 5
    assert all(
        f"{program.trades}: this folder is not there: mount its disk" in line and WAY_OUT in line for line in told
    )


def test_what_has_to_do_with_the_same_files_is_refused(stuck: RecoveryManager, program: Program) -> None:
    """A backup of files between old and new would pass for a good one."""
    (backup_id,) = (backup.backup_id for backup in stuck.list_backups())
    for act in (
        stuck.create_backup,
        lambda: stuck.restore(backup_id, data=True),
        lambda: stuck.restore(backup_id, data=True, moved={str(program.data): str(program.trades / "below")}),
        stuck.recover,
    ):
        with pytest.raises(BackupError, match=f"{program.trades}: this folder is not there.*{WAY_OUT}"):
            act()
    assert len(stuck.list_backups()) == 1


def test_the_warning_says_whether_repository_or_target_is_to_blame(
    manager: RecoveryManager,
    program: Program,
    cut_off: Callable[..., Path],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Each names the path that cannot be written."""
    journal = cut_off(all_trades_wrong)

    def refused(path: Path) -> Callable[..., None]:
        def refuse(*_: object, **__: object) -> None:
            raise OSError(errno.EROFS, "Read-only file system", str(path))

        return refuse

    with monkeypatch.context() as patch:
        patch.setattr(transaction, "keep", refused(program.trades / "1.csv"))
        RecoveryManager(manager.backup_root)
    with monkeypatch.context() as patch:
        patch.setattr("peak_observe.backup_recovery.repository.repository.locked", refused(manager.backup_root))
        RecoveryManager(manager.backup_root)
    target, repository = caplog.messages[-2:]
    assert target.startswith("a restore that a crash cut off cannot be brought to its end: ")
    assert f"{program.trades}/1.csv: Read-only file system; then run `peak-observe backup recover --rep" in target
    assert f"{WAY_OUT} {journal} names" in target
    assert str(manager.backup_root) not in target.replace(str(journal), "").replace(f"y {manager.backup_root}`", "")
    assert repository == (
        f"{manager.backup_root} holds the journal of a restore: cannot recover: Read-only file system "
        f"({manager.backup_root})"
    )


def test_a_drill_that_was_killed_is_no_restore(manager: RecoveryManager, caplog: pytest.LogCaptureFixture) -> None:
    """What it has left goes with the next use of the repository, and counts for nothing."""
    manager.create_backup()

    def kill(_: object) -> None:
        if list(manager.backup_root.glob(".drill-*/.peak-*")):
            os.kill(os.getpid(), signal.SIGKILL)

    child = os.fork()
    if not child:
        try:
            manager.drill(progress=kill)
        finally:
            os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
    assert list((manager.backup_root / ".peak-observe").glob("restore-*"))
    assert sum(RecoveryManager(manager.backup_root)._repository.account().restores.values()) == 0
    assert not list(manager.backup_root.glob(".drill-*"))
    assert not list((manager.backup_root / ".peak-observe").glob("restore-*"))
    assert "cut it off" not in caplog.text
