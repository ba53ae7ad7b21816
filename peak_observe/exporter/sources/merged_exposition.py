"""Merged exposition: the blocks of all sources as the text of one `/metrics`, in both formats.

Lines come ready from their sources, so a scrape joins what it has. What did not change since the last scrape is
neither joined nor compressed again: only the exporter's own few lines at the end are new each time.
"""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, NamedTuple

from peak_observe import catalog
from peak_observe.support.loggers import logger
from peak_observe.telemetry.metrics.text_format import header, is_chosen

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping

    from peak_observe.exporter.sources.metric_block import Block

CHUNK = 32_768
GZIP = 16 + zlib.MAX_WBITS
OWN = "peak_exporter_"
UNTYPED = "untyped"
_ORDER = {metric.name: number for number, metric in enumerate(catalog.METRICS)}
_log = logger("peak_observe.exporter")


class RenderedBlock(NamedTuple):
    """Metric block with its lines joined to one text, and to a second one for OpenMetrics where it has exemplars."""

    name: str
    kind: str
    help: str
    text: bytes
    with_exemplars: bytes = b""


def rendered(blocks: Iterable[Block]) -> tuple[RenderedBlock, ...]:
    """Return blocks with their lines as texts; those without lines are left out."""
    return tuple(
        RenderedBlock(block.name, block.kind, block.help, block.text.encode(), _with_exemplars(block))
        for block in blocks
        if block.lines
    )


def _text(lines: list[str]) -> bytes:
    return "\n".join([*lines, ""]).encode()


def _with_exemplars(block: Block) -> bytes:
    if not block.exemplars:
        return b""
    found = [(line, block.exemplars.get(line.rpartition(" ")[0])) for line in block.lines]
    return _text([f"{line} # {exemplar}" if exemplar else line for line, exemplar in found])


class Family(NamedTuple):
    """Metric family with the lines of all sources that have some."""

    name: str
    kind: str
    help: str
    blocks: list[RenderedBlock]

    def text(self, *, openmetrics: bool) -> bytes:
        """Return header and samples."""
        kind = _openmetrics_kind(self.name, self.kind) if openmetrics else self.kind
        texts = [(openmetrics and block.with_exemplars) or block.text for block in self.blocks]
        return b"".join([header(self.name, kind, self.help, openmetrics=openmetrics), *texts])


def _openmetrics_kind(name: str, kind: str) -> str:
    # In OpenMetrics a counter has to be called so.
    return "unknown" if kind == UNTYPED or (kind == "counter" and not name.endswith("_total")) else kind


def merged(told: Mapping[str, Iterable[RenderedBlock]]) -> list[Family]:
    """Return the families of all sources: those of the catalogue in its order, the others by name.

    What a source tells of a family that another one knows as another kind, or that is the exporter's own, is left out.
    """
    families: dict[str, Family] = {}
    for source, found in told.items():
        for block in found:
            family = families.setdefault(block.name, Family(block.name, block.kind, block.help, []))
            if family.kind == block.kind and not block.name.startswith(OWN):
                family.blocks.append(block)
            else:
                _log.debug("%s of source %s is left out: it is known as %s", block.name, source, family.kind)
    last = len(_ORDER)
    known = (family for family in families.values() if family.blocks)
    return sorted(known, key=lambda family: (_ORDER.get(family.name, last), family.name))


def own(blocks: Iterable[Block]) -> list[Family]:
    """Return the exporter's own families."""
    return [Family(told.name, told.kind, told.help, [told]) for told in rendered(blocks)]


def chosen(families: Iterable[Family], names: Collection[str]) -> Iterator[Family]:
    """Yield the families that one of the names means: a family's own, or that of its samples."""
    for family in families:
        if is_chosen(family.name, family.kind, names):
            yield family


class Body(NamedTuple):
    """Body of a response: pieces of one text, which many responses share."""

    pieces: list[bytes | memoryview]
    gzipped: bool

    @property
    def length(self) -> int:
        """Bytes in all."""
        return sum(map(len, self.pieces))


class Text:
    """Text of a set of families, plain and compressed, cached while the families stay the same.

    Args:
        families: What it shows.
        openmetrics: The format.
    """

    def __init__(self, families: Iterable[Family], *, openmetrics: bool) -> None:
        text = b"".join([family.text(openmetrics=openmetrics) for family in families])
        self._pieces = _pieces(text)
        self._packed: tuple[list[bytes | memoryview], zlib._Compress] | None = None

    @property
    def packed(self) -> bool:
        """Return whether it is compressed already."""
        return self._packed is not None

    def whole(self, tail: bytes) -> Body:
        """Return it with an end that is new."""
        return Body([*self._pieces, tail], gzipped=False)

    def compressed(self, tail: bytes) -> Body:
        """Return the same as one gzip stream; the first call does the work, for one thread at a time."""
        if self._packed is None:
            stream = zlib.compressobj(1, zlib.DEFLATED, GZIP)
            self._packed = _pieces(b"".join(map(stream.compress, self._pieces))), stream
        pieces, stream = self._packed
        stream = stream.copy()
        return Body([*pieces, stream.compress(tail) + stream.flush()], gzipped=True)


def _pieces(text: bytes) -> list[bytes | memoryview]:
    # Views of one block: the system gets it back as a whole, where thousands of pieces would leave holes in the heap.
    view = memoryview(text)
    return [view[start : start + CHUNK] for start in range(0, len(text), CHUNK)]
