"""Batches of orders whose answer tells of each: what was refused, what stands, and what nobody knows."""

import contextlib
import json

import ccxt
import pytest

from peak_observe import OutcomeUnknown
from peak_observe.exchange_client.classify import AMBIGUOUS, REJECTED, Answer, classify
from tests.exchange_client.test_false_success import MARKETS, client_of, sent_as_write


def okx(code: str, *parts: str) -> str:
    """Return OKX's answer: 1 is that all failed, 2 that some did."""
    data = [{"clOrdId": f"c{part}", "ordId": "1" if part == "0" else "", "sCode": part, "sMsg": "m"} for part in parts]
    return json.dumps({"code": code, "msg": "", "data": data})


def bybit(*parts: int) -> str:
    """Return Bybit's answer, whose errors stand apart from its orders."""
    orders = [{"symbol": "BTC-USDT", "orderId": "" if part else "1", "orderLinkId": f"l{part}"} for part in parts]
    errors = [{"code": part, "msg": "m"} for part in parts]
    return json.dumps({"retCode": 0, "retMsg": "OK", "result": {"list": orders}, "retExtInfo": {"list": errors}})


def binance(*parts: int) -> str:
    """Return the answer of Binance's futures."""
    order = {"orderId": 1, "symbol": "BTC-USDT", "status": "NEW", "clientOrderId": "a"}
    return json.dumps([{"code": part, "msg": "m"} if part else order for part in parts])


def bitget(*failed: str) -> str:
    """Return Bitget's answer to one order that stands and others that failed."""
    failures = [{"orderId": "", "clientOid": "b", "errorMsg": "m", "errorCode": code} for code in failed]
    stands = {"orderId": "1", "clientOid": "a"}
    return json.dumps({"code": "00000", "msg": "success", "data": {"successList": [stands], "failureList": failures}})


def gate(label: str) -> str:
    """Return Gate's answer to one order that stands and one that failed."""
    stands = {"id": "1", "text": "t-a", "succeeded": True, "status": "open", "currency_pair": "BTC_USDT"}
    return json.dumps([stands, {"text": "t-b", "succeeded": False, "label": label, "message": "m"}])


def mexc(code: int) -> str:
    """Return MEXC's answer to one order that stands and one that failed."""
    return json.dumps([{"symbol": "BTC-USDT", "orderId": "1"}, {"newClientOrderId": "b", "msg": "m", "code": code}])


UNKNOWN = [
    ("okx", "spot", okx("2", "0", "50004")),
    ("okx", "spot", okx("1", "51008", "51149")),
    ("okx", "spot", okx("1", "51016", "50004")),
    ("bybit", "spot", bybit(0, 10016)),
    ("bybit", "spot", bybit(170131, 170146)),
    ("binance", "swap", binance(0, -1007)),
    ("binance", "swap", binance(-2019, -1001)),
    ("bitget", "spot", bitget("40725")),
    ("bitget", "spot", bitget("43012")),  # ccxt leaves the refused one out
    ("gate", "spot", gate("INTERNAL")),
    ("mexc", "spot", mexc(500)),
]
KNOWN = [
    ("okx", "spot", okx("2", "0", "51008")),
    ("bybit", "spot", bybit(0, 170131)),
    ("binance", "swap", binance(0, -2019)),
    ("gate", "spot", gate("BALANCE_NOT_ENOUGH")),
    ("mexc", "spot", mexc(30004)),
]


def ordered(exchange: str, kind: str, body: str) -> object:
    """Return what came of two orders in one batch."""
    symbol = MARKETS[kind]
    orders = [{"symbol": symbol, "type": "limit", "side": side, "amount": 1, "price": 100} for side in ("buy", "sell")]
    with contextlib.closing(client_of(exchange, kind)) as client:
        sent, result = sent_as_write(client, body, lambda: client.create_orders(orders))
    assert sent
    return result


@pytest.mark.parametrize(("exchange", "kind", "body"), UNKNOWN)
def test_a_part_of_unknown_fate(exchange, kind, body) -> None:
    """Whatever stands beside it; ccxt takes each part for refused that has an error. All ids are named."""
    result = ordered(exchange, kind, body)
    assert isinstance(result, OutcomeUnknown), result
    assert len(result.client_order_ids) == 2


@pytest.mark.parametrize(("exchange", "kind", "body"), KNOWN)
def test_a_part_that_was_refused(exchange, kind, body) -> None:
    """The batch returns both, the refused one with its status."""
    stands, refused = ordered(exchange, kind, body)
    assert stands["id"] == "1"
    assert refused["status"] == "rejected"


def test_all_parts_refused() -> None:
    """That is a refusal."""
    assert type(ordered("okx", "spot", okx("1", "51008", "51008"))) is ccxt.InsufficientFunds


@pytest.mark.parametrize(("write", "outcome"), [(True, AMBIGUOUS), (False, REJECTED)])
def test_the_error_alone_says_so_too(write, outcome) -> None:
    """Also without a client, where only the exception is at hand."""
    body = okx("1", "51016", "51149")
    found = classify(ccxt.InvalidOrder(f"okx {body}"), exchange="okx", write=write, answer=Answer(200, {}, body))
    assert found.outcome == outcome
