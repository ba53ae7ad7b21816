"""A collector on the loopback that takes OTLP over HTTP and decodes it."""

import gzip
import threading
from collections.abc import Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest


class Sink(ThreadingHTTPServer):
    """Server that keeps what it was sent.

    `refusing` makes it answer 400, `silence` not at all, and `answer` with a status, headers and a body.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.requests: list[ExportMetricsServiceRequest] = []
        self.refusing = False
        self.silence: threading.Event | None = None
        self.answer: tuple[int, dict[str, str], bytes] = (200, {}, b"")
        self.headers: list[dict[str, str]] = []

    @property
    def url(self) -> str:
        """Where to send metrics."""
        return f"http://127.0.0.1:{self.server_address[1]}/v1/metrics"

    @property
    def resource(self) -> dict[str, str]:
        """The resource of the last request."""
        attributes = self.requests[-1].resource_metrics[0].resource.attributes
        return {one.key: one.value.string_value for one in attributes}

    def metrics(self) -> dict:
        """The metrics of the last request by name."""
        scopes = [scope for found in self.requests[-1].resource_metrics for scope in found.scope_metrics]
        found = [metric for scope in scopes if scope.scope.name == "peak_observe" for metric in scope.metrics]
        assert len({metric.name for metric in found}) == len(found), "a metric was sent twice"
        return {metric.name: metric for metric in found}


class Handler(BaseHTTPRequestHandler):
    """Answers of the sink."""

    server: Sink

    def do_POST(self) -> None:
        """Take one export."""
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        if self.server.silence:
            self.server.silence.wait(60)
        self.server.headers.append(dict(self.headers))
        self.server.requests.append(ExportMetricsServiceRequest.FromString(body))
        status, headers, body = self.server.answer
        self.send_response(400 if self.server.refusing else status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        with suppress(ConnectionError):  # who asked may have ended by now
            self.end_headers()
            self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Keep quiet."""


@pytest.fixture
def sink() -> Iterator[Sink]:
    """The collector."""
    server = Sink()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    if server.silence:
        server.silence.set()
    server.shutdown()
    thread.join()
    server.server_close()
