"""`peak-observe backup restore`: nothing is overwritten before a person has seen it and said yes."""

import re
import signal

import pytest

from peak_observe.backup_recovery import StateSnapshot

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
    assert done.line == "this would overwrite 1 file: --yes does it, --dry-run shows what would change"
    assert changed.read("config/bot.toml") == "pair = 'ETH/USD'\n"


def test_yes_restores_at_once(changed) -> None:
    """The configuration alone, as nothing else was asked for."""
    done = changed.run(*RESTORE, "--yes")
    assert done.code == 0
    assert " is restored\n" in done.out
    assert changed.read("config/bot.toml") == "pair = 'BTC/USD'\n"
    assert not (changed.folder / "data" / "trades.csv").exists()


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
    assert done.line.endswith(f"{changed.folder}/config is not named: add it, or restore into a folder of its own")
    assert changed.run("restore", "latest", "--config", "config", "--yes").code == 0


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
    changed.run("create", "--config", "config")
    done = changed.run("restore", "latest", "--config", "config", "--only", "data", "--only", "state")
    assert done.code == 0
    assert re.findall(r"holds no (\w+)", done.err) == ["data", "state"]


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
