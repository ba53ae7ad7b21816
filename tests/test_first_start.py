"""Several processes that start for the first time at once: what they need is made once, and whole."""

import json
import subprocess
import sys
from pathlib import Path

from peak_observe import TradingSwitch
from peak_observe.backup_recovery.repository.ledger import Ledger
from tests.first_start import PROCESSES

ROOT = Path(__file__).parents[1]
ROUNDS = 6


def answers(kind: str, folder: Path, *, rounds: int = ROUNDS, threads: int = 1) -> list[list[str]]:
    """Return what the processes of each round answered, sorted."""
    command = [sys.executable, str(ROOT / "tests" / "first_start.py"), kind, str(folder), str(rounds), str(threads)]
    environment = {"PYTHONPATH": str(ROOT), "PEAK_OBSERVE_DIR": str(folder)}
    run = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert run.returncode == 0, run.stderr
    found = [json.loads(line) for line in run.stdout.splitlines() if line.startswith("[")]
    assert len(found) == rounds
    return found


def test_an_order_journal_is_made_once(tmp_path: Path) -> None:
    """Threads of processes open it as it is made; all get the order of one of them, and none an error."""
    for found in answers("journal", tmp_path, rounds=15, threads=3):
        assert len(set(found)) == 1, found
        assert found[0].isdigit()


def test_a_trading_switch_that_is_halted_at_once_stays_halted(tmp_path: Path) -> None:
    """Nobody who makes the file replaces what another process has said."""
    for at, found in enumerate(answers("switch", tmp_path)):
        assert set(found) <= {"halted", "trading"}
        made = TradingSwitch("main", folder=tmp_path / str(at))
        assert made.refresh().state == "halted"
        made.close()


def test_an_order_guard_counts_the_order_of_each(tmp_path: Path) -> None:
    """The last of them sees all."""
    for found in answers("guard", tmp_path):
        assert found[-1] == str(PROCESSES), found


def test_one_of_them_is_the_single_instance_and_counts_the_others(tmp_path: Path) -> None:
    """The others are told who it is."""
    one, others = f"held, {PROCESSES - 1} refused", ["refused by True"] * (PROCESSES - 1)
    for found in answers("instance", tmp_path):
        assert found == [one, *others]


def test_a_shared_file_is_made_once(tmp_path: Path) -> None:
    """What each of them wrote is there."""
    for found in answers("shared", tmp_path):
        assert found == ["open"] * PROCESSES


def test_a_repository_is_made_once(tmp_path: Path) -> None:
    """With the age that they promise."""
    for at, found in enumerate(answers("repository", tmp_path)):
        assert found == ["[]"] * PROCESSES
        assert Ledger(tmp_path / str(at) / "backups" / ".peak-observe").load().max_age == 60.0


def test_an_offsite_store_is_made_once(tmp_path: Path) -> None:
    """All of them can read it."""
    for found in answers("offsite", tmp_path):
        assert len(set(found)) == 1, found
        assert " " not in found[0]


def test_each_process_has_a_snapshot_of_its_own(tmp_path: Path) -> None:
    """With a number in the order in which they come."""
    for found in answers("snapshot", tmp_path):
        assert found == ["bot", *(f"bot-{number}" for number in range(2, PROCESSES + 1))]
