"""The books differ only when two looks agree that they do."""

import asyncio
import logging
import os
import threading
import time
from collections.abc import Iterator

import ccxt
import pytest
from prometheus_client import CollectorRegistry

from peak_observe import (
    AsyncResilientExchangeClient,
    Difference,
    OutcomeUnknown,
    Reconciler,
    ResilientExchangeClient,
    register,
)
from peak_observe.safety import books
from peak_observe.testing import FakeExchange, Fault, ManualClock


@pytest.fixture
def exchange() -> Iterator[FakeExchange]:
    """Return a Kraken of the test's own."""
    with FakeExchange() as fake:
        yield fake


@pytest.fixture
def client(exchange: FakeExchange) -> Iterator[ResilientExchangeClient]:
    """Return a client of it."""
    with ResilientExchangeClient("kraken", exchange.config(), health=None) as resilient:
        yield resilient


def place(client) -> dict:
    """Place an order that stays open."""
    return client.create_order("BTC/USD", "limit", "buy", 0.1, 50_000)


def kinds(differences) -> list[tuple[str, str]]:
    """Return kind and name of each difference."""
    return [(found.kind, found.what) for found in differences]


def test_a_lost_reply_is_one_foreign_order(exchange: FakeExchange, client) -> None:
    """The order stands, and the bot does not know its id."""
    mine: list[str] = []
    exchange.fail(Fault.lost_reply(), path="AddOrder", times=1)
    with pytest.raises(OutcomeUnknown):
        mine.append(place(client)["id"])
    (found,) = Reconciler(client, orders=lambda: mine, settle=0).run()
    assert (found.kind, found.what) == ("foreign_order", exchange.orders[0].id)
    assert found.about == "limit buy 0.1 BTC/USD at 50000.0"


def test_an_order_cancelled_behind_the_bot_is_missing(exchange: FakeExchange, client) -> None:
    """Somebody did it on the exchange's page."""
    mine = [place(client)["id"]]
    reconciler = Reconciler(client, orders=lambda: mine, settle=0)
    assert reconciler.run() == ()
    ccxt.kraken(exchange.config()).cancel_order(mine[0])
    assert kinds(reconciler.run()) == [("missing_order", mine[0])]


def test_visibility_lag_raises_no_false_alarm(exchange: FakeExchange, client) -> None:
    """An order that the first look does not show yet is there at the second."""
    mine = [place(client)["id"]]
    exchange.fail(Fault.stale(60), path="OpenOrders", times=1)
    told = []
    assert Reconciler(client, orders=lambda: mine, settle=0, on_difference=told.append).run() == ()
    assert not told
    assert exchange.requests["OpenOrders"] == 2


def test_an_order_that_fills_meanwhile_is_no_difference(exchange: FakeExchange, client) -> None:
    """The bot hears of it before the second look."""
    mine = [place(client)["id"]]
    client.cancel_order(mine[0])
    answers = iter([mine, []])
    assert Reconciler(client, orders=lambda: next(answers), settle=0).run() == ()


def test_the_settling_time_lies_between_the_looks(exchange: FakeExchange, client) -> None:
    """And there is none when the first look finds nothing."""
    clock = ManualClock()
    began = clock.monotonic()
    Reconciler(client, orders=list, settle=5, clock=clock).run()
    assert clock.monotonic() == began
    place(client)
    Reconciler(client, orders=list, settle=5, clock=clock).run()
    assert clock.monotonic() == began + 5


def test_client_order_ids_and_whole_orders_serve_as_well(exchange: FakeExchange, client) -> None:
    """Whatever the bot keeps of its orders."""
    order = place(client)
    (placed,) = exchange.orders
    for believed in ([placed.client_order_id], [{"id": None, "clientOrderId": placed.client_order_id}], [order]):
        assert Reconciler(client, orders=lambda believed=believed: believed, settle=0).run() == ()


def test_balances_differ_by_more_than_the_tolerance(client) -> None:
    """Of the currencies that the bot names; the fake holds 10 BTC and 1,000,000 USD."""
    believed = {"BTC": 9.5, "USD": 1_000_000.004}
    reconciler = Reconciler(client, balances=lambda: believed, settle=0, tolerance={"USD": 0.01})
    assert kinds(reconciler.run()) == [("balance", "BTC")]
    believed["BTC"] = 10.0
    believed["DOGE"] = 5.0
    (found,) = reconciler.run()
    assert str(found) == "balance of DOGE is 0 at the exchange and 5 here"


def test_positions_are_compared_with_their_sign() -> None:
    """Long and short of one market add up, and one that the bot does not know counts."""
    positions = [
        {"symbol": "BTC/USDT:USDT", "side": "short", "contracts": 2.0},
        {"symbol": "ETH/USDT:USDT", "side": "long", "contracts": 3.0},
        {"symbol": "ETH/USDT:USDT", "side": "short", "contracts": 1.0},
        {"symbol": "SOL/USDT:USDT", "side": None, "contracts": None},
    ]
    found = list(books.compare_positions({"BTC/USDT:USDT": 2.0, "ETH/USDT:USDT": 2.0}, positions, 0.0))
    assert found == [Difference("position", "BTC/USDT:USDT", 2.0, -2.0)]
    assert kinds(books.compare_positions({}, positions, 0.0)) == [
        ("position", "BTC/USDT:USDT"),
        ("position", "ETH/USDT:USDT"),
    ]


@pytest.mark.parametrize(
    ("side", "contracts", "held"),
    [("long", 2, 2), ("short", 2, -2), ("short", -2, -2), (None, -2, -2), (None, "2.5", 2.5), ("both", 2, 2)],
)
def test_a_position_is_signed_by_its_side_or_else_by_itself(side: str | None, contracts, held: float) -> None:
    """Exchanges differ in that."""
    positions = [{"symbol": "BTC/USDT:USDT", "side": side, "contracts": contracts}]
    assert list(books.compare_positions({"BTC/USDT:USDT": held}, positions, 0.0)) == []


def test_two_looks_agree_on_the_amount() -> None:
    """A balance that moves between them tells nothing yet."""
    first = [Difference("balance", "BTC", 1.0, 2.0)]
    assert books.agreed(first, [Difference("balance", "BTC", 1.5, 2.0)], 0.1) == ()
    assert books.agreed(first, [Difference("balance", "BTC", 3.0, 4.0)], 0.1) != ()
    assert books.agreed(first, [Difference("balance", "ETH", 1.0, 2.0)], 0.1) == ()


def test_nan_is_a_difference() -> None:
    """A book that holds it is wrong."""
    assert list(books.compare_balances({"BTC": float("nan")}, {"total": {"BTC": 1.0}}, 1.0))


def test_it_never_trades(exchange: FakeExchange, client) -> None:
    """All that it sends are questions."""
    place(client)
    before = exchange.requests
    Reconciler(client, orders=list, balances=dict, settle=0).run()
    assert set(exchange.requests - before) == {"OpenOrders", "BalanceEx"}


def test_each_new_difference_is_told_once(client, caplog: pytest.LogCaptureFixture) -> None:
    """A switch that somebody resumed stays so, until there is another."""
    told: list[str] = []
    reconciler = Reconciler(client, orders=list, settle=0, on_difference=told.append)
    first = place(client)["id"]
    for _ in range(2):
        reconciler.run()
    assert len(told) == 1
    assert told[0].startswith(f"books of kraken differ: order {first} (limit buy 0.1 BTC/USD at 50000.0) stands")
    place(client)
    reconciler.run()
    assert len(told) == 2
    with caplog.at_level(logging.INFO, "peak_observe.safety"):
        for order in client.fetch_open_orders():
            client.cancel_order(order["id"])
        assert reconciler.run() == ()
    assert caplog.messages[-1] == "books of kraken agree again"


def test_many_differences_are_counted_and_some_named(client) -> None:
    """The text stays short."""
    told: list[str] = []
    Reconciler(client, orders=lambda: [f"gone-{n}" for n in range(9)], settle=0, on_difference=told.append).run()
    assert told[0].count("gone-") == 3
    assert told[0].endswith("; and 6 more")


def test_a_hook_that_raises_spoils_nothing(client) -> None:
    """The differences are returned all the same."""
    reconciler = Reconciler(client, orders=lambda: ["gone"], settle=0, on_difference=lambda _: 1 / 0)
    assert kinds(reconciler.run()) == [("missing_order", "gone")]


def test_what_the_exchange_raises_comes_through_and_counts(exchange: FakeExchange, client) -> None:
    """Nobody knows whether the books agree then."""
    registry = CollectorRegistry()
    register(registry)
    reconciler = Reconciler(client, orders=lambda: ["gone"], settle=0, name="failing")
    exchange.fail(Fault.api_error("EAPI:Invalid key"), path="OpenOrders")
    with pytest.raises(ccxt.AuthenticationError):
        reconciler.run()
    label = {"exchange": "failing"}
    assert registry.get_sample_value("peak_reconcile_runs_total", {**label, "outcome": "failed"}) == 1
    assert registry.get_sample_value("peak_reconcile_last_success_timestamp_seconds", label) == 0
    assert registry.get_sample_value("peak_reconcile_differences", {**label, "kind": "missing_order"}) is None


def test_prometheus_sees_differences_and_the_last_success(client) -> None:
    """By kind; the interval shows while a thread compares."""
    registry = CollectorRegistry()
    register(registry)
    label = {"exchange": "seen"}
    reconciler = Reconciler(client, orders=lambda: ["gone"], settle=0, name="seen", every=30)
    reconciler.run()

    def value(name: str, **labels: str) -> float | None:
        return registry.get_sample_value(name, {**label, **labels})

    assert value("peak_reconcile_differences", kind="missing_order") == 1
    assert value("peak_reconcile_differences", kind="foreign_order") == 0
    assert value("peak_reconcile_runs_total", outcome="differed") == 1
    assert abs(value("peak_reconcile_last_success_timestamp_seconds") - time.time()) < 30
    assert value("peak_reconcile_interval_seconds") is None
    with reconciler:
        assert value("peak_reconcile_interval_seconds") == 30
    assert value("peak_reconcile_interval_seconds") is None


def test_a_forked_child_tells_nothing_of_the_parents_books(client) -> None:
    """Its copy would stay as it was for ever; a reconciler that it starts is its own."""
    reconciler = Reconciler(client, orders=lambda: ["gone"], settle=0, name="forked")
    reconciler.run()
    reconciler.start()
    child = os.fork()
    if child == 0:
        reconciler.stop()
        reading = reconciler._read()
        os._exit(int((reading.differences, reading.last_success, reading.interval) != (None, None, None)))
    assert os.waitpid(child, 0)[1] == 0
    assert reconciler._read().differences == [0, 0, 1, 0]
    reconciler.stop()


def test_a_thread_compares_again_and_again_whatever_fails(exchange: FakeExchange, client) -> None:
    """The first time at once."""
    found = threading.Event()
    exchange.fail(Fault.api_error("EGeneral:Internal error"), path="OpenOrders", times=1)
    place(client)
    with Reconciler(client, orders=list, settle=0, every=0.1, on_difference=lambda _: found.set()):
        assert found.wait(60)


def test_an_async_client_is_compared_on_its_loop(exchange: FakeExchange) -> None:
    """And what the bot believes may come from a coroutine."""

    async def believed() -> list[str]:
        return ["gone"]

    async def run() -> None:
        found = asyncio.Event()
        async with AsyncResilientExchangeClient("kraken", exchange.config(), health=None) as client:
            reconciler = Reconciler(client, orders=believed, settle=0, every=0.1, on_difference=lambda _: found.set())
            assert kinds(await reconciler.async_run()) == [("missing_order", "gone")]
            with pytest.raises(TypeError, match="async_run"):
                reconciler.run()
            with Reconciler(client, orders=believed, settle=0, every=0.1, on_difference=lambda _: found.set()):
                found.clear()
                await asyncio.wait_for(found.wait(), 30)

    asyncio.run(run())


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({}, ValueError, "there is nothing to compare: give balances=, orders= or positions="),
        (
            {"orders": ["a"]},
            TypeError,
            r"orders must be a function that returns what the program believes, not \['a'\]",
        ),
        ({"orders": list, "every": 0}, ValueError, "every: it has to be more than 0 seconds"),
        ({"orders": list, "settle": -1}, ValueError, "settle must be a number of seconds"),
        ({"orders": list, "tolerance": -1}, ValueError, "tolerance must be an amount of at least 0"),
        ({"orders": list, "tolerance": {"BTC": "x"}}, ValueError, "tolerance must be an amount of at least 0"),
        ({"orders": list, "on_difference": 3}, TypeError, "on_difference must be a plain function of one text, not 3"),
    ],
)
def test_what_makes_no_sense_is_refused(client, arguments: dict, error: type, words: str) -> None:
    """The message names it and the mend."""
    with pytest.raises(error, match=words):
        Reconciler(client, **arguments)


def test_what_the_exchange_does_not_tell_cannot_be_compared() -> None:
    """Such as positions of a spot exchange."""
    with pytest.raises(ValueError, match="positions cannot be compared, as ccxt has no fetchPositions for bitstamp"):
        Reconciler(ccxt.bitstamp(), positions=dict)


@pytest.mark.parametrize(
    ("side", "answer", "words"),
    [
        ("orders", None, "orders must return the open orders in a list, not None"),
        ("orders", "abc", "orders must return the open orders in a list, not 'abc'"),
        ("orders", [None], "orders must return ids, client order ids or orders of ccxt, not None"),
        ("balances", [1], r"balances must return amounts by name in a mapping, not \[1\]"),
    ],
)
def test_books_of_another_form_are_named(client, side: str, answer, words: str) -> None:
    """A bot that returns nonsense is told so, and nothing counts as agreed."""
    with pytest.raises((TypeError, ValueError), match=words):
        Reconciler(client, **{side: lambda: answer}, settle=0).run()


def test_a_start_without_a_thread_to_give_can_be_made_again(client, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first one raises, and the second one is none in vain."""

    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    reconciler = Reconciler(client, orders=list, settle=0)
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        with pytest.raises(RuntimeError, match="can't start new thread"):
            reconciler.start()
    reconciler.start()
    deadline = time.monotonic() + 20
    while not reconciler._last_success and time.monotonic() < deadline:
        time.sleep(0.01)
    reconciler.stop()
    assert reconciler._last_success
