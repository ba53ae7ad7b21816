"""Websockets as the real ccxt.pro opens and loses them."""

import asyncio
import math
import threading

import ccxt.pro

from peak_observe import catalog, instrument, uninstrument
from peak_observe.testing import Fault
from tests.exchange_client.streams.conftest import Rig


def broken(rig: Rig) -> dict[str, int]:
    """Return the breaks by code that there were."""
    counts = zip(catalog.CLOSE_CODES, rig.connections.breaks, strict=True)
    return {code: count for code, count in counts if count}


def dialed(rig: Rig) -> dict[str, int]:
    """Return the attempts to connect by outcome."""
    return dict(zip(catalog.DIAL_OUTCOMES, rig.connections.dials, strict=True))


def test_the_counts_are_there_at_0_from_the_beginning(rig) -> None:
    """Of connections, before anything is watched."""
    rig.instrument()
    assert broken(rig) == {}
    assert dialed(rig) == {"opened": 0, "failed": 0, "timeout": 0}
    assert rig.connections.connections == 0


def test_messages_count_by_stream(rig) -> None:
    """Every one that ccxt understood, whether somebody waited for it or not."""
    rig.instrument()
    rig.run(rig.tries(lambda: rig.exchange.watch_ticker(rig.symbol), 5))
    rig.run(rig.tries(lambda: rig.exchange.watch_order_book(rig.symbol), 5))
    rig.run(rig.until(lambda: min(rig.stream("ticker").messages, rig.stream("order_book").messages) > 5))
    ticker = rig.stream("ticker")
    assert (ticker.connected, ticker.subscriptions, ticker.gaps) == (1.0, 1, 0)
    assert ticker.message_age < 30
    assert math.isnan(ticker.max_silence)


def test_one_break_counts_once(rig) -> None:
    """Ccxt tells of it twice: by the close frame, and by the end of its loop."""
    rig.instrument()
    watch = lambda: rig.exchange.watch_ticker(rig.symbol)  # noqa: E731 - it is handed on twice
    rig.run(rig.tries(watch, 3))
    rig.fake.fail(Fault.closed(1012), path=rig.channels["ticker"], times=1)
    assert rig.run(rig.tries(watch, 10)) == ["NetworkError"]
    rig.run(asyncio.sleep(0.1))
    assert broken(rig) == {"1012": 1}
    assert dialed(rig) == {"opened": 2, "failed": 0, "timeout": 0}
    lost, back = rig.told()
    assert (lost.name, lost.stream, lost.reason, lost.code) == (rig.name, "ticker", "closed with code 1012", 1012)
    assert (back.stream, back.reason, back.address) == ("ticker", "closed with code 1012", lost.address)
    assert back.seconds >= 0


def test_a_reset_has_no_code(rig) -> None:
    """It counts under 1006, as the protocol says."""
    rig.instrument()
    watch = lambda: rig.exchange.watch_ticker(rig.symbol)  # noqa: E731 - it is handed on twice
    rig.run(rig.tries(watch, 3))
    rig.fake.fail(Fault.reset(), path=rig.channels["ticker"], times=1)
    assert rig.run(rig.tries(watch, 10)) == ["NetworkError"]
    assert sum(broken(rig).values()) == 1
    assert broken(rig).keys() <= {"1006", "error"}
    assert rig.told("StreamBroken")[0].code is None


def test_other_codes_share_a_series(kraken) -> None:
    """There are four thousand."""
    kraken.instrument()
    watch = lambda: kraken.exchange.watch_ticker(kraken.symbol)  # noqa: E731 - it is handed on twice
    kraken.run(kraken.tries(watch))
    kraken.fake.fail(Fault.closed(4321), path="WS ticker", times=1)
    kraken.run(kraken.tries(watch, 10))
    assert broken(kraken) == {"other": 1}
    assert kraken.told("StreamBroken")[0].code == 4321


def test_a_storm_of_reconnects_shows(kraken) -> None:
    """Each connection that opens and closes at once is a break."""
    kraken.instrument()
    kraken.fake.fail(Fault.closed(1013), path="WS", times=4)
    raised = kraken.run(kraken.tries(lambda: kraken.exchange.watch_ticker(kraken.symbol)))
    assert len(raised) == 4
    assert sum(broken(kraken).values()) == 4
    assert broken(kraken).keys() <= {"1013", "error"}  # the latter where ccxt had not read the code when it sent
    assert dialed(kraken)["opened"] == 5


def test_failed_dials_and_the_delay_of_ccxt_count(rig) -> None:
    """The delay is ccxt's own: no other is added."""
    rig.instrument()
    rig.run(rig.exchange.load_markets())
    rig.fake.fail(Fault.status(503), path="WS", times=2)
    raised = rig.run(rig.tries(lambda: rig.exchange.watch_ticker(rig.symbol)))
    assert raised == ["NetworkError"] * 2
    assert dialed(rig) == {"opened": 1, "failed": 2, "timeout": 0}
    assert 0.3 < rig.connections.backoff_seconds < 0.7  # ccxt's 0.2 s and 0.4 s
    assert rig.told() == []  # nothing was open, so nothing broke


def test_a_dead_connection_shows_when_ccxt_gives_it_up(kraken) -> None:
    """It has no close code: pings stay without an answer."""
    kraken.exchange.streaming = {**kraken.exchange.streaming, "keepAlive": 1000}  # a busy machine answers within two
    kraken.instrument()
    watch = lambda: kraken.exchange.watch_ticker(kraken.symbol)  # noqa: E731 - it is handed on twice
    kraken.run(kraken.tries(watch, 3))
    kraken.fake.fail(Fault.hang(), path="WS *", times=1)
    assert kraken.run(kraken.tries(watch, 10)) == ["RequestTimeout"]
    assert broken(kraken) == {"no_pong": 1}


def test_closing_the_exchange_is_no_break(rig) -> None:
    """And nobody watches anything afterwards."""
    rig.instrument(stream_max_silence=60, health=None)
    rig.run(rig.tries(lambda: rig.exchange.watch_ticker(rig.symbol), 2))
    rig.run(rig.exchange.close())
    rig.run(asyncio.sleep(0.1))
    assert broken(rig) == {}
    assert rig.connections.connections == 0
    assert math.isnan(rig.stream("ticker").silence)
    assert rig.told() == []


def test_a_closed_exchange_can_be_used_again(rig) -> None:
    """Its counts go on."""
    rig.instrument()
    watch = lambda: rig.exchange.watch_ticker(rig.symbol)  # noqa: E731 - it is handed on twice
    rig.run(rig.tries(watch, 2))
    rig.run(rig.exchange.close())
    before = rig.stream("ticker").messages
    rig.run(rig.tries(watch, 2))
    assert rig.stream("ticker").messages > before
    assert dialed(rig)["opened"] == 2


def test_objects_of_one_name_add_up_over_event_loops(kraken) -> None:
    """Each in a thread and loop of its own."""

    def work() -> None:
        async def main() -> None:
            exchange = instrument(kraken.made(), kraken.name)
            for _ in range(3):
                await exchange.watch_ticker(kraken.symbol)
            seen.append(kraken.connections.connections)
            await exchange.close()
            uninstrument(exchange)

        asyncio.run(main())

    seen: list[int] = []
    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert dialed(kraken)["opened"] == 3
    assert kraken.stream("ticker").messages >= 9
    assert max(seen) >= 1


def test_an_open_connection_is_observed_from_the_middle(rig) -> None:
    """A program may instrument an object that is at work."""
    watch = lambda: rig.exchange.watch_ticker(rig.symbol)  # noqa: E731 - it is handed on twice
    rig.run(rig.tries(watch, 2))
    rig.instrument()
    assert rig.connections.connections == 1
    rig.run(rig.tries(watch, 3))
    assert rig.stream("ticker").messages >= 3
    assert dialed(rig)["opened"] == 0


def test_twice_is_once(rig) -> None:
    """And what the second call asks for is added."""
    watch = lambda: rig.exchange.watch_ticker(rig.symbol)  # noqa: E731 - it is handed on twice
    rig.instrument()
    kind = type(rig.exchange)
    rig.run(rig.tries(watch, 3))
    rig.instrument()
    assert type(rig.exchange) is kind
    rig.instrument(stream_max_silence=30, health=None)
    before = rig.stream("ticker").messages
    rig.run(rig.tries(watch, 3))
    rig.instrument()
    rig.run(rig.tries(watch, 3))
    found = rig.stream("ticker")
    assert before + 6 <= found.messages
    assert found.max_silence == 30
    assert rig.connections.connections == 1
    assert dialed(rig)["opened"] == 1


def test_uninstrument_leaves_everything_as_it_was(rig) -> None:
    """Also the clients of open connections, on which ccxt goes on."""
    watch = lambda: rig.exchange.watch_ticker(rig.symbol)  # noqa: E731 - it is handed on twice
    rig.run(rig.tries(watch, 2))
    (client,) = (client for client in rig.exchange.clients.values() if client.isConnected)
    names, kind = set(vars(client)), type(rig.exchange)
    callbacks = [vars(client)[name] for name in ("on_message_callback", "on_close_callback")]
    rig.instrument()
    rig.run(rig.tries(watch, 2))
    uninstrument(rig.exchange)
    assert type(rig.exchange) is kind is getattr(ccxt.pro, rig.dialect)
    assert set(vars(client)) - names <= {"ping_looper"}
    assert [vars(client)[name] for name in ("on_message_callback", "on_close_callback")] == callbacks
    counted = rig.stream("ticker").messages
    rig.run(rig.tries(watch, 3))
    assert rig.stream("ticker").messages == counted
