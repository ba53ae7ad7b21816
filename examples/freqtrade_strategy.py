"""Measure the ccxt objects that a freqtrade bot holds: what it asks its exchange, how that answers, and what is stale.

Put `bot_start` into your strategy. freqtrade keeps its own retries and limits: `instrument` changes nothing of what the
objects do, it adds metrics, spans and the age of data, and keeps the keys out of exceptions and log lines.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from peak_observe import instrument, start_exporter

if TYPE_CHECKING:
    from peak_observe.telemetry.http_server import Exporter


def observe_exchange(exchange: Any, port: int = 17326) -> Exporter:
    """Instrument both ccxt objects of a freqtrade `Exchange`, and serve what they count."""
    for api in (exchange._api, exchange._api_async):  # noqa: SLF001 - freqtrade has no public names for them
        instrument(api)
    return start_exporter(port)


class ObservedStrategy:
    """What to add to a strategy, which freqtrade would derive from its `IStrategy`."""

    dp: Any

    def bot_start(self, **_: Any) -> None:
        """Begin to observe, once, when the bot has started."""
        self.exporter = observe_exchange(self.dp._exchange)  # noqa: SLF001 - the same
