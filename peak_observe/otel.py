"""OpenTelemetry metrics with latency histograms: `bridge` wraps any metric exporter of the SDK."""

from __future__ import annotations

from peak_observe.errors import MissingExtraError

try:
    from peak_observe.telemetry.otel.bridge import bridge
except ModuleNotFoundError as error:
    if not (error.name or "").startswith("opentelemetry"):
        raise
    raise MissingExtraError("otlp", "peak_observe.otel") from error

__all__ = ["bridge"]
