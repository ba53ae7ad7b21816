"""Work that another thread does ahead."""

import threading
from contextlib import closing

import pytest

from peak_observe.backup_recovery.files.workers import BATCH, BATCHES_AHEAD, ahead


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
