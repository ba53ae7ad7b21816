"""One deadline for all calls of a client."""

import asyncio

import pytest

from peak_observe import HeldBackError
from peak_observe.exchange_client.backpressure import Backpressure
from peak_observe.exchange_client.throttle import Throttle
from peak_observe.testing import ManualClock


@pytest.fixture
def clock() -> ManualClock:
    """Time by hand."""
    return ManualClock()


def test_nothing_is_waited_for_without_a_deadline(clock) -> None:
    """As a rule."""
    Backpressure("k", 10, clock).wait()
    asyncio.run(Backpressure("k", 10, clock).async_wait())
    assert clock.sleeps == []


def test_each_call_waits_a_little_differently(clock) -> None:
    """Not before the deadline, and not all at once."""
    found = set()
    for _ in range(20):
        hold = Backpressure("k", 10, clock)
        hold.set(clock.now().timestamp() + 5, "limit")
        hold.wait()
        found.add(clock.sleeps[-1])
    assert all(5 <= seconds <= 5.5 for seconds in found)
    assert len(found) > 10


def test_a_deadline_only_moves_on(clock) -> None:
    """An answer that comes late says nothing new."""
    hold = Backpressure("k", 100, clock)
    hold.set(clock.now().timestamp() + 50, "ban")
    hold.set(clock.now().timestamp() + 5, "limit")
    assert hold.remaining == pytest.approx(50)


def test_a_deadline_that_moves_on_while_a_call_waits_is_kept(clock) -> None:
    """Another thread met the limit meanwhile."""
    hold = Backpressure("k", 10, clock)
    hold.set(clock.now().timestamp() + 5, "limit")
    sleep = clock.sleep

    def sleeping(seconds: float) -> None:
        sleep(seconds)
        if len(clock.sleeps) == 1:
            hold.set(clock.now().timestamp() + 5, "again")

    clock.sleep = sleeping
    hold.wait()
    assert len(clock.sleeps) == 2


def test_too_long_is_refused_with_the_reason(clock) -> None:
    """In words for a person, in seconds for a program."""
    hold = Backpressure("kraken", 10, clock)
    hold.set(clock.now().timestamp() + 900, "EGeneral:Temporary lockout")
    with pytest.raises(HeldBackError) as refused:
        hold.wait()
    text = "'kraken' is rate limited or banned for another 900.0 s (EGeneral:Temporary lockout)"
    assert (str(refused.value), refused.value.retry_after) == (text, pytest.approx(900))
    assert str(HeldBackError("k", 1)) == "'k' is rate limited or banned for another 1.0 s"


def test_the_wall_clock_may_jump_meanwhile(clock) -> None:
    """The wait is measured by the clock that does not."""
    hold = Backpressure("k", 10, clock)
    hold.set(clock.now().timestamp() + 5, "limit")
    clock.jump(-3600)
    assert hold.remaining == pytest.approx(5)


def test_turns_of_the_limiter_follow_each_other(clock) -> None:
    """Each reserves its cost; idle time is not saved up."""
    throttle = Throttle(clock)
    for cost in (1.0, 2.0, 1.0):
        throttle.wait(cost)
    assert clock.sleeps == [1.0, 2.0]
    clock.advance(100)
    throttle.wait(1.0)
    throttle.wait(1.0)
    assert clock.sleeps == [1.0, 2.0, 1.0]
