"""Metrics of websockets."""

from __future__ import annotations

from peak_observe.catalog.metric import Metric

_STREAM = ("exchange", "stream", "group")

STREAM_CONNECTED = Metric(
    "peak_stream_connected",
    "gauge",
    "1 if all websockets that carry the stream are open, 0 if one is not; NaN while nobody watches it.",
    _STREAM,
)
STREAM_SUBSCRIPTIONS = Metric(
    "peak_stream_subscriptions",
    "gauge",
    "Markets, or accounts, that are watched on the stream.",
    _STREAM,
)
STREAM_MESSAGES_TOTAL = Metric(
    "peak_stream_messages_total",
    "counter",
    "Messages of the stream that ccxt understood.",
    _STREAM,
)
STREAM_GAPS_TOTAL = Metric(
    "peak_stream_gaps_total",
    "counter",
    "Gaps: times that a checksum or a sequence number showed that messages were lost.",
    _STREAM,
)
STREAM_MESSAGE_AGE_SECONDS = Metric(
    "peak_stream_message_age_seconds",
    "gauge",
    "Time since the last message of the stream, or since it is watched; NaN while nobody watches it.",
    _STREAM,
)
STREAM_PING_AGE_SECONDS = Metric(
    "peak_stream_ping_age_seconds",
    "gauge",
    "Time since the last frame of any kind, pings included, on the websocket that carries the stream.",
    _STREAM,
)
STREAM_SILENCE_SECONDS = Metric(
    "peak_stream_silence_seconds",
    "gauge",
    "Silence that counts: the age of the last message, for streams of an account that of the last frame.",
    _STREAM,
)
STREAM_MAX_SILENCE_SECONDS = Metric(
    "peak_stream_max_silence_seconds",
    "gauge",
    "Silence that the owner allows; NaN without `stream_max_silence`.",
    _STREAM,
)
STREAM_CONNECTIONS = Metric(
    "peak_stream_connections",
    "gauge",
    "Websockets of the exchange that are open.",
    ("exchange",),
)
STREAM_DIALS_TOTAL = Metric(
    "peak_stream_dials_total",
    "counter",
    "Attempts to open a websocket by how they ended.",
    ("exchange", "outcome"),
)
STREAM_BREAKS_TOTAL = Metric(
    "peak_stream_breaks_total",
    "counter",
    "Open websockets that broke, once each, by their close code; 1006 is an end without one.",
    ("exchange", "code"),
)
STREAM_BACKOFF_SECONDS_TOTAL = Metric(
    "peak_stream_backoff_seconds_total",
    "counter",
    "Time for which ccxt delays its attempts to open a websocket.",
    ("exchange",),
)
STREAM_MALFORMED_TOTAL = Metric(
    "peak_stream_malformed_total",
    "counter",
    "Messages that ccxt could not read; after each it stops listening until it connects anew.",
    ("exchange",),
)
