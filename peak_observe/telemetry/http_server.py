"""Small HTTP server in a background thread for the metrics and the health of this process."""

from __future__ import annotations

import gzip
import socket
import threading
from collections.abc import Callable, Collection, Mapping
from http import HTTPStatus
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple, Self
from urllib.parse import parse_qs, urlsplit

from prometheus_client.exposition import choose_encoder

from peak_observe._version import __version__
from peak_observe.errors import ListenError
from peak_observe.support.loggers import logger
from peak_observe.support.shown import shown
from peak_observe.telemetry import http_rules
from peak_observe.telemetry.bounded_server import BoundedHandler, BoundedServer
from peak_observe.telemetry.metrics.collector import PeakCollector
from peak_observe.telemetry.metrics.renderer import Renderer
from peak_observe.telemetry.metrics.text_format import is_chosen
from peak_observe.telemetry.snapshot import writer

if TYPE_CHECKING:
    from types import TracebackType

    from prometheus_client.metrics_core import Metric
    from prometheus_client.registry import CollectorRegistry

    from peak_observe.telemetry.basic_auth import Passwords
    from peak_observe.telemetry.server_tls import RenewedContext

INDEX = (
    "<!doctype html><title>peak_observe</title><h1>peak_observe</h1>"
    '<p>The metrics of this process: <a href="/metrics">/metrics</a></p>'
    '<p>Its health: <a href="/readyz?verbose">/readyz</a>, <a href="/health">/health</a></p>'
)
OM_END = b"# EOF\n"
MAX_PORT = 65535
FIELDS = 100
"""Fields of a query that are looked at."""
HANDSHAKE = 5.0
"""Seconds for each step of a client's handshake; its connection has a deadline beside."""
NO_HEADERS: Mapping[str, str] = MappingProxyType({})
CHALLENGE = {"WWW-Authenticate": 'Basic realm="peak_observe"'}

Answers = Callable[[str], "tuple[int, bytes, str] | None"]
"""Takes a request's target; returns status, body and content type, or None for a path that it does not know."""


class Access(NamedTuple):
    """TLS and password of a server.

    Args:
        tls: The certificate; None for plain HTTP.
        passwords: Who may ask; None for everybody.
        hosts: Further names of this host, by which a plain server may be asked.
    """

    tls: RenewedContext | None = None
    passwords: Passwords | None = None
    hosts: tuple[str, ...] = ()

    @property
    def open(self) -> bool:
        """Return whether anybody may ask in plain HTTP."""
        return self.tls is None and self.passwords is None


class Exporter:
    """Server of this process's metrics until it is closed; also a context manager.

    Args:
        port: The port; 0 picks a free one.
        addr: The address to listen on.
        registry: A registry whose metrics follow ours.
        answers: What answers paths that this server does not know itself.
        access: How it speaks TLS, and who may ask.

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
        access: Access | None = None,
    ) -> None:
        access = access or Access()
        self._server = _listen(addr, port, _Renderers(registry), answers, access)
        self._scheme = "http" if access.tls is None else "https"
        self.addr = addr
        self.port: int = self._server.server_address[1]
        self._thread = threading.Thread(
            target=self._server.serve_until_closed,
            name="peak-observe-exporter",
            daemon=True,
        )
        try:
            self._thread.start()
        except RuntimeError:  # the system has no thread to give, or the program is ending
            self._server.server_close()
            raise
        # A Prometheus that finds this address would come without a password and a certificate.
        writer.serving(self._address if access.open else "")

    @property
    def _address(self) -> str:
        return self.url.partition("://")[2].removesuffix("/metrics")

    @property
    def url(self) -> str:
        """The address of the metrics."""
        host = "127.0.0.1" if self.addr in ("", "0.0.0.0") else self.addr  # noqa: S104 - a comparison, no binding
        return f"{self._scheme}://{f'[{host}]' if ':' in host else host}:{self.port}/metrics"

    @property
    def alive(self) -> bool:
        """Whether it serves: it was not closed, and this is the process that started it."""
        return self._thread.is_alive()

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

    def __call__(self, accept: str, names: Collection[str] = ()) -> tuple[bytes, str]:
        encode, content_type = choose_encoder(http_rules.accepted_exposition(accept))
        openmetrics = content_type.startswith("application/openmetrics-text")
        with self._lock:
            body = self._own.render(openmetrics=openmetrics, names=names)
        if self._registry is not None:
            return body + encode(_Foreign(self._registry, names)), content_type
        return body + (OM_END if openmetrics else b""), content_type


class _Foreign:
    """View of a registry without our collector, should it be registered there too, and of chosen families only."""

    def __init__(self, registry: CollectorRegistry, names: Collection[str]) -> None:
        self._registry = registry
        self._names = names

    def collect(self) -> list[Metric]:
        ours = {metric.name for metric in PeakCollector().describe()}
        found = [metric for metric in self._registry.collect() if metric.name not in ours]
        return [metric for metric in found if is_chosen(metric.name, metric.type, self._names)]


class _Server(BoundedServer):
    def __init__(
        self,
        address: tuple[str, int],
        family: int,
        render: _Renderers,
        answers: Answers,
        access: Access,
    ) -> None:
        self.render = render
        self.answers = answers
        self.access = access
        super().__init__(address, family, _Handler)

    def get_request(self) -> tuple[socket.socket, Any]:
        """Accept a connection; the handshake of TLS is made by its thread, within its deadline."""
        connection, address = super().get_request()
        tls = self.access.tls
        if tls is None:
            return connection, address
        try:
            return tls.current().wrap_socket(connection, server_side=True, do_handshake_on_connect=False), address
        except BaseException:
            connection.close()
            raise


class _Handler(BoundedHandler):
    server: _Server
    server_version = f"peak_observe/{__version__}"
    sys_version = ""

    def setup(self) -> None:
        """Make the handshake where TLS is spoken, before anything is read."""
        if self.server.access.tls is not None:
            self.request.settimeout(HANDSHAKE)
            self.request.do_handshake()
        super().setup()

    def do_GET(self) -> None:  # noqa: N802 - the name is the base class's
        refusal = self._refusal()
        if refusal is not None:
            self._answer(refusal[0], f"{refusal[1]}\n".encode(), "text/plain; charset=utf-8")
            return
        passwords = self.server.access.passwords
        if passwords is not None and not passwords.right(self.headers.get_all("Authorization", [])):
            self._answer(HTTPStatus.UNAUTHORIZED, b"Unauthorized\n", "text/plain; charset=utf-8", CHALLENGE)
            return
        try:
            path, query = urlsplit(self.path)[2:4]
        except ValueError:  # such as `GET http://[`
            self._answer(HTTPStatus.BAD_REQUEST, b"bad request: the target is no URL\n", "text/plain; charset=utf-8")
            return
        if path == "/metrics":
            self._answer(*self._metrics(query))
        elif path in ("/-/healthy", "/-/ready"):
            self._answer(HTTPStatus.OK, b"OK\n", "text/plain; charset=utf-8")
        elif path == "/":
            self._answer(HTTPStatus.OK, INDEX.encode(), "text/html; charset=utf-8")
        else:
            missing = (HTTPStatus.NOT_FOUND, b"not found: the metrics are at /metrics\n", "text/plain; charset=utf-8")
            self._answer(*(self.server.answers(self.path) or missing))

    def _refusal(self) -> tuple[HTTPStatus, str] | None:
        lengths, encodings = (self.headers.get_all(name, []) for name in ("Content-Length", "Transfer-Encoding"))
        problem = http_rules.framing_problem(lengths, encodings)
        if problem:
            return HTTPStatus.BAD_REQUEST, f"bad request: {problem}"
        access = self.server.access
        headers = {name.lower(): value for name, value in self.headers.items()}
        foreign = http_rules.foreign_page(headers, access.hosts if access.open else None)
        return (HTTPStatus.FORBIDDEN, foreign) if foreign else None

    def _metrics(self, query: str) -> tuple[HTTPStatus, bytes, str]:
        try:
            names = parse_qs(query, max_num_fields=FIELDS).get("name[]", [])
        except ValueError:
            body = f"the query has more than {FIELDS} fields\n".encode()
            return HTTPStatus.BAD_REQUEST, body, "text/plain; charset=utf-8"
        try:
            return HTTPStatus.OK, *self.server.render(", ".join(self.headers.get_all("Accept", [])), frozenset(names))
        except Exception:  # noqa: BLE001 - it is logged with its traceback, and the client gets an error
            # A collector of the user's registry, as a rule. Half of the metrics would look like all of them.
            logger("peak_observe.exporter").exception("the metrics could not be read")
            body = b"the metrics could not be read: the log of this process tells why\n"
            return HTTPStatus.INTERNAL_SERVER_ERROR, body, "text/plain; charset=utf-8"

    def do_HEAD(self) -> None:  # noqa: N802 - the same
        self.do_GET()

    def _answer(self, status: int, body: bytes, content_type: str, headers: Mapping[str, str] = NO_HEADERS) -> None:
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("X-Content-Type-Options", "nosniff")
        self.send_header("Vary", "Accept, Accept-Encoding")
        if status == HTTPStatus.OK and http_rules.accepts_gzip(", ".join(self.headers.get_all("Accept-Encoding", []))):
            body = gzip.compress(body, compresslevel=1)
            self.send_header("Content-Encoding", "gzip")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


def _listen(addr: str, port: int, render: _Renderers, answers: Answers, access: Access) -> _Server:
    if not isinstance(port, int) or isinstance(port, bool) or not 0 <= port <= MAX_PORT:
        raise ValueError(f"port must be a whole number from 0 to {MAX_PORT}, not {port!r}")
    if not isinstance(addr, str):
        raise ValueError(f"addr must be text such as '127.0.0.1', or '' for all addresses, not {shown(addr)}")  # noqa: TRY004 - as for all settings
    try:
        found = socket.getaddrinfo(addr or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, _, _, _, address = found[0]
        return _Server((str(address[0]), int(address[1])), family, render, answers, access)
    except OSError as error:
        raise ListenError(addr, port, error.errno, error.strerror) from None
    except UnicodeError:
        raise ListenError(addr, port, None, "there is no such host") from None
