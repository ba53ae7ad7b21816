"""What the manager promises besides making and restoring."""

import errno
import json
import logging
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from peak_observe import (
    BackupCorruptError,
    BackupError,
    BackupNotFoundError,
    BackupSchedule,
    BackupStatus,
    BackupType,
    BackupVerified,
    ConfigBackup,
    DataBackup,
    RecoveryManager,
    RepositoryLockedError,
    RetentionPolicy,
    StateSnapshot,
)
from peak_observe.testing import ManualClock, RecordingObserver

from .conftest import Program

ALL = (True, True, True)


def damage(manager: RecoveryManager, backup_id: str, place: str) -> None:
    """Change a stored file, and its time back."""
    path = manager._get_backup_dir(backup_id) / place
    status = path.stat()
    path.chmod(0o644)
    path.write_bytes(path.read_bytes()[::-1])
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def test_it_is_made_of_the_three_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And makes its folder."""
    monkeypatch.chdir(tmp_path)
    manager = RecoveryManager()
    assert manager.backup_root == Path("backups")
    assert manager.backup_root.is_dir()
    assert isinstance(manager.config_backup, ConfigBackup)
    assert isinstance(manager.data_backup, DataBackup)
    assert isinstance(manager.state_snapshot, StateSnapshot)
    assert manager.list_backups() == []
    assert manager.last_success() is None


def test_names_of_backups_have_the_form_people_know(manager: RecoveryManager) -> None:
    """Microseconds, and the same as a date."""
    backup_id = manager.create_backup()
    kind, stamp, date, clock, micros = backup_id.split("_")
    assert (kind, len(date), len(clock), len(micros)) == ("backup", 8, 6, 6)
    created = manager.get_backup(backup_id).created
    assert abs(int(stamp) / 1e6 - created.timestamp()) < 1
    assert f"{created:%Y%m%d_%H%M%S}"[:13] == f"{date}_{clock}"[:13]


def test_lists_are_newest_first_and_filtered(manager: RecoveryManager) -> None:
    """By any of some tags, by type."""
    one = manager.create_backup(include_data=False, tags=["daily"])
    two = manager.create_backup(*ALL, tags=["weekly", "production"])
    assert [backup.backup_id for backup in manager.list_backups()] == [two, one]
    assert [backup.backup_id for backup in manager.list_backups(tags=["daily", "monthly"])] == [one]
    assert [backup.backup_id for backup in manager.list_backups(tags="production")] == [two]
    assert [backup.backup_id for backup in manager.list_backups(backup_type=BackupType.CONFIG)] == [one]
    assert manager.list_backups(tags=["none"]) == []


def test_metadata_can_be_read_from_a_folder(manager: RecoveryManager) -> None:
    """By the name people use in tests."""
    backup_id = manager.create_backup()
    folder = manager._get_backup_dir(backup_id)
    assert folder == manager.backup_root / backup_id
    assert manager._load_metadata(folder).backup_id == backup_id
    assert manager._load_metadata(manager.backup_root / "none") is None


def test_a_clock_that_ran_ahead_does_not_hide_newer_backups(tmp_path: Path) -> None:
    """Backups are ordered by their number."""
    clock = ManualClock()
    manager = RecoveryManager(tmp_path, clock=clock)
    manager.state_snapshot.register_provider("bot", dict)
    clock.jump(10 * 365 * 86_400)
    manager.create_backup()
    clock.jump(-10 * 365 * 86_400)
    later = manager.create_backup()
    assert manager.list_backups()[0].backup_id == later
    assert manager.last_success() == clock.now()


def test_a_success_of_another_program_does_not_count(tmp_path: Path) -> None:
    """Nor one from before a path was named, nor one that is known to be corrupt."""
    for name in ("mine", "yours", "more"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "f").write_text(name)
    mine, yours = (RecoveryManager(tmp_path / "backups") for _ in range(2))
    mine.data_backup.add_data_path(tmp_path / "mine")
    yours.data_backup.add_data_path(tmp_path / "yours")
    yours.create_backup(False, False)
    assert mine.last_success() is None
    made = mine.create_backup(False, False)
    assert mine.last_success() == mine.get_backup(made).created
    mine.data_backup.add_data_path(tmp_path / "more")
    assert mine.last_success() is None
    made = mine.create_backup(False, False)
    assert mine.last_success() == mine.get_backup(made).created
    damage(mine, made, "data/mine/f")
    mine.verify_backup(made)
    assert mine.last_success() is None


def test_a_drill_proves_the_own_backups(tmp_path: Path) -> None:
    """Neither a newer one of another program, nor one of a part of what is named."""
    for name in ("mine", "yours"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "f").write_text(name)
    mine, yours = (RecoveryManager(tmp_path / "backups") for _ in range(2))
    mine.data_backup.add_data_path(tmp_path / "mine")
    mine.config_backup.add_config(tmp_path / "mine" / "f")
    yours.data_backup.add_data_path(tmp_path / "yours")
    whole = mine.create_backup(True, False, True)
    mine.create_backup(True, False, False)
    other = yours.create_backup(False, False)
    assert (mine.drill().backup_id, yours.drill().backup_id) == (whole, other)


def test_a_restore_of_what_a_backup_does_not_hold_is_none(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The log tells what it holds; some of what is asked for is enough."""
    for name in ("config.toml", "data"):
        (tmp_path / name).write_text(name)
    manager = RecoveryManager(tmp_path / "backups")
    manager.config_backup.add_config(tmp_path / "config.toml")
    manager.data_backup.add_data_path(tmp_path / "data")
    config, data = manager.create_backup(True, False, False), manager.create_backup(False, False, True)
    assert manager.restore_backup(config)
    assert manager.restore_backup(data, restore_data=True)
    assert not manager.restore_backup(data)
    assert not manager.restore_backup(config, False, restore_data=True)
    assert not manager.restore_backup(config, False)
    assert f"{config} holds nothing of what is asked for: it holds the config" in caplog.messages
    assert manager.restore_backup(config, restore_data=True)


def test_a_restore_of_nothing_is_counted_nowhere(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Neither the ledger nor the log says that something is restored."""
    manager = RecoveryManager(tmp_path / "backups")
    manager.state_snapshot.register_provider("bot", lambda: 1)
    state = manager.create_backup()
    with caplog.at_level(logging.INFO, "peak_observe.backup"):
        assert not manager.restore_backup(state)
        assert manager.restore(state, config=False).is_empty
        assert not [message for message in caplog.messages if "is restored:" in message]
    assert manager._repository.ledger.load().restores["success"] == 0
    assert not manager.restore(state, state=True).is_empty
    assert manager._repository.ledger.load().restores["success"] == 1


WRONG = {
    "include_config": lambda manager, _: manager.create_backup(None),
    "include_state": lambda manager, _: manager.create_backup(include_state="no"),
    "include_data": lambda manager, _: manager.create_backup(include_data="no"),
    "incremental": lambda manager, _: manager.create_backup(incremental="no"),
    "numeric_owner": lambda manager, backup_id: manager.restore(backup_id, numeric_owner="no"),
    "dry_run": lambda manager, backup_id: manager.restore(backup_id, dry_run=None),
    "config": lambda manager, backup_id: manager.restore(backup_id, config="no"),
    "paths": lambda manager, backup_id: manager.restore(backup_id, paths=[1]),
    "policy": lambda manager, _: manager.prune(None),
    "backup_type": lambda manager, _: manager.list_backups(backup_type="whole"),
    "manager": lambda _, __: BackupSchedule(None, every=60),
}


@pytest.mark.parametrize(("name", "call"), WRONG.items(), ids=WRONG)
def test_what_an_argument_cannot_be_is_refused_by_its_name(manager: RecoveryManager, name: str, call) -> None:
    """Before anything changes: a text such as "no" would count as true, and None as a real run."""
    backup_id = manager.create_backup()
    before = sorted(manager.backup_root.iterdir())
    with pytest.raises((TypeError, ValueError), match=rf"^{name} "):
        call(manager, backup_id)
    assert sorted(manager.backup_root.iterdir()) == before


def test_the_type_of_a_backup_may_be_its_text(manager: RecoveryManager) -> None:
    """And a tag by itself is one."""
    backup_id = manager.create_backup(tags=["daily"])
    for found in (manager.list_backups(backup_type="full"), manager.list_backups("daily")):
        assert [backup.backup_id for backup in found] == [backup_id]
    assert manager.list_backups("d") == []


def test_prune_keeps_a_good_one_where_files_are_shared_with_a_corrupt_one(tmp_path: Path) -> None:
    """The second backup links to the copy that is damaged: it is read before the first one could go."""
    file = tmp_path / "data" / "f"
    file.parent.mkdir()
    manager = RecoveryManager(tmp_path / "backups")
    manager.data_backup.add_data_path(file.parent)
    file.write_text("1")
    first = manager.create_backup(False, False)
    file.write_text("2 and more")
    os.utime(file, (1, 1))
    second = manager.create_backup(False, False)
    (file.parent / "other").write_text("new")
    third = manager._get_backup_dir(manager.create_backup(False, False))
    shared = third / "data" / "data" / "f"
    shared.unlink()
    os.link(manager._get_backup_dir(second) / "data" / "data" / "f", shared)
    damage(manager, third.name, "data/data/f")
    manager.verify_backup(third.name)
    for selection in (manager.prune(RetentionPolicy(last=1)), manager.prune(RetentionPolicy(last=1))):
        assert first in selection.last_good
        assert selection.remove == ()
    assert manager.corrupt_backups() == {second, third.name}
    assert manager.verify_backup(first).ok


def test_two_backups_at_one_instant_have_two_names(tmp_path: Path) -> None:
    """A clock may stand still."""
    manager = RecoveryManager(tmp_path, clock=ManualClock())
    manager.state_snapshot.register_provider("bot", dict)
    assert len({manager.create_backup() for _ in range(3)}) == 3


def test_other_things_in_the_folder_are_left_alone(manager: RecoveryManager) -> None:
    """They are no backups."""
    backup_id = manager.create_backup()
    (manager.backup_root / "README").write_text("ours")
    (manager.backup_root / "old").mkdir()
    (manager.backup_root / "broken").mkdir()
    (manager.backup_root / "broken" / "metadata.json").write_text("{")
    assert [backup.backup_id for backup in manager.list_backups()] == [backup_id]
    manager.cleanup_old_backups(1)
    assert (manager.backup_root / "README").exists()
    assert (manager.backup_root / "old").exists()


def test_a_backup_is_removed(manager: RecoveryManager, caplog: pytest.LogCaptureFixture) -> None:
    """Once; another is told to be none."""
    backup_id = manager.create_backup()
    assert manager.delete_backup(backup_id)
    assert manager.list_backups() == []
    with caplog.at_level(logging.ERROR, "peak_observe.backup"):
        caplog.clear()  # whoever has the level of a program has more lines
        assert not manager.delete_backup(backup_id)
        assert not manager.delete_backup("../program")
    assert caplog.messages[0] == f"there is no backup '{backup_id}'; {manager.backup_root} has none"


@pytest.mark.parametrize("keep", [10, 3, 1, 0])
def test_old_backups_are_cleaned_up(manager: RecoveryManager, keep: int) -> None:
    """The newest stay, the last good one always."""
    made = [manager.create_backup() for _ in range(5)]
    kept = min(5, max(1, keep))
    assert manager.cleanup_old_backups(keep_count=keep) == 5 - kept
    assert [backup.backup_id for backup in manager.list_backups()] == made[::-1][:kept]


def test_a_corrupt_backup_is_never_the_last_good_one(manager: RecoveryManager) -> None:
    """What is known to be damaged does not push out what is whole."""
    whole = manager.create_backup(*ALL)
    damaged = manager.create_backup(*ALL)
    damage(manager, damaged, "config/config.toml")
    assert not manager.verify_backup(damaged).ok
    manager.cleanup_old_backups(1)
    assert whole in [backup.backup_id for backup in manager.list_backups()]


def test_a_policy_can_be_tried(manager: RecoveryManager) -> None:
    """It says what it would keep, and why."""
    made = [manager.create_backup() for _ in range(3)]
    selection = manager.prune(RetentionPolicy(last=1), dry_run=True)
    assert [backup.backup_id for backup in selection.remove] == made[:2]
    assert len(manager.list_backups()) == 3


def test_verifying_reads_every_byte(manager: RecoveryManager) -> None:
    """And records when it was, or what is wrong."""
    backup_id = manager.create_backup(*ALL)
    with RecordingObserver() as seen:
        report = manager.verify_backup(backup_id)
        assert (report.ok, report.files, report.problems) == (True, 6, ())
        assert manager._repository.ledger.read().last_verified > 0
        damage(manager, backup_id, "data/data/positions.csv")
        report = manager.verify_backup(backup_id)
    assert report.problems == ("data/data/positions.csv: its content has changed",)
    assert [event.ok for event in seen.of(BackupVerified)] == [True, False]
    assert manager._repository.ledger.read().corrupt == {backup_id: 1}


def test_verifying_finds_what_is_missing_and_what_was_added(manager: RecoveryManager) -> None:
    """Nothing in the folder is overlooked."""
    backup_id = manager.create_backup(*ALL)
    folder = manager._get_backup_dir(backup_id)
    (folder / "data" / "data" / "trades" / "0.csv").unlink()
    (folder / "data" / "data" / "latest").unlink()
    (folder / "config" / "added").write_text("x")
    assert set(manager.verify_backup(backup_id).problems) == {
        "data/data/trades/0.csv: is missing",
        "data/data/latest: is not the link it was",
        "config/added: is not in the manifest",
    }


def test_verifying_something_that_is_none(manager: RecoveryManager) -> None:
    """It is no damage."""
    with pytest.raises(BackupNotFoundError):
        manager.verify_backup("backup_1")


def test_a_drill_proves_the_newest_good_one(manager: RecoveryManager, program: Program) -> None:
    """It touches no live file and leaves nothing."""
    with pytest.raises(BackupNotFoundError):
        manager.drill()
    good = manager.create_backup(*ALL)
    program.config.unlink()
    manager.create_backup(*ALL)
    before = program.picture()
    assert manager.drill().backup_id == good
    assert program.picture() == before
    assert sorted(path.name for path in manager.backup_root.iterdir() if path.name.startswith(".")) == [".peak-observe"]
    assert manager._repository.ledger.read().last_verified > 0


def test_a_drill_finds_damage(manager: RecoveryManager) -> None:
    """And leaves nothing either."""
    backup_id = manager.create_backup(*ALL)
    damage(manager, backup_id, "data/data/positions.csv")
    with pytest.raises(BackupCorruptError, match=r"positions\.csv"):
        manager.drill()
    assert not list(manager.backup_root.glob(".drill*"))
    assert manager._repository.ledger.read().corrupt == {backup_id: 1}


def test_the_second_writer_is_told_who_the_first_is(manager: RecoveryManager) -> None:
    """Another thread of this process."""
    inside, leave = threading.Event(), threading.Event()

    def hold(_: object) -> None:
        inside.set()
        leave.wait(60)

    thread = threading.Thread(target=manager.create_backup, kwargs={"progress": hold})
    thread.start()
    assert inside.wait(60)
    with pytest.raises(RepositoryLockedError, match=f"process {os.getpid()} on .*, which began to make a backup"):
        manager.create_backup()
    assert not manager.delete_backup("backup_1")
    leave.set()
    thread.join()
    assert len(manager.list_backups()) == 1


def test_another_process_is_told_too_and_death_frees_the_lock(manager: RecoveryManager, tmp_path: Path) -> None:
    """However it dies."""
    code = (
        "import time; from peak_observe.backup_recovery import RecoveryManager;"
        f"m = RecoveryManager({str(manager.backup_root)!r});"
        f"m.config_backup.add_config({str(tmp_path / 'program' / 'config')!r});"
        "m.create_backup(progress=lambda _: print('in', flush=True) or time.sleep(60))"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"in\n"
        with pytest.raises(RepositoryLockedError, match=f"process {process.pid} "):
            manager.create_backup()
        process.kill()
    assert manager.get_backup(manager.create_backup()).good


@pytest.mark.parametrize("max_age", [0, -1, float("inf"), "1d", True])
def test_nonsense_is_refused(tmp_path: Path, max_age: object) -> None:
    """By one message that names it."""
    with pytest.raises(ValueError, match="max_age"):
        RecoveryManager(tmp_path, max_age=max_age)


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    """With what is in its way."""
    (tmp_path / "file").write_text("")
    with pytest.raises(BackupError, match=f"cannot make the repository {tmp_path}/file/backups: Not a directory"):
        RecoveryManager(tmp_path / "file" / "backups")


def test_the_account_survives_what_befalls_it(manager: RecoveryManager, caplog: pytest.LogCaptureFixture) -> None:
    """One that cannot be read is begun anew, which is logged."""
    manager.create_backup()
    account = manager.backup_root / ".peak-observe" / "account.json"
    assert json.loads(account.read_text())["runs"]["success"] == 1
    account.write_text("{")
    with caplog.at_level(logging.WARNING, "peak_observe.backup"):
        assert manager.get_backup(manager.create_backup()).good
    assert any("account.json is not readable" in message for message in caplog.messages)


def test_the_seeds_disaster_is_recovered_from(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Detect, restore, back up again."""
    monkeypatch.chdir(tmp_path)
    Program.write(Path("config.toml"), "a = 1")
    recovery = RecoveryManager(backup_dir="backups")
    recovery.config_backup.add_config(Path("config.toml"))
    recovery.create_backup(include_config=True, include_state=True, include_data=True, tags=["daily", "automated"])
    Path("config.toml").unlink()
    latest = recovery.list_backups()[0]
    assert recovery.restore_backup(latest.backup_id, restore_config=True, restore_data=True)
    assert Path("config.toml").read_text() == "a = 1"
    recovery.create_backup(include_config=True, description="Post-recovery verification", tags=["recovery"])
    assert [backup.status for backup in recovery.list_backups()] == [BackupStatus.SUCCESS] * 2


def test_a_partial_newest_backup_names_the_one_to_restore(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A daily backup that ran after the loss is the newest, and restores nothing; the log says which one does."""
    monkeypatch.chdir(tmp_path)
    Program.write(Path("config.toml"), "a = 1")
    recovery = RecoveryManager(backup_dir="backups")
    recovery.config_backup.add_config(Path("config.toml"))
    recovery.config_backup.add_config(Path("other.toml"))
    Path("other.toml").write_text("b = 2")
    good = recovery.create_backup()
    Path("config.toml").unlink()
    recovery.create_backup()
    newest = recovery.list_backups()[0]
    assert newest.status is BackupStatus.PARTIAL
    assert not recovery.restore_backup(newest.backup_id)
    assert f"the newest complete backup is {good}; allow_partial=True" in caplog.messages[-1]
    assert recovery.restore_backup(good)
    assert Path("config.toml").read_text() == "a = 1"


def test_state_that_nobody_takes_back_is_named(manager: RecoveryManager, caplog: pytest.LogCaptureFixture) -> None:
    """The restore succeeds, and the log and the report say what did not reach the program."""
    taken: list[object] = []
    manager.state_snapshot.register_provider("metrics", lambda: {"pnl": 1})
    manager.state_snapshot.register_provider("orders", lambda: [2], restore=taken.append)
    backup_id = manager.create_backup()
    assert manager.restore_backup(backup_id, restore_state=True)
    assert taken == [[2]]
    lines = [message for message in caplog.messages if "was not handed back" in message]
    beginnings = [f"the state '{name}' of {backup_id} was not handed back: register" for name in ("bot", "metrics")]
    assert [line[: len(start)] for line, start in zip(lines, beginnings, strict=True)] == beginnings
    assert manager.restore(backup_id, state=True, dry_run=True).not_handed_back == ("bot", "metrics")
    assert manager.restore(backup_id).not_handed_back == ()


def test_the_next_name_can_be_asked_for(tmp_path: Path) -> None:
    """As the original code base did; the next backup has a name of that form, and no two are the same."""
    clock = ManualClock()
    recovery = RecoveryManager(tmp_path / "backups", clock=clock)
    recovery.state_snapshot.register_provider("app", lambda: 1)
    expected = recovery._generate_backup_id()
    assert recovery.create_backup() == expected
    assert recovery._generate_backup_id() != expected


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "no room for a log"), ValueError("a mistake"), KeyError("x")])
def test_what_progress_raises_comes_through(manager: RecoveryManager, program: Program, error: Exception) -> None:
    """It is no error of a file: nothing is partial, or corrupt, or half done."""
    made = manager.create_backup(include_data=True)
    left = 0

    def tell(_: object) -> None:
        nonlocal left
        left -= 1
        if not left:
            raise error

    before, count = program.picture(), 0
    program.write(program.data / "positions.csv", "BTC,2\n")
    changed = program.picture()
    works = (
        lambda: manager.restore(made, data=True, progress=tell),
        lambda: manager.restore_backup(made, restore_data=True, progress=tell),
        lambda: manager.verify_backup(made, progress=tell),
        lambda: manager.drill(progress=tell),
    )
    for when in (1, 2, 4):
        left = when
        with pytest.raises(BackupError, match=r"no backup was made: .*progress raised"):
            manager.create_backup(include_data=True, progress=tell)
        for work in works:
            left = when
            with pytest.raises(type(error)) as raised:
                work()
            assert raised.value is error
            assert program.picture() == changed
            count += 1
    assert count == 12
    statuses = [backup.status.value for backup in manager.list_backups()]
    assert statuses == ["failed"] * 3 + ["success"]
    assert type(error).__name__ in manager.list_backups()[0].error_message
    assert not manager.corrupt_backups()
    assert manager._repository.ledger.load().restores["failed"] == 6
    assert manager.restore_backup(made, restore_data=True)
    assert program.picture() == before
