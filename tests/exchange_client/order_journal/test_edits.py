"""Edits of the journal's orders, which go past it: the key tells the truth about its own order, whatever is lost."""

import json
import signal
import subprocess
import sys

import ccxt
import pytest

from peak_observe import OrderJournal, OutcomeUnknown, ResilientExchangeClient
from peak_observe.testing import FakeExchange, Fault
from tests.exchange_client.order_journal.conftest import SYMBOLS
from tests.exchange_client.order_journal.test_store import ROOT

EDITS = {
    "kraken": "AmendOrder",
    "bybit": "POST order/amend",
    "okx": "POST trade/amend-order",
    "binance": "POST order/cancelReplace",
}
IN_PLACE = [("kraken", "sync"), ("kraken", "async"), ("bybit", "sync"), ("okx", "async")]
WANTED = ("limit", "buy", 0.2, 39_000)

BOT = """
import json, os, signal, sys
sys.path.insert(0, sys.argv[4])
from peak_observe import OrderJournal, ResilientExchangeClient
path, name, when = sys.argv[1:4]
config, symbol, part = json.loads(sys.argv[5]), sys.argv[6], sys.argv[7]
with OrderJournal(path) as journal:
    with ResilientExchangeClient(name, config, journal=journal, health=None) as client:
        order = client.submit("a", symbol, "limit", "buy", 0.1, 40_000)
        fetch = client.exchange.fetch
        def cut(url, *rest):
            edit = part in url
            if edit and when == "before":
                os.kill(os.getpid(), signal.SIGKILL)
            answer = fetch(url, *rest)
            if edit:
                os.kill(os.getpid(), signal.SIGKILL)
            return answer
        client.exchange.fetch = cut
        client.edit_order(order["id"], symbol, "limit", "buy", 0.2, 39_000)
"""


def edited(desk, order: dict) -> dict:
    """Return what ccxt tells of an edit."""
    return desk.run("edit_order", order["id"], desk.symbol, *WANTED)


def told(desk) -> tuple:
    """Return what the journal knows of the order after it has asked for it."""
    (kept,) = desk.reconcile(open_orders=True) or [desk.journal.find("a")]
    return kept.state, kept.order["id"], kept.order["amount"], kept.order["price"]


@pytest.mark.parametrize(("dialect", "mode"), IN_PLACE)
def test_an_order_that_is_edited_in_its_place_is_followed(desk_of, dialect, mode) -> None:
    """Its id stays, and the same key gives the order as it is now."""
    desk = desk_of(dialect, mode)
    order = desk.submit()
    edited(desk, order)
    assert told(desk) == ("open", order["id"], 0.2, 39_000)
    again = desk.submit()
    assert (again["id"], again["price"]) == (order["id"], 39_000)
    assert len(desk.fake.orders) == 1


@pytest.mark.parametrize(("dialect", "mode"), IN_PLACE)
@pytest.mark.parametrize(
    ("fault", "stands"), [(Fault.lost_reply(), (0.2, 39_000)), (Fault.reset(), (0.1, 40_000))], ids=["after", "before"]
)
def test_an_edit_whose_answer_is_lost_is_sent_once_and_known_afterwards(desk_of, dialect, mode, fault, stands) -> None:
    """Whether it was carried out shows in the order itself."""
    desk = desk_of(dialect, mode)
    order = desk.submit()
    desk.fake.fail(fault, path=EDITS[dialect], times=1)
    with pytest.raises(OutcomeUnknown):
        edited(desk, order)
    assert desk.fake.requests[EDITS[dialect]] == 1
    assert told(desk) == ("open", order["id"], *stands)


def test_the_answer_of_kraken_to_an_edit_has_an_id_of_its_own(kraken) -> None:
    """It is that of the change, by which no order is found."""
    order = kraken.submit()
    assert edited(kraken, order)["id"] != order["id"]
    with pytest.raises(ccxt.InvalidOrder):
        kraken.run("edit_order", "TFAKE0-00000-000002", kraken.symbol, *WANTED)


@pytest.mark.parametrize("mode", ["sync", "async"])
def test_an_order_that_is_replaced_has_ended_for_its_key(desk_of, mode) -> None:
    """The new one has another id, and the key places no third."""
    desk = desk_of("binance", mode)
    order = desk.submit()
    new = edited(desk, order)
    assert told(desk) == ("closed", order["id"], 0.1, 40_000)
    assert desk.submit()["status"] == "canceled"
    assert [(each.id, each.status) for each in desk.fake.orders] == [(order["id"], "canceled"), (new["id"], "open")]


@pytest.mark.parametrize("mode", ["sync", "async"])
def test_a_replacement_whose_answer_is_lost_is_found_by_the_id_in_the_error(desk_of, mode) -> None:
    """One is made for the new order where the caller gives none."""
    desk = desk_of("binance", mode)
    order = desk.submit()
    desk.fake.fail(Fault.lost_reply(), path=EDITS["binance"], times=1)
    with pytest.raises(OutcomeUnknown) as caught:
        edited(desk, order)
    (sought,) = caught.value.client_order_ids
    found = desk.run("fetch_order_with_client_order_id", sought, desk.symbol)
    assert (found["status"], found["amount"], found["price"]) == ("open", 0.2, 39_000)
    assert told(desk) == ("closed", order["id"], 0.1, 40_000)


def test_a_replacement_that_never_arrives_leaves_the_order(desk_of) -> None:
    """No new order is found, and the key's one is open."""
    desk = desk_of("binance")
    order = desk.submit()
    desk.fake.fail(Fault.reset(), path=EDITS["binance"], times=1)
    with pytest.raises(OutcomeUnknown) as caught:
        edited(desk, order)
    with pytest.raises(ccxt.OrderNotFound):
        desk.run("fetch_order_with_client_order_id", caught.value.client_order_ids[0], desk.symbol)
    assert told(desk) == ("open", order["id"], 0.1, 40_000)


@pytest.mark.parametrize("dialect", EDITS)
def test_an_order_that_has_ended_is_not_edited(desk_of, dialect) -> None:
    """Nothing new is placed, and the key's order is closed."""
    desk = desk_of(dialect)
    order = desk.submit()
    desk.run("cancel_order", order["id"], desk.symbol)
    with pytest.raises(ccxt.ExchangeError) as caught:
        edited(desk, order)
    assert not isinstance(caught.value, OutcomeUnknown)
    assert len(desk.fake.orders) == 1
    assert told(desk)[0] == "closed"


@pytest.mark.parametrize(
    ("dialect", "when", "state", "live"),
    [
        ("kraken", "before", "open", ["0.1"]),
        ("kraken", "after", "open", ["0.2"]),
        ("binance", "after", "closed", ["0.2"]),
    ],
)
def test_a_bot_that_is_killed_at_an_edit_learns_at_its_start_how_the_order_stands(
    path, dialect, when, state, live
) -> None:
    """Before the request leaves, or before its answer is read; submit() with the key then places nothing."""
    symbol, part = SYMBOLS[dialect], EDITS[dialect].rpartition("/")[2]
    with FakeExchange(dialect=dialect) as fake, OrderJournal(path) as journal:
        command = [sys.executable, "-c", BOT, str(path), dialect, when, str(ROOT), json.dumps(fake.config())]
        assert subprocess.run([*command, symbol, part], timeout=120, check=False).returncode == -signal.SIGKILL
        with ResilientExchangeClient(dialect, fake.config(), journal=journal, health=None) as client:
            (kept,) = client.reconcile(open_orders=True)
            client.submit("a", symbol, "limit", "buy", 0.1, 40_000)
        assert kept.state == state
        assert [float(each.volume) for each in fake.orders if each.status == "open"] == [float(one) for one in live]


@pytest.mark.parametrize("dialect", EDITS)
def test_an_order_that_does_not_show_yet_is_not_taken_for_ended(desk_of, dialect) -> None:
    """It was placed a moment ago, and the exchange shows it after four seconds."""
    desk = desk_of(dialect)
    order = desk.submit()
    desk.fake.fail(Fault.stale(4.0))
    assert told(desk)[:2] == ("open", order["id"])
