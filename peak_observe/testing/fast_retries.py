"""Retries that do not wait, for tests of what happens after the waiting."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from peak_observe.resilience.retry import execution

_lock = threading.Lock()


@contextmanager
def no_delays() -> Iterator[None]:
    """Let no retry of the process wait while the block lasts; also a decorator, and a fixture in `testing.fixtures`.

    Everything else stays: delays are worked out, told and held against deadlines, attempts are counted and made.
    """
    _hurry(1)
    try:
        yield
    finally:
        _hurry(-1)


def _hurry(by: int) -> None:
    with _lock:
        execution.delays_off += by
