"""Every example does what it says."""

import ast
import asyncio
import importlib.util
import urllib.request
from pathlib import Path
from types import SimpleNamespace

import ccxt
import ccxt.async_support
import pytest

from peak_observe.testing import FakeExchange

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


def test_every_example_is_tested_here() -> None:
    """None is forgotten."""
    tested = Path(__file__).read_text(encoding="utf-8")
    assert all(f'example("{path.stem}")' in tested for path in EXAMPLES.glob("*.py"))


def test_freqtrades_objects_are_instrumented(example) -> None:
    """A stand-in that holds a sync and an async object as freqtrade's `Exchange` does; both show in /metrics."""
    strategy = example("freqtrade_strategy").ObservedStrategy()
    with FakeExchange() as fake:
        bot = SimpleNamespace(_api=ccxt.kraken(fake.config()), _api_async=ccxt.async_support.kraken(fake.config()))
        strategy.dp = SimpleNamespace(_exchange=bot)
        strategy.bot_start.__globals__["observe_exchange"].__defaults__ = (0,)
        strategy.bot_start()

        async def refresh() -> None:
            await bot._api_async.fetch_ohlcv("BTC/USD", "1m", limit=5)
            bot._api_async.timeout_on_exit = 0
            await bot._api_async.close()

        bot._api.fetch_ticker("BTC/USD")
        asyncio.run(refresh())
        with strategy.exporter as exporter, urllib.request.urlopen(exporter.url, timeout=10) as answer:
            served = answer.read().decode()
        bot._api.session.close()
    for endpoint in ("GET public/Ticker", "GET public/OHLC"):
        assert f'peak_exchange_requests_total{{endpoint="{endpoint}",exchange="kraken",outcome="success"}}' in served


def test_the_recipe_has_less_than_ten_lines() -> None:
    """What a reader has to add."""
    tree = ast.parse((EXAMPLES / "freqtrade_strategy.py").read_text(encoding="utf-8"))
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
    assert sum(len(ast.unparse(node).splitlines()) for node in functions) < 10
