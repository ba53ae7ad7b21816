"""The recipe of docs/freqtrade.md in the real freqtrade: a dry run against a Kraken on 127.0.0.1 with reloads."""

import base64
import json
import os
import re
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from peak_observe.resilience.health import checks
from peak_observe.testing import FakeExchange

ROOT = Path(__file__).parent.parent
FREQTRADE = ROOT / ".venv" / "freqtrade" / "bin" / "freqtrade"
PASSWORD = "correct horse"  # noqa: S105 - of no account
SECONDS = 120.0
STRATEGY = """

from freqtrade.strategy import IStrategy


class Mine(ObservedStrategy, IStrategy):
    timeframe = "5m"
    minimal_roi = {"0": 10}
    stoploss = -0.9

    def populate_indicators(self, dataframe, metadata):
        return dataframe

    def populate_entry_trend(self, dataframe, metadata):
        return dataframe

    def populate_exit_trend(self, dataframe, metadata):
        return dataframe
"""
pytestmark = [pytest.mark.nightly, pytest.mark.timeout(600)]


class Bot:
    """A freqtrade in dry run with an API server."""

    def __init__(self, folder: Path, exchange: FakeExchange) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.folder = folder
        self.url = f"http://127.0.0.1:{self.port}"
        settings = exchange.config()
        keys = {"key": settings.pop("apiKey"), "secret": settings.pop("secret")}
        prices = {"price_side": "same", "use_order_book": False}
        config = {
            "bot_name": "alice",
            "dry_run": True,
            "max_open_trades": 1,
            "stake_currency": "USD",
            "stake_amount": 100,
            "entry_pricing": prices,
            "exit_pricing": prices,
            "exchange": {"name": "kraken", **keys, "ccxt_config": settings, "pair_whitelist": ["BTC/USD"]},
            "pairlists": [{"method": "StaticPairList"}],
            "api_server": {
                "enabled": True,
                "listen_ip_address": "127.0.0.1",
                "listen_port": self.port,
                "username": "freqtrader",
                "password": PASSWORD,
                "jwt_secret_key": "x" * 40,
                "ws_token": "y" * 40,
            },
            "internals": {"process_throttle_secs": 1},
            "initial_state": "running",
        }
        (folder / "config.json").write_text(json.dumps(config))
        strategies = folder / "strategies"
        strategies.mkdir()
        (strategies / "mine.py").write_text((ROOT / "examples/freqtrade_strategy.py").read_text() + STRATEGY)
        environment = {**os.environ, "PEAK_OBSERVE_DIR": str(folder / "snapshots")}
        command = [FREQTRADE, "trade", "--config", "config.json", "--userdir", folder, "--strategy", "Mine"]
        self.log = (folder / "log").open("w")
        self.process = subprocess.Popen(
            [*command, "--db-url", f"sqlite:///{folder}/tradesv3.dryrun.sqlite"],
            env=environment,
            cwd=folder,
            stdout=self.log,
            stderr=subprocess.STDOUT,
        )

    def ask(self, path: str, method: str = "GET") -> Any:
        """Return an answer of its API."""
        token = base64.b64encode(f"freqtrader:{PASSWORD}".encode()).decode()
        request = urllib.request.Request(
            f"{self.url}/api/v1/{path}", method=method, headers={"Authorization": f"Basic {token}"}
        )
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)

    def wait_for_start(self, after: int = 0) -> int:
        """Return when it started, as soon as that is later than a moment and its loop runs."""
        deadline = time.monotonic() + SECONDS
        while time.monotonic() < deadline:
            assert self.process.poll() is None, self.text()
            try:
                found = self.ask("health")
            except (OSError, urllib.error.URLError):
                found = {}
            if (found.get("bot_startup_ts") or 0) > after and found.get("last_process_ts"):
                return found["bot_startup_ts"]
            time.sleep(0.5)
        raise AssertionError(self.text())

    def text(self) -> str:
        """Return its log."""
        return (self.folder / "log").read_text()

    def close(self) -> None:
        """End it."""
        self.process.send_signal(signal.SIGINT)
        self.process.wait(SECONDS)
        self.log.close()


@pytest.fixture
def bot(tmp_path: Path) -> Iterator[Bot]:
    """A bot that runs."""
    assert FREQTRADE.exists(), "`make nightly` installs freqtrade"
    with FakeExchange() as exchange:
        found = Bot(tmp_path, exchange)
        try:
            yield found
        finally:
            found.close()


def test_the_bot_survives_three_reloads_and_a_backtest(bot: Bot) -> None:
    """Its metrics go on under its name, the check of kind `freqtrade` passes, and the backtest writes no snapshot."""
    started = bot.wait_for_start()
    for _ in range(3):
        bot.ask("reload_config", "POST")
        started = bot.wait_for_start(started)
    assert checks.freqtrade(bot.url, password=PASSWORD)()[0]
    backtest = [FREQTRADE, "backtesting", "--config", "config.json", "--userdir", bot.folder, "--strategy", "Mine"]
    done = subprocess.run(
        backtest, cwd=bot.folder, capture_output=True, text=True, timeout=SECONDS, check=False, env=bot_environment(bot)
    )
    assert "No data found" in done.stdout + done.stderr  # it came to the loading of candles, after its strategy
    time.sleep(6)  # a snapshot is written every 5 s
    snapshots = bot.folder / "snapshots"
    assert [path.name for path in snapshots.glob("*.snap")] == ["alice.snap"]
    told = (snapshots / "alice.snap").read_bytes().decode(errors="replace")
    assert 'peak_health_check_healthy{check="freqtrade_loop"}' in told
    assert re.search(r'peak_exchange_requests_total\{endpoint="GET public/\w+",exchange="kraken"', told)
    assert "Traceback" not in bot.text()


def bot_environment(bot: Bot) -> dict[str, str]:
    """Return the environment of the bot, for other commands of freqtrade beside it."""
    return {**os.environ, "PEAK_OBSERVE_DIR": str(bot.folder / "snapshots")}
