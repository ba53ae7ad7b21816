"""HTTP answers of a registry, as a function that any server can call."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import parse_qs, urlsplit

from peak_observe.clock import SYSTEM_CLOCK
from peak_observe.resilience.health import report
from peak_observe.support.shutdown_state import SHUTDOWN

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
      checks. 503 from the moment on that the program shuts down.
    - `/health`: the same as `application/health+json`.
    - `/startupz`: 503 until each check has been run once, whatever came of it, and 200 from then on.

    With `?tag=TAG`, which may be repeated, only checks with one of the tags count, and those they depend on; a tag
    that no check has is a 404.
    """
    started = False

    def answer(target: str) -> Answer | None:
        nonlocal started
        parts = urlsplit(target)
        query = parse_qs(parts.query, keep_blank_values=True)
        verbose, tags = "verbose" in query, query.get("tag")
        if parts.path == "/livez":
            return _text("livez", {}, ok=True, verbose=verbose)
        if parts.path == "/startupz":
            # A probe of readiness waits for this one, so it has to run the checks where nobody else does.
            results = {} if started else registry.results(SHARED)
            started = started or registry.have_run()
            return _text("startupz", results, ok=started, verbose=verbose, bad=b"not every check has been run yet\n")
        if parts.path not in ("/readyz", "/healthz", "/health") or SHUTDOWN.begun:
            return _shutting_down(parts.path)
        try:
            results = registry.results(SHARED, tags=tags)
        except (KeyError, ValueError) as error:
            return Answer(404, f"{error.args[0]}\n".encode(errors="replace"), TEXT)
        if parts.path == "/health":
            return _health(results)
        ok = report.verdict(results.values()) != report.UNHEALTHY
        return _text(parts.path[1:], results, ok=ok, verbose=verbose)

    return answer


def _shutting_down(path: str) -> Answer | None:
    """Return the answer of a process that shuts down, to which nothing shall be sent; None for a path of others."""
    if path not in ("/readyz", "/healthz", "/health"):
        return None
    if path == "/health":
        return Answer(503, b'{"status": "fail", "output": "shutting down"}', "application/health+json")
    return Answer(503, b"shutting down\n", TEXT)


def _text(
    name: str,
    results: dict[str, HealthCheckResult],
    *,
    ok: bool,
    verbose: bool,
    bad: bytes = b"unhealthy\n",
) -> Answer:
    status = 200 if ok else 503
    if not verbose:
        return Answer(status, b"ok\n" if ok else bad, TEXT)
    lines = [*_lines(results), f"{name} check {'passed' if ok else 'failed'}"]
    return Answer(status, "".join(f"{line}\n" for line in lines).encode(), TEXT)


def _lines(results: dict[str, HealthCheckResult]) -> Iterator[str]:
    from peak_observe.support.redact import printable  # late: only who asks for details needs it

    for name, result in results.items():
        mark = "+" if result.healthy else "-" if result.critical else "~"
        why = f": {result.message}" if result.message else ""
        yield printable(f"[{mark}]{name} {'ok' if result.healthy else 'failed'}{why}")


def _health(results: dict[str, HealthCheckResult]) -> Answer:
    import json

    found = report.as_health_json(results, SYSTEM_CLOCK.now())
    status = 503 if found["status"] == report.FAIL else 200
    return Answer(status, json.dumps(found).encode(), "application/health+json")
