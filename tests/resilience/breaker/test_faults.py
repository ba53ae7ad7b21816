"""What other breakers get wrong, beyond what the contract's own tests say."""

import asyncio
import threading

import pytest

from peak_observe import CircuitBreaker, CircuitOpenError, CircuitState
from peak_observe.measures import BREAKERS
from peak_observe.testing import ManualClock


class SteppingClock(ManualClock):
    """A clock whose monotonic time somebody can set back."""

    def back(self, seconds: float) -> None:
        """Go back."""
        self._elapsed -= seconds


def test_calls_run_side_by_side() -> None:
    """No lock is held over them, closed or half-open: each waits for the other to be inside."""
    breaker = CircuitBreaker(1, 0.0, name="faults.side_by_side", half_open_calls=2)
    for _ in range(2):
        both = threading.Barrier(2, timeout=30)
        threads = [threading.Thread(target=breaker.call(both.wait)) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not both.broken
        breaker.trip("now half-open")
    assert BREAKERS.get("faults.side_by_side").read().calls[0] == 4


def test_a_success_that_began_before_the_opening_does_not_close() -> None:
    """Of coroutines, which may be under way by the hundred, and with a window."""
    breaker = CircuitBreaker(name="faults.late", window=4, failure_ratio=0.5, minimum_calls=2)

    async def main() -> None:
        go = asyncio.Event()
        slow = [asyncio.create_task(breaker.call(go.wait)()) for _ in range(100)]
        await asyncio.sleep(0)
        breaker.trip("meanwhile")
        go.set()
        await asyncio.gather(*slow)

    asyncio.run(main())
    assert (breaker.state, breaker.snapshot().window_calls) == (CircuitState.OPEN, 0)
    breaker.reset()
    assert breaker.snapshot().window_calls == 0


def test_what_is_ignored_does_not_enter_a_window() -> None:
    """Neither as a failure nor as a success that makes failures seem rarer."""
    breaker = CircuitBreaker(name="faults.ignored", window=10, minimum_calls=3, ignore=KeyError)
    for kind in (ValueError, KeyError, KeyError, ValueError, KeyError):
        with pytest.raises(kind), breaker:
            raise kind
    assert (breaker.state, breaker.snapshot().window_calls) == (CircuitState.CLOSED, 2)


def test_a_cancelled_probe_is_neither_success_nor_failure() -> None:
    """The circuit stays half-open and asks again."""
    clock = ManualClock()
    breaker = CircuitBreaker(1, name="faults.cancelled", clock=clock, expected_exception=BaseException)
    breaker.trip("test")
    clock.advance(60)

    async def main() -> None:
        task = asyncio.create_task(breaker.call(asyncio.Event().wait)())
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])

    asyncio.run(main())
    assert (breaker.state, breaker.snapshot().probes) == (CircuitState.HALF_OPEN, 0)
    assert BREAKERS.get("faults.cancelled").read().calls == [0, 0, 1, 0]


@pytest.mark.parametrize("options", [{}, {"window": 10}, {"window_seconds": 60}], ids=str)
def test_a_clock_that_steps_back_breaks_nothing(options: dict) -> None:
    """No count falls, no duration is negative, and no wait grows beyond the recovery timeout."""
    clock = SteppingClock()
    clock.advance(10_000)
    breaker = CircuitBreaker(name="faults.clock" + str(len(options)), clock=clock, **options)
    backwards = breaker.call(lambda: clock.back(100))
    backwards()
    assert BREAKERS.get(breaker.name).read().duration_sum == 0.0
    breaker.trip("test")
    clock.back(5000)
    with pytest.raises(CircuitOpenError) as refused:
        backwards()
    assert refused.value.retry_after == 60.0
    clock.advance(60)
    assert breaker.state is CircuitState.HALF_OPEN
    assert min(breaker.snapshot().seconds) >= 0.0
    assert breaker.call(len)("four") == 4
    assert breaker.state is CircuitState.CLOSED


def test_a_refused_coroutine_is_put_away() -> None:
    """A plain function may have made one before its refusal; Python would warn that nobody awaited it."""
    breaker = CircuitBreaker(1, name="faults.put_away")

    async def answer() -> None:
        """Answer."""

    made = breaker.call(lambda: answer())()  # noqa: PLW0108 - a plain function it has to be
    breaker.force_open()
    with pytest.raises(CircuitOpenError):
        asyncio.run(made)
