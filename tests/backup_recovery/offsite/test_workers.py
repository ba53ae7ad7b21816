"""Threads that make requests."""

import threading

import pytest

from peak_observe.backup_recovery.offsite.workers import Requests


def test_all_jobs_are_done_at_the_end() -> None:
    """Leaving the block waits for all of them."""
    done = []
    with Requests(3) as requests:
        for number in range(50):
            requests.submit(lambda number=number: done.append(number))
    assert sorted(done) == list(range(50))


def test_first_error_comes_through() -> None:
    """A request that fails ends the whole, with its own error."""

    def fail() -> None:
        raise ConnectionResetError("gone")

    with pytest.raises(ConnectionResetError, match="gone"), Requests(2) as requests:
        for _ in range(1000):
            requests.submit(fail)


def test_error_of_the_last_job_comes_through() -> None:
    """Nothing is submitted behind it that could raise it."""

    def fail() -> None:
        raise ConnectionResetError("gone")

    with pytest.raises(ConnectionResetError), Requests(2) as requests:
        requests.submit(fail)


def test_interrupt_does_not_wait() -> None:
    """Ctrl-C ends at once, also while a request hangs."""
    hanging = threading.Event()
    with pytest.raises(KeyboardInterrupt), Requests(1) as requests:
        requests.submit(lambda: hanging.wait(60))
        raise KeyboardInterrupt
    assert not hanging.is_set()
    hanging.set()
