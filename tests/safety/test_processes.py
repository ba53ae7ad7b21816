"""Proof of the switch: real processes that trade on a fake exchange, halted by command and killed at random."""

import json
import os
import random
import signal
import time
from pathlib import Path

from peak_observe import TradingSwitch
from peak_observe.testing import FakeExchange
from tests.safety.conftest import Processes, until

BOT = """
import json, sys, time
from contextlib import suppress
from ccxt import OrderNotFound
from peak_observe import ResilientExchangeClient, TradingHaltedError, TradingSwitch
client = ResilientExchangeClient("kraken", json.loads(sys.argv[1]), trading=TradingSwitch("main"), health=None)
client.load_markets()
print("ready", flush=True)
last = "OFAKE0-00000-000001"
while True:
    try:
        last = client.create_order("BTC/USD", "limit", "buy", 0.01, 10.0)["id"]
    except TradingHaltedError:
        pass
    with suppress(OrderNotFound):  # it was cancelled before
        client.cancel_order(last, "BTC/USD")
    time.sleep(0.02)
"""


def start(processes: Processes, exchange: FakeExchange) -> object:
    """Start a bot and wait until it knows its markets."""
    bot = processes.start(BOT, json.dumps(exchange.config()))
    assert bot.stdout.readline() == "ready\n"
    return bot


def trades(exchange: FakeExchange, name: str = "AddOrder") -> bool:
    """Return whether requests of a kind come in."""
    before = exchange.requests[name]
    end = time.monotonic() + 0.4
    while time.monotonic() < end:
        if exchange.requests[name] != before:
            return True
        time.sleep(0.01)
    return False


def test_a_halt_by_command_stops_two_processes(processes: Processes, exchange: FakeExchange) -> None:
    """No order after a second, cancels still arrive; and a bot that was killed is still halted when it is back."""
    bots = [start(processes, exchange) for _ in range(2)]
    until(lambda: trades(exchange))
    done = processes.command("halt", "main", "--reason", "fat finger")
    assert (done.returncode, "main: halted" in done.stdout, done.stderr) == (0, True, "")
    time.sleep(1.0)
    until(lambda: not trades(exchange))  # one that was stopped in the middle of an order ends it
    until(lambda: trades(exchange, "CancelOrder"))
    assert not trades(exchange)
    for bot in bots:
        bot.send_signal(signal.SIGKILL)
        bot.wait(60)
    start(processes, exchange)
    until(lambda: trades(exchange, "CancelOrder"))
    assert not trades(exchange)
    assert processes.command("status").returncode == 1
    assert processes.command("resume", "main").returncode == 0
    until(lambda: trades(exchange))


def test_two_looping_processes_get_exactly_the_limit_in(processes: Processes, exchange: FakeExchange) -> None:
    """Together: the guard counts for the account, not for the process; cancels go on."""
    guarded = BOT.replace('print("ready"', 'OrderGuard(client_switch, max_orders=20, per=3600)\nprint("ready"')
    guarded = guarded.replace('trading=TradingSwitch("main")', "trading=client_switch")
    guarded = guarded.replace("client = Res", 'client_switch = TradingSwitch("main")\nclient = Res')
    guarded = guarded.replace("import ResilientExchangeClient", "import OrderGuard, ResilientExchangeClient")
    bots = [processes.start(guarded, json.dumps(exchange.config())) for _ in range(2)]
    for bot in bots:
        assert bot.stdout.readline() == "ready\n"
    until(lambda: exchange.requests["AddOrder"] >= 20)
    until(lambda: trades(exchange, "CancelOrder") and not trades(exchange))
    assert exchange.requests["AddOrder"] == 20
    assert "more than 20 orders" in processes.command("status").stdout


def test_twenty_halts_at_random_instants_hold(processes: Processes, exchange: FakeExchange, tmp_path: Path) -> None:
    """Each is obeyed within a second, whatever the bot was doing."""
    start(processes, exchange)
    switch = TradingSwitch("main", folder=tmp_path)
    for number in range(20):
        until(lambda: trades(exchange))
        time.sleep(random.random() * 0.05)
        switch.halt(f"halt {number}")
        end, seen = time.monotonic() + 1.0, exchange.requests["AddOrder"]
        while time.monotonic() < end and trades(exchange):
            seen = exchange.requests["AddOrder"]
        assert exchange.requests["AddOrder"] == seen
        switch.resume()
    switch.close()


def test_a_writer_that_is_killed_leaves_the_old_state_or_the_new(tmp_path: Path) -> None:
    """Never a part of one: 20 processes that halt and resume, each killed at a random instant."""
    switch = TradingSwitch("main", folder=tmp_path)
    for _ in range(20):
        child = os.fork()
        if child == 0:
            while True:
                switch.halt("x")
                switch.resume()
        time.sleep(random.random() * 0.03)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        found = json.loads((tmp_path / "trading" / "main.json").read_text())
        assert found["state"] in {"halted", "trading"}
        assert switch.look().id != "unreadable"
    switch.halt("the last word")
    assert not switch.allows()
    switch.close()
