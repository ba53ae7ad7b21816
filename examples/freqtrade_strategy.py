"""Measure the ccxt objects that a freqtrade bot holds: what it asks its exchange, how that answers, and what is stale.

Put `bot_start` into your strategy. freqtrade keeps its own retries and limits: `instrument` changes nothing of what the
objects do, it adds metrics, spans and the age of data, and keeps the keys out of exceptions and log lines.

freqtrade reloads its configuration while it runs and makes new objects then. So no port is opened here: the bot writes
its metrics to a folder, from which `peak-observe exporter` serves those of all bots.
"""

from __future__ import annotations

import os
from typing import Any

from peak_observe import configure, instrument

FOLDER = os.environ.get("PEAK_OBSERVE_DIR", "/run/peak-observe")
OBJECTS = ("_api", "_api_async", "_ws_async")
"""freqtrade's ccxt objects for orders, for data and, where it uses them, for streams; each of them holds the keys."""


def observe_exchange(exchange: Any) -> None:
    """Instrument the ccxt objects of a freqtrade `Exchange`."""
    for name in OBJECTS:
        if (api := getattr(exchange, name, None)) is not None:
            instrument(api)


class ObservedStrategy:
    """The part to add to a strategy, which freqtrade would derive from its `IStrategy`."""

    dp: Any

    def bot_start(self, **_: Any) -> None:
        """Begin to observe when the bot has started, and again after each reload."""
        observe_exchange(self.dp._exchange)  # noqa: SLF001 - freqtrade has no public name for it
        configure(process="freqtrade", snapshot_dir=FOLDER)
