"""Commands in a repository with the journal of a restore that cannot be brought to its end."""

import os
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


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files to another user")
def test_a_journal_of_another_user_is_told_of_and_left(desk, stuck: Path) -> None:
    """Whoever wrote it would decide which files of root's are overwritten."""
    victim = desk.folder / "config" / "bot.toml"
    (desk.folder / "place").mkdir()
    (desk.folder / "place" / ".peak-x-0.new").write_text("forged")
    stuck.write_bytes(Journal("x", "backup_1", [], [Step(str(victim), at=f"{desk.folder}/place")]).to_json())
    os.chown(stuck, 65534, 65534)
    before = victim.read_text()
    for command, code in (("list", 0), ("verify", 0), ("recover", 1), ("create -q", 1)):
        done = desk.run(*command.split(), *BACKUP)
        assert done.code == code, done
        assert f"{stuck} is a journal of a restore of the user" in done.err
        assert "run `peak-observe backup recover" in done.err
        assert "` as that user" in done.err
        assert victim.read_text() == before
    assert stuck.exists()


def test_a_journal_beside_files_is_found_by_the_options_of_its_restore(desk) -> None:
    """On a new host nothing is named, and the repository was read-only."""
    desk.made()
    new = desk.folder / "new"
    new.mkdir()
    (new / "gone").write_text("x")
    journal = new / ".peak-restore-x.swapping.json"
    journal.write_bytes(Journal("x", "backup_1", [], [Step(f"{new}/gone", goes=True)]).to_json())
    journal.chmod(0o600)
    done = desk.run("recover", "--repository", "backups")
    assert (done.code, done.out) == (0, "no restore is under way in backups\n")
    assert "--to, --map, --config and --data name files" in done.err
    done = desk.run("recover", "--repository", "backups", "--map", f"/srv/bot={new}")
    assert (done.code, done.out) == (0, f"no restore is under way in backups, nor beside {new}\n")
    assert "carried on: all files are those of the backup" in done.err
    assert list(new.iterdir()) == []
