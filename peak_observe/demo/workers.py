"""Trading loops of the demo: the real ccxt client, sync and async, behind policies of all strategies."""

from __future__ import annotations

import asyncio
import itertools
import threading
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import ccxt
import ccxt.async_support
import ccxt.pro

from peak_observe import (
    CallTimeoutError,
    CircuitOpenError,
    DeadManSwitch,
    LossGuard,
    OrderGuard,
    Policy,
    Reconciler,
    RetryBudget,
    Shared,
    TradingHaltedError,
    TradingSwitch,
    chaos,
    circuit_breaker,
    health_check,
    hedge,
    instrument,
    last_good,
    only_one,
    rate_limit,
    retry_with_backoff,
    share,
    timed,
    timeout,
)
from peak_observe.demo.orders import submit_orders
from peak_observe.resilience.health import checks

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from peak_observe.testing import FakeExchange

TICKER, CANDLES, ORDERS = "kraken.ticker", "kraken.candles", "kraken.orders"
WILD, WILD_FOR = 30, 6
"""Steps of the loop of orders from one time that it runs wild to the next, and until it is mended."""
KEY_LIVES = 90 * 86_400.0
ORDERS_FILE = f"""
[policies."{ORDERS}".bulkhead]
limit = 2
wait = 1

[policies."{ORDERS}".circuit_breaker]
failure_threshold = 3
recovery_timeout = 3
expected_exception = "ccxt.OperationFailed"
"""


@contextmanager
def working(exchange: FakeExchange, stop: threading.Event) -> Iterator[None]:
    """Run the trading loops in threads of their own."""
    targets: tuple[Callable[[FakeExchange, threading.Event], None], ...] = (
        _watch_prices,
        _place_orders,
        _load_candles,
        submit_orders,
        _follow_streams,
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


@contextmanager
def guarding(exchange: FakeExchange) -> Iterator[None]:
    """Guard the account: dead man's switch, one instance, books that agree, and a key that trades alone."""
    client: Any = instrument(ccxt.kraken(exchange.config()))
    exchange.key.expires = time.time() + KEY_LIVES
    check = checks.api_key(client, want_ip=False)
    health_check.register("api_key", check, interval=2.0, critical=False)
    with (
        TemporaryDirectory(prefix="peak-observe-demo-") as folder,
        only_one("demo", folder=folder),
        DeadManSwitch(client, timeout=60, every=1),
        Reconciler(client, balances=lambda: {"BTC": 10.0, "ETH": 100.0}, every=1, settle=0.2),
    ):
        yield


@contextmanager
def checking(exchange: FakeExchange) -> Iterator[None]:
    """Run health checks in the background: the exchange itself, and each circuit."""
    url = f"{exchange.url}/0/public/Time"
    health_check.register("exchange_kraken", checks.http(url, body="unixtime", timeout=1.0), timeout=2.0)
    for name in (TICKER, CANDLES, ORDERS):
        health_check.register(f"circuit_{name}", checks.breaker_closed(name), critical=name == ORDERS)
    health_check.start(interval=1.0)
    try:
        yield
    finally:
        health_check.stop()


def _watch_prices(exchange: FakeExchange, stop: threading.Event) -> None:
    with TemporaryDirectory(prefix="peak-observe-demo-") as folder, Shared(f"file://{folder}/shared") as shared:
        _watch_prices_with(shared, exchange, stop)


def _watch_prices_with(shared: Shared, exchange: FakeExchange, stop: threading.Event) -> None:
    client: Any = instrument(ccxt.kraken(exchange.config()))

    policy = Policy(
        share(),
        circuit_breaker(3, 2.0, ccxt.OperationFailed, shared=shared),  # other processes would open and probe with it
        retry_with_backoff(max_attempts=3, base_delay=0.1, expected_exception=ccxt.OperationFailed, budget=_budget()),
        rate_limit(50, burst=5, wait=1.0, reserve={"trade": 0.2}),
        name=TICKER,
        fallback=last_good(max_age=1.0),  # a price that old is as good as a new one
    )

    @policy
    def ticker() -> None:
        client.fetch_ticker("BTC/USD")

    _loop(ticker, stop, 0.1)


def _budget() -> RetryBudget:
    return RetryBudget(ratio=0.5, min_per_second=5.0, name="kraken")


def _place_orders(exchange: FakeExchange, stop: threading.Event) -> None:
    client: Any = instrument(ccxt.kraken(exchange.config()), latency_budget={"trade": 0.5})

    # A breaker but no retry: an order whose answer got lost may stand, and must not be sent twice.
    # Its settings stand in a file, and follow it.
    with TemporaryDirectory(prefix="peak-observe-demo-") as folder:
        file = Path(folder, "policies.toml")
        file.write_text(ORDERS_FILE, encoding="utf-8")
        policy = Policy.from_toml(file, ORDERS, watch=True)

        @policy
        def order() -> None:
            client.create_order("ETH/USD", "limit", "buy", 0.01, 1.0)

        with _guarded(order, Path(folder)) as step:
            _loop(step, stop, 0.5)
        policy.close()


@contextmanager
def _guarded(order: Callable[[], None], folder: Path) -> Iterator[Callable[[], None]]:
    """Yield a loop's step that now and then runs wild, until a guard halts it, and is resumed three seconds later."""
    switch = TradingSwitch("demo", folder=folder)
    guard = OrderGuard(switch, max_orders=20, per=10)
    losses = LossGuard(switch, max_drawdown=0.2, account="demo")
    steps = itertools.count(1)

    def step() -> None:
        number = next(steps)
        losses.report(1000.0 - number % 10)
        if number > WILD and number % WILD == WILD_FOR:
            switch.resume("the loop was mended")
        for _ in range(40 if number % WILD == 0 else 1):
            guard.admit([{"symbol": "ETH/USD", "side": "buy", "amount": 0.01, "price": 1.0}])
            if number % WILD:
                order()

    yield step
    switch.close()


def _loop(call: Callable[[], None], stop: threading.Event, pause: float) -> None:
    while not stop.wait(pause):
        with suppress(ccxt.BaseError, CircuitOpenError, TradingHaltedError):
            call()


def _load_candles(exchange: FakeExchange, stop: threading.Event) -> None:
    asyncio.run(_async_candles(exchange, stop))


async def _async_candles(exchange: FakeExchange, stop: threading.Event) -> None:
    client: Any = instrument(ccxt.async_support.kraken(exchange.config()))

    failures = (ccxt.OperationFailed, CallTimeoutError)
    policy = Policy(
        timed(),
        circuit_breaker(
            window=8, failure_ratio=0.5, minimum_calls=4, recovery_timeout=2.0, expected_exception=failures
        ),
        retry_with_backoff(max_attempts=2, base_delay=0.2, expected_exception=failures),
        hedge(after=0.3),
        timeout(5.0),
        chaos(rate=0.05, latency=0.5),  # only with PEAK_OBSERVE_CHAOS=1
        name=CANDLES,
    )

    @policy
    async def candles() -> None:
        await client.fetch_ohlcv("BTC/USD", "1m", limit=10)

    try:
        while not stop.is_set():
            with suppress(ccxt.BaseError, CircuitOpenError, CallTimeoutError):
                await candles()
            await asyncio.sleep(0.2)
    finally:
        await client.close()


def _follow_streams(exchange: FakeExchange, stop: threading.Event) -> None:
    asyncio.run(_async_streams(exchange, stop))


async def _async_streams(exchange: FakeExchange, stop: threading.Event) -> None:
    client: Any = instrument(ccxt.pro.kraken(exchange.config()), stream_max_silence=2.0)

    async def follow(watch: Callable[[], Any]) -> None:
        while not stop.is_set():
            with suppress(ccxt.BaseError, TimeoutError):
                await asyncio.wait_for(watch(), 1.0)

    try:
        await asyncio.gather(
            follow(lambda: client.watch_ticker("BTC/USD")),
            follow(lambda: client.watch_ohlcv("BTC/USD", "1m")),
            follow(client.watch_orders),
        )
    finally:
        await client.close()
