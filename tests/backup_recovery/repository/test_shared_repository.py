"""Programs that share a repository: what has no path of its own is told apart by other things."""

import json
from pathlib import Path

import pytest

from peak_observe import RecoveryManager, RetentionPolicy
from peak_observe.backup_recovery.repository.metadata import BackupMetadata
from peak_observe.backup_recovery.repository.reading import reading_of
from peak_observe.testing import ManualClock


def of_state(tmp_path: Path, *providers: str, **options: object) -> RecoveryManager:
    """Return the manager of a program that keeps state alone."""
    manager = RecoveryManager(tmp_path / "backups", **options)
    for provider in providers:
        manager.state_snapshot.register_provider(provider, lambda: 1)
    return manager


def of_command(tmp_path: Path, command: str, **options: object) -> RecoveryManager:
    """Return the manager of a program whose command is called `pg`, as that of every other."""
    manager = RecoveryManager(tmp_path / "backups", **options)
    manager.data_backup.add_command("pg", command)
    return manager


def kept(manager: RecoveryManager, last: int = 1) -> list[str]:
    """Return what stays, the newest first."""
    return [kept.backup.backup_id for kept in manager.prune(RetentionPolicy(last=last)).keep]


PROGRAMS = {
    "states": lambda path: (of_state(path, "one"), of_state(path, "two")),
    "states of two names": lambda path: (of_state(path, "bot", name="one"), of_state(path, "bot", name="two")),
    "commands": lambda path: (of_command(path, "echo one"), of_command(path, "echo two")),
    "commands of two names": lambda path: (
        of_command(path, "echo x", name="one"),
        of_command(path, "echo x", name="two"),
    ),
}


@pytest.mark.parametrize("programs", PROGRAMS.values(), ids=PROGRAMS)
def test_programs_do_not_push_each_other_out(tmp_path: Path, programs) -> None:
    """One makes a backup an hour, the other made its last one long ago."""
    often, seldom = programs(tmp_path)
    rare = [seldom.create_backup() for _ in range(3)]
    many = [often.create_backup() for _ in range(5)]
    assert kept(often, last=2) == [many[-1], many[-2], rare[-1], rare[-2]]


@pytest.mark.parametrize("programs", PROGRAMS.values(), ids=PROGRAMS)
def test_a_backup_of_one_is_no_fresh_one_of_the_other(tmp_path: Path, programs) -> None:
    """A schedule makes one then, and a drill, or whoever asks for the newest, gets his own."""
    one, other = programs(tmp_path)
    mine = one.create_backup()
    assert other.last_success() is None
    theirs = other.create_backup()
    assert one.last_success() == one.get_backup(mine).created
    assert (one.newest().backup_id, other.newest().backup_id) == (mine, theirs)


def test_the_metrics_show_the_program_that_is_worse_off(tmp_path: Path) -> None:
    """Under one label the state of one program is no sign of life of the other."""
    clock = ManualClock()
    one, other = of_state(tmp_path, "one", clock=clock), of_state(tmp_path, "two", clock=clock)
    one.create_backup()
    clock.advance(3600)
    other.create_backup()
    clock.advance(60)
    found = reading_of(one._repository, kinds=(), max_age=None)
    assert found.kinds["state"].age == 3660


def test_a_new_provider_begins_no_new_series_of_the_others(tmp_path: Path) -> None:
    """The older backups go as they would have gone without it."""
    for _ in range(3):
        of_state(tmp_path, "one").create_backup()
    newest = of_state(tmp_path, "one", "two").create_backup()
    assert kept(of_state(tmp_path, "one", "two")) == [newest]


def test_backups_that_do_not_tell_whose_they_are_stay_one_group(tmp_path: Path) -> None:
    """Older versions wrote no sources of a state; such backups go as soon as there are enough newer ones."""
    manager = of_state(tmp_path, "one")
    old = [as_before(manager, manager.create_backup()) for _ in range(3)]
    assert manager.get_backup(old[0]).sources == {}
    assert kept(manager) == old[-1:]
    new = manager.create_backup()
    assert kept(manager, last=2) == [new, old[-1]]
    assert kept(manager) == [new]


def as_before(manager: RecoveryManager, backup_id: str) -> str:
    """Make a backup one of a version that did not tell states apart."""
    path = manager.backup_root / backup_id / "metadata.json"
    found = {**json.loads(path.read_text()), "sources": {}}
    path.write_bytes(BackupMetadata.from_json(json.dumps({**found, "checksum": "", "sequence": 0}).encode()).to_json())
    return backup_id


def test_a_command_of_a_program_with_a_name_may_change(tmp_path: Path) -> None:
    """Its series goes on, whatever options it has from now on."""
    of_command(tmp_path, "echo one", name="bot").create_backup()
    newest = of_command(tmp_path, "echo two", name="bot").create_backup()
    assert kept(of_command(tmp_path, "echo two", name="bot")) == [newest]


def test_a_password_of_a_command_is_in_no_metadata(tmp_path: Path) -> None:
    """What tells commands apart is a hash."""
    manager = of_command(tmp_path, "echo password123")
    backup_id = manager.create_backup()
    assert "password123" not in (manager.backup_root / backup_id / "metadata.json").read_text()


def test_the_reasons_name_the_program(tmp_path: Path) -> None:
    """As they name the path of another one."""
    of_command(tmp_path, "echo one").create_backup()
    of_state(tmp_path, "two").create_backup()
    manager = of_command(tmp_path, "echo two")
    manager.create_backup()
    reasons = [kept.reasons[0] for kept in manager.prune(RetentionPolicy(last=1)).keep]
    assert reasons == ["last good", "last good of state two", f"last good of data {tmp_path}/backups.dumps/pg.sql"]
