"""When this process began."""

import os
import time

from peak_observe.support import process_start


def test_the_start_lies_in_the_past() -> None:
    """By the clock of the wall."""
    assert 0 < time.time() - process_start.started() < 1e6


def test_the_start_of_a_process_is_told_the_same_each_time(monkeypatch) -> None:
    """Whatever happens to the clock, or it would count as a restart; a forked child has its own."""
    first = process_start.started()
    monkeypatch.setattr(time, "time", lambda: 1.0)
    assert process_start.started() == first
    reading, writing = os.pipe()
    if os.fork() == 0:
        os.write(writing, b"another" if process_start.started() != first else b"the same")
        os._exit(0)
    os.wait()
    assert os.read(reading, 100) == b"another"
    os.close(reading)
    os.close(writing)
