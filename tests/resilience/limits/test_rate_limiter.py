"""A rate limit lets calls pass in their order and at their time, and gives back what nobody used."""

import asyncio
import gc
import multiprocessing
import os
import pickle
import threading
from collections.abc import AsyncIterator, Iterator
from itertools import count

import pytest

from peak_observe import DeadlineExceededError, LimitReached, RateLimitedError, deadline, rate_limit
from peak_observe.catalog import LIMIT_OUTCOMES
from peak_observe.measures import LIMITERS
from peak_observe.resilience.limits import RateLimiter
from peak_observe.testing import ManualClock, RecordingObserver

PATIENCE = 30.0
NUMBERS = count()


@pytest.fixture
def clock() -> ManualClock:
    """Return a clock that stands still."""
    return ManualClock()


@pytest.fixture
def name() -> str:
    """Return a name that nobody has."""
    return f"limiter.{next(NUMBERS)}"


def reading(name: str) -> dict[str, int]:
    """Return the counts of a name by outcome."""
    found = LIMITERS.get(name).read().calls
    return {outcome: count for outcome, count in zip(LIMIT_OUTCOMES, found, strict=True) if count}


def test_without_waiting_one_that_comes_too_soon_is_refused(clock: ManualClock, name: str) -> None:
    """At once, with the time after which it would pass."""
    limited = rate_limit(10, name=name, clock=clock).call(lambda: "passed")
    assert limited() == "passed"
    with pytest.raises(RateLimitedError) as refusal:
        limited()
    assert refusal.value.name == name
    assert refusal.value.retry_after == pytest.approx(0.1)
    assert str(refusal.value) == f"rate limit '{name}' is used up: next call in 0.1 s"
    clock.advance(refusal.value.retry_after)
    assert limited() == "passed"
    assert reading(name) == {"at_once": 2, "refused": 1}


def test_those_that_wait_pass_one_after_the_other(clock: ManualClock, name: str) -> None:
    """Each sleeps until its own turn, holding nothing."""
    limited = rate_limit(4, wait=10, name=name, clock=clock)
    for _ in range(5):
        with limited:
            pass
    assert clock.sleeps == [0.25] * 4
    found = LIMITERS.get(name).read()
    assert (found.calls[:2], found.wait_seconds, found.rate, found.burst) == ([1, 4], 1.0, 4.0, 1)


def test_a_burst_passes_at_once_after_a_pause(clock: ManualClock, name: str) -> None:
    """And no more than that however long the pause was."""
    limited = rate_limit(10, burst=3, name=name, clock=clock).call(lambda: None)
    clock.advance(3600)
    for _ in range(3):
        limited()
    with pytest.raises(RateLimitedError):
        limited()


def test_a_rate_is_counted_in_the_seconds_that_are_given(clock: ManualClock, name: str) -> None:
    """Fifteen a minute are one in four seconds."""
    limited = rate_limit(15, per=60, wait=60, name=name, clock=clock)
    for _ in range(2):
        with limited:
            pass
    assert clock.sleeps == [4.0]
    assert repr(limited) == f"<RateLimiter '{name}' 0.25 a second>"


def test_a_wait_that_is_too_long_is_refused_and_takes_no_turn(clock: ManualClock, name: str) -> None:
    """So those who come later wait no longer for it."""
    limited = rate_limit(1, wait=1.5, name=name, clock=clock)
    core = limited.core()
    core._reserve(1)
    waiting = core._reserve(1)
    for _ in range(3):
        with pytest.raises(RateLimitedError) as refusal, limited:
            pytest.fail("it has to wait too long")
        assert refusal.value.retry_after == 2
    assert LIMITERS.get(name).read().waiting == 1
    assert waiting.wait == 1


def test_the_deadline_of_the_caller_cuts_the_wait(clock: ManualClock, name: str) -> None:
    """A turn beyond it is refused at once, with the time it would have taken."""
    limited = rate_limit(1, wait=60, name=name, clock=clock)
    with deadline(0.5, clock=clock), limited:
        with pytest.raises(DeadlineExceededError) as refusal, limited:
            pytest.fail("its turn comes too late")
        assert (refusal.value.name, refusal.value.needed) == (name, 1.0)
    assert clock.sleeps == []
    assert reading(name)["out_of_time"] == 1


def test_a_turn_that_is_too_far_for_either_is_a_matter_of_the_limit(clock: ManualClock, name: str) -> None:
    """The deadline is blamed only where it made the difference."""
    limited = rate_limit(1, wait=0.7, name=name, clock=clock)
    with deadline(0.5, clock=clock), limited, pytest.raises(RateLimitedError), limited:
        pytest.fail("its turn comes too late")


def test_an_interrupted_wait_gives_its_turn_back(clock: ManualClock, name: str) -> None:
    """Where nobody has a later one, the next call gets it."""
    limited = rate_limit(1, wait=60, name=name, clock=clock)

    def interrupt(_: float) -> None:
        raise KeyboardInterrupt

    with limited:
        clock.sleep, sleep = interrupt, clock.sleep
        with pytest.raises(KeyboardInterrupt), limited:
            pytest.fail("it was interrupted")
        clock.sleep = sleep
    with limited:
        assert clock.sleeps == [1.0]
    assert reading(name)["interrupted"] == 1


def test_cancelled_tasks_give_their_turns_back(name: str) -> None:
    """All that were cancelled at the end of the line; the others keep theirs."""

    async def main() -> None:
        limited = rate_limit(0.1, wait=600, name=name)

        @limited
        async def work() -> None:
            pass

        await work()
        tasks = [asyncio.create_task(work()) for _ in range(5)]
        await asyncio.sleep(0)
        assert LIMITERS.get(name).read().waiting == 5
        for task in tasks[1:]:
            task.cancel()
        await asyncio.gather(*tasks[1:], return_exceptions=True)
        assert LIMITERS.get(name).read().waiting == 1
        assert limited.core()._reserve(1).wait == pytest.approx(20, abs=5)
        tasks[0].cancel()
        await asyncio.gather(tasks[0], return_exceptions=True)

    asyncio.run(main())
    assert reading(name)["interrupted"] == 5


def test_threads_and_tasks_share_one_rate_and_are_all_counted(name: str) -> None:
    """None passes before its time, in whichever order they came."""
    limited, times, lock = rate_limit(2000, wait=PATIENCE, name=name), [], threading.Lock()
    clock = limited.core().clock

    def note() -> None:
        with lock:
            times.append(clock.monotonic())

    def thread() -> None:
        for _ in range(25):
            limited.call(note)()

    async def task() -> None:
        for _ in range(25):
            async with limited:
                note()

    async def main() -> None:
        await asyncio.gather(*(task() for _ in range(4)))

    threads = [threading.Thread(target=work) for work in (thread, thread, thread, thread, lambda: asyncio.run(main()))]
    start = clock.monotonic()
    for one in threads:
        one.start()
    for one in threads:
        one.join(PATIENCE)
    found = reading(name)
    assert found["at_once"] + found.get("after_wait", 0) == len(times) == 200
    early = [number for number, moment in enumerate(sorted(times)) if moment < start + number / 2000 - 1e-3]
    assert early == []


def test_generators_take_one_turn(clock: ManualClock, name: str) -> None:
    """At their first item, an async one without stopping its loop."""
    limited = rate_limit(1, wait=10, name=name, clock=clock)

    @limited
    def items() -> Iterator[int]:
        yield from range(3)

    @limited
    async def items_async() -> AsyncIterator[int]:
        for number in range(3):
            yield number

    async def collect() -> list[int]:
        return [number async for number in items_async()]

    generator = items()
    assert reading(name) == {}
    assert list(generator) == [0, 1, 2]
    assert asyncio.run(collect()) == [0, 1, 2]
    assert clock.sleeps == [1.0]


def test_a_clock_that_steps_back_neither_blocks_nor_gives_more(name: str) -> None:
    """It goes on from there."""

    class Stepping(ManualClock):
        back = 0.0

        def monotonic(self) -> float:
            return super().monotonic() - self.back

    clock = Stepping()
    clock.advance(10_000)
    limited = rate_limit(1, name=name, clock=clock).call(lambda: "passed")
    assert limited() == "passed"
    clock.back = 9000
    with pytest.raises(RateLimitedError) as refusal:
        limited()
    assert refusal.value.retry_after == 1
    clock.advance(1)
    assert limited() == "passed"


def test_refusals_are_told_in_sums(clock: ManualClock, name: str) -> None:
    """The first at once."""
    limited = rate_limit(0.001, name=name, clock=clock).call(lambda: None)
    limited()
    with RecordingObserver() as seen:
        for seconds in (0, 1, 1, 29):
            clock.advance(seconds)
            with pytest.raises(RateLimitedError):
                limited()
    assert seen.of(LimitReached) == [
        LimitReached("rate_limit", name, 1, 0.001),
        LimitReached("rate_limit", name, 3, 0.001),
    ]


def test_all_series_are_there_from_the_beginning_and_its_settings_go_with_it(name: str) -> None:
    """Counts stay, and one that is decorated stays with what it decorates."""
    function = rate_limit(5, burst=2, name=name)(lambda: None)
    gc.collect()
    found = LIMITERS.get(name).read()
    assert (found.calls, found.rate, found.burst, found.waiting) == ([0] * 7, 5, 2, 0)
    function()
    del function
    gc.collect()
    found = LIMITERS.get(name).read()
    assert (found.calls[0], found.rate, found.burst, found.waiting) == (1, None, None, None)


def test_it_is_named_by_hand_or_after_the_first_function() -> None:
    """Or after what it is."""

    def fetch_prices() -> None:
        pass

    limited, unnamed = rate_limit(1), rate_limit(1)
    limited.call(fetch_prices)
    assert limited.name.endswith("fetch_prices")
    with unnamed:
        assert unnamed.name == "rate_limit"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"limit": 0}, "limit must be a finite number of calls above 0, not 0"),
        ({"limit": True}, "limit must be"),
        ({"limit": "fast"}, "limit must be"),
        ({"limit": float("nan")}, "limit must be"),
        ({"limit": 1, "burst": 0}, "burst must be a whole number of at least 1, not 0"),
        ({"limit": 1, "per": 0}, "per must be more than 0 seconds"),
        ({"limit": 1, "wait": -1}, "wait must be a finite number of seconds"),
        ({"limit": len}, r"rate_limit needs a limit: write @rate_limit\(10\)"),
    ],
)
def test_nonsense_is_refused(arguments: dict, message: str) -> None:
    """With one error that names the argument."""
    with pytest.raises(ValueError, match=message):
        rate_limit(**arguments)


def test_it_refuses_to_be_pickled(name: str) -> None:
    """Its bucket is this process's."""
    with pytest.raises(TypeError, match="cannot be sent to another"):
        pickle.dumps(rate_limit(1, name=name))


def test_it_works_in_a_forked_child(name: str) -> None:
    """Also if a thread of the parent was just inside."""
    limited = rate_limit(1e6, burst=100, name=name)
    with limited.core()._lock:
        child = multiprocessing.get_context("fork").Process(target=_in_child, args=(limited,))
        thread = threading.Thread(target=child.start)
        thread.start()
        thread.join(PATIENCE)
    child.join(PATIENCE)
    assert child.exitcode == 0


def _in_child(limited: RateLimiter) -> None:
    with limited:
        os._exit(0)
