"""Checks of services, against real servers on the loopback interface."""

import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import trustme

from peak_observe.resilience.health import checks


class Handler(BaseHTTPRequestHandler):
    """Answers `/code` with that code, and a few paths as their names say."""

    def do_GET(self) -> None:
        """Answer."""
        self.server.seen.append(self.headers)
        name = self.path.strip("/").partition("?")[0]
        if name == "hangup":
            return
        if name == "silence":
            self.server.over.wait(60)
            return
        self.send_response(302 if name == "away" else int(name))
        if name == "away":
            self.send_header("Location", "/200")
        self.end_headers()
        self.wfile.write(b'{"status": "ok"}')

    def log_message(self, *args: object) -> None:
        """Say nothing."""


@pytest.fixture
def serve() -> Iterator[Callable]:
    """A function that starts a server, with TLS if it is given a context."""
    servers = []

    def start(context: ssl.SSLContext | None = None) -> ThreadingHTTPServer:
        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        server.seen, server.over = [], threading.Event()
        if context is not None:
            server.socket = context.wrap_socket(server.socket, server_side=True)
        server.url = f"http{'s' if context else ''}://127.0.0.1:{server.server_port}"
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}).start()
        servers.append(server)
        return server

    yield start
    for server in servers:
        server.over.set()
        server.shutdown()
        server.server_close()


@pytest.fixture
def server(serve: Callable) -> ThreadingHTTPServer:
    """A plain server."""
    return serve()


@pytest.mark.parametrize(
    ("path", "settings", "healthy", "message"),
    [
        ("/200", {}, True, "HTTP 200 in "),
        ("/204", {}, True, "HTTP 204 in "),
        ("/away", {}, True, "HTTP 200 in "),
        ("/503", {}, False, "HTTP 503 Service Unavailable"),
        ("/404", {"status": 404}, True, "HTTP 404 in "),
        ("/200", {"status": 201}, False, "HTTP 200 OK instead of 201"),
        ("/200", {"body": '"status": *"ok"'}, True, "HTTP 200 in "),
        ("/200", {"body": "maintenance"}, False, "HTTP 200, but the body does not match 'maintenance'"),
        ("/hangup", {}, False, "no answer: RemoteDisconnected: Remote end closed connection without response"),
    ],
)
def test_answers_are_judged(
    server: ThreadingHTTPServer, path: str, settings: dict, healthy: bool, message: str
) -> None:
    """By status and body; redirects are followed."""
    found = checks.http(server.url + path, **settings)()
    assert found[0] is healthy
    assert found[1].startswith(message)


def test_a_silent_server_is_given_up(server: ThreadingHTTPServer) -> None:
    """After the timeout."""
    healthy, message, _ = checks.http(f"{server.url}/silence", timeout=0.2)()
    assert not healthy
    assert message == "no answer: TimeoutError: timed out"


def test_headers_are_sent_but_not_to_where_it_is_redirected(server: ThreadingHTTPServer) -> None:
    """A key must not go to another host."""
    checks.http(f"{server.url}/away", headers={"API-Key": "S3CRET"})()
    assert [seen["API-Key"] for seen in server.seen] == ["S3CRET", None]
    assert server.seen[0]["User-Agent"].startswith("peak_observe/")


def test_nobody_listens() -> None:
    """The system's reason is told, for HTTP and for TCP."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
        assert checks.http(f"http://127.0.0.1:{port}/")()[:2] == (
            False,
            "no answer: ConnectionRefusedError: [Errno 111] Connection refused",
        )
        found = checks.tcp("127.0.0.1", port)()
        assert found == (False, f"cannot connect to 127.0.0.1:{port}: Connection refused", {})


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    """Who signs the server's certificate."""
    return trustme.CA()


def test_https_is_verified(
    serve: Callable, authority: trustme.CA, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A certificate of somebody unknown is no answer, one of a known authority is."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    url = f"{serve(context).url}/200"
    healthy, message, _ = checks.http(url)()
    assert not healthy
    assert "certificate verify failed" in message
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    assert checks.http(url)()[0], checks.http(url)()


def test_https_to_a_plain_server_is_no_answer(server: ThreadingHTTPServer) -> None:
    """The reason is an error, not a riddle."""
    found = checks.http(server.url.replace("http:", "https:"))()
    assert found[0] is False
    assert found[1].startswith("no answer: SSL")


def test_a_connection_can_be_made(server: ThreadingHTTPServer) -> None:
    """By name or by address."""
    for host in ("127.0.0.1", "localhost"):
        healthy, message, details = checks.tcp(host, server.server_port)()
        assert healthy
        assert message.startswith(f"connected to {host}:{server.server_port} in ")
        assert details["seconds"] >= 0


def test_a_name_that_nobody_has() -> None:
    """The resolver's words are told."""
    healthy, message, _ = checks.tcp("no.such.invalid", 443)()
    assert not healthy
    assert message.startswith("cannot connect to no.such.invalid:443: ")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: checks.http("ftp://x/"), "url must begin with http:// or https:// and a host, not 'ftp://x/'"),
        (lambda: checks.http("http:///x?key=S3CRET"), r"not 'http:///x'"),
        (lambda: checks.http("http://x", body="("), r"body must be a regular expression, not '\('"),
        (lambda: checks.http("http://x", timeout=0), "timeout must be more than 0"),
        (lambda: checks.tcp("x", 0), "port must be a whole number from 1 to 65535, not 0"),
        (lambda: checks.tcp("x", "80"), "port must be"),
        (lambda: checks.tcp("x", True), "port must be"),
        (lambda: checks.tcp("x", 80, timeout=-1), "timeout must be"),
    ],
)
def test_what_makes_no_sense_is_refused(make: Callable, message: str) -> None:
    """When the check is made, without the secrets in it."""
    with pytest.raises(ValueError, match=message):
        make()
