"""The pure steps: eras, fencing tokens, holds and turns."""

import math

from hypothesis import given
from hypothesis import strategies as st

from peak_observe.coordination import records
from peak_observe.coordination.records import CircuitRecord

STEPS = st.lists(
    st.tuples(
        st.sampled_from(["open", "claim", "close", "reopen", "extend", "override", "wait"]),
        st.integers(0, 2),
        st.floats(0, 5),
    ),
    max_size=40,
)


def opened(now: float = 0.0, seconds: float = 10.0) -> CircuitRecord:
    """Return a circuit that was opened."""
    return records.opened(CircuitRecord(), now, era=0, seconds=seconds, by="a", reason="3 failures")


def test_only_a_closed_circuit_of_the_known_era_opens() -> None:
    """A process that is behind does not open what another one has closed since."""
    first = opened()
    assert (first.era, first.state, first.due) == (1, "open", 10.0)
    assert records.opened(first, 1.0, era=1, seconds=99, by="b", reason="") == first
    closed = records.overridden(first, 2.0, state="closed", seconds=0, by="c", reason="by hand")
    assert records.opened(closed, 3.0, era=1, seconds=99, by="b", reason="") == closed


def test_a_probe_is_leased_once_and_only_when_it_is_due() -> None:
    """Not before its time, not to two, not by a command that comes too late, not where nothing is open."""
    record = opened()
    assert records.claimed(record, 9.9, lease=2, deadline=99)[0] == records.EARLY
    assert records.claimed(record, 10.0, lease=2, deadline=9.9)[0] == records.LATE
    answer, leased = records.claimed(record, 10.0, lease=2, deadline=99)
    assert (answer, leased.token) == (records.GRANTED, 1)
    assert records.claimed(leased, 11.9, lease=2, deadline=99)[0] == records.TAKEN
    assert records.claimed(leased, 12.0, lease=2, deadline=99)[1].token == 2
    assert records.claimed(CircuitRecord(), 10.0, lease=2, deadline=99)[0] == records.UNNEEDED


def test_a_late_result_is_fenced_off() -> None:
    """The token of a lease that another process has taken over closes nothing, and lengthens nothing."""
    _, first = records.claimed(opened(), 10.0, lease=2, deadline=99)
    _, second = records.claimed(first, 13.0, lease=2, deadline=99)
    late = records.settled(second, 13.1, token=1, state="closed", seconds=0, by="a", reason="")
    assert late == second
    assert records.extended(second, 13.1, token=1, lease=9) == second
    assert records.settled(second, 13.1, token=2, state="closed", seconds=0, by="b", reason="").state == "closed"


def test_a_circuit_disabled_for_a_time_opens_again_after_it() -> None:
    """Its time over, it is closed, though nobody said so."""
    record = records.overridden(CircuitRecord(), 0.0, state="disabled", seconds=5, by="a", reason="by hand")
    assert records.opened(record, 4.9, era=1, seconds=9, by="b", reason="") == record
    assert records.opened(record, 5.0, era=1, seconds=9, by="b", reason="").state == "open"


def test_the_longest_hold_wins() -> None:
    """A shorter one changes nothing."""
    hold = records.held(None, 0.0, seconds=60, reason="banned")
    assert records.held(hold, 1.0, seconds=5, reason="rate limit") == hold
    assert records.held(hold, 1.0, seconds=600, reason="banned again").until == 601.0


def test_the_engine_is_seeded_by_the_newest_memory() -> None:
    """An older era than the engine's brings nothing back."""
    assert records.seeded(CircuitRecord(), opened()) == opened()
    assert records.seeded(opened()._replace(era=5), opened()).era == 5


@given(st.lists(st.tuples(st.floats(0, 0.4), st.floats(0.1, 4)), min_size=1, max_size=60))
def test_turns_never_exceed_the_rate(calls: list[tuple[float, float]]) -> None:
    """In any stretch of time the weight of the turns is at most what drips in, and the last one's own."""
    full, now, turns = 0.0, 0.0, []
    for pause, weight in calls:
        now += pause
        wait, full = records.reserved(full, now, interval=0.1, burst=1, weight=weight, patience=math.inf)
        turns.append((now + wait, weight))
    for index, (start, _) in enumerate(turns):
        for end in range(index + 1, len(turns)):
            between = sum(weight for _, weight in turns[index:end])
            assert turns[end][0] - start >= 0.1 * (between - 1) - 1e-6


def test_a_turn_beyond_ones_patience_is_not_reserved() -> None:
    """Who does not wait takes nothing from the others."""
    assert records.reserved(5.0, 0.0, interval=1, burst=1, weight=1, patience=4.0) == (5.0, None)


@given(STEPS)
def test_eras_and_tokens_only_grow(steps: list[tuple[str, int, float]]) -> None:
    """Whatever three processes do: one lease at a time, and each transition is a new era."""
    record, now, tokens = CircuitRecord(), 0.0, [0, 0, 0]
    for step, who, seconds in steps:
        before, now = record, now + seconds
        by = str(who)
        if step == "open":
            record = records.opened(record, now, era=record.era - (who == 2), seconds=seconds, by=by, reason="")
        elif step == "claim":
            answer, record = records.claimed(record, now, lease=2, deadline=now + who - 1)
            if answer == records.GRANTED:
                assert before.leased_until <= now
                tokens[who] = record.token
        elif step in ("close", "reopen"):
            state = "closed" if step == "close" else "open"
            record = records.settled(record, now, token=tokens[who], state=state, seconds=1, by=by, reason="")
            assert record == before or tokens[who] == before.token
        elif step == "extend":
            record = records.extended(record, now, token=tokens[who], lease=2)
        elif step == "override":
            record = records.overridden(record, now, state="forced_open", seconds=1, by=by, reason="")
        assert record.token >= before.token
        assert record.era - before.era == ((record.state, record.at) != (before.state, before.at) or step == "override")
