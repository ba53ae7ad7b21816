"""Windows hold what they should, whatever comes in, and cost the same however long they are."""

import tracemalloc

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from peak_observe.resilience.breaker.settings import Settings
from peak_observe.resilience.breaker.sliding_window import (
    BUCKETS,
    FAILED,
    SLOW,
    CountWindow,
    TimeWindow,
    build_window,
    resize_window,
)

CODES = st.sampled_from([0, FAILED, SLOW, FAILED | SLOW])


def totals(codes: list[int]) -> tuple[int, int, int]:
    """Return what a list of codes comes to."""
    return len(codes), sum(code & FAILED for code in codes), sum(bool(code & SLOW) for code in codes)


@given(size=st.integers(1, 20), heaps=st.lists(st.tuples(CODES, st.integers(1, 30)), max_size=30))
def test_a_count_window_holds_the_last_calls(size: int, heaps: list[tuple[int, int]]) -> None:
    """Whether they come in alone or in heaps."""
    window, model = CountWindow(size), []
    for code, times in heaps:
        window.add(0.0, code, times)
        model += [code] * times
        assert window.totals(0.0) == totals(model[-size:])


@given(
    seconds=st.sampled_from([1.0, 10.0, 60.0, 0.7]),
    steps=st.lists(st.tuples(st.floats(0, 30), CODES), max_size=60),
)
@example(seconds=1.0, steps=[(0.0, 0), (0.5, 0), (0.0, 0), (0.0, 0)])  # 0.5 % 0.1 is nearly 0.1
def test_a_time_window_holds_its_seconds_to_a_tenth(seconds: float, steps: list[tuple[float, int]]) -> None:
    """All of the last nine tenths, and nothing older than the whole."""
    window, log, now = TimeWindow(seconds), [], 0.0
    for step, code in steps:
        now += step
        window.add(now, code)
        log.append((now, code))
        calls, failures, slow = window.totals(now)
        surely = totals([code for at, code in log if now - at < seconds * (1 - 1 / BUCKETS) * 0.999])
        perhaps = totals([code for at, code in log if now - at <= seconds * 1.001])
        assert all(a <= b <= c for a, b, c in zip(surely, (calls, failures, slow), perhaps, strict=True))


def test_a_time_window_empties_by_itself() -> None:
    """No timer turns it; a look does."""
    window = TimeWindow(10.0)
    window.add(100.0, FAILED, 7)
    assert window.totals(108.9).failures == 7
    assert window.totals(110.1).calls == 0


def test_a_clock_that_steps_back_neither_breaks_a_window_nor_keeps_failures_for_ever() -> None:
    """A little back counts as now; far back begins anew."""
    window = TimeWindow(10.0)
    window.add(1000.0, FAILED)
    window.add(999.0, FAILED)
    assert window.totals(999.5).failures == 2
    window.add(5.0, 0)
    assert window.totals(5.0) == (1, 0, 0)
    assert window.totals(20.0).calls == 0


@given(before=st.integers(1, 12), after=st.integers(1, 12), codes=st.lists(CODES, max_size=30))
def test_a_window_that_changes_its_size_keeps_the_newest(before: int, after: int, codes: list[int]) -> None:
    """As many as both have room for."""
    window = CountWindow(before)
    for code in codes:
        window.add(0.0, code)
    other = resize_window(window, Settings(window=after), 0.0)
    assert other.totals(0.0) == totals(codes[-before:][-after:])


def test_a_time_window_that_changes_its_length_keeps_what_is_young_enough() -> None:
    """At the age it has."""
    window = TimeWindow(100.0)
    for now, code in ((0.0, FAILED), (50.0, FAILED | SLOW), (95.0, 0), (95.0, SLOW)):
        window.add(now, code)
    assert resize_window(window, Settings(window_seconds=20.0), 99.0).totals(99.0) == (2, 0, 1)
    longer = resize_window(window, Settings(window_seconds=1000.0), 99.0)
    assert longer.totals(99.0) == (4, 2, 2)
    assert longer.totals(1500.0).calls == 0


def test_a_window_may_become_one_of_the_other_kind() -> None:
    """With what it holds; without any kind nothing is left."""
    counted = CountWindow(5)
    for code in (0, FAILED, SLOW):
        counted.add(7.0, code)
    timed = resize_window(counted, Settings(window_seconds=60.0), 7.0)
    assert timed.totals(7.0) == (3, 1, 1)
    assert resize_window(timed, Settings(window=2), 8.0).totals(8.0).calls == 2
    assert resize_window(timed, Settings(), 8.0) is None
    assert build_window(Settings()) is None


def test_shares_of_nothing_are_nothing() -> None:
    """No division by zero before the first call."""
    empty = CountWindow(5).totals(0.0)
    assert (empty.failure_ratio, empty.slow_ratio) == (0.0, 0.0)
    assert TimeWindow(5.0).totals(0.0).failure_ratio == 0.0


@pytest.mark.parametrize("window", [CountWindow(1000), TimeWindow(60.0)], ids=["calls", "time"])
def test_memory_does_not_grow(window: CountWindow | TimeWindow) -> None:
    """Twenty thousand calls later it is as large as before."""
    for number in range(1000):
        window.add(number * 0.01, FAILED)
    tracemalloc.start()
    try:
        for number in range(20_000):
            window.add(10 + number * 0.01, number % 4)
        assert tracemalloc.get_traced_memory()[0] < 20_000
    finally:
        tracemalloc.stop()


def test_a_window_that_a_fork_tore_is_mended() -> None:
    """The sums follow the cells."""
    window = CountWindow(4)
    window.add(0.0, FAILED)
    window._failures = 9
    window.recount()
    assert window.totals(0.0) == (1, 1, 0)
