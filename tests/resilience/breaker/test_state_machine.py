"""The pure machine: time and outcomes in, states and permits out."""

import gc
import math

from peak_observe.resilience.breaker.settings import Settings
from peak_observe.resilience.breaker.state_machine import (
    CLOSED,
    DISABLED,
    FORCED_OPEN,
    HALF_OPEN,
    OPEN,
    Change,
    Circuit,
)

PAUSE = 10.0


def closed(failure_threshold: int = 1, **settings: object) -> Circuit:
    """Return a new circuit."""
    return Circuit(Settings(failure_threshold, **settings), now=0.0)


def opened(at: float = 0.0, **settings: object) -> Circuit:
    """Return a circuit with threshold 1 that opened at second `at` for 10 seconds."""
    circuit = closed(**settings)
    fail(circuit, at)
    return circuit


def half_open(**settings: object) -> Circuit:
    """Return a circuit that lets probes through since second 10."""
    circuit = opened(**settings)
    circuit.advance(10.0)
    return circuit


def fail(circuit: Circuit, now: float, seconds: float = 0.0) -> Change | None:
    """Let a call of the present period fail."""
    return circuit.record_failure(circuit.period, now, seconds, PAUSE)


def succeed(circuit: Circuit, now: float, seconds: float = 0.0) -> Change | None:
    """Let a call of the present period succeed."""
    return circuit.record_success(circuit.period, now, seconds, PAUSE)


def test_it_begins_closed_and_lets_everything_through() -> None:
    """Any number of permits is out at once."""
    circuit = closed(3)
    permits = [circuit.admit(0.0) for _ in range(3)]
    assert {permit.period for permit in permits} == {circuit.period}


def test_the_failure_that_reaches_the_threshold_opens() -> None:
    """Not one earlier, not one later."""
    circuit = closed(3)
    changes = [fail(circuit, now) for now in (1.0, 2.0, 3.0)]
    assert changes == [None, None, Change(CLOSED, OPEN, 3.0, "3 consecutive failures")]


def test_a_success_between_forgives_the_failures() -> None:
    """Consecutive means without a success between."""
    circuit = closed(2)
    for _ in range(5):
        fail(circuit, 1.0)
        succeed(circuit, 1.0)
    assert (circuit.state, circuit.failures) == (CLOSED, 0)


def test_open_refuses_until_the_timeout() -> None:
    """And says for how long."""
    circuit = opened(at=5.0)
    assert circuit.advance(14.999) is None
    assert circuit.admit(14.999) is None
    assert circuit.retry_after(9.0) == 6.0


def test_half_open_is_dated_when_it_was_due() -> None:
    """However late somebody looks."""
    circuit = opened(at=5.0)
    assert circuit.advance(1000.0) == Change(OPEN, HALF_OPEN, 15.0, "recovery timeout passed")
    assert circuit.retry_after(1000.0) == 0.0


def test_half_open_lets_one_call_through() -> None:
    """The second is refused while the first is under way."""
    circuit = half_open()
    probe = circuit.admit(10.0)
    assert probe is not None
    assert circuit.admit(10.0) is None


def test_half_open_lets_as_many_through_as_are_allowed() -> None:
    """In flight, not in all: one that comes back makes room."""
    circuit = half_open(half_open_calls=3, success_threshold=5)
    probes = [circuit.admit(10.0) for _ in range(4)]
    assert [probe is not None for probe in probes] == [True, True, True, False]
    succeed(circuit, 11.0)
    circuit.release(probes[0])
    again = circuit.admit(11.0)
    assert again is not None
    assert circuit.admit(11.0) is None


def test_so_many_successes_close() -> None:
    """Counted from the moment it became half-open."""
    circuit = half_open(half_open_calls=2, success_threshold=3)
    assert [succeed(circuit, 11.0), succeed(circuit, 11.0)] == [None, None]
    assert succeed(circuit, 12.0) == Change(HALF_OPEN, CLOSED, 12.0, "probe succeeded")


def test_one_failed_probe_reopens_whatever_succeeded() -> None:
    """And the next attempt begins to count at 0."""
    circuit = half_open(success_threshold=2)
    succeed(circuit, 11.0)
    fail(circuit, 11.0)
    assert (circuit.state, circuit.reopened) == (OPEN, 1)
    circuit.advance(21.0)
    assert succeed(circuit, 21.0) is None


def test_the_probes_success_closes() -> None:
    """With no failure remembered, nor how often it reopened."""
    circuit = half_open()
    fail(circuit, 10.0)
    circuit.advance(20.0)
    assert succeed(circuit, 21.0) == Change(HALF_OPEN, CLOSED, 21.0, "probe succeeded")
    assert (circuit.failures, circuit.reopened) == (0, 0)


def test_the_probes_failure_opens_again_for_the_full_timeout() -> None:
    """Counted from the failure, not from the first opening."""
    circuit = half_open()
    assert fail(circuit, 12.0) == Change(HALF_OPEN, OPEN, 12.0, "probe failed")
    assert circuit.advance(21.9) is None
    assert circuit.advance(22.0) is not None


def test_a_probe_that_says_nothing_makes_room_for_the_next() -> None:
    """A cancelled probe does not stick."""
    circuit = half_open()
    probe = circuit.admit(10.0)
    circuit.release(probe)
    circuit.release(probe)
    again = circuit.admit(10.0)
    assert (circuit.state, again is not None) == (HALF_OPEN, True)
    assert circuit.admit(10.0) is None


def test_a_probe_that_hangs_loses_its_place_when_its_lease_is_over() -> None:
    """Not a moment earlier."""
    circuit = half_open(probe_timeout=30.0)
    hung = circuit.admit(12.0)
    assert circuit.admit(41.9) is None
    second = circuit.admit(42.0)
    assert (hung is not None, second is not None) == (True, True)
    assert circuit.admit(42.0) is None


def test_what_a_hung_probe_says_in_the_end_counts_in_its_era_and_no_other() -> None:
    """It is evidence while the circuit still asks, and none after that."""
    circuit = half_open(probe_timeout=30.0)
    hung = circuit.admit(12.0)
    fail(circuit, 50.0)
    assert circuit.record_success(hung.period, 51.0, 39.0, PAUSE) is None
    circuit.advance(60.0)
    slow = circuit.admit(60.0)
    assert circuit.record_success(slow.period, 95.0, 35.0, PAUSE).new == CLOSED


def test_a_permit_that_nobody_holds_any_more_is_free() -> None:
    """As when Ctrl-C came before anybody could settle the call."""
    circuit = half_open()
    probe = circuit.admit(10.0)
    assert circuit.admit(10.0) is None
    del probe
    gc.collect()
    assert circuit.admit(10.0) is not None


def test_late_answers_change_nothing() -> None:
    """A call from an earlier period can neither close, open nor free a probe."""
    circuit = closed()
    late = circuit.admit(0.0)
    fail(circuit, 0.0)
    assert circuit.record_success(late.period, 1.0, 1.0, PAUSE) is None
    assert circuit.record_failure(late.period, 1.0, 1.0, PAUSE) is None
    circuit.advance(10.0)
    probe = circuit.admit(10.0)
    circuit.release(late)
    assert circuit.record_success(late.period, 11.0, 11.0, PAUSE) is None
    assert (probe is not None, circuit.admit(11.0)) == (True, None)


def test_reset_closes_and_makes_answers_under_way_late() -> None:
    """From open it is a change, from closed only forgetting."""
    circuit = opened()
    assert circuit.reset(3.0) == Change(OPEN, CLOSED, 3.0, "reset")
    period = circuit.period
    assert circuit.reset(4.0) is None
    circuit.record_failure(period, 5.0, 1.0, PAUSE)
    assert circuit.state == CLOSED


def test_looking_ahead_changes_nothing() -> None:
    """`at` gives a copy that time has passed for."""
    circuit = opened()
    view = circuit.at(12.0)
    assert (view.state, circuit.state) == (HALF_OPEN, OPEN)
    assert (view.period.entered[HALF_OPEN], circuit.period.entered[HALF_OPEN]) == (1, 0)


def test_every_second_is_booked_to_the_state_it_was_spent_in() -> None:
    """A circuit that was open between two looks still shows in the sums."""
    circuit = opened(at=5.0)
    circuit.advance(20.0)
    succeed(circuit, 21.0)
    assert circuit.at(31.0).period.seconds_at(31.0) == [15.0, 10.0, 6.0, 0.0, 0.0]
    assert circuit.period.entered == [1, 1, 1, 0, 0]


def test_a_clock_that_goes_back_books_nothing_negative_and_makes_no_wait_longer() -> None:
    """No custom clock can make a counter fall or keep a circuit open."""
    circuit = opened(at=5.0)
    assert min(circuit.at(1.0).period.seconds_at(1.0)) == 0.0
    circuit.advance(1.0)
    assert circuit.retry_after(1.0) == 10.0
    assert circuit.advance(11.0) is not None


def test_a_timeout_of_nothing_probes_at_once() -> None:
    """Each refusal is then only the second of two calls at the same time."""
    circuit = closed()
    circuit.record_failure(circuit.period, 1.0, 0.0, 0.0)
    assert circuit.advance(1.0) is not None
    assert circuit.admit(1.0) is not None


def test_a_share_of_a_window_opens() -> None:
    """As soon as it holds enough calls."""
    circuit = closed(window=10, failure_ratio=0.4, minimum_calls=5)
    assert [fail(circuit, 1.0), fail(circuit, 1.0)] == [None, None]
    for _ in range(2):
        succeed(circuit, 1.0)
    assert fail(circuit, 2.0) == Change(CLOSED, OPEN, 2.0, "3 of 5 calls failed")


def test_old_failures_leave_a_window() -> None:
    """By calls or by time."""
    for settings in ({"window": 4}, {"window_seconds": 10.0}):
        circuit = closed(failure_ratio=0.5, minimum_calls=4, **settings)
        fail(circuit, 0.0)
        for _ in range(4):
            succeed(circuit, 20.0)
        assert fail(circuit, 20.0) is None, settings


def test_a_call_that_went_well_never_opens() -> None:
    """Though it may be the one that makes the window full enough; the next failure does."""
    circuit = closed(window=10, failure_ratio=0.5, minimum_calls=3)
    fail(circuit, 1.0)
    fail(circuit, 1.0)
    assert succeed(circuit, 1.0) is None
    assert fail(circuit, 1.0).reason == "3 of 4 calls failed"


def test_slow_calls_open_and_so_does_a_slow_probe() -> None:
    """Success or not, from the limit on."""
    circuit = closed(window=4, slow_call_seconds=2.0, slow_call_ratio=0.5, minimum_calls=4)
    succeed(circuit, 1.0, 1.9)
    succeed(circuit, 1.0, 1.9)
    assert succeed(circuit, 1.0, 2.0) is None
    assert succeed(circuit, 1.0, 9.0) == Change(CLOSED, OPEN, 1.0, "2 of 4 calls were slow")
    circuit.advance(11.0)
    assert succeed(circuit, 13.0, 2.0) == Change(HALF_OPEN, OPEN, 13.0, "probe took 2.0 s")


def test_closing_begins_with_an_empty_window() -> None:
    """What opened the circuit is over."""
    circuit = closed(window=4, failure_ratio=0.5, minimum_calls=1)
    fail(circuit, 1.0)
    circuit.advance(11.0)
    succeed(circuit, 12.0)
    assert circuit.counted(12.0).calls == 0


def test_forced_open_refuses_whatever_time_passes() -> None:
    """Until somebody resets it; it then says nothing about when."""
    circuit = closed()
    assert circuit.override(FORCED_OPEN, 1.0, math.inf, "maintenance").new == FORCED_OPEN
    assert circuit.advance(1e9) is None
    assert (circuit.admit(1e9), circuit.retry_after(1e9)) == (None, 0.0)
    assert circuit.reset(1e9).new == CLOSED


def test_forced_open_for_a_time_probes_after_it() -> None:
    """Once more begins the time anew, without a change of state."""
    circuit = closed()
    circuit.override(FORCED_OPEN, 0.0, 30.0, "maintenance")
    assert circuit.override(FORCED_OPEN, 20.0, 30.0, "maintenance") is None
    assert circuit.retry_after(30.0) == 20.0
    assert circuit.advance(49.9) is None
    assert circuit.advance(50.0).new == HALF_OPEN
    assert circuit.period.entered[FORCED_OPEN] == 1


def test_disabled_lets_all_through_and_still_measures() -> None:
    """What it measured counts once it is in force again."""
    circuit = closed(2)
    circuit.override(DISABLED, 0.0, 30.0, "maintenance")
    for _ in range(5):
        permit = circuit.admit(1.0)
        assert circuit.record_failure(permit.period, 1.0, 0.0, PAUSE) is None
    assert circuit.advance(30.0).new == CLOSED
    assert fail(circuit, 31.0).reason == "6 consecutive failures"


def test_what_is_in_a_persons_hand_is_not_tripped() -> None:
    """Neither forced open nor disabled."""
    for state in (FORCED_OPEN, DISABLED):
        circuit = closed()
        circuit.override(state, 0.0, math.inf, "maintenance")
        assert circuit.trip(1.0, "enough", PAUSE) is None


def test_other_settings_keep_state_era_and_window() -> None:
    """A window that shrinks keeps the newest calls; calls under way still count."""
    circuit = closed(window=10, failure_ratio=1.0, minimum_calls=10)
    under_way = circuit.admit(0.0)
    for _ in range(3):
        succeed(circuit, 1.0)
    for _ in range(3):
        fail(circuit, 1.0)
    circuit.reconfigure(circuit.settings._replace(window=4, minimum_calls=4), 2.0)
    assert circuit.counted(2.0) == (4, 3, 0)
    assert circuit.record_failure(under_way.period, 3.0, 3.0, PAUSE).reason == "4 of 4 calls failed"


def test_a_success_is_quick_where_it_changes_nothing() -> None:
    """Which is what the way without a lock goes by."""
    circuit = closed(3)
    assert circuit.period.quick_limit == math.inf
    fail(circuit, 0.0)
    assert circuit.period.quick_limit < 0
    succeed(circuit, 0.0)
    assert circuit.period.quick_limit == math.inf
    assert closed(window=5, slow_call_seconds=2.0).period.quick_limit == 2.0
    assert closed(window_seconds=5.0).period.quick_limit < 0
    before = circuit.period
    circuit.reset(1.0)
    assert before.quick_limit < 0, "a late answer has to ask"
