"""Readings of what guards an account add up so that the worse one shows."""

import pytest

from peak_observe.measures import DeadManReading, InstanceReading, KeyReading, ReconcileReading


def test_of_two_dead_mans_switches_the_one_that_expires_first_shows() -> None:
    """One that is not armed before all; a closed one has no say."""
    total = DeadManReading([1, 0, 0], 100.0)
    total.add(DeadManReading([1, 2, 3], None))
    assert (total.beats, total.expires) == ([2, 2, 3], 100.0)
    total.add(DeadManReading([0, 0, 0], 0.0))
    assert total.expires == 0.0
    total.retire()
    assert (total.beats, total.expires) == ([2, 2, 3], None)


def test_of_two_locks_the_lost_one_shows() -> None:
    """And refusals add up."""
    total = InstanceReading(1.0, 2)
    total.add(InstanceReading(0.0, 3))
    assert (total.held, total.refused) == (0.0, 5)
    total.retire()
    assert (total.held, total.refused) == (None, 5)


def test_of_two_keys_what_either_may_shows() -> None:
    """With the first expiry."""
    total = KeyReading(None, {"trade": True, "withdraw": False})
    total.add(KeyReading(50.0, {"read": True, "withdraw": True}))
    assert total.permissions == {"read": True, "trade": True, "withdraw": True}
    assert total.expires == 50.0
    total.retire()
    assert (total.expires, total.permissions) == (None, {})


def test_differences_of_two_reconcilers_add_up() -> None:
    """The older success and the longer interval count; one that has not compared yet has no differences."""
    total = ReconcileReading([1, 0, 0], None, 10.0, None)
    total.add(ReconcileReading([0, 1, 0], [0, 1, 0, 0], 5.0, 60.0))
    total.add(ReconcileReading([0, 1, 0], [1, 1, 0, 0], 7.0, 30.0))
    assert (total.runs, total.differences) == ([1, 2, 0], [1, 2, 0, 0])
    assert (total.last_success, total.interval) == (5.0, 60.0)
    total.retire()
    assert (total.runs, total.differences, total.last_success, total.interval) == ([1, 2, 0], None, None, None)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (DeadManReading([0], 1.0), DeadManReading([0], 2.0)),
        (InstanceReading(1.0, 0), InstanceReading(1.0, 1)),
        (KeyReading(None, {}), KeyReading(None, {"trade": True})),
        (ReconcileReading([0], None, 0.0, None), ReconcileReading([0], None, 0.0, 5.0)),
    ],
    ids=lambda reading: type(reading).__name__,
)
def test_any_change_is_written_anew(before, after) -> None:
    """And nothing where there is none."""
    assert after.since(before) == (True, True, True)
    assert after.since(after) == (False, False, False)
