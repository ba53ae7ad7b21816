"""Series of a client: few, and there at 0 before the first order, so that `increase` sees the first lost one."""

import subprocess
import sys

import ccxt
import pytest
from prometheus_client import CollectorRegistry

import peak_observe
from peak_observe import AsyncResilientExchangeClient, OutcomeUnknown, ResilientExchangeClient, catalog, instrument
from peak_observe.measures import ENDPOINTS
from peak_observe.monitoring.rules.exchange import OBJECTIVES
from peak_observe.testing import FakeExchange, Fault

MODES = pytest.mark.parametrize("mode", ["sync", "async"])
BUDGET = 164
"""Series of a client that asked nothing yet: three circuits with their retries, and what is known of the exchange."""

TEN = ("binance", "bitget", "bybit", "coinbase", "gate", "hyperliquid", "kraken", "kucoin", "mexc", "okx")

BOT = """
import contextlib, sys
from peak_observe import OutcomeUnknown, ResilientExchangeClient, start_exporter
from peak_observe.testing import FakeExchange, Fault

with FakeExchange() as fake, ResilientExchangeClient("kraken", fake.config()) as client:
    print(start_exporter(port=0).port, flush=True)
    for _ in sys.stdin:
        fake.fail(Fault.lost_reply(), path="AddOrder", times=1)
        with contextlib.suppress(OutcomeUnknown):
            client.create_order("BTC/USD", "limit", "buy", 0.1, 50_000)
        print("lost", flush=True)
"""


@pytest.fixture
def registry() -> CollectorRegistry:
    """Return a registry with the collector."""
    registry = CollectorRegistry()
    peak_observe.register(registry)
    return registry


def samples(registry: CollectorRegistry, name: str) -> list:
    """Return the samples that a client of this name has, in any family."""
    return [
        sample
        for family in registry.collect()
        for sample in family.samples
        if any(value == name or value.startswith(f"{name}.") for value in sample.labels.values())
    ]


def writes(registry: CollectorRegistry, name: str) -> dict[str, float]:
    """Return the counted writes of an exchange by outcome."""
    found = [sample for sample in samples(registry, name) if sample.name == "peak_exchange_writes_total"]
    return {sample.labels["outcome"]: sample.value for sample in found}


@pytest.mark.parametrize("exchange", TEN)
@pytest.mark.parametrize("kind", [ResilientExchangeClient, AsyncResilientExchangeClient])
def test_a_fresh_client_has_few_series(registry, exchange, kind) -> None:
    """Binance takes orders, cancels and transfers by 52 endpoints, which have series when they are asked."""
    name = f"fresh.{kind.__name__}.{exchange}"
    client = kind(exchange, name=name, health=None)
    assert 0 < len(samples(registry, name)) <= BUDGET
    assert not [series for series, _ in ENDPOINTS.read() if series.startswith(name)]
    if kind is ResilientExchangeClient:
        client.close()


def test_a_measured_object_has_fewer(registry) -> None:
    """It has neither circuits nor retries."""
    instrument(ccxt.binance(), "measured")
    assert 0 < len(samples(registry, "measured")) <= 20


@MODES
def test_writes_are_there_at_0_in_all_outcomes(registry, mode, rig) -> None:
    """From the making of a client, whatever endpoint the first order will go by."""
    with rig("binance").using(mode, name=f"zero.{mode}"):
        assert writes(registry, f"zero.{mode}") == dict.fromkeys(catalog.EXCHANGE_OUTCOMES, 0)


def test_writes_are_there_at_0_for_a_measured_object(registry) -> None:
    """From the moment at which it is measured."""
    instrument(ccxt.okx(), "zero.measured")
    assert writes(registry, "zero.measured") == dict.fromkeys(catalog.EXCHANGE_OUTCOMES, 0)


@MODES
def test_writes_are_counted_by_outcome(registry, mode, rig) -> None:
    """A placed, a refused and a lost order; a read is none."""
    rigged, name = rig("kraken"), f"wrote.{mode}"
    order = ("BTC/USD", "limit", "buy", 0.1, 50_000)
    with rigged.using(mode, name=name) as client:
        rigged.run(mode, lambda: client.create_order(*order))
        rigged.fake.fail(Fault.api_error("EOrder:Insufficient funds"), path="AddOrder", times=1)
        with pytest.raises(ccxt.InsufficientFunds):
            rigged.run(mode, lambda: client.create_order(*order))
        rigged.fake.fail(Fault.lost_reply(), path="AddOrder", times=1)
        with pytest.raises(OutcomeUnknown):
            rigged.run(mode, lambda: client.create_order(*order))
        rigged.run(mode, lambda: client.fetch_ticker("BTC/USD"))
        counted = {outcome: count for outcome, count in writes(registry, name).items() if count}
    assert counted == {"success": 1, "rejected": 1, "ambiguous": 1}


def test_two_clients_of_a_name_add_up_and_stay_counted(registry) -> None:
    """Also when they are gone."""
    with FakeExchange() as fake:
        for _ in range(2):
            with ResilientExchangeClient("kraken", fake.config(), name="twice", health=None) as client:
                client.create_order("BTC/USD", "limit", "buy", 0.1, 50_000)
            del client
    assert writes(registry, "twice")["success"] == 2


def test_a_real_prometheus_sees_the_first_lost_order(prometheus) -> None:
    """The order that is lost is the first request of its process to any endpoint that changes something."""
    recorded = next(rule for rule in OBJECTIVES.recordings if rule.name.endswith("unknown:increase1d"))
    lately = recorded.expression.replace("1d:5m", "60s")
    command = [sys.executable, "-W", "error", "-c", BOT]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) as bot:
        try:
            server = prometheus([f"127.0.0.1:{bot.stdout.readline().strip()}"])
            server.eventually('count_over_time(peak_exchange_writes_total{outcome="ambiguous"}[60s]) >= 2')
            assert server.query(lately) == []
            bot.stdin.write("\n")
            bot.stdin.flush()
            assert bot.stdout.readline() == "lost\n"
            assert server.eventually(lately)
        finally:
            bot.stdin.close()
            bot.wait(60)
