"""Which delay a retry chooses: the contract's, the user's, what was asked for, and what chance makes of them."""

import itertools
import math
from collections.abc import Callable, Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from peak_observe import RetryScheduled, retry_with_backoff
from peak_observe.measures import RETRIES
from peak_observe.resilience.retry.backoff import BackoffSchedule
from peak_observe.testing import ManualClock, RecordingObserver

NAMES = (f"delays.{number}" for number in itertools.count())


class BusyError(Exception):
    """A service that says when to come back."""

    def __init__(self, retry_after: object) -> None:
        super().__init__("busy")
        self.retry_after = retry_after


def waits(attempts: int, error: Exception | None = None, **options: object) -> list[float]:
    """Return the delays of an operation that always fails."""
    clock = ManualClock()

    @retry_with_backoff(attempts, clock=clock, name=next(NAMES), **options)
    def fail() -> None:
        raise error or ConnectionError

    with pytest.raises(type(error) if error else ConnectionError):
        fail()
    return clock.sleeps


def test_a_sequence_is_followed_and_its_last_delay_repeats() -> None:
    """Beyond `max_delay` too, as the user wrote it himself."""
    assert waits(6, delays=[0.5, 0.1, 90]) == [0.5, 0.1, 90, 90, 90]


def test_an_iterator_is_not_used_up_by_the_first_operation() -> None:
    """Nor shared by operations that run at the same time."""
    clock = ManualClock()

    @retry_with_backoff(3, delays=iter([1, 2]), clock=clock, name="delays.iterator")
    def fail() -> None:
        raise ConnectionError

    for _ in range(2):
        with pytest.raises(ConnectionError):
            fail()
    assert clock.sleeps == [1, 2, 1, 2]


@pytest.mark.parametrize("attempts", [1, 4, 10**9])
def test_an_endless_iterator_is_taken_in_part(attempts: int) -> None:
    """A billion attempts cost no memory."""
    taken = []

    def forever() -> Iterator[float]:
        for number in itertools.count():
            taken.append(number)
            yield number

    retry_with_backoff(attempts, delays=forever(), name="delays.endless")
    assert len(taken) == max(1, min(attempts - 1, 1000))


def test_a_function_of_attempt_and_exception_chooses() -> None:
    """With the number of the attempt that failed."""
    seen = []

    def choose(attempt: int, error: Exception | None) -> float:
        seen.append((attempt, str(error)))
        return attempt / 2

    assert waits(3, ConnectionError("lost"), delays=choose) == [0.5, 1.0]
    assert seen == [(1, "lost"), (2, "lost")]


@pytest.mark.parametrize(
    "nonsense", [float("nan"), float("inf"), -1.0, "1", True, 10**400], ids=lambda value: str(value)[:5]
)
def test_a_function_that_answers_nonsense_is_passed_over(nonsense: object, caplog: pytest.LogCaptureFixture) -> None:
    """The delays of the contract hold then, and the log tells once."""
    assert waits(3, delays=lambda *_: nonsense) == [1.0, 2.0]
    assert sum(record.levelname == "ERROR" for record in caplog.records) == 1


def test_a_function_that_overflows_is_passed_over(caplog: pytest.LogCaptureFixture) -> None:
    """As `2.0 ** 1024` does; the exception of the operation is the one that matters."""
    assert waits(3, delays=lambda attempt, _: 2.0 ** (1023 + attempt)) == [1.0, 2.0]
    assert "OverflowError" in caplog.text


def test_more_than_a_thousand_attempts_overflow_nothing() -> None:
    """With each kind of jitter."""
    for jitter in (None, "full", "equal", "decorrelated", 0.2):
        assert all(0 <= delay <= 60 for delay in waits(1100, jitter=jitter))


JITTERS = [("full", 0.0), ("equal", 0.5), (0.25, 0.75), (1, 0.0), (0, 1.0)]


@pytest.mark.parametrize(("jitter", "least"), JITTERS)
def test_jitter_leaves_its_share_to_chance(jitter: object, least: float) -> None:
    """Between the whole delay and the rest of it."""
    for delay, whole in zip(waits(9, jitter=jitter), [1, 2, 4, 8, 16, 32, 60, 60], strict=True):
        assert whole * least <= delay <= whole


def test_jitter_differs_from_time_to_time() -> None:
    """Two hundred delays of the same length would be no chance."""
    assert len(set(waits(200, jitter="full", exponential=False))) > 150


def test_decorrelated_jitter_follows_each_operations_own_delay() -> None:
    """It is at most three times the one before."""
    delays = waits(50, jitter="decorrelated", max_delay=1000.0)
    assert all(1.0 <= later <= min(1000.0, 3 * delay) for delay, later in itertools.pairwise([1.0, *delays]))
    assert max(delays) > 20


def test_who_asks_for_more_time_gets_it() -> None:
    """And who asks for less does not shorten the delay."""
    assert waits(4, BusyError(3)) == [3, 3, 4]


def test_who_asks_for_more_than_the_cap_is_left_alone() -> None:
    """A shorter wait than was asked for would be worse than none."""
    clock, name = ManualClock(), next(NAMES)

    @retry_with_backoff(5, max_delay=10, clock=clock, name=name)
    def fail() -> None:
        raise BusyError(10.5)

    with pytest.raises(BusyError):
        fail()
    assert clock.sleeps == []
    assert RETRIES.get(name).read().calls == [0, 0, 0, 0, 1, 0]


def test_jitter_never_shortens_what_was_asked_for() -> None:
    """It comes on top, or all who were told the same moment would come back at once."""
    delays = waits(300, BusyError(5), jitter="full", exponential=False)
    assert all(5 <= delay <= 6 for delay in delays)
    assert len(set(delays)) > 200


def test_hints_can_be_ignored() -> None:
    """For services whose word is worth nothing."""
    assert waits(3, BusyError(30), retry_after=False) == [1, 2]


@pytest.mark.parametrize(("answer", "delay"), [(7, 7.0), (None, 1.0), (float("nan"), 1.0), (-3, 1.0)])
def test_a_function_may_find_the_hint(answer: object, delay: float) -> None:
    """Where it is kept in a place of its own; what makes no sense is no hint."""
    assert waits(2, BusyError(30), retry_after=lambda _: answer) == [delay]


def test_a_finder_that_raises_finds_nothing(caplog: pytest.LogCaptureFixture) -> None:
    """The operation goes on."""

    def finder(error: BusyError) -> float:
        return error.reply.seconds

    assert waits(2, BusyError(30), retry_after=finder) == [1.0]
    assert "retry_after" in caplog.text


def test_a_date_is_held_against_the_wall_clock() -> None:
    """Which may be set while the operation waits; the delay itself is monotonic."""
    clock = ManualClock()
    calls = []

    @retry_with_backoff(3, clock=clock, name="delays.date", on_retry=lambda _: clock.jump(-3600))
    def fail() -> None:
        calls.append(clock.monotonic())
        raise BusyError("Thu, 01 Jan 2026 00:00:05 GMT")

    with RecordingObserver() as seen, pytest.raises(BusyError):
        fail()
    # After the jump of an hour the date seems an hour away, which is more than the cap.
    assert [event.delay for event in seen.of(RetryScheduled)] == [5.0]
    assert calls == [0.0, 5.0]


NONSENSE = [
    ({"delays": []}, "delays must be"),
    ({"delays": 5}, "delays must be"),
    ({"delays": "12"}, "delays must be"),
    ({"delays": [1, -1]}, "delays must be"),
    ({"delays": [float("nan")]}, "delays must be"),
    ({"jitter": "half"}, "jitter must be 'full', 'equal', 'decorrelated' or a number from 0 to 1, not 'half'"),
    ({"jitter": 1.5}, "jitter must be"),
    ({"jitter": float("nan")}, "jitter must be"),
    ({"jitter": True}, "jitter must be"),
    ({"jitter": "decorrelated", "delays": [1]}, "jitter 'decorrelated' makes delays"),
    ({"jitter": "decorrelated", "exponential": False}, "jitter 'decorrelated' makes delays"),
    ({"retry_after": 30}, "retry_after must be"),
    ({"retry_after": None}, "retry_after must be"),
]


@pytest.mark.parametrize(("options", "message"), NONSENSE, ids=[str(case[0]) for case in NONSENSE])
def test_nonsense_is_one_error_that_names_the_argument(options: dict[str, object], message: str) -> None:
    """Where the decorator is written."""
    with pytest.raises(ValueError, match="^" + message):
        retry_with_backoff(**options)


SECONDS = st.floats(0, 1e9)


@given(
    base=SECONDS,
    cap=SECONDS,
    exponential=st.booleans(),
    jitter=st.sampled_from([None, "full", "equal"]) | st.floats(0, 1),
    asked=st.none() | st.floats() | st.text(max_size=5) | st.integers(),
    attempts=st.lists(st.integers(1, 10**9), min_size=1, max_size=20),
    jumps=st.lists(st.floats(-1e9, 1e9), min_size=20, max_size=20),
)
def test_every_delay_is_within_its_bounds(
    base: float,
    cap: float,
    exponential: bool,
    jitter: object,
    asked: object,
    attempts: list[int],
    jumps: list[float],
) -> None:
    """A simple model over long runs while the wall clock jumps: finite, not negative, never shorter than asked for."""
    clock, error = ManualClock(), BusyError(asked)
    schedule = _schedule(base=base, cap=cap, exponential=exponential, jitter=jitter)
    wish = _wish(asked)
    for attempt, jump in zip(attempts, jumps, strict=False):
        clock.jump(jump)
        delay = schedule(attempt, error, previous=0.0, clock=clock)
        whole = min(base * 2 ** min(attempt - 1, 1000), cap) if exponential else base
        if wish is not None and wish > cap:
            assert delay is None
        else:
            assert math.isfinite(delay)
            assert (wish or 0) <= delay <= (wish or 0) + whole
            assert jitter is not None or delay == max(wish or 0, whole)


def _schedule(**settings: object) -> Callable[..., float | None]:
    return BackoffSchedule(own=None, multiplier=2.0, retry_after=True, limit=10, **settings).delay_after


def _wish(asked: object) -> float | None:
    try:
        seconds = float(asked)
    except (TypeError, ValueError, OverflowError):
        return None
    return seconds if 0 <= seconds < math.inf else None
