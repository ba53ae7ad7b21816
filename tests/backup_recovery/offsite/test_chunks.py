"""Chunks of large files."""

import io
import random

import pytest

from peak_observe.backup_recovery.offsite import chunks as module
from peak_observe.backup_recovery.offsite.chunks import MOST, SPLIT_ABOVE, best_cut, chunks, fixed_cut

CUTS = {"best": best_cut(), "fixed": fixed_cut}


def cut(content: bytes, way: str) -> list[bytes]:
    """Return the chunks of some content."""
    return [bytes(chunk) for chunk in chunks(io.BytesIO(content), len(content), CUTS[way])]


@pytest.mark.parametrize("way", CUTS)
@pytest.mark.parametrize("size", [0, 1, SPLIT_ABOVE, SPLIT_ABOVE + 1, 4 * MOST, 4 * MOST + 1])
def test_chunks_are_the_whole_file(way: str, size: int) -> None:
    """Whatever its size, the chunks one after another are the file, and none is larger than the memory allows."""
    content = random.Random(size).randbytes(size)
    found = cut(content, way)
    assert b"".join(found) == content
    assert all(0 < len(chunk) <= SPLIT_ABOVE for chunk in found)


def test_small_file_is_one_chunk() -> None:
    """A file is not split before it is larger than the bound."""
    assert len(cut(bytes(SPLIT_ABOVE), "best")) == 1


def test_insertion_changes_few_chunks() -> None:
    """Chunks by content are found again behind an insertion; those of one size are not."""
    pytest.importorskip("fastcdc.fastcdc_cy")
    before = random.Random(7).randbytes(24 << 20)
    after = before[: 5 << 20] + b"inserted" + before[5 << 20 :]
    sent = sum(len(chunk) for chunk in set(cut(after, "best")) - set(cut(before, "best")))
    assert sent < 2 * MOST
    assert len(set(cut(after, "fixed")) - set(cut(before, "fixed"))) > 15


def test_change_in_place_changes_one_fixed_chunk() -> None:
    """A database writes its pages in place, so chunks of one size serve it."""
    before = bytearray(random.Random(8).randbytes(12 << 20))
    after = bytearray(before)
    after[7 << 20] ^= 1
    assert len(set(cut(bytes(after), "fixed")) - set(cut(bytes(before), "fixed"))) == 1


def test_file_that_grew_is_read_beyond_its_size() -> None:
    """A small file with more bytes than it should have shows them, so that the check of its hash fails."""
    assert b"".join(bytes(chunk) for chunk in module.chunks(io.BytesIO(b"abc"), 2)) == b"abc"
