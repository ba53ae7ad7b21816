"""`peak-observe backup restore`: nothing is overwritten before a person has seen it and said yes."""

import re
import signal
import stat

import pytest

from peak_observe.backup_recovery import StateSnapshot
from peak_observe.backup_recovery.restore.journal import Journal, Step

from .conftest import FILE

RESTORE = ("restore", "latest", "--config.file", "peak-backup.toml")


@pytest.fixture
def changed(desk):
    """A folder whose files changed after a backup, one of them gone."""
    desk.made()
    desk.write("config/bot.toml", "pair = 'ETH/USD'\n")
    desk.write("config/new.toml", "")
    (desk.folder / "data" / "trades.csv").unlink()
    return desk


def test_a_dry_run_shows_what_would_change(changed) -> None:
    """New, replaced, same and extra, and changes nothing."""
    done = changed.run(*RESTORE, "--only", "config", "--only", "data", "--dry-run")
    assert done.code == 0
    head, *plan = done.out.splitlines()
    assert re.fullmatch(r"backup_\S+ would change", head)
    assert plan == [
        f"new       1  {changed.folder}/data/trades.csv",
        f"replaced  1  {changed.folder}/config/bot.toml",
        "same      0",
        f"extra     2  {changed.folder}/config/new.toml",
        f"             {changed.folder}/data/bot.log",
    ]
    assert changed.read("config/bot.toml") == "pair = 'ETH/USD'\n"
    assert not (changed.folder / "data" / "trades.csv").exists()


def test_nobody_there_to_ask_is_exit_2(changed) -> None:
    """Without --yes nothing is overwritten in a pipe."""
    done = changed.run(*RESTORE)
    assert done.code == 2
    assert done.line == (
        "this would overwrite 1 file: --yes does it, --dry-run shows what would change, "
        "--to DIR restores into a folder of its own"
    )
    assert changed.read("config/bot.toml") == "pair = 'ETH/USD'\n"


def test_yes_restores_at_once(changed) -> None:
    """All that the backup holds, as nothing else was asked for."""
    done = changed.run(*RESTORE, "--yes")
    assert (done.code, done.err) == (0, "")
    assert " is restored\n" in done.out
    assert changed.read("config/bot.toml") == "pair = 'BTC/USD'\n"
    assert changed.read("data/trades.csv") == "1,64000\n"


def test_what_overwrites_nothing_needs_no_yes(changed) -> None:
    """New files take nothing away."""
    done = changed.run(*RESTORE, "--only", "data", "--json")
    assert done.code == 0
    assert done.json["new"] == [f"{changed.folder}/data/trades.csv"]
    assert (done.json["dry_run"], done.json["replaced"]) == (False, [])
    assert changed.read("data/trades.csv") == "1,64000\n"


@pytest.mark.parametrize(
    ("answer", "code", "now"),
    [
        ("y\n", 0, "BTC"),
        ("n\n", 1, "ETH"),
        ("\n", 1, "ETH"),
        (lambda process: process.send_signal(signal.SIGINT), 130, "ETH"),
    ],
    ids=["yes", "no", "enter", "Ctrl-C"],
)
def test_a_terminal_is_asked(changed, answer: object, code: int, now: str) -> None:
    """After the plan was shown; only yes is yes."""
    done = changed.at_terminal(*RESTORE, seen="Overwrite 1 file?", answer=answer)
    assert done.code == code
    assert re.search(r"replaced\S*\s+\S*1\s+\S*/config/bot\.toml", done.out)
    assert now in changed.read("config/bot.toml")
    assert "Traceback" not in done.out


def test_into_a_folder_of_its_own(changed) -> None:
    """Nothing has to be named for that, and live files stay as they are."""
    done = changed.run("restore", "latest", "--only", "config", "--only", "data", "--to", "out", "--quiet")
    assert (done.code, done.out) == (0, "")
    assert changed.read("out/config/config/bot.toml") == "pair = 'BTC/USD'\n"
    assert changed.read("out/data/data/trades.csv") == "1,64000\n"
    assert changed.read("config/bot.toml") == "pair = 'ETH/USD'\n"


def test_a_path_that_is_not_named_is_refused(changed) -> None:
    """With exit code 6 and the mend."""
    done = changed.run("restore", "latest")
    assert done.code == 6
    assert f"{changed.folder}/config is not named: add it, or restore into a folder of its own; " in done.line
    for option in ("--config PATH", "--data PATH", "--map OLD=NEW", "--to DIR", "--only PART"):
        assert option in done.line
    assert changed.run("restore", "latest", "--config", "config", "--data", "data", "--yes").code == 0


def test_a_partial_backup_needs_a_word(desk) -> None:
    """--allow-partial restores what there is."""
    name = desk.run("create", "--config", "config", "--config", "gone", "--json").json["backup_id"]
    desk.write("config/bot.toml", "changed")
    options = ("restore", name, "--config", "config", "--config", "gone", "--yes")
    done = desk.run(*options)
    assert done.code == 6
    assert "it is partial" in done.line
    assert desk.run(*options, "--allow-partial").code == 0
    assert desk.read("config/bot.toml") == "pair = 'BTC/USD'\n"


def test_a_damaged_backup_restores_nothing(changed) -> None:
    """With exit code 4; the live files stay."""
    (stored,) = changed.folder.glob("backups/backup_*/config/config/bot.toml")
    stored.chmod(0o600)
    stored.write_text("pair = 'XXX/USD'\n")
    done = changed.run(*RESTORE, "--yes")
    assert (done.code, done.line.partition(" is ")[2]) == (
        4,
        "corrupt: config/config/bot.toml: its content has changed",
    )
    assert changed.read("config/bot.toml") == "pair = 'ETH/USD'\n"


def test_an_error_is_one_line_whatever_the_name(desk) -> None:
    """What a terminal would act upon is written out."""
    desk.write("data/a\x1b[2J\nb", "x")
    desk.made()
    (stored,) = desk.folder.glob("backups/backup_*/data/data/a*")
    stored.chmod(0o600)
    stored.write_text("y")
    for done in (desk.run(*RESTORE, "--only", "data", "--yes"), desk.run("verify")):
        assert done.code == 4
        assert r"data/data/a\x1b[2J\nb: its content has changed" in done.line


def test_a_part_that_is_not_there_is_said(changed) -> None:
    """Nothing restored must not look like all restored."""
    name = changed.run("create", "--config", "config", "--json").json["backup_id"]
    options = ("--config", "config", "--only", "data", "--only", "state")
    done = changed.run("restore", name, *options)
    assert done.code == 1
    assert re.findall(r"holds no (\w+)", done.err) == ["data", "state"]
    assert "nothing was restored" in done.err
    done = changed.run("restore", "latest", *options)
    assert (done.code, done.line) == (3, "there is no backup 'latest'; no good one in backups holds state and data")


APP = """
from decimal import Decimal
from pathlib import Path
from peak_observe import RecoveryManager

recovery = RecoveryManager("backups")

def restore(value):
    if value["orders"] == 3:
        raise RuntimeError("the exchange does not know them")
    Path("restored").write_text(str(value["cash"]))

recovery.state_snapshot.register_provider("bot", lambda: {"orders": ORDERS, "cash": Decimal("1.10")}, restore=restore)
"""


def test_the_state_goes_to_a_file_and_to_its_providers(desk) -> None:
    """The file is what `StateSnapshot.load` reads, in the types it had."""
    desk.write("bot_with_state.py", APP.replace("ORDERS", "2"))
    assert desk.run("create", "--app", "bot_with_state").code == 0
    options = ("restore", "latest", "--app", "bot_with_state", "--only", "state", "--state-file", "kept/state.json")
    assert desk.run(*options, "--dry-run").code == 0
    assert not (desk.folder / "kept").exists()
    assert not (desk.folder / "restored").exists()
    assert desk.run(*options).code == 0
    state = StateSnapshot().load(desk.folder / "kept" / "state.json")
    assert repr(state["providers"]["bot"]["cash"]) == "Decimal('1.10')"
    assert desk.read("restored") == "1.10"


def test_a_state_that_is_not_taken_back_is_exit_1(desk) -> None:
    """And the provider is named."""
    desk.write("bot_that_refuses.py", APP.replace("ORDERS", "3"))
    desk.run("create", "--app", "bot_that_refuses")
    done = desk.run("restore", "latest", "--app", "bot_that_refuses", "--only", "state", "--json")
    assert done.code == 1
    assert done.line.startswith("not restored: state provider 'bot': RuntimeError: the exchange does not know them")
    assert done.json["unapplied"] == [done.line.removeprefix("not restored: ")]


def test_names_that_are_no_text_come_back(desk) -> None:
    """They are shown written out, and are bytes in JSON as well."""
    odd = desk.folder / "data" / "odd\udcff\n"
    odd.write_bytes(b"x")
    desk.made()
    odd.unlink()
    options = (*RESTORE, "--only", "data")
    assert f"{desk.folder}/data/odd\\udcff\\n" in desk.run(*options, "--dry-run").out
    assert desk.run(*options, "--json").json["new"] == [str(odd)]
    assert odd.read_bytes() == b"x"


def test_parts_that_are_left_are_listed_with_the_option_for_them(changed) -> None:
    """Half a bot must not look like a whole one."""
    done = changed.run(*RESTORE, "--only", "config", "--yes")
    assert done.code == 0
    assert done.line == "not restored: the data (1 file, 8 B); --only data does so"
    assert changed.run(*RESTORE, "--only", "config", "--yes", "--json").json["left"] == ["data"]
    desk = changed
    desk.write("bot_of_nobody.py", APP.replace("ORDERS", "2").replace(", restore=restore", ""))
    desk.run("create", "--app", "bot_of_nobody", "--config", "config")
    done = desk.run("restore", "latest", "--app", "bot_of_nobody", "--config", "config", "--yes")
    assert done.code == 0
    assert done.line.startswith("not restored: the state; --state-file FILE writes it")
    done = desk.run("restore", "latest", "--app", "bot_of_nobody", "--only", "state")
    assert done.code == 1
    assert "nothing was restored" in done.err


def test_latest_holds_the_parts_that_are_wanted(desk) -> None:
    """A newer one of the configuration alone does not stand for all, and that is said."""
    whole = desk.made()
    newer = desk.made("--only", "config")
    done = desk.run(*RESTORE, "--yes", "--json")
    assert done.json["backup_id"] == whole
    assert done.line == f"{newer} is newer and holds the config only"
    assert desk.run(*RESTORE, "--only", "config", "--yes", "--json").json["backup_id"] == newer
    assert desk.run(*RESTORE, "--only", "data", "--yes", "--json").json["backup_id"] == whole


@pytest.mark.parametrize("how", ["map", "to", "state"])
def test_latest_holds_all_parts_also_where_nothing_is_named(desk, how: str) -> None:
    """On a new host: the newest one says that the data was named and left out, so it does not stand for all."""
    whole, newer = desk.made(), desk.made("--only", "config")
    (desk.folder / "peak-backup.toml").unlink()
    where = ("--to", "look") if how == "to" else ("--map", f"{desk.folder}={desk.folder}/moved")
    where = (*where, "--state-file", "state.json") if how == "state" else where
    options = ("restore", "latest", "--repository", "backups", *where, "--json")
    done = desk.run(*options)
    assert done.json["backup_id"] == whole
    assert f"{newer} is newer and holds the config only" in done.err


def test_latest_is_one_of_the_program_that_moves(desk) -> None:
    """Another one in the same repository may have made its backup later."""
    mine = desk.made()
    desk.write("other/bot.toml", "x")
    desk.run("create", "--data", "other", "--repository", "backups")
    options = ("--repository", "backups", "--map", f"{desk.folder}/data={desk.folder}/moved", "--only", "data")
    assert desk.run("restore", "latest", *options, "--json").json["backup_id"] == mine


@pytest.mark.parametrize("place", ["", "/new", "/{backup}", "/.peak-observe/deep"])
def test_no_restore_goes_among_the_backups(desk, place: str) -> None:
    """It would write over them, or put what no backup is beside them."""
    backup = desk.made()
    target = f"{desk.folder}/backups{place.format(backup=backup)}"
    done = desk.run("restore", backup, "--to", target, "--yes")
    assert (done.code, "lies in the repository: name another folder" in done.line) == (6, True)
    if place.startswith(("/{", "/.")):
        done = desk.run("restore", backup, "--map", f"{desk.folder}/data={target}", "--only", "data", "--yes")
        assert (done.code, "lies among the backups: name another place" in done.line) == (6, True)
    assert desk.run("verify", backup).code == 0


def test_latest_is_not_one_of_another_program(desk) -> None:
    """Two programs may share a repository."""
    mine = desk.made()
    desk.write("other/bot.toml", "x")
    desk.run("create", "--config", "other")
    assert desk.run(*RESTORE, "--yes", "--json").json["backup_id"] == mine


def test_latest_holds_all_paths_that_are_named(desk) -> None:
    """A newer one of some of them is named; on a new host, the same by the paths that are mapped."""
    for name in ("one", "two"):
        (desk.folder / name).mkdir()
        (desk.folder / name / "f").write_text(name)
    both = ("--data", "one", "--data", "two")
    wanted = desk.run("create", *both, "--json").json["backup_id"]
    newer = desk.run("create", "--data", "two", "--json").json["backup_id"]
    done = desk.run("restore", "latest", *both, "--dry-run", "--json")
    assert done.json["backup_id"] == wanted
    assert f"{newer} is newer and holds nothing of {desk.folder}/one" in done.err
    maps = [part for name in ("one", "two") for part in ("--map", f"{desk.folder}/{name}={desk.folder}/new/{name}")]
    done = desk.run("restore", "latest", *maps, "--yes", "--json")
    assert done.json["backup_id"] == wanted
    assert (desk.folder / "new" / "one" / "f").read_text() == "one"
    done = desk.run("restore", "latest", "--data", "two", "--dry-run", "--json")
    assert done.json["backup_id"] == newer


def test_latest_is_not_known_to_be_corrupt(desk) -> None:
    """Whoever knows it takes the one before."""
    good, bad = desk.made(), desk.made()
    (desk.folder / "backups" / bad / "data" / "data" / "trades.csv").unlink()
    assert desk.run("verify", bad).code == 4
    assert desk.run(*RESTORE, "--yes", "--json").json["backup_id"] == good


@pytest.mark.parametrize("options", [("--config.file", "peak-observe.toml"), ()])
def test_a_project_that_has_moved_is_found_by_what_its_file_says(desk, options: tuple[str, ...]) -> None:
    """What `config = "config"` means is another path now."""
    old = desk.folder / "old"
    for name in ("config/bot.toml", "data/trades.csv"):
        desk.write(f"old/{name}", "as it was")
    desk.write("old/peak-observe.toml", FILE.replace('"backups"', f'"{desk.folder}/backups"'))
    assert desk.run("create", "--config.file", "old/peak-observe.toml").code == 0
    old.rename(desk.folder / "new")
    (desk.folder / "new" / "config" / "bot.toml").write_text("wrong")
    desk.enter("new")
    done = desk.run("restore", "latest", *options, "--yes")
    assert done.code == 0, done.err
    assert desk.read("new/config/bot.toml") == "as it was"
    assert f"{old}/config went to {desk.folder}/new/config" in done.err


def test_a_map_says_where_old_paths_are_now(changed) -> None:
    """On a host with another layout, where nothing has to be named."""
    options = ("restore", "latest", "--map", f"{changed.folder}={changed.folder}/moved")
    done = changed.run(*options, "--json")
    assert done.code == 0
    assert done.json["moved"] == {
        f"{changed.folder}/{part}": f"{changed.folder}/moved/{part}" for part in ("config", "data")
    }
    assert changed.read("moved/config/bot.toml") == "pair = 'BTC/USD'\n"
    assert changed.read("moved/data/trades.csv") == "1,64000\n"
    assert changed.read("config/bot.toml") == "pair = 'ETH/USD'\n"


@pytest.mark.parametrize("pair", ["x", "=x", "x="])
def test_a_map_is_a_pair(changed, pair: str) -> None:
    """The message shows one."""
    done = changed.run("restore", "latest", "--map", pair)
    assert (done.code, done.line) == (2, f"--map takes OLD=NEW, as /srv/bot=/home/me/bot, not {pair!r}")


def test_a_map_of_nothing_is_refused(changed) -> None:
    """A mistake in it must not pass for a restore; the message says what the backup holds."""
    done = changed.run(*RESTORE, "--map", "/nowhere=/x", "--yes")
    assert done.code == 6
    assert f"nothing in the backup lay at /nowhere; it holds {changed.folder}/config" in done.line
    assert changed.read("config/bot.toml") == "pair = 'ETH/USD'\n"


@pytest.mark.parametrize("path", ["config/bot.toml", "{folder}/config/bot.toml", "bot.toml", "*.toml", "config"])
def test_a_single_file_is_restored(changed, path: str) -> None:
    """By its path, the end of it, a pattern or its folder; nothing else is touched."""
    done = changed.run(*RESTORE, "--path", path.format(folder=changed.folder), "--yes", "--json")
    assert done.code == 0, done.err
    assert (done.json["replaced"], done.json["new"]) == ([f"{changed.folder}/config/bot.toml"], [])
    assert not (changed.folder / "data" / "trades.csv").exists()


def test_a_single_file_that_is_not_there_is_refused(changed) -> None:
    """And the message says what helps."""
    done = changed.run(*RESTORE, "--path", "nope.toml", "--yes")
    assert done.code == 6
    assert re.search(r"; `peak-observe backup ls (--repository \S+ )?backup_\w+` lists what it holds$", done.line)


def test_a_single_file_brings_its_folders(changed) -> None:
    """With the permissions that they had, where they are gone."""
    (changed.folder / "data").chmod(0o711)
    changed.write("data/trades.csv", "2")
    changed.made()
    (changed.folder / "data" / "trades.csv").unlink()
    (changed.folder / "data" / "bot.log").unlink()
    (changed.folder / "data").rmdir()
    assert changed.run(*RESTORE, "--path", "trades.csv", "--yes").code == 0
    assert stat.S_IMODE((changed.folder / "data").stat().st_mode) == 0o711
    assert changed.read("data/trades.csv") == "2"


def test_the_state_is_for_its_owner_only(desk) -> None:
    """Also where an older file that all may read is replaced."""
    desk.write("bot_with_state.py", APP.replace("ORDERS", "2"))
    desk.run("create", "--app", "bot_with_state")
    desk.write("state.json", "").chmod(0o644)
    assert desk.run("restore", "latest", "--app", "bot_with_state", "--state-file", "state.json").code == 0
    assert stat.S_IMODE((desk.folder / "state.json").stat().st_mode) == 0o600


@pytest.fixture
def stateful(desk):
    """A folder with a backup of configuration, state and data, among which is a file with the name of the state."""
    named = 'recovery.config_backup.add_config("config")\nrecovery.data_backup.add_data_path("data")\n'
    desk.write("bot_with_all.py", APP.replace("ORDERS", "2") + named)
    desk.write("data/state.json", "mine")
    assert desk.run("create", "--app", "bot_with_all").code == 0
    return desk


IN_PLACE = ("restore", "latest", "--config", "config", "--data", "data", "--yes")


def test_a_state_file_is_written_beside_a_single_path(stateful) -> None:
    """Nothing else is touched, also what has the name of the state."""
    stateful.write("config/bot.toml", "wrong")
    stateful.write("data/state.json", "changed")
    done = stateful.run(*IN_PLACE, "--path", "bot.toml", "--state-file", "kept.json")
    assert (done.code, done.err) == (0, "")
    assert StateSnapshot().load(stateful.folder / "kept.json")["providers"]["bot"]["orders"] == 2
    assert stateful.read("config/bot.toml") == "pair = 'BTC/USD'\n"
    assert stateful.read("data/state.json") == "changed"


def test_a_state_file_of_a_single_path_without_a_state_is_exit_1(changed) -> None:
    """As without a path."""
    done = changed.run(*RESTORE, "--path", "bot.toml", "--state-file", "kept.json", "--yes")
    assert done.code == 1
    assert "holds no state" in done.err
    assert changed.read("config/bot.toml") == "pair = 'BTC/USD'\n"


def test_a_file_with_the_name_of_the_state_is_restored(desk) -> None:
    """By that name, where no state is in the backup."""
    desk.write("data/state.json", "mine")
    desk.made()
    desk.write("data/state.json", "changed")
    done = desk.run(*RESTORE, "--path", "state.json", "--yes")
    assert done.code == 0, done.err
    assert desk.read("data/state.json") == "mine"


def test_a_file_with_the_name_of_the_state_has_a_longer_name_beside_it(stateful) -> None:
    """The name alone is that of the state where something takes it, and a note tells the other."""
    longer = f"--path {stateful.folder}/data/state.json"
    note = f"state.json is the state of the program; {longer} restores the file of that name"
    stateful.enter("data")
    done = stateful.run("restore", "latest", "--repository", "../backups", "--to", "../out", "--path", "state.json")
    assert (done.code, done.line) == (0, note)
    assert [str(path.relative_to(stateful.folder / "out")) for path in (stateful.folder / "out").rglob("*")] == [
        "state.json"
    ]
    stateful.enter(".")
    stateful.write("data/state.json", "changed")
    done = stateful.run(*IN_PLACE, "--path", "data/state.json", "--path", "state.json", "--state-file", "kept.json")
    assert (done.code, done.err) == (0, "")
    assert stateful.read("data/state.json") == "mine"
    assert (stateful.folder / "kept.json").exists()


BLOCKING = """
from pathlib import Path
from peak_observe import RecoveryManager

recovery = RecoveryManager("backups")
recovery.config_backup.add_config("config")
recovery.data_backup.add_data_path("data")
recovery.state_snapshot.register_provider("bot", dict, restore=lambda value: Path("kept.json").mkdir())
"""
"""A program that puts a folder where the state was to go, after all that could be looked at was."""


def test_a_state_that_cannot_be_written_is_told_with_what_is_restored(stateful) -> None:
    """The files are those of the backup by then."""
    stateful.write("bot_in_the_way.py", BLOCKING)
    (stateful.folder / "config" / "bot.toml").unlink()
    for done in ("restored", "as in the backup"):
        ended = stateful.run("restore", "latest", "--app", "bot_in_the_way", "--yes", "--state-file", "kept.json")
        assert ended.code == 1
        assert ended.line == (
            f"the files are {done}, and the state is not written: kept.json: Is a directory; "
            "name another file with --state-file and restore once more"
        )
        assert stateful.read("config/bot.toml") == "pair = 'BTC/USD'\n"
        (stateful.folder / "kept.json").rmdir()


def test_the_hook_after_a_restore_finds_the_state(stateful) -> None:
    """A program that it starts reads it; one that could not be written is no success."""
    hooks = """[backup]
config = "config"
data = "data"
[backup.hooks]
before = "true"
after = ["sh", "-c", "cat kept.json > seen; echo $PEAK_BACKUP_OUTCOME >> seen"]
"""
    stateful.write("hooks.toml", hooks)
    options = ("restore", "latest", "--config.file", "hooks.toml", "--yes", "--state-file", "kept.json")
    assert stateful.run(*options).code == 0
    assert stateful.read("seen") == stateful.read("kept.json") + "success\n"
    (stateful.folder / "kept.json").unlink()
    stateful.write("bot_in_the_way.py", BLOCKING)
    assert stateful.run(*options, "--app", "bot_in_the_way").code == 1
    assert stateful.read("seen") == "failed\n"


def test_a_state_file_without_a_state_is_exit_1(changed) -> None:
    """The file that was asked for is not written."""
    done = changed.run(*RESTORE[:1], changed.made(), *RESTORE[2:], "--state-file", "state.json", "--yes")
    assert done.code == 1
    assert "holds no state" in done.err
    assert not (changed.folder / "state.json").exists()


def test_the_old_spelling_of_the_file_keeps_working(changed) -> None:
    """With a hint to the new one, on standard error."""
    done = changed.run("restore", "latest", "--file=peak-backup.toml", "--yes", "--json")
    assert (done.code, done.line) == (0, "--file is called --config.file now")
    assert done.json["replaced"]


def test_a_restore_that_was_cut_off_is_brought_to_its_end(changed) -> None:
    """By the next command, which says so, and by `recover`."""
    done = changed.run("recover", "--config.file", "peak-backup.toml")
    looked = f"{changed.folder}/config, {changed.folder}/data"
    told = f"no restore is under way in {changed.folder}/backups, nor beside {looked}\n"
    assert (done.code, done.out) == (0, told)
    left = Journal("x", "backup_1", [], [Step(f"{changed.folder}/config/bot.toml")])
    (changed.folder / "backups" / ".peak-observe" / "restore-x.staging.json").write_bytes(left.to_json())
    done = changed.run("recover", "--config.file", "peak-backup.toml")
    assert done.code == 0
    assert done.line == "restore of backup_1: a crash cut it off; it was undone: all files are as before"


@pytest.mark.parametrize("part", ["state", "data"])
def test_what_brings_the_state_back_is_named(stateful, part: str) -> None:
    """`--only state` alone leaves it as well, so that it is no way out of itself."""
    named = ("--config", "config", "--data", "data", "--yes", "--repository", "backups")
    left = stateful.run("restore", "latest", *named, "--only", part)
    (line,) = [line for line in left.err.splitlines() if "the state" in line]
    assert left.code == (1 if part == "state" else 0)
    assert "--state-file FILE" in line
    assert "--only state does so" not in line
    assert stateful.run("restore", "latest", *named, "--only", part, "--state-file", "kept.json").code == 0
    taken = stateful.run("restore", "latest", *named, "--only", "state", "--json")
    assert (taken.code, taken.json["state"]["providers"]["bot"]["orders"]) == (0, 2)
