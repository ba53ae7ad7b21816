"""Resilience for trading code that tells Prometheus and OpenTelemetry what it did.

`circuit_breaker` and `retry_with_backoff` protect a function, `health_check` says whether the system may trade, and
`start_exporter` serves what they count.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from peak_observe._version import __version__
from peak_observe.clock import Clock, SystemClock
from peak_observe.errors import (
    CircuitOpenError,
    HeldBackError,
    ListenError,
    MissingExtraError,
    OutcomeUnknown,
    PeakObserveError,
)
from peak_observe.events import (
    Event,
    GaveUp,
    HealthChanged,
    KeyRefused,
    NamesOverflowed,
    RateLimited,
    Recovered,
    RetryScheduled,
    Transition,
    WriteUnanswered,
    observe,
)
from peak_observe.resilience import (
    CircuitBreaker,
    CircuitBreakerStats,
    CircuitState,
    HealthCheck,
    HealthCheckResult,
    breakers,
    circuit_breaker,
    get_breaker,
    health_check,
    retry_with_backoff,
)
from peak_observe.telemetry import log, tracing

if TYPE_CHECKING:
    from prometheus_client.registry import CollectorRegistry

    from peak_observe.exchange_client import (
        AsyncResilientExchangeClient,
        ResilientExchangeClient,
        instrument,
        uninstrument,
    )
    from peak_observe.telemetry.server import Exporter

__all__ = [
    "AsyncResilientExchangeClient",
    "CircuitBreaker",
    "CircuitBreakerStats",
    "CircuitOpenError",
    "CircuitState",
    "Clock",
    "Event",
    "GaveUp",
    "HealthChanged",
    "HealthCheck",
    "HealthCheckResult",
    "HeldBackError",
    "KeyRefused",
    "ListenError",
    "MissingExtraError",
    "NamesOverflowed",
    "OutcomeUnknown",
    "PeakObserveError",
    "RateLimited",
    "Recovered",
    "ResilientExchangeClient",
    "RetryScheduled",
    "SystemClock",
    "Transition",
    "WriteUnanswered",
    "__version__",
    "breakers",
    "circuit_breaker",
    "configure",
    "get_breaker",
    "health_check",
    "instrument",
    "observe",
    "register",
    "retry_with_backoff",
    "start_exporter",
    "uninstrument",
]

_EXCHANGE_CLIENT = frozenset(("AsyncResilientExchangeClient", "ResilientExchangeClient", "instrument", "uninstrument"))


def __getattr__(name: str) -> Any:
    """Load the exchange client when it is first asked for, as most programs do without."""
    if name not in _EXCHANGE_CLIENT:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from peak_observe import exchange_client

    return getattr(exchange_client, name)


observe(log.on_event)
observe(tracing.on_event)


def configure(*, span_events: bool = False) -> None:
    """Set what holds for the whole process.

    Args:
        span_events: Whether changes of state and retries are also added to the current span as span events;
            they are always sent as log-based events.
    """
    tracing.span_events = span_events


def register(registry: CollectorRegistry | None = None) -> Any:
    """Add the metrics of this process to a registry that the program serves already.

    Args:
        registry: The registry; prometheus_client's default one if not given.

    Returns:
        The collector, for `registry.unregister()`. The same registry gets only one.
    """
    from peak_observe.telemetry import prometheus

    return prometheus.register(registry)


def start_exporter(
    port: int = 17326,
    addr: str = "127.0.0.1",
    *,
    registry: CollectorRegistry | None = None,
) -> Exporter:
    """Serve the metrics and the health of this process on `http://addr:port/` from a background thread.

    `/metrics` are the metrics; `/livez`, `/readyz`, `/healthz` and `/health` answer for the checks of `health_check`.

    Args:
        port: The port; 0 picks a free one.
        addr: The address to listen on; only this machine can reach the default.
        registry: A prometheus_client registry whose metrics are served as well, for instance `REGISTRY`.

    Returns:
        The exporter, with `.port`, `.url` and `.close()`; it is also a context manager.

    Raises:
        ListenError: The address cannot be had; mostly another process listens there.
        ValueError: There is no such port.
    """
    from peak_observe.resilience.health.answers import answers
    from peak_observe.telemetry.server import Exporter

    return Exporter(port, addr, registry=registry, answers=answers(health_check))
