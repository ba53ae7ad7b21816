"""Dashboard section of websockets: silence, messages, connections and gaps."""

from __future__ import annotations

from peak_observe import catalog
from peak_observe.monitoring import panels, style, tables
from peak_observe.monitoring.panels import query
from peak_observe.monitoring.promql import increase, lowest, rate, select, step_increase, total, worst
from peak_observe.monitoring.style import AMBER, COUNT, RED, SPAN, Json

NO_STREAMS = "no streams"
_SILENCE, _ALLOWED = select(catalog.STREAM_SILENCE_SECONDS), select(catalog.STREAM_MAX_SILENCE_SECONDS)


def streams() -> list[Json]:
    """Return how streams are, which messages come, and how connections last."""
    return [silent(), *_messages(), *_connections(), _table()]


def silent(link: Json | None = None) -> Json:
    """Return the tile that counts silent streams."""
    return panels.stat(
        "Silent streams",
        "Streams that are silent for longer than `stream_max_silence` allows. Do not trade on them; see in the table "
        "which they are, and whether pings still come.",
        f"sum({_SILENCE} > bool {_ALLOWED})",
        "none",
        steps={RED: 1},
        empty=NO_STREAMS,
        link=link,
    )


def _messages() -> list[Json]:
    by = ("exchange", "stream")
    return [
        panels.timeseries(
            "Silence by stream",
            "Time since the last message, for streams of the account since the last frame. A line that climbs is a "
            "stream that says nothing.",
            [query(worst(f"{_SILENCE} >= 0", *by), "{{exchange}} {{stream}}")],
            "s",
            empty=NO_STREAMS,
        ),
        panels.timeseries(
            "Messages by stream",
            "Messages a second that ccxt understood. A line that falls to 0 while others go on is a subscription that "
            "was lost.",
            [query(total(rate(catalog.STREAM_MESSAGES_TOTAL), *by), "{{exchange}} {{stream}}")],
            "reqps",
            empty=NO_STREAMS,
        ),
        panels.timeseries(
            "Gaps and unreadable messages",
            "Lost messages, by checksum or sequence number, and messages that ccxt could not read, after which it "
            "does not listen any more. Fetch open orders and a new order book after each.",
            [
                query(
                    total(step_increase(catalog.STREAM_GAPS_TOTAL), *by),
                    "{{exchange}} {{stream}}: gaps",
                ),
                query(
                    total(step_increase(catalog.STREAM_MALFORMED_TOTAL), "exchange"),
                    "{{exchange}}: unreadable",
                ),
            ],
            "short",
            empty=NO_STREAMS,
            bars=True,
        ),
    ]


def _connections() -> list[Json]:
    return [
        panels.timeseries(
            "Websockets open",
            "Websockets that are open. One that goes and comes back is a break; one that stays away is a stream that "
            "is dead.",
            [query(total(select(catalog.STREAM_CONNECTIONS), "exchange"), "{{exchange}}")],
            "short",
            empty=NO_STREAMS,
        ),
        panels.timeseries(
            "Breaks by close code",
            "Open websockets that broke. 1012 and 1013: the exchange restarts or is overloaded. 1008: a rule was "
            "broken. 1006: the network. no_pong: dead without a word.",
            [
                query(
                    total(step_increase(catalog.STREAM_BREAKS_TOTAL), "exchange", "code"),
                    "{{exchange}} {{code}}",
                )
            ],
            "short",
            empty=NO_STREAMS,
            bars=True,
        ),
        panels.timeseries(
            "Attempts to connect",
            "Attempts to open a websocket by how they ended, and the share of time for which ccxt delays them. Failed "
            "again and again: is there a ban, or a firewall?",
            [
                query(
                    total(step_increase(catalog.STREAM_DIALS_TOTAL), "exchange", "outcome"),
                    "{{exchange}} {{outcome}}",
                ),
                query(total(rate(catalog.STREAM_BACKOFF_SECONDS_TOTAL), "exchange"), "{{exchange}}: delay"),
            ],
            "short",
            empty=NO_STREAMS,
            bars=True,
        ),
    ]


def _table() -> Json:
    keys = {"exchange": "Exchange", "stream": "Stream", "group": "Group", "process": "Process"}
    keys |= {"job": "Job", "instance": "Instance"}
    return tables.table(
        "Streams",
        "Every stream: whether its websockets are open, what is watched, and how long ago it said something. Old "
        "messages with young frames: the exchange has stopped this stream.",
        keys,
        [
            ("Connected", lowest(select(catalog.STREAM_CONNECTED), *keys), COUNT),
            ("Watched", total(select(catalog.STREAM_SUBSCRIPTIONS), *keys), COUNT),
            ("Last message ago", worst(select(catalog.STREAM_MESSAGE_AGE_SECONDS), *keys), SPAN),
            ("Last frame ago", worst(select(catalog.STREAM_PING_AGE_SECONDS), *keys), SPAN),
            ("Allowed", worst(_ALLOWED, *keys), SPAN),
            ("Gaps", total(increase(catalog.STREAM_GAPS_TOTAL), *keys), style.bad(AMBER)),
        ],
        empty=NO_STREAMS,
        size=(24, 6),
        sort="Last message ago",
    )
