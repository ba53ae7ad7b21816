"""Metric families of websockets: each stream has three labels."""

from __future__ import annotations

from operator import attrgetter
from typing import TYPE_CHECKING, Any

from peak_observe import catalog
from peak_observe.measures import CONNECTIONS, STREAMS
from peak_observe.measures.streams import SEPARATOR
from peak_observe.telemetry.metrics.family import CALLS, CHANGES, Family, living

if TYPE_CHECKING:
    from peak_observe.telemetry.metrics.family import Labels, Readings


class StreamFamily(Family):
    """Metric family with an exchange, a stream and a group of symbols as labels."""

    def rows(self, name: str, reading: Any) -> list[tuple[str, Labels]]:
        """Return sample name and labels of each value, labels in alphabetical order."""
        exchange, _, rest = name.partition(SEPARATOR)
        stream, _, group = rest.partition(SEPARATOR)
        labels = (("exchange", exchange), ("group", group or exchange), ("stream", stream or exchange))
        return [(self.metric.name, labels)] * len(self.values(reading))


def _gauge(metric: catalog.Metric, fact: str) -> StreamFamily:
    return StreamFamily(metric, lambda r: living(getattr(r, fact)), follows=None)


STREAM_FAMILIES = (
    _gauge(catalog.STREAM_CONNECTED, "connected"),
    _gauge(catalog.STREAM_SUBSCRIPTIONS, "subscriptions"),
    StreamFamily(catalog.STREAM_MESSAGES_TOTAL, lambda r: (r.messages,), follows=CALLS),
    StreamFamily(catalog.STREAM_GAPS_TOTAL, lambda r: (r.gaps,), follows=CALLS),
    _gauge(catalog.STREAM_MESSAGE_AGE_SECONDS, "message_age"),
    _gauge(catalog.STREAM_PING_AGE_SECONDS, "ping_age"),
    _gauge(catalog.STREAM_SILENCE_SECONDS, "silence"),
    _gauge(catalog.STREAM_MAX_SILENCE_SECONDS, "max_silence"),
)
CONNECTION_FAMILIES = (
    Family(catalog.STREAM_CONNECTIONS, lambda r: living(r.connections), follows=None),
    Family(catalog.STREAM_DIALS_TOTAL, attrgetter("dials"), lambda _: catalog.DIAL_OUTCOMES, follows=CHANGES),
    Family(catalog.STREAM_BREAKS_TOTAL, attrgetter("breaks"), lambda _: catalog.CLOSE_CODES, follows=CHANGES),
    Family(catalog.STREAM_BACKOFF_SECONDS_TOTAL, lambda r: (r.backoff_seconds,), follows=CHANGES),
    Family(catalog.STREAM_MALFORMED_TOTAL, lambda r: (r.malformed,), follows=CHANGES),
)


def read() -> list[tuple[tuple[Family, ...], Readings]]:
    """Return the families of streams and of connections with the readings of all names."""
    streams: Readings = STREAMS.read()
    connections: Readings = CONNECTIONS.read()
    return [(STREAM_FAMILIES, streams), (CONNECTION_FAMILIES, connections)]
