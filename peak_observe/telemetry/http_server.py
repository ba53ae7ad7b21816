"""Small HTTP server in a background thread for the metrics and the health of this process."""

from __future__ import annotations

import gzip
import socket
import threading
from collections.abc import Callable
from http import HTTPStatus
from typing import TYPE_CHECKING, Self
from urllib.parse import urlsplit

from prometheus_client.exposition import choose_encoder, gzip_accepted

from peak_observe._version import __version__
from peak_observe.errors import ListenError
from peak_observe.support.loggers import logger
from peak_observe.telemetry.bounded_server import BoundedHandler, BoundedServer
from peak_observe.telemetry.metrics.collector import PeakCollector
from peak_observe.telemetry.metrics.renderer import Renderer
from peak_observe.telemetry.snapshot import writer

if TYPE_CHECKING:
    from types import TracebackType

    from prometheus_client.metrics_core import Metric
    from prometheus_client.registry import CollectorRegistry

INDEX = (
    "<!doctype html><title>peak_observe</title><h1>peak_observe</h1>"
    '<p>The metrics of this process: <a href="/metrics">/metrics</a></p>'
    '<p>Its health: <a href="/readyz?verbose">/readyz</a>, <a href="/health">/health</a></p>'
)
OM_END = b"# EOF\n"
MAX_PORT = 65535

Answers = Callable[[str], "tuple[int, bytes, str] | None"]
"""Takes a request's target; returns status, body and content type, or None for a path that it does not know."""


class Exporter:
    """Server of this process's metrics until it is closed; also a context manager.

    Args:
        port: The port; 0 picks a free one.
        addr: The address to listen on.
        registry: A registry whose metrics follow ours.
        answers: What answers paths that this server does not know itself.

    Raises:
        ListenError: The address cannot be had; mostly another process listens there.
        ValueError: There is no such port.
    """

    def __init__(
        self,
        port: int,
        addr: str,
        *,
        registry: CollectorRegistry | None = None,
        answers: Answers = lambda _: None,
    ) -> None:
        self._server = _listen(addr, port, _Renderers(registry), answers)
        self.addr = addr
        self.port: int = self._server.server_address[1]
        self._thread = threading.Thread(
            target=self._server.serve_until_closed,
            name="peak-observe-exporter",
            daemon=True,
        )
        self._thread.start()
        writer.serving(self._address)

    @property
    def _address(self) -> str:
        return self.url.removeprefix("http://").removesuffix("/metrics")

    @property
    def url(self) -> str:
        """The address of the metrics."""
        host = "127.0.0.1" if self.addr in ("", "0.0.0.0") else self.addr  # noqa: S104 - a comparison, no binding
        return f"http://{f'[{host}]' if ':' in host else host}:{self.port}/metrics"

    def close(self) -> None:
        """Stop serving and free the port; closing twice is fine."""
        if self._thread.is_alive():
            self._server.stop()
            self._thread.join()
            writer.serving("")
        self._server.server_close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


class _Renderers:
    """Renderers of `/metrics`: our families, then those of the user's registry."""

    def __init__(self, registry: CollectorRegistry | None) -> None:
        self._registry = registry
        self._own = Renderer()
        self._lock = threading.Lock()

    def __call__(self, accept: str) -> tuple[bytes, str]:
        encode, content_type = choose_encoder(accept)
        openmetrics = content_type.startswith("application/openmetrics-text")
        with self._lock:
            body = self._own.render(openmetrics=openmetrics)
        if self._registry is not None:
            return body + encode(_Foreign(self._registry)), content_type
        return body + (OM_END if openmetrics else b""), content_type


class _Foreign:
    """View of a registry without our collector, should it be registered there too."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry

    def collect(self) -> list[Metric]:
        ours = {metric.name for metric in PeakCollector().describe()}
        return [metric for metric in self._registry.collect() if metric.name not in ours]


class _Server(BoundedServer):
    def __init__(self, address: tuple[str, int], family: int, render: _Renderers, answers: Answers) -> None:
        self.render = render
        self.answers = answers
        super().__init__(address, family, _Handler)


class _Handler(BoundedHandler):
    server: _Server
    server_version = f"peak_observe/{__version__}"
    sys_version = ""

    def do_GET(self) -> None:  # noqa: N802 - the name is the base class's
        try:
            path = urlsplit(self.path).path
        except ValueError:  # such as `GET http://[`
            self._answer(HTTPStatus.BAD_REQUEST, b"bad request: the target is no URL\n", "text/plain; charset=utf-8")
            return
        if path == "/metrics":
            self._answer(*self._metrics())
        elif path in ("/-/healthy", "/-/ready"):
            self._answer(HTTPStatus.OK, b"OK\n", "text/plain; charset=utf-8")
        elif path == "/":
            self._answer(HTTPStatus.OK, INDEX.encode(), "text/html; charset=utf-8")
        else:
            missing = (HTTPStatus.NOT_FOUND, b"not found: the metrics are at /metrics\n", "text/plain; charset=utf-8")
            self._answer(*(self.server.answers(self.path) or missing))

    def _metrics(self) -> tuple[HTTPStatus, bytes, str]:
        try:
            return HTTPStatus.OK, *self.server.render(self.headers.get("Accept", ""))
        except Exception:  # noqa: BLE001 - it is logged with its traceback, and the client gets an error
            # A collector of the user's registry, as a rule. Half of the metrics would look like all of them.
            logger("peak_observe.exporter").exception("the metrics could not be read")
            body = b"the metrics could not be read: the log of this process tells why\n"
            return HTTPStatus.INTERNAL_SERVER_ERROR, body, "text/plain; charset=utf-8"

    def do_HEAD(self) -> None:  # noqa: N802 - the same
        self.do_GET()

    def _answer(self, status: int, body: bytes, content_type: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        if status == HTTPStatus.OK and gzip_accepted(self.headers.get("Accept-Encoding", "")):
            body = gzip.compress(body, compresslevel=1)
            self.send_header("Content-Encoding", "gzip")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


def _listen(addr: str, port: int, render: _Renderers, answers: Answers) -> _Server:
    if not isinstance(port, int) or isinstance(port, bool) or not 0 <= port <= MAX_PORT:
        raise ValueError(f"port must be a whole number from 0 to {MAX_PORT}, not {port!r}")
    try:
        found = socket.getaddrinfo(addr or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, _, _, _, address = found[0]
        return _Server((str(address[0]), int(address[1])), family, render, answers)
    except OSError as error:
        raise ListenError(addr, port, error.errno, error.strerror) from None
