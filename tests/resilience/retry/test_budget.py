"""A budget of retries: never more than it grants, whatever the threads and the clock do."""

import asyncio
import gc
import itertools
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from peak_observe import GaveUp, RetryBudget, retry_with_backoff
from peak_observe.measures import BUDGETS, RETRIES
from peak_observe.resilience.retry.budget import RetryTokens
from peak_observe.testing import ManualClock, RecordingObserver, no_delays

NAMES = (f"budget.{number}" for number in itertools.count())


def fail() -> None:
    """Fail."""
    raise ConnectionError


def test_it_begins_full_and_is_used_up() -> None:
    """Then failures come through at once, counted and told."""
    clock, name = ManualClock(), next(NAMES)
    budget = RetryBudget(0.0, 0.0, burst=3, name=name, clock=clock)
    protected = retry_with_backoff(10, clock=clock, name=name, budget=budget)(fail)
    with RecordingObserver() as seen:
        for _ in range(2):
            with pytest.raises(ConnectionError):
                protected()
    assert clock.sleeps == [1, 2, 4]
    assert RETRIES.get(name).read().calls == [0, 0, 0, 0, 0, 2]
    assert [event.outcome for event in seen.of(GaveUp)] == ["out_of_budget"] * 2


def test_calls_pay_into_it() -> None:
    """Successful and failed ones alike, each once."""
    clock = ManualClock()
    budget = RetryBudget(0.25, 0.0, burst=2, name=next(NAMES), clock=clock)
    fine = retry_with_backoff(clock=clock, budget=budget, name="budget.fine")(lambda: None)
    failing = retry_with_backoff(2, clock=clock, budget=budget, name="budget.failing")(fail)
    for _ in range(2):
        with pytest.raises(ConnectionError):
            failing()
    assert budget.tokens == pytest.approx(0.25), "a full bucket takes no more"
    for _ in range(3):
        fine()
    assert budget.tokens == pytest.approx(1.0)
    assert RETRIES.get("budget.fine").read().calls == [3, 0, 0, 0, 0, 0]
    assert budget.tokens == pytest.approx(1.0), "looking costs nothing"


def test_an_outage_is_not_amplified() -> None:
    """Of 300 calls that all fail a tenth is retried, and the burst."""
    clock, name = ManualClock(), next(NAMES)
    budget = RetryBudget(0.1, 0.0, name=name, clock=clock)
    protected = retry_with_backoff(3, clock=clock, name=name, budget=budget)(fail)
    for _ in range(300):
        with pytest.raises(ConnectionError):
            protected()
    assert RETRIES.get(name).read().retries == 10 + 30 - 1  # the last call's fraction is of no use to it


def test_time_pays_into_it() -> None:
    """So that a program with few calls can retry at all."""
    clock = ManualClock()
    budget = RetryBudget(0.0, 0.5, burst=2, clock=clock, name=next(NAMES))
    assert [budget.take() for _ in range(3)] == [True, True, False]
    clock.advance(2)
    assert [budget.take() for _ in range(2)] == [True, False]
    clock.advance(3600)
    assert [budget.take() for _ in range(3)] == [True, True, False]


def test_coroutines_pay_too() -> None:
    """Each call once."""
    budget = RetryBudget(0.5, 0.0, burst=2, name=next(NAMES), clock=ManualClock())

    @retry_with_backoff(2, base_delay=0, budget=budget, name="budget.async")
    async def fetch(*, fails: bool) -> None:
        if fails:
            raise ConnectionError

    async def use() -> None:
        for fails in (True, True, False):
            with pytest.raises(ConnectionError) if fails else no_delays():
                await fetch(fails=fails)

    asyncio.run(use())
    assert budget.tokens == pytest.approx(1.0)


def test_what_is_not_retryable_takes_nothing() -> None:
    """Nor what has no attempt or no time left."""
    clock = ManualClock()
    budget = RetryBudget(0.0, 0.0, burst=1, name=next(NAMES), clock=clock)
    for options in ({"expected_exception": KeyError}, {"max_attempts": 1}, {"timeout": 0.5}):
        with pytest.raises(ConnectionError):
            retry_with_backoff(clock=clock, budget=budget, name=next(NAMES), **options)(fail)()
    assert budget.tokens == 1


def test_a_name_stands_for_the_living_budget() -> None:
    """Made by hand or by the first who names it; it goes with the last who uses it."""
    name = next(NAMES)
    mine = RetryBudget(0.0, 0.0, burst=1, name=name, clock=ManualClock())
    first, second = (
        retry_with_backoff(2, base_delay=0, budget=name, name=f"{name}.{number}")(fail) for number in range(2)
    )
    for protected in (first, second):
        with pytest.raises(ConnectionError):
            protected()
    assert RETRIES.get(f"{name}.0").read().calls == [0, 0, 1, 0, 0, 0]
    assert RETRIES.get(f"{name}.1").read().calls == [0, 0, 0, 0, 0, 1]
    assert mine.tokens == 0


def test_a_name_without_a_budget_makes_one_with_the_defaults() -> None:
    """Shared by all who name it; a scrape after the last of them it is gone."""
    name = next(NAMES)
    protected = [retry_with_backoff(budget=name, name=f"{name}.{number}")(fail) for number in range(2)]
    (owner,) = BUDGETS.get(name).owners()
    assert owner.tokens == 10
    del owner, protected
    gc.collect()
    for number in range(2):
        RETRIES.get(f"{name}.{number}").read()
    gc.collect()
    assert BUDGETS.get(name).owners() == []
    assert BUDGETS.get(name).read().tokens is None


def test_budgets_of_one_name_show_their_sum() -> None:
    """As a name is one series."""
    name, clock = next(NAMES), ManualClock()
    budgets = [RetryBudget(burst=burst, name=name, clock=clock) for burst in (2, 5)]
    assert BUDGETS.get(name).read().tokens == 7
    assert repr(budgets[0]) == f"<RetryBudget '{name}' 2.0 tokens>"


def test_eight_threads_get_no_more_than_it_grants() -> None:
    """Every retry has its token, and every token is given once."""
    clock, name = ManualClock(), next(NAMES)
    budget = RetryBudget(0.125, 0.0, burst=50, name=name, clock=clock)
    protected = retry_with_backoff(1000, base_delay=0, clock=clock, name=name, budget=budget)(fail)
    barrier = threading.Barrier(8)

    def call() -> None:
        barrier.wait()
        for _ in range(200):
            with pytest.raises(ConnectionError):
                protected()

    threads = [threading.Thread(target=call) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    reading = RETRIES.get(name).read()
    assert reading.calls == [0, 0, 0, 0, 0, 1600]
    granted = 50 + 1600 * 0.125
    assert granted - 1 <= reading.retries + budget.tokens <= granted
    assert reading.retries <= granted


NONSENSE = [
    ({"ratio": -0.1}, "ratio must be a finite number, at least 0, not -0.1"),
    ({"ratio": "0.1"}, "ratio"),
    ({"min_per_second": float("nan")}, "min_per_second"),
    ({"min_per_second": float("inf")}, "min_per_second"),
    ({"burst": 0.5}, "burst must be a finite number, at least 1, not 0.5"),
    ({"burst": True}, "burst"),
    ({"name": ""}, "name"),
]


@pytest.mark.parametrize(("arguments", "message"), NONSENSE, ids=[str(case[0]) for case in NONSENSE])
def test_nonsense_is_one_error_that_names_the_argument(arguments: dict[str, object], message: str) -> None:
    """At once."""
    with pytest.raises(ValueError, match="^" + message):
        RetryBudget(**arguments)


@pytest.mark.parametrize("budget", [0.1, "", object()])
def test_what_is_no_budget_is_refused(budget: object) -> None:
    """Where the decorator is written."""
    with pytest.raises(ValueError, match="budget must be a RetryBudget or the name of one"):
        retry_with_backoff(budget=budget)


STEPS = st.lists(
    st.tuples(st.floats(-1e6, 1e6) | st.floats(-2, 2), st.integers(0, 50), st.booleans()), min_size=1, max_size=200
)


@given(steps=STEPS, ratio=st.floats(0, 2), rate=st.floats(0, 10), size=st.floats(1, 100))
def test_it_grants_what_a_simple_model_grants(
    steps: list[tuple[float, int, bool]], ratio: float, rate: float, size: float
) -> None:
    """Over long runs in which the clock jumps forth and back: never negative, never above its size, never too much."""
    bucket = RetryTokens(ratio=ratio, rate=rate, size=size, now=0.0)
    now, calls, model, forward, granted = 0.0, 0, size, 0.0, 0
    for step, more, takes in steps:
        now, calls = now + step, calls + more
        gone = max(0.0, step)
        forward += gone
        model = min(size, model + ratio * more + rate * gone)
        if takes:
            taken = bucket.take(now, calls)
            granted += taken
            # Between two takes the bucket adds up calls and time at once, so the clock's way back counts there.
            model -= taken
            assert 0 <= bucket.tokens <= size
        else:
            assert 0 <= bucket.level(now, calls) <= size
    assert granted <= size + ratio * calls + rate * forward + 1e-6
    assert bucket.level(now, calls) <= model + 1e-6 * max(1.0, rate * forward)
