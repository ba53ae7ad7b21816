"""The guard of orders: exact for threads, processes and restarts."""

import asyncio
import threading
from pathlib import Path

import pytest

from peak_observe import (
    AsyncResilientExchangeClient,
    GuardTripped,
    OrderGuard,
    OutcomeUnknown,
    ResilientExchangeClient,
    TradingHaltedError,
    TradingSwitch,
)
from peak_observe.measures import GUARDS
from peak_observe.testing import FakeExchange, Fault, ManualClock, RecordingObserver


def order(number: int = 0, **other: object) -> dict:
    """Return an order that differs from those of other numbers."""
    return {"symbol": "BTC/USDT", "type": "limit", "side": "buy", "amount": 1.0 + number, "price": 10.0, **other}


def admitted(guard: OrderGuard, orders: list[dict]) -> int:
    """Return how many orders pass before the first is refused."""
    for count, one in enumerate(orders):
        try:
            guard.admit([one])
        except TradingHaltedError:
            return count
    return len(orders)


def test_no_more_than_the_limit_pass(switch: TradingSwitch, clock: ManualClock) -> None:
    """The one that would exceed it is refused, and halts."""
    guard = OrderGuard(switch, max_orders=20, per=60, clock=clock)
    assert admitted(guard, [order(number) for number in range(40)]) == 20
    assert switch.state.state == "halted"
    assert switch.state.reason == "guard main.orders: more than 20 orders within 60 s"
    assert switch.state.by == "guard main.orders"


def test_the_window_moves_on(switch: TradingSwitch, clock: ManualClock) -> None:
    """What is older than `per` counts no more."""
    guard = OrderGuard(switch, max_orders=2, per=60, clock=clock)
    for number in range(10):
        guard.admit([order(number)])
        clock.advance(31)
    switch.check()


def test_a_batch_counts_its_orders(switch: TradingSwitch, clock: ManualClock) -> None:
    """It passes whole or not at all."""
    guard = OrderGuard(switch, max_orders=5, clock=clock)
    guard.admit([order(1), order(2), order(3)])
    with pytest.raises(TradingHaltedError, match="more than 5 orders"):
        guard.admit([order(4), order(5), order(6)])


def test_equal_orders_are_counted_apart(switch: TradingSwitch, clock: ManualClock) -> None:
    """A client order id makes no order another one."""
    guard = OrderGuard(switch, max_same=3, clock=clock)
    same = [order(params={"clientOrderId": str(number)}) for number in range(40)]
    assert admitted(guard, [order(1), order(2), *same]) == 5
    assert "more than 3 equal orders" in switch.state.reason


def test_the_value_of_orders_is_limited_by_currency(switch: TradingSwitch, clock: ManualClock) -> None:
    """Each amount times price; other currencies are free."""
    guard = OrderGuard(switch, max_notional={"USDT": 5000}, clock=clock)
    other = order(amount=1e9, symbol="ETH/EUR")
    assert admitted(guard, [order(amount=300), other, order(amount=200), order(amount=0.1)]) == 3
    assert "5000 USDT" in switch.state.reason


def test_an_order_without_a_price_needs_one_for_its_value(switch: TradingSwitch, clock: ManualClock) -> None:
    """Where nobody knows it that order is refused, and nothing halts."""
    guard = OrderGuard(switch, max_notional={"USDT": 5000}, clock=clock)
    with pytest.raises(TradingHaltedError, match="needs the price of 'BTC/USDT'"):
        guard.admit([order(price=None)])
    switch.check()
    priced = OrderGuard(switch, max_notional={"USDT": 5000}, price_of=lambda _: 4000.0, name="priced", clock=clock)
    priced.admit([order(price=None)])
    with pytest.raises(TradingHaltedError, match="5000 USDT"):
        priced.admit([order(price=None)])


def test_orders_of_unknown_outcome_are_limited(switch: TradingSwitch, clock: ManualClock) -> None:
    """As each may stand without the bot knowing."""
    guard = OrderGuard(switch, max_unknown=2, per=60, clock=clock)
    for _ in range(2):
        guard.unanswered()
    switch.check()
    guard.unanswered()
    assert "3 orders of unknown outcome" in switch.state.reason


def test_resuming_begins_a_new_window(switch: TradingSwitch, clock: ManualClock) -> None:
    """Or the first order after it would trip again."""
    guard = OrderGuard(switch, max_orders=3, clock=clock)
    assert admitted(guard, [order(number) for number in range(9)]) == 3
    switch.resume()
    assert admitted(guard, [order(number) for number in range(9)]) == 3


def test_a_restart_gives_no_new_allowance(switch: TradingSwitch, tmp_path: Path, clock: ManualClock) -> None:
    """A bot that crashes and restarts in a loop is a bot that loops."""
    OrderGuard(switch, max_orders=5, clock=clock).admit([order(1), order(2), order(3)])
    again = TradingSwitch("main", folder=tmp_path, clock=clock)
    assert admitted(OrderGuard(again, max_orders=5, clock=clock), [order(number) for number in range(9)]) == 2
    assert switch.refresh().state != "trading"
    again.close()


def test_reduce_only_lets_reductions_through_and_counts_them_no_more(switch: TradingSwitch, clock: ManualClock) -> None:
    """Closing positions must not be what halts."""
    guard = OrderGuard(switch, max_orders=2, on_trip="reduce_only", clock=clock)
    assert admitted(guard, [order(1), order(2), order(3)]) == 2
    assert switch.state.state == "reduce_only"


def test_telling_stops_nothing(switch: TradingSwitch, clock: ManualClock) -> None:
    """It is said once, not for each order."""
    guard = OrderGuard(switch, max_orders=2, on_trip="tell", name="teller", clock=clock)
    with RecordingObserver() as seen:
        assert admitted(guard, [order(number) for number in range(9)]) == 9
    assert [(event.guard, event.reason, event.action) for event in seen.of(GuardTripped)] == [
        ("teller", "orders", "tell")
    ]
    switch.check()


def test_a_halt_of_a_guard_can_end_by_itself(switch: TradingSwitch, clock: ManualClock) -> None:
    """After `for_seconds`."""
    guard = OrderGuard(switch, max_orders=1, for_seconds="15min", clock=clock)
    assert admitted(guard, [order(1), order(2)]) == 1
    clock.advance(900)
    guard.admit([order(3)])


@pytest.mark.parametrize("text", ["{", "[]", '{"orders": 3}', '{"orders": [["x"]]}'])
def test_a_file_that_cannot_be_read_trips(switch: TradingSwitch, clock: ManualClock, text: str) -> None:
    """A guard that cannot count lets nothing through, and begins anew."""
    guard = OrderGuard(switch, max_orders=5, clock=clock)
    (switch.folder / "main.orders").write_text(text)
    assert admitted(guard, [order(1)]) == 0
    switch.resume()
    assert admitted(guard, [order(1)]) == 1


def test_its_metrics_tell_headroom_and_trips(switch: TradingSwitch, clock: ManualClock) -> None:
    """All limits have a series from the beginning."""
    guard = OrderGuard(switch, max_orders=4, per=60, max_same=2, name="measured", clock=clock)
    guard.admit([order(1)])
    guard.look()
    reading = dict(GUARDS.read())["measured"]
    assert (reading.headroom, sum(reading.trips.values())) == (0.5, 0)
    clock.advance(61)
    guard.look()
    assert dict(GUARDS.read())["measured"].headroom == 1.0
    assert admitted(guard, [order(2), order(2), order(2)]) == 2
    assert dict(GUARDS.read())["measured"].trips["same"] == 1


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"max_orders": 0},
        {"max_orders": 2.5},
        {"max_orders": True},
        {"max_same": -1},
        {"max_orders": 1, "per": 0},
        {"max_orders": 1, "per": None},
        {"max_notional": {"USDT": 0}},
        {"max_orders": 1, "on_trip": "explode"},
    ],
)
def test_settings_make_sense_or_are_refused(switch: TradingSwitch, settings: dict) -> None:
    """In one line that names the setting."""
    with pytest.raises(ValueError, match=r"limit|must be"):
        OrderGuard(switch, **settings)


def test_a_looping_bot_of_eight_threads_gets_exactly_the_limit_in(
    switch: TradingSwitch, exchange: FakeExchange
) -> None:
    """Into the exchange: no order more, none less."""
    OrderGuard(switch, max_orders=20, per=60)
    with ResilientExchangeClient("kraken", exchange.config(), trading=switch, health=None) as client:
        client.load_markets()
        errors: list[TradingHaltedError] = []

        def loop(thread: int) -> None:
            for number in range(10):
                try:
                    client.create_order("BTC/USD", "limit", "buy", 1 + thread + number / 10, 10.0)
                except TradingHaltedError as error:
                    errors.append(error)

        threads = [threading.Thread(target=loop, args=(thread,)) for thread in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert (exchange.requests["AddOrder"], len(errors)) == (20, 60)
    assert len(exchange.orders) == 20


def test_forty_equal_orders_do_not_pass(switch: TradingSwitch, exchange: FakeExchange) -> None:
    """Of an async bot that places the same order in one burst."""
    OrderGuard(switch, max_same=3)

    async def burst() -> list[object]:
        config = exchange.config()
        async with AsyncResilientExchangeClient("kraken", config, trading=switch, health=None) as client:
            await client.load_markets()
            orders = (client.create_order("BTC/USD", "limit", "buy", 1, 10.0) for _ in range(40))
            return await asyncio.gather(*orders, return_exceptions=True)

    found = asyncio.run(burst())
    assert exchange.requests["AddOrder"] == 3
    assert sum(isinstance(one, TradingHaltedError) for one in found) == 37


def test_lost_answers_trip_it(switch: TradingSwitch, exchange: FakeExchange) -> None:
    """The client tells the guard of each."""
    OrderGuard(switch, max_unknown=2)
    config = {**exchange.config(), "timeout": 300}
    with ResilientExchangeClient("kraken", config, trading=switch, health=None, failure_threshold=99) as client:
        client.load_markets()
        exchange.fail(Fault.reset(), path="AddOrder")
        for number in range(3):
            with pytest.raises(OutcomeUnknown):
                client.create_order("BTC/USD", "limit", "buy", 1 + number, 10.0)
        with pytest.raises(TradingHaltedError, match="unknown outcome"):
            client.create_order("BTC/USD", "limit", "buy", 9, 10.0)


def test_a_market_order_is_valued_by_the_last_price(switch: TradingSwitch, exchange: FakeExchange) -> None:
    """That the client saw."""
    OrderGuard(switch, max_notional={"USD": 1.0})
    with ResilientExchangeClient("kraken", exchange.config(), trading=switch, health=None) as client:
        with pytest.raises(TradingHaltedError, match="needs the price"):
            client.create_order("BTC/USD", "market", "buy", 1)
        client.fetch_ticker("BTC/USD")
        with pytest.raises(TradingHaltedError, match="more than 1 USD"):
            client.create_order("BTC/USD", "market", "buy", 1)
    assert exchange.requests["AddOrder"] == 0


@pytest.mark.parametrize("amount", [float("nan"), float("inf"), "nan", "much", None, True, 10**400])
def test_an_order_of_no_value_is_refused(switch: TradingSwitch, clock: ManualClock, amount: object) -> None:
    """It does not make the sum of the others unknown."""
    guard = OrderGuard(switch, max_notional={"USDT": 100}, clock=clock)
    with pytest.raises(TradingHaltedError, match="an amount and a price that are numbers"):
        guard.admit([order(amount=amount)])
    assert admitted(guard, [order(number) for number in range(20)]) == 4


@pytest.mark.parametrize("price", [float("nan"), 0, None, "1"])
def test_a_price_that_is_none_is_refused(switch: TradingSwitch, clock: ManualClock, price: object) -> None:
    """`price_of` has to return a number."""
    guard = OrderGuard(switch, max_notional={"USDT": 100}, price_of=lambda _: price, clock=clock)
    with pytest.raises(TradingHaltedError, match="needs the price of 'BTC/USDT'"):
        guard.admit([order(price=None)])


def test_a_kept_value_that_is_no_number_trips(switch: TradingSwitch, clock: ManualClock) -> None:
    """No sum is below a limit if one of its values is unknown."""
    guard = OrderGuard(switch, max_notional={"USDT": 100}, clock=clock)
    guard.admit([order()])
    file = switch.folder / "main.orders"
    file.write_text(file.read_text().replace("10.0]", "NaN]"))
    assert admitted(guard, [order(1)]) == 0
    assert switch.state.state == "halted"


def test_amounts_as_text_count(switch: TradingSwitch, clock: ManualClock) -> None:
    """As ccxt takes them."""
    guard = OrderGuard(switch, max_notional={"USDT": 100}, clock=clock)
    assert admitted(guard, [order(amount="1.0", price="40.0", side=str(number)) for number in range(9)]) == 2


@pytest.mark.parametrize(
    ("options", "error", "said"),
    [
        ({"for_seconds": "soon"}, ValueError, "for_seconds: it has to be"),
        ({"for_seconds": 0}, ValueError, "for_seconds: it has to be"),
        ({"max_notional": 5000}, TypeError, "max_notional must be amounts by currency"),
        ({"max_notional": {"USDT": 10**400}}, ValueError, "max_notional of 'USDT' must be"),
        ({"per": 10**400}, ValueError, "per must be a number above 0"),
        ({"price_of": 5}, TypeError, "price_of must be a function"),
        ({"name": ""}, ValueError, "name must be a string"),
    ],
)
def test_settings_are_checked_when_it_is_made(
    switch: TradingSwitch, options: dict, error: type[Exception], said: str
) -> None:
    """Not when it trips: then it has to halt."""
    with pytest.raises(error, match=said):
        OrderGuard(switch, **{"max_orders": 5, **options})


def test_it_wants_a_switch() -> None:
    """And says so."""
    with pytest.raises(TypeError, match="trading must be a TradingSwitch, not 'main'"):
        OrderGuard("main", max_orders=5)
