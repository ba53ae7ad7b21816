"""Silence and gaps: what counts, who is told, and when it is over."""

import asyncio
import contextlib
import math

import pytest

from peak_observe import HealthCheck
from peak_observe.testing import Fault


def health(checks: HealthCheck, name: str):
    """Return the result of a check."""
    return checks.run(name) if hasattr(checks, "run") else checks.run_all()[name]


def test_a_silent_stream_is_told_of(rig) -> None:
    """By metric, health check and event; and of its end."""
    checks = HealthCheck()
    rig.instrument(stream_max_silence=3, health=checks)  # a busy machine is not silent for so long
    check = f"stream_{rig.name}"
    rig.run(rig.tries(lambda: rig.exchange.watch_ticker(rig.symbol), 3))
    assert checks.run_all()[check].healthy
    rig.fake.fail(Fault.dropped(), path=rig.channels["ticker"])

    async def main():
        waiting = asyncio.ensure_future(rig.tries(lambda: rig.exchange.watch_ticker(rig.symbol), 3))
        await rig.until(lambda: rig.told("StreamBroken"))
        silent = rig.stream("ticker"), checks.run_all()[check]
        rig.fake.heal()
        await waiting
        return silent

    reading, result = rig.run(main())
    assert reading.silence > reading.max_silence == 3
    assert not result.healthy
    assert result.message.startswith("ticker is silent for ")
    lost, back = rig.told()
    assert lost.reason.startswith("silent for ")
    assert back.reason == lost.reason
    assert checks.run_all()[check].healthy


def test_a_timeout_around_the_call_does_not_hide_silence(rig) -> None:
    """Each call that is cancelled is followed by another, and nothing came meanwhile."""
    rig.instrument(stream_max_silence=0.6, health=None)
    rig.run(rig.tries(lambda: rig.exchange.watch_ticker(rig.symbol), 2))
    rig.fake.fail(Fault.dropped(), path=rig.channels["ticker"])

    async def main() -> None:
        while not rig.told("StreamBroken"):
            with contextlib.suppress(TimeoutError):  # a message may still have been under way
                await asyncio.wait_for(rig.exchange.watch_ticker(rig.symbol), 0.1)

    rig.run(main())
    assert rig.stream("ticker").silence > 0.6


def test_an_account_may_be_silent_while_pings_are_answered(kraken) -> None:
    """Its orders say nothing by nature."""
    kraken.exchange.streaming = {**kraken.exchange.streaming, "keepAlive": 1000}  # a busy machine answers within two
    kraken.instrument(stream_max_silence=0.2, health=None)

    async def main() -> None:
        waiting = asyncio.ensure_future(kraken.exchange.watch_orders())
        await kraken.until(lambda: kraken.fake.requests["WS executions"])
        await kraken.until(lambda: kraken.stream("orders").message_age > 4)
        reading = kraken.stream("orders")
        waiting.cancel()
        assert reading.silence == pytest.approx(reading.ping_age, abs=0.5)
        assert reading.max_silence == 2

    kraken.run(main())
    assert kraken.told() == []


def test_the_silence_of_an_account_is_that_of_its_pings(kraken) -> None:
    """Nothing less than two of them could be asked for."""
    kraken.instrument(stream_max_silence=1, health=None)
    kraken.run(_first_orders(kraken))
    assert kraken.stream("orders").max_silence == 12.0


async def _first_orders(rig) -> None:
    waiting = asyncio.ensure_future(rig.exchange.watch_orders(rig.symbol))
    await rig.until(lambda: rig.fake.requests[rig.channels["orders"]])
    await rig.exchange.create_order(rig.symbol, "limit", "buy", 0.1, 50_000)
    await waiting


async def _no_orders(rig) -> None:
    waiting = asyncio.ensure_future(rig.exchange.watch_orders(rig.symbol))  # before there is news, which comes once
    await rig.exchange.cancel_order(rig.exchange.orders[0]["id"], rig.symbol)
    await waiting


def test_orders_are_back_before_the_next_news_of_one(rig) -> None:
    """So that a bot asks for its open orders at once: the next news may be hours away."""
    rig.instrument()
    rig.run(_first_orders(rig))
    if rig.dialect == "kraken":
        rig.run(_no_orders(rig))  # a snapshot that has an order in it is news
    counted = rig.stream("orders").messages

    async def main() -> None:
        for client in rig.exchange.clients.values():
            if client.connection is not None:
                client.connection._conn.transport.abort()
        while not rig.told("StreamBroken"):
            await rig.tries(lambda: asyncio.sleep(0.01))
        waiting = asyncio.ensure_future(rig.tries(lambda: rig.exchange.watch_orders(rig.symbol)))
        await rig.until(lambda: rig.told("StreamResumed"))
        waiting.cancel()

    rig.run(main())
    assert [event.stream for event in rig.told()] == ["orders", "orders"]
    assert rig.stream("orders").messages == counted


def test_a_sequence_gap_of_the_order_book_counts(binance) -> None:
    """Ccxt raises for it, and the next message ends it."""
    binance.instrument()
    watch = lambda: binance.exchange.watch_order_book(binance.symbol)  # noqa: E731 - it is handed on twice
    binance.run(binance.tries(watch, 3))
    binance.fake.fail(Fault.dropped(), path="WS depth", times=1)
    assert binance.run(binance.tries(watch, 10)) == ["ChecksumError"]
    assert binance.stream("order_book").gaps == 1
    assert [(type(event).__name__, event.reason) for event in binance.told()] == [
        ("StreamBroken", "gap"),
        ("StreamResumed", "gap"),
    ]


def test_a_sequence_gap_of_the_own_orders_counts(kraken) -> None:
    """Ccxt does not look at these numbers."""
    kraken.instrument()
    kraken.run(_first_orders(kraken))
    kraken.fake.fail(Fault.dropped(), path="WS executions", times=1)

    async def main() -> None:
        await kraken.exchange.create_order(kraken.symbol, "limit", "buy", 0.1, 40_000)
        await kraken.until(lambda: not kraken.fake._rules)  # it is dropped
        await kraken.exchange.create_order(kraken.symbol, "limit", "buy", 0.1, 30_000)
        await kraken.until(lambda: kraken.told("StreamResumed"))

    kraken.run(main())
    assert kraken.stream("orders").gaps == 1
    assert [event.reason for event in kraken.told()] == ["gap", "gap"]


def test_an_unreadable_message_ends_the_stream(rig, caplog) -> None:
    """Ccxt does not listen any more after one, and nothing but this tells of it."""
    rig.instrument()
    watch = lambda: rig.exchange.watch_ticker(rig.symbol)  # noqa: E731 - it is handed on twice
    rig.run(rig.tries(watch, 2))
    rig.fake.fail(Fault.truncated(), path=rig.channels["ticker"], times=1)

    async def main() -> None:
        waiting = asyncio.ensure_future(watch())
        while not rig.told("StreamBroken"):
            if waiting.done():
                waiting = asyncio.ensure_future(watch())
            await asyncio.sleep(0.01)
        waiting.cancel()

    rig.run(main())
    assert rig.connections.malformed == 1
    assert rig.told("StreamBroken")[0].reason == "unreadable message, after which ccxt does not listen"
    assert "Exception in callback" in caplog.text  # ccxt's own


def test_what_is_not_watched_any_more_is_not_silent(binance) -> None:
    """The exchange sends no more of it."""
    binance.instrument(stream_max_silence=60, health=None)
    binance.run(binance.tries(lambda: binance.exchange.watch_ticker(binance.symbol), 2))
    assert binance.stream("ticker").subscriptions == 1
    binance.run(binance.exchange.un_watch_ticker(binance.symbol))
    assert binance.stream("ticker").subscriptions == 0
    assert math.isnan(binance.stream("ticker").silence)
