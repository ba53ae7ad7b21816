"""Exemplars of OpenTelemetry, made of ours."""

from __future__ import annotations

from typing import TYPE_CHECKING

from opentelemetry.sdk.metrics import Exemplar

if TYPE_CHECKING:
    from collections.abc import Iterable

    from peak_observe import measures

NANO = 1_000_000_000


def exemplars_of(found: Iterable[measures.Exemplar], start: int) -> list[Exemplar]:
    """Return the exemplars observed since `start`, a time in nanoseconds."""
    return [_exemplar(one) for one in found if one.timestamp * NANO >= start]


def _exemplar(exemplar: measures.Exemplar) -> Exemplar:
    ids = {"trace_id": int(exemplar.trace_id, 16), "span_id": int(exemplar.span_id, 16)}
    return Exemplar({}, exemplar.value, int(exemplar.timestamp * NANO), **ids)
