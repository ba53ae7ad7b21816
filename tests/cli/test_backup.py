"""`peak-observe backup` as a person, a script and a cron job meet it: making, looking, proving, keeping."""

import fcntl
import json
import os
import re
import signal
import sqlite3
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest
import typer
from blake3 import blake3

from peak_observe.backup_recovery import Progress, RecoveryManager
from peak_observe.cli.backup.progress import Lines
from peak_observe.cli.backup.session import guarded
from peak_observe.errors import RestoreCutOff
from peak_observe.testing import ManualClock
from tests.backup_recovery.conftest import as_user
from tests.cli.conftest import Desk

BOT = 65534
NAME = r"backup_\d{16}_\d{8}_\d{6}_\d{6}"
CREATE = ("create", "--config.file", "peak-backup.toml")


def damaged(desk, name: str, path: str = "data/data/trades.csv") -> Path:
    """Change a stored file, and return it."""
    stored = desk.folder / "backups" / name / path
    stored.chmod(0o600)
    stored.write_text("2,64000\n")
    return stored


def names(desk) -> set[str]:
    """Return what is in the repository."""
    return {path.name for path in (desk.folder / "backups").iterdir()}


def test_create_says_what_was_made(desk) -> None:
    """Name, status, files, size and time in one line; a pattern of the file leaves the log out."""
    done = desk.run(*CREATE, "--description", "before the update", "--tag", "daily", "--tag", "v2")
    assert (done.code, done.err) == (0, "")
    assert re.fullmatch(rf"{NAME}  success  2 files, 25 B in \d+\.\d s\n", done.out)
    (backup,) = RecoveryManager(desk.folder / "backups").list_backups()
    assert (backup.description, backup.tags) == ("before the update", ["daily", "v2"])
    assert (desk.folder / "backups" / backup.backup_id / "config" / "config" / "bot.toml").is_file()


def test_create_by_options_alone(desk) -> None:
    """Paths, patterns, name and promise need no file; the repository is backups/ where none is named."""
    options = [
        "--config",
        "config/bot.toml",
        "--data",
        "data",
        "--exclude",
        "*.csv",
        "--max-age",
        "2h",
        "--name",
        "mine",
    ]
    done = desk.run("create", *options, "--json")
    assert (done.code, done.json["files_count"], done.json["status"]) == (0, 2, "success")
    account = json.loads((desk.folder / "backups" / ".peak-observe" / "account.json").read_text())
    assert (account["max_age"], account["kinds"]) == (7200, ["config", "data"])


def test_options_add_to_the_file(desk) -> None:
    """To its lists; of the rest they take the place."""
    desk.write("more.toml", "")
    done = desk.run(*CREATE, "--config", "more.toml", "--exclude", "*.csv", "--repository", "elsewhere", "--json")
    assert done.json["parts"]["config"]["files"] == 2
    assert done.json["parts"]["data"]["files"] == 0
    assert (desk.folder / "elsewhere" / done.json["backup_id"]).is_dir()
    assert not (desk.folder / "backups").exists()


def test_create_only_a_part(desk) -> None:
    """The others stay out, whatever is named for them."""
    assert list(desk.run(*CREATE, "--only", "data", "--json").json["parts"]) == ["data"]


def test_create_incremental(desk) -> None:
    """What did not change stays in the full one, which `show` names."""
    base, name = desk.made(), desk.made("--incremental")
    assert f"incremental, holds what changed since {base}" in desk.run("show", name).out


def test_something_missing_is_partial_and_exit_1(desk) -> None:
    """What is missing is said line by line; --quiet does not hide that."""
    done = desk.run(*CREATE, "--data", "gone.csv", "--quiet")
    assert (done.code, done.out) == (1, "")
    assert done.line == f"not in the backup: {desk.folder}/gone.csv: is missing"
    assert desk.run(*CREATE, "--data", "gone.csv", "--json").json["status"] == "partial"


def test_quiet_says_nothing(desk) -> None:
    """Where all went well."""
    assert desk.run(*CREATE, "-q") == (0, "", "")


def test_the_state_of_an_app_is_backed_up(desk) -> None:
    """A module with a RecoveryManager brings repository, paths and state along."""
    desk.write(
        "bot_of_app.py",
        "from peak_observe import RecoveryManager\n"
        "recovery = RecoveryManager('of-app')\n"
        "recovery.config_backup.add_config('config')\n"
        "recovery.state_snapshot.register_provider('bot', lambda: {'orders': 2})\n",
    )
    done = desk.run("create", "--app", "bot_of_app", "--json")
    assert (done.code, sorted(done.json["parts"])) == (0, ["config", "state"])
    assert done.json["backup_id"] in desk.run("list", "--app", "bot_of_app:recovery").out
    state = desk.run("restore", "latest", "--app", "bot_of_app", "--only", "state", "--json").json
    assert state["state"]["providers"] == {"bot": {"orders": 2}}


def test_list_is_a_table(desk) -> None:
    """The newest first, with whole names and no trailing blanks in a pipe."""
    first, second = desk.made("--tag", "daily", "--description", "[bold]first"), desk.made()
    head, *rows = desk.run("list").out.splitlines()
    assert head.split() == ["backup", "age", "status", "type", "files", "size", "tags", "description"]
    assert [row.split()[0] for row in rows] == [second, first]
    assert re.search(r"success  full +2 +25 B  daily  \[bold\]first$", rows[1])
    assert not any(line.endswith(" ") for line in (head, *rows))


def test_a_backup_of_the_future_is_listed_so(desk) -> None:
    """A clock was ahead when it was made: it has no age."""
    manager = RecoveryManager(desk.folder / "backups", clock=ManualClock(datetime.now(UTC) + timedelta(days=365)))
    manager.config_backup.add_config(desk.folder / "peak-backup.toml")
    name = manager.create_backup()
    assert " in the future " in desk.run("list", "--repository", "backups").out
    assert " UTC, in the future\n" in desk.run("show", name, "--repository", "backups").out


def test_list_chooses_by_tag_and_type(desk) -> None:
    """Several tags add up."""
    daily, weekly, data = desk.made("--tag", "daily"), desk.made("--tag", "weekly"), desk.made("--only", "data")
    for options, expected in (
        (["--tag", "daily"], [daily]),
        (["--tag", "daily", "--tag", "weekly"], [weekly, daily]),
        (["--type", "data"], [data]),
        (["--type", "config"], []),
    ):
        found = desk.run("list", *options, "--json").json
        assert [backup["backup_id"] for backup in found["backups"]] == expected


def test_list_of_an_empty_repository(desk) -> None:
    """Says so."""
    (desk.folder / "backups").mkdir()
    assert desk.run("list").out == "no backups in backups\n"
    assert desk.run("list", "--json").json == {"backups": [], "unreadable": {}, "corrupt": []}


def test_list_shows_what_cannot_be_read(desk) -> None:
    """With the reason, as nobody looks for what is not listed."""
    name = desk.made()
    (desk.folder / "backups" / name / "metadata.json").write_text("{}")
    assert re.search(rf"^{name} +unreadable .*backup_id", desk.run("list").out, re.MULTILINE)
    assert list(desk.run("list", "--json").json["unreadable"]) == [name]
    assert desk.run("show", name[:20]).code == 4
    assert desk.run("verify", name).code == 4


def test_show_tells_all(desk) -> None:
    """Also where the folder lies, for a person with `cp`; the newest by default."""
    desk.made()
    desk.run(*CREATE, "--data", "gone.csv", "--tag", "x")
    name = desk.made("--description", "now", "--tag", "daily")
    out = desk.run("show").out
    assert f"folder       {desk.folder}/backups/{name}" in out
    assert "parts        config: 1 file, 17 B" in out
    assert "description  now" in out
    assert desk.run("show", "latest", "--json").json["folder"] == f"{desk.folder}/backups/{name}"


def test_show_tells_what_is_missing(desk) -> None:
    """And the beginning of a name is enough, with or without its first word."""
    name = desk.run(*CREATE, "--data", "gone.csv", "--json").json["backup_id"]
    for which in (name, name[:30], name[7:23]):
        assert re.search(r"^missing .*gone\.csv: is missing$", desk.run("show", which).out, re.MULTILINE)


def test_what_is_meant_must_be_clear(desk) -> None:
    """An unknown name, one that several begin with, and `latest` where none succeeded."""
    (desk.folder / "backups").mkdir()
    done = desk.run("show")
    assert (done.code, done.line) == (3, "there is no backup 'latest'; none in backups has succeeded")
    first, second = desk.made(), desk.made()
    done = desk.run("show", "backup_")
    assert done.code == 2
    assert done.line == f"'backup_' is the beginning of 2 backups, of {second} too: write more of it"
    done = desk.run("show", "nope")
    assert (done.code, done.line) == (3, f"there is no backup 'nope'; the newest is {second}")
    assert desk.run("show", "../config").code == 3
    assert desk.run("show", "").code == 3
    assert desk.run("show", first).code == 0


def test_latest_is_the_newest_that_succeeded(desk) -> None:
    """A partial one that is newer does not count."""
    good = desk.made()
    desk.run(*CREATE, "--data", "gone.csv")
    assert desk.run("show", "--json").json["backup_id"] == good


def test_verify_says_that_all_is_well(desk) -> None:
    """Of one, or of all that did not fail."""
    first, second = desk.made(), desk.made()
    done = desk.run("verify", first)
    assert done.code == 0
    assert re.fullmatch(rf"{first}  ok  2 files, 25 B in \d+\.\d s\n", done.out)
    reports = desk.run("verify", "--all", "--json").json
    assert [(report["backup_id"], report["ok"]) for report in reports] == [(second, True), (first, True)]


def test_verify_of_all_goes_on_past_a_backup_that_is_pruned_meanwhile(desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that is gone is noted; asked for by its name, it is an error."""
    first, second = (desk.run(*CREATE, "--json").json["backup_id"] for _ in range(2))
    verify = RecoveryManager.verify_backup

    def late(manager, backup_id, **options):
        if backup_id == first:
            manager.delete_backup(first)
        return verify(manager, backup_id, **options)

    monkeypatch.setattr(RecoveryManager, "verify_backup", late)
    done = desk.run("verify", "--all")
    assert (done.code, done.out.split()[:2]) == (0, [second, "ok"])
    assert done.line == f"{first} was removed meanwhile, so it was not verified"
    assert desk.run("verify", first).code == 3


def test_verify_of_all_goes_on_past_a_backup_that_cannot_be_read(desk) -> None:
    """As one of a newer version: it is told, and the exit code tells it too."""
    first, second = (desk.run(*CREATE, "--json").json["backup_id"] for _ in range(2))
    metadata = desk.folder / "backups" / first / "metadata.json"
    found = {**json.loads(metadata.read_text()), "colour": "red", "checksum": ""}
    found["checksum"] = blake3(msgspec.json.encode(found)).hexdigest()
    metadata.chmod(0o600)
    metadata.write_bytes(msgspec.json.encode(found))
    done = desk.run("verify", "--all")
    assert (done.code, done.out.split()[:2]) == (7, [second, "ok"])
    assert "a newer peak-observe wrote it, with 'colour'; use that version" in done.line


def test_verify_names_what_changed_and_is_exit_4(desk) -> None:
    """Each file on a line of its own."""
    name = desk.made()
    damaged(desk, name)
    done = desk.run("verify")
    assert done.code == 4
    assert done.out.startswith(f"{name}  CORRUPT  ")
    assert done.line == f"{name}: data/data/trades.csv: its content has changed"
    assert desk.run("verify", "--json").json["ok"] is False
    assert desk.run("verify", "--all", "-q").code == 4


def test_what_was_found_to_be_corrupt_is_listed_so(desk) -> None:
    """And not as the success that it was; so is what is based on it."""
    name = desk.made()
    based = desk.run(*CREATE, "--incremental", "--json").json["backup_id"]
    assert desk.run("list", "--json").json["corrupt"] == []
    damaged(desk, name)
    assert desk.run("verify", name).code == 4
    newest, oldest = desk.run("list").out.splitlines()[1:]
    assert "corrupt" in newest
    assert "corrupt" in oldest
    assert "success" not in newest + oldest
    assert desk.run("list", "--json").json["corrupt"] == [name]
    for each in (name, based):
        assert "corrupt" in desk.run("show", each).out
        assert desk.run("show", each, "--json").json["corrupt"] is True


def test_a_failed_backup_is_not_verified(desk, monkeypatch) -> None:
    """There is nothing in it; it says why it failed."""

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device", "/mnt/x")

    with monkeypatch.context() as patch:
        patch.setattr("peak_observe.backup_recovery.create.writer.StagingWriter.take", full)
        done = desk.run(*CREATE)
    expected = "no backup was made: No space left on device (/mnt/x); older backups are as they were"
    assert (done.code, done.line) == (1, expected)
    ((failed,),) = [desk.run("list", "--json").json["backups"]]
    done = desk.run("verify", failed["backup_id"])
    assert done.code == 1
    assert "failed, so there is nothing to verify: OSError" in done.line
    assert desk.run("verify", "--all", "--json").json == []


def test_drill_proves_the_newest(desk) -> None:
    """And leaves nothing behind, with 4 for one that is damaged and 3 where there is none."""
    (desk.folder / "backups").mkdir()
    assert desk.run("drill").code == 3
    name = desk.made()
    assert desk.run("drill", "--json").json["ok"] is True
    assert names(desk) == {".peak-observe", name}
    damaged(desk, name)
    done = desk.run("drill")
    assert (done.code, done.line) == (4, f"backup {name} is corrupt: data/data/trades.csv: its content has changed")


def test_prune_shows_and_then_does(desk) -> None:
    """With the reasons of what stays; the file says how many."""
    first, second, third = desk.made(), desk.made(), desk.made()
    for options, verb in ((["--dry-run"], "would remove"), ([], "removed")):
        done = desk.run("prune", "--config.file", "peak-backup.toml", *options)
        assert (done.code, done.err) == (0, "")
        keep, *kept, gone, removed = done.out.splitlines()
        assert (keep, gone) == ("keep 2", f"{verb} 1")
        assert [row.split(maxsplit=1) for row in kept] == [[third, "last good, last"], [second, "last"]]
        assert removed.startswith(f"{first}  success, ")
    assert [backup["backup_id"] for backup in desk.run("list", "--json").json["backups"]] == [third, second]


def test_rules_of_the_command_line_replace_those_of_the_file(desk) -> None:
    """All of them: one that a tag keeps stays, the rest of the file is not asked."""
    tagged, _, newest = desk.made("--tag", "release"), desk.made(), desk.made()
    found = desk.run("prune", "--config.file", "peak-backup.toml", "--keep-tag", "release", "--json").json
    assert found["dry_run"] is False
    assert [(kept["backup_id"], kept["reasons"]) for kept in found["keep"]] == [
        (newest, ["last good"]),
        (tagged, ["tag 'release'"]),
    ]
    assert len(found["remove"]) == 1


@pytest.mark.parametrize("rule", ["last", "hourly", "daily", "weekly", "monthly", "yearly"])
def test_each_rule_of_prune(desk, rule: str) -> None:
    """Keeps the newest, and says which rule it was; --within does too."""
    desk.made()
    found = desk.run("prune", f"--{rule}", "1", "--within", "2d", "--dry-run", "--json").json
    assert found["keep"][0]["reasons"] == ["last good", rule, "within 2 days, 0:00:00"]


def test_prune_quietly(desk) -> None:
    """Nothing is said."""
    desk.made()
    assert desk.run("prune", "--last", "1", "--quiet") == (0, "", "")


def test_diff_of_two_backups_and_of_now(desk) -> None:
    """Counts and paths; names that a terminal would act upon are written out."""
    before = desk.made()
    desk.write("config/bot.toml", "pair = 'ETH/USD'\n")
    after = desk.made()
    desk.write("data/\x1b[31mnew", "")
    (desk.folder / "data" / "trades.csv").unlink()
    done = desk.run("diff", before, after)
    assert done.out.splitlines() == [
        f"from {before} to {after}",
        "added    0",
        "removed  0",
        f"changed  1  {desk.folder}/config/bot.toml",
        "same  1",
    ]
    done = desk.run("diff", "latest", "--config.file", "peak-backup.toml")
    assert done.out.splitlines() == [
        f"from {after} to now",
        f"added    1  {desk.folder}/data/\\x1b[31mnew",
        f"removed  1  {desk.folder}/data/trades.csv",
        "changed  0",
        "same  1",
    ]
    found = desk.run("diff", before, after, "--json").json
    assert found == {
        "before": before,
        "after": after,
        "added": [],
        "removed": [],
        "changed": [f"{desk.folder}/config/bot.toml"],
        "same": 1,
        "unreadable": {},
        "times": [],
    }


@pytest.fixture
def public_desk(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    """Return a folder that another user gets to."""
    with tempfile.TemporaryDirectory(prefix="peak-observe-test-") as folder:
        Path(folder).chmod(0o755)
        yield Desk(Path(folder), capsys, monkeypatch)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has files that others cannot read")
def test_diff_names_what_it_cannot_read(public_desk) -> None:
    """One line each, beside what could be compared, and exit code 1; with `--json` too."""
    desk = public_desk
    before = desk.made()
    for path in (desk.folder, *desk.folder.rglob("*")):
        os.chown(path, BOT, BOT)
    trades = desk.folder / "data" / "trades.csv"
    os.chown(trades, 0, 0)
    trades.chmod(0o600)
    reason = "cannot be read: Permission denied"

    def compare() -> None:
        done = desk.run("diff", before, "--config.file", "peak-backup.toml")
        assert (done.code, done.line) == (1, f"{trades}: {reason}")
        assert done.out.splitlines()[1:] == ["added    0", "removed  0", "changed  0", "same  1"]
        done = desk.run("diff", before, "--config.file", "peak-backup.toml", "--json")
        assert (done.code, done.json["changed"], done.json["unreadable"]) == (1, [], {str(trades): reason})

    as_user(BOT, compare)


def test_a_long_list_is_cut(desk) -> None:
    """After ten paths; JSON has them all."""
    before = desk.made()
    for number in range(12):
        desk.write(f"data/{number:02}.csv", "")
    out = desk.run("diff", before).out
    assert "data/09.csv" in out
    assert "data/10.csv" not in out
    assert "… and 3 more" in out  # the log is new too, as no pattern is given here
    assert len(desk.run("diff", before, "--json").json["added"]) == 13


def test_a_second_writer_is_told_who_is_first(desk) -> None:
    """With exit code 5."""
    desk.made()
    with (desk.folder / "backups" / ".peak-observe" / "lock").open("r+") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        done = desk.run(*CREATE)
    assert done.code == 5
    assert re.fullmatch(r"\S*backups is in use by process \d+ on .*: wait until that has ended", done.line)


def test_a_repository_that_is_none_is_not_made(desk) -> None:
    """A misspelt folder is no empty repository for those who only look."""
    for command in (["list"], ["show"], ["verify"], ["drill"], ["prune", "--last", "1"], ["restore", "latest"]):
        done = desk.run(*command, "--repository", "bakcups")
        assert done.code == 2
        assert done.line == "there is no repository bakcups: --repository, --config.file or --app names another"
    assert not (desk.folder / "bakcups").exists()


@pytest.mark.parametrize(
    ("args", "line"),
    [
        (["create"], "nothing to back up: give --config PATH, --data PATH, --config.file FILE or --app MODULE"),
        (
            ["create", "--config", "config", "--only", "dta"],
            "--only: there is no part 'dta'; there are config, state, data",
        ),
        (
            ["create", "--config", "config", "--only", "data"],
            "nothing is named for data: there is nothing to back up",
        ),
        (
            ["create", "--config", "config", "--max-age", "soon"],
            "--max-age: it has to be more than 0 seconds, or a time like '24h' (s, min, h, d, w), not 'soon'",
        ),
        (
            ["create", "--config", "config", "--exclude", "/"],
            "exclude must be patterns like '*.log' or 'cache/', not ('/',)",
        ),
        (
            ["create", "--config", "config", "--tag", "\udcff"],
            r"tags must be text that UTF-8 can hold, not '\udcff'",
        ),
        (
            ["create", "--app", "no_such_bot"],
            "cannot load 'no_such_bot': no module 'no_such_bot' is installed or in the",
        ),
        (["create", "--app", "json"], "cannot load 'json': it is no RecoveryManager and has none named recovery, "),
        (["create", "--app", "json:dumps"], "cannot load 'json:dumps': it is no RecoveryManager"),
        (["create", "--app", "x", "--name", "y"], "the RecoveryManager of x has its own name: leave that out"),
        (["prune"], "nothing says what to keep: give --last N or another rule, or a table [backup.keep]"),
        (["prune", "--last", "0"], "the policy is empty: set one of last, hourly, "),
        (["prune", "--within", "0h"], "--within: it has to be more than 0 seconds, "),
        (["list", "--config.file", "none.toml"], "none.toml: No such file or directory"),
    ],
)
def test_wrong_usage_is_one_line_and_exit_2(desk, args: list[str], line: str) -> None:
    """It names what is wrong and the mend; nothing is made."""
    done = desk.run(*args)
    assert (done.code, done.out) == (2, "")
    assert done.line.startswith(line)
    assert not (desk.folder / "backups" / "metadata.json").exists()


def test_what_the_system_refuses_is_one_line(desk) -> None:
    """Also where no error of ours tells of it."""
    desk.write("backups", "a file")
    done = desk.run(*CREATE)
    line = f"cannot make the repository {desk.folder}/backups: what is there is no folder"
    assert (done.code, done.line) == (1, line)
    (desk.folder / "backups").unlink()
    desk.made()
    lock = desk.folder / "backups" / ".peak-observe" / "lock"
    lock.unlink()
    lock.mkdir()
    done = desk.run(*CREATE)
    assert (done.code, done.line) == (1, f"cannot make a backup: Is a directory ({lock})")


def test_a_warning_of_the_core_is_a_line(desk) -> None:
    """A backup without a manifest proves nothing, which has to be said."""
    folder = desk.folder / "backups" / "backup_1700000000000000_20231114_221320_000000"
    (folder / "config" / "config").mkdir(parents=True)
    (folder / "config" / "config" / "bot.toml").write_text("old")
    text = '{"backup_id": "%s", "backup_type": "config", "created_at": "2023-11-14T22:13:20", "status": "success"}'
    (folder / "metadata.json").write_text(text % folder.name)
    done = desk.run("restore", "latest", "--config", "config", "--yes")
    assert done.code == 0
    assert done.line == f"{folder.name} has no manifest: nothing proves that its files are what they were"
    assert desk.read("config/bot.toml") == "old"


@contextmanager
def locked_database(desk) -> Iterator[sqlite3.Connection]:
    """Keep a database of the data locked, so that its backup waits."""
    with closing(sqlite3.connect(desk.folder / "data" / "orders.db", isolation_level=None)) as database:
        database.execute("CREATE TABLE orders (x)")
        database.execute("BEGIN EXCLUSIVE")
        database.execute("INSERT INTO orders VALUES (1)")
        yield database


def test_a_terminal_shows_how_far_it_is(desk) -> None:
    """A bar for what takes more than a second, which is gone at the end; --quiet has none."""
    with locked_database(desk) as database:
        done = desk.at_terminal(
            *CREATE, seen="/2 files", answer=lambda _: database.in_transaction and database.rollback()
        )
    assert done.code == 0
    assert re.search(r"data .*0\.0/8\.0 KiB.* 0/2 files", done.out)
    assert re.search(rf"{NAME}  success", done.out)
    assert "files" not in desk.at_terminal("verify", "-q").out
    assert "━" not in desk.at_terminal("verify").out


def test_a_log_gets_lines_of_how_far_it_is(
    desk, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    """With bytes, rate and the time that is left, seldom enough for a mail of cron."""
    clock = iter([0.0, 0.0, 0.5, 2.0, 3.0, 12.0, 13.0, 40.0, 70.0])
    monkeypatch.setattr("time.monotonic", lambda: next(clock))
    tell = Lines()
    for done in range(8):
        tell(Progress("data", done, 9, done << 20, 9 << 20))
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "peak-observe: data: 2 of 9 files, 2 MiB of 9 MiB, 1 MiB/s, 7.0 s left"
    assert [line.split(", ")[0] for line in lines] == [
        f"peak-observe: data: {done} of 9 files" for done in (2, 4, 6, 7)
    ]


def test_a_narrow_terminal_gets_short_names(desk) -> None:
    """Which are enough to say which is meant."""
    name = desk.made()
    out = desk.at_terminal("list").out
    assert name[7:23] in out
    assert name not in out
    assert desk.run("show", name[7:23]).code == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_interrupted_it_leaves_nothing_half_done(desk, number: int) -> None:
    """Exit 130, one line, no staging folder; the account counts it."""
    with locked_database(desk), desk.started(*CREATE, stdout=-1, stderr=-1) as process:
        while not list(desk.folder.glob("backups/.staging-*/data/data/*.db")):
            time.sleep(0.01)
        process.send_signal(number)
        out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (130, b"")
    assert err == b"peak-observe: interrupted; no backup and no file is left half done\n"
    assert names(desk) == {".peak-observe"}
    account = json.loads((desk.folder / "backups" / ".peak-observe" / "account.json").read_text())
    assert account["runs"]["interrupted"] == 1


def test_a_reader_that_leaves_early_is_no_error_to_tell(desk) -> None:
    """As with `| head`."""
    desk.made()
    reader, writer = os.pipe()
    os.close(reader)
    with desk.started("list", stdout=writer, stderr=-1) as process:
        os.close(writer)
        _, err = process.communicate(timeout=60)
    assert b"Traceback" not in err


def test_prune_groups_by_part_and_path_unless_told_otherwise(desk) -> None:
    """Backups of the configuration do not push out the data, and a wrong grouping is named."""
    full = desk.made()
    configs = [desk.made("--only", "config") for _ in range(3)]
    for group_by, kept in (
        ((), [*configs[:0:-1], full]),
        (("--group-by", "part"), [*configs[:0:-1], full]),
        (("--group-by", "none"), [*configs[:0:-1], full]),
    ):
        found = desk.run("prune", "--last", "2", *group_by, "--dry-run", "--json").json
        assert [item["backup_id"] for item in found["keep"]] == kept
    reasons = {item["backup_id"]: item["reasons"] for item in found["keep"]}
    assert reasons[full][0].startswith("last good of data ")
    done = desk.run("prune", "--last", "2", "--group-by", "host", "--dry-run")
    assert (done.code, done.line) == (2, "group_by must be 'part', 'root', both or none, not 'host'")
    done = desk.run("prune", "--config.file", "peak-backup.toml", "--group-by", "host", "--dry-run")
    assert (done.code, done.line) == (2, "group_by must be 'part', 'root', both or none, not 'host'")


def test_a_misspelt_table_of_the_file_is_an_error(desk) -> None:
    """It is not passed over as one of another command."""
    desk.write("peak-observe.toml", '[bakcup]\nrepository = "store"\n')
    done = desk.run("create", "--data", "data")
    assert (done.code, "did you mean [backup] where it says [bakcup]?" in done.line) == (2, True)


def test_a_file_that_is_a_link_to_nothing_is_an_error(desk) -> None:
    """It is not passed over as if there were none."""
    (desk.folder / "peak-observe.toml").symlink_to("elsewhere.toml")
    done = desk.run("create", "--data", "data")
    assert (done.code, done.line) == (2, "peak-observe.toml: No such file or directory")


def test_ctrl_c_once_more_does_not_hide_where_files_stand(capsys: pytest.CaptureFixture[str]) -> None:
    """Files between old and new are told of, also if another Ctrl-C came while the error was on its way."""

    @guarded
    def command() -> None:
        try:
            raise RestoreCutOff("backups", "restore.json")
        except RestoreCutOff:
            raise KeyboardInterrupt from None

    with pytest.raises(typer.Exit):
        command()
    assert "files are between old and new (see restore.json)" in capsys.readouterr().err


def test_a_terminal_that_is_gone_does_not_end_what_nohup_runs() -> None:
    """SIGHUP stays ignored where it was, and is what it was afterwards."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        guarded(signal.raise_signal)(signal.SIGHUP)
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)
    with pytest.raises(typer.Exit):
        guarded(signal.raise_signal)(signal.SIGHUP)
    assert signal.getsignal(signal.SIGHUP) is before


def test_caches_that_are_left_out_are_told_in_one_line(desk) -> None:
    """Of `create` and of `show`; nothing is missing for that."""
    for number in range(5):
        desk.write(f"data/cache{number}/CACHEDIR.TAG", "Signature: 8a477f597d28d172789f06886806bc55")
        desk.write(f"data/cache{number}/precious", "x")
    done = desk.run("create", "--config.file", "peak-backup.toml")
    assert (done.code, done.err) == (0, "")
    line = done.out.splitlines()[1]
    assert line.startswith("left out  caches and repositories of backups: what is in ")
    assert "; and 2 more is not kept" in line
    assert line.removeprefix("left out  ") in desk.run("show", "--config.file", "peak-backup.toml").out
    assert desk.run("create", "--config.file", "peak-backup.toml", "--quiet").out == ""


def test_a_folder_without_a_file_in_the_backup_is_told(desk) -> None:
    """All of it may be excluded, or it is empty, as where its disk is not mounted; the backup is a good one."""
    for name in ("full", "void"):
        desk.write(f"{name}/x", "x")
    (desk.folder / "void" / "x").unlink()
    options = ["--repository", "r", "--config", "config", "--data", "void", "--data", "full"]
    done = desk.run("create", *options, "--exclude", "x")
    assert done.code == 0
    said = "peak-observe: left out: folders without a file in the backup: "
    assert done.err.splitlines() == [
        f"{said}{desk.folder}/full: everything in it is excluded, or in caches and repositories of backups",
        f"{said}{desk.folder}/void: there is no file in it",
    ]
    assert desk.run("create", *options, "--quiet").err == ""
