"""`submit` and `reconcile` of sync and async clients, at each exchange that there is a fake of."""

import asyncio
import contextlib
import threading

import ccxt
import pytest

from peak_observe import (
    OrderJournal,
    OrderJournalError,
    OrderKeyConflict,
    OrderNotPlaced,
    OrderTimes,
    OutcomeUnknown,
    ResilientExchangeClient,
    retry_with_backoff,
)
from peak_observe.clock import SYSTEM_CLOCK
from peak_observe.testing import FakeExchange, Fault


def test_an_order_is_placed_and_known(desk) -> None:
    """What comes back is ccxt's order structure, and the journal has it."""
    order = desk.submit()
    kept = desk.journal.find("a")
    assert order["id"] == kept.order["id"] == desk.fake.orders[0].id
    assert kept.client_order_id == desk.fake.orders[0].client_order_id
    assert kept.state == "open"
    assert desk.journal.pending() == []


def test_the_same_key_is_the_same_order(desk) -> None:
    """Twice in one program, and once more after a restart."""
    first = desk.submit()
    again = desk.submit(amount="0.10", price=40_000.0)
    desk.start()
    assert first["id"] == again["id"] == desk.submit()["id"]
    assert len(desk.fake.orders) == 1


@pytest.mark.parametrize(
    "other", [{"amount": 0.2}, {"side": "sell"}, {"price": 41_000}, {"params": {"timeInForce": "IOC"}}]
)
def test_a_key_with_another_order_is_an_error_in_words(desk_of, other) -> None:
    """Nothing is sent, and the message names both."""
    desk = desk_of()
    desk.submit()
    with pytest.raises(OrderKeyConflict, match=r"the key 'a' belongs to 'limit buy 0\.1 BTC/USD at 40000'"):
        desk.submit(**other)
    assert len(desk.fake.orders) == 1


def test_an_order_whose_answer_was_lost_is_found(desk) -> None:
    """It stands: it is not sent again."""
    desk.fake.fail(Fault.lost_reply(), path=desk.place, times=1)
    assert desk.submit()["id"] == desk.fake.orders[0].id
    assert (len(desk.fake.orders), desk.journal.find("a").sends) == (1, 1)


def test_an_order_that_was_lost_is_sent_again_behind_the_fence(desk) -> None:
    """It is known to be absent, and goes out under the same client id."""
    desk.fake.fail(Fault.reset(), path=desk.place, times=1)
    before = desk.clock.now()
    assert desk.submit()["id"] == desk.fake.orders[0].id
    kept = desk.journal.find("a")
    assert (len(desk.fake.orders), kept.sends, kept.state) == (1, 2, "open")
    assert desk.fake.orders[0].client_order_id == kept.client_order_id
    assert (desk.clock.now() - before).total_seconds() >= 10


@pytest.mark.parametrize("seconds", [1.0, 4.0, 9.5, 30.0, 100.0])
def test_an_order_that_arrives_late_is_placed_once(desk_of, seconds) -> None:
    """Within its deadline it is found, after it it is refused."""
    for dialect in ("kraken", "binance", "bybit"):
        desk = desk_of(dialect)
        desk.path = desk.path.with_name(f"{dialect}.sqlite")
        desk.start()
        desk.fake.fail(Fault.arrives_late(seconds), path=desk.place, times=1)
        desk.submit()
        desk.clock.advance(1000)
        assert len(desk.fake.orders) == 1


def test_an_order_that_shows_late_is_not_sent_again(desk) -> None:
    """Its look-up is empty for some seconds."""
    desk.fake.fail(Fault.stale(4.0))
    desk.fake.fail(Fault.lost_reply(), path=desk.place, times=1)
    desk.submit()
    assert len(desk.fake.orders) == 1


def test_a_fate_that_stays_open_is_an_unknown_outcome(kraken) -> None:
    """The exchange cannot be asked; once it can, reconcile() finds out."""
    kraken.fake.fail(Fault.status(502), path="*Orders")
    kraken.fake.fail(Fault.lost_reply(), path="AddOrder", times=1)
    with pytest.raises(OutcomeUnknown) as caught:
        kraken.submit()
    assert isinstance(caught.value, ccxt.ExchangeError)
    assert caught.value.order == "limit buy 0.1 BTC/USD at 40000"
    assert caught.value.client_order_id == kraken.fake.orders[0].client_order_id
    assert [(kept.key, kept.state) for kept in kraken.journal.pending()] == [("a", "unknown")]
    kraken.fake.heal()
    kraken.clock.advance(60)
    kraken.start()
    assert [kept.state for kept in kraken.reconcile()] == ["open"]
    assert kraken.journal.pending() == []
    assert kraken.submit()["id"] == kraken.fake.orders[0].id


def test_a_retry_for_its_result_submits_an_order_of_unknown_fate_again(kraken) -> None:
    """Its error was swallowed; the journal asks for the order before it sends it."""
    kraken.fake.fail(Fault.status(502), path="*Orders")
    kraken.fake.fail(Fault.lost_reply(), path="AddOrder", times=1)
    tries = []

    @retry_with_backoff(3, 60, retry_result=lambda order: order is None, clock=kraken.clock)
    def buy():
        tries.append(1)
        if len(tries) == 2:
            kraken.fake.heal()
        with contextlib.suppress(OutcomeUnknown):
            return kraken.submit()

    assert buy()["id"] == kraken.fake.orders[0].id
    assert (len(tries), len(kraken.fake.orders)) == (2, 1)


def test_what_follows_a_reconcile_that_leaves_orders_open_is_retried(kraken) -> None:
    """It sent none of them."""
    kraken.start(failure_threshold=100)
    kraken.fake.fail(Fault.status(502), path="*Orders")
    kraken.fake.fail(Fault.lost_reply(), path="AddOrder", times=1)
    with pytest.raises(OutcomeUnknown):
        kraken.submit()
    kraken.fake.fail(Fault.status(502), path="Balance*")
    tries = []

    @retry_with_backoff(3, 1, timeout=10_000, clock=kraken.clock)
    def begin():
        tries.append(1)
        assert [kept.state for kept in kraken.reconcile()] == ["unknown"]
        return kraken.run("fetch_balance")

    with pytest.raises(ccxt.ExchangeNotAvailable):
        begin()
    assert len(tries) == 3


def test_what_is_known_to_be_absent_is_submitted_again(kraken) -> None:
    """reconcile() sends nothing: whether the order is still wanted is for the program to say."""
    kraken.fake.fail(Fault.status(502), path="*Orders")
    kraken.fake.fail(Fault.reset(), path="AddOrder", times=1)
    with pytest.raises(OutcomeUnknown):
        kraken.submit()
    kraken.fake.heal()
    kraken.clock.advance(60)
    assert [kept.state for kept in kraken.reconcile()] == ["intended"]
    assert not kraken.fake.orders
    kraken.submit()
    assert len(kraken.fake.orders) == 1


def test_a_refused_order_uses_its_key_up(kraken) -> None:
    """The exchange's own error comes first; after it the key says what became of it."""
    kraken.fake.fail(Fault.api_error("EOrder:Insufficient funds"), path="AddOrder", times=1)
    with pytest.raises(ccxt.InsufficientFunds):
        kraken.submit()
    with pytest.raises(OrderNotPlaced, match="Insufficient funds; give a new order a new key") as caught:
        kraken.submit()
    assert caught.value.final
    assert not kraken.fake.orders


def test_what_ccxt_refuses_uses_its_key_up_too(kraken) -> None:
    """It was never sent."""
    with pytest.raises(ccxt.InvalidOrder):
        kraken.submit(amount=1e-12)
    assert (kraken.state(), kraken.journal.find("a").sends) == ("refused", 0)


@pytest.mark.parametrize(
    "fault", [Fault.api_rate_limited(), Fault.api_error("EService:Unavailable"), Fault.api_error("EAPI:Invalid nonce")]
)
def test_a_passing_refusal_leaves_the_key_as_it_was(desk_of, fault) -> None:
    """It surely was not carried out, and may be submitted again."""
    desk = desk_of()
    desk.fake.fail(fault, path="AddOrder", times=1)
    with pytest.raises(ccxt.BaseError):
        desk.submit()
    assert desk.state() == "intended"
    desk.clock.advance(120)
    desk.submit()
    assert len(desk.fake.orders) == 1


def test_a_duplicate_client_id_proves_that_the_order_stands(desk_of) -> None:
    """The first request was repeated by a proxy, and only the second answer came back."""
    desk = desk_of("bybit")
    desk.fake.fail(Fault.bybit_error(170141, "Duplicate clientOrderId"), path=desk.place, times=1)
    with pytest.raises(OutcomeUnknown, match="its client order id is taken"):
        desk.submit()
    assert desk.journal.find("a").stands
    assert desk.reconcile()[0].state == "unknown"
    assert not desk.fake.orders


def test_an_order_that_is_lost_each_time_is_known_not_to_stand(kraken) -> None:
    """After some attempts the caller has a say; the same key goes on."""
    kraken.fake.fail(Fault.reset(), path="AddOrder")
    with pytest.raises(OrderNotPlaced, match="submit it again with the same key") as caught:
        kraken.submit()
    assert not caught.value.final
    assert kraken.state() == "intended"
    kraken.fake.heal()
    kraken.submit()
    assert len(kraken.fake.orders) == 1


def test_orders_cancelled_on_the_website_are_closed(desk) -> None:
    """Asked for as open ones, they are found as they are."""
    desk.submit()
    order = desk.fake.orders[0]
    desk.fake._dialect.cancel(order)
    (kept,) = desk.reconcile(open_orders=True)
    assert kept.state == "closed"
    assert kept.order["status"] in {"canceled", None}


def test_open_orders_are_left_alone_unless_asked_for(kraken) -> None:
    """A start with a thousand open orders asks nothing."""
    kraken.submit()
    asked = kraken.fake.requests.total()
    assert kraken.reconcile() == []
    assert kraken.fake.requests.total() == asked


def test_market_orders_have_no_price(desk) -> None:
    """They are filled when their answer is lost, and found as filled."""
    desk.fake.fail(Fault.lost_reply(), path=desk.place, times=1)
    desk.submit(type="market", price=None)
    assert len(desk.fake.orders) == 1


@pytest.mark.parametrize("mode", ["sync", "async"])
def test_a_batch_is_an_intent_each(desk_of, mode) -> None:
    """One request, of which a part is refused: the others stand, and each key knows."""
    desk = desk_of("bybit", mode)
    orders = [
        {"key": f"k{n}", "symbol": desk.symbol, "type": "limit", "side": "buy", "amount": 0.1 + n, "price": 40_000}
        for n in range(3)
    ]
    found = desk.run("submit_orders", orders)
    assert [order["id"] for order in found] == [order.id for order in desk.fake.orders]
    assert desk.fake.requests["POST order/create-batch"] == 1
    assert [order["id"] for order in desk.run("submit_orders", orders)] == [order["id"] for order in found]
    assert len(desk.fake.orders) == 3


def test_a_batch_whose_answer_is_lost_is_found_order_by_order(desk_of) -> None:
    """None is sent again."""
    desk = desk_of("bybit")
    desk.fake.fail(Fault.lost_reply(), path="POST order/create-batch", times=1)
    order = {"symbol": desk.symbol, "type": "limit", "side": "buy", "amount": 0.1, "price": 40_000}
    desk.run("submit_orders", [{**order, "key": "a"}, {**order, "key": "b"}])
    assert len(desk.fake.orders) == 2
    assert {order.client_order_id for order in desk.fake.orders} == {
        desk.journal.find(key).client_order_id for key in "ab"
    }


def test_a_batch_has_a_deadline_too(desk_of) -> None:
    """One for all its orders: what arrives later is not carried out, and each order is placed once."""
    desk = desk_of()
    desk.fake.fail(Fault.arrives_late(40.0), path="AddOrderBatch", times=1)
    order = {"symbol": desk.symbol, "type": "limit", "side": "buy", "amount": 0.1, "price": 40_000}
    desk.run("submit_orders", [{**order, "key": "a"}, {**order, "key": "b"}])
    desk.clock.advance(1000)
    assert len(desk.fake.orders) == 2
    assert desk.journal.pending() == []


def test_an_order_that_stands_is_named_when_the_journal_breaks(desk_of, monkeypatch) -> None:
    """After the answer the disk is full: the error says what was placed, and the next reconcile() records it."""
    desk = desk_of()
    records = desk.client._journaled._protocol._records

    def broken(*_):
        raise OrderJournalError(str(desk.path), "cannot grow, as the disk is full: make room")

    with monkeypatch.context() as patched:
        patched.setattr(records, "seen", broken)
        with pytest.raises(OrderJournalError) as caught:
            desk.submit()
    assert desk.fake.orders[0].id in caught.value.__notes__[0]
    assert desk.state() == "sent"
    assert [kept.state for kept in desk.reconcile()] == ["open"]


def test_nothing_is_sent_that_the_journal_cannot_keep(desk_of, monkeypatch) -> None:
    """The disk is full before the request goes out."""
    desk = desk_of()

    def broken(*_):
        raise OrderJournalError(str(desk.path), "cannot grow, as the disk is full: make room")

    monkeypatch.setattr(desk.client._journaled._protocol._records, "sent", broken)
    with pytest.raises(OrderJournalError):
        desk.submit()
    assert not desk.fake.requests["AddOrder"]
    assert desk.state() == "intended"


@pytest.mark.parametrize(
    ("orders", "words"),
    [
        ([{"symbol": "BTC/USD"}], "must be a mapping with 'key'"),
        ([{"key": "a", "symbol": "BTC/USD"}], "needs amount, side, type"),
        ([{"key": "a", "symbol": "X", "type": "l", "side": "b", "amount": 1, "colour": 1}], "has no colour"),
        ([{"key": "a", "symbol": "X", "type": "l", "side": "b", "amount": 1}] * 2, "have the same key"),
    ],
)
def test_a_batch_that_makes_no_sense_is_an_error_in_words(desk_of, orders, words) -> None:
    """Nothing is sent."""
    with pytest.raises(ValueError, match=words):
        desk_of().run("submit_orders", orders)


@pytest.mark.parametrize("key", ["", "  ", 7, None, "x" * 201, "a\nb"])
def test_a_key_is_a_short_text(desk_of, key) -> None:
    """Anything else is refused in words."""
    with pytest.raises(ValueError, match="the key of an order must be a text of 1 to 200 printable characters"):
        desk_of().submit(key)


@pytest.mark.parametrize(
    ("params", "words"),
    [
        ({"validate": True}, "'validate' places no order"),
        ({"deadline": "2026-01-01T00:00:00Z"}, "'deadline' is the journal's to send"),
        ({"userref": 7}, "give the client order id"),
    ],
)
def test_parameters_that_the_journal_cannot_keep_are_refused_in_words(desk_of, params, words) -> None:
    """Before anything is sent."""
    desk = desk_of()
    with pytest.raises(ValueError, match=words):
        desk.submit(params=params)
    assert not desk.fake.requests["AddOrder"]


def test_the_callers_own_client_id_is_the_orders(desk_of) -> None:
    """It is kept and looked up by."""
    desk = desk_of()
    desk.fake.fail(Fault.lost_reply(), path="AddOrder", times=1)
    desk.submit(params={"clientOrderId": "mine-1"})
    assert desk.fake.orders[0].client_order_id == desk.journal.find("a").client_order_id == "mine-1"


def test_kraken_is_sent_a_deadline(desk_of) -> None:
    """So that it carries nothing out that arrives later."""
    desk, calls = desk_of(), []
    answer = desk.fake._dialect.answer
    desk.fake._dialect.answer = lambda call, *args, **kwargs: (calls.append(call), answer(call, *args, **kwargs))[1]
    desk.submit()
    (sent,) = [call for call in calls if call.path.endswith("AddOrder")]
    assert sent.params["deadline"] == "2026-01-01T00:00:10.000Z"


def test_times_are_settable_by_exchange(desk_of) -> None:
    """The fence is as long as they say."""
    desk = desk_of()
    desk.start(journal=OrderJournal(desk.path, times={"kraken": OrderTimes(deadline=30.0, visibility=20.0)}))
    desk.fake.fail(Fault.reset(), path="AddOrder", times=1)
    before = desk.clock.now()
    desk.submit()
    assert 50 <= (desk.clock.now() - before).total_seconds() < 60


def test_times_that_make_no_sense_are_refused_in_words(path) -> None:
    """At construction."""
    with pytest.raises(ValueError, match="visibility must be a finite number of seconds"):
        OrderTimes(deadline=1.0, visibility=-1.0)
    with pytest.raises(ValueError, match="answers must be at least 1"):
        OrderTimes(deadline=1.0, visibility=1.0, answers=0)
    with pytest.raises(TypeError, match="times of 'kraken' must be OrderTimes"):
        OrderJournal(path, times={"kraken": 5.0})


def test_an_exchange_without_a_look_up_is_refused_in_words(tmp_path) -> None:
    """create_order() remains."""
    journal = OrderJournal(tmp_path / "orders.sqlite")
    client = ResilientExchangeClient("bitbank", journal=journal, health=None)
    with client, pytest.raises(ValueError, match="bitbank shows no order by its client order id"):
        client.submit("a", "BTC/JPY", "limit", "buy", 1, 1)
    assert journal.pending() == []
    journal.close()


def test_a_client_without_a_journal_says_so() -> None:
    """And how to give it one."""
    with ResilientExchangeClient("kraken", health=None) as client:
        assert client.journal is None
        with pytest.raises(ValueError, match=r'journal=OrderJournal\("orders.sqlite"\)'):
            client.submit("a", "BTC/USD", "limit", "buy", 1, 1)
        with pytest.raises(ValueError, match="has no order journal"):
            client.reconcile()
    with pytest.raises(TypeError, match="journal must be OrderJournal"):
        ResilientExchangeClient("kraken", journal="orders.sqlite", health=None)


def test_threads_with_one_key_place_one_order(desk_of) -> None:
    """The others wait, and get its order."""
    desk, found, start = desk_of(clock=SYSTEM_CLOCK), [], threading.Barrier(6)

    def submit() -> None:
        start.wait()
        found.append(desk.submit()["id"])

    threads = [threading.Thread(target=submit) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [desk.fake.orders[0].id] * 6
    assert len(desk.fake.orders) == 1


def test_tasks_with_one_key_place_one_order(desk_of) -> None:
    """The same for tasks of one loop."""
    desk = desk_of("kraken", "async", SYSTEM_CLOCK)

    async def main():
        order = "a", desk.symbol, "limit", "buy", 0.1, 40_000
        return await asyncio.gather(*(desk.client.submit(*order) for _ in range(6)))

    found = desk.runner.run(main())
    assert {order["id"] for order in found} == {desk.fake.orders[0].id}
    assert len(desk.fake.orders) == 1


def test_a_cancelled_task_leaves_an_order_that_is_found(desk_of) -> None:
    """Cancelled between request and answer."""
    desk = desk_of("kraken", "async")
    desk.fake.fail(Fault.latency(0.5), path="AddOrder", times=1)

    async def main():
        task = asyncio.ensure_future(desk.client.submit("a", desk.symbol, "limit", "buy", 0.1, 40_000))
        while not desk.fake.requests["AddOrder"]:  # noqa: ASYNC110 - it is another thread that counts
            await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    desk.runner.run(main())
    assert desk.state() == "unknown"
    assert [kept.state for kept in desk.reconcile()] == ["open"]
    assert len(desk.fake.orders) == 1


def test_an_order_too_old_to_be_shown_is_settled_by_hand(desk_of) -> None:
    """Absence means nothing after the retention, so nothing is sent; a person looks, and says."""
    desk = desk_of()
    desk.fake.fail(Fault.status(502), path="*Orders")
    desk.fake.fail(Fault.reset(), path="AddOrder", times=1)
    with pytest.raises(OutcomeUnknown):
        desk.submit()
    desk.fake.heal()
    desk.clock.advance(40 * 86_400)
    assert desk.reconcile()[0].state == "unknown"
    assert "so much time has passed" in desk.journal.find("a").reason
    desk.journal.resolve("a", "refused", reason="not in the account's history")
    with pytest.raises(OrderNotPlaced, match="not in the account's history"):
        desk.submit()
    with pytest.raises(ValueError, match="is refused and cannot be resolved"):
        desk.journal.resolve("a", "closed")
    with pytest.raises(LookupError, match="no order 'b'"):
        desk.journal.resolve("b", "closed")


def test_no_secret_is_in_the_journal(tmp_path) -> None:
    """Neither keys nor passwords among the parameters, nor the account in the exchange's answer."""
    with FakeExchange() as fake:
        config = fake.config()
        journal = OrderJournal(tmp_path / "orders.sqlite")
        with ResilientExchangeClient("kraken", config, journal=journal, health=None) as client:
            client.submit("a", "BTC/USD", "limit", "buy", 0.1, 40_000, {"otp": "314159", "password": "hunter2-secret"})
        journal.close()
    kept = b"".join(file.read_bytes() for file in tmp_path.iterdir())
    for secret in (config["apiKey"], config["secret"], "314159", "hunter2-secret"):
        assert secret.encode() not in kept


def test_amounts_that_are_no_numbers_are_refused_in_words(desk_of) -> None:
    """Before anything is written or sent."""
    desk = desk_of()
    for value in (float("nan"), float("inf"), True, "much", "", 10**400, [1], b"1"):
        for name in ("amount", "price"):
            with pytest.raises(ValueError, match=f"{name} must be a number"):
                desk.submit(**{name: value})
    assert desk.journal.pending() == []


def test_an_amount_that_ccxt_cannot_round_is_refused_in_words(desk_of) -> None:
    """Nothing was sent, and the key is used up, as for all that ccxt refuses itself."""
    desk = desk_of()
    with pytest.raises(ValueError, match="ccxt cannot round the amount or the price of limit buy 1e"):
        desk.submit(amount=1e300)
    assert desk.state() == "refused"
    assert desk.fake.orders == ()


def test_what_is_no_journal_is_refused_in_words(path) -> None:
    """At construction, and for each key."""
    for wrong in (None, "", 5, b"x"):
        with pytest.raises(TypeError, match="path must be that of a file"):
            OrderJournal(wrong)
    with pytest.raises(TypeError, match="times must be times by exchange"):
        OrderJournal(path, times=5)
    with OrderJournal(path) as journal:
        for wrong in (None, "", 5, [], 10**400):
            with pytest.raises(ValueError, match="the key of an order must be"):
                journal.find(wrong)
            with pytest.raises(ValueError, match="the key of an order must be"):
                journal.resolve(wrong, "closed")
