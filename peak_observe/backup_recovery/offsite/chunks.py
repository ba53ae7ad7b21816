"""Chunks of large files, by content where a compiled FastCDC is there, else of one size.

FastCDC (Xia et al., USENIX ATC 2016) finds the same chunks behind an insertion, as in a dump. `fastcdc` has it compiled
for some versions of Python; its plain Python form is slower than any network, so there the chunks have one size. That
serves databases, which write their pages in place, and logs, which grow at their end.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import BinaryIO

SPLIT_ABOVE = 8 << 20  # bytes; half of what an object holds, so that few large files do not fill the memory
LEAST, AVERAGE, MOST = 256 << 10, 1 << 20, 4 << 20

Cut = Callable[[memoryview], Iterator[int]]


def chunks(file: BinaryIO, size: int, cut: Cut | None = None) -> Iterator[memoryview]:
    """Yield the chunks of a file, in their order; each is valid until the next one.

    Args:
        file: The file, open for reading.
        size: Its bytes, as they should be.
        cut: Yields the lengths of the chunks of what is left of a file; the best there is by default.
    """
    if size <= SPLIT_ABOVE:
        yield from (memoryview(content) for content in [file.read(size + 1)] if content)
        return
    cut = cut or best_cut()
    left, ended = b"", False
    while not ended:
        # Not mapped into memory: a read error would then end the program.
        more = file.read(4 * MOST)
        ended = not more
        window = memoryview(left + more)
        at = 0
        for length in cut(window):
            if len(window) - at < MOST and not ended:
                break  # where it ends may depend on what comes
            yield window[at : at + length]
            at += length
        left = bytes(window[at:])


def best_cut() -> Cut:
    """Return the best cut there is on this Python."""
    try:
        from fastcdc.fastcdc_cy import fastcdc_cy  # type: ignore[import-untyped, unused-ignore] # it has no types
    except ImportError:
        return fixed_cut
    return lambda window: (chunk.length for chunk in fastcdc_cy(window, LEAST, AVERAGE, MOST))


def fixed_cut(window: memoryview) -> Iterator[int]:
    """Yield lengths of one size, and of what is left."""
    for start in range(0, len(window), AVERAGE):
        yield min(AVERAGE, len(window) - start)
