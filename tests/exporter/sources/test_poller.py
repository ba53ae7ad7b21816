"""One source under watch: what it tells, and what is said of it when it fails, hangs or is late."""

import threading

import pytest

from peak_observe.exporter.sources.metric_block import Block
from peak_observe.exporter.sources.poller import SourcePoller
from peak_observe.testing import ManualClock

BLOCK = Block("peak_test", "gauge", "A test.", ["peak_test 1.0"])
PATIENCE = 120.0


class Source:
    """A source that does as it is told."""

    name = "test"

    def __init__(self, clock: ManualClock) -> None:
        self.clock = clock
        self.blocks = [BLOCK]
        self.error: BaseException | None = None
        self.seconds = 0.0

    def collect(self) -> list[Block]:
        """Take a while, then answer or raise."""
        self.clock.advance(self.seconds)
        if self.error is not None:
            raise self.error
        return list(self.blocks)


class Hanging(Source):
    """A source that hangs until it is let go."""

    def __init__(self, clock: ManualClock) -> None:
        super().__init__(clock)
        self.began, self.go = threading.Event(), threading.Event()
        self.calls = 0

    def collect(self) -> list[Block]:
        """Hang."""
        self.calls += 1
        self.began.set()
        assert self.go.wait(PATIENCE)
        return super().collect()


@pytest.fixture
def clock() -> ManualClock:
    """Time that stands still."""
    return ManualClock()


@pytest.fixture
def source(clock: ManualClock) -> Source:
    """A source that answers at once."""
    return Source(clock)


@pytest.fixture
def watcher(source: Source, clock: ManualClock) -> SourcePoller:
    """A watcher that no thread runs."""
    return SourcePoller(source, interval=5, timeout=10, clock=clock)


def test_nothing_is_known_before_the_first_run(watcher: SourcePoller) -> None:
    """Neither up nor down."""
    assert watcher.status() == (None, (), 0.0, 0.0, (0, 0, 0), "")


def test_a_run_tells_blocks_duration_and_time(watcher: SourcePoller, source: Source, clock: ManualClock) -> None:
    """And counts as a success."""
    source.seconds = 2.0
    watcher.run()
    status = watcher.status()
    assert [(told.name, told.text) for told in status.told] == [("peak_test", b"peak_test 1.0\n")]
    assert (status.up, status.duration, status.runs) == (True, pytest.approx(2.0), (1, 0, 0))
    assert status.last_success == clock.now().timestamp()


def test_what_did_not_change_is_the_same_object(watcher: SourcePoller, source: Source) -> None:
    """By which a scrape knows that nothing has to be joined anew."""
    watcher.run()
    first = watcher.status().told
    watcher.run()
    assert watcher.status().told is first
    source.blocks = [BLOCK._replace(lines=["peak_test 2.0"])]
    watcher.run()
    assert watcher.status().told is not first


@pytest.mark.parametrize("error", [ValueError("token=abc"), SystemExit(3), KeyboardInterrupt()])
def test_a_source_that_raises_has_nothing_to_tell(watcher: SourcePoller, source: Source, error: BaseException) -> None:
    """An old value would look like a new one; the reason is kept, without secrets, and the next run may succeed."""
    watcher.run()
    last_success = watcher.status().last_success
    source.error = error
    watcher.run()
    status = watcher.status()
    assert (status.up, status.told, status.runs, status.last_success) == (False, (), (1, 1, 0), last_success)
    assert status.problem.startswith(type(error).__name__)
    assert "abc" not in status.problem
    source.error = None
    watcher.run()
    assert (watcher.status().up, watcher.status().problem) == (True, "")


def test_samples_that_are_none_are_an_error_of_the_source(watcher: SourcePoller, source: Source) -> None:
    """A source that tells nonsense breaks itself alone."""
    source.blocks = [BLOCK._replace(lines=[None])]  # type: ignore[list-item] # rubbish on purpose
    watcher.run()
    assert (watcher.status().up, watcher.status().runs) == (False, (0, 1, 0))


def test_what_comes_too_late_is_dropped(watcher: SourcePoller, source: Source) -> None:
    """A run over its timeout has failed, whatever it tells."""
    source.seconds = 10.0
    watcher.run()
    status = watcher.status()
    assert (status.up, status.told, status.runs) == (False, (), (0, 0, 1))
    assert status.problem == "it took 10.0 s of 10 s"


def test_a_source_that_hangs_is_down_from_its_timeout_on(clock: ManualClock) -> None:
    """Its last word counts until then; one thread waits for it, and counts it once."""
    source = Hanging(clock)
    source.go.set()
    watcher = SourcePoller(source, interval=0.01, timeout=10, clock=clock)
    watcher.run()
    source.go.clear()
    source.began.clear()
    before = threading.active_count()
    watcher.start()
    assert source.began.wait(PATIENCE)
    assert watcher.status().up is True
    clock.advance(11)
    for _ in range(5):
        watcher.start()
        status = watcher.status()
    assert (status.up, status.told, status.runs, status.duration) == (False, (), (1, 0, 1), pytest.approx(11.0))
    assert status.problem == "no answer within 10 s; it is asked again when it has ended"
    assert threading.active_count() == before + 1
    assert source.calls == 2
    watcher.stop()
    source.go.set()
    watcher._thread.join(PATIENCE)
    assert watcher.status().runs == (1, 0, 1)


def test_it_is_asked_again_after_the_interval(clock: ManualClock) -> None:
    """Until it is stopped."""
    runs = threading.Semaphore(0)

    class Counting(Source):
        def collect(self) -> list[Block]:
            runs.release()
            return super().collect()

    watcher = SourcePoller(Counting(clock), interval=0.001, timeout=10, clock=clock)
    watcher.start()
    for _ in range(3):
        assert runs.acquire(timeout=PATIENCE)
    watcher.stop()
    watcher._thread.join(PATIENCE)
    assert not watcher.alive
    watcher.start()
    assert not watcher.alive


def test_a_system_without_threads_is_a_problem_that_passes(
    watcher: SourcePoller, source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is said, and `start` tries again."""

    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        watcher.start()
    assert (watcher.status().up, watcher.status().problem) == (False, "can't start new thread")
    asked = threading.Event()
    source.collect = lambda: asked.set() or [BLOCK]  # type: ignore[method-assign] # a stand-in
    watcher.start()
    assert asked.wait(PATIENCE)
    watcher.stop()
