"""The pure machine: time and outcomes in, states and permits out."""

from peak_observe.resilience.circuit import CLOSED, HALF_OPEN, OPEN, Change, Circuit


def opened(at: float = 0.0) -> Circuit:
    """Return a circuit with threshold 1 and timeout 10 that opened at second `at`."""
    circuit = Circuit(1, 10.0, now=0.0)
    circuit.fail(circuit.admit(), at)
    return circuit


def test_it_begins_closed_and_lets_everything_through() -> None:
    """Any number of permits is out at once."""
    circuit = Circuit(3, 10.0, now=0.0)
    assert [circuit.admit() for _ in range(3)] == [0, 0, 0]


def test_the_failure_that_reaches_the_threshold_opens() -> None:
    """Not one earlier, not one later."""
    circuit = Circuit(3, 10.0, now=0.0)
    changes = [circuit.fail(circuit.admit(), now) for now in (1.0, 2.0, 3.0)]
    assert changes == [None, None, Change(CLOSED, OPEN, 3.0, "3 consecutive failures")]


def test_a_success_between_forgives_the_failures() -> None:
    """Consecutive means without a success between."""
    circuit = Circuit(2, 10.0, now=0.0)
    for _ in range(5):
        circuit.fail(circuit.admit(), 1.0)
        circuit.succeed(circuit.admit(), 1.0)
    assert (circuit.state, circuit.failures) == (CLOSED, 0)


def test_open_refuses_until_the_timeout() -> None:
    """And says for how long."""
    circuit = opened(at=5.0)
    assert circuit.advance(14.999) is None
    assert circuit.admit() is None
    assert circuit.retry_after(9.0) == 6.0


def test_half_open_is_dated_when_it_was_due() -> None:
    """However late somebody looks."""
    circuit = opened(at=5.0)
    assert circuit.advance(1000.0) == Change(OPEN, HALF_OPEN, 15.0, "recovery timeout passed")
    assert circuit.retry_after(1000.0) == 0.0


def test_half_open_lets_one_call_through() -> None:
    """The second is refused while the first is under way."""
    circuit = opened()
    circuit.advance(10.0)
    assert circuit.admit() is not None
    assert circuit.admit() is None


def test_the_probes_success_closes() -> None:
    """With no failure remembered."""
    circuit = opened()
    circuit.advance(10.0)
    assert circuit.succeed(circuit.admit(), 11.0) == Change(HALF_OPEN, CLOSED, 11.0, "probe succeeded")
    assert circuit.failures == 0


def test_the_probes_failure_opens_again_for_the_full_timeout() -> None:
    """Counted from the failure, not from the first opening."""
    circuit = opened()
    circuit.advance(10.0)
    assert circuit.fail(circuit.admit(), 12.0) == Change(HALF_OPEN, OPEN, 12.0, "probe failed")
    assert circuit.advance(21.9) is None
    assert circuit.advance(22.0) is not None


def test_a_probe_that_says_nothing_makes_room_for_the_next() -> None:
    """A cancelled probe does not stick."""
    circuit = opened()
    circuit.advance(10.0)
    circuit.ignore(circuit.admit())
    assert circuit.state == HALF_OPEN
    assert circuit.admit() is not None


def test_late_answers_change_nothing() -> None:
    """A permit from an earlier era can neither close, open nor free a probe."""
    circuit = Circuit(1, 10.0, now=0.0)
    late, tripping = circuit.admit(), circuit.admit()
    circuit.fail(tripping, 0.0)
    assert circuit.succeed(late, 1.0) is None
    assert circuit.fail(late, 1.0) is None
    circuit.advance(10.0)
    circuit.admit()
    circuit.ignore(late)
    assert circuit.succeed(late, 11.0) is None
    assert circuit.admit() is None


def test_reset_closes_and_makes_answers_under_way_late() -> None:
    """From open it is a change, from closed only forgetting."""
    circuit = opened()
    assert circuit.reset(3.0) == Change(OPEN, CLOSED, 3.0, "reset")
    permit = circuit.admit()
    assert circuit.reset(4.0) is None
    circuit.fail(permit, 5.0)
    assert circuit.state == CLOSED


def test_looking_ahead_changes_nothing() -> None:
    """`at` gives a copy that time has passed for."""
    circuit = opened()
    view = circuit.at(12.0)
    assert (view.state, circuit.state) == (HALF_OPEN, OPEN)
    assert (view.entered[HALF_OPEN], circuit.entered[HALF_OPEN]) == (1, 0)


def test_every_second_is_booked_to_the_state_it_was_spent_in() -> None:
    """A circuit that was open between two looks still shows in the sums."""
    circuit = opened(at=5.0)
    circuit.advance(20.0)
    circuit.succeed(circuit.admit(), 21.0)
    assert circuit.at(31.0).seconds == [15.0, 10.0, 6.0, 0.0, 0.0]
    assert circuit.entered == [1, 1, 1, 0, 0]


def test_a_clock_that_goes_back_books_nothing_negative() -> None:
    """No custom clock can make a counter fall."""
    circuit = opened(at=5.0)
    assert min(circuit.at(1.0).seconds) == 0.0


def test_a_timeout_of_nothing_probes_at_once() -> None:
    """recovery_timeout=0 is allowed: each refusal is then only the second of two calls at the same time."""
    circuit = Circuit(1, 0.0, now=0.0)
    circuit.fail(circuit.admit(), 1.0)
    assert circuit.advance(1.0) is not None
    assert circuit.admit() is not None
