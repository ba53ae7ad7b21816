"""Names, units and attributes of OpenTelemetry."""

import re

import pytest

from peak_observe import catalog
from peak_observe.telemetry.otel.names import attributes_of, instrument_of

OF_NO_UNIT = {
    *("breaker.state", "breaker.failure_ratio", "breaker.slow_call_ratio", "rate_limit.weight", "chaos.ratio"),
    *("trading.state", "trading.reason", "guard.headroom_ratio", "account.equity", "account.drawdown_ratio"),
    *("policy.reload_success", "health_check.healthy", "exchange.rate_limit_used_ratio", "build_info"),
    *("instance.held", "exchange.key_permission"),
    "stream.connected",
    *("shared.up", "shared.fallback_active"),
}


@pytest.mark.parametrize(
    ("metric", "name", "unit"),
    [
        (catalog.BREAKER_CALLS_TOTAL, "peak_observe.breaker.calls", "{call}"),
        (catalog.BREAKER_CALL_DURATION_SECONDS, "peak_observe.breaker.call_duration", "s"),
        (catalog.BREAKER_STATE_SECONDS_TOTAL, "peak_observe.breaker.state_duration", "s"),
        (catalog.RATE_LIMIT_CALLS_PER_SECOND, "peak_observe.rate_limit.calls_per_second", "{call}/s"),
        (catalog.TIMED_CALL_DURATION_SECONDS, "peak_observe.timed_call.duration", "s"),
        (catalog.HEALTH_CHECK_HEALTHY, "peak_observe.health_check.healthy", "1"),
        (catalog.BACKUP_SIZE_BYTES, "peak_observe.backup.size", "By"),
        (catalog.BACKUP_STORED_BYTES, "peak_observe.backup.stored_size", "By"),
        (catalog.BACKUP_STORED, "peak_observe.backup.stored", "{backup}"),
        (catalog.OBSERVE_BUILD_INFO, "peak_observe.build_info", "1"),
    ],
    ids=lambda value: getattr(value, "name", value),
)
def test_a_metric_has_a_name_with_dots_and_a_unit(metric: catalog.Metric, name: str, unit: str) -> None:
    """The unit stands beside the name, not in it."""
    assert instrument_of(metric) == (name, unit)


def test_no_two_metrics_have_one_name() -> None:
    """Taking the unit away makes no two the same."""
    names = [instrument_of(metric).name for metric in catalog.METRICS]
    assert len(set(names)) == len(names)


def test_no_name_ends_in_total_or_a_unit() -> None:
    """Collectors for Prometheus add both themselves."""
    names = [instrument_of(metric).name for metric in catalog.METRICS]
    assert not [name for name in names if re.search(r"(_total|_seconds|_bytes)$", name)]
    assert all(re.fullmatch(r"peak_observe(\.[a-z_]+)+", name) for name in names)


def test_only_ratios_and_states_have_no_unit() -> None:
    """A new count of the catalogue says what it counts."""
    plain = {name for name, unit in map(instrument_of, catalog.IN_PROCESS) if unit == "1"}
    assert plain == {f"peak_observe.{name}" for name in OF_NO_UNIT}


def test_labels_are_attributes_of_ours_but_for_standard_ones() -> None:
    """The class of an exception is `error.type` in OpenTelemetry."""
    labels = (("breaker", "kraken"), ("exception", "TimeoutError"), ("outcome", "failure"))
    expected = {"peak_observe.breaker": "kraken", "error.type": "TimeoutError", "peak_observe.outcome": "failure"}
    assert attributes_of(labels) == expected
