"""Look-ups by client order id: on the wire of ccxt's own classes, and what an answer proves."""

import contextlib

import ccxt
import pytest

from peak_observe.exchange_client import order_ids
from peak_observe.exchange_client.order_journal.intent import OrderArguments
from peak_observe.exchange_client.order_journal.lookup import LOOK_UPS, look_up_of
from tests.exchange_client.order_journal.test_store import intent
from tests.exchange_client.test_order_ids import SECRETS, SPOT, SWAP, Wire, prepared

CONDITIONAL = sorted(name for name, look_up in LOOK_UPS.items() if look_up.conditional is not None)


def asked(exchange: str, symbol: str = SPOT, **facts) -> tuple[list, str]:
    """Return what a look-up puts on the wire, endpoint by endpoint, and the id that is looked for."""
    sought = str(order_ids.make(exchange))
    found, sent = intent(client_order_id=sought, symbol=symbol, created_at=1.7e9, **facts), []
    for method, args in LOOK_UPS[exchange].questions(found):
        wire = Wire(prepared(getattr(ccxt, exchange)(SECRETS)))

        def fetch(url, method="GET", headers=None, body=None, wire=wire):
            sent.append((wire.label, f"{url} {body}"))
            return {}

        wire.exchange.fetch = fetch
        with contextlib.suppress(Exception):
            getattr(wire.exchange, method)(*args)
    return sent, sought


@pytest.mark.parametrize("exchange", LOOK_UPS)
def test_the_id_that_is_looked_for_is_on_the_wire(exchange) -> None:
    """In the request to each endpoint that knows of orders."""
    sent, sought = asked(exchange)
    orders = [text for label, text in sent if "rder" in label or "info" in label]
    assert orders
    assert all(sought in text for text in orders if not _is_history(text))
    assert any(sought in text for text in orders)


def _is_history(text: str) -> bool:
    return "1699999400" in text and any(size in text for size in ("limit=100", "pageSize=100"))


@pytest.mark.parametrize(
    ("exchange", "symbol", "endpoint"),
    [
        ("bitget", SPOT, "GET spot/v2/spot/trade/history-orders"),
        ("gate", SPOT, "GET spot/orders"),
        ("gate", SWAP, "GET futures/{settle}/orders_timerange"),
        ("kucoin", SPOT, "GET private/orders"),
    ],
)
def test_an_order_that_was_filled_is_looked_for_in_the_list_of_ended_orders(exchange, symbol, endpoint) -> None:
    """Where the exchange does not find it by client id any more: to take it for absent would place it twice."""
    sent, sought = asked(exchange, symbol)
    histories = [label for label, text in sent if _is_history(text) and sought not in text]
    assert len(histories) == 1
    assert histories[0].endswith(endpoint.rpartition("/")[2])


@pytest.mark.parametrize(("exchange", "symbol"), [("bitget", SPOT), ("gate", SPOT), ("gate", SWAP), ("kucoin", SPOT)])
def test_an_order_that_stood_is_looked_for_by_the_exchanges_own_id_as_well(exchange, symbol) -> None:
    """However many orders have ended since."""
    sent, _ = asked(exchange, symbol, state="open", order={"id": "7654321"})
    assert any("7654321" in text for _, text in sent)
    assert not [label for label, text in sent if _is_history(text)]


@pytest.mark.parametrize(("exchange", "symbol"), [("bitget", SWAP), ("kucoin", SWAP), ("okx", SPOT), ("mexc", SPOT)])
def test_no_list_is_asked_for_where_the_client_id_finds_ended_orders(exchange, symbol) -> None:
    """A list may be cut off, and proves nothing then."""
    assert not [label for label, text in asked(exchange, symbol)[0] if _is_history(text)]


@pytest.mark.parametrize("exchange", CONDITIONAL)
def test_an_order_that_waits_for_a_trigger_is_looked_for_where_it_waits_and_where_it_goes(exchange) -> None:
    """Where the exchange keeps both apart there are two questions to each endpoint or two endpoints."""
    plain, _ = asked(exchange, SWAP)
    both, sought = asked(exchange, SWAP, conditional=True, look_up={"trigger": True})
    assert len(both) >= len(plain)
    assert sought in both[0][1] or sought in both[-1][1]


def test_binance_and_okx_keep_triggers_apart() -> None:
    """Under an endpoint of their own."""
    for exchange in ("binance", "okx"):
        labels = {label.lower() for label, _ in asked(exchange, SWAP, conditional=True)[0]}
        assert any("algo" in label for label in labels)
        assert any("algo" not in label for label in labels)


@pytest.mark.parametrize("symbol", [SPOT, SWAP])
def test_triggers_of_bitget_are_looked_for_in_the_lists_of_plans(symbol) -> None:
    """Those that wait and those that do not any more, of each kind that there is, and as an order."""
    look_up = {"trigger": True, "marginMode": "cross"} if symbol == SWAP else {"trigger": True}
    sent, sought = asked("bitget", symbol, conditional=True, look_up=look_up)
    assert all(sought in text or _is_history(text) for label, text in sent if "rder" in label)
    plans = [(label.rpartition("/")[2], text) for label, text in sent if "plan" in label]
    if symbol == SPOT:
        assert [label for label, _ in plans] == ["current-plan-order", "history-plan-order"]
        assert all(_is_history(text) for _, text in plans)
    else:
        assert {label for label, _ in plans} == {"orders-plan-pending", "orders-plan-history"}
        for kind in ("normal_plan", "profit_loss", "track_plan"):
            assert sum(f"planType={kind}" in text and sought in text for _, text in plans) == 2
    assert any("plan" not in label and "rder" in label for label, _ in sent)
    assert look_up_of("bitget").refuses(OrderArguments(symbol, "limit", "buy", 1, 1, {"triggerPrice": 2}), {}) == ""


def test_a_list_of_plans_that_may_go_on_proves_nothing() -> None:
    """Bitget shows a hundred at most."""
    others = [{"id": str(number), "clientOrderId": "another"} for number in range(100)]
    assert LOOK_UPS["bitget"].read(others, ONE) == (None, "the list of orders may be cut off")
    assert LOOK_UPS["bitget"].read(others[:-1], ONE) == (None, "")


@pytest.mark.parametrize(("exchange", "symbol"), [("gate", SWAP), ("mexc", SPOT)])
def test_triggers_that_cannot_be_looked_for_are_refused(exchange, symbol) -> None:
    """In words."""
    order = OrderArguments(symbol, "limit", "buy", 1, 1, {"triggerPrice": 2})
    assert look_up_of(exchange).refuses(order, {"spot": symbol == SPOT}) == "no order that waits for a trigger"


def test_mexc_finds_no_contract_by_client_id() -> None:
    """Ccxt asks for it by the exchange's own id there."""
    order = OrderArguments(SWAP, "limit", "buy", 1, 1, {})
    assert look_up_of("mexc").refuses(order, {"spot": False}) == "spot orders only"
    assert not look_up_of("mexc").refuses(order, {"spot": True})


def test_ids_of_a_family_share_its_look_up() -> None:
    """And an exchange that nobody looked at has none."""
    assert look_up_of("binanceusdm") is LOOK_UPS["binance"]
    assert look_up_of("myokx") is LOOK_UPS["okx"]
    assert look_up_of("bitbank") is None


def test_kraken_is_not_asked_by_the_method_that_finds_nothing() -> None:
    """Ccxt sends the id as `userref` there, and looks for an empty id in the answer."""
    labels = {label for label, _ in asked("kraken")[0]}
    assert labels == {"POST private/OpenOrders", "POST private/ClosedOrders"}


ONE = intent(client_order_id="mine")


@pytest.mark.parametrize(
    ("exchange", "answer", "found", "doubt"),
    [
        ("binance", {"id": "1", "clientOrderId": "mine"}, True, ""),
        ("binance", {"id": "1", "clientOrderId": "another"}, False, "the answer is another order"),
        ("binance", {"id": None, "clientOrderId": None}, False, "the answer is another order"),
        ("hyperliquid", {"id": None, "clientOrderId": None}, False, ""),
        ("kraken", [], False, ""),
        ("kraken", [{"id": "2", "clientOrderId": "another"}, {"id": "1", "clientOrderId": "mine"}], True, ""),
        ("kraken", [{"id": "2", "clientOrderId": "another"}], False, ""),
        ("kraken", [{"id": "2", "clientOrderId": "another"}] * 50, False, "the list of orders may be cut off"),
        ("coinbase", None, False, "the answer is another order"),
    ],
)
def test_what_an_answer_proves(exchange, answer, found, doubt) -> None:
    """Only an empty answer proves anything, not one of another order, nor a list that may go on."""
    order, reason = LOOK_UPS[exchange].read(answer, ONE)
    assert (order is not None, reason) == (found, doubt)
