"""Rate limits with weights, several windows, pauses and reserved shares."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import count

import pytest
from hypothesis import given
from hypothesis import strategies as st

from peak_observe import BulkheadFullError, DeadlineExceededError, RateLimitedError, deadline, priority, rate_limit
from peak_observe.resilience.limits.sliding_log import SlidingLog, Window
from peak_observe.telemetry.metrics.renderer import Renderer
from peak_observe.testing import ManualClock
from tests.conftest import untraced

PATIENCE = 30.0
NUMBERS = count()


@pytest.fixture
def clock() -> ManualClock:
    """Return a clock that stands still."""
    return ManualClock()


@pytest.fixture
def name() -> str:
    """Return a name that nobody has."""
    return f"weighted.{next(NUMBERS)}"


class ThrottledError(Exception):
    """What a service answers that wants to be left alone."""

    def __init__(self, retry_after: float) -> None:
        super().__init__(retry_after)
        self.retry_after = retry_after


@given(
    windows=st.lists(st.tuples(st.integers(1, 9), st.integers(1, 50)), min_size=1, max_size=3),
    steps=st.lists(st.tuples(st.integers(0, 20), st.integers(1, 4), st.booleans()), max_size=60),
)
def test_no_window_ever_holds_more_than_its_limit(
    windows: list[tuple[int, int]], steps: list[tuple[int, int, bool]]
) -> None:
    """Checked against all turns there ever were; and no turn is later than it has to be."""
    log, passed, now = SlidingLog([Window(*window) for window in windows]), [], 0

    def fits(at: float, weight: float) -> bool:
        if passed and at < passed[-1][0]:
            return False
        return all(sum(w for t, w in passed if at - per < t <= at) + weight <= limit for limit, per in windows)

    for passing, weight, given_back in steps:
        now += passing
        if weight > log.heaviest:
            continue
        turn = log.reserve(now, weight)
        assert fits(turn.at, weight)
        assert turn.at == now or not fits(turn.at - 1, weight)
        if given_back:
            log.give_back(turn, now)
        else:
            passed.append((turn.at, weight))


def test_windows_let_pass_at_once_what_all_of_them_hold(clock: ManualClock, name: str) -> None:
    """Twenty in any second, and fifty in any minute."""
    limited, times = rate_limit([(20, 1), (50, 60)], wait=100, name=name, clock=clock), []
    for _ in range(60):
        with limited:
            times.append(clock.monotonic())
    assert times == [0.0] * 20 + [1.0] * 20 + [2.0] * 10 + [60.0] * 10
    found = limited.snapshot()
    assert (found.windows, found.burst) == (((20, 1.0), (50, 60.0)), 20)
    assert str(limited.core().settings) == "20 in 1 s and 50 in 60 s"


def test_a_call_of_weight_five_counts_as_five(clock: ManualClock, name: str) -> None:
    """Sync and async, by hand and by default."""
    limited = rate_limit(10, wait=60, name=name, clock=clock)
    limited.acquire(weight=5)
    asyncio.run(limited.async_acquire(weight=5))
    limited.acquire()
    assert clock.sleeps == [0.5, 0.5]
    assert limited.snapshot().weight == 11


def test_a_function_of_the_arguments_weighs_a_call(clock: ManualClock, name: str) -> None:
    """Of plain functions, coroutines, and generators of both kinds."""
    limited = rate_limit([(100, 60)], weight=lambda symbol, limit=1: limit / 10, name=name, clock=clock)

    @limited
    def fetch(symbol: str, limit: int = 1) -> str:
        return symbol

    @limited
    async def fetch_async(symbol: str, limit: int) -> str:
        return symbol

    @limited
    def items(symbol: str, *, limit: int) -> Iterator[str]:
        got = yield symbol
        yield got

    @limited
    async def items_async(symbol: str, limit: int) -> AsyncIterator[str]:
        got = yield symbol
        yield got

    async def main() -> None:
        assert await fetch_async("BTC", 100) == "BTC"
        generator = items_async("BTC", 200)
        assert (await anext(generator), await generator.asend("ETH")) == ("BTC", "ETH")
        await generator.aclose()

    assert fetch("BTC", limit=50) == "BTC"
    generator = items("BTC", limit=300)
    assert limited.snapshot().weight == 5
    assert (next(generator), generator.send("ETH")) == ("BTC", "ETH")
    asyncio.run(main())
    assert limited.snapshot().weight == 5 + 30 + 10 + 20


@pytest.mark.parametrize("weigh", [lambda: 1 / 0, lambda: "many", lambda: float("nan"), lambda: -1])
def test_a_weight_that_fails_counts_as_one_and_is_logged_once(
    clock: ManualClock, name: str, weigh, caplog: pytest.LogCaptureFixture
) -> None:
    """The call is what matters."""
    limited = rate_limit(10, burst=5, weight=weigh, name=name, clock=clock)
    work = limited.call(lambda: "passed")
    assert (work(), work(), limited.snapshot().weight) == ("passed", "passed", 2)
    assert [record.getMessage().split(":")[0] for record in caplog.records] == ["weight"]


def test_one_limit_has_several_weights(clock: ManualClock, name: str) -> None:
    """Each function takes its own of what all share."""
    limited = rate_limit([(10, 60)], name=name, clock=clock)
    heavy = limited.weighted(6)

    @heavy
    def order() -> str:
        return "placed"

    assert order() == "placed"
    with heavy.weighted(2), limited:
        pass
    with pytest.raises(RateLimitedError):
        order()
    assert heavy.snapshot().weight == limited.snapshot().weight == 9
    assert heavy.name == name


def test_a_weight_that_no_window_allows_is_an_error(clock: ManualClock, name: str) -> None:
    """At once, and not a wait for ever; a bucket lets it pass when it is full."""
    limited = rate_limit([(20, 1), (6000, 60)], wait=600, name=name, clock=clock)
    with pytest.raises(ValueError, match=r"weight 21 can never pass: rate limit .* allows 20 in 1 s and 6000 in 60 s"):
        limited.acquire(weight=21)
    with pytest.raises(ValueError, match="weight must be at most what 20 in 1 s"):
        limited.weighted(21)
    spaced = rate_limit(10, burst=2, wait=60, clock=clock)
    spaced.acquire(weight=21)
    spaced.acquire()
    assert clock.sleeps == [pytest.approx(2.0)]


def test_a_block_cannot_have_a_weight_of_arguments(name: str) -> None:
    """There are none; the error says what to do."""
    limited = rate_limit(10, weight=lambda symbol: 2, name=name)
    with pytest.raises(ValueError, match=r"give acquire\(weight=…\)"), limited:
        pytest.fail("it has no weight")
    limited.acquire(weight=2)


def test_nothing_passes_in_a_pause(clock: ManualClock, name: str) -> None:
    """And after it the bucket is as full as before, so that no burst follows a ban."""
    limited = rate_limit(10, burst=5, name=name, clock=clock)
    for _ in range(5):
        limited.acquire()
    limited.pause(30)
    limited.pause(10)  # a longer pause stays
    with pytest.raises(RateLimitedError) as refusal:
        limited.acquire()
    assert refusal.value.retry_after == pytest.approx(30.1)
    assert limited.snapshot().pause == 30
    assert f'peak_rate_limit_pause_seconds{{limiter="{name}"}} 30.0' in Renderer().render().decode()
    clock.advance(30.15)
    limited.acquire()
    with pytest.raises(RateLimitedError):
        limited.acquire()
    assert limited.snapshot().pause == 0


def test_calls_that_wait_when_the_pause_begins_come_after_it(name: str) -> None:
    """In their order and at their distance; those for which that is too late are refused."""

    class Pausing(ManualClock):
        pause = staticmethod(lambda: None)

        def sleep(self, seconds: float) -> None:
            half = seconds / 2
            super().sleep(half)
            pause, self.pause = self.pause, lambda: None
            pause()
            super().sleep(seconds - half)

    clock = Pausing()
    limited = rate_limit(1, wait=60, name=name, clock=clock)
    limited.acquire()
    clock.pause = lambda: limited.pause(30)
    limited.acquire()
    assert clock.monotonic() == pytest.approx(31)
    clock.pause = lambda: limited.pause(100)
    with pytest.raises(RateLimitedError):
        limited.acquire()
    clock.advance(200)
    limited.acquire()
    clock.pause = lambda: limited.pause(20)
    with deadline(10, clock=clock), pytest.raises(DeadlineExceededError):
        limited.acquire()
    assert (limited.stats.refused, limited.stats.out_of_time, limited.snapshot().waiting) == (1, 1, 0)


def test_the_pause_of_a_window_counts_as_time_for_what_has_passed(clock: ManualClock, name: str) -> None:
    """After it the window is as empty as it would be without it, and ended early as full as it would be."""
    limited = rate_limit([(2, 60)], name=name, clock=clock)
    limited.acquire()
    limited.acquire()
    limited.pause(3600)
    clock.advance(10)
    limited.resume()
    with pytest.raises(RateLimitedError) as refusal:
        limited.acquire()
    assert refusal.value.retry_after == pytest.approx(50)
    limited.pause(50)
    clock.advance(50)
    limited.acquire()
    limited.acquire()
    with pytest.raises(RateLimitedError):
        limited.acquire()


@pytest.mark.parametrize("asynchronous", [False, True])
def test_a_limit_that_heeds_leaves_a_service_alone_that_asked_for_it(
    clock: ManualClock, name: str, *, asynchronous: bool
) -> None:
    """Not one more call reaches it before its time."""
    limited, reached = rate_limit(1000, burst=1000, heed=True, name=name, clock=clock), []

    def answer() -> None:
        reached.append(clock.monotonic())
        raise ThrottledError(30)

    async def answer_async() -> None:
        answer()

    for _ in range(10):
        with pytest.raises((ThrottledError, RateLimitedError)):
            asyncio.run(limited(answer_async)()) if asynchronous else limited(answer)()
        clock.advance(1)
    clock.advance(30)
    with pytest.raises(ThrottledError):
        limited(answer)()
    assert reached == [0.0, 40.0]


def test_blocks_generators_and_returned_coroutines_are_heeded_too(clock: ManualClock, name: str) -> None:
    """Whatever carries the exception."""
    limited = rate_limit(1000, burst=1000, heed=True, name=name, clock=clock)

    async def fail(seconds: float) -> None:
        raise ThrottledError(seconds)

    @limited
    def items() -> Iterator[int]:
        yield 1
        raise ThrottledError(7)

    @limited
    async def items_async() -> AsyncIterator[int]:
        yield 1
        raise ThrottledError(7)

    async def collect() -> list[int]:
        return [item async for item in items_async()]

    def block() -> None:
        with limited:
            raise ThrottledError(7)

    for work in (
        block,
        lambda: list(items()),
        lambda: asyncio.run(collect()),
        lambda: asyncio.run(limited(lambda: fail(7))()),
    ):
        with pytest.raises(ThrottledError):
            work()
        assert limited.snapshot().pause == 7
        limited.resume()


def test_a_function_says_what_an_answer_asks_for(clock: ManualClock, name: str) -> None:
    """For services that answer 429 and raise nothing; nonsense, and our own refusals, ask for nothing."""
    answers: list[object] = [12.5, None, "soon", float("inf"), -1]
    limited = rate_limit(1000, burst=1000, heed=lambda answer: answer, name=name, clock=clock)
    work = limited.call(lambda: answers.pop(0))
    found = []
    for _ in range(len(answers)):
        work()
        found.append(limited.snapshot().pause)
        limited.resume()
    assert found == [12.5, 0, 0, 0, 0]

    @limited
    def refused() -> None:
        raise RateLimitedError("another", 99)

    @limited
    def full() -> None:
        raise BulkheadFullError("another", 1)

    for call, kind in ((refused, RateLimitedError), (full, BulkheadFullError)):
        with pytest.raises(kind):
            call()
    assert limited.snapshot().pause == 0


def test_polling_never_takes_what_is_reserved_for_trading(clock: ManualClock, name: str) -> None:
    """A cancel passes at once, however many polls stand before it; and it may take what is left of the others."""
    limited = rate_limit([(10, 60)], reserve={"trade": 0.2}, wait=600, name=name, clock=clock)
    for _ in range(8):
        limited.acquire()
    with deadline(1, clock=clock), pytest.raises(DeadlineExceededError):
        limited.acquire()
    with priority("trade"):
        limited.acquire()
        limited.acquire()
        with deadline(1, clock=clock), pytest.raises(DeadlineExceededError):
            limited.acquire()
    assert clock.sleeps == []
    clock.advance(60)
    with priority("trade"):
        for _ in range(10):
            limited.acquire()
    assert clock.sleeps == []


def test_reserved_shares_of_a_bucket_add_up_to_its_rate(clock: ManualClock, name: str) -> None:
    """Neither class, nor both together, pass faster than that."""
    limited = rate_limit(10, reserve={"trade": 0.2}, wait=600, name=name, clock=clock)
    for _ in range(16):
        limited.acquire()
    assert clock.monotonic() == pytest.approx(15 / 8)
    start = clock.monotonic()
    with priority("trade"):
        for _ in range(20):
            limited.acquire()
    assert clock.monotonic() - start >= 18 / 10


def test_waits_are_told_by_class(clock: ManualClock, name: str) -> None:
    """And the class of a limit without shares is no series."""
    limited = rate_limit(1, reserve={"trade": 0.5}, wait=60, name=name, clock=clock)
    plain = rate_limit(1, name=f"{name}.plain", clock=clock)
    for _ in range(2):
        limited.acquire()
    with priority("trade"), priority("unknown"):
        limited.acquire()
    with priority("trade"):
        limited.acquire()
        plain.acquire()
    text = Renderer().render().decode()
    assert f'peak_rate_limit_priority_calls_total{{limiter="{name}",priority="default"}} 3.0' in text
    assert f'peak_rate_limit_priority_calls_total{{limiter="{name}",priority="trade"}} 1.0' in text
    assert f'peak_rate_limit_priority_wait_seconds_total{{limiter="{name}",priority="default"}} 4.0' in text
    assert f'peak_rate_limit_priority_wait_seconds_total{{limiter="{name}",priority="trade"}} 0.0' in text
    assert f'limiter="{name}.plain",priority' not in text


def test_a_priority_ends_with_its_block(clock: ManualClock, name: str) -> None:
    """Also for a task that was started inside; a thread inherits none."""
    limited = rate_limit([(10, 60)], reserve={"trade": 0.2}, name=name, clock=clock)

    def classes() -> tuple[int, int]:
        found = limited.core().read().classes
        return found["trade"][0], found["default"][0]

    async def main() -> None:
        go_on = asyncio.Event()

        async def poll() -> None:
            await limited.async_acquire()
            await go_on.wait()
            await limited.async_acquire()

        async with priority("trade"):
            task = asyncio.create_task(poll())
            await asyncio.sleep(0)
        assert classes() == (1, 0)
        go_on.set()
        await task
        assert classes() == (1, 1)

    asyncio.run(main())
    with priority("trade"), ThreadPoolExecutor(1) as pool:
        pool.submit(limited.acquire).result(PATIENCE)
    assert classes() == (1, 2)


def test_one_priority_object_may_be_entered_by_many_at_once(name: str) -> None:
    """Threads, tasks, and inside itself."""
    limited, trade = rate_limit(1e6, burst=10**6, reserve={"trade": 0.5}, name=name), priority("trade")

    def work() -> None:
        for _ in range(50):
            with trade:
                with trade:
                    limited.acquire()
                limited.acquire()
            limited.acquire()

    with ThreadPoolExecutor(8) as pool:
        for future in [pool.submit(work) for _ in range(8)]:
            future.result(PATIENCE)
    found = limited.core().read().classes
    assert (found["trade"][0], found["default"][0]) == (800, 400)
    assert repr(trade) == "priority('trade')"


def test_threads_never_pass_more_than_a_window_holds(name: str) -> None:
    """Real threads and real time."""
    limited, times = rate_limit([(5, 0.05), (20, 0.5)], wait=PATIENCE, name=name), []

    def work() -> None:
        for _ in range(4):
            with limited:
                times.append(time.perf_counter())

    with ThreadPoolExecutor(10) as pool:
        for future in [pool.submit(work) for _ in range(10)]:
            future.result(PATIENCE)
    times.sort()
    assert len(times) == 40
    # What a thread notes is later than its turn, so the twenty-first of a window may look up to a moment early.
    assert all(later - earlier > 0.4 for earlier, later in zip(times, times[20:], strict=False))


def test_four_thousand_cancelled_waiters_cost_little() -> None:
    """Linear in their number: giving turns back does not look at all of them each time."""

    async def main() -> float:
        limited = rate_limit(1, wait=1e6, name=f"cancelled.{next(NUMBERS)}")
        limited.acquire()
        controller = limited.core()
        turns = [controller._reserve(1) for _ in range(4000)]
        with untraced():
            start = time.thread_time()  # threads that other tests have left are not what is timed
            for turn in turns[:-1]:
                controller._end_locked(turn, 4, 0.0)
            return time.thread_time() - start

    assert min(asyncio.run(main()) for _ in range(3)) < 0.05
