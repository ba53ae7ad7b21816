"""An alarm of the program's own, whose handler raises, is taken for no fault of a file."""

import os
import signal
from collections.abc import Callable, Iterator
from types import FrameType

import pytest

from peak_observe import RecoveryManager
from peak_observe.backup_recovery.restore.verification import VerifyReport
from peak_observe.errors import BackupError
from tests.backup_recovery.conftest import Program, picture

TRIES = 120
# A file that is being opened when the alarm rings is left to the collector.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


def causes(error: BaseException | None) -> Iterator[BaseException]:
    """Yield an exception and those that led to it."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


@pytest.fixture
def alarmed() -> Iterator[Callable[[Callable[[], object], float], bool]]:
    """Return what does something until an alarm rings after so many seconds, and returns whether that came through."""

    def ring(number: int, frame: FrameType | None) -> None:
        raise TimeoutError("my alarm")

    def act(what: Callable[[], object], seconds: float) -> bool:
        try:
            signal.setitimer(signal.ITIMER_REAL, seconds)
            what()
            signal.setitimer(signal.ITIMER_REAL, 0)
        except TimeoutError as error:
            assert str(error) == "my alarm"  # noqa: PT017 - it need not come
            return True
        except BackupError as error:
            assert "my alarm" in map(str, causes(error))  # noqa: PT017 - the same
            return True
        return False

    before = signal.signal(signal.SIGALRM, ring)
    yield act
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)


def test_an_alarm_while_a_backup_is_verified_says_nothing_of_it(
    program: Program, manager: RecoveryManager, alarmed: Callable[[Callable[[], object], float], bool]
) -> None:
    """It comes through as it is, and the backup counts as good."""
    for number in range(300):
        program.write(program.data / f"{number}.csv", str(number))
    backup_id = manager.create_backup()
    rung, reports = 0, list[VerifyReport]()
    for at in range(TRIES):
        rung += alarmed(lambda: reports.append(manager.verify_backup(backup_id)), 0.0003 + at % 60 * 0.0003)
        assert all(report.problems == () for report in reports)
        assert manager._repository.ledger.read().corrupt == {}
    assert rung > 0


def test_an_alarm_while_a_backup_is_made_is_no_problem_of_a_source(
    program: Program, manager: RecoveryManager, alarmed: Callable[[Callable[[], object], float], bool]
) -> None:
    """A backup that is there lacks nothing."""
    for number in range(300):
        program.write(program.data / f"{number}.csv", str(number))
    for at in range(40):
        alarmed(manager.create_backup, 0.002 + at % 20 * 0.003)
        os.utime(program.data / "0.csv")
    assert not [backup for backup in manager.list_backups() if backup.status.value == "partial"]


def test_an_alarm_while_a_backup_is_restored_comes_through(
    program: Program, manager: RecoveryManager, alarmed: Callable[[Callable[[], object], float], bool]
) -> None:
    """It is no failed write of a file, and all that has changed is taken back."""
    for number in range(100):
        program.write(program.data / f"{number}.csv", str(number))
    backup_id = manager.create_backup()
    new = picture(program.data)
    rung, told = 0, list[BackupError]()

    def restore() -> None:
        try:
            manager.restore(backup_id, data=True)
        except BackupError as error:
            told.append(error)

    for at in range(TRIES):
        for number in range(100):
            program.write(program.data / f"{number}.csv", f"{number} now")
        old = picture(program.data)
        came = alarmed(restore, 0.001 + at % 60 * 0.0005)
        rung += came
        assert told == []
        manager.recover()
        assert picture(program.data) in ((old, new) if came else (new,))
    assert rung > 0
