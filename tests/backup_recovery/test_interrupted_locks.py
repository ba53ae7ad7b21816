"""An exception that a signal raises while a lock of the backups is being taken leaves the lock free."""

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import FrameType

import pytest

import peak_observe
from peak_observe import BackupSchedule, RecoveryManager, StateSnapshot
from peak_observe.backup_recovery.offsite.throttle import Throttle
from peak_observe.backup_recovery.repository import notes, reading
from peak_observe.backup_recovery.repository.ledger import Ledger
from peak_observe.backup_recovery.repository.notes import Counts
from peak_observe.measures import forks

PATIENCE = 10
OURS = (str(Path(peak_observe.__file__).parent), contextlib.__file__, __file__)
TRIES = 2_000


class Struck(BaseException):
    """What the handler of a signal raises."""


def struck(act: Callable[[], object], at: int) -> BaseException | None:
    """Do something, and raise at one of its steps in the package; return what was raised, if it went that far.

    In Python's own modules it could leave a lock held that all tests need, as that of `logging`. To go back to
    a line is no step: at the end of its block a `with` does so, where no signal is looked for.
    """
    left, lines = at, dict[int, int]()

    def trace(frame: FrameType, event: str, argument: object) -> Callable[..., object]:
        nonlocal left
        if not frame.f_code.co_filename.startswith(OURS):
            return untraced
        forward = event == "call" or frame.f_lineno >= lines.get(id(frame), 0)
        lines[id(frame)] = frame.f_lineno
        left -= forward
        if left == 0 and forward:
            sys.settrace(None)
            raise Struck
        return trace

    def untraced(*_: object) -> None:
        """Look at no step of it."""

    before = sys.gettrace()  # that of the coverage
    sys.settrace(trace)
    try:
        act()
    except Struck as error:
        return error
    finally:
        sys.settrace(before)
    return None


def in_time(act: Callable[[], object]) -> bool:
    """Return whether something gets through in a thread of its own."""
    thread = threading.Thread(target=act, daemon=True)
    thread.start()
    thread.join(PATIENCE)
    return not thread.is_alive()


def in_memory(folder: Path) -> Ledger:
    """Return a ledger whose notes are in memory alone, so that whoever reads them takes the lock."""
    ledger = Ledger(folder)
    ledger.update(lambda known: known)
    (folder / "account.notes").unlink()
    os.mkfifo(folder / "account.notes")
    ledger.note(Counts(runs={"failed": 1}))
    return ledger


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # raised where Python lets none through
@pytest.mark.parametrize("use", ["lock", "notes", "ledger", "new manager", "state", "throttle"])
def test_an_exception_at_any_step_leaves_the_lock_free(tmp_path: Path, use: str) -> None:
    """At once, while the exception is still there with all that its frames hold: its handlers use the same locks."""
    lock, snapshot, throttle, ledger = forks.RenewedLock(), StateSnapshot(), Throttle(1e9), in_memory(tmp_path)

    def take() -> None:
        with lock:
            taken.append(1)

    taken: list[int] = []
    manager = RecoveryManager(tmp_path / "backups")
    uses: dict[str, tuple[forks.RenewedLock, Callable[[], object]]] = {
        "lock": (lock, take),
        "notes": (notes._lock, lambda: ledger.note(Counts(runs={"failed": 1}))),
        "ledger": (notes._lock, ledger.account),
        "new manager": (reading._lock, lambda: reading.observe(manager._repository, manager, dict, None)),
        "state": (snapshot._lock, snapshot.capture),
        "throttle": (throttle._lock, lambda: throttle.reserve(1)),
    }
    used, act = uses[use]
    act()  # so that no import is interrupted below
    for at in range(1, TRIES):
        raised = struck(act, at)
        assert used._lock.acquire(blocking=False), f"at step {at}"
        used._lock.release()
        if raised is None:
            break
        del raised
    assert at >= 5
    assert in_time(act)


def test_a_signal_while_a_lock_is_taken_leaves_it_free() -> None:
    """Whenever it comes."""
    lock, over = forks.RenewedLock(), 0

    def strike(number: int, frame: FrameType | None) -> None:
        raise Struck

    before = signal.signal(signal.SIGALRM, strike)
    try:
        for at in range(300):
            try:
                signal.setitimer(signal.ITIMER_REAL, 0.0001 + at % 7 * 0.00003)
                while True:
                    with lock:
                        pass
            except Struck:
                over += 1
            assert not lock._lock.locked()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert over == 300


def test_a_schedule_that_is_interrupted_can_be_stopped(manager: RecoveryManager) -> None:
    """Its thread does not wait for a lock that nobody lets go of."""
    schedule = BackupSchedule(manager, every=3600)
    schedule.start()
    schedule.wake()
    for at in range(1, 60):
        struck(schedule.wake, at)
    assert in_time(schedule.stop)
    assert not schedule.running
