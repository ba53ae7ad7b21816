"""Commands whose output is backed up."""

import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from peak_observe.backup_recovery import BackupStatus, RecoveryManager
from peak_observe.backup_recovery.create.commands import Command
from peak_observe.errors import RepositoryLockedError


@pytest.fixture
def dumped(tmp_path: Path) -> RecoveryManager:
    """Return a manager for whom nothing is named."""
    return RecoveryManager(tmp_path / "backups")


def made(manager: RecoveryManager):
    """Make a backup, and return what it is."""
    return manager.get_backup(manager.create_backup(include_state=False, include_config=False))


def test_output_is_part_of_the_data(dumped, tmp_path) -> None:
    """It is `data/NAME.sql`, verified and restored as any file, and does not stay beside the repository."""
    dumped.data_backup.add_command("pg", "printf 'create table x;'")
    backup = made(dumped)
    assert (backup.status, list(backup.parts)) == (BackupStatus.SUCCESS, ["data"])
    assert (tmp_path / "backups" / backup.backup_id / "data" / "pg.sql").read_text() == "create table x;"
    assert not (tmp_path / "backups.dumps").exists()
    dumped.restore(backup.backup_id, data=True, restore_to=tmp_path / "out")
    assert (tmp_path / "out" / "data" / "pg.sql").read_text() == "create table x;"
    dumped.restore(backup.backup_id, data=True)
    assert (tmp_path / "backups.dumps" / "pg.sql").read_text() == "create table x;"


@pytest.mark.parametrize(
    ("command", "reason"),
    [
        ([sys.executable, "-c", "print('half'); import sys; sys.exit('no such database')"], "exit code 1: no such dat"),
        (["/bin/sh", "-c", "kill -9 $$"], "signal 9"),
        ("no-such-program --all", "it cannot be started: No such file or directory"),
    ],
)
def test_failed_command_makes_the_backup_partial(dumped, tmp_path, command, reason: str) -> None:
    """Its problem is named, and half a dump does not pass for one."""
    dumped.data_backup.add_command("pg", command)
    dumped.data_backup.add_command("other", "echo fine")
    backup = made(dumped)
    assert backup.status is BackupStatus.PARTIAL
    (problem,) = backup.problems
    assert problem.what.endswith("backups.dumps/pg.sql")
    assert reason in problem.reason
    stored = tmp_path / "backups" / backup.backup_id / "data"
    assert [path.name for path in stored.iterdir()] == ["other.sql"]


def test_command_that_hangs_is_ended_with_all_it_started(dumped, tmp_path) -> None:
    """Its time limit ends the whole pipeline."""
    sign = tmp_path / "still-alive"
    script = f"(sleep 3; touch {sign}) | cat"
    dumped.data_backup.add_command("pg", script, shell=True, timeout=0.3)  # noqa: S604 - the shell is what is tested
    assert "it took longer than 0.3 s" in made(dumped).problems[0].reason
    time.sleep(3.5)
    assert not sign.exists()


def test_background_of_a_command_ends_with_it(tmp_path) -> None:
    """What it leaves in the background neither keeps the backup waiting nor lives on."""
    sign = tmp_path / "still-alive"
    assert Command(f"(sleep 3; touch {sign}) & echo begun", shell=True).run() == ""  # noqa: S604 - the same
    time.sleep(3.5)
    assert not sign.exists()


def test_no_shell_unless_asked_for(dumped, tmp_path) -> None:
    """What a shell would do with a text is not done by itself."""
    dumped.data_backup.add_command("plain", "echo $HOME; echo two")
    dumped.data_backup.add_command("shell", "echo one | tr o O", shell=True)  # noqa: S604 - the same
    backup = made(dumped)
    stored = tmp_path / "backups" / backup.backup_id / "data"
    assert (stored / "plain.sql").read_text() == "$HOME; echo two\n"
    assert (stored / "shell.sql").read_text() == "One\n"


def test_dump_is_never_readable_by_others(dumped, tmp_path) -> None:
    """While it is written only its owner gets to it."""
    dumped.data_backup.add_command("pg", ["/bin/sh", "-c", f"stat -c %a {tmp_path}/backups.dumps/*"])
    backup = made(dumped)
    assert (tmp_path / "backups" / backup.backup_id / "data" / "pg.sql").read_text() == "600\n"


def test_a_folder_that_others_can_enter_is_closed_first(dumped, tmp_path) -> None:
    """Somebody made it, or a restore in an earlier version."""
    (tmp_path / "backups.dumps").mkdir()
    (tmp_path / "backups.dumps").chmod(0o777)
    dumped.data_backup.add_command("pg", ["stat", "-c", "%a", f"{tmp_path}/backups.dumps"])
    backup = made(dumped)
    assert (tmp_path / "backups" / backup.backup_id / "data" / "pg.sql").read_text() == "700\n"


def test_a_run_that_begins_meanwhile_leaves_the_dump_alone(dumped, tmp_path) -> None:
    """It asks for the repository before it runs a command; half a dump would be a success."""
    begun = tmp_path / "begun"
    script = f"echo begin; touch {begun}; sleep 1; echo end"
    dumped.data_backup.add_command("pg", script, shell=True)  # noqa: S604 - the same
    other = RecoveryManager(tmp_path / "backups")
    other.data_backup.add_command("pg", "echo other")
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(made, dumped)
        while not begun.exists():
            time.sleep(0.01)
        with pytest.raises(RepositoryLockedError):
            made(other)
        backup = first.result()
    assert backup.status is BackupStatus.SUCCESS
    assert (tmp_path / "backups" / backup.backup_id / "data" / "pg.sql").read_text() == "begin\nend\n"


def test_commands_do_not_run_without_the_data(dumped, tmp_path) -> None:
    """A backup of the state alone asks no database."""
    sign = tmp_path / "ran"
    dumped.data_backup.add_command("pg", ["touch", str(sign)])
    dumped.state_snapshot.register_provider("x", lambda: 1)
    dumped.create_backup(include_data=False)
    assert not sign.exists()


@pytest.mark.parametrize(
    ("name", "command", "options", "message"),
    [
        ("", "x", {}, "the name of a command"),
        ("a/b", "x", {}, "the name of a command"),
        ("a", "", {}, "it has to be a program"),
        ("a", "'", {}, "is no command"),
        ("a", [], {}, "it has to be a program"),
        ("a", ["x\0"], {}, "it has to be a program"),
        ("a", ["x"], {"shell": True}, "must be a text for the shell"),
        ("a", "x", {"timeout": 0}, "must be a number of seconds above 0"),
        ("a", "x", {"timeout": float("nan")}, "must be a number of seconds above 0"),
    ],
)
def test_commands_that_make_no_sense(dumped, name, command, options, message: str) -> None:
    """Each mistake is named when the command is, and not in the night."""
    with pytest.raises(ValueError, match=message):
        dumped.data_backup.add_command(name, command, **options)
