"""A child that is forked while a thread holds a lock of the backups is free to go on."""

import os
import signal
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from peak_observe import RecoveryManager, StateSnapshot
from peak_observe.backup_recovery.offsite.throttle import Throttle
from peak_observe.backup_recovery.repository import notes, reading
from peak_observe.backup_recovery.repository.ledger import Ledger
from peak_observe.backup_recovery.repository.notes import Counts
from peak_observe.measures import forks

PATIENCE = 30


def in_child(lock: forks.RenewedLock, act: Callable[[], object]) -> int:
    """Return how a child ends that does something, and was forked while a thread held a lock."""
    held, done = threading.Event(), threading.Event()

    def hold() -> None:
        with lock:
            held.set()
            done.wait(PATIENCE)

    thread = threading.Thread(target=hold)
    thread.start()
    assert held.wait(PATIENCE)
    child = os.fork()
    if not child:
        code = 1
        try:
            act()
            code = 0
        finally:
            os._exit(code)
    done.set()
    thread.join()
    timer = threading.Timer(PATIENCE, os.kill, (child, signal.SIGKILL))
    timer.start()
    try:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    finally:
        timer.cancel()


# Forking with threads is what this is about; from Python 3.12 on it warns.
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
@pytest.mark.parametrize("use", ["notes", "a new manager", "state", "throttle"])
def test_a_forked_child_is_free_although_a_thread_held_the_lock(tmp_path: Path, use: str) -> None:
    """The child uses what the thread of its parent was using, and gets through."""
    snapshot, throttle = StateSnapshot(), Throttle(1.0)
    uses = {
        "notes": (notes._lock, lambda: Ledger(tmp_path).note(Counts(runs={"failed": 1}))),
        "a new manager": (reading._lock, lambda: RecoveryManager(tmp_path / "backups").list_backups()),
        "state": (snapshot._lock, snapshot.capture),
        "throttle": (throttle._lock, lambda: throttle.reserve(1)),
    }
    assert in_child(*uses[use]) == 0


def test_what_forks_while_it_holds_the_lock_lets_go_of_it() -> None:
    """As in a handler of a signal: in the child too the block ends as always, and the lock is free."""
    lock = forks.RenewedLock()
    with lock:
        child = os.fork()
    with lock:
        pass
    if not child:
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_children_that_are_forked_while_metrics_are_read_can_read_them(manager: RecoveryManager) -> None:
    """As a scrape in one thread and a pool of workers that another one starts."""
    manager.create_backup()
    (manager.backup_root / ".peak-observe/account.notes").unlink()
    (manager.backup_root / ".peak-observe/account.notes").mkdir()
    ledger, over = manager._repository.ledger, threading.Event()
    ledger.note(Counts(runs={"failed": 1}))  # in memory alone, so that whoever reads takes the lock

    def read() -> None:
        while not over.is_set():
            ledger.account()

    thread = threading.Thread(target=read)
    thread.start()
    try:
        for _ in range(30):
            child = os.fork()
            if not child:
                signal.alarm(PATIENCE)
                os._exit(ledger.account().runs["failed"])
            assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    finally:
        over.set()
        thread.join()
    ledger.update(lambda known: known)
