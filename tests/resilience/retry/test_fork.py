"""A fork while another thread holds the locks of a retry leaves the child free to go on."""

import os
import threading

import pytest

from peak_observe import RetryBudget, retry_with_backoff
from peak_observe.measures import RETRIES
from peak_observe.resilience.retry.decorator import Retry
from peak_observe.testing import ManualClock


# Forking with threads is what this is about; from Python 3.12 on it warns.
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_a_forked_child_retries_although_a_thread_held_the_locks(monkeypatch: pytest.MonkeyPatch) -> None:
    """The child has locks of its own, and counts what it does."""
    controllers, create = [], Retry.__init__
    monkeypatch.setattr(
        Retry,
        "__init__",
        lambda self, controller, tracing: (controllers.append(controller), create(self, controller, tracing))[1],
    )
    clock = ManualClock()
    budget = RetryBudget(name="forked", clock=clock)

    @retry_with_backoff(2, budget=budget, clock=clock, name="forked")
    def fails() -> None:
        raise ConnectionError

    held, done = threading.Event(), threading.Event()

    def hold() -> None:
        with controllers[0].lock, budget._account._lock:
            held.set()
            done.wait(60)

    thread = threading.Thread(target=hold)
    thread.start()
    assert held.wait(60)
    child = os.fork()
    if child == 0:  # pragma: no cover - the child's coverage is lost with it
        code = 1
        try:
            fails()
        except ConnectionError:
            code = 0 if RETRIES.get("forked").read().retries == 1 else 2
        finally:
            os._exit(code)
    done.set()
    thread.join()
    timer = threading.Timer(30, os.kill, (child, 9))
    timer.start()
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    timer.cancel()
