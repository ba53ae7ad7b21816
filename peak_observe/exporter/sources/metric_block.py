"""Metric block: samples of one family as text, on their way from a source to `/metrics`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from types import MappingProxyType
from typing import NamedTuple, overload


class JoinedLines(Sequence[str]):
    """Sample lines in texts of many, which take half of the memory of single ones.

    Args:
        texts: Lines joined by newlines, without one at the end.
    """

    def __init__(self, texts: list[str]) -> None:
        self.texts = texts

    def __iter__(self) -> Iterator[str]:
        for text in self.texts:
            yield from text.split("\n")

    def __len__(self) -> int:
        return sum(text.count("\n") + 1 for text in self.texts)

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> list[str]: ...
    def __getitem__(self, index: int | slice) -> str | list[str]:
        if isinstance(index, int) and index >= 0:
            return next(islice(self, index, None))
        return list(self)[index]


class Block(NamedTuple):
    """Samples of one family from one source.

    Args:
        name: The family's full name as the catalogue writes it: a counter with `_total`, a histogram without suffix.
        kind: `counter`, `gauge`, `histogram`, `summary` or `untyped`.
        help: One sentence.
        lines: Sample lines without exemplars and without newline, as both formats write them, for instance
            `peak_breaker_calls_total{breaker="x",outcome="success",process="bot-a"} 3.0`.
        exemplars: Exemplars for the OpenMetrics format, by the sample lines up to their values.
    """

    name: str
    kind: str
    help: str
    lines: Sequence[str]
    exemplars: Mapping[str, str] = MappingProxyType({})

    @property
    def text(self) -> str:
        """All lines, each with a newline."""
        texts = self.lines.texts if isinstance(self.lines, JoinedLines) else self.lines
        return "\n".join([*texts, ""])
