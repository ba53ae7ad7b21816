"""Commands whose output is backed up."""

import os
import stat
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from peak_observe.backup_recovery import BackupStatus, DataBackup, RecoveryManager, RetentionPolicy
from peak_observe.backup_recovery.create.commands import Command
from peak_observe.errors import RepositoryLockedError
from peak_observe.support.child_process import UNKNOWN

from ..conftest import as_user


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
        ("true", "it printed nothing, and a dump is never empty"),
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


def test_a_pipeline_fails_where_any_part_does(dumped) -> None:
    """What the first one could not dump must not be a dump because the last one was content."""
    dumped.data_backup.add_command("pg", "(echo half; exit 3) | cat", shell=True)  # noqa: S604 - the shell is what is tested
    assert made(dumped).problems[0].reason == "its command failed, exit code 3"


def test_a_command_whose_exit_code_is_lost_has_failed(tmp_path) -> None:
    """As in a program that ignores the ends of its children: nothing proves that the dump is whole."""
    program = """
import signal, sys
from peak_observe import RecoveryManager
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
manager = RecoveryManager(sys.argv[1])
manager.data_backup.add_command("pg", ["sh", "-c", "echo half; exit 3"])
backup = manager.get_backup(manager.create_backup(include_state=False))
print(backup.status.value, backup.problems[0].reason)
"""
    done = subprocess.run(
        [sys.executable, "-c", program, tmp_path / "backups"], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.strip() == f"partial its command failed, {UNKNOWN}"


def test_command_that_hangs_is_ended_with_all_it_started(dumped, tmp_path) -> None:
    """Its time limit ends the whole pipeline."""
    sign = tmp_path / "still-alive"
    script = f"(sleep 3; touch {sign}) | cat"
    dumped.data_backup.add_command("pg", script, shell=True, timeout=0.3)  # noqa: S604 - the same
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
    dumped.data_backup.add_command("pg", ["stat", "-L", "-c", "%a", "/dev/stdout"])
    backup = made(dumped)
    assert (tmp_path / "backups" / backup.backup_id / "data" / "pg.sql").read_text() == "600\n"


def test_a_folder_that_others_can_enter_gets_no_dump_and_stays_as_it_is(dumped, tmp_path) -> None:
    """Somebody made it, or a restore in an earlier version; what is written lies in a folder that is closed."""
    (tmp_path / "backups.dumps").mkdir()
    (tmp_path / "backups.dumps").chmod(0o777)
    script = f'stat -c %a "$(dirname "$(readlink /proc/$$/fd/1)")"; ls {tmp_path}/backups.dumps'
    dumped.data_backup.add_command("pg", ["sh", "-c", script])
    backup = made(dumped)
    assert (tmp_path / "backups" / backup.backup_id / "data" / "pg.sql").read_text() == "700\n"
    assert stat.S_IMODE((tmp_path / "backups.dumps").stat().st_mode) == 0o777


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_a_link_that_others_put_in_the_place_of_the_folder_is_not_followed(public_path) -> None:
    """Where others may write beside the repository, they must not choose what is opened, closed or removed."""
    public_path.chmod(0o777)
    victim = public_path / "victim"
    victim.mkdir()
    victim.chmod(0o755)
    (victim / "pg.sql").write_text("victim's")
    as_user(65534, lambda: (public_path / "backups.dumps").symlink_to("victim"))
    manager = RecoveryManager(public_path / "backups")
    manager.data_backup.add_command("pg", "echo dump")
    backup = made(manager)
    assert backup.status is BackupStatus.SUCCESS
    assert stat.S_IMODE(victim.stat().st_mode) == 0o755
    assert (victim / "pg.sql").read_text() == "victim's"
    assert (public_path / "backups" / backup.backup_id / "data" / "pg.sql").read_text() == "dump\n"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_what_others_put_in_the_place_of_a_dump_is_not_stored(public_path) -> None:
    """Neither a secret that a link leads to, nor a forged dump: a backup holds what the command wrote."""
    public_path.chmod(0o777)
    secret = public_path / "secret"
    secret.write_text("hunter2")
    secret.chmod(0o600)
    (public_path / "forged").write_text("forged\n")
    folder = public_path / "backups.dumps"
    as_user(65534, folder.mkdir)
    become = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "sh", "-c"]
    manager = RecoveryManager(public_path / "backups")
    manager.data_backup.add_command(
        "pg", [*become, f"echo dump; rm -f {folder}/pg.sql; ln -s {secret} {folder}/pg.sql"]
    )
    manager.data_backup.add_command("my", [*become, f"echo dump; rm -f {folder}/my.sql; echo forged >{folder}/my.sql"])
    backup = made(manager)
    assert backup.status is BackupStatus.SUCCESS
    stored = public_path / "backups" / backup.backup_id / "data"
    assert {path.name: path.read_text() for path in stored.iterdir()} == {"pg.sql": "dump\n", "my.sql": "dump\n"}


def test_a_restored_dump_stays(dumped, tmp_path) -> None:
    """The next backup in the night must not take it away before its owner has loaded it, nor keep it as the new one."""
    dumped.data_backup.add_command("pg", "echo dump")
    dumped.restore(made(dumped).backup_id, data=True)
    restored = tmp_path / "backups.dumps" / "pg.sql"
    restored.write_text("as of then\n")
    backup = made(dumped)
    assert restored.read_text() == "as of then\n"
    assert (tmp_path / "backups" / backup.backup_id / "data" / "pg.sql").read_text() == "dump\n"
    dumped.data_backup.add_command("bad", "false")
    assert [problem.what for problem in made(dumped).problems] == [str(tmp_path / "backups.dumps" / "bad.sql")]
    dumped.prune(RetentionPolicy(last=1))
    assert restored.read_text() == "as of then\n"


def test_a_restored_dump_in_a_named_folder_does_not_come_back_for_the_new_one(tmp_path) -> None:
    """Where the folder around the repository is named as well, one path would have two contents."""
    (tmp_path / "bot").mkdir()
    (tmp_path / "link").symlink_to("bot")
    manager = RecoveryManager(tmp_path / "link" / "backups")
    manager.data_backup.add_data_path(tmp_path / "bot")
    manager.data_backup.add_command("pg", "echo new")
    folder = tmp_path / "bot" / "backups.dumps"
    folder.mkdir(0o700)
    (folder / "pg.sql").write_text("old\n")
    (folder / "other.sql").write_text("other\n")
    backup = made(manager)
    assert backup.status is BackupStatus.SUCCESS
    stored = tmp_path / "bot" / "backups" / backup.backup_id / "data"
    assert [path.name for path in (stored / "bot" / "backups.dumps").iterdir()] == ["other.sql"]
    manager.restore(backup.backup_id, data=True)
    assert (folder / "pg.sql").read_text() == "new\n"


def test_what_is_restored_of_a_failed_command_is_not_taken_for_its_output(dumped, tmp_path) -> None:
    """Its old dump lies where the new one belongs; the repository is reached by a link."""
    (tmp_path / "link").symlink_to("backups")
    manager = RecoveryManager(tmp_path / "link")
    manager.data_backup.add_command("pg", "false")
    (tmp_path / "link.dumps").mkdir()
    (tmp_path / "link.dumps" / "pg.sql").write_text("old\n")
    backup = made(manager)
    (problem,) = backup.problems
    assert (backup.files_count, problem.what) == (0, str(tmp_path / "link.dumps" / "pg.sql"))
    assert problem.reason == "its command failed, exit code 1"


def test_output_is_part_of_data_without_a_repository(tmp_path, caplog) -> None:
    """A plain copy holds it as well, and nothing else; the log tells of a command that failed."""
    data = DataBackup()
    data.add_command("pg", "echo dump")
    data.add_command("bad", "false")
    assert data.backup(tmp_path / "copy") == (1, 5)
    assert {path.name: path.read_text() for path in (tmp_path / "copy").iterdir()} == {"pg.sql": "dump\n"}
    assert "its command failed, exit code 1" in caplog.text


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
