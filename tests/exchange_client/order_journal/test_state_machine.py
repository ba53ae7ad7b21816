"""States of an intent, and the rule by which an order is known to be absent."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from peak_observe import catalog
from peak_observe.exchange_client.order_journal.state_machine import Fence, Moment, allowed, state_of_order

SECONDS = st.floats(0, 1000)
FENCE = Fence(Moment(1000.0, 50.0, "boot"), deadline=10.0, visibility=5.0, retention=3600.0)


def at(seconds: float, *, monotonic: float | None = None, boot: str = "boot") -> Moment:
    """Return a moment some seconds after the request went out."""
    return Moment(1000.0 + seconds, 50.0 + (seconds if monotonic is None else monotonic), boot)


@given(st.lists(st.sampled_from(catalog.ORDER_STATES), max_size=12))
def test_nothing_is_sent_but_what_is_known_not_to_stand(wanted) -> None:
    """Whatever is asked for, `sent` follows `intended` alone, and what is settled stays settled."""
    state = "intended"
    for to in wanted:
        if not allowed(state, to):
            continue
        assert to != "sent" or state == "intended"
        assert state not in {"refused", "closed"} or to == state
        assert state != "open" or to in {"open", "closed"}
        state = to


@given(SECONDS, st.integers(0, 4))
def test_absence_needs_two_answers_after_the_fence(seconds, empty) -> None:
    """Neither one answer nor an early one proves anything."""
    assert FENCE.proves(empty, at(seconds)) == (empty >= 2 and seconds >= 15.0)


@given(SECONDS)
def test_the_fence_stands_until_deadline_and_visibility_have_passed(seconds) -> None:
    """What remains and what has passed make up both together."""
    assert FENCE.remaining(at(seconds)) == pytest.approx(max(0.0, 15.0 - seconds), abs=1e-6)


def test_a_clock_that_is_set_forward_opens_no_fence() -> None:
    """The wall clock says an hour, the monotonic clock a second."""
    assert FENCE.remaining(at(3000.0, monotonic=1.0)) == 14.0


def test_a_clock_that_is_set_back_makes_the_fence_wait() -> None:
    """Less than nothing cannot have passed."""
    assert FENCE.remaining(at(-500.0, monotonic=20.0)) == 15.0


def test_after_a_restart_of_the_machine_the_wall_clock_counts() -> None:
    """The monotonic clock began anew."""
    assert FENCE.remaining(Moment(1020.0, 3.0, "another boot")) == 0.0


def test_a_clock_ahead_of_the_exchange_makes_its_deadline_later() -> None:
    """A deadline by our clock is later for an exchange that is behind it."""
    ahead = Fence(FENCE.sent, 10.0, 5.0, 3600.0, skew=7.0)
    assert ahead.remaining(at(15.0)) == 7.0


def test_absence_means_nothing_after_the_retention() -> None:
    """An order that was cancelled long ago is not shown any more."""
    assert FENCE.proves(2, at(3599.0))
    assert not FENCE.proves(2, at(3600.0))


@pytest.mark.parametrize(
    ("status", "filled", "state"),
    [
        ("open", None, "open"),
        (None, None, "open"),
        ("closed", 1.0, "closed"),
        ("canceled", 0.4, "closed"),
        ("expired", 0.0, "closed"),
        ("rejected", 0.0, "refused"),
        ("rejected", 0.4, "closed"),
        ("something new", None, "open"),
    ],
)
def test_the_status_of_an_order_is_a_state(status, filled, state) -> None:
    """Partly filled orders that were cancelled are closed, as what was filled stands."""
    assert state_of_order(status, filled) == state
