"""Backups at their time, whatever clocks, errors and forks do."""

import logging
import queue
import subprocess
import sys
import threading
from datetime import UTC, datetime, timedelta, timezone

import pytest

from peak_observe.backup_recovery.schedule import BackupSchedule, due_in
from peak_observe.testing import ManualClock

NOW = datetime(2026, 1, 1, tzinfo=UTC)
HOUR = 3600.0
PATIENCE = 60  # seconds until a test gives up; it waits for none of them if all is well


class Manager:
    """Keeps the times of its backups in memory, and fails when it is told to."""

    def __init__(self, clock: ManualClock, *, age: float | None = None) -> None:
        self.clock = clock
        self.last = None if age is None else clock.now() - timedelta(seconds=age)
        self.error: BaseException | None = None
        self.partial = False
        self.runs: queue.Queue[datetime] = queue.Queue()
        self.looks: queue.Queue[None] = queue.Queue()
        self.arguments: list[dict[str, object]] = []

    def create_backup(self, **arguments: object) -> str:
        """Make one, or do not."""
        self.arguments.append(arguments)
        try:
            if self.error:
                raise self.error
            if not self.partial:
                self.last = self.clock.now()
        finally:
            self.runs.put(self.clock.now())
        return "backup"

    def last_success(self) -> datetime | None:
        """Tell when the newest good one was made."""
        self.looks.put(None)
        return self.last

    def looked(self, times: int = 1) -> None:
        """Wait until it was asked for its last success that often."""
        for _ in range(times):
            self.looks.get(timeout=PATIENCE)

    def ran(self) -> datetime:
        """Wait for a run and return when it was."""
        return self.runs.get(timeout=PATIENCE)


@pytest.fixture
def clock() -> ManualClock:
    """Return a clock that stands still."""
    return ManualClock(NOW)


def hourly(manager: Manager, **more: object) -> BackupSchedule:
    """Return a schedule without chance in it."""
    return BackupSchedule(manager, every=HOUR, jitter=0, clock=manager.clock, **more)


def test_it_is_due_when_the_last_one_is_old() -> None:
    """And not before."""
    assert due_in(NOW - timedelta(seconds=3599), NOW, HOUR) == 1.0
    assert due_in(NOW - timedelta(seconds=3600), NOW, HOUR) == 0.0
    assert due_in(NOW - timedelta(days=365), NOW, HOUR) == 0.0
    assert due_in(NOW, NOW, HOUR) == HOUR


def test_it_is_due_when_there_was_none() -> None:
    """The first backup is made at once."""
    assert due_in(None, NOW, HOUR) == 0.0


def test_it_is_due_when_the_last_one_is_from_the_future() -> None:
    """A clock that ran ahead must not put off backups until it is right again."""
    assert due_in(NOW + timedelta(microseconds=1), NOW, HOUR) == 0.0
    assert due_in(NOW + timedelta(days=365), NOW, HOUR) == 0.0


def test_zones_do_not_matter() -> None:
    """Aware times are compared, whatever zone they are in."""
    assert due_in(NOW.astimezone(timezone(timedelta(hours=5))), NOW, HOUR) == HOUR


@pytest.mark.parametrize("age", [None, HOUR, 1e6, -1e6])
def test_an_overdue_backup_is_made_at_once(clock: ManualClock, age: float | None) -> None:
    """With the arguments that the schedule was given."""
    manager = Manager(clock, age=age)
    with hourly(manager, include_data=True, tags=["scheduled"]):
        assert manager.ran() == NOW
    assert manager.arguments == [{"include_data": True, "tags": ["scheduled"]}]


def test_a_backup_is_made_when_it_becomes_due(clock: ManualClock) -> None:
    """Neither a second earlier nor, once the clock is looked at, later."""
    manager = Manager(clock, age=1800)
    with hourly(manager) as schedule:
        for seconds in (1799, 1):
            manager.looked()
            clock.advance(seconds)
            schedule.wake()
        assert manager.ran() == NOW + timedelta(seconds=1800)
    assert manager.runs.empty()


def test_it_looks_at_the_clock_every_minute(clock: ManualClock, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a night in suspend, of which a wait knows nothing, the backup is late by a minute at most."""
    monkeypatch.setattr("peak_observe.backup_recovery.schedule.LOOK_AGAIN", 0.001)
    manager = Manager(clock, age=0)
    with hourly(manager):
        manager.looked()
        clock.jump(8 * HOUR)
        assert manager.ran() == NOW + timedelta(hours=8)


def test_a_clock_that_is_set_back_makes_one_more_backup(clock: ManualClock) -> None:
    """And not one after the other."""
    manager = Manager(clock, age=0)
    schedule = hourly(manager)
    clock.jump(-86_400)
    assert schedule._due() == 0
    schedule._run()
    assert schedule._due() == HOUR


def test_a_manager_with_a_clock_of_its_own_is_not_called_without_pause(clock: ManualClock) -> None:
    """Successes that are always in the future are a minute apart."""
    manager = Manager(ManualClock(NOW + timedelta(days=1)))
    schedule = BackupSchedule(manager, every=HOUR, clock=clock)
    assert schedule._due() == 0
    schedule._run()
    manager.clock.advance(1)
    assert schedule._due() == 60


def fails_with_pauses(schedule: BackupSchedule, clock: ManualClock, count: int) -> list[float]:
    """Run whenever it is due and return the pauses after each run."""
    pauses = []
    for _ in range(count):
        assert schedule._due() == 0
        schedule._run()
        pauses.append(schedule._due())
        clock.advance(pauses[-1])
    return pauses


def test_a_failure_is_tried_again_ever_more_seldom(clock: ManualClock) -> None:
    """After a minute, then after twice as long, up to the schedule itself; a success begins anew."""
    manager = Manager(clock)
    manager.error = OSError("disk full")
    schedule = hourly(manager)
    assert fails_with_pauses(schedule, clock, 8) == [60, 120, 240, 480, 960, 1920, 3600, 3600]
    manager.error = None
    assert fails_with_pauses(schedule, clock, 1) == [3600]
    manager.error = OSError("disk full")
    assert fails_with_pauses(schedule, clock, 2) == [60, 120]


def test_a_short_schedule_is_never_tried_less_often_than_it_says(clock: ManualClock) -> None:
    """Also the first pause is no longer than `every`."""
    manager = Manager(clock)
    manager.error = OSError("disk full")
    assert fails_with_pauses(BackupSchedule(manager, every=5, clock=clock), clock, 2) == [5, 5]


def test_thousands_of_failures_are_no_overflow(clock: ManualClock) -> None:
    """A schedule that failed for years goes on."""
    manager = Manager(clock)
    manager.error = OSError("disk full")
    assert fails_with_pauses(hourly(manager), clock, 1100)[-1] == HOUR


def test_a_partial_backup_is_no_success(clock: ManualClock) -> None:
    """Something is missing, which may be there at the next try, but no try chases the one before."""
    manager = Manager(clock)
    manager.partial = True
    assert fails_with_pauses(hourly(manager), clock, 2) == [60, 120]


def test_a_backup_that_somebody_else_made_counts(clock: ManualClock) -> None:
    """A cron job beside the schedule puts it off."""
    manager = Manager(clock)
    manager.error = OSError("locked by another process")
    schedule = hourly(manager)
    schedule._run()
    manager.last = clock.now()
    assert schedule._due() == HOUR


def lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Return what was logged."""
    return [f"{record.levelname} {record.getMessage()}" for record in caplog.records]


def test_each_message_is_logged_once(clock: ManualClock, caplog: pytest.LogCaptureFixture) -> None:
    """Until another one comes, or a success in between."""
    caplog.set_level(logging.INFO, logger="peak_observe.backup")
    manager = Manager(clock)
    schedule = hourly(manager)
    for error in (OSError("full"), OSError("full"), OSError("gone"), None, None, OSError("gone")):
        manager.error = error
        clock.advance(HOUR)
        schedule._run()
    failed = "ERROR a backup failed and will be tried again: OSError: "
    assert lines(caplog) == [failed + "full", failed + "gone", "INFO backups are made again", failed + "gone"]


def test_a_manager_that_cannot_tell_is_asked_for_a_backup(clock: ManualClock, caplog: pytest.LogCaptureFixture) -> None:
    """And what is wrong is logged, with pauses in between."""

    class Mute(Manager):
        def last_success(self) -> datetime | None:
            raise PermissionError("backups?token=hunter2")

    manager = Mute(clock)
    assert fails_with_pauses(hourly(manager), clock, 2) == [60, 120]
    assert lines(caplog) == ["ERROR a backup failed and will be tried again: PermissionError: backups?token=***"]


@pytest.mark.parametrize("error", [OSError("full"), SystemExit(3)])
def test_the_thread_survives(clock: ManualClock, error: BaseException) -> None:
    """An error, and also a provider that would end the program, end one run only."""
    manager = Manager(clock)
    manager.error = error
    with hourly(manager) as schedule:
        manager.looked(3)  # before the run, in it, and when it was over
        manager.error = None
        clock.advance(HOUR)
        schedule.wake()
        assert [manager.ran(), manager.ran()] == [NOW, NOW + timedelta(hours=1)]


def test_the_next_run_is_known(clock: ManualClock) -> None:
    """While it runs."""
    manager = Manager(clock, age=600)
    schedule = hourly(manager)
    assert schedule.next_run is None
    with schedule:
        manager.looked()
        schedule.wake()
        manager.looked()  # for the second time, so that what it did after the first is done
        assert schedule.next_run == NOW + timedelta(seconds=3000)
    assert schedule.next_run is None


def test_jitter_makes_it_earlier_and_never_later(clock: ManualClock) -> None:
    """By up to the share that is asked for, anew after each success."""
    manager = Manager(clock, age=0)
    schedule = BackupSchedule(manager, every=HOUR, jitter=0.5, clock=clock)
    pauses = []
    for _ in range(50):
        pauses.append(schedule._due())
        clock.advance(pauses[-1])
        schedule._run()
    assert all(HOUR / 2 <= pause <= HOUR for pause in pauses)
    assert len(set(pauses)) > 40


class Slow(Manager):
    """A manager whose runs last until they are let go."""

    def __init__(self, clock: ManualClock) -> None:
        super().__init__(clock)
        self.let_go = threading.Event()

    def create_backup(self, **arguments: object) -> str:
        """Tell that it began, and wait."""
        began = self.clock.now()
        self.runs.put(began)
        assert self.let_go.wait(PATIENCE)
        self.last = began
        return "backup"


def test_stop_waits_for_the_run_under_way(clock: ManualClock) -> None:
    """As long as it is told to; then the thread ends after the run."""
    manager = Slow(clock)
    schedule = hourly(manager)
    schedule.start()
    manager.ran()
    assert not schedule.stop(0.001)
    assert schedule.running
    manager.let_go.set()
    assert schedule.stop()
    assert not schedule.running
    assert manager.last == NOW
    assert schedule.stop()


def test_start_after_a_stop_that_did_not_wait_goes_on(clock: ManualClock) -> None:
    """There is one thread and never two that write at once."""
    manager = Slow(clock)
    schedule = hourly(manager)
    schedule.start()
    schedule.start()
    manager.ran()
    schedule.stop(0)
    thread = schedule._thread
    schedule.start()
    manager.let_go.set()
    clock.advance(HOUR)
    schedule.wake()
    manager.ran()
    assert schedule._thread is thread
    assert schedule.stop()


def test_it_can_be_started_again(clock: ManualClock) -> None:
    """After it ended."""
    manager = Manager(clock)
    schedule = hourly(manager)
    for _ in range(2):
        with schedule:
            manager.ran()
        clock.advance(HOUR)


def test_a_run_can_stop_its_schedule(clock: ManualClock) -> None:
    """Without waiting for itself."""

    class Last(Manager):
        def create_backup(self, **arguments: object) -> str:
            ended.append(schedule.stop())
            return super().create_backup(**arguments)

    ended: list[bool] = []
    manager = Last(clock)
    schedule = hourly(manager)
    schedule.start()
    manager.ran()
    assert schedule.stop()
    assert ended == [False]


def test_waking_what_does_not_run_is_nothing(clock: ManualClock) -> None:
    """There is nobody to wake."""
    hourly(Manager(clock)).wake()


NONSENSE = [
    {"every": 0},
    {"every": -1},
    {"every": float("nan")},
    {"every": float("inf")},
    {"every": 1e10},
    {"every": "1h"},
    {"every": True},
    {"jitter": -0.1},
    {"jitter": 0.6},
    {"jitter": None},
]


@pytest.mark.parametrize("arguments", NONSENSE, ids=str)
def test_nonsense_is_refused(clock: ManualClock, arguments: dict[str, object]) -> None:
    """One ValueError names the argument."""
    [name] = arguments
    with pytest.raises(ValueError, match=f"^{name} must be "):
        BackupSchedule(Manager(clock), **{"every": HOUR, **arguments})


PROGRAM = """
import os, sys, threading
from datetime import datetime, UTC
from peak_observe.backup_recovery.schedule import BackupSchedule

class Manager:
    began, runs, pids, last = threading.Event(), threading.Semaphore(0), [], None
    def create_backup(self):
        self.pids.append(os.getpid())
        self.runs.release()
        self.last = datetime.now(UTC)
        if "hang" in sys.argv:
            threading.Event().wait()
    def last_success(self):
        return self.last

manager = Manager()
schedule = BackupSchedule(manager, every=3600)
schedule.start()
assert manager.runs.acquire(timeout=60)
"""
FORK = """
child = os.fork()
if not child:
    manager.last = None
    inherited = schedule.running, schedule.next_run, schedule.stop(), len(manager.pids)
    with schedule:
        again = manager.runs.acquire(timeout=60)
    os._exit(0 if inherited == (False, None, True, 1) and again and manager.pids[-1] == os.getpid() else 1)
status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
print(status, schedule.running, len(manager.pids), schedule.stop())
"""


def run(code: str, *arguments: str) -> str:
    """Run code in a new interpreter and return what it prints."""
    command = [sys.executable, "-W", "ignore", "-c", code, *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=True).stdout


def test_the_program_ends_in_spite_of_a_run_that_hangs() -> None:
    """Nobody waits for a backup at exit who did not ask for it."""
    assert run(PROGRAM + "print('ends')", "hang") == "ends\n"


def test_a_child_does_not_run_it() -> None:
    """It knows that it does not, can stop without waiting for a thread it does not have, and can begin its own."""
    assert run(PROGRAM + FORK) == "0 True 1 True\n"


class Offsite:
    """Takes backups, or fails when it is told to."""

    def __init__(self, error: BaseException | None = None) -> None:
        self.error = error
        self.pushes: queue.Queue[None] = queue.Queue()

    def push(self) -> None:
        """Take one, or do not."""
        self.pushes.put(None)
        if self.error:
            raise self.error


def test_each_good_backup_is_pushed(clock: ManualClock) -> None:
    """Also the one that the last process may not have sent."""
    manager, offsite = Manager(clock, age=60), Offsite()
    with hourly(manager, offsite=offsite) as schedule:
        offsite.pushes.get(timeout=PATIENCE)
        clock.advance(HOUR)
        schedule.wake()
        manager.ran()
        offsite.pushes.get(timeout=PATIENCE)
    assert offsite.pushes.empty()


def test_partial_backup_is_not_pushed(clock: ManualClock) -> None:
    """What misses something does not go for a copy that restores."""
    manager, offsite = Manager(clock), Offsite()
    manager.partial = True
    with hourly(manager, offsite=offsite):
        manager.ran()
    assert offsite.pushes.empty()


def test_failed_push_is_tried_again_without_another_backup(clock: ManualClock, caplog) -> None:
    """After a minute, then later and later; it is logged once, and so is its end."""
    caplog.set_level(logging.INFO)
    manager, offsite = Manager(clock, age=60), Offsite(ConnectionError("no network"))
    with hourly(manager, offsite=offsite) as schedule:
        offsite.pushes.get(timeout=PATIENCE)
        for seconds in (61, 121):
            clock.advance(seconds)
            schedule.wake()
            offsite.pushes.get(timeout=PATIENCE)
        offsite.error = None
        clock.advance(300)
        schedule.wake()
        offsite.pushes.get(timeout=PATIENCE)
    assert manager.runs.empty()
    texts = [record.message for record in caplog.records]
    assert len([text for text in texts if "was not sent off-site and will be tried again: " in text]) == 1
    assert texts[-1] == "backups are sent off-site again"
