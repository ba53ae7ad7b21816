"""Each run that was asked for and ended without a backup is counted once, so that an alert can fire."""

import signal
import subprocess
import time
from pathlib import Path

import pytest

from peak_observe.backup_recovery.repository.ledger import Ledger
from peak_observe.backup_recovery.repository.locking import locked

from .conftest import PATIENCE, Desk

FILE = '[backup]\nrepository = "backups"\ndata = "data"\nmax_age = "24h"\n'


def account(desk: Desk):
    """Return the ledger of the repository."""
    return Ledger(desk.folder / "backups" / ".peak-observe").load()


def runs(desk: Desk) -> dict[str, int]:
    """Return how many runs ended how, without those that never happened."""
    return {outcome: count for outcome, count in account(desk).runs.items() if count}


def waited_for(path: Path) -> None:
    """Wait until a command has left its sign."""
    deadline = time.monotonic() + PATIENCE
    while not path.exists():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.parametrize(
    ("hooks", "code"),
    [
        ('before = "false"', 1),
        ('before = "no-such-program"', 1),
        ('before = "sleep 60"\ntimeout = 0.2', 1),
        ('before = "false"\nafter = "false"', 1),
    ],
)
def test_a_hook_that_fails_counts_as_a_failed_run(desk: Desk, hooks: str, code: int) -> None:
    """Also the first one of all, with what is promised: each night of it is one failure more, and none is a success."""
    desk.write("peak-observe.toml", f"{FILE}[backup.hooks]\n{hooks}\n")
    assert desk.run("create").code == code
    assert runs(desk) == {"failed": 1}
    assert account(desk).max_age == 86_400
    before = account(desk).last_attempt
    assert desk.run("create").code == code
    assert runs(desk) == {"failed": 2}
    assert account(desk).last_attempt > before > 0
    assert account(desk).running_since == 0


def test_a_hook_that_fails_counts_in_the_repository_of_an_app(desk: Desk) -> None:
    """The module is loaded to find it."""
    desk.write(
        "nightly.py",
        "from peak_observe import RecoveryManager\nrecovery = RecoveryManager('backups')\n"
        "recovery.data_backup.add_data_path('data')\n",
    )
    desk.write("peak-observe.toml", '[backup]\napp = "nightly"\n[backup.hooks]\nbefore = "false"\n')
    assert desk.run("create").code == 1
    assert runs(desk) == {"failed": 1}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("where", ["before", "command"])
def test_a_signal_before_anything_is_read_counts_as_interrupted(desk: Desk, number: int, where: str) -> None:
    """In the hook, and while a command runs."""
    script = f"""["sh", "-c", "touch {desk.folder}/begun; sleep 60"]"""
    table = {"before": "hooks", "command": "commands"}[where]
    desk.write("peak-observe.toml", f"{FILE}[backup.{table}]\n{where} = {script}\n")
    with desk.started("create", stderr=subprocess.PIPE, text=True) as process:
        waited_for(desk.folder / "begun")
        process.send_signal(number)
        _, said = process.communicate(timeout=PATIENCE)
    assert process.returncode == 130, said
    assert runs(desk) == {"interrupted": 1}
    assert not list((desk.folder / "backups").glob(".staging-*"))
    assert not (desk.folder / "backups.dumps").exists()


def test_sigkill_while_a_command_runs_counts_once(desk: Desk) -> None:
    """The next run finds what is left, and takes away what the command had written, whatever the file names now."""
    script = f"""["sh", "-c", "echo half; touch {desk.folder}/begun; exec sleep 5"]"""
    desk.write("peak-observe.toml", f"{FILE}[backup.commands]\npg = {script}\n")
    with desk.started("create") as process:
        waited_for(desk.folder / "begun")
        (left,) = (desk.folder / "backups").glob(".staging-*/.commands")
        assert {path.stat().st_mode & 0o777 for path in left.iterdir()} == {0o600}
        assert left.stat().st_mode & 0o777 == 0o700
        process.kill()
    assert (left / "pg.sql").read_text() == "half\n"
    assert desk.run("list", "--json").json["backups"] == []
    desk.write("peak-observe.toml", FILE)
    assert desk.run("create").code == 0
    assert not left.parent.exists()
    assert not (desk.folder / "backups.dumps").exists()
    assert runs(desk) == {"interrupted": 1, "success": 1}


def test_prune_removes_a_dump_that_sigkill_left_and_no_restored_one(desk: Desk) -> None:
    """A restore puts dumps into the same folder, where they stay."""
    script = f"""["sh", "-c", "touch {desk.folder}/begun; exec sleep 5"]"""
    desk.write("peak-observe.toml", f"{FILE}[backup.commands]\npg = {script}\n[backup.keep]\nlast = 1\n")
    with desk.started("create") as process:
        waited_for(desk.folder / "begun")
        process.kill()
    restored = desk.write("backups.dumps/other.sql", "restored\n")
    assert desk.run("prune").code == 0
    assert [path.name for path in restored.parent.iterdir()] == ["other.sql"]


@pytest.mark.parametrize(
    ("text", "options"),
    [
        (f'{FILE}exclude = ["/"]\n', []),
        (f"{FILE}nonsense = 1\n", []),
        (f'{FILE}[backup.commands]\n"a/b" = "x"\n', []),
        (FILE, ["--only", "state"]),
        (FILE, ["--max-age", "soon"]),
        (FILE, ["--push"]),
        ('[backup]\ndata = "data"\n[backup.keep]\nlast = "x"\n', ["--repository", "backups"]),
    ],
)
def test_a_mistake_counts_where_the_repository_is_there(desk: Desk, text: str, options: list[str]) -> None:
    """Somebody edited the file, and from then on no backup is made in the night."""
    desk.write("peak-observe.toml", FILE)
    assert desk.run("create").code == 0
    desk.write("peak-observe.toml", text)
    assert desk.run("create", *options).code == 2
    assert runs(desk) == {"success": 1, "failed": 1}


NAMED = '[backup]\nrepository = "r"\nname = "bot"\ndata = "data"\n'


@pytest.mark.parametrize(
    ("text", "options", "where"),
    [
        (NAMED, ["--max-age", "nope"], "r"),
        (NAMED, ["--only", "nonsense"], "r"),
        (f"{NAMED}nonsense = 1\n", ["--max-age", "nope"], "r"),
        ('[backup]\nrepository = "r"\nname = 5\n', [], "r"),
        (NAMED, ["--max-age", "nope", "--repository", "other"], "other"),
        (f"{NAMED}nonsense = 1\n", ["--repository", "other"], "other"),
        ('[backup]\nrepository = 5\ndata = "data"\n', ["--repository", "other"], "other"),
        ("[backup", ["--repository", "other"], "other"),
        ('[bakcup]\nrepository = "r"\n', ["--repository", "other"], "other"),
        (NAMED, ["--repository", "other", "--config.file", "missing.toml"], "other"),
        ('[backup]\ndata = "data"\n', ["--max-age", "nope"], "backups"),
        ("[health.bot]\n", ["--data", "data", "--max-age", "nope"], "backups"),
        ('[backup]\nrepository = 5\ndata = "data"\n', [], None),
        ('[backup]\nrepository = ""\ndata = "data"\n', [], None),
        ('[backup]\nrepository = ["r"]\ndata = "data"\n', ["--max-age", "nope"], None),
        ('[backup]\napp = 5\nrepository = "r"\n', [], None),
        ("[backup", [], None),
        ('[bakcup]\nrepository = "r"\n', [], None),
        (NAMED, ["--config.file", "missing.toml"], None),
        (NAMED, ["--max-age", "nope", "--app", "no_such_module"], None),
    ],
)
def test_a_mistake_counts_in_the_repository_that_is_named_or_in_none(
    desk: Desk, text: str, options: list[str], where: str | None
) -> None:
    """Others are there too, and nothing failed in them."""
    places = ("backups", "r", "other")
    for place in places:
        assert desk.run("create", "--repository", place, "--config.file", "peak-backup.toml").code == 0
    desk.write("peak-observe.toml", text)
    assert desk.run("create", *options).code == 2
    failed = {place: Ledger(desk.folder / place / ".peak-observe").load().runs["failed"] for place in places}
    assert failed == {place: int(place == where) for place in places}
    promises = Ledger(desk.folder / "r" / ".peak-observe").load().promises
    assert [promise.name for promise in promises] == ["bot"]


def test_a_mistake_makes_no_repository(desk: Desk) -> None:
    """There is nobody yet whom an alert would tell."""
    desk.write("peak-observe.toml", f"{FILE}nonsense = 1\n")
    assert desk.run("create").code == 2
    assert not (desk.folder / "backups").exists()


def test_a_run_that_another_one_keeps_out_is_not_counted(desk: Desk) -> None:
    """The other one is; exit code 5 says so."""
    desk.write("peak-observe.toml", FILE)
    assert desk.run("create").code == 0
    repository = desk.folder / "backups"
    with locked(repository / ".peak-observe" / "lock", repository, "test"):
        assert desk.run("create").code == 5
    assert runs(desk) == {"success": 1}


def test_a_hook_after_that_fails_is_no_failed_run(desk: Desk) -> None:
    """The backup is there, and counted once."""
    desk.write("peak-observe.toml", f'{FILE}[backup.hooks]\nafter = "false"\n')
    assert desk.run("create").code == 0
    assert runs(desk) == {"success": 1}


def test_a_failed_hook_of_a_restore_is_no_run(desk: Desk) -> None:
    """It made no backup because nobody asked for one."""
    desk.write("peak-observe.toml", FILE)
    assert desk.run("create").code == 0
    desk.write("peak-observe.toml", f'{FILE}[backup.hooks]\nbefore = "false"\n')
    assert desk.run("restore", "latest", "--yes").code == 1
    assert runs(desk) == {"success": 1}
