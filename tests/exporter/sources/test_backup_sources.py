"""Backups as sources: our own, files, and real restic and borg."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from peak_observe import BackupError, RecoveryManager
from peak_observe.exporter.sources.backup_sources import Borg, Files, PeakRepositorySource, Restic
from peak_observe.exporter.sources.external_program import ProgramError
from peak_observe.exporter.sources.metric_block import Block
from peak_observe.testing import ManualClock
from tests.backup_recovery.conftest import as_user
from tests.conftest import binary

PATIENCE = 60.0
NOBODY = 65534


def values(blocks: list[Block]) -> dict[str, float]:
    """Return the samples by their series."""
    pairs = (line.rpartition(" ") for block in blocks for line in block.lines)
    return {series: float(value) for series, _, value in pairs}


def test_a_repository_of_ours_is_told_as_its_program_tells(tmp_path: Path) -> None:
    """Read from the disk, so it outlives the program, and nothing is written there."""
    config = tmp_path / "bot.toml"
    config.write_text("pair = 'BTC/USD'")
    manager = RecoveryManager(tmp_path / "backups", max_age=3600)
    manager.config_backup.add_config(config)
    manager.create_backup(include_state=False)
    before = sorted((str(path), path.stat().st_mtime_ns) for path in tmp_path.rglob("*"))
    found = values(PeakRepositorySource("repositories.x", "x", path=tmp_path / "backups").collect())
    assert sorted((str(path), path.stat().st_mtime_ns) for path in tmp_path.rglob("*")) == before
    assert found['peak_backup_last_success_timestamp_seconds{kind="config",repository="x"}'] > 1e9
    assert found['peak_backup_files{kind="config",repository="x"}'] == 1
    assert found['peak_backup_max_age_seconds{repository="x"}'] == 3600
    assert found['peak_backup_stored{repository="x",status="success"}'] == 1
    assert found['peak_backup_runs_total{outcome="success",repository="x"}'] == 1
    promised = values(PeakRepositorySource("repositories.x", "x", path=tmp_path / "backups", max_age=60).collect())
    assert promised['peak_backup_max_age_seconds{repository="x"}'] == 60


def test_a_repository_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    """And not one without backups: the disk may not be mounted."""
    with pytest.raises(FileNotFoundError, match="missing"):
        PeakRepositorySource("repositories.x", "x", path=tmp_path / "missing").collect()
    assert (
        values(PeakRepositorySource("repositories.x", "x", path=tmp_path).collect())[
            'peak_backup_corrupt_files{repository="x"}'
        ]
        == 0
    )


def test_a_repository_that_was_there_and_is_gone_is_an_error(tmp_path: Path) -> None:
    """As its disk is not mounted, and the mount point is empty; without a mount point it is one anyway."""
    (tmp_path / "config.toml").write_text("a = 1")
    manager = RecoveryManager(tmp_path / "backups")
    manager.config_backup.add_config(tmp_path / "config.toml")
    manager.create_backup()
    source = PeakRepositorySource("repositories.x", "x", path=tmp_path / "backups")
    source.collect()
    (tmp_path / "backups").rename(tmp_path / "away")
    (tmp_path / "backups").mkdir()
    with pytest.raises(BackupError, match="is its disk mounted"):
        source.collect()
    (tmp_path / "backups").rmdir()
    (tmp_path / "away").rename(tmp_path / "backups")
    assert values(source.collect())['peak_backup_files{kind="config",repository="x"}'] == 1


def test_a_folder_of_other_things_is_no_repository(tmp_path: Path) -> None:
    """The path is a wrong one, and no alert would come of it; what any new disk has does not count, nor do backups."""
    (tmp_path / "lost+found").mkdir()
    source = PeakRepositorySource("repositories.x", "x", path=tmp_path)
    source.collect()
    (tmp_path / "photos").mkdir()
    with pytest.raises(BackupError, match=f"{tmp_path} holds photos and no backup that can be read: is it a"):
        source.collect()
    (tmp_path / "config.toml").write_text("a = 1")
    manager = RecoveryManager(tmp_path)
    source.collect()
    manager.config_backup.add_config(tmp_path / "config.toml")
    manager.create_backup()
    (tmp_path / ".peak-observe").rename(tmp_path.parent / "away")
    found = values(PeakRepositorySource("repositories.x", "x", path=tmp_path).collect())
    assert found['peak_backup_files{kind="config",repository="x"}'] == 1


def test_a_repository_without_backups_grows_old(tmp_path: Path) -> None:
    """Where the exporter is told how old the newest may be: from its start on, of whatever they are."""
    clock = ManualClock()
    source = PeakRepositorySource("repositories.x", "x", path=tmp_path, max_age=3600, clock=clock)
    clock.advance(90)
    found = values(source.collect())
    assert found['peak_backup_age_seconds{kind="anything",repository="x"}'] == 90
    assert found['peak_backup_last_success_timestamp_seconds{kind="anything",repository="x"}'] == 0
    assert found['peak_backup_max_age_seconds{repository="x"}'] == 3600
    assert 'peak_backup_configured_timestamp_seconds{repository="x"}' not in found  # which would be long unverified


def files(clock: ManualClock, *patterns: Path, **settings: float) -> dict[str, float]:
    """Return what there is to tell of files, without the label of the repository."""
    source = Files("files.dumps", "dumps", patterns=[str(pattern) for pattern in patterns], clock=clock, **settings)
    return {series.replace('repository="dumps"', ""): value for series, value in values(source.collect()).items()}


def test_files_are_told_by_the_newest(tmp_path: Path) -> None:
    """Its age and size, and how many there are; an empty dump is a failed dump."""
    clock = ManualClock()
    now = clock.now().timestamp()
    for name, size, age in (("a.dump", 10, 7200), ("b.dump", 30, 3600), ("c.dump", 0, 60), ("d.txt", 9, 1)):
        (tmp_path / name).write_bytes(b"x" * size)
        os.utime(tmp_path / name, (now - age, now - age))
    (tmp_path / "latest.dump").symlink_to(tmp_path / "a.dump")
    (tmp_path / ".part.dump").write_bytes(b"x")
    found = files(clock, tmp_path / "*.dump", max_age=90_000)
    assert found == {
        'peak_backup_last_success_timestamp_seconds{kind="file",}': now - 3600,
        'peak_backup_age_seconds{kind="file",}': 3600,
        'peak_backup_size_bytes{kind="file",}': 30,
        'peak_backup_files{kind="file",}': 1,
        "peak_backup_configured_timestamp_seconds{}": now,
        "peak_backup_max_age_seconds{}": 90_000,
        "peak_backup_stored_bytes{}": 40,
        'peak_backup_stored{,status="success"}': 2,
        'peak_backup_stored{,status="partial"}': 1,
        'peak_backup_stored{,status="failed"}': 0,
    }


def test_small_files_can_be_called_failed(tmp_path: Path) -> None:
    """By `min_bytes`; 0 takes everything."""
    clock = ManualClock()
    for name, size in (("old.dump", 1000), ("new.dump", 10), ("empty.dump", 0)):
        (tmp_path / name).write_bytes(b"x" * size)
        os.utime(tmp_path / name, (1, 1))
    assert files(clock, tmp_path / "*", min_bytes=500)['peak_backup_size_bytes{kind="file",}'] == 1000
    assert files(clock, tmp_path / "*", min_bytes=0)['peak_backup_stored{,status="success"}'] == 3


def test_a_file_of_the_future_is_no_fresh_one(tmp_path: Path) -> None:
    """A clock was ahead when it was made: the newest that is not counts, or none."""
    clock = ManualClock()
    now = clock.now().timestamp()
    for name, ahead in (("a.dump", 86_400), ("b.dump", 60)):
        (tmp_path / name).write_bytes(b"x")
        os.utime(tmp_path / name, (now + ahead, now + ahead))
        last = files(clock, tmp_path / "*")['peak_backup_last_success_timestamp_seconds{kind="file",}']
        assert last == (0 if ahead > 300 else now + 60)


def test_without_a_file_the_age_is_that_of_the_exporter(tmp_path: Path) -> None:
    """So that a dump that never came is too old one day."""
    clock = ManualClock()
    source = Files("files.x", "x", patterns=[str(tmp_path / "**" / "*.dump")], clock=clock)
    clock.advance(50)
    found = values(source.collect())
    assert found['peak_backup_last_success_timestamp_seconds{kind="file",repository="x"}'] == 0
    assert found['peak_backup_age_seconds{kind="file",repository="x"}'] == 50
    (tmp_path / "below" / "deep").mkdir(parents=True)
    (tmp_path / "below" / "deep" / "x.dump").write_text("x")
    assert values(source.collect())['peak_backup_stored{repository="x",status="success"}'] == 1


def test_a_folder_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    """It is the first thing to go wrong with a disk of dumps."""
    with pytest.raises(FileNotFoundError, match="gone"):
        files(ManualClock(), tmp_path / "gone" / "*" / "x.dump")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
@pytest.mark.parametrize("pattern", ["*/*.dump", "**/*.dump", "**", "*/x.dump", "*/deep/x.dump", "**/deep/*", "b*/**"])
@pytest.mark.parametrize("mode", [0o000, 0o444])
def test_a_subfolder_that_cannot_be_read_is_an_error(public_path: Path, pattern: str, mode: int) -> None:
    """It must not drop out of what is stored; the folder of lost files of a disk is none of ours."""
    for folder in ("below", "below/deep", "lost+found"):
        (public_path / folder).mkdir()
        (public_path / folder / "x.dump").write_text("x")
    (public_path / "lost+found").chmod(0o700)

    def look() -> None:
        assert files(ManualClock(), public_path / pattern)['peak_backup_stored{,status="success"}'] >= 1
        (public_path / "below").chmod(mode)
        with pytest.raises(PermissionError, match="below"):
            files(ManualClock(), public_path / pattern)

    os.chown(public_path / "below", NOBODY, NOBODY)
    as_user(NOBODY, look)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_a_folder_that_needs_no_listing_may_forbid_it(public_path: Path) -> None:
    """Where the name in it is known, as that of a folder in each home."""
    (public_path / "home").mkdir()
    (public_path / "home" / "x.dump").write_text("x")
    (public_path / "home").chmod(0o711)
    as_user(NOBODY, lambda: files(ManualClock(), public_path / "*" / "x.dump"))


def test_too_many_files_are_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A pattern that matches the whole disk shall not fill the memory."""
    monkeypatch.setattr("peak_observe.exporter.sources.backup_sources.MOST_FILES", 3)
    for number in range(5):
        (tmp_path / str(number)).write_text("x")
    with pytest.raises(ValueError, match="more than 3 files"):
        files(ManualClock(), tmp_path / "*")


def program(words: list[str], kind: type = Restic, **environment: str) -> dict[str, float]:
    """Return what a program tells."""
    return values(kind("p.x", "x", words=words, environment=environment, timeout=PATIENCE).collect())


def test_restic_tells_of_its_snapshots(tmp_path: Path) -> None:
    """A real one, with no lock taken."""
    environment = {"RESTIC_PASSWORD": "secret", "RESTIC_CACHE_DIR": str(tmp_path / "cache")}
    words = [binary("restic"), "--repo", str(tmp_path / "repo")]
    env = os.environ | environment
    subprocess.run([*words, "init"], env=env, check=True, capture_output=True, timeout=PATIENCE)
    show = [*words, "snapshots", "--json", "--no-lock"]
    assert program(show, **environment)['peak_backup_stored{repository="x",status="success"}'] == 0
    for _ in range(2):
        subprocess.run([*words, "backup", __file__], env=env, check=True, capture_output=True, timeout=PATIENCE)
    found = program(show, **environment)
    assert found['peak_backup_stored{repository="x",status="success"}'] == 2
    assert 0 <= found['peak_backup_age_seconds{kind="restic",repository="x"}'] < 600
    with pytest.raises(ProgramError, match=r"restic ended with exit code (1|12): Fatal: .*password"):
        program(show, **environment | {"RESTIC_PASSWORD": "wrong"})


def test_newer_restics_tell_sizes_too() -> None:
    """The summary that version 0.17 began to keep; older ones and other zones among them."""
    told = [
        {"time": "2026-01-05T03:00:00.123456789+01:00", "id": "a"},
        {
            "time": "2026-01-05T03:00:00.5Z",
            "summary": {"total_bytes_processed": 123, "total_files_processed": 4, "data_added": 5},
        },
    ]
    found = program([sys.executable, "-c", f"print({json.dumps(json.dumps(told))})"])
    assert found['peak_backup_last_success_timestamp_seconds{kind="restic",repository="x"}'] == 1767582000.5
    assert found['peak_backup_size_bytes{kind="restic",repository="x"}'] == 123
    assert found['peak_backup_files{kind="restic",repository="x"}'] == 4


def test_borg_tells_of_its_archives(tmp_path: Path) -> None:
    """A real one; its times are local ones, without a zone."""
    environment = {"BORG_BASE_DIR": str(tmp_path / "base"), "BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK": "yes"}
    repo = str(tmp_path / "repo")
    env = os.environ | environment
    borg = binary("borg")
    subprocess.run([borg, "init", "-e", "none", repo], env=env, check=True, capture_output=True, timeout=PATIENCE)
    subprocess.run([borg, "create", f"{repo}::first", __file__], env=env, check=True, timeout=PATIENCE)
    found = program([borg, "list", "--json", "--", repo], Borg, **environment)
    assert found['peak_backup_stored{repository="x",status="success"}'] == 1
    assert 0 <= found['peak_backup_age_seconds{kind="borg",repository="x"}'] < 600
    assert 'peak_backup_size_bytes{kind="borg",repository="x"}' not in found


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("", Restic),
        ("null", Borg),
        ("[1]", Restic),
        ('[{"time": "tomorrow"}]', Restic),
        ('{"archives": [{"time": "x"}]}', Borg),
        ("{", Borg),
    ],
)
def test_a_program_that_talks_nonsense_is_an_error(text: str, kind: type) -> None:
    """It may be another version, or another program."""
    with pytest.raises(ValueError, match=r"is not understood|isoformat"):
        program([sys.executable, "-c", f"print({text!r})"], kind)
