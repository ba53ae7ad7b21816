"""Subscriptions that Kraken refuses: ccxt waits for ever, and peak_observe tells of it."""

import asyncio

import pytest

from peak_observe import HealthCheck
from peak_observe.exchange_client.streams import refusals
from peak_observe.exchange_client.streams.refusals import KrakenRefusals

UNKNOWN = {"symbol": ["FOO/BAR"]}
NO_RIGHTS = {"token": "of another account"}


async def refused(rig, watch):
    """Begin to watch, and return the call once the refusal was told."""
    waiting = asyncio.ensure_future(watch)
    await rig.until(lambda: rig.told("StreamBroken"))
    assert not waiting.done()
    return waiting


@pytest.mark.parametrize(
    ("stream", "params", "shown", "reason"),
    [
        ("ticker", UNKNOWN, "ticker FOO/BAR", "Currency pair not supported FOO/BAR"),
        ("order_book", UNKNOWN, "order_book FOO/BAR", "Currency pair not supported FOO/BAR"),
        ("ohlcv", {"params": UNKNOWN}, "ohlcv FOO/BAR", "Currency pair not supported FOO/BAR"),
        ("orders", NO_RIGHTS, "orders", "EAccount:Invalid permissions"),
    ],
)
def test_a_refusal_is_told_with_its_reason(kraken, stream, params, shown, reason) -> None:
    """By event and health check, at once and not after the silence that is allowed."""
    checks = HealthCheck()
    kraken.instrument(stream_max_silence=600, health=checks)
    watch = getattr(kraken.exchange, f"watch_{stream}")(kraken.symbol, params=params)

    async def main():
        waiting = await refused(kraken, watch)
        result = checks.run_all()[f"stream_{kraken.name}"]
        waiting.cancel()
        return result

    result = kraken.run(main())
    (lost,) = kraken.told()
    assert (lost.stream, lost.reason) == (stream, f"subscription refused: {reason}")
    assert (result.healthy, result.message) == (False, f"{shown}: the exchange refused the subscription: {reason}")


def test_a_stream_that_is_subscribed_to_after_all_is_healthy(kraken) -> None:
    """The program closed the websocket and asked for another symbol."""
    checks = HealthCheck()
    kraken.instrument(stream_max_silence=600, health=checks)

    async def main() -> None:
        (await refused(kraken, kraken.exchange.watch_ticker(kraken.symbol, UNKNOWN))).cancel()
        await kraken.exchange.close()
        await kraken.exchange.watch_ticker(kraken.symbol)

    kraken.run(main())
    assert checks.run_all()[f"stream_{kraken.name}"].healthy


class Told:
    """Connection that writes down what it is told."""

    def __init__(self) -> None:
        self.told: list[tuple] = []

    def refused(self, stream, symbols, reason) -> None:
        """Note a refusal."""
        self.told.append((stream, *symbols, reason))

    def accepted(self, stream, symbols) -> None:
        """Note that a subscription was accepted."""
        self.told.append((stream, *symbols))


def subscribe(number: int, *symbols: str, channel: str = "book") -> dict:
    """Return a message of ccxt."""
    return {"method": "subscribe", "req_id": number, "params": {"channel": channel, "symbol": list(symbols)}}


def answer(number: int, **facts) -> dict:
    """Return one of Kraken."""
    return {"method": "subscribe", "req_id": number, **facts}


def test_of_several_symbols_those_are_told_of_that_are_named() -> None:
    """Kraken answers symbol by symbol."""
    connection = Told()
    kraken = KrakenRefusals(connection)
    kraken.sent(subscribe(1, "BTC/USD", "FOO/BAR"))
    kraken.received(answer(1, success=True, result={"channel": "book", "symbol": "BTC/USD"}))
    kraken.received(answer(1, success=False, error="no", symbol="FOO/BAR"))
    assert connection.told == [("order_book", "BTC/USD"), ("order_book", "FOO/BAR", "no")]


@pytest.mark.parametrize(
    "message",
    [
        [],
        "text",
        {"channel": "book"},
        {"method": "pong"},
        {"method": "subscribe"},
        answer(9, success=False, error="no"),
        answer(1, success=False, error="no"),
    ],
)
def test_answers_to_what_nobody_asked_for_are_passed_over(message) -> None:
    """And those about channels that no stream is made of."""
    connection = Told()
    kraken = KrakenRefusals(connection)
    kraken.sent(subscribe(1, "BTC/USD", channel="instrument"))
    kraken.sent({"method": "ping"})
    kraken.sent("text")
    kraken.received(message)
    assert connection.told == []


def test_what_is_remembered_is_limited(monkeypatch) -> None:
    """A bot may subscribe again and again for months."""
    monkeypatch.setattr(refusals, "MOST", 3)
    kraken = KrakenRefusals(Told())
    for number in range(10):
        kraken.sent(subscribe(number, "BTC/USD"))
    kraken.received(answer(6, success=False, error="no"))
    kraken.received(answer(7, success=False, error="no"))
    assert kraken._connection.told == [("order_book", "BTC/USD", "no")]
