"""What ccxt.pro gives stays as it is, in clients too; and how streams are asked for."""

import asyncio
import inspect

import ccxt
import ccxt.async_support
import pytest

from peak_observe import (
    AsyncResilientExchangeClient,
    HealthCheck,
    ResilientExchangeClient,
    instrument,
    observe,
    uninstrument,
)
from peak_observe.exchange_client.streams.names import METHODS
from peak_observe.testing import Fault


def test_results_are_those_of_ccxt(rig) -> None:
    """Of the same types and with the same content."""
    bare = rig.made()
    rig.instrument()

    async def both(name: str, *args):
        return [await getattr(exchange, name)(*args) for exchange in (bare, rig.exchange)]

    for name, args in (("watch_ticker", ()), ("watchTicker", ()), ("watch_order_book", ()), ("watchOHLCV", ("1m",))):
        plain, observed = rig.run(both(name, rig.symbol, *args))
        assert type(plain) is type(observed)
        assert getattr(plain, "keys", list)() == getattr(observed, "keys", list)()
    rig.run(bare.close())


def test_methods_look_as_before(rig) -> None:
    """Their signatures, and whether they are coroutine functions."""
    bare = rig.made()
    rig.instrument()
    for name in (f"watch_{method}" for method in METHODS):
        if hasattr(bare, name):
            plain, observed = getattr(bare, name), getattr(rig.exchange, name)
            assert inspect.signature(plain) == inspect.signature(observed)
            assert inspect.iscoroutinefunction(plain) == inspect.iscoroutinefunction(observed)
    assert isinstance(rig.exchange, type(bare))


def test_mistakes_raise_what_ccxt_raises(rig) -> None:
    """An unknown market is not watched."""
    rig.instrument(stream_max_silence=1, health=None)
    with pytest.raises(ccxt.BadSymbol):
        rig.run(rig.exchange.watch_ticker("NO/SUCH"))
    with pytest.raises(TypeError):
        rig.run(rig.exchange.watch_ticker())


def test_a_cancelled_call_is_cancelled(rig) -> None:
    """And the stream goes on for the next."""
    rig.instrument()
    rig.run(rig.tries(lambda: rig.exchange.watch_ticker(rig.symbol)))

    async def main() -> None:
        waiting = asyncio.ensure_future(rig.exchange.watch_ticker(rig.symbol))
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting

    rig.run(main())
    rig.run(rig.tries(lambda: rig.exchange.watch_ticker(rig.symbol), 3))
    assert rig.connections.connections == 1


def test_many_symbols_of_one_call(kraken) -> None:
    """Each is watched, in the group of its symbol."""
    kraken.instrument(stream_group=lambda symbol: symbol.partition("/")[0])
    kraken.run(kraken.tries(lambda: kraken.exchange.watch_tickers(["BTC/USD", "ETH/USD"]), 4))
    for group in ("BTC", "ETH"):
        kraken.run(kraken.until(lambda: kraken.stream("ticker", group).messages > 1))  # noqa: B023 - called at once
        assert kraken.stream("ticker", group).subscriptions == 1


def test_a_client_of_a_ccxt_pro_object_observes_streams(rig) -> None:
    """With its check, which goes when the client is closed."""
    checks = HealthCheck()

    async def main() -> None:
        settings = {"name": rig.name, "stream_max_silence": 30, "health": checks}
        async with AsyncResilientExchangeClient(rig.exchange, **settings) as client:
            for _ in range(3):
                await client.watch_ticker(rig.symbol)
            await client.fetch_ticker(rig.symbol)
            assert checks.names() == [f"stream_{rig.name}", f"exchange_{rig.name}"]
            found = await asyncio.to_thread(checks.run_all)
            assert found[f"stream_{rig.name}"].message == "ticker: no silence"
        await rig.exchange.close()

    rig.run(main())
    assert rig.stream("ticker").messages >= 3
    assert checks.names() == []


def test_orders_over_the_websocket_of_a_client_still_count(kraken) -> None:
    """The two observers of one connection do not disturb each other."""
    client = AsyncResilientExchangeClient(kraken.exchange, name=kraken.name, health=None)
    kraken.run(kraken.tries(lambda: client.watch_ticker(kraken.symbol)))

    async def main() -> None:
        waiting = asyncio.ensure_future(client.create_order_ws(kraken.symbol, "limit", "buy", 0.1, 50_000))
        await kraken.until(lambda: sum(kraken_writes(kraken.name)) == 0 and not waiting.done())
        waiting.cancel()

    kraken.run(asyncio.sleep(0))
    kraken.run(main())
    kraken.run(client.close())
    assert kraken.stream("ticker").messages >= 1


def kraken_writes(name: str) -> list[int]:
    """Return the writes of an exchange by outcome."""
    from peak_observe.measures import EXCHANGES

    return EXCHANGES.get(name).read().writes


@pytest.mark.parametrize("option", [{"stream_max_silence": 60}, {"stream_group": str}])
@pytest.mark.parametrize("kind", ["instrument", "client", "sync client"])
def test_what_has_no_websockets_takes_no_options_of_streams(option, kind) -> None:
    """The message says how to get some."""
    make = {
        "instrument": lambda: instrument(ccxt.kraken(), **option),
        "client": lambda: AsyncResilientExchangeClient("kraken", health=None, **option),
        "sync client": lambda: ResilientExchangeClient("kraken", health=None, **option),
    }[kind]
    with pytest.raises(ValueError, match=r"is for websockets, which ccxt\.\S+ does not have: pass ccxt.pro.kraken"):
        make()


def test_the_check_goes_with_uninstrument(kraken) -> None:
    """And is there once, however often it is asked for."""
    checks = HealthCheck()
    for _ in range(3):
        kraken.instrument(stream_max_silence=5, health=checks)
    assert checks.names() == [f"stream_{kraken.name}"]
    uninstrument(kraken.exchange)
    assert checks.names() == []


def test_an_observer_that_fetches_once_after_a_gap(rig) -> None:
    """It is told on the event loop of the stream, once for each gap."""
    rig.instrument()
    fetched = []

    async def fetch() -> None:
        fetched.append(await rig.exchange.fetch_open_orders(rig.symbol))

    def after_gap(event) -> None:
        if type(event).__name__ == "StreamResumed" and event.name == rig.name and event.stream == "ticker":
            tasks.append(asyncio.get_running_loop().create_task(fetch()))

    tasks: list = []
    forget = observe(after_gap)
    watch = lambda: rig.exchange.watch_ticker(rig.symbol)  # noqa: E731 - it is handed on twice
    rig.run(rig.tries(watch, 2))
    rig.fake.fail(Fault.closed(1001), path=rig.channels["ticker"], times=1)
    rig.run(rig.tries(watch, 20))
    rig.run(rig.until(lambda: fetched))
    forget()
    assert fetched == [[]]
