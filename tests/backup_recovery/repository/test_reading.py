"""What Prometheus and the log are told of backups."""

import gc
import logging
import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from peak_observe import BackupError, RecoveryManager, RetentionPolicy
from peak_observe.backup_recovery.create.counts import count
from peak_observe.backup_recovery.files import copying
from peak_observe.backup_recovery.repository.ledger import Account
from peak_observe.backup_recovery.repository.metadata import BackupMetadata, BackupStatus, BackupType, Part
from peak_observe.backup_recovery.repository.reading import ObservedRepository, reading, reading_of
from peak_observe.backup_recovery.repository.repository import Repository
from peak_observe.measures import BackupReading
from peak_observe.telemetry.metrics.renderer import Renderer
from peak_observe.testing import ManualClock

from ..conftest import Program, as_user

ALL = (True, True, True)


def series(name: str) -> dict[str, float]:
    """Return the values of a repository's series, by metric and other label, without the prefix."""
    found = {}
    for line in Renderer().render().decode().splitlines():
        if line.startswith("peak_backup") and f'repository="{name}"' in line:
            left, _, value = line.rpartition(" ")
            metric, _, labels = left.removeprefix("peak_backup_").partition("{")
            other = [label.partition("=")[2].strip('"') for label in labels.rstrip("}").split(",")]
            found[" ".join([metric, *(label for label in other if label != name)])] = float(value)
    return found


@pytest.fixture
def clock() -> ManualClock:
    """Return a clock that stands still."""
    return ManualClock()


@pytest.fixture
def watched(tmp_path: Path, program: Program, clock: ManualClock, request: pytest.FixtureRequest) -> RecoveryManager:
    """Return a manager under a name of its own."""
    manager = RecoveryManager(tmp_path / "backups", name=request.node.name, max_age=3600, clock=clock)
    manager.config_backup.add_config(program.config)
    manager.data_backup.add_data_path(program.data)
    return manager


def test_what_was_never_backed_up_is_visible(watched: RecoveryManager, clock: ManualClock) -> None:
    """From the beginning, so that an alert can tell never from lately."""
    start = clock.now().timestamp()
    clock.advance(60)
    found = series(watched._repository.name)
    assert found["last_success_timestamp_seconds config"] == found["last_success_timestamp_seconds data"] == 0
    assert found["age_seconds config"] == 60
    assert found["configured_timestamp_seconds"] == start
    assert found["max_age_seconds"] == 3600
    assert found["stored success"] == found["runs_total success"] == found["runs_total interrupted"] == 0
    assert found["last_attempt_timestamp_seconds"] == found["last_verified_timestamp_seconds"] == 0
    assert "last_success_timestamp_seconds state" not in found


def test_a_backup_shows_with_its_age_and_size(watched: RecoveryManager, clock: ManualClock) -> None:
    """Part by part; the age grows by itself."""
    backup = watched.get_backup(watched.create_backup(True, False, False))
    clock.advance(90)
    found = series(watched._repository.name)
    assert found["last_success_timestamp_seconds config"] == backup.created.timestamp()
    assert found["age_seconds config"] == found["age_seconds data"] == 90
    assert found["last_success_timestamp_seconds data"] == 0
    assert (found["files config"], found["size_bytes config"]) == (1, 17)
    assert found["last_duration_seconds config"] > 0
    assert found["stored_bytes"] > 17
    assert found["runs_total success"] == found["stored success"] == 1
    assert found["running_since_timestamp_seconds"] == 0


def test_a_partial_backup_is_not_fresh(watched: RecoveryManager, program: Program, clock: ManualClock) -> None:
    """The age goes on."""
    watched.create_backup(*ALL)
    clock.advance(100)
    program.config.unlink()
    watched.create_backup(*ALL)
    found = series(watched._repository.name)
    assert found["age_seconds config"] == found["age_seconds data"] == 100
    assert (found["stored partial"], found["runs_total partial"]) == (1, 1)
    assert found["last_attempt_timestamp_seconds"] == clock.now().timestamp()


def test_a_failure_is_counted_and_a_running_one_shows(
    watched: RecoveryManager, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While it runs there is a time since when."""
    during: list[dict[str, float]] = []

    def fail(*_: object) -> None:
        during.append(series(watched._repository.name))
        raise copying.WriteError(28, "No space left on device")

    monkeypatch.setattr(copying, "copied", fail)
    with pytest.raises(BackupError):
        watched.create_backup(*ALL)
    assert during[0]["running_since_timestamp_seconds"] == clock.now().timestamp()
    found = series(watched._repository.name)
    assert (found["stored failed"], found["runs_total failed"]) == (1, 1)
    assert found["running_since_timestamp_seconds"] == 0


def test_what_was_proven_shows(watched: RecoveryManager, clock: ManualClock) -> None:
    """When, how many files are wrong, and how restores ended."""
    backup_id = watched.create_backup(*ALL)
    clock.advance(5)
    watched.verify_backup(backup_id)
    found = series(watched._repository.name)
    assert found["last_verified_timestamp_seconds"] == clock.now().timestamp()
    assert found["corrupt_files"] == 0
    (watched._get_backup_dir(backup_id) / "config" / "config.toml").unlink()
    assert not watched.restore_backup(backup_id)
    found = series(watched._repository.name)
    assert (found["corrupt_files"], found["restores_total failed"]) == (1, 1)


def test_metadata_that_cannot_be_read_shows_as_corrupt(watched: RecoveryManager) -> None:
    """The backup is not listed any more, but not forgotten either."""
    backup_id = watched.create_backup(*ALL)
    path = watched._get_backup_dir(backup_id) / "metadata.json"
    path.write_bytes(path.read_bytes().replace(b"success", b"Success"))
    found = series(watched._repository.name)
    assert (found["stored success"], found["corrupt_files"]) == (0, 1)
    assert found["last_success_timestamp_seconds config"] == 0


def test_it_outlives_the_manager_and_the_process(watched: RecoveryManager, tmp_path: Path) -> None:
    """A job of another process, that ended, shows; and nothing is counted twice."""
    name = watched._repository.name
    code = (
        f"from peak_observe import RecoveryManager; manager = RecoveryManager({str(tmp_path / 'backups')!r});"
        "manager.state_snapshot.register_provider('bot', dict); manager.create_backup()"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
    again = RecoveryManager(tmp_path / "backups", name=name, max_age=60)
    del watched
    gc.collect()
    found = series(name)
    assert found["runs_total success"] == found["stored success"] == 1
    assert found["max_age_seconds"] == 60
    again.state_snapshot.register_provider("bot", dict)
    again.create_backup()
    assert series(name)["runs_total success"] == 2


def test_repositories_of_one_name_show_the_worse(tmp_path: Path, clock: ManualClock) -> None:
    """Their sizes and counts add up."""
    for folder in ("a", "b"):
        manager = RecoveryManager(tmp_path / folder, name="twins", clock=clock)
        manager.state_snapshot.register_provider("x", lambda: 1)
        manager.create_backup()
        clock.advance(10)
    found = series("twins")
    assert found["age_seconds state"] == 20
    assert (found["stored success"], found["runs_total success"]) == (2, 2)


def test_a_backup_that_lost_its_base_is_corrupt(watched: RecoveryManager, clock: ManualClock) -> None:
    """It is no success any more, and the alert is told; the age is that of the newest one that can be restored."""
    first = watched.create_backup(*ALL)
    clock.advance(10)
    base = watched.create_backup(*ALL)
    clock.advance(10)
    assert watched.get_backup(watched.create_backup(*ALL, incremental=True)).base == base
    name = watched._repository.name
    assert (series(name)["corrupt_files"], series(name)["age_seconds data"]) == (0, 0)
    shutil.rmtree(watched.backup_root / base)
    assert (series(name)["corrupt_files"], series(name)["age_seconds data"]) == (1, 20)
    shutil.rmtree(watched.backup_root / first)
    assert series(name)["last_success_timestamp_seconds data"] == 0


def test_a_backup_that_lost_its_manifest_is_corrupt(watched: RecoveryManager, clock: ManualClock) -> None:
    """It alone: what is based on it needs its files, which are there. A verification counts it no second time."""
    watched.create_backup(*ALL)
    clock.advance(10)
    base = watched.create_backup(*ALL)
    clock.advance(10)
    watched.create_backup(*ALL, incremental=True)
    (watched.backup_root / base / "manifest.json").unlink()
    name = watched._repository.name
    for _ in range(2):
        assert (series(name)["corrupt_files"], series(name)["age_seconds data"]) == (1, 0)
        assert not watched.verify_backup(base).ok


def test_a_repository_that_is_gone_has_nothing(tmp_path: Path, clock: ManualClock) -> None:
    """A disk that is not mounted has no backups, whatever was there yesterday."""
    manager = RecoveryManager(tmp_path / "backups", name="unmounted", clock=clock)
    manager.state_snapshot.register_provider("x", lambda: 1)
    manager.create_backup()
    manager.backup_root.rename(tmp_path / "elsewhere")
    found = series("unmounted")
    assert (found["last_success_timestamp_seconds state"], found["stored success"]) == (0, 0)


def test_an_age_is_never_negative() -> None:
    """A clock that was set back does not make a backup one of the future."""
    backup = BackupMetadata(
        "b",
        BackupType.CONFIG,
        "2026-01-02T00:00:00+00:00",
        BackupStatus.SUCCESS,
        parts={"config": Part(1, 2, 3.0)},
    )
    found = reading(
        [backup], Account(), kinds=(), max_age=None, stored_bytes=0, unreadable=0, now=backup.created.timestamp() - 60
    )
    assert found.kinds["config"].age == 0


def test_the_log_has_one_line_for_each(
    watched: RecoveryManager, program: Program, caplog: pytest.LogCaptureFixture
) -> None:
    """In words that say which repository and what is missing."""
    with caplog.at_level(logging.INFO, "peak_observe.backup"):
        backup_id = watched.create_backup(*ALL)
        watched.verify_backup(backup_id)
        program.config.unlink()
        watched.restore_backup(backup_id, restore_data=True, restore_state=True)
        program.config.unlink()
        partial = watched.create_backup(*ALL)
        watched.restore_backup(partial)
    texts = [(record.levelname, record.getMessage().partition(" in ")[0]) for record in caplog.records]
    name = watched._repository.name
    size = watched.get_backup(backup_id).size_bytes
    missing = f"{program.config}: is missing"
    instead = f"the newest complete backup is {backup_id}; allow_partial=True restores what there is"
    refusal = f"it is partial ({missing}); {instead}"
    assert texts == [
        ("INFO", f"'{name}' has a new backup {backup_id}: 6 files, {size} bytes"),
        ("INFO", f"backup {backup_id} is as it was stored: 6 files"),
        ("WARNING", f"backup {backup_id} is restored: 1 files changed"),
        ("WARNING", f"backup {partial} of '{name}' is partial: {missing}"),
        ("ERROR", f"restore of backup {partial} failed: backup {partial} is not restored: {refusal}"),
    ]


def test_a_backup_that_waits_for_a_provider_shows_as_running(watched: RecoveryManager, clock: ManualClock) -> None:
    """So that the alert of a stuck backup hears of one with a long time limit, though nothing holds the lock."""
    inside, leave = threading.Event(), threading.Event()

    def slow() -> int:
        inside.set()
        leave.wait(60)
        return 1

    watched.state_snapshot.register_provider("slow", slow)
    thread = threading.Thread(target=watched.create_backup)
    thread.start()
    assert inside.wait(60)
    since = series(watched._repository.name)["running_since_timestamp_seconds"]
    leave.set()
    thread.join()
    assert since == clock.now().timestamp()
    assert series(watched._repository.name)["running_since_timestamp_seconds"] == 0


YEAR = 365 * 86_400.0


def told(manager: RecoveryManager, *, max_age: float | None = None, name: str = "") -> BackupReading:
    """Return what an exporter reads that was started just now."""
    repository = Repository(manager.backup_root, name or manager._repository.name, manager._clock)
    return reading_of(repository, kinds=(), max_age=max_age)


def test_a_backup_of_some_of_what_is_named_is_no_fresh_one(tmp_path: Path, clock: ManualClock) -> None:
    """Two programs share one path of their configurations: each is as old as what it alone names."""
    managers = []
    for name in ("bot1", "bot2"):
        manager = RecoveryManager(tmp_path / "backups", name=name, max_age=3600, clock=clock)
        for path in ("common.toml", f"{name}.toml"):
            (tmp_path / path).write_text(name)
            manager.config_backup.add_config(tmp_path / path)
        manager.create_backup()
        managers.append(manager)
    clock.advance(36_000)
    managers[1].create_backup()
    assert [told(manager).kinds["config"].age for manager in managers] == [36_000, 0]
    assert series("bot1")["age_seconds config"] == 36_000


def test_backups_that_hold_all_together_are_as_old_as_the_oldest(tmp_path: Path, clock: ManualClock) -> None:
    """Of the newest of each path, whatever else each of them holds; a run by hand takes nothing out of the promise."""
    both = RecoveryManager(tmp_path / "backups", max_age=86_400, clock=clock)
    for path in ("a", "b"):
        (tmp_path / path).mkdir()
        both.data_backup.add_data_path(tmp_path / path)
    both.create_backup()
    for path, age in (("a", 3600), ("b", 3600), ("a", 7200)):
        clock.advance(3600)
        by_hand = RecoveryManager(tmp_path / "backups", clock=clock)
        by_hand.data_backup.add_data_path(tmp_path / path)
        by_hand.create_backup()
        assert told(both).kinds["data"].age == min(age, 3600)
    clock.advance(3600)
    assert told(both).kinds["data"].age == 7200


def test_what_is_named_no_more_is_asked_for_no_more(tmp_path: Path, clock: ManualClock) -> None:
    """Once a program says so that promises an age itself."""
    for paths in (("a", "b"), ("a",)):
        clock.advance(3600)
        manager = RecoveryManager(tmp_path / "backups", max_age=60, clock=clock)
        for path in paths:
            (tmp_path / path).mkdir(exist_ok=True)
            manager.data_backup.add_data_path(tmp_path / path)
        manager.create_backup()
    assert told(manager).kinds["data"].age == 0


def test_what_is_named_since_today_has_not_been_missing_for_a_year(
    watched: RecoveryManager, program: Program, clock: ManualClock
) -> None:
    """It counts from the first run that names it, also where that makes no backup of it."""
    watched.create_backup()
    clock.advance(YEAR)
    watched.create_backup()
    clock.advance(60)
    watched.config_backup.add_config(program.folder / "missing")
    watched.create_backup()
    clock.advance(1800)
    assert told(watched).kinds["config"].age == 1860
    clock.advance(1800)
    watched.config_backup.config_paths.pop()
    RecoveryManager(watched.backup_root, name="hand", clock=clock)
    watched.create_backup()
    assert told(watched).kinds["config"].age == 0


def test_a_part_that_is_left_out_stays_promised(watched: RecoveryManager, clock: ManualClock) -> None:
    """With all its paths: a backup of other data is none of these."""
    watched.create_backup()
    clock.advance(7200)
    watched.create_backup(include_data=False)
    other = RecoveryManager(watched.backup_root, name="other", clock=clock)
    other.data_backup.add_data_path(watched.backup_root.parent)
    other.create_backup()
    assert (told(watched).kinds["config"].age, told(watched).kinds["data"].age) == (0, 7200)


def test_another_program_does_not_make_one_fresh_that_never_ran(watched: RecoveryManager, clock: ManualClock) -> None:
    """Before its first run only its own process knows what it names."""
    other = RecoveryManager(watched.backup_root, name="other", clock=clock)
    other.config_backup.add_config(Path(__file__))
    other.create_backup()
    assert series(watched._repository.name)["last_success_timestamp_seconds config"] == 0


def test_a_backup_of_the_future_is_no_fresh_one(watched: RecoveryManager, clock: ManualClock) -> None:
    """Where a clock was ahead for one run, the age is that of the one before, and the last attempt is the last one."""
    watched.create_backup()
    before = clock.now().timestamp()
    clock.jump(YEAR)
    watched.create_backup()
    clock.jump(7200 - YEAR)
    name = watched._repository.name
    assert (series(name)["age_seconds config"], told(watched).kinds["data"].age) == (7200, 7200)
    assert series(name)["last_success_timestamp_seconds config"] == before
    count(watched._repository, ValueError("a hook failed"))
    assert series(name)["last_attempt_timestamp_seconds"] == before + 7200
    watched.create_backup()
    assert series(name)["age_seconds config"] == 0


def test_a_repository_that_began_in_the_future_is_no_younger_than_who_looks(
    tmp_path: Path, program: Program, clock: ManualClock
) -> None:
    """Nothing that its files tell can be believed until the next run, so it counts from the first look."""
    clock.jump(YEAR)
    manager = RecoveryManager(tmp_path / "backups", max_age=60, clock=clock)
    manager.config_backup.add_config(program.config)
    manager.create_backup()
    clock.jump(-YEAR)
    observed = ObservedRepository(Repository(tmp_path / "backups", "x", clock))
    clock.advance(90)
    found = observed.read().kinds["config"]
    assert (found.last_success, found.age) == (0, 90)
    RecoveryManager(tmp_path / "backups", clock=clock)
    clock.advance(10)
    assert told(manager).kinds["config"].age == 10


def test_a_label_that_promised_nothing_shows_who_is_worst_off(tmp_path: Path, clock: ManualClock) -> None:
    """By what each has promised: one that may be a day old is not late after two hours."""
    for name, max_age in (("bot1", 3600), ("bot2", 3600), ("archive", 86_400), ("none", None)):
        (tmp_path / name).write_text(name)
        manager = RecoveryManager(tmp_path / "backups", name=name, max_age=max_age, clock=clock)
        manager.config_backup.add_config(tmp_path / name)
        manager.create_backup()
        clock.advance(600)
        if name == "bot2":
            bot2 = manager
    found = told(bot2, name="two")
    assert (found.kinds["config"].age, found.max_age) == (2400, 3600)
    clock.advance(7200)
    for name in ("bot1", "bot2"):
        manager = RecoveryManager(tmp_path / "backups", name=name, max_age=3600, clock=clock)
        manager.config_backup.add_config(tmp_path / name)
        manager.create_backup()
    found = told(bot2, name="two")
    assert (found.kinds["config"].age, found.max_age) == (8400, 86_400)
    clock.advance(36_000)
    bot2.create_backup()
    found = told(bot2, name="two")
    assert (found.kinds["config"].age, found.max_age) == (36_000, 3600)
    assert told(bot2, name="two", max_age=60).kinds["config"].age == 44_400


@pytest.mark.parametrize("empty", [True, False], ids=["mount point", "nothing"])
def test_a_repository_that_is_gone_grows_old(watched: RecoveryManager, clock: ManualClock, empty: bool) -> None:
    """Its disk is not mounted: that of which there were backups has none, and what is promised stays promised."""
    name, root = watched._repository.name, watched.backup_root
    watched.create_backup()
    watched.drill()
    clock.advance(60)
    assert series(name)["age_seconds config"] == 60
    root.rename(root.with_name("away"))
    if empty:
        root.mkdir()
    clock.advance(30 * 86_400)
    found = series(name)
    assert found["last_success_timestamp_seconds config"] == found["last_success_timestamp_seconds data"] == 0
    assert found["age_seconds config"] == 30 * 86_400 + 60
    assert found["max_age_seconds"] == 3600
    assert "configured_timestamp_seconds" not in found


def test_a_promise_of_backups_of_which_there_are_none_shows(tmp_path: Path, clock: ManualClock) -> None:
    """Also where nobody has said what they are of."""
    observed = ObservedRepository(Repository(tmp_path, "x", clock))
    clock.advance(90)
    assert observed.read().kinds == {}
    observed.max_age = 60
    found = observed.read()
    assert (found.kinds["anything"].last_success, found.kinds["anything"].age, found.configured) == (0, 90, None)


def of_config(tmp_path: Path, label: str, *names: str, max_age: float | None = None, **options) -> RecoveryManager:
    """Return a manager for whom files of these names are named."""
    manager = RecoveryManager(tmp_path / "backups", name=label, max_age=max_age, **options)
    for name in names:
        (tmp_path / name).write_text(name)
        manager.config_backup.add_config(tmp_path / name)
    return manager


def test_each_manager_is_late_by_its_own_promise(tmp_path: Path, clock: ManualClock) -> None:
    """In the program as in an exporter, whichever of them was made last."""
    often = of_config(tmp_path, "ages", "c.toml", max_age=3600, clock=clock)
    seldom = RecoveryManager(tmp_path / "backups", name="ages", max_age=7 * 86_400, clock=clock)
    (tmp_path / "data").mkdir()
    seldom.data_backup.add_data_path(tmp_path / "data")
    for manager in (often, seldom, often):
        manager.create_backup()
    clock.advance(2 * 86_400)
    found = series("ages")
    assert (found["age_seconds config"], found["age_seconds data"]) == (172_800, 172_800)
    assert found["max_age_seconds"] == told(often).max_age == 3600
    often.create_backup()
    assert series("ages")["max_age_seconds"] == told(often).max_age == 7 * 86_400


def test_what_each_living_manager_names_shows(tmp_path: Path, clock: ManualClock) -> None:
    """By its own age, though another one of the label was made since, and runs; one that is gone goes."""
    never = of_config(tmp_path, "living", "c.toml", "d.toml", max_age=3600, clock=clock)
    runs = of_config(tmp_path, "living", clock=clock)
    runs.state_snapshot.register_provider("bot", dict)
    runs.create_backup()
    clock.advance(60)
    found = series("living")
    assert (found["last_success_timestamp_seconds config"], found["age_seconds config"]) == (0, 60)
    assert (found["age_seconds state"], found["max_age_seconds"]) == (60, 3600)
    same = of_config(tmp_path, "living", "c.toml", max_age=86_400, clock=clock)
    same.create_backup()
    clock.advance(60)
    assert series("living")["age_seconds config"] == 120  # of the other file
    del never
    gc.collect()
    assert (series("living")["age_seconds config"], series("living")["max_age_seconds"]) == (60, 86_400)


def test_what_is_named_later_is_missing_since_then(tmp_path: Path, clock: ManualClock) -> None:
    """A path that a program of a year adds has not been missing for a year before its first run."""
    manager = of_config(tmp_path, "later", "c.toml", max_age=3600, clock=clock)
    manager.create_backup()
    clock.advance(YEAR)
    manager.create_backup()
    assert series("later")["age_seconds config"] == 0
    manager.config_backup.add_config(tmp_path / "d.toml")
    clock.advance(60)
    assert series("later")["age_seconds config"] == 60


@pytest.mark.parametrize("size", [100, 0])
def test_a_damaged_account_is_no_new_one(watched: RecoveryManager, size: int, clock: ManualClock) -> None:
    """What it knew of corrupt backups is lost: that shows as damage, until a backup is made of files read anew."""
    name, root = watched._repository.name, watched.backup_root
    corrupt = watched.create_backup(*ALL)
    stored = root / corrupt / "config" / "config.toml"
    stored.chmod(0o600)
    stored.write_bytes(stored.read_bytes().swapcase())
    assert not watched.verify_backup(corrupt).ok
    os.truncate(root / ".peak-observe" / "account.json", size)
    assert (series(name)["corrupt_files"], told(watched).corrupt_files) == (1, 1)
    assert series(name)["max_age_seconds"] == 3600
    again = RecoveryManager(root, name=name, clock=clock)  # writes a new one
    assert again.prune(RetentionPolicy(last=5)).remove == ()
    account = again._repository.ledger.load()
    assert (account.lost, account.doubted) == (True, [corrupt])
    assert (series(name)["corrupt_files"], told(watched).corrupt_files) == (1, 1)
    clock.advance(60)
    made = watched.create_backup(*ALL)
    assert (series(name)["corrupt_files"], told(watched).corrupt_files, told(watched).max_age) == (0, 0, 3600)
    assert watched.verify_backup(made).ok
    assert watched._repository.ledger.load().doubted == [corrupt]


def test_an_account_that_may_not_be_read_is_not_damaged(public_path: Path) -> None:
    """It says nothing of it: an exporter of another user is down, and no new account is made up."""
    manager = RecoveryManager(public_path / "backups")
    manager.state_snapshot.register_provider("bot", dict)
    manager.create_backup()
    for path in (manager.backup_root, *manager.backup_root.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)
    (manager.backup_root / ".peak-observe" / "account.json").chmod(0o600)
    repository = Repository(manager.backup_root, "x", manager._clock)

    def look() -> None:
        with pytest.raises(PermissionError):
            ObservedRepository(repository).look()

    as_user(65_534, look)
    assert ObservedRepository(repository).look().corrupt_files == 0


def test_no_repository_is_begun_in_an_empty_mount_point(watched: RecoveryManager, clock: ManualClock) -> None:
    """By a manager that has seen the backups there: runs fail and are counted, and go on once the disk is back."""
    name, root = watched._repository.name, watched.backup_root
    watched.create_backup(*ALL)
    root.rename(root.with_name("disk"))
    root.mkdir()
    clock.advance(60)
    for _ in range(2):
        with pytest.raises(BackupError, match=f"{root} has no backups any more: mount its disk"):
            watched.create_backup(*ALL)
    assert list(root.iterdir()) == []
    found = series(name)
    assert (found["runs_total failed"], found["last_success_timestamp_seconds config"]) == (2, 0)
    assert found["last_attempt_timestamp_seconds"] == clock.now().timestamp()
    root.rmdir()
    with pytest.raises(BackupError, match="mount its disk"):
        watched.create_backup(*ALL)
    assert not root.exists()
    root.with_name("disk").rename(root)
    watched.create_backup(*ALL)
    found = series(name)
    assert (found["runs_total success"], found["runs_total failed"], found["age_seconds config"]) == (2, 3, 0)


def test_a_new_manager_begins_a_new_repository(watched: RecoveryManager) -> None:
    """On purpose, where another is gone, which the older one takes; and so does one whose backups were removed."""
    backup_id = watched.create_backup(*ALL)
    assert watched.delete_backup(backup_id)
    assert watched.list_backups() == []
    shutil.rmtree(watched.backup_root)
    watched.create_backup(*ALL)
    shutil.rmtree(watched.backup_root)
    with pytest.raises(BackupError, match="a new RecoveryManager, begins a new repository"):
        watched.create_backup(*ALL)
    RecoveryManager(watched.backup_root)
    assert watched.get_backup(watched.create_backup(*ALL)).good
