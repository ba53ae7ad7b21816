"""HTTP server of the metrics and the health of this process."""

from __future__ import annotations

from prometheus_client.registry import CollectorRegistry

from peak_observe.resilience.health import health_check
from peak_observe.resilience.health.http import answers
from peak_observe.telemetry.http_server import Exporter


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
    return Exporter(port, addr, registry=registry, answers=answers(health_check))
