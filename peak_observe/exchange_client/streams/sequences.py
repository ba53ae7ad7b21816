"""Sequence numbers in messages of exchanges that ccxt does not check."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from peak_observe.exchange_client.streams.connection import Connection

_KRAKEN = {"executions": ("orders", "my_trades"), "balances": ("balance",)}


def _kraken(connection: Connection) -> Callable[[Any], None]:
    """Check the numbers of Kraken's channels of the account, which rise by one from the snapshot's on."""
    last: dict[str, int] = {}

    def check(message: Any) -> None:
        if type(message) is not dict or "sequence" not in message:
            return
        channel, number = str(message.get("channel")), int(message["sequence"])
        expected = last.get(channel, number - 1) + 1
        last[channel] = number
        if number != expected and message.get("type") != "snapshot":
            for (stream, _), feed in list(connection.feeds.items()):
                if stream in _KRAKEN.get(channel, ()) and feed.watched():
                    connection.gap(feed)

    return check


SEQUENCES: Mapping[str, Callable[[Connection], Callable[[Any], None]]] = {"kraken": _kraken}
"""Makes the check of a connection's messages, by ccxt's id of the exchange."""
