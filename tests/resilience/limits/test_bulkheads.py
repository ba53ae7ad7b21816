"""A bulkhead lets no more in than it has places, loses none of them, and serves in order."""

import asyncio
import gc
import multiprocessing
import os
import pickle
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from typing import Self

import pytest

from peak_observe import BulkheadFullError, DeadlineExceededError, LimitReached, bulkhead, deadline
from peak_observe.catalog import LIMIT_OUTCOMES
from peak_observe.measures import BULKHEADS
from peak_observe.resilience.limits import Bulkhead
from peak_observe.testing import ManualClock, RecordingObserver

PATIENCE = 30.0
NUMBERS = count()


@pytest.fixture
def name() -> str:
    """Return a name that nobody has."""
    return f"bulkhead.{next(NUMBERS)}"


def reading(name: str) -> dict[str, int]:
    """Return the counts of a name by outcome."""
    found = BULKHEADS.get(name).read().calls
    return dict(zip(LIMIT_OUTCOMES, found, strict=True))


class Busy:
    """Takes places in threads until it is told to let them go."""

    def __init__(self, limited: Bulkhead, calls: int = 1) -> None:
        self.go_on, self.inside = threading.Event(), threading.Semaphore(0)
        self.threads = [threading.Thread(target=limited.call(self.work)) for _ in range(calls)]
        for thread in self.threads:
            thread.start()

    def work(self) -> None:
        """Stay inside."""
        self.inside.release()
        assert self.go_on.wait(PATIENCE)

    def __enter__(self) -> Self:
        for _ in self.threads:
            assert self.inside.acquire(timeout=PATIENCE)
        return self

    def __exit__(self, *_: object) -> None:
        self.go_on.set()
        for thread in self.threads:
            thread.join(PATIENCE)


def test_one_too_many_is_refused_at_once(name: str, until: Callable) -> None:
    """With an error that says which bulkhead, and how many it takes."""
    limited = bulkhead(2, name=name)
    with Busy(limited, 2):
        assert limited.in_flight == 2
        with pytest.raises(BulkheadFullError) as refusal:
            limited.call(lambda: None)()
    assert (refusal.value.name, refusal.value.limit) == (name, 2)
    assert str(refusal.value) == f"bulkhead '{name}' is full: 2 calls are under way"
    assert limited.in_flight == 0
    assert reading(name) == dict.fromkeys(LIMIT_OUTCOMES, 0) | {"at_once": 2, "refused": 1}


def test_one_that_waits_gets_the_place_that_is_freed(name: str, until: Callable) -> None:
    """And is counted as such, with the time it took."""
    limited = bulkhead(1, wait=PATIENCE, name=name)
    with ThreadPoolExecutor(1) as pool, Busy(limited) as busy:
        waiting = pool.submit(limited.call(lambda: "in"))
        until(lambda: BULKHEADS.get(name).read().waiting == 1)
        busy.go_on.set()
        assert waiting.result(PATIENCE) == "in"
    found = BULKHEADS.get(name).read()
    assert (found.in_flight, found.waiting, found.limit) == (0, 0, 1)
    assert reading(name)["after_wait"] == 1
    assert found.wait_seconds > 0


def test_a_wait_ends_when_its_time_is_over(name: str) -> None:
    """And the place that comes free later is nobody's."""
    limited = bulkhead(1, wait=0.01, name=name)
    with Busy(limited), pytest.raises(BulkheadFullError), limited:
        pytest.fail("there is no place")

    async def task() -> None:
        async with limited:
            pytest.fail("there is no place")

    with Busy(limited), pytest.raises(BulkheadFullError):
        asyncio.run(task())
    assert reading(name)["refused"] == 2
    assert limited.in_flight == 0


def test_the_deadline_of_the_caller_ends_the_wait(name: str) -> None:
    """With an error of its own, as a longer wait would have been allowed."""
    limited = bulkhead(1, wait=PATIENCE, name=name)
    with Busy(limited), deadline(0.01), pytest.raises(DeadlineExceededError, match=name), limited:
        pytest.fail("there is no place")
    assert reading(name)["out_of_time"] == 1


def test_a_deadline_that_has_passed_is_no_time_to_wait(name: str) -> None:
    """It is refused without standing in line."""
    clock = ManualClock()
    limited = bulkhead(1, wait=PATIENCE, name=name)
    with Busy(limited), deadline(1, clock=clock):
        clock.advance(2)
        with pytest.raises(DeadlineExceededError), limited:
            pytest.fail("there is no place")
    assert reading(name)["out_of_time"] == 1


def test_threads_and_tasks_of_two_loops_come_in_in_their_order(name: str, until: Callable) -> None:
    """First come, first served, whoever they are."""
    limited, came_in = bulkhead(1, wait=PATIENCE, name=name), []

    def thread(number: int) -> None:
        with limited:
            came_in.append(number)

    def loop(number: int) -> None:
        @limited
        async def task() -> None:
            came_in.append(number)
            await asyncio.sleep(0)

        asyncio.run(task())

    with ThreadPoolExecutor(12) as pool, Busy(limited) as busy:
        for number in range(12):
            pool.submit(loop if number % 3 else thread, number)
            until(lambda number=number: BULKHEADS.get(name).read().waiting == number + 1)
        busy.go_on.set()
    assert came_in == list(range(12))


def test_a_newcomer_does_not_overtake_those_in_line(name: str) -> None:
    """Tasks of one loop, of which one asks in the moment in which a place is free."""

    async def main() -> list[int]:
        limited, came_in = bulkhead(1, wait=PATIENCE, name=name), []

        async def task(number: int) -> None:
            async with limited:
                came_in.append(number)
                await asyncio.sleep(0)

        async with asyncio.TaskGroup() as group:
            for number in range(20):
                group.create_task(task(number))
                await asyncio.sleep(0)
        return came_in

    assert asyncio.run(main()) == list(range(20))


def test_sixty_four_threads_never_pass_the_limit(name: str) -> None:
    """And every call is counted once."""
    limited, inside, most, lock = bulkhead(7, wait=PATIENCE, name=name), 0, 0, threading.Lock()

    @limited
    def work() -> None:
        nonlocal inside, most
        with lock:
            inside += 1
            most = max(most, inside)
        with lock:
            inside -= 1

    def hammer() -> None:
        for _ in range(100):
            work()

    threads = [threading.Thread(target=hammer) for _ in range(64)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    assert 1 <= most <= 7
    found = reading(name)
    assert found["at_once"] + found["after_wait"] == 6400
    assert limited.in_flight == 0


def test_a_thousand_tasks_and_threads_with_refusals_add_up(name: str) -> None:
    """Admitted and refused together are all that asked, while three loops and threads mix."""
    limited, counted = bulkhead(5, wait=0.002, name=name), []

    async def task() -> None:
        async with limited:
            await asyncio.sleep(0.0005)
            counted.append("admitted")

    async def main() -> None:
        ended = await asyncio.gather(*(task() for _ in range(300)), return_exceptions=True)
        counted.extend("refused" for error in ended if isinstance(error, BulkheadFullError))

    def calls() -> None:
        for _ in range(50):
            try:
                with limited:
                    time.sleep(0.0002)
                    counted.append("admitted")
            except BulkheadFullError:
                counted.append("refused")

    with ThreadPoolExecutor(5) as pool:
        for work in (lambda: asyncio.run(main()),) * 3 + (calls, calls):
            pool.submit(work)
    found = reading(name)
    assert found["refused"] == counted.count("refused")
    assert found["at_once"] + found["after_wait"] == counted.count("admitted")
    assert len(counted) == 1000
    assert (limited.in_flight, BULKHEADS.get(name).read().waiting) == (0, 0)


@pytest.mark.parametrize("turns", range(6))
def test_a_task_that_is_cancelled_leaves_no_place_taken(name: str, turns: int) -> None:
    """At whichever of its awaits: in line, let in but not yet told, inside."""

    async def main() -> None:
        limited = bulkhead(1, wait=PATIENCE, name=name)

        @limited
        async def work() -> None:
            for _ in range(3):
                await asyncio.sleep(0)

        first, second = asyncio.create_task(work()), asyncio.create_task(work())
        for _ in range(turns):
            await asyncio.sleep(0)
        second.cancel()
        await asyncio.gather(first, second, return_exceptions=True)
        await work()
        assert (limited.in_flight, BULKHEADS.get(name).read().waiting) == (0, 0)

    asyncio.run(main())


def test_a_cancelled_wait_is_counted_and_makes_room(name: str) -> None:
    """Those behind it move up."""

    async def main() -> None:
        limited, came_in = bulkhead(1, wait=PATIENCE, name=name), []

        @limited
        async def work(number: int) -> None:
            came_in.append(number)
            await asyncio.sleep(0.01)

        tasks = [asyncio.create_task(work(number)) for number in range(3)]
        await asyncio.sleep(0)
        tasks[1].cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        assert came_in == [0, 2]

    asyncio.run(main())
    assert reading(name)["interrupted"] == 1


def test_a_loop_that_is_gone_keeps_no_place(name: str) -> None:
    """A task that waited on a loop that was closed under it is passed over."""
    limited = bulkhead(1, wait=PATIENCE, name=name)
    with Busy(limited):
        loop = asyncio.new_event_loop()
        stranded = loop.create_task(limited.call(asyncio.sleep)(0))
        loop.run_until_complete(asyncio.sleep(0))
        assert BULKHEADS.get(name).read().waiting == 1
        loop.close()
    with limited:
        assert limited.in_flight == 1
    stranded._log_destroy_pending = False
    stranded.get_coro().close()


def test_a_generator_holds_its_place_until_it_is_exhausted_or_closed(name: str) -> None:
    """Items between which the consumer thinks are a call under way."""
    limited = bulkhead(1, name=name)

    @limited
    def items() -> Iterator[int]:
        yield from range(3)

    generator = items()
    assert limited.in_flight == 0
    next(generator)
    assert limited.in_flight == 1
    generator.close()
    assert limited.in_flight == 0
    assert list(items()) == [0, 1, 2]
    assert limited.in_flight == 0


def test_an_async_generator_waits_without_stopping_its_loop(name: str) -> None:
    """And holds its place like a plain one."""

    async def main() -> None:
        limited = bulkhead(1, wait=PATIENCE, name=name)

        @limited
        async def items() -> AsyncIterator[int]:
            for number in range(2):
                yield number

        async def collect() -> list[int]:
            return [number async for number in items()]

        first = items()
        assert await anext(first) == 0
        second = asyncio.create_task(collect())
        await asyncio.sleep(0)
        assert BULKHEADS.get(name).read().waiting == 1
        await first.aclose()
        assert await second == [0, 1]
        assert limited.in_flight == 0

    asyncio.run(main())


def test_a_generator_in_a_cycle_that_the_collector_ends_gives_its_place_back(name: str) -> None:
    """Whatever the thread that collects is at: it may be inside the bulkhead itself."""
    limited = bulkhead(10_000, name=name)

    @limited
    def items(kept: list) -> Iterator[int]:
        yield kept
        yield kept

    for _ in range(3000):  # enough for the collector to begin in the midst of something
        kept: list = []
        generator = items(kept)
        kept.append(generator)
        next(generator)
    del generator, kept
    gc.collect()
    assert limited.in_flight == 0


def test_what_a_lambda_returns_is_under_way_until_it_was_awaited(name: str) -> None:
    """A plain function that makes a coroutine has done nothing yet."""
    limited = bulkhead(1, name=name)

    async def work(turns: int) -> int:
        for _ in range(turns):
            await asyncio.sleep(0)
        return limited.in_flight

    coroutine = limited.call(lambda: work(2))()
    assert limited.in_flight == 1
    assert asyncio.run(coroutine) == 1
    assert limited.in_flight == 0


def test_a_failing_call_gives_its_place_back(name: str) -> None:
    """Its exception passes unchanged."""
    limited = bulkhead(1, name=name)

    @limited
    def fail() -> None:
        raise ConnectionError("lost")

    for _ in range(3):
        with pytest.raises(ConnectionError, match="lost"):
            fail()
    assert limited.in_flight == 0


def test_it_is_named_by_hand_or_after_the_first_function() -> None:
    """Or, where there is none, after what it is."""

    def fetch_orders() -> None:
        pass

    limited = bulkhead(1)
    assert limited.name is None
    limited.call(fetch_orders)
    limited.call(lambda: None)
    assert limited.name.endswith("fetch_orders")
    unnamed = bulkhead(1)
    with unnamed:
        assert unnamed.name == "bulkhead"


def test_all_series_are_there_from_the_beginning(name: str) -> None:
    """At 0, so that the first event shows."""
    limited = bulkhead(3, name=name)
    assert set(reading(name).values()) == {0}
    assert repr(limited) == f"<Bulkhead '{name}' 0 of 3>"


def test_two_of_one_name_add_up_and_one_that_is_gone_leaves_its_counts(name: str) -> None:
    """Places add up too, so that use by limit is right."""
    first, second = bulkhead(2, name=name), bulkhead(3, name=name)
    with first, second:
        found = BULKHEADS.get(name).read()
        assert (found.in_flight, found.limit, found.calls[0]) == (2, 5, 2)
    del first, second
    gc.collect()
    found = BULKHEADS.get(name).read()
    assert (found.in_flight, found.limit, found.waiting, found.calls[0]) == (None, None, None, 2)


def test_what_is_decorated_keeps_it_alive(name: str) -> None:
    """Nobody has to hold the bulkhead itself."""

    @bulkhead(2, name=name)
    def work() -> None:
        pass

    gc.collect()
    assert BULKHEADS.get(name).read().limit == 2
    work()


def test_refusals_are_told_at_the_first_and_then_in_sums(name: str) -> None:
    """A storm of them is one event in thirty seconds."""
    clock = ManualClock()
    limited = bulkhead(1, name=name, clock=clock)

    def refused(times: int) -> None:
        for _ in range(times):
            with pytest.raises(BulkheadFullError), limited:
                pytest.fail("there is no place")

    with RecordingObserver() as seen, Busy(limited):
        refused(5)
        clock.advance(30)
        refused(1)
    assert seen.of(LimitReached) == [LimitReached("bulkhead", name, 1, 1), LimitReached("bulkhead", name, 5, 1)]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((0,), "limit must be a whole number of at least 1, not 0"),
        ((True,), "limit must be"),
        ((2.5,), "limit must be"),
        ((1, -1), "wait must be a finite number of seconds, at least 0, not -1"),
        ((1, float("inf")), "wait must be"),
        ((len,), r"bulkhead needs a limit: write @bulkhead\(8\)"),
    ],
)
def test_nonsense_is_refused(arguments: tuple, message: str) -> None:
    """With one error that names the argument."""
    with pytest.raises(ValueError, match=message):
        bulkhead(*arguments)


def test_it_refuses_to_be_pickled(name: str) -> None:
    """It counts calls of this process, which are none of another's."""
    with pytest.raises(TypeError, match="cannot be sent to another"):
        pickle.dumps(bulkhead(1, name=name))


def test_a_forked_child_has_the_places_that_the_parents_threads_held(name: str) -> None:
    """And a lock of its own, also when another thread held it; but not the place of the call that forked."""
    limited = bulkhead(3, name=name)
    core = limited.core()

    def work() -> None:
        with limited:
            busy.work()

    busy = Busy(bulkhead(2), 0)
    busy.threads = [threading.Thread(target=work), threading.Thread(target=limited.call(busy.work))]
    for thread in busy.threads:
        thread.start()
    with busy, limited:
        core._lock.acquire()
        held = threading.Thread(target=core._lock.acquire)  # waits, so that the lock has a queue as well
        held.start()
        child = multiprocessing.get_context("fork").Process(target=_in_child, args=(limited,))
        child.start()
        core._lock.release()
        child.join(PATIENCE)
        held.join(PATIENCE)
        core._lock = threading.RLock()
    assert child.exitcode == 0


def _in_child(limited: Bulkhead) -> None:
    with Busy(limited, 2):
        full = limited.in_flight == 3
    mine = limited.in_flight == 1
    limited.__exit__(None, None, None)  # that of the block in which the parent forked
    os._exit(0 if full and mine and limited.in_flight == 0 else 1)
