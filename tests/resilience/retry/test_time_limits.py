"""The time of a retry: its deadline, the caller's, that of each attempt, and who is interrupted while waiting."""

import asyncio
import contextlib
import gc
import weakref
from collections.abc import AsyncIterator, Iterator

import pytest

from peak_observe import GaveUp, deadline, retry_with_backoff
from peak_observe.measures import RETRIES, RetryReading
from peak_observe.resilience.common.deadlines import remaining
from peak_observe.testing import ManualClock, RecordingObserver, no_delays


def reading(name: str) -> RetryReading:
    """Return what Prometheus would be told of a name."""
    return RETRIES.get(name).read()


class Failing:
    """Takes its time, notes when it began, and fails."""

    def __init__(self, clock: ManualClock, seconds: float = 0.0) -> None:
        self.clock = clock
        self.seconds = seconds
        self.begun: list[float] = []
        self.left: list[float | None] = []

    def __call__(self) -> None:
        """Fail."""
        self.begun.append(self.clock.monotonic())
        self.left.append(remaining())
        self.clock.advance(self.seconds)
        raise ConnectionError(len(self.begun))


def test_it_gives_up_at_once_when_the_next_delay_would_cross_the_deadline() -> None:
    """Instead of cutting the delay: nobody would wait for that attempt any more."""
    clock = ManualClock()
    failing = Failing(clock, 0.5)
    with RecordingObserver() as seen, pytest.raises(ConnectionError) as caught:
        retry_with_backoff(10, timeout=6, clock=clock, name="time.deadline")(failing)()
    assert failing.begun == [0, 1.5, 4]
    assert clock.monotonic() == 4.5
    assert caught.value.args == (3,)
    assert caught.value.__cause__ is caught.value.__context__ is None
    assert reading("time.deadline").calls == [0, 0, 0, 0, 1, 0]
    assert seen.of(GaveUp)[0].outcome == "out_of_time"


def test_a_delay_that_ends_at_the_deadline_crosses_it() -> None:
    """An attempt with no time left is none."""
    clock = ManualClock()
    with pytest.raises(ConnectionError):
        retry_with_backoff(timeout=1, clock=clock, name="time.edge")(Failing(clock))()
    assert clock.sleeps == []


def test_the_deadline_of_the_caller_counts_too() -> None:
    """Whichever is earlier."""
    for outer, own, begun in ((4, 10, [0, 1, 3]), (10, 4, [0, 1, 3]), (2, None, [0, 1])):
        clock = ManualClock()
        failing = Failing(clock)
        with deadline(outer, clock=clock), pytest.raises(ConnectionError):
            retry_with_backoff(10, timeout=own, clock=clock, name="time.caller")(failing)()
        assert failing.begun == begun
    assert reading("time.caller").calls == [0, 0, 0, 0, 3, 0]


def test_what_is_below_sees_the_deadline() -> None:
    """In each attempt, and not between or after them."""
    clock = ManualClock()
    failing = Failing(clock)
    with pytest.raises(ConnectionError):
        retry_with_backoff(
            3, timeout=60, clock=clock, name="time.below", on_retry=lambda _: failing.left.append(remaining())
        )(failing)()
    assert failing.left == [60, None, 59, None, 57]
    assert remaining() is None


def test_a_sleep_that_lasts_too_long_is_the_end() -> None:
    """As when the machine was suspended: the last error comes through, and no attempt begins beyond the deadline."""

    class Suspended(ManualClock):
        def sleep(self, seconds: float) -> None:
            super().sleep(seconds)
            self.advance(3600)

    clock = Suspended()
    failing = Failing(clock)
    with pytest.raises(ConnectionError) as caught:
        retry_with_backoff(timeout=60, clock=clock, name="time.suspended")(failing)()
    assert failing.begun == [0]
    assert caught.value.__context__ is None
    assert reading("time.suspended").calls == [0, 0, 0, 0, 1, 0]


def test_a_result_that_was_not_accepted_is_returned_when_the_sleep_lasts_too_long() -> None:
    """As there is no error to raise."""

    class Suspended(ManualClock):
        def sleep(self, seconds: float) -> None:
            self.advance(3600)

    protect = retry_with_backoff(
        timeout=60, clock=Suspended(), name="time.result", retry_result=lambda reply: not reply
    )
    assert protect(lambda: "")() == ""
    assert reading("time.result").calls == [0, 0, 0, 0, 1, 0]


def test_a_clock_that_goes_back_takes_no_time_away() -> None:
    """It should not; where one does, nothing counts below zero."""

    class Crooked(ManualClock):
        def sleep(self, seconds: float) -> None:
            self._elapsed -= 100

    clock = Crooked()
    with RecordingObserver() as seen, pytest.raises(ConnectionError):
        retry_with_backoff(3, timeout=60, clock=clock, name="time.back")(Failing(clock))()
    assert reading("time.back").backoff_seconds == 0
    assert seen.of(GaveUp)[0].elapsed == 0


@pytest.mark.parametrize("retry", [{"timeout": 60}, {}])
def test_generators_have_a_deadline_until_their_first_item(retry: dict[str, float]) -> None:
    """After that the time is their user's."""
    clock, seen = ManualClock(), []

    @retry_with_backoff(clock=clock, name="time.generator", **retry)
    def items() -> Iterator[int]:
        seen.append(remaining())
        if len(seen) < 2:
            raise ConnectionError
        yield 1
        seen.append(remaining())

    assert list(items()) == [1]
    assert seen == [retry.get("timeout"), 59 if retry else None, None]


def test_an_attempt_that_takes_too_long_is_cancelled_and_retried() -> None:
    """Whatever is expected; what it held is let go by its `finally`."""
    begun, cleaned = [], []

    @retry_with_backoff(3, 0, attempt_timeout=0.02, expected_exception=KeyError, name="time.cut")
    async def fetch() -> str:
        begun.append(1)
        try:
            if len(begun) < 3:
                await asyncio.Event().wait()
        finally:
            cleaned.append(1)
        return "in time"

    assert asyncio.run(fetch()) == "in time"
    assert len(cleaned) == 3
    assert reading("time.cut").errors == {"TimeoutError": 2}


def test_the_last_attempt_that_takes_too_long_is_a_timeout_error() -> None:
    """Of asyncio's own making."""

    @retry_with_backoff(2, 0, attempt_timeout=0.01, name="time.cut_last")
    async def hang() -> None:
        await asyncio.Event().wait()

    with pytest.raises(TimeoutError):
        asyncio.run(hang())
    assert reading("time.cut_last").calls == [0, 0, 1, 0, 0, 0]


def test_a_timeout_error_of_the_functions_own_is_judged_by_its_type() -> None:
    """Only what was cut off here is retried in any case."""

    @retry_with_backoff(3, 0, attempt_timeout=60, expected_exception=KeyError, name="time.own")
    async def fail() -> None:
        raise TimeoutError

    with pytest.raises(TimeoutError):
        asyncio.run(fail())
    assert reading("time.own").calls == [0, 0, 0, 1, 0, 0]


def test_an_attempt_is_cut_to_the_deadline() -> None:
    """And there is none after it."""

    @retry_with_backoff(5, 0, timeout=0.05, attempt_timeout=60, name="time.cut_to_deadline")
    async def hang() -> None:
        assert remaining() <= 0.05
        await asyncio.Event().wait()

    with pytest.raises(TimeoutError):
        asyncio.run(hang())
    assert reading("time.cut_to_deadline").calls == [0, 0, 0, 0, 1, 0]


def test_cancelling_the_task_is_no_timeout() -> None:
    """An order to stop goes through, and the task knows that it was cancelled."""

    @retry_with_backoff(5, 0, attempt_timeout=60, name="time.task_cancelled")
    async def hang() -> None:
        await asyncio.Event().wait()

    async def cancel() -> bool:
        task = asyncio.create_task(hang())
        await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return task.cancelled()

    assert asyncio.run(cancel())
    assert reading("time.task_cancelled").calls == [0, 0, 0, 1, 0, 0]


def test_the_first_item_of_an_async_generator_is_cut_off_too() -> None:
    """Later ones take the time they take."""
    begun = []

    @retry_with_backoff(2, 0, attempt_timeout=0.02, name="time.async_generator")
    async def items() -> AsyncIterator[int]:
        begun.append(1)
        if len(begun) < 2:
            await asyncio.Event().wait()
        yield 1
        await asyncio.sleep(0.05)
        yield 2

    async def collect() -> list[int]:
        return [item async for item in items()]

    assert asyncio.run(collect()) == [1, 2]


def plain() -> None:
    """Be a function."""


def generator() -> Iterator[int]:
    """Be a generator."""
    yield 1


@pytest.mark.parametrize("func", [plain, generator, lambda: asyncio.sleep(0)])
def test_what_cannot_be_interrupted_is_refused(func: object) -> None:
    """Where it is decorated, with the mend."""
    with pytest.raises(ValueError, match="attempt_timeout can interrupt coroutines only, not the plain"):
        retry_with_backoff(attempt_timeout=1, name="time.refused")(func)


@pytest.mark.parametrize("argument", ["timeout", "attempt_timeout"])
@pytest.mark.parametrize("value", [0, -1, float("inf"), float("nan"), "5", True])
def test_nonsense_is_refused(argument: str, value: object) -> None:
    """With one error that names the argument."""
    with pytest.raises(ValueError, match=f"^{argument} must be"):
        retry_with_backoff(**{argument: value})


def test_without_delays_nothing_else_changes() -> None:
    """Delays are told and held against the deadline, and nobody sleeps."""
    clock = ManualClock()
    failing = Failing(clock)
    with no_delays(), no_delays(), pytest.raises(ConnectionError):
        retry_with_backoff(10, timeout=10, clock=clock, name="time.hasty")(failing)()
    assert clock.sleeps == []
    assert len(failing.begun) == 5, "a delay of 8 s fits, one of 16 s would not"


class HeldError(Exception):
    """Can be watched by a weak reference."""

    def __init__(self, seen: list[weakref.ref]) -> None:
        super().__init__()
        seen.append(weakref.ref(self))


@pytest.mark.parametrize("late", [False, True])
@pytest.mark.parametrize("options", [{}, {"timeout": 60}])
def test_no_error_holds_itself(late: bool, options: dict[str, float]) -> None:
    """Its frames go when its user lets it go, without the garbage collector."""

    class Sleepy(ManualClock):
        def sleep(self, seconds: float) -> None:
            self.advance(seconds + (3600 if late else 0))

    seen = []

    def fail() -> None:
        raise HeldError(seen)

    protected = retry_with_backoff(2, clock=Sleepy(), name="time.held", **options)(fail)
    gc.disable()
    try:
        with contextlib.suppress(HeldError):
            protected()
        assert [reference() for reference in seen] == [None] * len(seen)
    finally:
        gc.enable()
