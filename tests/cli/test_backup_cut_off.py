"""Commands in a repository with the journal of a restore that cannot be brought to its end."""

from pathlib import Path

import pytest

from peak_observe.backup_recovery.restore.journal import Journal, Step

BACKUP = "--config.file", "peak-backup.toml"


@pytest.fixture
def stuck(desk) -> Path:
    """Return the journal's path."""
    desk.made()
    journal = desk.folder / "backups" / ".peak-observe" / "restore-x.swapping.json"
    journal.write_bytes(Journal("x", "backup_1", [], [Step(f"{desk.folder}/disk/a", 5, 5)]).to_json())
    return journal


@pytest.mark.parametrize(
    "command",
    ["list", "show", "verify", "ls latest", "find *.toml", "cat latest bot.toml", "diff latest", "prune --dry-run"],
)
def test_a_command_that_only_reads_says_so_and_goes_on(desk, stuck: Path, command: str) -> None:
    """Whoever is at the terminal learns the disk, the journal and the way out."""
    done = desk.run(*command.split(), *BACKUP)
    assert done.code == 0
    assert f"{desk.folder}/disk: this folder is not there: mount its disk, or put it back; then run" in done.line
    assert done.line.endswith(f"look at the files that {stuck} names, then remove it")


def test_a_command_of_other_files_goes_on_as_well(desk, stuck: Path) -> None:
    """It says so once; what has to do with the same files, and `recover`, end with the message."""
    told = "cannot be brought to its end"
    for command in ("create -q", "restore latest --to out -q", "drill -q", "prune -q"):
        done = desk.run(*command.split(), *BACKUP)
        assert done.code == 0, done
        assert done.err.count(told) == 1
    (desk.folder / "disk2").mkdir()
    for command in ("recover", "create --data disk/a -q", "restore latest --map data=disk -q --yes"):
        done = desk.run(*command.split(), *BACKUP)
        assert done.code == 1, done
        assert done.err.count(told) == 1
        assert f"{desk.folder}/disk: this folder is not there" in done.line
    assert stuck.exists()
