"""What a halted or reduced switch lets out of a client: reads and cancels, by every way that ccxt has."""

import asyncio
import contextlib
import inspect
import pickle
import time

import ccxt
import ccxt.async_support
import pytest

from peak_observe import (
    AsyncResilientExchangeClient,
    CircuitState,
    ResilientExchangeClient,
    TradingHaltedError,
    TradingSwitch,
    instrument,
)
from peak_observe.exchange_client import endpoints, reviews
from peak_observe.testing import FakeExchange, Fault

PERP = "BTC/USDT:USDT"
SPOT = "BTC/USDT"
FILLED = {"symbol": SPOT, "type": "limit", "side": "buy", "amount": 1, "price": 10.0, "id": "1", "code": "BTC"}
FILLED |= {"orders": [{"symbol": SPOT, "type": "limit", "side": "buy", "amount": 1, "price": 10.0}], "ids": ["1"]}


@pytest.fixture
def switch(tmp_path):
    """Return a switch in a folder of its own."""
    made = TradingSwitch("gate", folder=tmp_path)
    yield made
    made.close()


@pytest.fixture(params=["kraken", "binance", "bybit", "okx"])
def fake(request):
    """Return a fake of each exchange."""
    with FakeExchange(dialect=request.param) as exchange:
        yield exchange


def client_of(fake: FakeExchange, switch: TradingSwitch, **settings) -> ResilientExchangeClient:
    """Return a client of a fake exchange that knows its markets."""
    client = ResilientExchangeClient(fake.exchange_id, fake.config(), trading=switch, health=None, **settings)
    client.load_markets()
    return client


def arguments(method) -> dict:
    """Return arguments that a method takes."""
    wanted = list(inspect.signature(method).parameters.values())
    named = [one for one in wanted if one.default is one.empty and one.kind is one.POSITIONAL_OR_KEYWORD]
    return {one.name: FILLED.get(one.name, "1") for one in named}


def test_no_write_leaves_a_halted_client(fake: FakeExchange, switch: TradingSwitch) -> None:
    """Every unified method that changes something and is no cancel, of the client and of its exchange object."""
    with client_of(fake, switch) as client:
        switch.halt("x")
        before = sum(fake.requests.values())
        tried = 0
        for name in reviews.unified_writes():
            if endpoints.cancels(name) or name in {"set_cancel_on_disconnect", "revoke_api_key"}:
                continue
            for owner in (client, client.exchange):
                if hasattr(client.exchange, name):
                    method = getattr(owner, name)
                    with pytest.raises(TradingHaltedError):
                        method(**arguments(method))
                    tried += 1
        assert tried > 40
        assert sum(fake.requests.values()) == before


def test_no_endpoint_that_changes_something_is_reached(fake: FakeExchange, switch: TradingSwitch) -> None:
    """By its implicit method, and by its path; those that cancel pass."""
    found = reviews.endpoint_effects(fake.exchange_id)
    with client_of(fake, switch) as client:
        switch.halt("x")
        before = sum(fake.requests.values())
        refused = 0
        for label, effect in found.items():
            method, _, rest = label.partition(" ")
            api, _, path = rest.partition("/")
            cancels = "cancel" in path.lower() or method == "DELETE"
            if effect == "read" or cancels:
                continue
            with pytest.raises(TradingHaltedError):
                client.request(path, api, method, {})
            refused += 1
        assert refused > 10
        assert sum(fake.requests.values()) == before


@pytest.mark.parametrize("label", ["POST sapi/order/cancelReplace", "POST private/order/cancel-replace"])
def test_a_cancel_that_also_orders_is_an_order(switch: TradingSwitch, label: str) -> None:
    """Its name begins with cancel all the same."""
    with FakeExchange(dialect="binance") as fake, client_of(fake, switch) as client:
        switch.halt("x")
        method, _, rest = label.partition(" ")
        api, _, path = rest.partition("/")
        with pytest.raises(TradingHaltedError):
            client.request(path, api, method, {})


def test_cancels_and_reads_pass(fake: FakeExchange, switch: TradingSwitch) -> None:
    """While everything else is halted, and no circuit has anything to say."""
    symbol = "BTC/USD" if fake.exchange_id == "kraken" else SPOT
    with client_of(fake, switch) as client:
        order = client.create_order(symbol, "limit", "buy", 1, 10.0)
        switch.halt("x")
        with pytest.raises(TradingHaltedError):
            client.create_order(symbol, "limit", "buy", 1, 10.0)
        client.cancel_order(order["id"], symbol)
        client.fetch_balance()
        client.fetch_ticker(symbol)
        assert {breaker.state for breaker in client.breakers.values()} == {CircuitState.CLOSED}


def test_the_refusal_is_also_an_error_of_ccxt(switch: TradingSwitch) -> None:
    """Which loops do not repeat; it can be pickled."""
    with FakeExchange() as fake, client_of(fake, switch) as client:
        switch.halt("fat finger")
        with pytest.raises(ccxt.OperationRejected) as raised:
            client.create_order("BTC/USD", "limit", "buy", 1, 10.0)
        assert isinstance(raised.value, TradingHaltedError)
        assert not isinstance(raised.value, ccxt.NetworkError)
        assert pickle.loads(pickle.dumps(raised.value)).reason == "fat finger"


def test_an_async_client_obeys_too(switch: TradingSwitch) -> None:
    """Its orders, its batches, and implicit methods."""

    async def main(fake: FakeExchange) -> None:
        config = fake.config()
        async with AsyncResilientExchangeClient("binance", config, trading=switch, health=None) as client:
            await client.load_markets()
            order = await client.create_order(SPOT, "limit", "buy", 1, 10.0)
            switch.halt("x")
            before = dict(fake.requests)
            for call in (
                client.create_order(SPOT, "limit", "buy", 1, 10.0),
                client.create_orders(FILLED["orders"]),
                client.exchange.create_order(SPOT, "limit", "buy", 1, 10.0),
                client.private_post_order({"symbol": "BTCUSDT"}),
                client.withdraw("BTC", 1, "x"),
            ):
                with pytest.raises(TradingHaltedError):
                    await call
            assert fake.requests == before
            await client.cancel_order(order["id"], SPOT)

    with FakeExchange(dialect="binance") as fake:
        asyncio.run(main(fake))


def test_an_order_that_waits_for_the_end_of_a_ban_is_not_sent_after_a_halt(switch: TradingSwitch) -> None:
    """The switch is asked at the last moment."""
    with FakeExchange() as fake, client_of(fake, switch) as client:
        client._backpressure.set(time.time() + 0.3, "429")
        timer = asyncio.new_event_loop()
        timer.call_later(0.1, switch.halt, "x")
        waiting = timer.run_in_executor(None, client.create_order, "BTC/USD", "limit", "buy", 1, 10.0)
        with pytest.raises(TradingHaltedError):
            timer.run_until_complete(waiting)
        timer.run_until_complete(timer.shutdown_default_executor())
        timer.close()
        assert fake.requests["AddOrder"] == 0


def test_an_edit_that_is_halted_in_its_midst_says_what_was_done(switch: TradingSwitch) -> None:
    """Where ccxt edits by a cancel and an order, the cancel stands."""
    with FakeExchange(dialect="kraken") as fake, client_of(fake, switch) as client:
        order = client.create_order("BTC/USD", "limit", "buy", 1, 10.0)
        exchange = client.exchange

        def edit(order_id: str, symbol: str, *rest: object) -> object:
            exchange.cancel_order(order_id, symbol)
            switch.halt("x")
            return exchange.create_order(symbol, *rest)

        class Edits(type(exchange)):
            def edit_order(self, order_id, symbol, *rest):
                return edit(order_id, symbol, *rest)

        exchange.__class__ = Edits
        with pytest.raises(TradingHaltedError) as raised:
            client.edit_order(order["id"], "BTC/USD", "limit", "buy", 1, 11.0)
        assert "CancelOrder" in "".join(raised.value.__notes__)
        assert fake.requests["AddOrder"] == 1


REDUCING = [
    ("create_order", (PERP, "market", "sell", 1, None, {"reduceOnly": True}), True),
    ("create_order", (PERP, "market", "sell", 1, None, {"reduce_only": "true"}), True),
    ("create_order", (PERP, "market", "sell", 1, None, {"reduceOnly": False}), False),
    ("create_order", (PERP, "market", "sell", 1, None, {"reduceOnly": "false"}), False),
    ("create_order", (PERP, "market", "sell", 1), False),
    ("create_order", (SPOT, "market", "sell", 1, None, {"reduceOnly": True}), False),
    ("create_reduce_only_order", (PERP, "market", "sell", 1), True),
    ("close_position", (PERP,), True),
    ("withdraw", ("BTC", 1, "x", None, {"reduceOnly": True}), False),
    ("create_orders", ([{**FILLED["orders"][0], "symbol": PERP, "params": {"reduceOnly": True}}],), True),
    ("create_orders", ([{**FILLED["orders"][0], "params": {"reduceOnly": True}}] * 2,), False),
]


@pytest.mark.parametrize(
    ("name", "args", "passes"), REDUCING, ids=[f"{name}-{number}" for number, (name, *_) in enumerate(REDUCING)]
)
def test_reduce_only_lets_through_what_reduces(switch: TradingSwitch, name: str, args: tuple, passes: bool) -> None:
    """By its parameters or its name; on spot markets there is no position to reduce."""
    with FakeExchange(dialect="bybit") as fake, client_of(fake, switch, max_attempts=1) as client:
        switch.reduce_only("volatile")
        try:
            getattr(client, name)(*args)
        except TradingHaltedError:
            refused = True
        except Exception:
            refused = False
        else:
            refused = False
        assert refused is not passes


def test_an_implicit_reduction_passes(switch: TradingSwitch) -> None:
    """By its own parameters."""
    with FakeExchange(dialect="bybit") as fake, client_of(fake, switch, max_attempts=1) as client:
        switch.reduce_only("volatile")
        with pytest.raises(TradingHaltedError):
            client.private_post_v5_order_create({"symbol": "BTCUSDT"})
        with contextlib.suppress(ccxt.BaseError):
            client.private_post_v5_order_create({"symbol": "BTCUSDT", "reduceOnly": True})
        assert sum(count for name, count in fake.requests.items() if "create" in name) == 1


def test_instrument_stays_passive(switch: TradingSwitch) -> None:
    """It measures, and stops nothing."""
    with FakeExchange() as fake:
        exchange = instrument(ccxt.kraken(fake.config()))
        switch.halt("x")
        assert exchange.create_order("BTC/USD", "limit", "buy", 1, 10.0)["id"]


def test_only_a_switch_is_taken() -> None:
    """In one line."""
    with pytest.raises(TypeError, match="trading must be a TradingSwitch"):
        ResilientExchangeClient("kraken", trading="main", health=None)


def test_a_refusal_is_counted_and_no_request(switch: TradingSwitch) -> None:
    """The exchange has not failed: a fault there stays a fault."""
    with FakeExchange() as fake, client_of(fake, switch, max_attempts=1) as client:
        fake.fail(Fault.maintenance(), path="AddOrder")
        with pytest.raises(ccxt.ExchangeNotAvailable):
            client.create_order("BTC/USD", "limit", "buy", 1, 10.0)
        switch.halt("x")
        with pytest.raises(TradingHaltedError):
            client.create_order("BTC/USD", "limit", "buy", 1, 10.0)
        assert fake.requests["AddOrder"] == 1
