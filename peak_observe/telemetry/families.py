"""How the readings of all names become the samples of the catalogue's families."""

from __future__ import annotations

import math
import platform
from itertools import accumulate
from operator import attrgetter
from typing import TYPE_CHECKING, Any, NamedTuple

from prometheus_client.utils import floatToGoString

from peak_observe import catalog
from peak_observe._version import __version__
from peak_observe.measures import BREAKERS, RETRIES, BreakerReading, Exemplar, RetryReading

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

MILLION = 1e6
Labels = tuple[tuple[str, str], ...]


def number(value: float) -> str:
    """Return a value as Prometheus writes it: from a million on with an exponent, which `repr` would not."""
    if value < MILLION:
        return repr(float(value))
    text: str = floatToGoString(value)  # type: ignore[no-untyped-call] # the library's helpers have no types
    return text


def numbers(values: Sequence[float]) -> tuple[float | str, ...]:
    """Return values as `%s` has to be given them; floats below a million can stay what they are."""
    if values and type(values[0]) is float and max(values) < MILLION:
        return tuple(values)
    return tuple(map(number, values))


class Family(NamedTuple):
    """One metric and how a reading fills it.

    Args:
        metric: Its entry in the catalogue.
        values: Returns the values of a name's series.
        second: Returns the values of the second label in the same order; None where there is one label only.
        exemplars: Returns exemplars by the position of their sample.
    """

    metric: catalog.Metric
    values: Callable[[Any], Sequence[float]]
    second: Callable[[Any], Iterable[str]] | None = None
    exemplars: Callable[[Any], Mapping[int, Exemplar]] | None = None

    def rows(self, name: str, reading: BreakerReading | RetryReading) -> list[tuple[str, Labels]]:
        """Return sample name and labels of each value, labels in alphabetical order."""
        first = (self.metric.labels[0], name)
        if self.metric.kind == "histogram":
            assert isinstance(reading, BreakerReading)  # noqa: S101 - the only one with buckets
            bounds = [number(bound) for bound in (*reading.bounds, math.inf)]
            buckets = [(f"{self.metric.name}_bucket", (first, ("le", bound))) for bound in bounds]
            return [*buckets, (f"{self.metric.name}_count", (first,)), (f"{self.metric.name}_sum", (first,))]
        if self.second is None:
            return [(self.metric.name, (first,))]
        label = self.metric.labels[1]
        return [(self.metric.name, tuple(sorted((first, (label, value))))) for value in self.second(reading)]


_INDICES = range(len(catalog.STATES))
_ONE_HOT = {state: tuple(float(state == index) for index in _INDICES) for state in (None, *_INDICES)}


def _histogram(reading: BreakerReading) -> Sequence[float]:
    cumulative = tuple(accumulate(reading.buckets))
    return (*cumulative, cumulative[-1], reading.duration_sum)


def _states(_: BreakerReading) -> Iterable[str]:
    return catalog.STATES


BREAKER_FAMILIES = (
    Family(catalog.BREAKER_STATE, lambda r: _ONE_HOT[r.state], _states),
    Family(
        catalog.BREAKER_CALLS_TOTAL,
        attrgetter("calls"),
        lambda _: catalog.CALL_OUTCOMES,
        lambda r: r.exemplars,
    ),
    Family(catalog.BREAKER_CALL_DURATION_SECONDS, _histogram, None, lambda r: r.bucket_exemplars),
    Family(catalog.BREAKER_TRANSITIONS_TOTAL, attrgetter("transitions"), _states),
    Family(catalog.BREAKER_LAST_TRANSITION_TIMESTAMP_SECONDS, lambda r: (r.last_transition,)),
    Family(catalog.BREAKER_STATE_SECONDS_TOTAL, attrgetter("state_seconds"), _states),
    Family(catalog.BREAKER_FAILURE_THRESHOLD, lambda r: (r.failure_threshold,)),
    Family(catalog.BREAKER_RECOVERY_TIMEOUT_SECONDS, lambda r: (r.recovery_timeout,)),
)
RETRY_FAMILIES = (
    Family(
        catalog.RETRY_CALLS_TOTAL,
        attrgetter("calls"),
        lambda _: catalog.RETRY_OUTCOMES,
        lambda r: r.exemplars,
    ),
    Family(catalog.RETRY_RETRIES_TOTAL, lambda r: (r.retries,)),
    Family(
        catalog.RETRY_ERRORS_TOTAL, lambda r: [r.errors[kind] for kind in sorted(r.errors)], lambda r: sorted(r.errors)
    ),
    Family(catalog.RETRY_BACKOFF_SECONDS_TOTAL, lambda r: (r.backoff_seconds,)),
    Family(catalog.RETRY_MAX_ATTEMPTS, lambda r: (r.max_attempts,)),
)
BUILD_LABELS: Labels = (("python", platform.python_version()), ("version", __version__))

Readings = list[tuple[str, Any]]


def read() -> list[tuple[Family, Readings]]:
    """Return every family of named primitives with the readings of all names, each name read once."""
    breakers: Readings = BREAKERS.read()
    retries: Readings = RETRIES.read()
    return [
        *((family, breakers) for family in BREAKER_FAMILIES),
        *((family, retries) for family in RETRY_FAMILIES),
    ]
