"""The exchange cancels the orders of a bot that hangs, is stopped or dies, and of no other."""

import asyncio
import json
import logging
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import ccxt
import ccxt.async_support
import pytest
from prometheus_client import CollectorRegistry

from peak_observe import AsyncResilientExchangeClient, ResilientExchangeClient, register
from peak_observe.resilience.health import checks
from peak_observe.safety import DeadManSwitch
from peak_observe.safety.exchange_timers import FEATURE, RULES, ExchangeTimer, kind_of_future
from peak_observe.testing import FakeExchange, Fault, ManualClock

BOT = Path(__file__).with_name("bot.py")
FAST = {"timeout": 3, "every": 0.3}


@pytest.fixture
def exchange() -> Iterator[FakeExchange]:
    """Return a Kraken of the test's own."""
    with FakeExchange() as fake:
        yield fake


@pytest.fixture
def clock() -> ManualClock:
    """The time of the exchange at which `patient` counts."""
    return ManualClock()


@pytest.fixture
def patient(clock: ManualClock) -> Iterator[FakeExchange]:
    """Return a Kraken whose timers run by hand: on a busy machine a beat may be late by more than they last."""
    with FakeExchange(clock=clock) as fake:
        yield fake


def beats(exchange: FakeExchange, count: int) -> bool:
    """Wait until so many more beats have come in, the first of which may have been under way."""
    before = exchange.requests["CancelAllOrdersAfter"]
    return eventually(lambda: exchange.requests["CancelAllOrdersAfter"] >= before + count)


def statuses(exchange: FakeExchange) -> set[str]:
    """Return the statuses of all orders."""
    return {order.status for order in exchange.orders}


def eventually(condition: Callable[[], bool], seconds: float = 120.0) -> bool:
    """Wait until a condition holds."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def place(client) -> None:
    """Place an order that stays open."""
    client.create_order("BTC/USD", "limit", "buy", 0.1, 50_000)


@contextmanager
def bot(exchange: FakeExchange, mode: str) -> Iterator[subprocess.Popen]:
    """Run the bot until its order stands."""
    command = [sys.executable, str(BOT), json.dumps(exchange.config()), mode]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout.readline() == "placed\n"
            yield process
        finally:
            process.kill()


@pytest.mark.parametrize("number", [signal.SIGSTOP, signal.SIGKILL], ids=lambda number: number.name)
def test_a_process_that_stops_or_dies_leaves_no_order(
    patient: FakeExchange, clock: ManualClock, number: signal.Signals
) -> None:
    """The timer runs out at the exchange, where no signal reaches it."""
    with bot(patient, "live") as process:
        assert statuses(patient) == {"open"}
        process.send_signal(number)
        os.waitid(os.P_PID, process.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)
        # Again and again, as its last beat may still be under way.
        assert eventually(lambda: clock.advance(3) or statuses(patient) == {"canceled"})


def test_a_loop_that_hangs_leaves_no_order(exchange: FakeExchange) -> None:
    """The thread that beats lives on, but the heartbeat is stale."""
    with bot(exchange, "hang") as process:
        assert eventually(lambda: statuses(exchange) == {"canceled"})
        assert process.poll() is None


def test_a_bot_that_lives_keeps_its_orders_past_the_timeout(patient: FakeExchange, clock: ManualClock) -> None:
    """Each beat sets the timer anew."""
    client = ResilientExchangeClient("kraken", patient.config(), health=None)
    with DeadManSwitch(client, **FAST) as switch:
        assert switch.wait_armed()
        place(client)
        for _ in range(3):
            clock.advance(2)
            assert beats(patient, 2)
            assert statuses(patient) == {"open"}


def test_a_lost_beat_cancels_nothing(exchange: FakeExchange) -> None:
    """A beat that failed is tried again soon."""
    client = ResilientExchangeClient("kraken", exchange.config(), health=None)
    with DeadManSwitch(client, timeout=6, every=1) as switch:
        assert switch.wait_armed()
        place(client)
        exchange.fail(Fault.reset(), path="CancelAllOrdersAfter", times=1)
        first = switch.expires_at
        assert eventually(lambda: switch.expires_at > first)
        assert statuses(exchange) == {"open"}


def test_one_that_is_closed_is_not_entered_again(exchange: FakeExchange) -> None:
    """It would not beat, and nobody would know."""
    with DeadManSwitch(ccxt.kraken(exchange.config()), **FAST) as switch:
        assert switch.wait_armed()
    with pytest.raises(RuntimeError, match="'kraken' is closed and beats no more: make another one"), switch:
        pass


def test_closing_disarms(patient: FakeExchange, clock: ManualClock) -> None:
    """The orders stay when the bot ends on purpose."""
    client = ccxt.kraken(patient.config())
    switch = DeadManSwitch(client, **FAST)
    assert switch.wait_armed()
    place(client)
    switch.close()
    switch.close()
    clock.advance(60)
    assert statuses(patient) == {"open"}
    assert not switch.armed


def test_a_beat_whose_answer_was_lost_is_taken_back_too(patient: FakeExchange, clock: ManualClock) -> None:
    """It may have armed the switch."""
    patient.fail(Fault.lost_reply(), path="CancelAllOrdersAfter")
    client = ccxt.kraken(patient.config())
    switch = DeadManSwitch(client, **FAST)
    assert eventually(lambda: patient.requests["CancelAllOrdersAfter"] >= 1)
    place(client)
    patient.heal()
    switch.close()
    clock.advance(60)
    assert statuses(patient) == {"open"}


def test_a_block_left_by_an_exception_stays_armed(exchange: FakeExchange) -> None:
    """A bot that crashes does not leave its orders standing."""
    client = ccxt.kraken(exchange.config())
    with pytest.raises(ZeroDivisionError), DeadManSwitch(client, **FAST) as switch:
        assert switch.wait_armed()
        place(client)
        raise ZeroDivisionError
    assert eventually(lambda: statuses(exchange) == {"canceled"})


def test_beats_pass_an_open_circuit(exchange: FakeExchange) -> None:
    """Trouble with orders must not cancel those that stand."""
    client = ResilientExchangeClient("kraken", exchange.config(), health=None)
    client.breakers["trade"].trip("for the test")
    with DeadManSwitch(client, **FAST) as switch:
        assert switch.wait_armed()


def test_a_bot_that_recovers_is_armed_again_and_told(exchange: FakeExchange) -> None:
    """The orders are gone by then, which the bot has to know."""
    client = ccxt.kraken(exchange.config())
    sick, told = threading.Event(), []
    with DeadManSwitch(client, **FAST, while_healthy=lambda: not sick.is_set(), on_expired=told.append) as switch:
        assert switch.wait_armed()
        sick.set()
        assert eventually(lambda: bool(told))
        expired = switch.expires_at
        sick.clear()
        assert eventually(lambda: switch.armed)
    assert told[0] == expired


async def alive() -> bool:
    """Say so, to whoever awaits it."""
    return True


def not_awaited():
    """Return what would be true, were it asked whether it is."""
    return alive()


@pytest.mark.parametrize(
    "healthy",
    [lambda: False, lambda: (False, "no beat yet", {}), lambda: 1 / 0, lambda: None, not_awaited, sys.exit],
)
def test_whoever_cannot_say_that_it_lives_does_not_beat(exchange: FakeExchange, healthy) -> None:
    """A check that raises holds the beats back, too."""
    with DeadManSwitch(ccxt.kraken(exchange.config()), **FAST, while_healthy=healthy) as switch:
        assert not switch.wait_armed(0.5)
    assert exchange.requests["CancelAllOrdersAfter"] == 0


def test_an_async_client_beats_on_its_own_loop(patient: FakeExchange, clock: ManualClock) -> None:
    """And a loop that is blocked sends no beat."""

    async def run() -> None:
        async with AsyncResilientExchangeClient("kraken", patient.config(), health=None) as client:
            switch = DeadManSwitch(client, **FAST)
            assert await asyncio.to_thread(switch.wait_armed)
            await client.create_order("BTC/USD", "limit", "buy", 0.1, 50_000)
            for _ in range(3):
                clock.advance(2)
                assert await asyncio.to_thread(beats, patient, 2)
                assert statuses(patient) == {"open"}
            with pytest.raises(RuntimeError, match="async_close"):
                switch.close()
            time.sleep(1)  # noqa: ASYNC251 - the loop is blocked on purpose, for more than three beats
            clock.advance(3)
            assert statuses(patient) == {"canceled"}
            await switch.async_close()
            assert not switch.armed
            with pytest.raises(ZeroDivisionError), DeadManSwitch(client, **FAST):
                raise ZeroDivisionError

    asyncio.run(run())


def test_a_plain_async_object_serves_as_well(exchange: FakeExchange) -> None:
    """Its loop is the one that the switch is made on."""

    async def run() -> None:
        client = ccxt.async_support.kraken(exchange.config())
        try:
            async with DeadManSwitch(client, **FAST) as switch:
                assert await asyncio.to_thread(switch.wait_armed)
        finally:
            await client.close()

    asyncio.run(run())
    assert exchange.requests["CancelAllOrdersAfter"] >= 2


def test_binance_futures_are_cancelled_by_symbol() -> None:
    """Each symbol has a timer of its own there."""
    with FakeExchange(dialect="binance") as exchange:
        config = exchange.config()
        config["options"] |= {"defaultType": "swap", "fetchMarkets": {"types": ["linear"]}}
        client = ccxt.binance(config)
        symbols = ["BTC/USDT:USDT"]
        switch = DeadManSwitch(client, **FAST, symbols=lambda: symbols)
        assert switch.wait_armed()
        for symbol in ("BTC/USDT:USDT", "ETH/USDT:USDT"):
            client.create_order(symbol, "limit", "buy", 1, 2_000)
        switch.close(disarm=False)
        assert eventually(lambda: "canceled" in statuses(exchange))
        assert {order.pair: order.status for order in exchange.orders} == {"BTCUSDT": "canceled", "ETHUSDT": "open"}


class Future:
    """As much of ccxt's Binance as its timers need."""

    id, has = "binanceusdm", {}

    def market(self, symbol: str) -> dict[str, str]:
        """Return a market."""
        return {"id": symbol.partition("/")[0]}


def test_a_symbol_that_is_left_is_switched_off() -> None:
    """And all that were set are switched off at the end, whatever is wanted by then."""
    wanted = ["BTC/USDT:USDT", "ETH/USDT:USDT"]
    timer = ExchangeTimer(Future(), symbols=lambda: wanted)

    def sent(seconds: int) -> list[tuple[str, int]]:
        return [(args[0]["symbol"], args[0]["countdownTime"]) for _, args in list(timer.requests(seconds))[1:]]

    assert sent(60) == [("BTC", 60_000), ("ETH", 60_000)]
    wanted.remove("BTC/USDT:USDT")
    assert sent(60) == [("BTC", 0), ("ETH", 60_000)]
    assert sent(60) == [("ETH", 60_000)]
    wanted.clear()
    assert sent(0) == [("ETH", 0)]
    assert sent(0) == []
    with pytest.raises(ValueError, match="symbols names no market"):
        sent(60)


def sent_by(exchange: object, seconds: int, **given: object) -> tuple[str, object]:
    """Return the address and the body, or query, of the request that sets a timer, as ccxt signs it."""
    sent: list[tuple[str, object]] = []
    exchange.load_markets = dict
    exchange.market = lambda symbol: {"id": symbol.partition(":")[0].replace("/", "")}
    exchange.fetch = lambda url, _method, _headers, body: sent.append((url, body)) or {}
    exchange.enableRateLimit = False
    if exchange.id == "hyperliquid":
        exchange.markets, exchange.initialize_client = {}, lambda: True
    timer = ExchangeTimer(exchange, **given)
    for timeout in {60, seconds}:
        timer.check(timeout or 60)
    if not seconds:
        list(timer.requests(60))
    for name, args in timer.requests(seconds):
        getattr(exchange, name)(*args)
    ((url, body),) = sent
    return url, body


KEYS = {"apiKey": "key", "secret": "c2VjcmV0", "password": "x"}


@pytest.mark.parametrize(
    ("seconds", "body"),
    [(60, {"timeout": 60}), (0, {"timeout": 0})],
)
def test_gate_counts_for_spot_or_for_swaps(seconds: int, body: dict) -> None:
    """In seconds, each with a timer of its own."""
    url, sent = sent_by(ccxt.gate(KEYS), seconds)
    assert url.endswith("/spot/countdown_cancel_all")
    assert json.loads(sent) == body
    url, sent = sent_by(ccxt.gate({**KEYS, "options": {"defaultType": "swap"}}), seconds)
    assert url.endswith("/futures/usdt/countdown_cancel_all")
    assert json.loads(sent) == body


@pytest.mark.parametrize(("seconds", "timeout"), [(60, 60), (0, -1)])
def test_kucoin_is_switched_off_by_minus_one(seconds: int, timeout: int) -> None:
    """In seconds, for spot."""
    url, sent = sent_by(ccxt.kucoin(KEYS), seconds)
    assert url.endswith("/api/v1/hf/orders/dead-cancel-all")
    assert json.loads(sent) == {"timeout": timeout}


WALLET = {"walletAddress": f"0x{'1' * 40}", "privateKey": f"0x{'2' * 64}"}


@pytest.mark.parametrize(("seconds", "time"), [(60, "60000"), (0, "0")])
def test_aster_counts_for_each_symbol(seconds: int, time: str) -> None:
    """In milliseconds, as Binance, from which its interface comes."""
    url, sent = sent_by(
        ccxt.aster({**WALLET, **KEYS, "options": {"signerAddress": WALLET["walletAddress"]}}),
        seconds,
        symbols=["BTC/USDT:USDT"],
    )
    assert "/fapi/v3/countdownCancelAll" in url
    text = f"{url}&{sent}"
    assert "symbol=BTCUSDT" in text
    assert re.search(rf"countdownTime={time}\b", text)


def test_hyperliquid_is_switched_off_by_a_schedule_without_a_time() -> None:
    """A time of 0 milliseconds would be refused, as it has to be 5 s from now."""
    url, sent = sent_by(ccxt.hyperliquid(WALLET), 0)
    assert url.endswith("/exchange")
    request = json.loads(sent)
    assert request["action"] == {"type": "scheduleCancel"}
    assert set(request["signature"]) == {"r", "s", "v"}
    action = json.loads(sent_by(ccxt.hyperliquid(WALLET), 60)[1])["action"]
    assert (action["type"], action["time"] > 60_000) == ("scheduleCancel", True)
    vault = ExchangeTimer(ccxt.hyperliquid(WALLET), params={"vaultAddress": f"0x{'3' * 40}"})
    ((_, (of_vault,)),) = vault.requests(0)
    assert of_vault["vaultAddress"].endswith("3" * 40)


@pytest.mark.parametrize(
    ("symbol", "kind"), [("BTC/USDT:USDT", "linear"), ("BTC/USD:BTC", "inverse"), ("BTC/USD:BTC-250926", "inverse")]
)
def test_the_kind_of_a_future_is_told_by_its_symbol(symbol: str, kind: str) -> None:
    """The currency that settles decides."""
    assert kind_of_future(symbol) == kind


@pytest.mark.parametrize(
    ("name", "arguments", "words"),
    [
        ("coinbase", {}, "coinbase has no dead man's switch that ccxt knows"),
        ("bybit", {}, "private websocket"),
        ("binance", {}, "symbols must name the markets at binance"),
        ("binance", {"symbols": ["BTC/USDT"]}, "for futures alone, such as 'BTC/USDT:USDT', not for 'BTC/USDT'"),
        ("kraken", {"symbols": ["BTC/USD"]}, "symbols must not be given at kraken"),
        ("okx", {"timeout": 200}, "timeout must be from 10 to 120 seconds at okx, not 200"),
        ("okx", {"timeout": 6, "every": 2}, "timeout must be from 10 to 120 seconds at okx, not 6"),
        ("kraken", {"timeout": 60.5}, "timeout must be a number of whole seconds"),
        ("kraken", {"every": 31}, r"every must be at most half of timeout \(30 s\)"),
        ("kraken", {"every": 0}, "every: it has to be more than 0 seconds"),
        ("kraken", {"timeout": "soon"}, "timeout: it has to be more than 0 seconds"),
        ("kraken", {"while_healthy": True}, "while_healthy must be a plain function, not True"),
        ("kraken", {"while_healthy": asyncio.sleep}, "while_healthy must be a plain function, not "),
        ("kraken", {"on_expired": 3}, "on_expired must be a plain function, not 3"),
        ("kraken", {"name": ""}, "name must be a string that is not empty"),
    ],
)
def test_what_makes_no_sense_is_refused_when_it_is_made(name: str, arguments: dict, words: str) -> None:
    """One error names the argument and the mend, and no thread begins."""
    before = threading.active_count()
    with pytest.raises(ValueError, match=words):
        DeadManSwitch(getattr(ccxt, name)(), **arguments)
    assert threading.active_count() == before


def test_no_exchange_is_no_client() -> None:
    """What was given by mistake is named."""
    with pytest.raises(TypeError, match="a client or a ccxt exchange object is wanted, not 'kraken'"):
        DeadManSwitch("kraken")


def test_every_exchange_of_ccxt_with_a_timer_has_its_rules() -> None:
    """A newer ccxt may bring another; somebody then has to look up its limits."""
    having = {name for name in ccxt.exchanges if getattr(ccxt, name)().has.get(FEATURE) is True}
    assert having | {"aster", "binance", "binanceusdm", "binancecoinm", "gate", "kucoin"} == set(RULES)
    assert all(rules.source.startswith("https://") for rules in RULES.values())


def test_the_table_of_the_documents_is_that_of_the_code() -> None:
    """With the limits and the source of each exchange."""
    page = (Path(__file__).parents[2] / "docs" / "account-safety.md").read_text("utf-8")
    rows = [line.split("|")[1:-1] for line in page.splitlines() if line.startswith("|") and "](https://" in line]
    told = {
        name.strip(): (seconds.strip().replace(",", ""), source)
        for names, seconds, _, source in rows
        for name in names.split(",")
    }
    usable = {name: rules for name, rules in RULES.items() if not rules.refused}
    assert set(told) == set(usable)
    for name, rules in usable.items():
        limits = [rules.least] if rules.most is None else [rules.least, rules.most]
        assert [int(number) for number in re.findall(r"\d+", told[name][0])] == limits
        assert rules.source in told[name][1]


def test_ccxt_counts_in_milliseconds_and_sends_what_the_exchange_wants() -> None:
    """60 seconds stay 60 seconds in the request of each exchange that signs without more than keys."""
    seen = {}
    for name in ("bingx", "bitvavo", "btse", "extended", "htx", "kraken", "krakenfutures", "okx", "whitebit", "woo"):
        client = getattr(ccxt, name)()
        client.markets, client.symbols = {"BTC/USDT": {"id": "BTC_USDT", "symbol": "BTC/USDT"}}, ["BTC/USDT"]
        client.markets_by_id = {}
        client.load_markets = lambda *_, **__: None
        client.handle_market_type_and_params = lambda *_, **__: ("spot", _[2] if len(_) > 2 else {})
        sent = []
        client.request = lambda path, api="", method="GET", params=None, *_, sent=sent, **__: sent.append(params) or {}
        symbols = ["BTC/USDT"] if name == "whitebit" else ()
        for method, arguments in ExchangeTimer(client, symbols=symbols).requests(60):
            getattr(client, method)(*arguments)
        (request,) = sent
        seen[name] = {float(value) for value in request.values() if str(value).replace(".", "").isdigit()} & {60, 60e3}
    assert seen == {name: {60e3} if name in ("btse", "woo") else {60.0} for name in seen}


def test_prometheus_sees_when_it_expires_and_every_beat(exchange: FakeExchange) -> None:
    """0 stands for not armed, and the gauge goes when the switch is closed."""
    registry, began = CollectorRegistry(), time.time()
    register(registry)

    def value(name: str, **labels: str) -> float | None:
        return registry.get_sample_value(name, {"exchange": "seen", **labels})

    exchange.fail(Fault.status(502), path="CancelAllOrdersAfter")
    switch = DeadManSwitch(ccxt.kraken(exchange.config()), **FAST, name="seen")
    assert eventually(lambda: value("peak_deadman_beats_total", outcome="failed") > 0)
    assert value("peak_deadman_expires_timestamp_seconds") == 0
    exchange.heal()
    assert switch.wait_armed()
    assert value("peak_deadman_expires_timestamp_seconds") >= began + 3
    switch.close()
    assert value("peak_deadman_expires_timestamp_seconds") is None
    assert value("peak_deadman_beats_total", outcome="success") >= 1
    assert value("peak_deadman_beats_total", outcome="withheld") == 0


def test_a_forked_child_neither_beats_nor_disarms(exchange: FakeExchange) -> None:
    """The switch is the parent's."""
    with DeadManSwitch(ccxt.kraken(exchange.config()), timeout=60, every=20) as switch:
        assert switch.wait_armed()
        child = os.fork()
        if child == 0:
            reading = switch._read()
            switch.close()
            os._exit(int(reading.expires is not None or switch.armed or switch.wait_armed(60)))
        assert os.waitpid(child, 0)[1] == 0
        assert exchange.requests["CancelAllOrdersAfter"] == 1
        assert switch.armed
    assert exchange.requests["CancelAllOrdersAfter"] == 2


def test_a_machine_that_slept_is_noticed_by_the_wall_clock(
    exchange: FakeExchange, caplog: pytest.LogCaptureFixture
) -> None:
    """Its monotonic clock did not go on meanwhile; a clock that was set ahead looks the same, and the log says so."""
    clock = ManualClock()
    with DeadManSwitch(ccxt.kraken(exchange.config()), timeout=60, every=20, clock=clock) as switch:
        assert switch.wait_armed()
        clock.jump(61)
        assert not switch.armed
        switch._note_expiry()
    assert "if the machine slept and its clock was not set ahead, it has cancelled all orders" in caplog.text


def test_trouble_is_logged_once(exchange: FakeExchange, caplog: pytest.LogCaptureFixture) -> None:
    """Not with every beat."""
    exchange.fail(Fault.status(502), path="CancelAllOrdersAfter")
    client = ccxt.kraken(exchange.config())
    with caplog.at_level(logging.WARNING, "peak_observe.safety"), DeadManSwitch(client, **FAST):
        assert eventually(lambda: exchange.requests["CancelAllOrdersAfter"] >= 3)
    assert [record.getMessage() for record in caplog.records if "a beat failed" in record.getMessage()] == [
        caplog.records[0].getMessage()
    ]
    assert "never, as it is not armed" in caplog.records[0].getMessage()


def test_a_heartbeat_of_the_checks_serves(exchange: FakeExchange) -> None:
    """As in the documents."""
    heartbeat = checks.Heartbeat(max_age=60)
    with DeadManSwitch(ccxt.kraken(exchange.config()), **FAST, while_healthy=heartbeat) as switch:
        assert not switch.wait_armed(0.3)
        heartbeat.beat()
        assert switch.wait_armed()
