"""Waits before an order is asked for."""

from peak_observe.exchange_client.order_journal.effects import Sleep
from peak_observe.exchange_client.order_journal.settlement import SHORTEST, Settlement
from peak_observe.exchange_client.order_journal.state_machine import Fence, Moment
from peak_observe.testing import ManualClock


def test_what_rounding_leaves_is_waited_for_all_the_same() -> None:
    """A sleep of less than a clock can tell would be asked for again and again, for ever."""
    clock = ManualClock()
    settlement = Settlement.__new__(Settlement)
    settlement._clock = clock
    sent = Moment(clock.now().timestamp() - 15 + 4e-7, 0.0)  # 0.4 millionths are left
    waits = settlement._wait(Fence(sent, deadline=10, visibility=5, retention=3600), 0)
    slept = []
    for wait in waits:
        assert isinstance(wait, Sleep)
        slept.append(wait.seconds)
        clock.advance(wait.seconds)
        assert len(slept) < 5
    assert slept == [SHORTEST]
