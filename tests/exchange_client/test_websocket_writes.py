"""Orders over a websocket: sent once, with an id, and of unknown outcome when the answer is lost."""

import asyncio
import contextlib
import json

import aiohttp
import aiohttp.web
import ccxt
import ccxt.pro
import pytest

from peak_observe import (
    AsyncResilientExchangeClient,
    CircuitState,
    OutcomeUnknown,
    TradingHaltedError,
    TradingSwitch,
    WriteUnanswered,
)
from peak_observe.testing import FakeExchange, RecordingObserver

EXCHANGES = pytest.mark.parametrize("exchange_id", ["binance", "bybit"])
SYMBOL = "BTC/USDT"


class Exchange:
    """A websocket server that keeps what it is told and answers orders as it is asked to."""

    def __init__(self) -> None:
        self.mode = "answer"
        self.connections = 0
        self.messages = []
        self.connected = lambda: None

    async def __call__(self, request: aiohttp.web.Request) -> aiohttp.web.StreamResponse:
        """Serve one connection."""
        self.connections += 1
        self.connected()
        if self.mode == "refuse":
            raise aiohttp.web.HTTPServiceUnavailable
        socket = aiohttp.web.WebSocketResponse()
        await socket.prepare(request)
        async for message in socket:
            await self.answer(socket, json.loads(message.data))
        return socket

    async def answer(self, socket: aiohttp.web.WebSocketResponse, message: dict) -> None:
        """Answer one message: a sign-in always, an order by the mode."""
        if message.get("op") == "auth":
            if self.mode == "no sign-in":
                await socket.close()
            else:
                await socket.send_json({"op": "auth", "retCode": 0, "success": True, "connId": "1"})
            return
        self.messages.append(message)
        if self.mode == "drop":
            await socket.close()
        elif self.mode != "silent":
            await socket.send_json(binance(message, self.mode) if "method" in message else bybit(message, self.mode))

    @property
    def ids(self) -> list[str]:
        """The client order ids that arrived."""
        return [
            message["params"]["newClientOrderId"] if "method" in message else message["args"][0]["orderLinkId"]
            for message in self.messages
        ]


def binance(message: dict, mode: str) -> dict:
    """Return Binance's answer to an order."""
    if mode == "reject":
        error = {"code": -2010, "msg": "Account has insufficient balance for requested action."}
        return {"id": message["id"], "status": 400, "error": error}
    if mode == "empty":
        return {"id": message["id"], "status": 200, "result": {}}
    placed = {
        "symbol": "BTCUSDT",
        "orderId": 7,
        "clientOrderId": message["params"]["newClientOrderId"],
        "status": "NEW",
    }
    return {"id": message["id"], "status": 200, "result": placed}


def bybit(message: dict, mode: str) -> dict:
    """Return Bybit's answer to an order."""
    if mode == "reject":
        return {"reqId": message["reqId"], "retCode": 170131, "retMsg": "Insufficient balance.", "op": "order.create"}
    placed = {} if mode == "empty" else {"orderId": "7", "orderLinkId": message["args"][0]["orderLinkId"]}
    return {"reqId": message["reqId"], "retCode": 0, "retMsg": "OK", "op": "order.create", "data": placed}


@contextlib.asynccontextmanager
async def trading(exchange_id: str, **settings):
    """Yield a client of a ccxt.pro object and its exchange."""
    served = Exchange()
    runner = aiohttp.web.ServerRunner(aiohttp.web.Server(served))
    await runner.setup()
    site = aiohttp.web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    with FakeExchange(dialect="binance") as fake:
        pro = getattr(ccxt.pro, exchange_id)({
            "apiKey": "k" * 16, "secret": "s" * 16, "enableRateLimit": False, "timeout": 2000,
            "options": {"enableUnifiedMargin": False, "enableUnifiedAccount": True},
        })  # fmt: skip
        plain = ccxt.binance(fake.config())
        pro.set_markets(plain.load_markets())
        plain.session.close()
        pro.timeout_on_exit = 0
        url = f"ws://127.0.0.1:{site._server.sockets[0].getsockname()[1]}/"
        pro.urls["api"]["ws"] = {
            "ws-api": {"spot": url}, "private": {"spot": {"unified": url}, "trade": url}, "public": {"spot": url},
            "spot": url,
        }  # fmt: skip
        client = AsyncResilientExchangeClient(pro, name="ws", health=None, **settings)
        try:
            yield client, served
        finally:
            await client.close()
            await pro.close()
            await runner.cleanup()


def order(client):
    """Place an order over the websocket."""
    return client.create_order_ws(SYMBOL, "limit", "buy", 0.1, 40_000)


@EXCHANGES
def test_an_order_has_an_id_and_is_sent_once(exchange_id) -> None:
    """The sign-in before it is no order."""

    async def main():
        async with trading(exchange_id) as (client, served):
            placed = await order(client)
            assert placed["id"] == "7"
            assert [placed["clientOrderId"]] == served.ids

    asyncio.run(main())


@EXCHANGES
@pytest.mark.parametrize("mode", ["drop", "silent", "empty"])
def test_a_lost_answer_leaves_the_outcome_unknown(exchange_id, mode) -> None:
    """The connection breaks, nothing comes, or what comes names no order; the ids are those that arrived."""

    async def main():
        async with trading(exchange_id) as (client, served):
            served.mode = mode
            with pytest.raises(OutcomeUnknown) as unknown, RecordingObserver() as seen:
                await order(client)
            assert list(unknown.value.client_order_ids) == served.ids
            assert len(served.ids) == 1
            assert unknown.value.endpoint == "WS private/create_order_ws"
            assert unknown.value.order == "limit buy 0.1 BTC/USDT at 40000"
            (told,) = seen.of(WriteUnanswered)
            assert told.client_order_ids == unknown.value.client_order_ids

    asyncio.run(main())


@EXCHANGES
def test_a_refusal_is_a_refusal(exchange_id) -> None:
    """In ccxt's own class, and no circuit minds."""

    async def main():
        async with trading(exchange_id, failure_threshold=1) as (client, served):
            served.mode = "reject"
            with pytest.raises(ccxt.InsufficientFunds):
                await order(client)
            assert client.breakers["trade"].state is CircuitState.CLOSED

    asyncio.run(main())


@pytest.mark.parametrize(("exchange_id", "mode"), [("binance", "refuse"), ("bybit", "refuse"), ("bybit", "no sign-in")])
def test_what_never_got_that_far_was_not_sent(exchange_id, mode) -> None:
    """No connection, or none that is signed in, is the exchange's trouble and shuts no circuit of REST."""

    async def main():
        async with trading(exchange_id, failure_threshold=1, max_attempts=1) as (client, served):
            served.mode = mode
            with pytest.raises(ccxt.NetworkError):
                await order(client)
            assert served.messages == []
            assert client.breakers["trade"].state is CircuitState.CLOSED

    asyncio.run(main())


def test_refused_streams_shut_no_circuit() -> None:
    """`watch_ticker` goes to ccxt as it is: neither circuit nor retry of ours."""

    async def main():
        async with trading("binance", failure_threshold=1) as (client, served):
            served.mode = "refuse"
            for _ in range(2):
                with pytest.raises(ccxt.NetworkError):
                    await client.watch_ticker(SYMBOL)
            assert {breaker.state for breaker in client.breakers.values()} == {CircuitState.CLOSED}
            assert served.connections == 2

    asyncio.run(main())


def test_messages_are_counted(counted) -> None:
    """By method and outcome, as requests are."""

    async def main():
        async with trading("binance") as (client, served):
            await order(client)
            served.mode = "silent"
            with pytest.raises(OutcomeUnknown):
                await order(client)

    before = counted("ws")
    asyncio.run(main())
    after = counted("ws")
    endpoint = "WS private/create_order_ws"
    new = {key: count - before.get(key, 0) for key, count in after.items() if count != before.get(key, 0)}
    assert new == {(endpoint, "success"): 1, (endpoint, "ambiguous"): 1}


@EXCHANGES
def test_a_halted_switch_lets_only_cancels_out(exchange_id, tmp_path) -> None:
    """Also over a websocket."""

    async def main():
        switch = TradingSwitch("ws", folder=tmp_path)
        async with trading(exchange_id, trading=switch, max_attempts=1) as (client, served):
            switch.halt("x")
            with pytest.raises(TradingHaltedError):
                await order(client)
            assert served.messages == []
            served.mode = "silent"
            with pytest.raises(OutcomeUnknown):
                await client.cancel_order_ws("7", SYMBOL)
            assert len(served.messages) == 1
        switch.close()

    asyncio.run(main())


@EXCHANGES
def test_an_order_that_waits_for_its_connection_is_not_sent_after_a_halt(exchange_id, tmp_path) -> None:
    """The switch is asked again before the message goes out."""

    async def main():
        switch = TradingSwitch("ws", folder=tmp_path)
        async with trading(exchange_id, trading=switch, max_attempts=1) as (client, served):
            served.connected = lambda: switch.halt("x")
            with pytest.raises(TradingHaltedError):
                await order(client)
            assert served.connections == 1
            assert served.messages == []
            switch.resume()
            served.connected = lambda: None
            assert (await order(client))["id"] == "7"
        switch.close()

    asyncio.run(main())
