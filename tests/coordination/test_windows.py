"""The pure windows: never more than the limit in any stretch of time, in a log of a few groups."""

import math
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from peak_observe.coordination import windows
from peak_observe.coordination.windows import PARTS, WindowLog, WindowRequest

LIMITS = st.lists(st.tuples(st.integers(2, 12), st.sampled_from([1.0, 3.0, 10.0])), min_size=1, max_size=3, unique=True)
CALLS = st.lists(
    st.tuples(st.sampled_from([0.0, 0.0, 0.01, 0.1, 0.3, 2.0]), st.sampled_from([0, 0.5, 1, 1, 2])), max_size=50
)


def taken(limits: list, calls: list, *, members: int = 0) -> tuple[list, list, tuple[WindowLog, ...]]:
    """Have calls take turns: moment and weight of each turn, the moments at which they came, and the logs."""
    logs, now, turns, asked = (WindowLog(),) * len(limits), 0.0, [], []
    for pause, weight in calls:
        now += pause
        request = WindowRequest(tuple(limits), weight, math.inf)
        if members:
            wait, _, logs = windows.reserved_alone(logs, now, request=request, members=members)
        else:
            wait, _, logs = windows.reserved(logs, now, request=request)
        turns.append((now + wait, weight))
        asked.append(now)
    return turns, asked, logs


def most(turns: list, per: float) -> float:
    """Return the most weight in any stretch of a length."""
    return max(
        (sum(weight for at, weight in turns if start <= at < start + per - 1e-6) for start, _ in turns), default=0
    )


@given(LIMITS, CALLS)
def test_no_window_ever_holds_more_than_its_limit(limits: list, calls: list) -> None:
    """For several windows at once, and turns come in the order in which they were asked for."""
    turns, _, logs = taken(limits, calls)
    assert all(most(turns, per) <= limit + 1e-6 for limit, per in limits)
    assert all(after[0] >= before[0] - 1e-6 for before, after in pairwise(turns))
    assert all(len(log.groups) <= PARTS + 2 for log in logs)


@given(st.integers(1, 12), CALLS)
def test_a_turn_is_late_by_an_eighth_of_the_window_at_most(limit: int, calls: list) -> None:
    """A call waits for the one that is `limit` calls before it, and no longer than that and an eighth."""
    turns, asked, _ = taken([(limit, 1.0)], [(pause, 1) for pause, _ in calls])
    for index, (at, _) in enumerate(turns):
        before = turns[index - 1][0] if index else 0.0
        leaves = turns[index - limit][0] + 1.0 + 1 / PARTS if index >= limit else 0.0
        assert at <= max(asked[index], before, leaves) + 1e-6


def test_calls_at_one_moment_lose_nothing() -> None:
    """Twenty pass at once, and the next twenty when exactly one window is over."""
    turns, _, _ = taken([(20, 1.0)], [(0.0, 1)] * 45)
    assert [at for at, _ in turns] == [0.0] * 20 + [1.0] * 20 + [2.0] * 5


@given(st.integers(1, 9), LIMITS, CALLS)
def test_alone_each_process_takes_its_part(members: int, limits: list, calls: list) -> None:
    """The limit divided by the processes, and one heavy call where it is more than that, for as much longer."""
    turns, _, _ = taken(limits, calls, members=members)
    heaviest = max((weight for _, weight in turns), default=0)
    for limit, per in limits:
        assert most(turns, per) <= max(limit / members, heaviest) + 1e-6
        longer = per * max(1.0, heaviest * members / limit)
        assert most(turns, longer) <= max(heaviest, 2 * longer / per * limit / members) + 1e-6


def test_a_call_beyond_ones_patience_takes_nothing() -> None:
    """The logs stay as they are, and the answer says how long it would wait."""
    logs = (WindowLog(0.0, ((0.0, 5),)),)
    request = WindowRequest(((5, 10.0),), 1, 9.0)
    assert windows.reserved(logs, 0.5, request=request) == (9.5, False, logs)
    assert windows.reserved(logs, 1.5, request=request)[:2] == (8.5, True)


def test_turns_that_the_log_lost_are_noted_first() -> None:
    """All of its own, where the log is not the one that the process knows; else those that it took alone."""
    request = WindowRequest(((5, 10.0),), 1, math.inf, known="a", own=(4,), alone=(1,))
    assert (request.missing(["a"]), request.missing([None]), request.missing(["b"])) == ([1], [4], [4])
    wait, _, logs = windows.reserved((WindowLog(),), 7.0, request=request, missing=[4])
    assert (wait, windows.used(logs[0], 7.0, per=10.0)) == (0.0, 5)
    assert windows.reserved(logs, 7.0, request=request)[0] == 10.0


def test_no_turn_comes_in_a_pause() -> None:
    """The window counts it where it passes, after the pause."""
    request = WindowRequest(((2, 10.0),), 1, math.inf, delay=30.0)
    logs = (WindowLog(),)
    for expected in (30.0, 30.0, 40.0):
        wait, _, logs = windows.reserved(logs, 0.0, request=request)
        assert wait == expected
