"""The client as a bot uses it, sync and async, against the loopback exchange."""

import asyncio
import copy
import gc
import inspect
import pickle
import threading
import time
import weakref

import ccxt
import ccxt.async_support
import pytest
from prometheus_client import CollectorRegistry

import peak_observe
from peak_observe import (
    AsyncResilientExchangeClient,
    CircuitOpenError,
    CircuitState,
    HealthCheck,
    HeldBackError,
    KeyRefused,
    OutcomeUnknown,
    RateLimited,
    ResilientExchangeClient,
    Transition,
    WriteUnanswered,
    retry_with_backoff,
)
from peak_observe.measures import BREAKERS, RETRIES
from peak_observe.testing import FAULTS, FakeExchange, Fault, ManualClock, RecordingObserver
from peak_observe.testing.faulttable import BAN_ENDS
from peak_observe.testing.loopback import Reply

MODES = pytest.mark.parametrize("mode", ["sync", "async"])


@pytest.fixture
def fake():
    """An exchange of the test's own."""
    with FakeExchange() as running:
        yield running


def order(client, **params):
    """Place an order that stays open."""
    return client.create_order("BTC/USD", "limit", "buy", 0.1, 50_000, params)


# Making ---------------------------------------------------------------------------------------------------


def test_by_default_it_is_kraken() -> None:
    """As the contract says; nothing is asked before the first call."""
    with ResilientExchangeClient(health=None) as client:
        assert (client.name, client.exchange.id) == ("kraken", "kraken")


def test_an_unknown_exchange_has_near_matches() -> None:
    """A typing error is found at once."""
    with pytest.raises(ValueError, match=r"ccxt knows no exchange 'krakn'; near: kraken"):
        ResilientExchangeClient("krakn")


def test_without_ccxt_the_extra_is_named(monkeypatch) -> None:
    """One error that says what to install, for both clients."""
    for module in ("ccxt", "ccxt.async_support"):
        monkeypatch.setitem(__import__("sys").modules, module, None)
    for kind in (ResilientExchangeClient, AsyncResilientExchangeClient):
        with pytest.raises(peak_observe.MissingExtraError, match=r"peak-observe\[exchange\]"):
            kind("kraken")


def test_an_object_of_the_other_kind_is_refused() -> None:
    """And what is none at all."""
    with pytest.raises(TypeError, match="use AsyncResilientExchangeClient"):
        ResilientExchangeClient(ccxt.async_support.kraken())
    with pytest.raises(TypeError, match="use ResilientExchangeClient"):
        AsyncResilientExchangeClient(ccxt.kraken())
    with pytest.raises(
        TypeError, match=r"the id of the exchange comes first: ResilientExchangeClient\('kraken', config\)"
    ):
        ResilientExchangeClient({"enableRateLimit": True})
    with pytest.raises(TypeError, match="config must be a mapping, as ccxt's constructors take one, not 'binance'"):
        ResilientExchangeClient("kraken", "binance")
    with pytest.raises(TypeError, match="a ccxt exchange object is wanted, not int"):
        ResilientExchangeClient(7)
    with pytest.raises(TypeError, match="config goes with the id"):
        ResilientExchangeClient(ccxt.kraken(), {"timeout": 1})


@pytest.mark.parametrize("setting", [{"max_wait": -1}, {"failure_threshold": 0}, {"max_attempts": 0}])
def test_settings_that_make_no_sense_are_named(setting) -> None:
    """As for the primitives."""
    with pytest.raises(ValueError, match=next(iter(setting))):
        ResilientExchangeClient("kraken", health=None, **setting)


def test_the_configuration_given_is_not_changed(fake) -> None:
    """It may be shared."""
    config = {**fake.config(), "options": {"maxRetriesOnFailure": 3}}
    before = copy.deepcopy(config)
    with pytest.warns(RuntimeWarning, match="maxRetriesOnFailure is set to 0"):
        ResilientExchangeClient("kraken", config, health=None).close()
    assert config == before


def test_ccxts_own_retries_are_off_everywhere(fake) -> None:
    """In the options, in those of one endpoint, and in the parameters of a call."""
    options = {"maxRetriesOnFailure": 3, "AddOrder": {"maxRetriesOnFailure": 3}}
    with pytest.warns(RuntimeWarning, match="maxRetriesOnFailure"):
        client = ResilientExchangeClient("kraken", {**fake.config(), "options": options}, health=None)
    with client:
        fake.fail(Fault.reset(), path="AddOrder")
        with pytest.raises(OutcomeUnknown):
            order(client, maxRetriesOnFailure=3)
        assert fake.requests["AddOrder"] == 1


def test_everything_countable_is_there_at_0_from_the_beginning(fake) -> None:
    """Circuits, retries and what is known of the exchange."""
    registry = CollectorRegistry()
    peak_observe.register(registry)
    with ResilientExchangeClient("kraken", fake.config(), name="from.start", health=None):
        value = registry.get_sample_value
        for group in ("public", "private", "trade"):
            assert value("peak_breaker_calls_total", {"breaker": f"from.start.{group}", "outcome": "failure"}) == 0
        for group in ("public", "private"):
            labels = {"operation": f"from.start.{group}", "outcome": "exhausted"}
            assert value("peak_retry_calls_total", labels) == 0
        of_it = {"exchange": "from.start"}
        assert value("peak_exchange_banned_until_timestamp_seconds", of_it) == 0
        assert value("peak_exchange_clock_skew_seconds", of_it) == 0
        assert value("peak_exchange_rate_limit_used_ratio", of_it) == 0
        assert value("peak_exchange_data_age_seconds", {**of_it, "kind": "candles"}) != 0  # NaN


# Methods --------------------------------------------------------------------------------------------------


def test_every_method_of_ccxt_is_there_with_its_signature(fake) -> None:
    """By attribute and by name, in both spellings; what does not ask the exchange is ccxt's own."""
    with ResilientExchangeClient("kraken", fake.config(), health=None) as client:
        for name in ("fetch_order_book", "create_order", "fetch_my_trades", "cancel_order", "withdraw"):
            theirs = inspect.signature(getattr(ccxt.kraken(), name))
            assert inspect.signature(getattr(client, name)) == theirs
        book = client.call("fetch_order_book", "BTC/USD", limit=3)
        assert book["symbol"] == client.call("fetchOrderBook", "BTC/USD", 3)["symbol"] == "BTC/USD"
        assert client.fetchTicker("BTC/USD")["symbol"] == "BTC/USD"
        assert client.public_get_ticker({"pair": "XBTUSD"})["error"] == []
        assert client.amount_to_precision("BTC/USD", 1.23456789012) == "1.23456789"
        assert "BTC/USD" in client.markets
        assert "fetch_order_book" in dir(client)
        with pytest.raises(AttributeError, match="no_such_method"):
            client.call("no_such_method")
        with pytest.raises(AttributeError, match="_secret"):
            _ = client._secret


def test_the_three_of_the_contract(fake) -> None:
    """With the keywords that code for them uses."""
    with ResilientExchangeClient("kraken", fake.config(), health=None) as client:
        assert len(client.fetch_ohlcv(symbol="BTC/USD", timeframe="1h", limit=100)) == 100
        assert client.fetch_balance()["USD"]["free"] == 1_000_000
        assert client.fetch_ticker("BTC/USD")["last"] > 0


def test_async_methods_are_awaited(fake) -> None:
    """The same client for tasks; what ccxt answers at once is answered at once."""

    async def main():
        async with AsyncResilientExchangeClient("kraken", fake.config(), health=None) as client:
            client.exchange.timeout_on_exit = 0
            ticker, candles, balance = await asyncio.gather(
                client.fetch_ticker("BTC/USD"),
                client.fetch_ohlcv("BTC/USD", "1h", limit=5),
                client.fetch_balance(),
            )
            book = await client.call("fetch_order_book", "BTC/USD")
            assert (await client.public_get_time())["error"] == []
            assert client.amount_to_precision("BTC/USD", 1) == await client.call("amount_to_precision", "BTC/USD", 1)
            assert inspect.iscoroutinefunction(client.fetch_order_book)
            return ticker["symbol"], len(candles), balance["USD"]["free"], book["symbol"]

    assert asyncio.run(main()) == ("BTC/USD", 5, 1_000_000, "BTC/USD")


# Circuits -------------------------------------------------------------------------------------------------


@MODES
def test_each_group_has_a_circuit_of_its_own(mode, rig) -> None:
    """Prices may fail while the account can be asked."""
    rig = rig()
    with rig.using(mode, name="groups", failure_threshold=2, max_attempts=1) as client:
        rig.fake.fail(Fault.status(502), path="Ticker")
        for _ in range(2):
            with pytest.raises(ccxt.ExchangeNotAvailable):
                rig.run(mode, lambda: client.fetch_ticker("BTC/USD"))
        with pytest.raises(CircuitOpenError) as refused:
            rig.run(mode, lambda: client.fetch_ticker("BTC/USD"))
        assert isinstance(refused.value.last_error, ccxt.ExchangeNotAvailable)
        assert "502" in str(refused.value.last_error)
        assert refused.value.last_error is refused.value.__cause__
        assert rig.run(mode, client.fetch_balance)["USD"]["free"] > 0
        states = {group: breaker.state.value for group, breaker in client.breakers.items()}
        assert states == {"public": "open", "private": "closed", "trade": "closed"}


def test_two_clients_share_no_circuit(fake) -> None:
    """Only the counts."""
    with (
        ResilientExchangeClient("kraken", fake.config(), health=None, failure_threshold=1, max_attempts=1) as one,
        ResilientExchangeClient("kraken", fake.config(), health=None) as two,
    ):
        two.fetch_ticker("BTC/USD")
        fake.fail(Fault.status(502), times=1)
        with pytest.raises(ccxt.ExchangeNotAvailable):
            one.fetch_ticker("BTC/USD")
        assert one.breakers["public"].state is CircuitState.OPEN
        assert two.fetch_ticker("BTC/USD")["last"] > 0


@MODES
def test_a_cancel_passes_when_the_circuit_is_open(mode, rig) -> None:
    """Somebody wants out, whatever happened before."""
    rig = rig()
    with rig.using(mode, name="cancels", failure_threshold=1) as client:
        placed = rig.run(mode, lambda: order(client))
        rig.fake.fail(Fault.status(502), times=1)
        with pytest.raises(OutcomeUnknown):
            rig.run(mode, lambda: order(client))
        with pytest.raises(CircuitOpenError):
            rig.run(mode, lambda: order(client))
        assert client.breakers["trade"].state is CircuitState.OPEN
        rig.run(mode, lambda: client.cancel_order(placed["id"], "BTC/USD"))
        assert {found.status for found in rig.fake.orders if found.id == placed["id"]} == {"canceled"}


@MODES
def test_what_the_exchange_rejects_never_opens_a_circuit(mode, rig) -> None:
    """Too little money says nothing about the exchange."""
    rig = rig()
    with rig.using(mode, name="rejects", failure_threshold=1) as client:
        rig.fake.fail(FAULTS["kraken"]["no_funds"])
        for _ in range(3):
            with pytest.raises(ccxt.InsufficientFunds):
                rig.run(mode, lambda: order(client))
        assert client.breakers["trade"].state is CircuitState.CLOSED


@MODES
def test_a_refused_key_opens_its_circuit_at_once_with_its_reason(mode, rig) -> None:
    """For five minutes, so that asking on does not lock the account out; told once."""
    rig, clock = rig(), ManualClock()
    with rig.using(mode, name="dead.key", clock=clock) as client, RecordingObserver() as seen:
        rig.fake.fail(FAULTS["kraken"]["bad_signature"])
        with pytest.raises(ccxt.ExchangeError, match="Invalid signature"):
            rig.run(mode, client.fetch_balance)
        with pytest.raises(CircuitOpenError) as refused:
            rig.run(mode, client.fetch_balance)
        assert refused.value.retry_after == 300
        (opened,) = seen.of(Transition)
        assert (opened.name, opened.reason) == ("dead.key.private", "authentication failed: EAPI:Invalid signature")
        clock.advance(300)
        with pytest.raises(ccxt.ExchangeError):
            rig.run(mode, client.fetch_balance)
        rig.fake.heal()
        clock.advance(300)
        rig.run(mode, client.fetch_balance)
        assert [event.endpoint for event in seen.of(KeyRefused)] == ["POST private/BalanceEx"]
        assert client.breakers["private"].state is CircuitState.CLOSED


def test_a_key_that_dies_after_a_success_is_seen(rig) -> None:
    """Ccxt takes Binance's -2015 for a ban then."""
    rig = rig("binance")
    with rig.using("sync", name="dies") as client:
        client.fetch_balance()
        rig.fake.fail(FAULTS["binance"]["bad_key"])
        with pytest.raises(ccxt.DDoSProtection):
            client.fetch_balance()
        assert client.breakers["private"].state is CircuitState.OPEN
        assert client.held_back == 0


# Retries --------------------------------------------------------------------------------------------------


@MODES
def test_a_read_is_retried(mode, rig) -> None:
    """With growing delays, until it succeeds."""
    rig, clock = rig(), ManualClock()
    with rig.using(mode, name=f"reads.{mode}", clock=clock, max_attempts=3, base_delay=1.0) as client:
        before = rig.fake.requests["Ticker"]
        rig.fake.fail(Fault.truncated(), times=2)
        assert rig.run(mode, lambda: client.fetch_ticker("BTC/USD"))["last"] > 0
        assert (rig.fake.requests["Ticker"] - before, clock.sleeps) == (3, [1.0, 2.0])
    assert BREAKERS.get(f"reads.{mode}.public").read().calls[0] == 1
    assert RETRIES.get(f"reads.{mode}.public").read().retries == 2


@MODES
def test_a_retry_around_an_order_is_refused(mode, rig) -> None:
    """Where it is decorated; reads and cancels may be repeated."""
    with rig().using(mode, name="refused") as client:
        for name in ("create_order", "createOrder", "create_orders", "edit_order", "withdraw", "private_post_addorder"):
            with pytest.raises(TypeError, match="must not happen twice"):
                retry_with_backoff(name="refused")(getattr(client, name))
        for name in ("fetch_ticker", "cancel_order"):
            retry_with_backoff(name="refused")(getattr(client, name))


@MODES
def test_an_implicit_write_is_not_retried(mode, rig) -> None:
    """Also what ccxt's table gives directly is known by what it does."""
    rig = rig()
    with rig.using(mode, name="implicit") as client:
        before = rig.fake.requests.copy()
        rig.fake.fail(Fault.reset())
        parameters = {"pair": "XBTUSD", "cl_ord_id": "mine", "volume": "1", "ordertype": "market", "type": "buy"}
        with pytest.raises(OutcomeUnknown) as unknown:
            rig.run(mode, lambda: client.private_post_addorder(parameters))
        with pytest.raises(ccxt.NetworkError):
            rig.run(mode, client.private_post_balance)
        assert unknown.value.client_order_id == "mine"
        assert rig.fake.requests - before == {"AddOrder": 1, "Balance": 2}


def test_async_nothing_is_sent_twice_by_the_http_library(rig) -> None:
    """On a broken connection aiohttp would repeat Binance's DELETE without a word."""
    rig = rig("binance")
    with rig.using("async", name="once") as client:
        placed = rig.run("async", lambda: client.create_order("BTC/USDT", "limit", "buy", 0.1, 40_000))
        rig.calls.clear()
        rig.fake.fail(Fault.lost_reply())
        with pytest.raises(OutcomeUnknown):
            rig.run("async", lambda: client.cancel_order(placed["id"], "BTC/USDT"))
        assert [call.method for call in rig.calls] == ["DELETE"]


@MODES
def test_a_read_whose_nonce_was_refused_is_repeated_with_a_new_one(mode, rig, monkeypatch) -> None:
    """Two processes with one key get in each other's way: what was refused was not carried out."""
    rig = rig()
    highest, refusals = [0], []
    answer = rig.fake._dialect.answer

    def strict(call, behind=0.0):
        nonce = int(call.params.get("nonce", 0))
        if nonce and nonce <= highest[0]:
            refusals.append(nonce)
            return Reply({"error": ["EAPI:Invalid nonce"]})
        highest[0] = max(highest[0], nonce)
        return answer(call, behind)

    monkeypatch.setattr(rig.fake._dialect, "answer", strict)
    with rig.using(mode, name="nonces", max_attempts=3) as client:
        for number in range(20):
            if number % 4 == 0:
                highest[0] = int(time.time() * 1000) + 30  # the other process, whose clock is ahead
                client._protection._clock.sleep = lambda _: time.sleep(0.05)
                client._protection._clock.async_sleep = lambda _: asyncio.sleep(0.05)
            assert rig.run(mode, client.fetch_balance)["USD"]["free"] > 0
        assert client.breakers["private"].stats.failure_count == 0
    assert len(refusals) >= 5


@MODES
def test_an_order_whose_nonce_was_refused_is_not_repeated(mode, rig) -> None:
    """Writes never are."""
    rig = rig()
    with rig.using(mode, name="nonces") as client:
        before = rig.fake.requests["AddOrder"]
        rig.fake.fail(FAULTS["kraken"]["clock"], path="AddOrder", times=1)
        with pytest.raises(ccxt.InvalidNonce):
            rig.run(mode, lambda: order(client))
        assert rig.fake.requests["AddOrder"] - before == 1


# Orders ---------------------------------------------------------------------------------------------------


@MODES
@pytest.mark.parametrize("dialect", ["kraken", "binance"])
def test_an_order_whose_answer_is_lost_can_be_asked_for(dialect, mode, rig) -> None:
    """By the client order id that the error names; it was sent once."""
    rig = rig(dialect)
    with rig.using(mode, name="lost") as client, RecordingObserver() as seen:
        before = len(rig.fake.orders)
        rig.fake.fail(Fault.lost_reply())
        with pytest.raises(OutcomeUnknown) as unknown:
            rig.run(mode, lambda: client.create_order(rig.symbol, "limit", "buy", 0.1, 40_000))
        (placed,) = rig.fake.orders[before:]
        assert unknown.value.client_order_ids == (placed.client_order_id,)
        assert unknown.value.method == "create_order"
        assert unknown.value.name == "lost"
        assert unknown.value.at == client._protection._clock.now()
        (told,) = seen.of(WriteUnanswered)
        assert told.client_order_ids == unknown.value.client_order_ids


def test_an_order_has_the_id_that_it_was_given(fake) -> None:
    """Ours only where there is none, whatever the exchange calls it."""
    with ResilientExchangeClient("kraken", fake.config(), health=None, client_order_id=lambda: "made") as client:
        assert order(client)["clientOrderId"] == "made"
        order(client, clientOrderId="own")
        order(client, cl_ord_id="theirs")
        client.create_order("BTC/USD", type="limit", side="buy", amount=1, price=1)
        client.create_limit_buy_order("BTC/USD", 1, 1)
        client.createOrder("BTC/USD", "limit", "buy", 1, 1)
    assert [found.client_order_id for found in fake.orders] == ["made", "own", "theirs", "made", "made", "made"]


def test_an_order_without_an_id_in_its_answer_is_of_unknown_fate(fake) -> None:
    """Ccxt would return it with `id=None`."""
    with ResilientExchangeClient("kraken", fake.config(), health=None) as client:
        client.load_markets()
        described = '{"error": [], "result": {"descr": {"order": "buy 0.1 XBTUSD @ limit 50000"}}}'
        fake.fail(Fault(body=described), path="AddOrder")
        with pytest.raises(OutcomeUnknown, match="BadResponse"):
            order(client)
        assert order(client, validate=True)["id"] is None


def test_an_order_that_stands_though_ccxt_fails_afterwards_is_of_unknown_fate(fake, monkeypatch) -> None:
    """What can be told is only that it was sent."""
    with ResilientExchangeClient("kraken", fake.config(), health=None) as client:
        monkeypatch.setattr(client.exchange, "parse_order", lambda *_: {}["nothing"])
        with pytest.raises(OutcomeUnknown, match="KeyError"):
            order(client)
    assert len(fake.orders) == 1


def test_an_order_whose_markets_cannot_be_loaded_was_not_sent(fake) -> None:
    """That is the exchange's trouble, and no question is open."""
    with ResilientExchangeClient("kraken", fake.config(), health=None) as client:
        fake.fail(Fault.status(502), path="Asset*")
        with pytest.raises(ccxt.ExchangeNotAvailable):
            order(client)
        assert fake.requests["AddOrder"] == 0


@MODES
def test_what_an_order_reads_before_it_is_sent_may_be_read_again(mode) -> None:
    """The markets, when nothing was written yet; the order itself goes out once."""
    with FakeExchange() as fake:

        def use():
            client = {"sync": ResilientExchangeClient, "async": AsyncResilientExchangeClient}[mode](
                "kraken", fake.config(), health=None, clock=ManualClock(), name="reads.first"
            )
            fake.fail(Fault.status(502), path="AssetPairs", times=2)
            return client, order(client)

        async def main():
            client, placed = use()
            client.exchange.timeout_on_exit = 0
            try:
                return await placed
            finally:
                await client.close()

        placed = use()[1] if mode == "sync" else asyncio.run(main())
        assert placed["id"]
        assert (fake.requests["AssetPairs"], fake.requests["AddOrder"]) == (3, 1)


@MODES
def test_an_order_of_unknown_outcome_says_what_it_was(mode, rig, caplog) -> None:
    """Two of them can be told apart in the log, by the event and by the error; a client does not send it again."""
    rig = rig()
    with rig.using(mode, name="told") as client, RecordingObserver() as seen:
        rig.fake.fail(Fault.lost_reply())
        with pytest.raises(OutcomeUnknown, match=r"of limit sell 0\.2 BTC/USD at 70000 may") as unknown:
            rig.run(mode, lambda: client.create_order("BTC/USD", "limit", "sell", 0.2, price=70_000))
        with pytest.raises(OutcomeUnknown, match="of BTC/USD id 7 may"):
            rig.run(mode, lambda: client.cancel_order("7", "BTC/USD"))
        with pytest.raises(OutcomeUnknown, match=r"limit buy 1 BTC/USD at 1; market sell 2 BTC/USD may"):
            one = {"symbol": "BTC/USD", "type": "limit", "side": "buy", "amount": 1, "price": 1}
            two = {"symbol": "BTC/USD", "type": "market", "side": "sell", "amount": 2}
            rig.run(mode, lambda: client.create_orders([one, two]))
    told = seen.of(WriteUnanswered)[0]
    assert (told.method, told.symbol, told.side, told.amount, told.price) == (
        "create_order",
        "BTC/USD",
        "sell",
        0.2,
        70_000,
    )
    assert told.order == unknown.value.order == "limit sell 0.2 BTC/USD at 70000"
    line = next(record.getMessage() for record in caplog.records if "70000" in record.getMessage())
    assert "create_order (POST private/AddOrder) of limit sell 0.2 BTC/USD at 70000" in line
    assert line.endswith("it is not sent again: ask the exchange whether it stands")


def test_where_orders_take_no_id_that_is_said(caplog) -> None:
    """Once before the first order; whoever asks for ids is told when the client is made."""
    with pytest.raises(ValueError, match="bit2c takes no client order ids through ccxt: leave client_order_id out"):
        ResilientExchangeClient("bit2c", health=None, client_order_id=lambda: "mine")
    with (
        ResilientExchangeClient("bit2c", health=None, name="no.ids") as client,
        ResilientExchangeClient("kraken", health=None, name="ids") as other,
    ):
        assert (client.order_ids_supported, other.order_ids_supported) == (False, True)
        for _ in range(2):
            with pytest.raises(ccxt.AuthenticationError):
                client.exchange.create_order("BTC/NIS", "limit", "buy", 1, 1)
    lines = [record.getMessage() for record in caplog.records if "client order ids" in record.getMessage()]
    assert lines == ["bit2c takes no client order ids: find one of unknown outcome by market, side, amount and time"]


def test_a_batch_names_all_its_orders(rig) -> None:
    """Each of them may stand."""
    rig = rig()
    with rig.using("sync", name="batch", client_order_id=iter(["a", "b"]).__next__) as client:
        rig.fake.fail(Fault.reset())
        wanted = {"symbol": "BTC/USD", "type": "limit", "side": "buy", "amount": 1, "price": 1}
        orders = [wanted, {**wanted, "params": {"clientOrderId": "own"}}, wanted]
        for arguments in ((orders,), ()):
            if not arguments:
                client.exchange._peak_observe_state.order_ids.new_id = iter(["a", "b"]).__next__
            with pytest.raises(OutcomeUnknown) as unknown:
                client.create_orders(*arguments, **({} if arguments else {"orders": orders}))
            assert unknown.value.client_order_ids == ("a", "own", "b")
        assert wanted == {"symbol": "BTC/USD", "type": "limit", "side": "buy", "amount": 1, "price": 1}


def test_a_cancelled_task_leaves_word_of_its_order(rig) -> None:
    """The cancellation is the caller's own and comes through; the order is told of."""
    rig = rig()
    with rig.using("async", name="task") as client, RecordingObserver() as seen:
        rig.fake.fail(Fault.hang())

        async def use():
            task = asyncio.ensure_future(client.create_order("BTC/USD", "limit", "buy", 1, 1))
            await asyncio.to_thread(arrived.wait, 30)
            task.cancel()
            await task

        arrived = rig.arrived
        with pytest.raises(asyncio.CancelledError):
            rig.run("async", use)
        (told,) = seen.of(WriteUnanswered)
        assert len(told.client_order_ids) == 1


def test_the_error_survives_pickling() -> None:
    """With all that it takes to ask."""
    clock = ManualClock()
    error = OutcomeUnknown("kraken", "create_order", "POST private/AddOrder", ("id",), clock.now(), "NetworkError")
    copied = pickle.loads(pickle.dumps(error))
    assert str(copied) == str(error)
    assert "sent 2026-01-01 00:00:00.000000 UTC, client order id id; ask before" in str(error)
    assert (copied.client_order_id, copied.at) == ("id", clock.now())
    assert OutcomeUnknown("a", "b", "c", (), clock.now()).client_order_id is None


# Holding back ---------------------------------------------------------------------------------------------


@MODES
def test_all_calls_wait_until_the_exchange_may_be_asked_again(mode, rig) -> None:
    """Also those of other groups and cancels; a little longer, so that not all come at once."""
    rig, clock = rig(), ManualClock()
    with rig.using(mode, name="waits", clock=clock, max_attempts=1) as client:
        placed = rig.run(mode, lambda: order(client))
        for call in (client.fetch_balance, lambda: client.cancel_order(placed["id"], "BTC/USD")):
            rig.fake.fail(Fault.rate_limited(4), path="Ticker", times=1)
            with pytest.raises(ccxt.RateLimitExceeded):
                rig.run(mode, lambda: client.fetch_ticker("BTC/USD"))
            assert client.held_back == pytest.approx(4)
            rig.run(mode, call)
            assert 4 < clock.sleeps[-1] < 4.5
            assert client.held_back == 0


@MODES
def test_a_wait_that_is_too_long_is_refused(mode, rig) -> None:
    """At once, and nothing is sent; the gauge tells until when."""
    rig = rig("binance")
    with rig.using(mode, name="banned") as client, RecordingObserver() as seen:
        rig.calls.clear()
        rig.fake.fail(FAULTS["binance"]["banned"], times=1)
        with pytest.raises(ccxt.DDoSProtection):
            rig.run(mode, lambda: client.fetch_ticker(rig.symbol))
        with pytest.raises(HeldBackError, match="'banned' is rate limited or banned for another") as refused:
            rig.run(mode, client.fetch_balance)
        assert refused.value.reason == "code -1003"
        assert len(rig.calls) == 1
        (told,) = seen.of(RateLimited)
        assert told.until == client.exchange._peak_observe_state.tally.read().banned_until
        assert 0 < told.until <= BAN_ENDS
        assert pickle.loads(pickle.dumps(refused.value)).retry_after == refused.value.retry_after
        assert client.breakers["private"].stats.failure_count == 0


# Time -----------------------------------------------------------------------------------------------------


@MODES
def test_a_wrong_clock_is_set_once_and_the_read_made_again(mode, rig) -> None:
    """With ccxt's own option, by the exchange's time; the true Binance rule refuses our stamp before."""
    rig = rig("binance")
    with rig.using(mode, name="clock") as client:
        client.exchange.options["adjustForTimeDifference"] = True
        client.exchange.options["timeDifference"] = 3_600_000
        rig.calls.clear()
        try:
            assert rig.run(mode, client.fetch_balance)["BTC"]["free"] == 10
        finally:
            client.exchange.options["adjustForTimeDifference"] = False
        assert [call.path.rpartition("/")[2] for call in rig.calls] == ["account", "time", "account"]
        assert abs(client.exchange.options["timeDifference"]) < 5000


@MODES
def test_a_clock_that_stays_wrong_is_an_error_after_one_sync(mode, rig) -> None:
    """Not a loop."""
    rig = rig("binance")
    with rig.using(mode, name="clock.stays") as client:
        client.exchange.options["adjustForTimeDifference"] = True
        rig.calls.clear()
        rig.fake.fail(FAULTS["binance"]["clock"], path="GET account")
        try:
            with pytest.raises(ccxt.InvalidNonce):
                rig.run(mode, client.fetch_balance)
        finally:
            client.exchange.options["adjustForTimeDifference"] = False
        assert [call.path.rpartition("/")[2] for call in rig.calls] == ["account", "time", "account"]


# Threads --------------------------------------------------------------------------------------------------


def test_the_rate_limiter_counts_all_threads(fake) -> None:
    """Ccxt's own lets threads pass side by side."""
    config = {**fake.config(), "enableRateLimit": True, "rateLimit": 30}
    with ResilientExchangeClient("kraken", config, health=None) as client:
        client.load_markets()
        stamps, ready = [], threading.Barrier(6)
        answered = client.exchange.on_rest_response
        client.exchange.on_rest_response = lambda *args: (stamps.append(time.perf_counter()), answered(*args))[1]

        def use() -> None:
            ready.wait()
            client.fetch_ticker("BTC/USD")

        threads = [threading.Thread(target=use) for _ in range(6)]
        start = time.perf_counter()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(stamps) == 6
    assert max(stamps) - start >= 5 * 0.030


def test_nonces_are_unique_in_threads(fake) -> None:
    """Each signed request has a later one than that before it."""
    calls = []
    handle = fake._handle
    fake._server.handle = lambda call: (calls.append(call.params.get("nonce")), handle(call))[1]
    with ResilientExchangeClient("kraken", fake.config(), health=None) as client:
        client.load_markets()
        calls.clear()
        threads = [threading.Thread(target=client.fetch_balance) for _ in range(16)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(set(calls)) == len(calls) == 16


# Health ---------------------------------------------------------------------------------------------------


def test_its_check_is_registered_and_goes_with_it(fake) -> None:
    """A second client of the exchange has a number, a named one its name."""
    health = HealthCheck()
    one = ResilientExchangeClient("kraken", fake.config(), health=health)
    two = ResilientExchangeClient("kraken", fake.config(), health=health)
    with ResilientExchangeClient("kraken", fake.config(), health=health, name="spot"):
        assert health.names() == ["exchange_kraken", "exchange_kraken_2", "exchange_spot"]
        assert {result.message for result in health.run_all().values()} == {"the exchange says that it is ok"}
    one.close()
    one.close()
    assert health.names() == ["exchange_kraken_2"]
    two.close()
    assert health.names() == []


def test_the_globals_check_is_the_default(fake) -> None:
    """`health_check.run_all()` knows the client."""
    with ResilientExchangeClient("kraken", fake.config(), name="global"):
        assert peak_observe.health_check.run_all(only=["exchange_global"])["exchange_global"].healthy
    assert "exchange_global" not in peak_observe.health_check.names()


@pytest.mark.parametrize(
    ("has", "asked"),
    [
        ({"fetchStatus": True, "fetchTime": True}, "SystemStatus"),
        ({"fetchStatus": "emulated", "fetchTime": True}, "Time"),
        ({"fetchStatus": False, "fetchTime": False}, "Ticker"),
    ],
)
def test_the_check_asks_what_the_exchange_has(fake, has, asked) -> None:
    """Status, else time, else a ticker."""
    health = HealthCheck()
    with ResilientExchangeClient("kraken", fake.config(), health=health) as client:
        client.load_markets()
        client.exchange.has.update(has)
        before = fake.requests
        assert health.run_all()["exchange_kraken"].healthy
        assert fake.requests - before == {asked: 1}


def test_the_check_fails_with_the_exchange(fake) -> None:
    """In maintenance, when it cannot be reached, and while a ban lasts."""
    health = HealthCheck()
    with ResilientExchangeClient("kraken", fake.config(), health=health, max_attempts=1) as client:
        client.load_markets()
        fake.fail(Fault.maintenance())
        assert health.run_all()["exchange_kraken"].message == "the exchange says that it is maintenance"
        fake.fail(Fault.status(502))
        assert not health.run_all()["exchange_kraken"].healthy
        fake.fail(Fault.rate_limited(60))
        with pytest.raises(ccxt.RateLimitExceeded):
            client.fetch_ticker("BTC/USD")
        before = fake.requests
        assert "rate limit or ban" in health.run_all()["exchange_kraken"].message
        assert fake.requests == before


def test_the_check_goes_with_a_client_that_was_dropped(fake) -> None:
    """It keeps no client alive and says nothing of one that is gone; the next client has its name."""
    health = HealthCheck()
    client = ResilientExchangeClient("kraken", fake.config(), health=health)
    client.fetch_ticker("BTC/USD")
    gone = weakref.ref(client)
    client.exchange.session.close()
    del client
    gc.collect()
    assert gone() is None
    assert health.names() == []
    with ResilientExchangeClient("kraken", fake.config(), health=health):
        assert health.names() == ["exchange_kraken"]
        assert health.run_all()["exchange_kraken"].message == "the exchange says that it is ok"


def test_a_check_that_cannot_go_at_once_is_taken_over(fake) -> None:
    """The collector may come while the registry is at work, whose lock it must not wait for."""
    health = HealthCheck()
    client = ResilientExchangeClient("kraken", fake.config(), health=health)
    ask = health._checks["exchange_kraken"]
    client.exchange.session.close()
    with health._lock:
        del client
        gc.collect()
        assert health.names() == ["exchange_kraken"]
    with ResilientExchangeClient("kraken", fake.config(), health=health):
        assert health.names() == ["exchange_kraken"]
        assert health._checks["exchange_kraken"] is not ask


def test_the_async_check_asks_on_the_clients_loop(fake) -> None:
    """From the loop itself, and from the thread of a checker; without a loop it says so."""
    health = HealthCheck()
    client = AsyncResilientExchangeClient("kraken", fake.config(), health=health)
    client.exchange.timeout_on_exit = 0
    assert health.run_all()["exchange_kraken"].message == "the event loop of the client does not run"

    async def main():
        await client.fetch_ticker("BTC/USD")
        here = (await health.async_run_all())["exchange_kraken"]
        there = (await asyncio.to_thread(health.run_all))["exchange_kraken"]
        fake.fail(Fault.rate_limited(60), times=1)
        with pytest.raises(ccxt.RateLimitExceeded):
            await client.fetch_ticker("BTC/USD")
        held = (await health.async_run_all())["exchange_kraken"]
        await client.close()
        return here.message, there.message, held.healthy

    assert asyncio.run(main()) == ("the exchange says that it is ok", "the exchange says that it is ok", False)
    assert health.names() == []


def test_the_check_of_a_dropped_async_client_goes_too(fake) -> None:
    """And says, to whoever kept it, that there is no client any more."""
    health = HealthCheck()
    client = AsyncResilientExchangeClient("kraken", fake.config(), health=health)
    ask = client._check()
    client.exchange.session = None
    del client
    gc.collect()
    assert health.names() == []
    assert asyncio.run(ask()) == (False, "the client is gone, and its check with it")


# Closing and secrets --------------------------------------------------------------------------------------


def test_an_object_that_was_given_stays_as_it_was(fake) -> None:
    """Closing gives it back, connections and class included."""
    exchange = ccxt.kraken(fake.config())
    with ResilientExchangeClient(exchange, health=None) as client:
        client.fetch_ticker("BTC/USD")
        assert client.exchange is exchange
        with pytest.raises(ValueError, match="belongs to the client 'kraken'"):
            peak_observe.uninstrument(exchange)
    assert type(exchange) is ccxt.kraken
    assert not [name for name in vars(exchange) if name.startswith("_peak")]
    assert exchange.fetch_ticker("BTC/USD")["last"] > 0
    exchange.session.close()


def test_an_object_belongs_to_one_client(fake) -> None:
    """A second one would take the first one's protection away."""
    exchange = ccxt.kraken(fake.config())
    with ResilientExchangeClient(exchange, health=None) as client:
        with pytest.raises(ValueError, match="belongs to the client 'kraken'"):
            ResilientExchangeClient(exchange, health=None, name="second")
        assert order(client)["clientOrderId"]
    exchange.session.close()


def test_an_object_stays_as_it_was_when_no_client_comes_about() -> None:
    """An argument that makes no sense has no consequences."""
    exchange = ccxt.kraken()
    with pytest.raises(ValueError, match="failure_threshold"):
        ResilientExchangeClient(exchange, failure_threshold=0)
    assert type(exchange) is ccxt.kraken
    exchange.session.close()


def test_an_instrumented_object_can_become_a_clients(fake) -> None:
    """The client's protection takes the place of mere measuring."""
    exchange = peak_observe.instrument(ccxt.kraken(fake.config()), "before")
    with ResilientExchangeClient(exchange, health=None, name="after") as client:
        assert client.fetch_ticker("BTC/USD")["last"] > 0
        assert peak_observe.instrument(exchange) is exchange
    assert type(exchange) is ccxt.kraken
    exchange.session.close()


def test_a_client_cannot_be_pickled(fake) -> None:
    """It holds keys; and its repr shows none."""
    with ResilientExchangeClient("kraken", fake.config(), health=None) as client:
        with pytest.raises(TypeError, match="holds keys and connections"):
            pickle.dumps(client)
        assert repr(client) == "<ResilientExchangeClient 'kraken' public closed, private closed, trade closed>"
