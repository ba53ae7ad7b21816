"""Folders of a user's own whose permissions keep him out: a restore opens them, and closes them whatever happens."""

import errno
import os
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from peak_observe import BackupError, RecoveryManager, RestoreRefusedError

from ..conftest import Program, as_user, picture

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="permissions keep only other users than root out")
BOT = 1
STEPS = ("os.chmod", "os.chown", "os.rename", "os.link", "os.remove", "os.mkdir", "os.rmdir", "os.utime", "open")
"""Events of the interpreter, of calls that change something or make sure of it."""


@pytest.fixture
def tmp_path(public_path: Path) -> Path:
    """Return a folder that other users get to."""
    return public_path


@pytest.fixture
def bots(manager: RecoveryManager, program: Program, tmp_path: Path) -> Callable[[], RecoveryManager]:
    """Return a function that returns the bot's manager, in a process of the bot, of files that are the bot's."""
    backup_id = manager.create_backup(include_data=True)
    manager.restore(backup_id, data=True, restore_to=tmp_path / "first")  # loads all that the child needs
    subprocess.run(["chown", "-R", f"{BOT}:{BOT}", str(tmp_path)], check=True)

    def made() -> RecoveryManager:
        user = RecoveryManager(manager.backup_root)
        user.data_backup.add_data_path(program.data)
        return user

    return made


def restore(manager: RecoveryManager, **options: object) -> None:
    """Restore the data of the newest backup."""
    manager.restore(manager.list_backups()[0].backup_id, config=False, data=True, **options)


@pytest.mark.parametrize("now", [0o500, 0o300, 0o100, 0o550])
@pytest.mark.parametrize("then", [0o755, 0o500])
def test_the_owner_is_let_in_for_the_time_of_the_restore(
    bots: Callable[[], RecoveryManager], program: Program, now: int, then: int
) -> None:
    """Whether the backup has other permissions or the same; a file that is there and one that is not come back."""

    def act() -> None:
        program.trades.chmod(then)
        user = bots()
        user.create_backup(False, False)
        before = program.picture()
        program.trades.chmod(0o755)
        (program.trades / "0.csv").unlink()
        program.write(program.trades / "1.csv", "after\n")
        program.trades.chmod(now)
        restore(user)
        assert program.picture() == before

    as_user(BOT, act)


def cut_off_at(number: int, act: Callable[[], None]) -> bool:
    """Do something in a child that is killed at a step, and return whether there was one of that number."""
    pid = os.fork()
    if pid == 0:
        seen = 0

        def hear(event: str, _: object) -> None:
            nonlocal seen
            if event in STEPS:
                seen += 1
                if seen == number:
                    os.kill(os.getpid(), 9)

        sys.addaudithook(hear)
        try:
            act()
        finally:
            os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -9


@pytest.mark.parametrize("now", [0o500, 0o300])
@pytest.mark.parametrize("again", [0, 3, 7])
def test_a_crash_at_any_step_leaves_all_old_or_all_new(
    bots: Callable[[], RecoveryManager], program: Program, now: int, again: int, tmp_path: Path
) -> None:
    """The permissions of the folder too, after the next use of the repository, and after one that crashes as well."""

    def spoil() -> None:
        program.trades.chmod(0o755)
        program.write(program.trades / "0.csv", "wrong\n")
        (program.trades / "1.csv").unlink(missing_ok=True)
        os.utime(program.trades / "2.csv", (5, 5))
        program.trades.chmod(now)

    def seen() -> object:
        mode = stat.S_IMODE(program.trades.stat().st_mode)
        program.trades.chmod(0o755)
        return mode, picture(program.trades), list((tmp_path / "backups" / ".peak-observe").glob("restore-*"))

    def act() -> None:
        user = bots()
        spoil()
        old = seen()
        spoil()
        restore(user)
        new, outcomes, number = seen(), [], 0
        assert old != new
        while True:
            number += 1
            spoil()
            if not cut_off_at(number, lambda: restore(bots())):
                break
            # The first steps of each process are those that read the account.
            if again:
                cut_off_at(again + number // 4, bots)
            bots()
            found = seen()
            assert found in (old, new), number
            outcomes.append(found == new)
        assert set(outcomes) == {False, True}
        assert len(outcomes) > 40

    as_user(BOT, act)


def test_an_undo_closes_the_folder_again(
    bots: Callable[[], RecoveryManager], program: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where the restore only got as far as opening it."""

    def failing(*_: object) -> None:
        raise OSError(5, "Input/output error")

    def act() -> None:
        program.write(program.trades / "1.csv", "after\n")
        program.trades.chmod(0o500)
        before = program.picture()
        user = bots()
        for step in ("_stage", "_swap", "_write"):
            with monkeypatch.context() as patch:
                patch.setattr(f"peak_observe.backup_recovery.restore.transaction.Transaction.{step}", failing)
                assert not user.restore_backup(user.list_backups()[0].backup_id, False, restore_data=True)
            assert program.picture() == before
            assert not list((user.backup_root / ".peak-observe").glob("restore-*"))

    as_user(BOT, act)


@pytest.mark.parametrize("error", [KeyboardInterrupt(), OSError(errno.EIO, "Input/output error")])
def test_without_a_journal_no_folder_is_opened(
    bots: Callable[[], RecoveryManager],
    program: Program,
    monkeypatch: pytest.MonkeyPatch,
    error: BaseException,
) -> None:
    """A crash in an undo of nothing would leave them open, and nobody would know."""

    def failing(*_: object, **__: object) -> None:
        raise error

    def act() -> None:
        opened: list[object] = []
        program.write(program.trades / "1.csv", "after\n")
        program.trades.chmod(0o500)
        user = bots()
        with monkeypatch.context() as patch, pytest.raises((KeyboardInterrupt, BackupError)):
            patch.setattr("peak_observe.backup_recovery.restore.transaction.replace_durably", failing)
            patch.setattr(
                "peak_observe.backup_recovery.restore.folder_access.set_access", lambda *of, **_: opened.append(of)
            )
            restore(user)
        assert opened == []

    as_user(BOT, act)


def test_a_folder_that_its_owner_cannot_even_look_into_is_named(
    bots: Callable[[], RecoveryManager], program: Program
) -> None:
    """A plan must not change anything, so the message says what to do."""

    def act() -> None:
        program.trades.chmod(0o600)
        with pytest.raises(RestoreRefusedError, match=rf"Permission denied; `chmod u\+rwx {program.trades}` lets you"):
            restore(bots())
        program.trades.chmod(0o755)

    as_user(BOT, act)


def test_a_folder_of_somebody_else_is_not_opened(bots: Callable[[], RecoveryManager], program: Program) -> None:
    """Its file is written in place, as far as it is the user's own."""
    program.write(program.trades / "1.csv", "after\n")
    os.chown(program.trades / "1.csv", BOT, BOT)
    os.chown(program.trades, 0, 0)
    program.trades.chmod(0o555)
    as_user(BOT, lambda: restore(bots()))
    assert stat.S_IMODE(program.trades.stat().st_mode) == 0o555
    assert (program.trades / "1.csv").read_text() == "1,64000\n" * 10


def test_a_bit_for_the_group_that_could_not_be_put_back_is_not_risked(
    bots: Callable[[], RecoveryManager], program: Program
) -> None:
    """To change the permissions of a folder costs it the bit if its owner does not belong to its group."""
    os.chown(program.trades, BOT, 0)
    program.trades.chmod(0o2755)
    as_user(BOT, lambda: restore(bots()))
    assert stat.S_IMODE(program.trades.stat().st_mode) == 0o2755
