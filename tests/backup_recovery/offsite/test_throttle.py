"""The bandwidth limit."""

from peak_observe.backup_recovery.offsite.throttle import Throttle
from peak_observe.testing import ManualClock


def test_average_is_the_limit() -> None:
    """The first bytes go at once, and those behind them wait for their share of time."""
    throttle = Throttle(100.0, ManualClock())
    assert [throttle.reserve(50), throttle.reserve(50), throttle.reserve(200)] == [0.0, 0.5, 1.0]


def test_idle_time_is_not_saved_up() -> None:
    """After a pause there is no burst of all that could have been sent meanwhile."""
    clock = ManualClock()
    throttle = Throttle(100.0, clock)
    throttle.reserve(100)
    clock.advance(60)
    assert [throttle.reserve(100), throttle.reserve(100)] == [0.0, 1.0]


def test_no_limit() -> None:
    """Without a limit nothing waits."""
    throttle = Throttle(None)
    assert throttle.reserve(1 << 40) == throttle.reserve(1 << 40) == 0.0


def test_an_empty_object_does_not_wait() -> None:
    """An object without bytes, with which a push gives its lease back, is not held up by what was to be sent."""
    throttle = Throttle(100.0, ManualClock())
    throttle.reserve(100_000)
    assert throttle.reserve(0) == 0.0
