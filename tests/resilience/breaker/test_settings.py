"""What a breaker can do beyond the simple form."""

import asyncio
import inspect
import logging
import math
from collections.abc import AsyncIterator, Callable, Iterator
from contextvars import copy_context

import pytest

from peak_observe import (
    CircuitBreaker,
    CircuitOpenError,
    CircuitState,
    Transition,
    circuit_breaker,
    get_breaker,
)
from peak_observe.measures import BREAKERS
from peak_observe.resilience.breaker.guarded_call import GuardedCall
from peak_observe.resilience.breaker.settings import Settings
from peak_observe.resilience.common.keywords import UNCHANGED
from peak_observe.testing import ManualClock, RecordingObserver


def fail(error: BaseException) -> None:
    """Raise `error`."""
    raise error


def trip(breaker: CircuitBreaker, error: Exception | None = None) -> None:
    """Let a call through the breaker fail."""
    error = error or ConnectionError()
    with pytest.raises(type(error)), breaker:
        raise error


def take(breaker: CircuitBreaker, clock: ManualClock, seconds: float) -> None:
    """Let a call succeed that takes so long."""
    breaker.call(clock.advance)(seconds)


def made(name: str, **options: object) -> tuple[CircuitBreaker, ManualClock]:
    """Return a breaker on a clock of its own."""
    clock = ManualClock()
    return CircuitBreaker(name=f"options.{name}", clock=clock, **options), clock


# Windows.


def test_a_share_of_the_last_calls_opens() -> None:
    """Successes between do not forgive, as they do in a row."""
    breaker, _ = made("count", window=10, failure_ratio=0.3, minimum_calls=10)
    succeed = breaker.call(lambda: None)
    for number in range(9):
        trip(breaker) if number % 4 == 0 else succeed()
    assert breaker.state is CircuitState.CLOSED
    with RecordingObserver() as seen:
        trip(breaker)
    assert seen.of(Transition)[0].reason == "4 of 10 calls failed"


def test_successes_of_the_short_way_are_in_the_window() -> None:
    """They come in late and in heaps, yet before the failure after them."""
    breaker, _ = made("heap", window=1000, failure_ratio=0.1, minimum_calls=1)
    succeed = breaker.call(lambda: None)
    for _ in range(700):
        succeed()
    for _ in range(77):
        trip(breaker)
    assert breaker.snapshot()[8:12] == (777, 0, 77 / 777, 0.0)
    trip(breaker)
    assert breaker.state is CircuitState.OPEN


def test_a_share_of_the_last_seconds_opens() -> None:
    """What is older is forgotten without a timer."""
    breaker, clock = made("time", window_seconds=60, failure_ratio=0.5, minimum_calls=4)
    for _ in range(3):
        trip(breaker)
    clock.advance(61)
    trip(breaker)
    assert (breaker.state, breaker.snapshot().window_calls) == (CircuitState.CLOSED, 1)
    for _ in range(3):
        trip(breaker)
    assert breaker.state is CircuitState.OPEN


def test_slow_calls_open_though_they_succeed() -> None:
    """On the short way, too."""
    breaker, clock = made("slow", window=4, slow_call_seconds=2, slow_call_ratio=0.75, minimum_calls=4)
    for seconds in (0.1, 2.0, 3.0):
        take(breaker, clock, seconds)
    assert breaker.snapshot().slow_call_ratio == pytest.approx(2 / 3)
    with RecordingObserver() as seen:
        take(breaker, clock, 5.0)
    (event,) = seen.of(Transition)
    assert (event.reason, event.error, event.retry_after) == ("3 of 4 calls were slow", None, 60.0)


def test_a_slow_probe_reopens() -> None:
    """Being slow is what it opened for."""
    breaker, clock = made("slow_probe", window=4, slow_call_seconds=2, minimum_calls=1)
    take(breaker, clock, 3.0)
    clock.advance(60)
    take(breaker, clock, 3.0)
    assert breaker.state is CircuitState.OPEN
    clock.advance(60)
    take(breaker, clock, 0.5)
    assert breaker.state is CircuitState.CLOSED


def test_windows_are_metrics() -> None:
    """Breakers of one name add up; without a window there is none."""
    one, clock = made("metrics", window=4, slow_call_seconds=1)
    two = CircuitBreaker(name=one.name, window=10)
    trip(one)
    take(one, clock, 2.0)
    with two:
        pass
    reading = BREAKERS.get(one.name).read()
    assert (reading.window, reading.failure_threshold) == ((3, 1, 1), None)
    assert BREAKERS.get(made("metrics_none")[0].name).read().window is None


# Probes.


def begin_apart(breaker: CircuitBreaker) -> GuardedCall:
    """Begin a call as another thread or task would, and return it."""
    call = breaker._guarded_call()
    copy_context().run(call.__enter__)
    return call


def test_as_many_probes_as_allowed_and_so_many_to_close() -> None:
    """One more is refused."""
    breaker, clock = made("probes", failure_threshold=1, half_open_calls=2, success_threshold=3)
    trip(breaker)
    clock.advance(60)
    probes = [begin_apart(breaker), begin_apart(breaker)]
    assert breaker.snapshot().probes == 2
    with pytest.raises(CircuitOpenError, match="a probe is under way") as refusal, breaker:
        pass
    assert 0 < refusal.value.retry_after <= 1
    for probe in probes:
        probe.__exit__(None, None, None)
    assert breaker.state is CircuitState.HALF_OPEN
    with breaker:
        pass
    assert breaker.state is CircuitState.CLOSED


def test_a_hung_probe_does_not_wedge_the_circuit() -> None:
    """Its lease runs out; what it says after the circuit has moved on changes nothing."""
    breaker, clock = made("hung", failure_threshold=1, probe_timeout=30)
    trip(breaker)
    clock.advance(60)
    hung = begin_apart(breaker)
    clock.advance(29)
    with pytest.raises(CircuitOpenError), breaker:
        pass
    clock.advance(1)
    with breaker:
        pass
    assert breaker.state is CircuitState.CLOSED
    hung.__exit__(ConnectionError, ConnectionError(), None)
    assert breaker.state is CircuitState.CLOSED
    assert BREAKERS.get(breaker.name).read().calls == [1, 2, 0, 1]


# Open times.


def opens_for(breaker: CircuitBreaker, clock: ManualClock, error: Exception | None = None) -> float:
    """Let a call fail that opens the circuit, wait it out, and return how long that was."""
    with RecordingObserver() as seen:
        trip(breaker, error)
    clock.advance(seen.of(Transition)[-1].retry_after)
    assert breaker.state is CircuitState.HALF_OPEN
    return seen.of(Transition)[-1].retry_after


def test_a_sequence_of_open_times_is_gone_through() -> None:
    """The last repeats; closing begins anew."""
    breaker, clock = made("sequence", failure_threshold=1, recovery_timeout=[5, 10, 30])
    assert [opens_for(breaker, clock) for _ in range(5)] == [5, 10, 30, 30, 30]
    with breaker:
        pass
    assert opens_for(breaker, clock) == 5
    assert BREAKERS.get(breaker.name).read().recovery_timeout == 5


def test_a_function_of_how_often_it_reopened_is_asked() -> None:
    """Without the breaker's lock: it may look at the breaker."""
    seen = []

    def double(reopened: int) -> float:
        seen.append(get_breaker("options.function").state if reopened else None)
        return 2.0**reopened

    breaker, clock = made("function", failure_threshold=1, recovery_timeout=double)
    assert [opens_for(breaker, clock) for _ in range(4)] == [1, 2, 4, 8]
    assert set(seen) == {None, CircuitState.HALF_OPEN}


@pytest.mark.parametrize("answer", [math.nan, -1.0, None, "10", True])
def test_a_function_that_gives_no_time_is_told_of_and_replaced(answer: object, caplog) -> None:
    """The failure comes through unchanged, and the circuit opens for a minute."""
    breaker, clock = made("no_time", failure_threshold=1, recovery_timeout=lambda n: answer if n else 1.0)
    assert [opens_for(breaker, clock) for _ in range(2)] == [1.0, 60.0]
    (record,) = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert record.name == "peak_observe.breaker"
    assert "recovery_timeout of 'options.no_time': callback" in record.getMessage()


def test_a_function_that_raises_hides_nothing(caplog) -> None:
    """As one that gives nonsense; and times beyond reckoning are only very long."""
    breaker, clock = made("raises", failure_threshold=1, recovery_timeout=lambda n: (1.0, 1 / 0)[0] if n else 1.0)
    assert [opens_for(breaker, clock) for _ in range(2)] == [1.0, 60.0]
    assert "ZeroDivisionError" in caplog.text
    breaker, clock = made("huge", failure_threshold=1, recovery_timeout=lambda n: 10**400 if n else 1)
    assert opens_for(breaker, clock) == 1
    trip(breaker)
    assert breaker.snapshot().retry_after > 1e9


def test_jitter_spreads_open_times() -> None:
    """By the share that was asked for and no more."""
    breaker, clock = made("jitter", failure_threshold=1, recovery_timeout=100, jitter=0.2)
    times = {opens_for(breaker, clock) for _ in range(50)}
    assert len(times) > 40
    assert 80 <= min(times) < 95
    assert 105 < max(times) <= 120


class BusyError(Exception):
    """An error that says when to come back."""

    def __init__(self, retry_after: object) -> None:
        self.retry_after = retry_after


@pytest.mark.parametrize(
    ("hint", "seconds"),
    [(7, 7), (0.5, 0.5), (1e9, 86_400), (10**400, 86_400), (math.inf, 86_400)]
    + [(hint, 60) for hint in (math.nan, -5, 0, None, "7", True)],
)
def test_an_error_that_says_when_to_come_back_has_its_way(hint: object, seconds: float) -> None:
    """Within a day; what is no number of seconds is not heeded."""
    breaker, clock = made("hint", failure_threshold=1)
    assert opens_for(breaker, clock, BusyError(hint)) == seconds


def test_a_hint_that_cannot_be_read_is_none() -> None:
    """The error comes through, whatever its attributes do."""

    class BrokenError(Exception):
        @property
        def retry_after(self) -> float:
            raise RuntimeError

    breaker, clock = made("broken_hint", failure_threshold=1)
    assert opens_for(breaker, clock, BrokenError()) == 60


# What counts.


def test_what_is_ignored_neither_counts_nor_forgives() -> None:
    """By type or by a function, though it is expected."""
    for number, ignore in enumerate((KeyError, (KeyError, IndexError), lambda error: isinstance(error, KeyError))):
        breaker, _ = made(f"ignore.{number}", failure_threshold=2, ignore=ignore)
        trip(breaker)
        trip(breaker, KeyError())
        assert breaker.stats.failure_count == 1
        trip(breaker)
        assert breaker.state is CircuitState.OPEN


def test_a_function_that_judges_may_use_the_breaker() -> None:
    """It is asked before the lock is taken."""
    states = []

    def judge(_: Exception) -> bool:
        states.append(breaker.state)
        return True

    breaker, _ = made("judge", failure_threshold=1, expected_exception=judge)
    trip(breaker)
    assert states == [CircuitState.CLOSED]


def test_functions_that_judge_badly_are_told_of_once(caplog) -> None:
    """The user's error comes through; it counts, its result does not."""
    options = {"expected_exception": lambda _: 1 / 0, "ignore": lambda _: 1 / 0, "failure_result": lambda _: 1 / 0}
    breaker, _ = made("bad_judge", failure_threshold=5, **options)
    for _ in range(2):
        trip(breaker)
        assert breaker.stats.failure_count == 1
        assert breaker.call(lambda: "answer")() == "answer"
        assert breaker.stats.failure_count == 0
    errors = [record.getMessage() for record in caplog.records if record.levelno == logging.ERROR]
    assert sorted(message.split(" of 'options.bad_judge': ")[0] for message in errors) == sorted(options)


def test_a_reply_that_says_error_counts() -> None:
    """It comes through as it is, of functions and coroutine functions."""
    breaker, clock = made("result", failure_threshold=2, failure_result=lambda reply: reply["error"])

    async def later(reply: dict) -> dict:
        return reply

    bad, good = {"error": ["EService"]}, {"error": []}
    assert breaker.call(lambda: bad)() is bad
    assert breaker.call(lambda: good)() is good
    assert breaker.stats.failure_count == 0
    assert breaker.call(lambda: bad)() is bad
    assert asyncio.run(breaker.call(later)(bad)) is bad
    assert breaker.state is CircuitState.OPEN
    clock.advance(60)
    assert asyncio.run(breaker.call(lambda: later(bad))()) is bad
    assert breaker.state is CircuitState.OPEN, "the probe's reply was no better"
    clock.advance(60)
    assert asyncio.run(breaker.call(later)(good)) is good
    assert breaker.state is CircuitState.CLOSED
    assert BREAKERS.get(breaker.name).read().calls == [2, 4, 0, 0]


# In a person's hand.


def test_forced_open_refuses_all_until_it_is_reset() -> None:
    """The refusal says so."""
    breaker, clock = made("forced")
    with RecordingObserver() as seen:
        breaker.force_open()
    clock.advance(1e6)
    with pytest.raises(CircuitOpenError, match=r"CircuitBreaker 'options\.forced' is OPEN \(forced open\)") as refused:
        breaker.call(lambda: None)()
    assert refused.value.retry_after == 0.0
    breaker.reset()
    assert breaker.call(lambda: "answer")() == "answer"
    assert [(event.new, event.reason, event.retry_after) for event in seen.of(Transition)] == [
        ("forced_open", "by hand", 0.0)
    ]


def test_forced_open_for_a_time_ends_with_a_probe() -> None:
    """And says when."""
    breaker, clock = made("forced_for")
    with RecordingObserver() as seen:
        breaker.force_open(for_seconds=300)
    assert [(event.reason, event.retry_after) for event in seen.of(Transition)] == [("by hand, for 300 s", 300.0)]
    clock.advance(100)
    with pytest.raises(CircuitOpenError, match=r"forced open, next probe in 200\.0 s") as refused, breaker:
        pass
    assert refused.value.retry_after == 200
    clock.advance(200)
    assert breaker.state is CircuitState.HALF_OPEN
    trip(breaker)
    assert breaker.state is CircuitState.OPEN


def test_disabled_lets_all_through_and_measures() -> None:
    """Also what would have opened it; afterwards it is closed."""
    breaker, clock = made("disabled", failure_threshold=2)
    breaker.disable(for_seconds=600)
    for _ in range(5):
        trip(breaker)
    assert (breaker.state, breaker.stats.failure_count) == (CircuitState.DISABLED, 5)
    with breaker:
        pass
    clock.advance(600)
    assert breaker.state is CircuitState.CLOSED
    reading = BREAKERS.get(breaker.name).read()
    assert (reading.calls, reading.state_seconds[4]) == ([1, 5, 0, 0], 600.0)


def test_disabled_until_it_is_reset() -> None:
    """No failure and no trip opens it."""
    breaker, clock = made("disabled_for_ever", failure_threshold=1)
    breaker.disable()
    clock.advance(1e6)
    trip(breaker)
    breaker.trip("enough")
    assert breaker.state is CircuitState.DISABLED
    breaker.reset()
    trip(breaker)
    assert breaker.state is CircuitState.OPEN


@pytest.mark.parametrize("seconds", [0, -1, math.nan, math.inf, "10"])
def test_a_time_for_an_override_is_a_time(seconds: object) -> None:
    """One error that names the argument, and nothing is changed."""
    breaker, _ = made("override_nonsense")
    for change in (breaker.force_open, breaker.disable):
        with pytest.raises(ValueError, match="for_seconds must be"):
            change(for_seconds=seconds)
    with pytest.raises(ValueError, match="pause must be"):
        breaker.trip("enough", pause=-1)
    assert breaker.state is CircuitState.CLOSED


# Settings that change.


def test_settings_change_while_calls_are_under_way() -> None:
    """What the window holds stays, and so does the period: the call that was under way counts."""
    breaker, _ = made("configure", window=100, failure_ratio=1.0, minimum_calls=50)
    under_way = begin_apart(breaker)
    for _ in range(9):
        trip(breaker)
    breaker.configure(minimum_calls=10, failure_ratio=0.5)
    assert breaker.settings.failure_ratio == 0.5
    under_way.__exit__(ConnectionError, ConnectionError(), None)
    assert breaker.state is CircuitState.OPEN


def test_other_settings_are_followed_by_functions_protected_before() -> None:
    """The short way learns of them."""
    breaker, clock = made("configure_protected")
    slowly = breaker.call(clock.advance)
    slowly(10)
    breaker.configure(window=5, slow_call_seconds=2, minimum_calls=1)
    slowly(10)
    assert breaker.state is CircuitState.OPEN
    breaker.reset()
    breaker.configure(slow_call_seconds=None, failure_result=lambda _: True)
    slowly(0)
    assert breaker.state is CircuitState.OPEN


def test_a_breaker_may_get_a_window_and_lose_it() -> None:
    """Each begins empty where there was none."""
    breaker, _ = made("kinds", failure_threshold=3)
    trip(breaker)
    breaker.configure(window=10)
    assert breaker.snapshot().window_calls == 0
    trip(breaker)
    breaker.configure(window=None, failure_threshold=1)
    assert breaker.stats.failure_count == 0
    trip(breaker)
    assert breaker.state is CircuitState.OPEN
    assert BREAKERS.get(breaker.name).read().failure_threshold == 1


def test_nonsense_changes_nothing() -> None:
    """Also where only one of several values makes no sense."""
    breaker, _ = made("configure_nonsense", failure_threshold=2)
    before = breaker.settings
    with pytest.raises(ValueError, match="half_open_calls must be"):
        breaker.configure(success_threshold=2, half_open_calls=0)
    with pytest.raises(TypeError, match="argument 'colour'; there are failure_threshold, recovery_timeout"):
        breaker.configure(colour="red")
    assert breaker.settings is before


@pytest.mark.parametrize("takes", [CircuitBreaker, circuit_breaker, CircuitBreaker.configure])
def test_every_setting_is_a_keyword_with_its_type(takes: Callable) -> None:
    """Of the class, the decorator and `configure`, with the defaults of the settings."""
    parameters, defaults = inspect.signature(takes).parameters, Settings._field_defaults
    for name in Settings._fields:
        assert parameters[name].default == (UNCHANGED if takes is CircuitBreaker.configure else defaults[name])
    assert all(parameter.kind is not parameter.VAR_KEYWORD for parameter in parameters.values())


# Fallback.


def test_a_fallback_stands_in_for_what_failed_or_was_refused() -> None:
    """A value, or a function of the error."""
    value, _ = made("fallback_value", failure_threshold=1, fallback=None)
    assert [value.call(fail)(ConnectionError()) for _ in range(2)] == [None, None]
    function, _ = made("fallback_function", failure_threshold=1, fallback=lambda error: type(error).__name__)
    protected = function.call(fail)
    assert [protected(ConnectionError()) for _ in range(2)] == ["ConnectionError", "CircuitOpenError"]
    assert BREAKERS.get(function.name).read().calls == [0, 1, 0, 1]


def test_a_fallback_does_not_hide_what_is_no_failure() -> None:
    """Nor may it be kept from raising."""
    breaker, _ = made("fallback_ignored", expected_exception=ConnectionError, fallback="instead")
    with pytest.raises(KeyError):
        breaker.call(fail)(KeyError())
    with pytest.raises(KeyboardInterrupt):
        breaker.call(fail)(KeyboardInterrupt())
    only_refusals, _ = made("fallback_raises", fallback=fail)
    error = ConnectionError()
    with pytest.raises(ConnectionError) as raised:
        only_refusals.call(fail)(error)
    assert raised.value is error


def test_a_fallback_stands_in_for_coroutines() -> None:
    """Of coroutine functions and of functions that return coroutines; it may be a coroutine function itself."""

    async def boom() -> None:
        raise ConnectionError

    async def instead(error: Exception) -> str:
        return f"instead of {type(error).__name__}"

    breaker, _ = made("fallback_async", failure_threshold=1, fallback=instead)
    for protected in (breaker.call(boom), breaker.call(lambda: (boom(), None)[0])):
        assert asyncio.run(protected()) == "instead of ConnectionError"
        assert asyncio.run(protected()) == "instead of CircuitOpenError"
        breaker.reset()
    value = circuit_breaker(1, name="options.fallback_async_value", fallback=7)(boom)
    assert [asyncio.run(value()) for _ in range(2)] == [7, 7]


def test_a_generator_takes_no_fallback() -> None:
    """Half of it may be used when it fails, so the decorator says no."""

    def items() -> Iterator[int]:
        yield 1

    async def async_items() -> AsyncIterator[int]:
        yield 1

    breaker, _ = made("fallback_generator", fallback=[])
    for func in (items, async_items):
        with pytest.raises(TypeError, match=r"a fallback cannot stand in for the (async )?generator"):
            breaker.call(func)


# Listeners and snapshots.


def test_a_listener_is_told_of_its_breaker_alone() -> None:
    """After the lock is released, until it ends."""
    breaker, _ = made("listener", failure_threshold=1)
    other, _ = made("listener_other", failure_threshold=1)
    told = []
    end = breaker.observe(lambda event: told.append((event.name, event.new, breaker.state.value)))
    trip(other)
    trip(breaker)
    assert told == [("options.listener", "open", "open")]
    end()
    breaker.reset()
    assert len(told) == 1


def test_a_listener_that_raises_is_logged_once_and_not_called_again(caplog) -> None:
    """The trading program and the other listeners notice nothing."""
    breaker, _ = made("listener_raises", failure_threshold=1)
    told = []
    breaker.observe(lambda _: 1 / 0)
    breaker.observe(told.append)
    trip(breaker)
    breaker.reset()
    assert [event.new for event in told] == ["open", "closed"]
    assert caplog.text.count("will not be called again") == 1
    with pytest.raises(TypeError, match="takes a callable"):
        breaker.observe(7)


def test_a_listener_that_holds_its_breaker_keeps_it_no_longer_than_others_do() -> None:
    """The registry of names does not hold listeners."""
    import gc

    breaker, _ = made("listener_cycle")
    breaker.observe(breaker.__exit__)
    del breaker
    gc.collect()
    with pytest.raises(KeyError):
        get_breaker("options.listener_cycle")


def test_a_snapshot_tells_all_of_one_moment() -> None:
    """And does not change any more."""
    breaker, clock = made("snapshot", window=4, failure_ratio=0.5, slow_call_seconds=2, minimum_calls=2)
    take(breaker, clock, 3.0)
    clock.advance(1)
    trip(breaker)
    opened = clock.now()
    clock.advance(20)
    with pytest.raises(CircuitOpenError), breaker:
        pass
    snapshot = breaker.snapshot()
    assert snapshot._asdict() == {
        "name": "options.snapshot",
        "at": clock.now(),
        "state": CircuitState.OPEN,
        "since": opened,
        "retry_after": 40.0,
        "reopened": 0,
        "probes": 0,
        "failures": 1,
        "window_calls": 2,
        "slow_calls": 1,
        "failure_ratio": 0.5,
        "slow_call_ratio": 0.5,
        "succeeded": 1,
        "failed": 1,
        "ignored": 0,
        "rejected": 1,
        "seconds": (4.0, 20.0, 0.0, 0.0, 0.0),
        "entered": (0, 1, 0, 0, 0),
        "mode": "enforce",
        "would_be": None,
        "would_refuse": 0,
    }
    clock.advance(40)
    assert breaker.snapshot().state is CircuitState.HALF_OPEN
    assert snapshot.state is CircuitState.OPEN
    with pytest.raises(AttributeError):
        snapshot.state = CircuitState.CLOSED


# Nonsense.

NONSENSE = [
    ({"recovery_timeout": []}, "recovery_timeout must not be an empty sequence"),
    ({"recovery_timeout": [5, -1]}, "each recovery_timeout must be a finite number of seconds"),
    ({"recovery_timeout": lambda: 1}, "recovery_timeout must be a function of how often it reopened"),
    ({"recovery_timeout": lambda _: "soon"}, "recovery_timeout must be a finite number of seconds"),
    ({"recovery_timeout": 10**400}, "recovery_timeout must be a finite number of seconds"),
    ({"expected_exception": 7}, "expected_exception must be an exception type, a function of the exception, or a"),
    ({"expected_exception": int}, "expected_exception"),
    ({"ignore": "KeyError"}, "ignore must be an exception type, a function of the exception, or a"),
    ({"failure_result": 7}, "failure_result must be a function of the result, not 7"),
    ({"window": 0}, "window must be a whole number of at least 1"),
    ({"window": 10**7}, "window must be at most 1000000 calls"),
    ({"window": True}, "window"),
    ({"window_seconds": 0}, "window_seconds must be more than 0 seconds"),
    ({"window_seconds": 1e-9}, r"window_seconds must be at least 0\.01 seconds"),
    ({"window_seconds": math.nan}, "window_seconds"),
    ({"window": 10, "window_seconds": 10}, "window counts calls and window_seconds time: give one of them"),
    ({"window": 10, "failure_threshold": 3}, "failure_threshold counts failures in a row and means nothing beside"),
    ({"failure_ratio": 0.5}, "failure_ratio needs a window: give window or window_seconds as well"),
    ({"minimum_calls": 5}, "minimum_calls needs a window"),
    ({"slow_call_seconds": 5}, "slow_call_seconds needs a window"),
    ({"window": 10, "failure_ratio": 0}, "failure_ratio must be more than 0"),
    ({"window": 10, "failure_ratio": 50}, "failure_ratio must be a number from 0 to 1, not 50"),
    ({"window": 10, "minimum_calls": 11}, "minimum_calls must be at most the window, 10"),
    ({"window": 10, "minimum_calls": 0}, "minimum_calls must be a whole number"),
    ({"window": 10, "slow_call_seconds": 0}, "slow_call_seconds must be more than 0 seconds"),
    ({"window": 10, "slow_call_ratio": 0.5}, "slow_call_ratio needs slow_call_seconds"),
    ({"window": 10, "slow_call_seconds": 1, "slow_call_ratio": 0}, "slow_call_ratio must be more than 0"),
    ({"half_open_calls": 0}, "half_open_calls must be a whole number of at least 1"),
    ({"success_threshold": 1.5}, "success_threshold must be a whole number"),
    ({"probe_timeout": 0}, "probe_timeout must be more than 0 seconds"),
    ({"probe_timeout": math.inf}, "probe_timeout must be a finite number"),
    ({"jitter": 1.1}, "jitter must be a number from 0 to 1"),
]


@pytest.mark.parametrize(("options", "message"), NONSENSE, ids=["-".join(case[0]) for case in NONSENSE])
@pytest.mark.parametrize("make", [CircuitBreaker, circuit_breaker], ids=["class", "decorator"])
def test_nonsense_is_one_error_that_names_the_argument(make: Callable, options: dict, message: str) -> None:
    """For the class and the decorator, which says so before it sees a function."""
    with pytest.raises(ValueError, match=f"^{message}"):
        make(**options)


def test_an_unknown_option_is_an_error_that_lists_what_there_is() -> None:
    """As Python does for names it knows."""
    for make in (CircuitBreaker, circuit_breaker):
        with pytest.raises(TypeError, match="argument 'colour'; there are failure_threshold"):
            make(colour=5)
