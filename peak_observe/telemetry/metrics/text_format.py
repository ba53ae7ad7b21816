"""Prometheus and OpenMetrics text format: the one writer and escaper of numbers, sample lines and headers.

Source: the exposition formats of Prometheus (text format 0.0.4) and the OpenMetrics specification 1.0. The bytes are
those that prometheus_client writes.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from prometheus_client.utils import floatToGoString

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

MILLION = 1e6
SUFFIXES = ("_bucket", "_count", "_sum")
_HELP = str.maketrans({"\\": r"\\", "\n": r"\n"})
_QUOTED = str.maketrans({"\\": r"\\", "\n": r"\n", '"': r"\""})


def number(value: float) -> str:
    """Return a sample value as text: with an exponent from a million on, as Go writes it and `repr` does not."""
    if value < MILLION:
        return repr(float(value))
    text: str = floatToGoString(value)  # type: ignore[no-untyped-call] # the library's helpers have no types
    return text


def numbers(values: Sequence[float]) -> tuple[float | str, ...]:
    """Return sample values for `%s`, which writes a float below a million as `number` does."""
    # A sum is below a million only if all are, as just gauges of one value go below 0; with a NaN it never is.
    if sum(values) < MILLION:
        return tuple(map(float, values))
    return tuple(map(number, values))


def escape_label(value: str) -> str:
    """Return a label value as it stands between its quotes."""
    return value.translate(_QUOTED)


def label_pairs(labels: Iterable[tuple[str, str]]) -> str:
    """Return labels as `name="value",…`, without braces and in the order given."""
    return ",".join(f'{label}="{escape_label(value)}"' for label, value in labels)


def series_line(sample: str, labels: Iterable[tuple[str, str]]) -> str:
    """Return a sample name with its labels; the name alone where there are none."""
    pairs = label_pairs(labels)
    return f"{sample}{{{pairs}}}" if pairs else sample


def sample_line(sample: str, labels: Iterable[tuple[str, str]], value: float) -> str:
    """Return one sample, without the end of the line."""
    return f"{series_line(sample, labels)} {number(value)}"


@lru_cache(maxsize=1024)  # the same few hundred at each scrape
def header(name: str, kind: str, text: str, *, openmetrics: bool) -> bytes:
    """Return the `# HELP` and `# TYPE` lines of a family.

    Args:
        name: The name of the metric, of a counter with `_total`.
        kind: `counter`, `gauge`, `histogram`, …
        text: The help.
        openmetrics: Whether for OpenMetrics, which names a counter without `_total` and escapes quotes in the help.
    """
    family = name.removesuffix("_total") if openmetrics and kind == "counter" else name
    shown = text.translate(_QUOTED if openmetrics else _HELP)
    return f"# HELP {family} {shown}\n# TYPE {family} {kind}\n".encode()


def is_chosen(name: str, kind: str, names: Collection[str]) -> bool:
    """Return whether `name[]` of a query means a family: by its own name, or by that of its samples; all do without.

    Args:
        name: The family's name; a counter's with or without `_total`.
        kind: Its type.
        names: Those of the query.
    """
    if not names:
        return True
    suffixes = SUFFIXES if kind in ("histogram", "summary") else ("_total",) if kind == "counter" else ()
    return not {name, name.removesuffix("_total"), *(name + suffix for suffix in suffixes)}.isdisjoint(names)
