"""Counts lose nothing between threads, and names and memory have bounds."""

import gc
import sys
import threading
from collections.abc import Callable

import pytest

from peak_observe import CircuitBreaker, NamesOverflowed, get_breaker, retry_with_backoff
from peak_observe.measures import (
    BREAKERS,
    EXCEPTION_LIMIT,
    NAME_LIMIT,
    OTHER,
    OVERFLOW,
    RETRIES,
    BreakerReading,
    CallCounts,
    Names,
    Series,
    Ticker,
)
from peak_observe.testing import RecordingObserver

THREADS = 64
CALLS = 500


@pytest.fixture
def hasty_switching() -> None:
    """Switch threads as often as the interpreter can."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def in_threads(work: Callable[[], None]) -> None:
    """Run `work` in 64 threads that begin together."""
    barrier = threading.Barrier(THREADS)

    def run() -> None:
        barrier.wait()
        work()

    threads = [threading.Thread(target=run) for _ in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


@pytest.mark.usefixtures("hasty_switching")
def test_64_threads_lose_no_successful_call() -> None:
    """Calls, buckets and first tries add up while somebody reads all the time."""
    breaker = CircuitBreaker(name="measures.success")
    protected = breaker.call(retry_with_backoff(name="measures.success")(lambda: None))
    done = threading.Event()

    def read() -> None:
        while not done.is_set():
            BREAKERS.get("measures.success").read()
            RETRIES.get("measures.success").read()

    reader = threading.Thread(target=read)
    reader.start()
    in_threads(lambda: [protected() for _ in range(CALLS)])
    done.set()
    reader.join()
    reading = BREAKERS.get("measures.success").read()
    assert reading.calls == [THREADS * CALLS, 0, 0, 0]
    assert sum(reading.buckets) == THREADS * CALLS
    assert RETRIES.get("measures.success").read().calls[0] == THREADS * CALLS


@pytest.mark.usefixtures("hasty_switching")
def test_64_threads_lose_no_failed_call() -> None:
    """Failures are counted under the lock, each of them."""
    breaker = CircuitBreaker(failure_threshold=10**9, name="measures.failure")

    @breaker.call
    @retry_with_backoff(max_attempts=2, base_delay=0, name="measures.failure")
    def fail() -> None:
        raise ValueError

    def work() -> None:
        for _ in range(CALLS // 10):
            with pytest.raises(ValueError):
                fail()

    in_threads(work)
    total = THREADS * (CALLS // 10)
    retries = RETRIES.get("measures.failure").read()
    assert BREAKERS.get("measures.failure").read().calls == [0, total, 0, 0]
    assert breaker.stats.failure_count == total
    assert (retries.calls[2], retries.retries, retries.errors) == (total, total, {"ValueError": 2 * total})


def test_reading_a_ticker_does_not_count() -> None:
    """Reads take tickets too, which are taken off again."""
    ticker = Ticker()
    assert [ticker.value() for _ in range(3)] == [0, 0, 0]
    ticker.tick()
    ticker.tick()
    assert [ticker.value() for _ in range(3)] == [2, 2, 2]


def test_durations_fall_into_their_buckets() -> None:
    """A bound belongs to its bucket, as Prometheus has it (`le`)."""
    counts = CallCounts((0.1, 1.0))
    counts.pending.extend([0.1, 0.100001, 1.0, 5.0])
    counts.fold()
    assert counts.buckets == [1, 2, 1]
    assert counts.outcomes[0] == 4
    assert counts.duration_sum == pytest.approx(6.200001)
    assert counts.pending == []


def test_folding_nothing_changes_nothing() -> None:
    """A quiet breaker costs a read no new lists."""
    counts = CallCounts()
    before = counts.buckets
    counts.fold()
    assert counts.buckets is before


def test_a_reading_does_not_change_when_calls_go_on() -> None:
    """Lists are replaced, so an old reading stays what it was."""
    breaker = CircuitBreaker(name="measures.frozen")
    with breaker:
        pass
    before = BREAKERS.get("measures.frozen").read()
    calls, buckets = before.calls, list(before.buckets)
    with breaker:
        pass
    assert (before.calls, before.buckets) == (calls, buckets)
    assert calls[0] == 1


def test_breakers_of_one_name_add_up() -> None:
    """Calls and changes of all breakers of a name are one series."""
    one, two = CircuitBreaker(name="measures.shared"), CircuitBreaker(name="measures.shared")
    for breaker in (one, one, two):
        with breaker:
            pass
    assert BREAKERS.get("measures.shared").read().calls[0] == 3


def test_the_most_open_breaker_of_a_name_shows() -> None:
    """A closed breaker does not hide its open namesake, whichever is older."""
    open_one = CircuitBreaker(1, name="measures.severity")
    closed_one = CircuitBreaker(1, name="measures.severity")
    with pytest.raises(ValueError), open_one:
        raise ValueError
    assert BREAKERS.get("measures.severity").read().state == 1
    assert closed_one.state.value == "closed"


def test_the_dead_keep_their_counts_and_lose_their_state() -> None:
    """Counters never fall because a breaker was collected."""
    breaker = CircuitBreaker(1, name="measures.dead")
    with pytest.raises(ValueError), breaker:
        raise ValueError
    assert BREAKERS.get("measures.dead").read().state == 1
    del breaker
    gc.collect()
    reading = BREAKERS.get("measures.dead").read()
    assert reading.state is None
    assert reading.calls == [0, 1, 0, 0]
    assert reading.transitions[1] == 1


def test_breakers_that_come_and_go_leave_a_bounded_rest() -> None:
    """A client that makes a breaker a day, or a thousand an hour, fills no memory."""
    for _ in range(5000):
        with CircuitBreaker(name="measures.many"):
            pass
    series = BREAKERS.get("measures.many")
    assert len(series._members) < 100
    assert series.read().calls[0] == 5000
    assert series.owners() == []


class FakeReading:
    """A reading that only counts."""

    def __init__(self, count: int) -> None:
        self.count = count

    def add(self, other: "FakeReading") -> None:
        """Take in another count."""
        self.count += other.count

    def retire(self) -> None:
        """Forget nothing."""


def test_names_past_the_limit_share_one_series_with_one_warning() -> None:
    """The first name that finds no place is told of; later ones are not."""
    names: Names[FakeReading] = Names("order", limit=2)
    with RecordingObserver() as seen:
        series = [names.series(f"order-{i}") for i in range(5)]
    assert [s.name for s in series] == ["order-0", "order-1", OVERFLOW, OVERFLOW, OVERFLOW]
    assert seen.events == [NamesOverflowed("order", "order-2", 2)]
    assert names.series("order-1") is series[1]


def test_the_limit_is_a_thousand() -> None:
    """DESIGN promises it, for breakers and operations alike."""
    assert NAME_LIMIT == BREAKERS.limit == RETRIES.limit == 1000


def test_an_overflowed_name_takes_any_buckets() -> None:
    """The shared series has the buckets of its first member; a newcomer is not refused."""
    names: Names[BreakerReading] = Names("breaker", limit=0)
    assert names.series("a", (1.0,)).bounds == (1.0,)
    assert names.series("b", (2.0,)).bounds == (1.0,)


def test_a_name_cannot_have_two_sets_of_buckets() -> None:
    """The error names both and says what to do."""
    names: Names[BreakerReading] = Names("breaker")
    names.series("a", (1.0,))
    with pytest.raises(ValueError, match=r"buckets of breaker 'a' are \(1\.0,\) already"):
        names.series("a", (2.0,))


@pytest.mark.parametrize("name", ["", None, 7, "\ud800"])
def test_a_name_must_be_fit_for_a_label(name: object) -> None:
    """Empty names, other types and what UTF-8 cannot hold are refused."""
    with pytest.raises(ValueError, match="name"):
        Names("breaker").series(name)


def test_exception_classes_of_a_name_are_bounded() -> None:
    """Past 20 classes an operation's errors count as _other; known ones go on as themselves."""
    series: Series[FakeReading] = Series("x", ())
    labels = [series.exception_label(f"Error{i}") for i in range(EXCEPTION_LIMIT + 5)]
    assert labels[:EXCEPTION_LIMIT] == [f"Error{i}" for i in range(EXCEPTION_LIMIT)]
    assert set(labels[EXCEPTION_LIMIT:]) == {OTHER}
    assert series.exception_label("Error0") == "Error0"


def test_a_series_without_members_has_nothing_to_tell() -> None:
    """A name whose breaker was refused by its constructor makes no samples."""
    assert Series("x", ()).read() is None


def test_a_name_outlives_its_breakers() -> None:
    """Measures live as long as the process, breakers as long as somebody holds them."""
    CircuitBreaker(name="measures.gone")
    gc.collect()
    assert BREAKERS.get("measures.gone").read().calls == [0, 0, 0, 0]
    with pytest.raises(KeyError):
        get_breaker("measures.gone")
