"""Work that another thread does ahead, or beside."""

import threading
from contextlib import closing

import pytest

from peak_observe.backup_recovery.files.workers import BATCH, BATCHES_AHEAD, ahead, beside


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("count", [0, 1, BATCH, BATCH * BATCHES_AHEAD + 1, BATCH * 7 + 3])
def test_everything_comes_in_its_order(count: int, workers: int) -> None:
    """However many batches that are."""
    assert list(ahead(lambda item: item * 2, range(count), workers)) == [item * 2 for item in range(count)]


def test_no_more_is_read_than_a_few_batches() -> None:
    """All files of a backup would not fit into memory."""
    read: list[int] = []
    with closing(ahead(read.append, range(10_000), 2)) as made:
        next(made)
    assert len(read) <= BATCH * (BATCHES_AHEAD + 1)


def test_another_thread_does_it() -> None:
    """This one writes meanwhile; it ends when nobody wants more."""
    with closing(ahead(lambda _: threading.current_thread(), range(10_000), 2)) as made:
        thread = next(made)
    assert thread is not threading.current_thread()
    assert not thread.is_alive()


@pytest.mark.parametrize("workers", [1, 2])
def test_an_error_comes_through(workers: int) -> None:
    """As if this thread had met it."""

    def read(item: int) -> int:
        if item == BATCH * 5:
            raise ValueError("changed while it was read")
        return item

    with pytest.raises(ValueError, match="changed while it was read"):
        list(ahead(read, range(10_000), workers))


def test_another_thread_works_beside_the_block() -> None:
    """Which it outlives by no moment."""
    began, may_end, threads = threading.Event(), threading.Event(), []

    def work() -> None:
        threads.append(threading.current_thread())
        began.set()
        assert may_end.wait(10)

    with beside(work, 2):
        assert began.wait(10)
        may_end.set()
    assert threads[0] is not threading.current_thread()
    assert not threads[0].is_alive()


def test_an_error_beside_the_block_comes_through_at_its_end() -> None:
    """A disk that fails is not passed over."""
    reached = []

    def fail() -> None:
        raise OSError(5, "Input/output error")

    with pytest.raises(OSError, match="Input/output error"), beside(fail, 2):
        reached.append(True)
    assert reached


def test_an_error_of_the_block_comes_first() -> None:
    """The other thread is waited for all the same."""
    may_end, ended = threading.Event(), threading.Event()

    def work() -> None:
        assert may_end.wait(10)
        ended.set()
        raise OSError(5, "Input/output error")

    with pytest.raises(ValueError, match="of the block"), beside(work, 2):
        may_end.set()
        raise ValueError("of the block")
    assert ended.is_set()


def test_where_no_thread_can_be_started_the_block_runs_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """As at the interpreter's end, or where the user has no process left."""

    def start(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", start)
    reached, worked = [], []
    with beside(lambda: worked.append(True), 2):
        reached.append(True)
    assert reached
    assert not worked


def test_with_one_worker_the_block_runs_alone() -> None:
    """Where there is one processor only."""
    worked: list[bool] = []
    with beside(lambda: worked.append(True), 1):
        pass
    assert not worked
