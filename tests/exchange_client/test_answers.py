"""Documented answers of ten exchanges, through ccxt's own signer and parser, sync and async: the outcome of each."""

import asyncio
import importlib
import io

import ccxt
import ccxt.async_support
import pytest
import requests
from requests.structures import CaseInsensitiveDict

from peak_observe import AsyncResilientExchangeClient, ResilientExchangeClient, outcome_of
from peak_observe.exchange_client import dialects
from peak_observe.testing import ManualClock
from tests.exchange_client.answers.answer import BALANCE, CANDLES, TICKER
from tests.exchange_client.answers.gateways import ANSWERS as GATEWAYS

EXCHANGES = ("binance", "bitget", "bybit", "coinbase", "gate", "hyperliquid", "kraken", "kucoin", "mexc", "okx")
MODES = ("sync", "async")
LEAST = 40
SYMBOL = "BTC/USDC"
PARTS = {exchange: importlib.import_module(f"tests.exchange_client.answers.{exchange}") for exchange in EXCHANGES}
SEPARATED = {"coinbase": "-", "gate": "_", "kucoin": "-", "okx": "-"}


class Wire(requests.adapters.BaseAdapter):
    """Transport of the sync ccxt: answers each request with the case at hand."""

    def __init__(self) -> None:
        super().__init__()
        self.case = None

    def send(self, request: requests.PreparedRequest, **_) -> requests.Response:
        """Return the answer."""
        response = requests.Response()
        response.status_code, response.reason, response.url = self.case.status, "Reason", request.url
        response.headers = CaseInsensitiveDict({"Content-Type": "application/json", **self.case.headers})
        response.raw = io.BytesIO(self.case.body.encode())
        return response

    def close(self) -> None:
        """Do nothing."""


class Reply:
    """Response of aiohttp, as far as ccxt reads it."""

    reason = "Reason"

    def __init__(self, case) -> None:
        self.status, self.headers, self.content = (
            case.status,
            {"Content-Type": "application/json", **case.headers},
            None,
        )
        self._body = case.body

    async def text(self, **_) -> str:
        """Return the body."""
        return self._body

    async def __aenter__(self) -> "Reply":
        return self

    async def __aexit__(self, *_) -> None:
        pass


class AsyncWire:
    """Session of the async ccxt: answers each request with the case at hand."""

    def __init__(self) -> None:
        self.case = None
        self.headers = {}
        self.get = self.post = self.put = self.delete = lambda *_, **__: Reply(self.case)

    async def close(self) -> None:
        """Do nothing."""


def market(exchange: str) -> dict:
    """Return a spot market in ccxt's terms."""
    limits = {"min": None, "max": None}
    return {
        "id": f"BTC{SEPARATED.get(exchange, '')}USDC", "symbol": SYMBOL, "base": "BTC", "quote": "USDC",
        "baseId": "0" if exchange == "hyperliquid" else "BTC",
        "quoteId": "USDC", "type": "spot", "spot": True, "margin": False, "swap": False, "future": False,
        "option": False, "active": True, "contract": False, "precision": {"amount": 1e-8, "price": 0.01},
        "limits": {"amount": limits, "price": limits, "cost": limits, "leverage": limits},
        "info": {"orderTypes": ["LIMIT"]},
    }  # fmt: skip


def made(exchange: str, library):
    """Return a ccxt object that knows one market."""
    found = getattr(library, exchange)(
        {
            "apiKey": "k",
            "secret": "c2VjcmV0c2VjcmV0",
            "password": "p",
            "privateKey": "0x" + "11" * 32,
            "walletAddress": "0x" + "22" * 20,
            "enableRateLimit": False,
            "options": PARTS[exchange].OPTIONS,
        }
    )
    precise = {"precision": 1e-8, "info": {}, "networks": {}}
    currencies = {code: {"id": code, "code": code, **precise} for code in ("BTC", "USDC")}
    if exchange == "hyperliquid":
        # Its signature takes 70 ms in pure Python, and no answer depends on it.
        found.sign_l1_action = lambda *_: {"r": "0x1", "s": "0x2", "v": 27}
    found.set_markets({SYMBOL: market(exchange)}, currencies)
    return found


class Rig:
    """One exchange with a ccxt object of each kind over a stubbed transport."""

    def __init__(self, exchange: str) -> None:
        self.sync = made(exchange, ccxt)
        self.wire = Wire()
        self.sync.session.mount("https://", self.wire)
        self.asynchronous = made(exchange, ccxt.async_support)
        self.asynchronous.own_session = False
        self.asynchronous.session = self.async_wire = AsyncWire()

    def verdict(self, mode: str, case, call: str, runner: asyncio.Runner):
        """Return the verdict on a call that is answered by a case, None if it succeeds."""
        self.wire.case = self.async_wire.case = case
        chosen = {"health": None, "clock": ManualClock(), "max_attempts": 1, "max_wait": 0.0}
        if mode == "sync":
            client = ResilientExchangeClient(self.sync, **chosen)
            try:
                self.use(client, call)
            except Exception as error:
                return outcome_of(error)
            finally:
                client.close()
            return None
        return runner.run(self._async(AsyncResilientExchangeClient(self.asynchronous, **chosen), call))

    async def _async(self, client, call: str):
        try:
            await self.use(client, call)
        except Exception as error:
            return outcome_of(error)
        finally:
            await client.close()
        return None

    @staticmethod
    def use(client, call: str):
        """Make a call."""
        if call == BALANCE:
            return client.fetch_balance()
        if call == TICKER:
            return client.fetch_ticker(SYMBOL)
        if call == CANDLES:
            return client.fetch_ohlcv(SYMBOL, "1h")
        return client.create_order(SYMBOL, "limit", "buy", 0.1, 50_000)


@pytest.fixture(scope="module")
def runner():
    """Return one event loop for all."""
    with asyncio.Runner() as runner:
        yield runner


@pytest.fixture(scope="module")
def rigs(runner):
    """Return the function that gives an exchange's rig, made once."""
    found = {}

    async def make(exchange: str) -> Rig:
        return Rig(exchange)  # inside of the loop that its async object is used in

    yield lambda exchange: found.get(exchange) or found.setdefault(exchange, runner.run(make(exchange)))
    for rig in found.values():
        rig.sync.session.close()


def cases():
    """Yield each answer of each exchange."""
    for exchange in EXCHANGES:
        own = getattr(PARTS[exchange], "OWN_STATUSES", ())
        shared = (case for case in GATEWAYS if case.status not in own)
        for number, case in enumerate((*PARTS[exchange].ANSWERS, *shared)):
            for mode in MODES:
                yield pytest.param(exchange, mode, case, id=f"{exchange}-{mode}-{number}-{case.meaning[:40]}")


@pytest.mark.parametrize(("exchange", "mode", "case"), list(cases()))
def test_a_documented_answer(exchange: str, mode: str, case, rigs, runner) -> None:
    """A read and an order that are answered so end as the published meaning says."""
    calls = [(case.read, case.outcomes[0])] if case.read else []
    calls += [("create_order", case.outcomes[1])] if case.order else []
    for call, expected in calls:
        verdict = rigs(exchange).verdict(mode, case, call, runner)
        outcome = verdict.outcome if verdict else "success"
        assert outcome == expected, (call, verdict)
        if verdict is not None and outcome != "ambiguous":
            assert (verdict.duplicate, verdict.resync) == (case.duplicate, case.resync), (call, verdict)
            wait = None if verdict.until is None else verdict.until - ManualClock().now().timestamp()
            assert wait == (None if case.wait is None else pytest.approx(case.wait, abs=1e-3)), (call, verdict)


@pytest.mark.parametrize("exchange", EXCHANGES)
def test_the_table_is_long_enough(exchange: str) -> None:
    """At least forty answers of its own for each exchange."""
    assert len({(case.body, case.status) for case in PARTS[exchange].ANSWERS}) >= LEAST
    assert set(EXCHANGES) == set(dialects.HOUSES)
