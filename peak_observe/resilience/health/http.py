"""HTTP answers of a registry, as a function that any server can call."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import parse_qs, urlsplit

from peak_observe.clock import SYSTEM_CLOCK
from peak_observe.resilience.health import report

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from peak_observe.resilience.health.registry import HealthCheck
    from peak_observe.resilience.health.result import HealthCheckResult

SHARED = 1.0  # seconds for which probes that come together share one run
TEXT = "text/plain; charset=utf-8"


class Answer(NamedTuple):
    """HTTP answer: status, body and content type."""

    status: int
    body: bytes
    content_type: str


def answers(registry: HealthCheck) -> Callable[[str], Answer | None]:
    """Return a function from a request's target to the answer, or None where the path is not one of these.

    - `/livez`: 200 as long as the process answers; no check is run, as a restart mends no exchange.
    - `/readyz`, `/healthz`: 200 when the system is healthy or degraded, 503 when it is unhealthy; `?verbose` lists the
      checks.
    - `/health`: the same as `application/health+json`.
    """

    def answer(target: str) -> Answer | None:
        parts = urlsplit(target)
        verbose = "verbose" in parse_qs(parts.query, keep_blank_values=True)
        if parts.path == "/livez":
            return _text("livez", {}, ok=True, verbose=verbose)
        if parts.path in ("/readyz", "/healthz"):
            results = registry.results(SHARED)
            ok = report.verdict(results.values()) != report.UNHEALTHY
            return _text(parts.path[1:], results, ok=ok, verbose=verbose)
        if parts.path == "/health":
            return _health(registry)
        return None

    return answer


def _text(name: str, results: dict[str, HealthCheckResult], *, ok: bool, verbose: bool) -> Answer:
    status = 200 if ok else 503
    if not verbose:
        return Answer(status, b"ok\n" if ok else b"unhealthy\n", TEXT)
    lines = [*_lines(results), f"{name} check {'passed' if ok else 'failed'}"]
    return Answer(status, "".join(f"{line}\n" for line in lines).encode(), TEXT)


def _lines(results: dict[str, HealthCheckResult]) -> Iterator[str]:
    for name, result in results.items():
        mark = "+" if result.healthy else "-" if result.critical else "~"
        why = f": {result.message}" if result.message else ""
        yield f"[{mark}]{name} {'ok' if result.healthy else 'failed'}{why}"


def _health(registry: HealthCheck) -> Answer:
    import json

    results = registry.results(SHARED)
    found = report.as_health_json(results, SYSTEM_CLOCK.now())
    status = 503 if found["status"] == report.FAIL else 200
    return Answer(status, json.dumps(found).encode(), "application/health+json")
