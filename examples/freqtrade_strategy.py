"""Measure a freqtrade bot: its requests to the exchange, how those end, how old its data is, and whether its loop runs.

Copy this into the file of your strategy and derive the strategy from it: `class Mine(ObservedStrategy, IStrategy)`.
A strategy with a `bot_start` or `bot_loop_start` of its own calls `super()` in it.

freqtrade keeps its own retries and limits: `instrument` adds metrics and spans, and keeps the keys out of exceptions
and log lines. freqtrade runs `bot_start` again at each `/reload_config`, with new ccxt objects, and in backtests too.
So no port is opened here: the bot writes its metrics into a folder, and `peak-observe exporter` serves all bots.
"""

from __future__ import annotations

import os
from typing import Any

from peak_observe import configure, health_check, instrument
from peak_observe.resilience.health import checks

FOLDER = os.environ.get("PEAK_OBSERVE_DIR", "/run/peak-observe")
OBJECTS = ("_api", "_api_async", "_ws_async")
"""freqtrade's ccxt objects for orders, for data and, where it uses them, for streams; each of them holds the keys."""
HEARTBEAT = checks.Heartbeat(max_age=120)


class ObservedStrategy:
    """Mixin for a strategy; it stands before `IStrategy`."""

    config: Any
    dp: Any

    def bot_start(self, **_: Any) -> None:
        """Begin to observe when the bot has started, and again after each reload."""
        if self.dp.runmode.value not in ("live", "dry_run"):  # backtests and plots
            return
        configure(process=self.config.get("bot_name", "freqtrade"), snapshot_dir=FOLDER)
        for name in OBJECTS:
            if (api := getattr(self.dp._exchange, name, None)) is not None:  # noqa: SLF001 - there is no public name
                instrument(api)
        HEARTBEAT.beat()  # before the check is registered, as one without a beat fails
        health_check.unregister("freqtrade_loop")  # of the module before the reload
        health_check.register("freqtrade_loop", HEARTBEAT)
        health_check.start(interval=30)

    def bot_loop_start(self, **_: Any) -> None:
        """Tell that the loop is alive."""
        HEARTBEAT.beat()
