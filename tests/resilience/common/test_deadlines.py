"""A deadline is one moment, seen by all that happens below it."""

import asyncio
import threading

import pytest

from peak_observe import DeadlineExceededError, deadline
from peak_observe.resilience.common.deadlines import remaining
from peak_observe.testing import ManualClock


@pytest.fixture
def clock() -> ManualClock:
    """Return a clock that stands still."""
    return ManualClock()


def test_without_one_nothing_is_limited() -> None:
    """There is no number of seconds that would be true."""
    assert remaining() is None


def test_the_time_left_shrinks_and_never_goes_below_zero(clock: ManualClock) -> None:
    """It is absolute: waiting does not move it."""
    with deadline(5, clock=clock):
        assert remaining() == 5
        clock.advance(2)
        assert remaining() == 3
        clock.advance(10)
        assert remaining() == 0.0
    assert remaining() is None


@pytest.mark.parametrize(("outer", "inner", "left"), [(5, 10, 5), (10, 5, 5)])
def test_of_two_the_earlier_holds(clock: ManualClock, outer: float, inner: float, left: float) -> None:
    """A callee cannot give itself more time than its caller has."""
    with deadline(outer, clock=clock), deadline(inner, clock=clock):
        assert remaining() == left


def test_the_wall_clock_does_not_matter(clock: ManualClock) -> None:
    """NTP may set it back while a call runs."""
    with deadline(5, clock=clock):
        clock.jump(-3600)
        assert remaining() == 5


def test_tasks_inherit_it_and_threads_do_not(clock: ManualClock) -> None:
    """As context variables do."""
    seen: list[float | None] = []

    async def look() -> None:
        seen.append(remaining())

    async def main() -> None:
        with deadline(5, clock=clock):
            await asyncio.create_task(look())

    asyncio.run(main())
    with deadline(5, clock=clock):
        thread = threading.Thread(target=lambda: seen.append(remaining()))
        thread.start()
        thread.join()
    assert seen == [5, None]


@pytest.mark.parametrize("seconds", [0, -1, float("nan"), float("inf"), "5", True, None])
def test_nonsense_is_refused_before_the_block(seconds: object) -> None:
    """With one error that names the argument."""
    with pytest.raises(ValueError, match="seconds must be"):
        deadline(seconds)


def test_the_error_says_who_waited_and_for_how_long() -> None:
    """It is a TimeoutError too, so code that handles those handles it."""
    error = DeadlineExceededError("kraken", 2.5)
    assert isinstance(error, TimeoutError)
    assert (error.name, error.needed) == ("kraken", 2.5)
    assert str(error) == "kraken would have to wait 2.5 s, which is beyond the deadline"
