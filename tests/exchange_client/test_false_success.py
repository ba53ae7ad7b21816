"""Answers with HTTP 200 that confirm nothing: at every exchange they leave an order's outcome unknown."""

import base64
import contextlib
import json

import ccxt
import pytest
import requests

from peak_observe import OutcomeUnknown, ResilientExchangeClient
from peak_observe.exchange_client.request import current_call
from peak_observe.testing import ManualClock

CREDENTIALS = {
    "apiKey": "k" * 32, "secret": "c2VjcmV0" * 8, "password": "p", "uid": "1", "login": "l", "token": "t",
    "privateKey": "0x" + "1" * 64, "walletAddress": "0x" + "2" * 40, "accountId": "7", "enableRateLimit": False,
}  # fmt: skip
BODIES = ("null", "", '"ok"', "ok", "true", "0", "<html></html>", "{}", '{"code": 0}', '{"success": true}')
ADDRESS = "1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa"
TEN = ("binance", "bybit", "okx", "kraken", "coinbase", "kucoin", "gate", "bitget", "mexc", "hyperliquid")
MARKETS = {"spot": "BTC/USDT", "swap": "BTC/USDT:USDT"}


class Answer:
    """A response of requests with a body of our own."""

    status_code, reason, content = 200, "OK", b""
    headers = requests.structures.CaseInsensitiveDict({"Content-Type": "application/json"})

    def __init__(self, body: str) -> None:
        self.text = body

    def json(self) -> object:
        """Parse the body."""
        return json.loads(self.text)

    def raise_for_status(self) -> None:
        """Do nothing: the status is 200."""


def market(exchange: ccxt.Exchange, kind: str) -> dict:
    """Return the one market of an exchange object."""
    contract, base_id = kind == "swap", "1" if exchange.id == "hyperliquid" else "BTC"
    return exchange.safe_market_structure({
        "id": "BTC-USDT", "symbol": MARKETS[kind], "base": "BTC", "quote": "USDT", "baseId": base_id, "quoteId": "USDT",
        "settle": "USDT" if contract else None, "settleId": "USDT", "type": kind, "spot": not contract,
        "swap": contract, "contract": contract, "linear": True, "inverse": False, "contractSize": 1, "active": True,
        "precision": {"amount": 1e-8, "price": 1e-8}, "limits": {"amount": {}, "price": {}, "cost": {}},
        "info": {"orderTypes": ["LIMIT"]},
    })  # fmt: skip


def client_of(exchange_id: str, kind: str) -> ResilientExchangeClient:
    """Return a client whose exchange object has one market and asks for no other."""
    exchange = getattr(ccxt, exchange_id)(CREDENTIALS)
    networks = {"BTC": {"id": "BITCOIN", "network": "BTC"}}
    currencies = {
        code: exchange.safe_currency_structure({"id": code, "code": code, "networks": networks, "info": {}})
        for code in ("BTC", "USDT")
    }
    # What bybit, kucoin and hyperliquid would ask for or send first.
    exchange.options |= {
        "enableUnifiedMargin": False,
        "enableUnifiedAccount": True,
        "uta": False,
        "approvedBuilderFee": True,
        "refSet": True,
    }
    exchange.set_markets([market(exchange, kind)], currencies)
    return ResilientExchangeClient(exchange, name="odd", health=None, clock=ManualClock(), failure_threshold=1000)


def sent_as_write(client: ResilientExchangeClient, body: str, call) -> tuple[bool, object]:
    """Return whether a write was sent, and what came of the call."""
    writes = []

    def request(*_: object, **__: object) -> Answer:
        writes.append(current_call.get().last_write is not None)
        return Answer(body)

    client.exchange.session.request = request
    try:
        result = call()
    except Exception as error:
        result = error
    return any(writes), result


@pytest.mark.parametrize("exchange_id", ccxt.exchanges)
def test_what_confirms_nothing_is_no_success(exchange_id: str) -> None:
    """Neither an order that is named `ok` nor an AttributeError: the client says that nobody knows."""
    reached = set()
    for kind, symbol in MARKETS.items():
        with contextlib.closing(client_of(exchange_id, kind)) as client:
            for body in BODIES:
                sent, result = sent_as_write(
                    client,
                    body,
                    lambda: client.create_order(symbol, "limit", "buy", 1, 100),  # noqa: B023 - called at once
                )
                assert not sent or isinstance(result, OutcomeUnknown), (kind, body, result)
                reached |= {kind} if sent else set()
                client.breakers["trade"].reset()
    assert reached or exchange_id not in TEN


@pytest.mark.parametrize("body", [body for body in BODIES if body not in ('{"code": 0}', '{"success": true}')])
@pytest.mark.parametrize("exchange_id", TEN)
def test_a_withdrawal_that_nothing_confirms(exchange_id: str, body: str) -> None:
    """It may be under way."""
    with contextlib.closing(client_of(exchange_id, "spot")) as client:
        sent, result = sent_as_write(
            client, body, lambda: client.withdraw("USDT", 1, ADDRESS, params={"network": "BTC", "key": "home"})
        )
        assert not sent or isinstance(result, OutcomeUnknown), result


@pytest.mark.parametrize(
    ("said", "expected"),
    [("Too little money there", "rejected"), ("binance does not have market symbol X", "ambiguous")],
)
def test_what_ccxt_raises_after_an_answer(said: str, expected: str, counted, monkeypatch) -> None:
    """A refusal if the answer says the same, as with Coinbase's `success: false`; otherwise the order may stand."""
    before = counted("odd")
    with contextlib.closing(client_of("binance", "spot")) as client:

        def fail(*_: object) -> None:
            raise ccxt.BadSymbol(said)

        monkeypatch.setattr(client.exchange, "parse_order", fail)
        body = json.dumps({"orderId": 7, "note": "Too little money there"})
        sent, result = sent_as_write(client, body, lambda: client.create_order("BTC/USDT", "limit", "buy", 1, 100))
    assert sent
    assert type(result) is ccxt.BadSymbol if expected == "rejected" else isinstance(result, OutcomeUnknown)
    ((key, count),) = ((key, count) for key, count in counted("odd").items() if count != before.get(key, 0))
    assert (key[1], count - before.get(key, 0)) == (expected, 1)


CALLS = {
    "create_order": lambda client, symbol: client.create_order(symbol, "limit", "buy", 1, 100),
    "edit_order": lambda client, symbol: client.edit_order("1", symbol, "limit", "buy", 1, 100),
    "cancel_order": lambda client, symbol: client.cancel_order("1", symbol),
    "withdraw": lambda client, _: client.withdraw("USDT", 1, ADDRESS, params={"network": "BTC", "key": "home"}),
}


# They ask for accounts first, and know only USDC.
NOT_REACHED = (("coinbase", "withdraw"), ("hyperliquid", "withdraw"))


@pytest.mark.parametrize("method", list(CALLS))
@pytest.mark.parametrize("exchange_id", ccxt.exchanges)
def test_a_lost_answer_at_every_exchange(exchange_id: str, method: str) -> None:
    """The write was sent once, its outcome is unknown, and the ids that are named were on the wire."""
    sent = 0
    for kind, symbol in MARKETS.items():
        with contextlib.closing(client_of(exchange_id, kind)) as client:
            writes = []

            def request(*args: object, **kwargs: object) -> Answer:
                if current_call.get().last_write is not None:
                    writes.append(wire(args, kwargs))  # noqa: B023 - called at once
                raise requests.Timeout("no answer")

            client.exchange.session.request = request
            with pytest.raises(Exception) as raised:
                CALLS[method](client, symbol)
            assert len(writes) <= 1
            assert isinstance(raised.value, OutcomeUnknown) == bool(writes)
            assert all(name in writes[0] for name in getattr(raised.value, "client_order_ids", ()))
            sent += len(writes)
    assert sent or exchange_id not in TEN or (exchange_id, method) in NOT_REACHED


def wire(args: tuple, kwargs: dict) -> str:
    """Return everything that goes out, with payloads of headers decoded."""
    headers = " ".join(map(str, (kwargs.get("headers") or {}).values()))
    decoded = []
    for value in headers.split():
        with contextlib.suppress(ValueError):
            decoded.append(base64.b64decode(value, validate=True).decode("utf-8", "replace"))
    body = kwargs.get("data") or ""
    return " ".join([*map(str, args), headers, *decoded, body.decode() if isinstance(body, bytes) else str(body)])
