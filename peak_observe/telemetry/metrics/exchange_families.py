"""Metric families of exchange clients: endpoints and latency budgets have two labels in their name."""

from __future__ import annotations

from operator import attrgetter
from typing import TYPE_CHECKING, Any

from peak_observe import catalog
from peak_observe.measures import ENDPOINTS, EXCHANGES, LATENCY_BUDGETS
from peak_observe.measures.exchange import SEPARATOR
from peak_observe.telemetry.metrics.family import CALLS, CHANGES, SETTINGS, Family, histogram, living

if TYPE_CHECKING:
    from peak_observe.telemetry.metrics.family import Labels, Readings


class PairFamily(Family):
    """Metric family whose name holds the values of its first two labels, such as exchange and endpoint."""

    def rows(self, name: str, reading: Any) -> list[tuple[str, Labels]]:
        """Return sample name and labels of each value, labels in alphabetical order."""
        exchange, _, value = name.partition(SEPARATOR)
        first, second, *rest = self.metric.labels
        own, labels = (second, value or exchange), (first, *rest)
        plain = Family(self.metric._replace(labels=labels), *self[1:])
        return [(sample, tuple(sorted((own, *found)))) for sample, found in plain.rows(exchange, reading)]


ENDPOINT_FAMILIES = (
    PairFamily(
        catalog.EXCHANGE_REQUESTS_TOTAL,
        attrgetter("requests"),
        lambda _: catalog.EXCHANGE_OUTCOMES,
        lambda r: r.exemplars,
    ),
    PairFamily(catalog.EXCHANGE_REQUEST_DURATION_SECONDS, histogram, None, lambda r: r.bucket_exemplars, CALLS),
)
EXCHANGE_FAMILIES = (
    Family(catalog.EXCHANGE_WRITES_TOTAL, attrgetter("writes"), lambda _: catalog.EXCHANGE_OUTCOMES),
    Family(
        catalog.EXCHANGE_DATA_AGE_SECONDS,
        lambda r: r.data_age or (),
        lambda r: catalog.DATA_KINDS if r.data_age else (),
        follows=None,
    ),
    Family(
        catalog.EXCHANGE_DATA_MAX_AGE_SECONDS,
        lambda r: r.data_max_age or (),
        lambda r: catalog.DATA_KINDS if r.data_max_age else (),
        follows=None,
    ),
    Family(catalog.EXCHANGE_CANDLE_GAPS_TOTAL, lambda r: (r.candle_gaps,)),
    Family(catalog.EXCHANGE_CLOCK_SKEW_SECONDS, lambda r: living(r.clock_skew), follows=CHANGES),
    Family(catalog.EXCHANGE_RATE_LIMIT_USED_RATIO, lambda r: living(r.used_ratio), follows=None),
    Family(catalog.EXCHANGE_BANNED_UNTIL_TIMESTAMP_SECONDS, lambda r: (r.banned_until,), follows=CHANGES),
)
LATENCY_BUDGET_FAMILIES = (
    PairFamily(catalog.EXCHANGE_LATENCY_BUDGET_SECONDS, lambda r: living(r.seconds), follows=SETTINGS),
    PairFamily(catalog.EXCHANGE_BUDGETED_REQUESTS_TOTAL, lambda r: (r.requests,)),
    PairFamily(catalog.EXCHANGE_SLOW_REQUESTS_TOTAL, lambda r: (r.slow,)),
)


def read() -> list[tuple[tuple[Family, ...], Readings]]:
    """Return the families of endpoints and of exchanges with the readings of all names."""
    endpoints: Readings = ENDPOINTS.read()
    exchanges: Readings = EXCHANGES.read()
    budgets: Readings = LATENCY_BUDGETS.read()
    return [
        (ENDPOINT_FAMILIES, endpoints),
        (EXCHANGE_FAMILIES, exchanges),
        (LATENCY_BUDGET_FAMILIES, budgets),
    ]
