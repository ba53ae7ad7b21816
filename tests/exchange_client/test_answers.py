"""Documented answers of ten exchanges, through ccxt's own signer and parser, sync and async: the outcome of each."""

import asyncio
import importlib
import io
from typing import Self

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

    async def __aenter__(self) -> Self:
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

    def bare_error(self, mode: str, case, call: str, runner: asyncio.Runner):
        """Return the exception that a call raises without a client, None if it succeeds."""
        self.wire.case = self.async_wire.case = case
        try:
            if mode == "sync":
                self.use(self.sync, call)
            else:
                runner.run(self.use(self.asynchronous, call))
        except Exception as error:
            return error
        return None

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


def cases_of(exchange: str) -> list:
    """Return the answers of an exchange: its own, and those of the gateways before it."""
    part = PARTS[exchange]
    own = getattr(part, "OWN_STATUSES", ())
    return [*part.ANSWERS, *(case for case in GATEWAYS if case.status not in own)]


def calls_of(case) -> list[tuple[str, str]]:
    """Return the calls that get an answer, each with its outcome."""
    read = [(case.read, case.outcomes[0])] if case.read else []
    return [*read, ("create_order", case.outcomes[1])] if case.order else read


def facts(verdict) -> tuple:
    """Return what a verdict says, with the seconds to wait in place of the moment."""
    if verdict is None:
        return "success", None, False, False
    wait = None if verdict.until is None else round(verdict.until - ManualClock().now().timestamp(), 3)
    return verdict.outcome, wait, verdict.duplicate, verdict.resync


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("exchange", EXCHANGES)
def test_documented_answers(exchange: str, mode: str, rigs, runner) -> None:
    """Each read and each order ends as the published meaning of its answer says."""
    wrong = []
    for case in cases_of(exchange):
        for call, outcome in calls_of(case):
            found = facts(rigs(exchange).verdict(mode, case, call, runner))
            told = (None, False, False) if outcome == "ambiguous" else (case.wait, case.duplicate, case.resync)
            wrong += [] if found == (outcome, *told) else [(case.meaning, call, found, (outcome, *told))]
    assert wrong == []


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("exchange", EXCHANGES)
def test_documented_answers_without_a_client(exchange: str, mode: str, rigs, runner) -> None:
    """A bare ccxt object raises enough for `outcome_of`, except for what ccxt takes for an answer."""
    wrong = []
    for case in cases_of(exchange):
        for call, outcome in calls_of(case):
            error = rigs(exchange).bare_error(mode, case, call, runner)
            verdict = isinstance(error, ccxt.BaseError) and outcome_of(error, write=call == "create_order")
            if verdict and (verdict.outcome, verdict.duplicate) != (outcome, case.duplicate):
                wrong.append((case.meaning, call, verdict, repr(error)))
    assert wrong == []


@pytest.mark.parametrize("exchange", EXCHANGES)
def test_the_table_is_long_enough(exchange: str) -> None:
    """At least forty answers of its own for each exchange."""
    assert len({(case.body, case.status) for case in PARTS[exchange].ANSWERS}) >= LEAST
    assert set(EXCHANGES) == set(dialects.HOUSES)
