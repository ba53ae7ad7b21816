"""Whether an answer that ccxt takes for good holds what was asked for."""

import pytest

from peak_observe.exchange_client.answer_check import misshapen, unanswered
from peak_observe.exchange_client.classify import Answer


def answer(status: int = 200, body: str = "") -> Answer:
    """Return an answer without headers."""
    return Answer(status, {}, body)


@pytest.mark.parametrize(
    ("parsed", "body", "expected"),
    [
        ({"a": 1}, '{"a":1}', ""),
        ([], "[]", ""),
        ({}, "{}", "an empty object"),
        ("", "", "an empty body"),
        (None, "  ", "an empty body"),
        ("<html>", " <html>", "a page of HTML"),
        ('{"a', '{"a', "cut off JSON"),
        ("[1", "[1", "cut off JSON"),
        ("OK", "OK", ""),
    ],
)
def test_the_shape_of_an_answer(parsed: object, body: str, expected: str) -> None:
    """What is wrong with it, or nothing; plain words may be what an endpoint answers."""
    assert misshapen(parsed, answer=answer(200, body)) == expected


def test_some_answers_may_be_empty() -> None:
    """No content has no body, a ping nothing to say, and two exchanges confirm a cancel by `{}`."""
    assert misshapen("", answer=answer(204)) == ""
    assert misshapen({}, answer=answer(), exchange="binance", path="ping") == ""
    assert misshapen({}, answer=answer(), exchange="blockchaincom", path="orders", method="DELETE") == ""
    assert misshapen({}, answer=answer(), exchange="blockchaincom", path="orders") == "an empty object"


@pytest.mark.parametrize(
    ("exchange", "parsed", "public", "expected"),
    [
        ("kraken", {"error": [], "result": {}}, True, "an empty 'result'"),
        ("kraken", {"error": [], "result": {}}, False, ""),
        ("kraken", {"error": []}, False, "an answer without 'result'"),
        ("kraken", {"error": [], "result": {"XXBTZUSD": [], "last": 1}}, True, ""),
        ("kucoin", {"code": "200000", "data": None}, True, "an empty 'data'"),
        ("kucoin", {"code": "200000", "data": None}, False, ""),
        ("okx", {"code": "0", "data": []}, True, ""),
        ("bitfinex", {"anything": 1}, True, ""),
    ],
)
def test_an_envelope_without_what_was_asked_for(exchange: str, parsed: dict, public: bool, expected: str) -> None:
    """An empty account and an empty list are answers, an empty market is none."""
    assert misshapen(parsed, answer=answer(200, "{…}"), exchange=exchange, public=public) == expected
    assert misshapen(parsed, answer=answer(200, "{…}"), exchange=exchange, method="POST") == ""


@pytest.mark.parametrize("body", ["null", '""', '"ok"', "true", "0", "OK"])
def test_plain_words_are_no_answer_of_an_exchange_that_speaks_json(body: str) -> None:
    """Elsewhere a word may be an answer, but nothing is ever answered by null."""
    assert misshapen(body, answer=answer(200, body), exchange="mexc", path="order", method="POST")
    assert bool(misshapen(body, answer=answer(200, body), exchange="bitfinex")) == (body == "null")


def test_a_file_is_an_answer_where_a_file_was_asked_for() -> None:
    """Kraken's exports are archives."""
    assert misshapen("PK", answer=answer(200, "PK"), exchange="kraken", path="RetrieveExport", method="POST") == ""


@pytest.mark.parametrize(
    "value", [None, "", "null", "ok", "OK", "true", True, 0, "0", "<html>", '{"a', 1.5, [], "no id"]
)
@pytest.mark.parametrize(
    "method", ["create_order", "edit_order", "create_market_buy_order_with_cost", "create_order_ws"]
)
def test_an_order_whose_id_is_none(value: object, method: str) -> None:
    """A word that got into the place of the id does not lead to an order."""
    assert unanswered(method, {"id": value}) == "the answer names no order"


@pytest.mark.parametrize(
    "value", ["OUF4EM-FRGI2-MQMWZD", "1321003749386327552", 28, "C02__443776", "a:b/c.d=", "0x12ab"]
)
def test_an_order_with_an_id(value: object) -> None:
    """Numbers, letters and the marks between them."""
    assert unanswered("create_order", {"id": value}) == ""


@pytest.mark.parametrize("result", [None, [], "ok", {}, [{}], [{"id": "1"}, {"id": None}]])
def test_a_batch_of_orders_of_which_one_is_missing(result: object) -> None:
    """Each order has an id or was refused."""
    assert unanswered("create_orders", result)
    assert unanswered("create_orders", [{"id": "1"}, {"id": None, "status": "rejected"}]) == ""


@pytest.mark.parametrize(
    ("result", "expected"),
    [
        ({"last": None, "bid": None, "ask": None, "info": {}}, "a ticker without a price"),
        (None, "a ticker without a price"),
        ({"last": 1.0, "info": {}}, ""),
        ({"last": None, "markPrice": 2.0, "info": {}}, ""),
        ({"last": None, "info": {"lastPrice": "0.00"}}, ""),
    ],
)
def test_a_ticker(result: object, expected: str) -> None:
    """A market in which nobody trades has no price, but there is something about it."""
    assert unanswered("fetch_ticker", result) == expected


@pytest.mark.parametrize(
    ("method", "result", "expected"),
    [
        ("withdraw", {"id": "7", "info": "7"}, ""),
        ("withdraw", {"id": None, "info": {"success": True}}, ""),
        ("transfer", {"id": None, "info": [{"code": 0}]}, ""),
        ("transfer", {"id": None, "status": "ok"}, ""),
        ("withdraw", {"id": None, "info": "ok"}, "the answer confirms nothing"),
        ("withdraw", {"id": "ok", "info": True}, "the answer confirms nothing"),
        ("transfer", {"id": None, "info": {}}, "the answer confirms nothing"),
        ("withdraw", None, "the answer confirms nothing"),
    ],
)
def test_a_withdrawal_or_transfer(method: str, result: object, expected: str) -> None:
    """It is confirmed by an id, or by an object or list of some kind, not by a word."""
    assert unanswered(method, result) == expected


@pytest.mark.parametrize("method", ["fetch_balance", "fetch_open_orders", "fetch_ohlcv", "cancel_order"])
@pytest.mark.parametrize("result", [{}, [], {"id": None}])
def test_results_that_may_be_empty(method: str, result: object) -> None:
    """No balance, no orders, no candles, a confirmation without an id."""
    assert unanswered(method, result) == ""
