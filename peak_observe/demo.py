"""A trading loop against an exchange that fails by script, to see circuits open and close on real ccxt errors."""

from __future__ import annotations

import asyncio
import logging
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
from collections import deque
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import ccxt
import ccxt.async_support
from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from peak_observe import catalog, circuit_breaker, events, get_breaker, observe, retry_with_backoff, start_exporter
from peak_observe.errors import CircuitOpenError
from peak_observe.measures import BREAKERS, RETRIES
from peak_observe.redact import describe
from peak_observe.testing import FakeExchange, Fault

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

TICKER, CANDLES, ORDERS = "kraken.ticker", "kraken.candles", "kraken.orders"
COLORS = {"closed": "green", "half_open": "yellow", "open": "red"}
PROMETHEUS_CONFIG = """\
global: {{scrape_interval: 1s}}
scrape_configs:
  - job_name: peak-observe
    static_configs: [{{targets: ["127.0.0.1:{port}"]}}]
"""


class Phase(NamedTuple):
    """A stretch of the script: what the exchange does, and for how many seconds."""

    name: str
    fault: Fault | None
    seconds: float


SCRIPT = (
    Phase("calm", None, 5),
    Phase("slow answers", Fault.latency(0.4), 4),
    Phase("429 Too Many Requests", Fault.rate_limited(1), 5),
    Phase("calm", None, 4),
    Phase("outage: connections refused", Fault.refused(), 6),
    Phase("calm", None, 4),
    Phase("maintenance", Fault.maintenance(), 6),
    Phase("calm", None, 4),
)


def run(*, port: int, duration: float | None, once: bool, prometheus: bool) -> None:
    """Play the script until it ends, `duration` seconds are over or somebody presses Ctrl-C.

    Raises:
        AddressInUseError: Another process listens on `port`.
    """
    logging.getLogger("peak_observe").addHandler(logging.NullHandler())  # the view shows the events itself
    console = Console()
    stop = threading.Event()
    with ExitStack() as stack:
        exporter = stack.enter_context(start_exporter(port))
        exchange = stack.enter_context(FakeExchange())
        links = [f"metrics     {exporter.url}"]
        if prometheus:
            links.append(stack.enter_context(_prometheus(exporter.port)))
        story = stack.enter_context(_signals_stop(stop))
        view = Dashboard(links) if console.is_terminal else Plain(links)
        stack.callback(observe(view.on_event))
        stack.enter_context(_workers(exchange, stop))
        stack.callback(exchange.close)  # lets go of calls under way, so that the workers end at once
        stack.callback(stop.set)
        story(view.show(console, stop, _play(exchange, stop, duration, once=once)))
    for line in _summary():
        console.print(line, highlight=False)


@contextmanager
def _signals_stop(stop: threading.Event) -> Iterator[Callable[[None], None]]:
    """Make SIGINT and SIGTERM an orderly end for as long as the demo runs."""
    before = {number: signal.signal(number, lambda *_: stop.set()) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda _: None
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
