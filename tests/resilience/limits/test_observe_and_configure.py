"""Limits in dry run, limits that change while calls go on, and what they say of themselves."""

import asyncio
import threading
import typing
from concurrent.futures import ThreadPoolExecutor
from itertools import count

import pytest

from peak_observe import (
    BulkheadFullError,
    LimitReached,
    Policy,
    RateLimitedError,
    bulkhead,
    priority,
    rate_limit,
    timeout,
)
from peak_observe.errors import ConfigError
from peak_observe.measures import BULKHEADS
from peak_observe.resilience.limits import Bulkhead, RateLimiter
from peak_observe.telemetry.metrics.renderer import Renderer
from peak_observe.testing import ManualClock, RecordingObserver

PATIENCE = 30.0
NUMBERS = count()


@pytest.fixture
def name() -> str:
    """Return a name that nobody has."""
    return f"observed.{next(NUMBERS)}"


@pytest.mark.parametrize(("wait", "outcome"), [(0.0, "would_refuse"), (5.0, "would_wait")])
def test_a_bulkhead_in_dry_run_lets_all_pass_and_counts(name: str, wait: float, outcome: str) -> None:
    """Nothing waits, and the events say that it is one."""
    limited = bulkhead(1, wait, mode="observe", name=name)
    with RecordingObserver() as seen, limited, ThreadPoolExecutor(1) as pool:
        assert pool.submit(limited.call(lambda: limited.in_flight)).result(PATIENCE) == 2
    assert limited.stats._asdict() | {"wait_seconds": 0.0} == {
        **dict.fromkeys(limited.stats._fields, 0),
        "at_once": 1,
        outcome: 1,
    }
    told = [LimitReached("bulkhead", name, 1, 1, "observe")] if outcome == "would_refuse" else []
    assert seen.of(LimitReached) == told


def test_a_rate_limit_in_dry_run_sleeps_for_nobody(name: str) -> None:
    """Calls that would have waited take their turns, those that would have been refused take none."""
    clock = ManualClock()
    limited = rate_limit(1, wait=1.5, mode="observe", name=name, clock=clock)
    for _ in range(4):
        limited.acquire()
    asyncio.run(limited.async_acquire())
    assert clock.sleeps == []
    assert (limited.stats.at_once, limited.stats.would_wait, limited.stats.would_refuse) == (1, 1, 3)
    assert limited.snapshot().weight == 5
    text = Renderer().render().decode()
    assert f'peak_rate_limit_calls_total{{limiter="{name}",outcome="would_refuse"}} 3.0' in text


def test_a_larger_bulkhead_lets_those_in_that_wait(name: str, until) -> None:
    """At once, also where it only observes from now on."""
    for change in ({"limit": 2}, {"mode": "observe"}):
        limited, go_on = bulkhead(1, PATIENCE, name=f"{name}.{next(NUMBERS)}"), threading.Event()
        with ThreadPoolExecutor(2) as pool:
            work = limited.call(lambda go_on=go_on: go_on.wait(PATIENCE))
            calls = [pool.submit(work), pool.submit(work)]
            until(lambda limited=limited: limited.snapshot().waiting == 1)
            limited.configure(**change)
            until(lambda limited=limited: limited.in_flight == 2)
            go_on.set()
            assert all(call.result(PATIENCE) for call in calls)


def test_a_smaller_bulkhead_ends_no_call(name: str) -> None:
    """New ones enter when there is room."""
    limited = bulkhead(2, name=name)
    with ThreadPoolExecutor(1) as pool, limited:
        pool.submit(limited.__enter__).result()
        limited.configure(limit=1, wait=0.01)
        assert limited.in_flight == 2
        pool.submit(limited.__exit__, None, None, None).result()
        with pytest.raises(BulkheadFullError, match="1 call is under way"):
            pool.submit(limited.call(lambda: None)).result()
    found = limited.snapshot()
    assert (found.limit, found.wait, found.mode, found.in_flight) == (1, 0.01, "enforce", 0)
    assert BULKHEADS.get(name).read().limit == 1


def test_a_rate_that_changes_gives_nothing_back(name: str) -> None:
    """What was used up stays used up, and calls that wait keep their turns."""
    clock = ManualClock()
    limited = rate_limit(1, burst=4, wait=60, name=name, clock=clock)
    for _ in range(4):
        limited.acquire()
    limited.configure(limit=2)
    limited.acquire()
    assert clock.sleeps == [0.5]
    limited.configure(limit=15, per=60, wait=0)
    with pytest.raises(RateLimitedError) as refusal:
        limited.acquire()
    assert refusal.value.retry_after == pytest.approx(4)
    found = limited.snapshot()
    assert (found.windows, found.burst, found.retry_after) == (((15, 60.0),), 4, pytest.approx(4))
    assert repr(limited) == f"<RateLimiter '{name}' 0.25 a second>"


def test_windows_that_change_remember_what_passed(name: str) -> None:
    """Also where a share is reserved from now on."""
    limited = rate_limit([(2, 10)], name=name, clock=ManualClock())
    limited.acquire()
    limited.configure(limit=[(3, 10), (4, 60)])
    limited.acquire()
    limited.configure(reserve={"trade": 0.4})
    with pytest.raises(RateLimitedError):
        limited.acquire()
    limited.configure(reserve={})
    limited.acquire()
    assert repr(limited) == f"<RateLimiter '{name}' 3 in 10 s and 4 in 60 s>"


def test_a_change_that_makes_no_sense_changes_nothing(name: str) -> None:
    """One error names the argument."""
    limited, places = rate_limit(1, name=name, clock=ManualClock()), bulkhead(2, name=name)
    for change in ({"limit": 0}, {"mode": "dry"}, {"reserve": {"a": 2}}, {"limit": [(1, 1)]}):
        with pytest.raises(ValueError, match=next(iter(change))):
            limited.configure(**change)
    with pytest.raises(ValueError, match="limit"):
        places.configure(limit=0, wait=3)
    assert (limited.snapshot().windows, places.snapshot().wait) == (((1, 1.0),), 0.0)


HUGE = 10**400
LONGER_THAN_TEXT = 10**5000


@pytest.mark.parametrize(
    ("make", "argument"),
    [
        (lambda: bulkhead(HUGE), "limit"),
        (lambda: bulkhead(LONGER_THAN_TEXT), "limit"),
        (lambda: bulkhead(-LONGER_THAN_TEXT), "limit"),
        (lambda: bulkhead(1, HUGE), "wait"),
        (lambda: bulkhead(1, float("nan")), "wait"),
        (lambda: bulkhead(1, mode="dry"), "mode"),
        (lambda: bulkhead(1, name=5), "name"),
        (lambda: rate_limit(1e-300, per=1e300), "limit / per"),
        (lambda: rate_limit(1e15, per=1e-300), "limit / per"),
        (lambda: rate_limit(HUGE), "limit"),
        (lambda: rate_limit(LONGER_THAN_TEXT), "limit"),
        (lambda: rate_limit(float("inf")), "limit"),
        (lambda: rate_limit(1, HUGE), "per"),
        (lambda: rate_limit(1, burst=HUGE), "burst"),
        (lambda: rate_limit(1, burst=2.0), "burst"),
        (lambda: rate_limit(1, weight=-1), "weight"),
        (lambda: rate_limit(1, weight=HUGE), "weight"),
        (lambda: rate_limit(1, weight=float("nan")), "weight"),
        (lambda: rate_limit(1, weight="much"), "weight"),
        (lambda: rate_limit(1, heed="yes"), "heed"),
        (lambda: rate_limit(1, heed=asyncio.sleep), "heed"),
        (lambda: rate_limit(1, weight=asyncio.sleep), "weight"),
        (lambda: rate_limit(1, name=b"bytes"), "name"),
        (lambda: rate_limit(1, reserve="trade"), "reserve"),
        (lambda: rate_limit(1, reserve={"trade": 1}), "reserve"),
        (lambda: rate_limit(1, reserve={"trade": 0}), "reserve"),
        (lambda: rate_limit(1, reserve={"a": 0.5, "b": 0.5}), "reserve"),
        (lambda: rate_limit(1, reserve={"default": 0.5}), "reserve"),
        (lambda: rate_limit(1, reserve={5: 0.5}), "name"),
        (lambda: rate_limit([]), "limit"),
        (lambda: rate_limit([(1, 2, 3)]), "limit"),
        (lambda: rate_limit([20, 1]), "limit"),
        (lambda: rate_limit([(HUGE, 1)]), "limit"),
        (lambda: rate_limit([(0.5, 1)]), "limit of a window"),
        (lambda: rate_limit([(20, 1)], burst=2), "burst"),
        (lambda: rate_limit([(20, 1)], 60), "per"),
        (lambda: rate_limit([(20, 1)], weight=21), "weight"),
        (lambda: rate_limit([(2, 1)], reserve={"trade": 0.2}), "reserve"),
        (lambda: rate_limit(1).acquire(weight=-1), "weight"),
        (lambda: rate_limit(1).pause(float("inf")), "seconds"),
        (lambda: timeout(HUGE), "seconds"),
        (lambda: timeout(float("nan")), "seconds"),
        (lambda: timeout(-LONGER_THAN_TEXT), "seconds"),
        (lambda: priority(""), "name"),
        (lambda: priority(5), "name"),
    ],
)
def test_absurd_numbers_are_one_error_that_names_the_argument(make, argument: str) -> None:
    """And none of them takes /metrics down."""
    with pytest.raises(ValueError, match=f"^{argument} ") as error:
        make()
    assert len(str(error.value)) < 300
    assert b"peak_rate_limit_calls_total" in Renderer().render()


@pytest.mark.parametrize(
    "table",
    [
        {"bulkhead": {"limit": HUGE}},
        {"bulkhead": {"limit": 1, "wait": float("inf")}},
        {"bulkhead": {"limit": True}},
        {"bulkhead": {"limit": 1, "mode": "dry"}},
        {"rate_limit": {"limit": 1e-300, "per": 1e300}},
        {"rate_limit": {"limit": LONGER_THAN_TEXT}},
        {"rate_limit": {"limit": [[20, 1], [0, 60]]}},
        {"rate_limit": {"limit": 1, "reserve": {"trade": 2}}},
        {"rate_limit": {"limit": 1, "weight": -1}},
        {"timeout": {"seconds": float("nan")}},
        {"timeout": {"seconds": HUGE}},
    ],
)
def test_absurd_numbers_in_a_table_are_a_config_error(table: dict) -> None:
    """With the key."""
    with pytest.raises(ConfigError) as error:
        Policy.from_config(table, name="absurd")
    assert error.value.key.startswith(f"absurd.{next(iter(table))}")


def test_a_table_has_all_of_it(name: str) -> None:
    """Windows, weights, shares and the mode."""
    table = {
        "limit": [[20, 1], [6000, 60]],
        "weight": 5,
        "reserve": {"trade": 0.25},
        "mode": "observe",
        "heed": True,
        "wait": 2,
    }
    policy = Policy.from_config({"rate_limit": table, "bulkhead": {"limit": 3, "mode": "observe"}}, name=name)
    policy(lambda: None)()
    text = Renderer().render().decode()
    assert f'peak_rate_limit_weight_total{{limiter="{name}"}} 5.0' in text
    assert f'peak_rate_limit_priority_calls_total{{limiter="{name}",priority="trade"}} 0.0' in text


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: rate_limit(1, brust=2),
            r"rate_limit\(\) got an unexpected keyword argument 'brust'; did you mean burst\?",
        ),
        (lambda: rate_limit(rate=1), r"keyword argument 'rate'; did you mean limit\?"),
        (lambda: rate_limit(1, period=2), r"did you mean per\?"),
        (lambda: rate_limit(1, zzzz=2), r"there are limit, per, burst, wait, weight"),
        (lambda: bulkhead(1, max_wait=2), r"bulkhead\(\) .* 'max_wait'; did you mean wait\?"),
        (lambda: bulkhead(limits=2), r"did you mean limit\?"),
        (lambda: timeout(second=2), r"timeout\(\) .* 'second'; did you mean seconds\?"),
    ],
)
def test_a_wrong_keyword_names_the_right_one(make, message: str) -> None:
    """Also the names of other libraries, and that of an earlier version."""
    with pytest.raises(TypeError, match=message):
        make()


def test_all_after_the_seconds_is_given_by_name() -> None:
    """A second number is the seconds, as in other rate limiters, and a third one is an error."""
    assert rate_limit(15, 60).core().settings.rate == 0.25
    with pytest.raises(TypeError, match=r"1 argument too many: burst and all that follows is given by name"):
        rate_limit(15, 60, 5)


@pytest.mark.parametrize(
    "function",
    [
        rate_limit,
        bulkhead,
        timeout,
        priority,
        *(
            getattr(kind, name)
            for kind in (RateLimiter, Bulkhead)
            for name in vars(kind)
            if not name.startswith("_") and callable(getattr(kind, name))
        ),
    ],
    ids=lambda function: function.__qualname__,
)
def test_type_hints_can_be_read(function) -> None:
    """By tools that build forms and validators from them."""
    target = function.__init__ if isinstance(function, type) else function
    assert typing.get_type_hints(target)


def test_snapshots_have_readable_type_hints(name: str) -> None:
    """As have the records."""
    for limit in (rate_limit(1, name=name), bulkhead(1, name=name)):
        assert "stats" in typing.get_type_hints(type(limit.snapshot()))


def test_a_setting_that_there_is_not_is_an_error_with_a_hint() -> None:
    """Also by its name elsewhere, as for a breaker."""
    with pytest.raises(TypeError, match="'limt'; did you mean limit"):
        bulkhead(1).configure(limt=2)
    with pytest.raises(TypeError, match="'max_concurrent'; did you mean limit"):
        bulkhead(1).configure(max_concurrent=2)
    with pytest.raises(TypeError, match="'period'; did you mean per"):
        rate_limit(1).configure(period=2)
