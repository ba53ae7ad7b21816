"""A trading loop against an exchange that fails by script, to see circuits open and close on real ccxt errors."""

from __future__ import annotations

import asyncio
import itertools
import logging
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
from collections import deque
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import ccxt
import ccxt.async_support
from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from peak_observe import catalog, circuit_breaker, events, observe, retry_with_backoff, start_exporter
from peak_observe.errors import CircuitOpenError
from peak_observe.measures import BREAKERS, RETRIES
from peak_observe.redact import describe
from peak_observe.testing import FakeExchange, Fault

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from peak_observe.measures import BreakerReading

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

    Args:
        port: The port of `/metrics`; 0 picks a free one.
        duration: Seconds to run, or None for no limit.
        once: Whether to stop at the script's end instead of starting over.
        prometheus: Whether to start a Prometheus if there is one on PATH.

    Raises:
        AddressInUseError: Another process listens on `port`.
    """
    logging.getLogger("peak_observe").addHandler(logging.NullHandler())  # the view tells the events itself
    console = Console()
    stop = threading.Event()
    deadline = None if duration is None else time.monotonic() + duration
    with ExitStack() as stack:
        stack.enter_context(_signals(stop))
        exporter = stack.enter_context(start_exporter(port))
        links = [f"metrics     {exporter.url}"]
        if prometheus:
            links.append(stack.enter_context(_prometheus(exporter.port)))
        exchange = stack.enter_context(FakeExchange())
        view = Screen(console, links) if console.is_terminal else Lines(console, links)
        stack.callback(observe(view.on_event))
        stack.enter_context(view)
        stack.enter_context(_workers(exchange, stop))
        for phase in SCRIPT if once else itertools.cycle(SCRIPT):
            if stop.is_set() or (deadline is not None and time.monotonic() >= deadline):
                break
            _play(phase, exchange, view, stop, deadline)
    for line in _totals():
        print(line)


def _play(phase: Phase, exchange: FakeExchange, view: View, stop: threading.Event, deadline: float | None) -> None:
    exchange.heal()
    if phase.fault:
        exchange.fail(phase.fault)
    view.on_phase(phase)
    end = time.monotonic() + phase.seconds
    if deadline is not None:
        end = min(end, deadline)
    while (left := end - time.monotonic()) > 0 and not stop.wait(min(left, 0.2)):
        view.refresh()


@contextmanager
def _signals(stop: threading.Event) -> Iterator[None]:
    """Make SIGINT and SIGTERM an orderly end for as long as the demo runs."""
    before = {number: signal.signal(number, lambda *_: stop.set()) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _prometheus(port: int) -> Iterator[str]:
    """Start a Prometheus that scrapes us every second; yield the line that tells of it."""
    binary = shutil.which("prometheus")
    if binary is None:
        yield "prometheus  not on PATH: install it to query the same metrics"
        return
    with tempfile.TemporaryDirectory(prefix="peak-observe-demo-", ignore_cleanup_errors=True) as folder:
        config = Path(folder, "prometheus.yml")
        config.write_text(PROMETHEUS_CONFIG.format(port=port), encoding="utf-8")
        address = f"127.0.0.1:{_free_port()}"
        process = subprocess.Popen(  # noqa: S603 - the binary comes from PATH, the arguments from here
            [
                binary,
                f"--config.file={config}",
                f"--storage.tsdb.path={folder}/data",
                f"--web.listen-address={address}",
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C is ours; we end it when all else has ended
        )
        try:
            yield f"prometheus  http://{address}/graph?g0.expr={catalog.BREAKER_STATE.name}&g0.tab=0&g0.range_input=5m"
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


@contextmanager
def _workers(exchange: FakeExchange, stop: threading.Event) -> Iterator[None]:
    """Run the trading loops in threads of their own."""
    targets: tuple[Callable[[FakeExchange, threading.Event], None], ...] = (
        _watch_prices,
        _place_orders,
        _load_candles,
    )
    threads = [threading.Thread(target=target, args=(exchange, stop), name=target.__name__) for target in targets]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        exchange.close()  # lets go of the calls under way
        for thread in threads:
            thread.join()


def _watch_prices(exchange: FakeExchange, stop: threading.Event) -> None:
    client: Any = ccxt.kraken(exchange.config())

    @circuit_breaker(failure_threshold=3, recovery_timeout=2.0, expected_exception=ccxt.OperationFailed, name=TICKER)
    @retry_with_backoff(max_attempts=3, base_delay=0.1, expected_exception=ccxt.OperationFailed, name=TICKER)
    def ticker() -> None:
        client.fetch_ticker("BTC/USD")

    _loop(ticker, stop, 0.1)


def _place_orders(exchange: FakeExchange, stop: threading.Event) -> None:
    client: Any = ccxt.kraken(exchange.config())

    # A breaker but no retry: an order whose answer got lost may stand, and must not be sent twice.
    @circuit_breaker(failure_threshold=3, recovery_timeout=3.0, expected_exception=ccxt.OperationFailed, name=ORDERS)
    def order() -> None:
        client.create_order("ETH/USD", "limit", "buy", 0.01, 1.0)

    _loop(order, stop, 0.5)


def _loop(call: Callable[[], None], stop: threading.Event, pause: float) -> None:
    while not stop.wait(pause):
        with suppress(ccxt.BaseError, CircuitOpenError):
            call()


def _load_candles(exchange: FakeExchange, stop: threading.Event) -> None:
    asyncio.run(_async_candles(exchange, stop))


async def _async_candles(exchange: FakeExchange, stop: threading.Event) -> None:
    client: Any = ccxt.async_support.kraken(exchange.config())

    @circuit_breaker(failure_threshold=3, recovery_timeout=2.0, expected_exception=ccxt.OperationFailed, name=CANDLES)
    @retry_with_backoff(max_attempts=2, base_delay=0.2, expected_exception=ccxt.OperationFailed, name=CANDLES)
    async def candles() -> None:
        await client.fetch_ohlcv("BTC/USD", "1m", limit=10)

    try:
        while not stop.is_set():
            with suppress(ccxt.BaseError, CircuitOpenError):
                await candles()
            await asyncio.sleep(0.2)
    finally:
        await client.close()


class View:
    """What a person sees of the demo: plain lines here, a live screen in the subclass."""

    def __init__(self, console: Console, links: list[str]) -> None:
        self.console = console
        self.links = links
        self.phase = SCRIPT[0]
        self.news: deque[Text] = deque(maxlen=8)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def on_phase(self, phase: Phase) -> None:
        """Take in that the exchange behaves differently from now on."""
        self.phase = phase

    def on_event(self, event: events.Event) -> None:
        """Take in a rare fact; called from the workers' threads."""

    def refresh(self) -> None:
        """Show how things stand, a few times a second."""


class Lines(View):
    """Plain lines, for pipes and logs."""

    def __enter__(self) -> Self:
        self._say(*self.links)
        return self

    def on_phase(self, phase: Phase) -> None:
        """Tell of the new phase."""
        self._say(f"exchange: {phase.name}")

    def on_event(self, event: events.Event) -> None:
        """Tell of changes of state."""
        if isinstance(event, events.Transition):
            self._say(_sentence(event))

    def _say(self, *lines: str) -> None:
        for line in lines:
            print(line, flush=True)


class Screen(View):
    """A live table for a terminal."""

    def __enter__(self) -> Self:
        self._live = Live(self._picture(), console=self.console, auto_refresh=False, transient=True)
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def on_event(self, event: events.Event) -> None:
        """Keep the latest changes of state for the list below the table."""
        if isinstance(event, events.Transition):
            stamp = f"{event.at.astimezone():%H:%M:%S}  "
            self.news.append(Text.assemble((stamp, "dim"), (_sentence(event), COLORS[event.new])))

    def refresh(self) -> None:
        """Draw anew."""
        self._live.update(self._picture(), refresh=True)

    def _picture(self) -> Group:
        bad = self.phase.fault is not None
        title = Text.assemble("exchange: ", (self.phase.name, "bold red" if bad else "bold green"))
        links = [Text(link, style="dim", no_wrap=True, overflow="ellipsis") for link in self.links]
        return Group(title, _table(), *list(self.news), *links, Text("Ctrl-C ends the demo", style="dim"))


def _sentence(event: events.Transition) -> str:
    error = f" ({describe(event.error)[:70]})" if event.error else ""
    return f"{event.name} {event.old} -> {event.new}: {event.reason}{error}"


def _table() -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("circuit")
    table.add_column("state")
    for title in ("success", "failure", "rejected", "retries", "gave up", "p95"):
        table.add_column(title, justify="right")
    retries = dict(RETRIES.read())
    for name, reading in BREAKERS.read():
        success, failure, _, rejected = reading.calls
        retried = retries.get(name)
        state = "-" if reading.state is None else catalog.STATES[reading.state]
        table.add_row(
            name,
            Text(state, style=COLORS.get(state, "")),
            *map(str, (success, failure, rejected)),
            *((str(retried.retries), str(retried.calls[2])) if retried else ("-", "-")),
            _p95(reading),
        )
    return table


def _p95(reading: BreakerReading) -> str:
    """Return the upper bound of the bucket in which the 95th percentile lies."""
    total = sum(reading.buckets)
    for bound, below in zip(reading.bounds, itertools.accumulate(reading.buckets), strict=False):
        if total and below >= 0.95 * total:
            return f"<{bound * 1000:.0f} ms"
    return "-"


def _totals() -> Iterator[str]:
    for name, reading in BREAKERS.read():
        success, failure, _, rejected = reading.calls
        opened = reading.transitions[catalog.STATES.index("open")]
        yield (
            f"{name}: {success} calls succeeded, {failure} failed; "
            f"the circuit opened {opened} times and {rejected} calls never reached the exchange"
        )
