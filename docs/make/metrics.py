"""The metric reference, from the catalogue."""

from __future__ import annotations

from importlib import import_module
from itertools import groupby
from typing import TYPE_CHECKING

from peak_observe import catalog
from peak_observe.catalog import metric

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import ModuleType

HEAD = """# Metrics

Made by `make docs` from `peak_observe/catalog/`. Units are in the names: seconds, bytes, ratio (0 to 1).
A histogram `x` is scraped as `x_bucket`, `x_count` and `x_sum`. A timestamp of 0 means never."""

# What a label can say, where that is a closed set; everything else is a name that you chose.
VALUES = {
    ("breaker", "state"): metric.STATES,
    ("breaker", "to"): metric.STATES,
    ("breaker", "outcome"): metric.OBSERVED_CALL_OUTCOMES,
    ("retry", "outcome"): metric.OBSERVED_RETRY_OUTCOMES,
    ("bulkhead", "outcome"): metric.LIMIT_OUTCOMES,
    ("rate", "outcome"): metric.LIMIT_OUTCOMES,
    ("timeout", "outcome"): metric.TIMEOUT_OUTCOMES,
    ("share", "outcome"): metric.SHARE_OUTCOMES,
    ("fallback", "outcome"): metric.FALLBACK_OUTCOMES,
    ("hedge", "outcome"): metric.HEDGE_OUTCOMES,
    ("chaos", "outcome"): metric.CHAOS_OUTCOMES,
    ("health", "outcome"): metric.HEALTH_OUTCOMES,
    ("job", "outcome"): metric.JOB_OUTCOMES,
    ("backup", "outcome"): metric.BACKUP_OUTCOMES,
    ("backup", "status"): metric.BACKUP_STATUSES,
    ("backup", "kind"): ("config", "state", "data"),
    ("exchange", "outcome"): metric.EXCHANGE_OUTCOMES,
    ("orders", "state"): metric.ORDER_STATES,
    ("orders", "outcome"): metric.ORDER_RECONCILE_OUTCOMES,
    ("exchange", "kind"): metric.DATA_KINDS,
    ("shared", "op"): metric.SHARED_STEPS,
    ("shared", "direction"): metric.SHARED_DIRECTIONS,
    ("shared", "reason"): metric.SHARED_RESYNCS,
    ("exporter", "outcome"): metric.SOURCE_OUTCOMES,
    ("process", "reason"): metric.REJECTIONS,
}


def page() -> str:
    """Return the page."""
    return "\n".join([HEAD, *_chapters()]) + "\n"


def _chapters() -> Iterator[str]:
    for page in catalog.PAGES:
        yield from _chapter(import_module(f"peak_observe.catalog.{page}"))


def _chapter(module: ModuleType) -> Iterator[str]:
    mine = [metric for metric in vars(module).values() if isinstance(metric, catalog.Metric)]
    yield from ("", f"## {(module.__doc__ or '').strip().rstrip('.')}")
    for _, same in groupby(mine, key=_primitive):
        yield from ("", "| metric | kind | labels | meaning |", "|---|---|---|---|")
        yield from map(_row, same)


def _primitive(metric: catalog.Metric) -> str:
    return metric.name.split("_")[1]


def _row(metric: catalog.Metric) -> str:
    labels = ", ".join(_label(_primitive(metric), label) for label in metric.labels) or "none"
    return f"| `{metric.name}` | {metric.kind} | {labels} | {metric.help} |"


def _label(primitive: str, label: str) -> str:
    values = VALUES.get((primitive, label))
    return f"`{label}`: {', '.join(values)}" if values else f"`{label}`"
