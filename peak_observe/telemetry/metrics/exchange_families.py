"""Metric families of exchange clients: each endpoint has two labels."""

from __future__ import annotations

from operator import attrgetter
from typing import TYPE_CHECKING, Any

from peak_observe import catalog
from peak_observe.measures import ENDPOINTS, EXCHANGES
from peak_observe.measures.exchange import SEPARATOR
from peak_observe.telemetry.metrics.family import CALLS, CHANGES, Family, histogram, living

if TYPE_CHECKING:
    from peak_observe.telemetry.metrics.family import Labels, Readings


class EndpointFamily(Family):
    """Metric family with an exchange and an endpoint as labels."""

    def rows(self, name: str, reading: Any) -> list[tuple[str, Labels]]:
        """Return sample name and labels of each value, labels in alphabetical order."""
        exchange, _, endpoint = name.partition(SEPARATOR)
        own = ("endpoint", endpoint or exchange)
        labels = tuple(label for label in self.metric.labels if label != "endpoint")
        plain = Family(self.metric._replace(labels=labels), *self[1:])
        return [(sample, tuple(sorted((own, *found)))) for sample, found in plain.rows(exchange, reading)]


ENDPOINT_FAMILIES = (
    EndpointFamily(
        catalog.EXCHANGE_REQUESTS_TOTAL,
        attrgetter("requests"),
        lambda _: catalog.EXCHANGE_OUTCOMES,
        lambda r: r.exemplars,
    ),
    EndpointFamily(catalog.EXCHANGE_REQUEST_DURATION_SECONDS, histogram, None, lambda r: r.bucket_exemplars, CALLS),
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


def read() -> list[tuple[tuple[Family, ...], Readings]]:
    """Return the families of endpoints and of exchanges with the readings of all names."""
    endpoints: Readings = ENDPOINTS.read()
    exchanges: Readings = EXCHANGES.read()
    return [(ENDPOINT_FAMILIES, endpoints), (EXCHANGE_FAMILIES, exchanges)]
