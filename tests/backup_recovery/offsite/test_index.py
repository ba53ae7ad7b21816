"""The index of a store."""

import pytest

from peak_observe.backup_recovery.offsite.index import VERSION, Index, IndexFile, Place, Stored

OBJECT, A, B, FILE = (bytes([number]) * 32 for number in range(4))
STORED = Stored(OBJECT, 100, 90, [(A, 30), (B, 70)])


def index(*objects: Stored, present: dict[str, int] | None = None, files: dict[bytes, bytes] | None = None) -> Index:
    """Return an index of some objects."""
    made = Index(present)
    made.add(IndexFile(VERSION, list(objects), files or {}))
    return made


def test_index_comes_back() -> None:
    """What is encoded is decoded as it was."""
    file = IndexFile(VERSION, [STORED], {FILE: A + B})
    assert IndexFile.decode(file.encode()) == file


def test_index_of_a_later_version_is_refused() -> None:
    """An older program does not guess what a newer one has written."""
    with pytest.raises(ValueError, match="a newer peak-observe wrote it"):
        IndexFile.decode(IndexFile(VERSION + 1, [], {}).encode())


def test_places_follow_each_other() -> None:
    """A piece begins where the one before it ends."""
    found = index(STORED)
    assert (found.place(A), found.place(B), found.place(FILE)) == (Place(OBJECT, 0, 30), Place(OBJECT, 30, 70), None)


@pytest.mark.parametrize("present", [{}, {OBJECT.hex(): 89}])
def test_object_that_is_gone_or_cut_is_not_there(present: dict[str, int]) -> None:
    """What a push would rely on is written anew if its object is missing or has another size."""
    assert index(STORED, present=present).place(A) is None


def test_pieces_of_a_split_file() -> None:
    """A file that was not split is its own piece."""
    found = index(STORED, files={FILE: A + B})
    assert (found.pieces(FILE), found.pieces(A)) == ([A, B], [A])


def test_object_of_which_little_is_used_is_thin() -> None:
    """What less than half of it is used of is written anew, so that the rest can go."""
    found = index(STORED)
    assert found.thin([A]) == {OBJECT}
    assert found.thin([A, A]) == {OBJECT}
    assert found.thin([B]) == set()
    assert found.thin([FILE]) == set()
