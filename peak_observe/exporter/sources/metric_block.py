"""Metric block: samples of one family as text, on their way from a source to `/metrics`."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping


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
    lines: list[str]
    exemplars: Mapping[str, str] = MappingProxyType({})
