"""Everything that `/metrics` shows goes to a collector over OTLP, with the same values."""

import asyncio
import math
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pyrage
import pytest
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.sdk.metrics import MeterProvider, ObservableCounter, ObservableGauge, ObservableUpDownCounter
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from prometheus_client.parser import text_string_to_metric_families

import peak_observe
from peak_observe import (
    DeadManSwitch,
    HealthCheck,
    LossGuard,
    OffsiteStore,
    OrderGuard,
    OrderJournal,
    Policy,
    Reconciler,
    RecoveryManager,
    ResilientExchangeClient,
    RetryBudget,
    Shared,
    TradingSwitch,
    bulkhead,
    catalog,
    chaos,
    circuit_breaker,
    hedge,
    last_good,
    only_one,
    otel,
    priority,
    rate_limit,
    retry_with_backoff,
    share,
    timed,
    timeout,
)
from peak_observe.exchange_client.streams.state import StreamOptions, StreamState
from peak_observe.resilience.health import checks
from peak_observe.telemetry.metrics.renderer import Renderer
from peak_observe.telemetry.otel.names import attributes_of, instrument_of
from peak_observe.testing import FakeExchange, ManualClock

Key = tuple[str, frozenset[tuple[str, str]]]
RHYTHM = 8  # times, after which is known how often something comes
METRICS = {metric.name: metric for metric in catalog.IN_PROCESS}
# The time of a process is told to who scrapes it: a point that is pushed carries its own.
PUSHED = [metric for metric in catalog.IN_PROCESS if metric is not catalog.OBSERVE_TIME_SECONDS]
RELOADED = '[policies."otel.all"]\ncircuit_breaker = { failure_threshold = 3 }\n'


def same(number: int) -> int:
    """Answer like an exchange that is well."""
    return number


async def same_later(number: int) -> int:
    """Answer like it to asyncio."""
    return number


def fail() -> None:
    """Fail like an exchange that is away."""
    raise ConnectionError


def guard_account(stack: ExitStack, client: ResilientExchangeClient, folder: Path) -> None:
    """Guard the account of a client in every way there is."""
    stack.enter_context(DeadManSwitch(client, timeout=60, every=20))
    stack.enter_context(only_one("otel.all", folder=folder))
    checks.api_key(client, want_ip=False)()
    stack.enter_context(Reconciler(client, balances=lambda: {"BTC": 10.0}, every=60)).run()


@pytest.fixture
def everything(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Use every primitive once, so that each family has a series."""
    monkeypatch.setenv("PEAK_OBSERVE_CHAOS", "1")
    clock, name = ManualClock(), "otel.all"
    policy_file = tmp_path / "policies.toml"
    policy_file.write_text(RELOADED)
    kept = [
        circuit_breaker(5, name=name, window=10, failure_ratio=0.5, slow_call_seconds=1, slow_call_ratio=0.5)(same),
        retry_with_backoff(2, name=name, budget=RetryBudget(name=name), clock=clock)(same),
        bulkhead(3, name=name)(same),
        rate_limit(100, name=name, reserve={"orders": 0.5})(same),
        share(ttl=1, key=str, name=name)(same),
        circuit_breaker(name=f"{name}.fallback", fallback=last_good(60))(same),
        timed(name)(same),
        chaos(0.5, latency=1, name=name, clock=clock)(same),
    ]
    limited = timeout(5, name=name)(same_later)
    hedged = hedge(5, name=name)(same_later)
    assert asyncio.run(limited(1)) == asyncio.run(hedged(1)) == 1
    with priority("orders"):
        for protected in kept:
            protected(1)
    with pytest.raises(ConnectionError):
        retry_with_backoff(2, name=name, clock=clock)(fail)()
    with peak_observe.job(name, max_age="26h"):
        pass
    check = HealthCheck()
    check.register(name, lambda: True)
    for _ in range(RHYTHM):
        check.run_all()
    (tmp_path / "data").write_text("1")
    manager = RecoveryManager(tmp_path / "backups", name=name, max_age=60)
    manager.data_backup.add_data_path(tmp_path / "data")
    public = str(pyrage.x25519.Identity.generate().to_public())
    OffsiteStore(f"file://{tmp_path}/store", recipients=[public], repository=tmp_path / "backups", max_age=60).init()
    manager.verify_backup(manager.create_backup(include_config=False, include_state=False))
    with ExitStack() as stack:
        trading = TradingSwitch(name, folder=tmp_path)
        stack.callback(trading.close)
        OrderGuard(trading, max_orders=5)
        LossGuard(trading, max_drawdown=0.5).report(1000.0)
        trading.halt("to have a reason")
        shared = stack.enter_context(Shared(f"file://{tmp_path}/shared", namespace=name))
        kept.append(circuit_breaker(name=f"{name}.shared", shared=shared)(same))
        policy = Policy.from_toml(policy_file, name, watch=True)
        stack.callback(policy.close)
        fake = stack.enter_context(FakeExchange())
        journal = stack.enter_context(OrderJournal(tmp_path / "orders.sqlite"))
        made = ResilientExchangeClient(
            "kraken", fake.config(), name=name, health=None, journal=journal, latency_budget={"public": 5}
        )
        client = stack.enter_context(made)
        for _ in range(RHYTHM):
            client.fetch_ticker("BTC/USD")
        client.fetch_balance()
        client.submit("otel", "BTC/USD", "limit", "buy", 0.1, 40_000)
        client.reconcile()
        fake.key.expires = time.time() + 86_400.0
        guard_account(stack, client, tmp_path)
        streams = StreamState(name, clock, StreamOptions(60))
        streams.watch("wss://127.0.0.1/ws", "ticker:BTC/USD", "ticker", ["BTC/USD"])
        yield
    assert len([*kept, limited, hedged]) > 1


# Tests before this one have left thousands of names, past which the SDK would sum up.
LIMITS = dict.fromkeys((ObservableCounter, ObservableGauge, ObservableUpDownCounter), 1_000_000)


def exposed() -> dict[Key, float]:
    """Return the series of `/metrics` under their OpenTelemetry names; buckets of histograms as they are."""
    found = {}
    for family in text_string_to_metric_families(Renderer().render().decode()):
        if family.name == catalog.OBSERVE_TIME_SECONDS.name:
            continue
        metric = METRICS.get(family.name) or METRICS[f"{family.name}_total"]
        name = instrument_of(metric).name
        for sample in family.samples:
            suffix = sample.name.removeprefix(metric.name)
            labels = tuple(sample.labels.items())
            found[f"{name}{suffix}", frozenset(attributes_of(labels).items())] = sample.value
    return found


def sent(metrics: dict) -> dict[Key, float]:
    """Return the points of a request in the same form."""
    found = {}
    for metric in metrics.values():
        kind = metric.WhichOneof("data")
        for point in getattr(metric, kind).data_points:
            attributes = {one.key: one.value.string_value for one in point.attributes}
            key = frozenset(attributes.items())
            if kind == "histogram":
                found[f"{metric.name}_count", key] = point.count
                found[f"{metric.name}_sum", key] = point.sum
                total = 0
                for bound, count in zip([*point.explicit_bounds, math.inf], point.bucket_counts, strict=True):
                    total += count
                    le = "+Inf" if bound == math.inf else str(bound)
                    found[f"{metric.name}_bucket", key | {("peak_observe.le", le)}] = total
            else:
                found[metric.name, key] = getattr(point, point.WhichOneof("value"))
    return found


@pytest.mark.usefixtures("everything")
def test_every_family_has_its_twin_with_equal_values(sink) -> None:
    """Series by series; what changes with the time lies between the scrapes before and after."""
    reader = PeriodicExportingMetricReader(
        otel.bridge(OTLPMetricExporter(sink.url)), math.inf, cardinality_limits=LIMITS
    )
    provider = MeterProvider([reader], shutdown_on_exit=False)
    peak_observe.register_otel(provider)
    before = exposed()
    provider.force_flush()
    after = exposed()
    provider.shutdown()
    assert {instrument_of(metric).name for metric in PUSHED} == set(sink.metrics())
    finite = {key for key in before if math.isfinite(before[key]) and math.isfinite(after[key])}
    pushed = sent(sink.metrics())
    assert not set(pushed) ^ finite
    for key, value in pushed.items():
        low, high = sorted((before[key], after[key]))
        # A time of the wall clock is reckoned anew from a monotonic one at each scrape.
        slack = 0.001 if key[0].endswith("timestamp") else 0.0
        assert low - slack <= value <= high + slack, key


@pytest.mark.usefixtures("everything")
def test_kinds_and_units_are_those_of_the_catalogue(sink) -> None:
    """Counters are monotonic sums, durations histograms, the rest gauges."""
    reader = PeriodicExportingMetricReader(
        otel.bridge(OTLPMetricExporter(sink.url)), math.inf, cardinality_limits=LIMITS
    )
    provider = MeterProvider([reader], shutdown_on_exit=False)
    peak_observe.register_otel(provider)
    provider.force_flush()
    provider.shutdown()
    kinds = {"counter": "sum", "gauge": "gauge", "histogram": "histogram"}
    expected = {instrument_of(metric): (kinds[metric.kind], metric.help) for metric in PUSHED}
    found = {(m.name, m.unit): (m.WhichOneof("data"), m.description) for m in sink.metrics().values()}
    assert found == expected
    assert all(m.sum.is_monotonic for m in sink.metrics().values() if m.WhichOneof("data") == "sum")
