"""Many threads and tasks against one half-open breaker: never too many probes, none lost, every call counted."""

import asyncio
import logging
import random
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from contextvars import copy_context

import pytest

from peak_observe import CircuitBreaker, CircuitOpenError, CircuitState
from peak_observe.measures import BREAKERS

THREADS, TASKS = 64, 1000
PROBES = 3
ROUNDS = 10_000

pytestmark = pytest.mark.usefixtures("uncovered")


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """Write no log line for each of thousands of changes of state."""
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


@pytest.fixture(autouse=True)
def hasty_switching() -> Iterator[None]:
    """Switch threads far more often than usual."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(5e-6)
    yield
    sys.setswitchinterval(before)


def in_threads(work: Callable[[], None]) -> list[BaseException]:
    """Run `work` in 64 threads that begin together, and return what they raised."""
    barrier, raised = threading.Barrier(THREADS), []

    def run() -> None:
        barrier.wait()
        try:
            work()
        except BaseException as error:
            raised.append(error)

    threads = [threading.Thread(target=run) for _ in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return raised


class Probed:
    """A half-open breaker, and what is seen of the probes of each of its eras.

    Args:
        name: Its name.
    """

    def __init__(self, name: str) -> None:
        # It never closes, and is half-open again at once when a probe has failed: each failure ends a round.
        self.breaker = CircuitBreaker(
            1, 0.0, ConnectionError, name, half_open_calls=PROBES, success_threshold=10**9, probe_timeout=1e6
        )
        self.breaker.trip("test")
        self.lock = threading.Lock()
        self.in_flight: Counter[object] = Counter()
        self.most = 0
        self.counted: Counter[str] = Counter()

    @property
    def rounds(self) -> int:
        """How often it has become half-open."""
        return self.breaker._controller.circuit.period.entered[2]

    def begin(self) -> tuple[object, object] | None:
        """Ask for a permit, and note that a probe of its period is in flight; None if refused."""
        guard = self.breaker._guarded_call()
        try:
            guard.__enter__()
        except CircuitOpenError:
            with self.lock:
                self.counted["rejected"] += 1
            return None
        period = guard._permit.period
        with self.lock:
            self.in_flight[period] += 1
            self.most = max(self.most, self.in_flight[period])
        return guard, period

    def end(self, guard: object, period: object, outcome: str) -> None:
        """Let a probe end, after noting that it is no longer in flight."""
        error = {"success": None, "failure": ConnectionError(), "ignored": KeyError()}[outcome]
        with self.lock:
            self.in_flight[period] -= 1
            self.counted[outcome] += 1
        guard.__exit__(type(error) if error else None, error, None)

    def check(self) -> None:
        """Nothing sticks, nothing is lost, and never were too many in flight."""
        assert self.most == PROBES
        snapshot = self.breaker.snapshot()
        assert (snapshot.state, snapshot.probes) == (CircuitState.HALF_OPEN, 0)
        told = (snapshot.succeeded, snapshot.failed, snapshot.ignored, snapshot.rejected)
        assert told == tuple(self.counted[outcome] for outcome in ("success", "failure", "ignored", "rejected"))
        assert sum(BREAKERS.get(self.breaker.name).read().buckets) == sum(told[:3])
        self.breaker.configure(success_threshold=1)
        with self.breaker:
            pass
        assert self.breaker.state is CircuitState.CLOSED


OUTCOMES = ("success", "ignored", "failure", "failure")


def test_64_threads_never_pass_the_permits() -> None:
    """Ten thousand rounds of probes that succeed, fail or say nothing."""
    probed = Probed("races.threads")

    def work() -> None:
        choose = random.Random(threading.get_ident()).choice
        while probed.rounds < ROUNDS:
            begun = probed.begin()
            if begun is not None:
                probed.end(*begun, choose(OUTCOMES))

    assert in_threads(work) == []
    assert probed.rounds >= ROUNDS
    probed.check()


def test_1000_tasks_never_pass_the_permits() -> None:
    """Ten thousand rounds again, of which some probes wait for others and some do not."""
    probed = Probed("races.tasks")
    chance = random.Random(7)

    async def work() -> None:
        while probed.rounds < ROUNDS:
            begun = probed.begin()
            if begun is None or chance.random() < 0.1:
                await asyncio.sleep(0)
            if begun is not None:
                probed.end(*begun, chance.choice(OUTCOMES))

    async def main() -> None:
        await asyncio.gather(*(work() for _ in range(TASKS)))

    asyncio.run(main())
    assert probed.rounds >= ROUNDS
    probed.check()


def test_cancelled_tasks_give_their_permits_back() -> None:
    """A thousand probes, all cancelled while under way."""
    breaker = CircuitBreaker(1, 0.0, name="races.cancelled", half_open_calls=TASKS)
    breaker.trip("test")

    @breaker.call
    async def hang() -> None:
        await asyncio.Event().wait()

    async def main() -> int:
        tasks = [asyncio.create_task(hang()) for _ in range(TASKS)]
        await asyncio.sleep(0)
        under_way = breaker.snapshot().probes
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        return under_way

    assert asyncio.run(main()) == TASKS
    assert (breaker.snapshot().probes, breaker.snapshot().ignored) == (0, TASKS)


def test_late_answers_of_earlier_eras_change_nothing() -> None:
    """Whatever 64 threads have to say about the time before the circuit opened, probed and closed."""
    breaker = CircuitBreaker(3, 0.0, ConnectionError, "races.late")
    late = [breaker._guarded_call() for _ in range(THREADS * 100)]
    for guard in late:
        copy_context().run(guard.__enter__)
    breaker.trip("test")
    with breaker:
        pass
    before = breaker.snapshot()

    def work() -> None:
        for _ in range(100):
            guard = late.pop()
            error = random.choice([None, ConnectionError(), KeyError()])
            guard.__exit__(type(error) if error else None, error, None)

    assert in_threads(work) == []
    after = breaker.snapshot()
    assert (after.state, after.since.timestamp(), after.entered) == (
        CircuitState.CLOSED,
        pytest.approx(before.since.timestamp(), abs=1),
        before.entered,
    )
    assert (after.failures, after.probes) == (0, 0)
    assert after.succeeded + after.failed + after.ignored == THREADS * 100 + 1


def test_windows_count_exactly_between_threads() -> None:
    """Successes without a lock and failures with one add up, while somebody changes the window's size."""
    breaker = CircuitBreaker(name="races.window", window=60_000, failure_ratio=1.0, minimum_calls=50_000)

    @breaker.call
    def sometimes(number: int) -> None:
        if number % 5 == 0:
            raise ConnectionError

    def work() -> None:
        for number in range(400):
            with suppress(ConnectionError):
                sometimes(number)
            if number % 100 == 50:
                breaker.configure(window=50_000 + number)

    assert in_threads(work) == []
    snapshot = breaker.snapshot()
    assert (snapshot.window_calls, snapshot.failures) == (THREADS * 400, THREADS * 80)
    assert (snapshot.succeeded, snapshot.failed) == (THREADS * 320, THREADS * 80)


def test_overrides_and_calls_from_everywhere_lose_no_call() -> None:
    """Somebody forces, disables, resets and trips all the time."""
    breaker = CircuitBreaker(5, 0.0, ConnectionError, "races.overrides", half_open_calls=2)
    ended: Counter[str] = Counter()
    lock = threading.Lock()

    @breaker.call
    def work_on(number: int) -> None:
        if number % 3 == 0:
            raise ConnectionError

    def work() -> None:
        mine: Counter[str] = Counter()
        actions = (breaker.force_open, breaker.disable, breaker.reset, lambda: breaker.trip("test"), breaker.snapshot)
        for number in range(300):
            try:
                work_on(number)
                mine["success"] += 1
            except ConnectionError:
                mine["failure"] += 1
            except CircuitOpenError:
                mine["rejected"] += 1
            if number % 10 == 0:
                actions[number // 10 % len(actions)]()
        with lock:
            ended.update(mine)

    assert in_threads(work) == []
    snapshot = breaker.snapshot()
    assert (snapshot.succeeded, snapshot.failed, snapshot.rejected) == tuple(
        ended[outcome] for outcome in ("success", "failure", "rejected")
    )
    assert snapshot.probes == 0
