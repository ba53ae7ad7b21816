"""Samples of a few families by name and labels, read from the text that `/metrics` serves."""

from __future__ import annotations

import re
from collections import defaultdict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from peak_observe.exporter.sources.merged_exposition import RenderedBlock

_PAIR = re.compile(r'([A-Za-z0-9_]+)="((?:[^"\\]|\\.)*)"')
_ESCAPED = re.compile(r"\\(.)")

Key = tuple[str, ...]
Values = dict[Key, float]


class Samples:
    """Samples of a few families, by name and labels."""

    def __init__(self, told: Iterable[RenderedBlock]) -> None:
        self._texts: dict[str, list[str]] = defaultdict(list)
        for block in told:
            self._texts[block.name].append(block.text.decode())

    def values(self, metric: str, *labels: str, sample: str = "", value: str = "", **wanted: str) -> Values:
        """Return values by the values of some labels; of several samples the last one counts.

        Args:
            metric: The family.
            labels: The labels that make the key.
            sample: A sample of the family that is called otherwise, such as a histogram's count.
            value: The only value that is wanted, as it is written; others cost nothing.
            wanted: Labels with the only values that are wanted.
        """
        line = re.compile(rf"^{sample or metric}(?:\{{(.*)\}})? ({re.escape(value) or '.*'})$", re.MULTILINE)
        found: Values = {}
        for text in self._texts.get(metric, ()):
            for match in line.finditer(text):
                pairs = {name: _ESCAPED.sub(_unescaped, told) for name, told in _PAIR.findall(match[1] or "")}
                if all(pairs.get(label) == one for label, one in wanted.items()):
                    found[tuple(pairs.get(label, "") for label in labels)] = float(match[2])
        return found


def _unescaped(match: re.Match[str]) -> str:
    return "\n" if match[1] == "n" else match[1]
