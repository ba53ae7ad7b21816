"""Alerts about websockets: silence, and connections that do not last."""

from __future__ import annotations

from peak_observe import catalog
from peak_observe.monitoring.rules.rule import AT, COUNT, CRITICAL, SPAN, WARNING, Alert, Group, last

_SILENT = f"{last(catalog.STREAM_SILENCE_SECONDS)} > {last(catalog.STREAM_MAX_SILENCE_SECONDS)}"
_BREAKS = f"sum without (code) (increase({catalog.STREAM_BREAKS_TOTAL.name}[10m]))"
_FAILED = f'sum without (outcome) (increase({catalog.STREAM_DIALS_TOTAL.name}{{outcome!="opened"}}[10m]))'

STREAMS = Group(
    "streams",
    "peak-exchanges",
    (
        Alert(
            "PeakStreamSilent",
            CRITICAL,
            _SILENT,
            "1m",
            "a stream is silent for longer than its owner allows",
            f"The stream {{{{ $labels.stream }}}} of {{{{ $labels.exchange }}}} is silent at {AT}.",
            f"It says nothing for {SPAN}.",
            "The websocket is dead without having been closed, the subscription was lost, ccxt stopped to listen after "
            "a message that it could not read, or nothing happens on this market. The program trades on what it heard "
            "last.",
            "Age of the last frame beside the silence: if pings still come, the exchange has stopped this stream; if "
            "not, the connection is dead. Unreadable messages. Does the exchange answer requests?",
            "Cancel the call that waits and close the exchange object, so that ccxt dials anew; fetch open orders and "
            "candles once. If the market is that quiet, allow more in `stream_max_silence`.",
            keep="5m",
            subject="exchange",
        ),
        Alert(
            "PeakStreamFlapping",
            WARNING,
            f"({_BREAKS} + {_FAILED}) >= 5",
            "5m",
            "websockets of an exchange broke or could not be opened five times within 10 minutes",
            f"The websockets of {{{{ $labels.exchange }}}} do not last at {AT}.",
            f"They broke, or could not be opened, {COUNT} times within 10 minutes.",
            "The exchange closes the connections, refuses them, or the network does. Each break is a gap in prices and "
            "in news of orders.",
            "The breaks by close code: 1012 and 1013 are the exchange's restart or overload, 1008 a rule that was "
            "broken, 1006 the network, `no_pong` a connection that died. Failed dials: does the firewall or a ban "
            "stop them?",
            "Wait where the exchange restarts: ccxt backs off by itself. Subscribe to less where it says 1008. Fetch "
            "open orders after each break, as `StreamResumed` tells.",
            keep="10m",
            subject="exchange",
        ),
    ),
)
"""Websockets."""
