"""Every example does what it says."""

import ast
import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parent.parent / "examples"


@pytest.fixture
def example():
    """Return the function that loads an example as a module."""

    def load(name: str):
        spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    return load


# What a reader should see, as patterns that follow each other in what the program prints.
SHOWN = {
    "resilience/01_circuit_breaker_basics": [
        "3 consecutive",
        "OPEN",
        "refused, wait",
        "HALF_OPEN",
        "CLOSED .* 2\n",
        "state: 4",
    ],
    "02_trading_loop": [
        "bought",
        "no price",
        "paused: kraken.public",
        "the order stands",
        "bought",
        r'to="open"} 1\.0',
    ],
    "03_async_bot": ["'candles': 50", "circuit: open", "the probe", "'candles': 50.*closed"],
    "04_custom_observer": ["⚠️ balance gave up after 2 attempts", "🔴 orders is open"],
    "05_several_processes": ["all live", r'"bot-b"} 1\.0', "was killed", r'"bot-a"} 1\.0', r'"bot-b"} 0\.0'],
    "13_stream_bot": [
        "connections refused\\n",
        "orders lost: closed without a code",
        "calm\\n",
        "orders back: closed without a code",
        r"fetched \d+ open orders after a gap",
        "maintenance\\n",
        "ohlcv, orders: no silence",
        r"(\d+) orders stand, \1 are known to the bot, 0 are there twice",
        r"of unknown fate: \[\]",
    ],
    "resilience/06_combining_patterns": [
        "outside: 3 failed, 7 refused.* 9 times",
        "inside:  1 failed, 9 refused.* 3 times",
    ],
    "07_cron_job": ["restored into", r'outcome="success",task="nightly"} 1\.0'],
    "09_trading_switch": [
        "refused: .* more than 3 equal orders",
        "3 of 40 orders",
        "main: halted",
        "main: trading.*mended",
        "after that: OFAKE",
    ],
    "10_shutdown": ["waits", "SIGTERM", "cancelled 1 order", "closed", "ended in good order"],
    "14_shared_state": [r"down for 3 seconds: [1-6] calls reached", "all of them work again"],
    "08_fastapi_app": ["/price 502", "/price 503.*Retry-After: 30", "/readyz 200 ok", r'"rejected"} 1\.0'],
    "11_account_safety": [
        "second copy: 'bot' is running already: process",
        "before the first order: 0",
        "halt: books of kraken differ: order OFAKE",
        "armed: True",
        "the loop hung, and the exchange cancelled",
    ],
    "12_order_journal": [
        r"\('rebalance-mon', 'sent'\)",
        "from an earlier life: rebalance-mon is open",
        "rebalance-tue: order",
        "the exchange has 2 orders",
    ],
    "resilience/10_backup_basics": [
        "success: 3 files",
        "lost",
        "bring back 1 file",
        "restored: pair",
        "True",
        r"kept: \['after",
    ],
    "resilience/13_disaster_recovery": ["✅ config", "❌ config", "restoring", "recovered:\n *✅ config", "backups: 2"],
}


def test_every_example_is_tested_here() -> None:
    """None is forgotten."""
    tested = Path(__file__).read_text(encoding="utf-8")
    names = [
        (f'example("{path.stem}")', f'EXAMPLES / "{path.name}"')
        for path in EXAMPLES.rglob("*.py")
        if str(path.relative_to(EXAMPLES).with_suffix("")) not in SHOWN
    ]
    assert all(any(name in tested for name in either) for either in names)


@pytest.mark.parametrize("name", SHOWN)
def test_it_shows_what_it_is_for(name: str, tmp_path: Path) -> None:
    """It runs in an empty folder, offline, without a warning, and prints what a reader should learn."""
    command = [sys.executable, "-W", "error", EXAMPLES / f"{name}.py"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    printed = done.stderr + done.stdout if name.startswith("resilience/01") else done.stdout
    assert re.search(".*?".join(SHOWN[name]), printed, re.DOTALL), printed


FREQTRADE = """
import asyncio, importlib.util, sys
from types import SimpleNamespace
import ccxt, ccxt.pro, peak_observe
from peak_observe.testing import FakeExchange
from prometheus_client import CollectorRegistry, generate_latest

spec = importlib.util.spec_from_file_location("strategy", sys.argv[1])
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
strategy = module.ObservedStrategy()
strategy.config = {"bot_name": "freqtrade"}

async def refresh(*apis):
    for api in apis:
        api.timeout_on_exit = 0
        await api.fetch_ohlcv("BTC/USD", "1m", limit=5)
        await api.close()

with FakeExchange() as fake:
    for _ in range(2):  # freqtrade makes new objects when it reloads
        bot = SimpleNamespace(_api=ccxt.kraken(fake.config()), _api_async=ccxt.async_support.kraken(fake.config()))
        bot._ws_async = ccxt.pro.kraken(fake.config())
        strategy.dp = SimpleNamespace(_exchange=bot, runmode=SimpleNamespace(value="dry_run"))
        strategy.bot_start()
        assert "***" in str(bot._ws_async._peak_observe_state.scrubber.text(bot._ws_async.apiKey))
        bot._api.fetch_ticker("BTC/USD")
        bot._api.session.close()
        asyncio.run(refresh(bot._api_async, bot._ws_async))
    del bot._ws_async  # an older freqtrade
    strategy.bot_start()
    strategy.bot_loop_start()
    assert peak_observe.health_check.run_all()["freqtrade_loop"].healthy
    strategy.dp = SimpleNamespace(runmode=SimpleNamespace(value="backtest"))  # which has no exchange to ask
    strategy.bot_start()
registry = CollectorRegistry()
peak_observe.register(registry)
print(generate_latest(registry).decode())
"""


def test_freqtrades_objects_are_instrumented(tmp_path) -> None:
    """A stand-in holds the objects that freqtrade's `Exchange` holds, makes them anew, and all of them count."""
    command = [sys.executable, "-W", "error", "-c", FREQTRADE, str(EXAMPLES / "freqtrade_strategy.py")]
    environment = {**os.environ, "PEAK_OBSERVE_DIR": str(tmp_path)}
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=60, env=environment)
    for endpoint, count in (("GET public/Ticker", 2), ("GET public/OHLC", 4)):
        labels = f'endpoint="{endpoint}",exchange="kraken",outcome="success"'
        assert f"peak_exchange_requests_total{{{labels}}} {count}.0" in done.stdout
    assert [path for path in tmp_path.rglob("freqtrade*") if b"public/Ticker" in path.read_bytes()]


def test_the_recipe_has_less_than_twenty_lines() -> None:
    """What a reader has to add."""
    tree = ast.parse((EXAMPLES / "freqtrade_strategy.py").read_text(encoding="utf-8"))
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
    assert sum(len(ast.unparse(node).splitlines()) for node in functions) < 20


@pytest.mark.parametrize("folder", [EXAMPLES, EXAMPLES / "resilience"], ids=lambda folder: folder.name)
def test_the_index_names_every_example(folder: Path) -> None:
    """A row each, and none that is gone."""
    rows = re.findall(r"^\| \[(\w+\.py)\]\(\1\) \|", (folder / "README.md").read_text("utf-8"), re.MULTILINE)
    assert rows == sorted(path.name for path in folder.glob("*.py"))
