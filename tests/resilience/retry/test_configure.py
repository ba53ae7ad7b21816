"""Settings of retries and budgets change while calls go on; snapshots tell what holds."""

import asyncio
import inspect
import math
import random
import threading
from collections.abc import Callable
from datetime import UTC
from typing import Any

import pytest

from peak_observe import GaveUp, RetryBudget, circuit_breaker, deadline, idempotent, retry_with_backoff, retrying
from peak_observe.measures import RETRIES
from peak_observe.resilience.common.deadlines import remaining
from peak_observe.resilience.common.keywords import UNCHANGED
from peak_observe.telemetry.metrics.collector import PeakCollector
from peak_observe.testing import ManualClock, RecordingObserver


class Failing:
    """A function that always fails, retried."""

    def __init__(self, **options: Any) -> None:
        self.clock = ManualClock()
        self.calls = 0
        self.retried = retry_with_backoff(**{"clock": self.clock, "name": "configured", **options})(self.fail)
        self.retry = self.retried.retry

    def fail(self) -> None:
        """Fail."""
        self.calls += 1
        raise ConnectionError("reset")

    def run(self) -> tuple[int, list[float]]:
        """Return attempts and delays of one operation."""
        self.calls = 0
        self.clock.sleeps.clear()
        with pytest.raises(ConnectionError):
            self.retried()
        return self.calls, list(self.clock.sleeps)


def test_changed_settings_hold_from_the_next_call_on() -> None:
    """Each alone, and what is not given stays."""
    failing = Failing()
    assert failing.run() == (3, [1, 2])
    failing.retry.configure(max_attempts=4)
    assert failing.run() == (4, [1, 2, 4])
    failing.retry.configure(base_delay=2, max_delay=5)
    assert failing.run() == (4, [2, 4, 5])
    failing.retry.configure(multiplier=3, base_delay=1, max_delay=60)
    assert failing.run() == (4, [1, 3, 9])
    failing.retry.configure(delays=[7])
    assert failing.run() == (4, [7, 7, 7])
    failing.retry.configure(delays=None, timeout=3)
    assert failing.run() == (2, [1])
    failing.retry.configure(max_attempts=None, timeout=50)
    assert failing.run() == (5, [1, 3, 9, 27])
    failing.retry.configure(expected_exception=KeyError)
    assert failing.run() == (1, [])


def test_hooks_and_fallback_can_be_changed() -> None:
    """Given, and taken away with None; None as fallback is a value."""
    failing, told = Failing(max_attempts=1), []
    failing.retry.configure(on_give_up=told.append, fallback=None)
    assert failing.retried() is None
    assert len(told) == 1
    failing.retry.configure(on_give_up=None)
    assert failing.retried() is None
    assert len(told) == 1


@pytest.mark.parametrize("breaker", [False, True], ids=["alone", "in a circuit"])
@pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])
def test_what_first_attempts_need_holds_at_once_too(breaker: bool, asynchronous: bool) -> None:
    """A timeout that is seen inside, and a look at results, though the function was on the fast path before."""
    clock, seen = ManualClock(), []
    retry = retry_with_backoff(3, clock=clock)

    def look() -> str:
        seen.append(remaining())
        return "busy"

    async def look_async() -> str:
        return look()

    func = look_async if asynchronous else look
    retried = circuit_breaker(99, clock=clock)(retry(func)) if breaker else retry(func)

    def call() -> str:
        return asyncio.run(retried()) if asynchronous else retried()

    assert call() == "busy"
    retried.retry.configure(timeout=30)
    call()
    retried.retry.configure(timeout=None, retry_result=lambda reply: reply == "busy")
    call()
    retried.retry.configure(retry_result=None)
    call()
    assert [left and round(left) for left in seen] == [None, 30, None, None, None, None]


def test_an_attempt_timeout_can_be_given_later() -> None:
    """To a coroutine function, and to no plain one."""

    @retry_with_backoff(2, 0)
    async def hang() -> None:
        await asyncio.Event().wait()

    hang.retry.configure(attempt_timeout=0.01)
    with pytest.raises(TimeoutError):
        asyncio.run(hang())
    with pytest.raises(ValueError, match="attempt_timeout can interrupt coroutines only"):
        Failing().retry.configure(attempt_timeout=1)


def test_operations_under_way_decide_by_the_new_settings() -> None:
    """One that sleeps sleeps on, and makes no attempt more than there may be now."""
    failing: Failing

    class Meanwhile(ManualClock):
        def sleep(self, seconds: float) -> None:
            super().sleep(seconds)
            failing.retry.configure(max_attempts=2)

    clock = Meanwhile()
    failing = Failing(max_attempts=9, clock=clock)
    with pytest.raises(ConnectionError):
        failing.retried()
    assert (failing.calls, clock.sleeps) == (2, [1])


def test_many_threads_and_a_change_do_not_disturb_each_other() -> None:
    """Each operation makes as many attempts as one of the settings allows."""
    failing = retry_with_backoff(2, 0, name="configure-threads")
    seen: list[int] = []
    stop = threading.Event()

    def one(numbers: list[int]) -> None:
        numbers.append(1)
        raise ConnectionError

    retried = failing(one)

    def work() -> None:
        while not stop.is_set():
            numbers: list[int] = []
            with pytest.raises(ConnectionError):
                retried(numbers)
            seen.append(len(numbers))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for number in range(200):
        retried.retry.configure(max_attempts=2 + number % 2, timeout=random.choice([None, 60]))
    stop.set()
    for thread in threads:
        thread.join()
    assert set(seen) <= {2, 3}
    stats = retried.retry.stats
    assert stats.exhausted == len(seen)
    assert stats.retries == sum(seen) - len(seen)


NONSENSE = [
    ({"max_attempts": 0}, "max_attempts must be a whole number of at least 1, not 0"),
    ({"max_attempts": None}, "max_attempts=None would retry for ever: give timeout as well"),
    ({"base_delay": -1}, "base_delay must be a finite number of seconds"),
    ({"multiplier": 1}, "multiplier must be more than 1, not 1: for delays that stay as they are write exponential="),
    ({"multiplier": 0.5}, "multiplier must be more than 1"),
    ({"multiplier": math.inf}, "multiplier must be a finite number"),
    ({"multiplier": "2"}, "multiplier must be a finite number"),
    ({"multiplier": 10**400}, "multiplier must be a finite number"),
    ({"multiplier": 3, "exponential": False}, "multiplier says how delays grow and means nothing beside exponential"),
    ({"multiplier": 3, "jitter": "decorrelated"}, "jitter 'decorrelated' makes delays that grow by chance"),
    ({"nested": "never"}, "nested must be 'warn' or 'inner_only', not 'never'"),
    ({"expected_exception": 7}, "expected_exception must be an exception type"),
    ({"on_give_up": 7}, "on_give_up must be a function of the event, not 7"),
]


@pytest.mark.parametrize(("options", "message"), NONSENSE, ids=[str(options) for options, _ in NONSENSE])
def test_nonsense_is_one_error_and_changes_nothing(options: dict[str, Any], message: str) -> None:
    """When it is decorated, in a block, and when it is changed."""
    for make in (retry_with_backoff, retrying, Failing().retry.configure, retrying().configure):
        with pytest.raises(ValueError, match=f"^{message}"):
            make(**options)
    failing = Failing()
    with pytest.raises(ValueError, match=f"^{message}"):
        failing.retry.configure(**{"base_delay": 9, **options})
    assert failing.run() == (3, [1, 2])


def test_a_name_that_there_is_not_is_an_error_with_a_hint() -> None:
    """Also by its name elsewhere."""
    retry = Failing().retry
    with pytest.raises(TypeError, match=r"'max_atempts'; did you mean max_attempts\?"):
        retry.configure(max_atempts=3)
    with pytest.raises(TypeError, match=r"'exp_base'; did you mean multiplier\?"):
        retry_with_backoff(exp_base=3)
    with pytest.raises(TypeError, match=r"'max_tokens'; did you mean burst\?"):
        RetryBudget().configure(max_tokens=3)


def test_what_must_not_happen_twice_gets_no_second_attempt_later() -> None:
    """A retry of one attempt is fine around an order, and stays so."""

    @retry_with_backoff(1)
    @idempotent(False)
    def place_order() -> None: ...

    for options in ({"max_attempts": 3}, {"max_attempts": None, "timeout": 60}):
        with pytest.raises(TypeError, match="must not happen twice"):
            place_order.retry.configure(**options)
    place_order.retry.configure(base_delay=3)
    assert place_order.retry.snapshot().max_attempts == 1


def test_configure_takes_all_that_the_decorator_takes_but_identity() -> None:
    """Name, tracing and clock are what it is; a budget has its own `configure`."""
    takes = set(inspect.signature(retry_with_backoff).parameters) - {"name", "tracing", "clock", "budget"}
    parameters = inspect.signature(type(Failing().retry).configure).parameters
    assert set(parameters) - {"self"} == takes
    assert {parameter.default for name, parameter in parameters.items() if name != "self"} == {UNCHANGED}


def test_a_block_is_configured_and_counted_as_well() -> None:
    """It has all of it but what needs a result."""
    clock, block, calls = ManualClock(), None, []
    block = retrying(3, clock=clock, name="configured-block")
    block.configure(max_attempts=2, multiplier=5)
    with pytest.raises(ConnectionError):
        for attempt in block:
            with attempt:
                calls.append(attempt.number)
                raise ConnectionError
    assert calls == [1, 2]
    assert (block.stats.exhausted, block.stats.retries, block.snapshot().multiplier) == (1, 1, 5)
    for name in ("retry_result", "fallback"):
        with pytest.raises(ValueError, match=f"^{name} needs a function, as a block has no result"):
            block.configure(**{name: bool})
    block.reset()
    assert block.stats.exhausted == 0


def test_a_snapshot_tells_settings_and_counts() -> None:
    """Frozen, of one moment."""
    budget = RetryBudget(name="configured-budget")
    failing = Failing(timeout=60, budget=budget, jitter=None, nested="inner_only")
    failing.run()
    found = failing.retry.snapshot()
    assert found.at.tzinfo is UTC
    assert found._replace(at=None, stats=None) == (
        *("configured", None, True, 3, 1.0, 60.0, True, 2.0, 60, None, "configured-budget", "inner_only", None),
        *("enforce", 0),
    )
    assert found.stats == failing.retry.stats
    assert repr(failing.retry) == "<Retry 'configured' of 3 attempts>"
    failing.retry.configure(max_attempts=None)
    assert repr(failing.retry) == "<Retry 'configured' of any number of attempts>"


# No limit of attempts.


@pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])
def test_without_a_limit_time_ends_it(asynchronous: bool) -> None:
    """As many attempts as find room."""
    clock, calls = ManualClock(), []
    decorate = retry_with_backoff(None, 1, exponential=False, timeout=1000.5, clock=clock, name="no-limit")

    def fail() -> None:
        calls.append(1)
        raise ConnectionError

    async def fail_async() -> None:
        fail()

    with RecordingObserver() as seen, pytest.raises(ConnectionError):
        asyncio.run(decorate(fail_async)()) if asynchronous else decorate(fail)()
    assert len(calls) == 1001
    (event,) = seen.of(GaveUp)
    assert (event.attempts, event.elapsed, event.outcome) == (1001, 1000.0, "out_of_time")
    assert RETRIES.get("no-limit").read().max_attempts == math.inf


def test_the_callers_deadline_ends_it_earlier() -> None:
    """Whichever is first."""
    failing = Failing(max_attempts=None, timeout=1000)
    with deadline(10, clock=failing.clock):
        assert failing.run() == (4, [1, 2, 4])


def test_an_unlimited_retry_shows_as_infinite() -> None:
    """Prometheus reads `+Inf`."""
    retry_with_backoff(None, timeout=5, name="no-limit-metric")(lambda: None)
    samples = [sample for family in PeakCollector().collect() for sample in family.samples]
    found = [sample.value for sample in samples if sample.labels.get("operation") == "no-limit-metric"]
    assert math.inf in found


# Budgets.


def test_a_budget_is_configured_while_it_is_in_use() -> None:
    """What was earned stays, as far as it finds room; what comes is earned by the new rules."""
    clock = ManualClock()
    budget = RetryBudget(0, 1, burst=10, clock=clock)
    assert all(budget.take() for _ in range(10))
    clock.advance(3)
    budget.configure(min_per_second=2)
    assert budget.tokens == 3
    clock.advance(2)
    assert budget.tokens == 7
    budget.configure(burst=5)
    assert budget.tokens == 5
    budget.configure(burst=20, min_per_second=0, ratio=0.5)
    budget.count()
    assert budget.tokens == 5.5


def test_a_budget_tells_settings_and_counts() -> None:
    """Calls, and retries that it allowed and refused."""
    clock = ManualClock()
    budget = RetryBudget(0.1, 0, burst=2, name="counted-budget", clock=clock)
    failing = Failing(budget=budget, max_attempts=4)
    assert failing.run() == (3, [1, 2])
    assert failing.run() == (1, [])
    assert budget.stats == (2, 2, 2)
    found = budget.snapshot()
    assert found[:1] + found[2:5] == ("counted-budget", 0.1, 0, 2)
    assert found.tokens == pytest.approx(0.1)
    assert found.stats == budget.stats


@pytest.mark.parametrize("options", [{"ratio": -1}, {"burst": 0.5}, {"min_per_second": math.nan}, {"burst": 10**400}])
def test_nonsense_of_a_budget_changes_nothing(options: dict[str, Any]) -> None:
    """It names the argument, as the constructor does."""
    budget = RetryBudget()
    before = budget.snapshot()[2:5]
    for make in (RetryBudget, budget.configure):
        with pytest.raises(ValueError, match=f"^{next(iter(options))} must be a finite number"):
            make(**options)
    assert budget.snapshot()[2:5] == before


# Growth.

Delays = Callable[..., list[float]]


def test_delays_grow_by_the_multiplier() -> None:
    """2 from the start, exactly as ever."""
    assert Failing(max_attempts=6).run()[1] == [1, 2, 4, 8, 16]
    assert Failing(max_attempts=6, multiplier=2).run()[1] == [1, 2, 4, 8, 16]
    assert Failing(max_attempts=6, multiplier=1.5).run()[1] == [1, 1.5, 2.25, 3.375, 5.0625]
    assert Failing(max_attempts=4, multiplier=10, base_delay=0.5).run()[1] == [0.5, 5, 50]
    assert Failing(max_attempts=4, multiplier=1e300).run()[1] == [1, 60, 60]


def test_nothing_overflows_however_many_attempts_there_are() -> None:
    """The cap is reached long before the largest float."""
    for multiplier in (1.000001, 2, 1e10):
        calls, sleeps = Failing(max_attempts=3000, multiplier=multiplier, base_delay=1e-5, max_delay=3).run()
        assert calls == 3000
        assert max(sleeps) <= 3
    assert Failing(max_attempts=3000, base_delay=0).run()[1] == [0.0] * 2999
