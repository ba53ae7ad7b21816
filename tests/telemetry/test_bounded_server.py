"""The server that a trading program carries: slow, silent and malformed clients cost it next to nothing."""

import http.client
import os
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from peak_observe import start_exporter
from peak_observe.telemetry import bounded_server
from peak_observe.telemetry.http_server import Exporter


@pytest.fixture
def exporter() -> Iterator[Exporter]:
    """A server on a free port."""
    with start_exporter(port=0) as exporter:
        yield exporter


def scraped(exporter: Exporter) -> int:
    """Return the status of one scrape."""
    # Tests before this one have left thousands of names, and a run with coverage takes long to tell of them.
    connection = http.client.HTTPConnection("127.0.0.1", exporter.port, timeout=60)
    try:
        connection.request("GET", "/metrics")
        return connection.getresponse().status
    finally:
        connection.close()


@pytest.fixture
def connected() -> Iterator[Callable[..., socket.socket]]:
    """Make clients that have sent something and wait; they are closed at the end."""
    clients: list[socket.socket] = []

    def connect(exporter: Exporter, sent: bytes = b"") -> socket.socket:
        clients.append(socket.create_connection(("127.0.0.1", exporter.port), timeout=60))
        clients[-1].sendall(sent)
        return clients[-1]

    yield connect
    for client in clients:
        client.close()


def is_closed(client: socket.socket) -> bool:
    """Return whether the server ends the connection without an answer within half a minute."""
    readable, _, _ = select.select([client], [], [], 30)
    try:
        return bool(readable) and client.recv(1) == b""
    except ConnectionResetError:
        return True


def handlers() -> int:
    """Return how many threads serve a connection."""
    return sum("process_request_thread" in thread.name for thread in threading.enumerate())


def test_silent_clients_make_room_for_a_scrape(exporter, connected) -> None:
    """However many connect: the oldest that has not asked goes first, and descriptors stay bounded."""
    clients = [connected(exporter, b"GET /metrics HTTP/1.1\r\n") for _ in range(100)]
    assert scraped(exporter) == 200
    assert is_closed(clients[0])
    ends = time.monotonic() + 60
    while handlers() > bounded_server.MAX_CONNECTIONS and time.monotonic() < ends:
        time.sleep(0.01)  # those that were closed are ending
    assert handlers() <= bounded_server.MAX_CONNECTIONS


def test_a_client_that_asked_is_not_driven_out(exporter, connected, monkeypatch) -> None:
    """Where all have asked, the newcomer is closed."""
    monkeypatch.setattr(bounded_server, "MAX_CONNECTIONS", 1)
    release, asked = threading.Event(), threading.Event()

    def slow(_: str) -> None:
        asked.set()
        release.wait(60)

    exporter._server.answers = slow
    client = connected(exporter, b"GET /slow HTTP/1.0\r\n\r\n")
    assert asked.wait(60)
    assert is_closed(connected(exporter))
    release.set()
    assert client.recv(12) == b"HTTP/1.0 404"


def test_one_deadline_holds_for_all_of_a_request(connected, monkeypatch) -> None:
    """A byte now and then does not extend it."""
    monkeypatch.setattr(bounded_server, "DEADLINE", 0.3)
    with start_exporter(port=0) as exporter:
        client = connected(exporter, b"GET /metrics HTTP/1.1\r\n")
        began = time.monotonic()
        with pytest.raises(OSError, match=r"reset|Broken pipe"):
            while time.monotonic() - began < 10:
                client.sendall(b"x")
                time.sleep(0.05)
        assert time.monotonic() - began < 5


@pytest.mark.parametrize("target", [b"http://[", b"http://[::1"])
def test_a_target_that_is_no_url_is_a_bad_request(exporter, connected, target: bytes, capfd, caplog) -> None:
    """It is answered with 400 and leaves no traceback in the program's log."""
    client = connected(exporter, b"GET " + target + b" HTTP/1.0\r\n\r\n")
    assert client.recv(12) == b"HTTP/1.0 400"
    assert (capfd.readouterr().err, caplog.messages) == ("", [])


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"\x16\x03\x01\x02\x00\x01garbage\r\n\r\n", 400),
        (b"\r\n\r\n", 400),
        (b"GET\r\n\r\n", 400),
        (b"GET / FOO\r\n\r\n", 400),
        (b"GET / HTTP/a.b\r\n\r\n", 400),
        (b"GET / HTTP/9.9\r\n\r\n", 505),
        (b"GET / HTTP/1.1\r\nno colon\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost : x\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nContent-Length: x\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nA: " + b"b" * 70_000 + b"\r\n\r\n", 431),
        (b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 200 + b"\r\n", 431),
        (b"GET /" + b"a" * 70_000 + b" HTTP/1.1\r\n\r\n", 414),
        (b"GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n", 403),
        (b"GET / HTTP/1.1\r\nSec-Fetch-Site: cross-site\r\n\r\n", 403),
        (b"BREW / HTTP/1.1\r\n\r\n", 501),
    ],
)
def test_a_malformed_request_gets_a_status(exporter, connected, request_: bytes, status: int, capfd, caplog) -> None:
    """And costs nothing: no traceback, no line in the program's log."""
    client = connected(exporter, request_)
    assert client.recv(12, socket.MSG_WAITALL) == b"HTTP/1.0 %d" % status
    assert scraped(exporter) == 200
    assert (caplog.records, capfd.readouterr()) == ([], ("", ""))


def test_one_address_keeps_no_other_out(exporter, connected) -> None:
    """Though it has asked on all connections and reads no answer."""
    held = []
    for _ in range(bounded_server.MAX_CONNECTIONS):
        client = socket.socket()
        client.bind(("127.0.0.2", 0))
        client.connect(("127.0.0.1", exporter.port))
        held.append(client)
    kept = list(exporter._server._connections.values())
    deadline = time.monotonic() + 60
    while len(kept) < bounded_server.MAX_CONNECTIONS and time.monotonic() < deadline:
        kept = list(exporter._server._connections.values())
    for known in kept:
        known.requested = True  # as after a request whose answer nobody reads
    assert scraped(exporter) == 200
    for client in held:
        client.close()


STARTED = """
import http.client, sys
import peak_observe
exporter = peak_observe.start_exporter(port=0)
before = set(sys.modules)
client = http.client.HTTPConnection("127.0.0.1", exporter.port, timeout=60)
loaded = set(sys.modules)
for accept in ("", "application/openmetrics-text;version=1.0.0", "text/plain;version=1.0.0"):
    for path in ("/metrics", "/metrics?name[]=x", "/readyz?verbose", "/health", "/", "/nope"):
        client.request("GET", path, headers={"Accept": accept, "Accept-Encoding": "gzip"})
        client.getresponse().read()
        client.close()
print(sorted(set(sys.modules) - loaded))
"""


def test_everything_is_imported_at_the_start() -> None:
    """No request imports anything, in a program that may have no descriptor left or changed its folder."""
    done = subprocess.run([sys.executable, "-c", STARTED], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "[]"


def test_an_idle_server_does_not_wake_up(exporter) -> None:
    """The accept loop sleeps without a time limit while nobody is connected."""
    assert scraped(exporter) == 200
    ends = time.monotonic() + 60
    while exporter._server._next_deadline() is not None and time.monotonic() < ends:
        time.sleep(0.01)
    assert exporter._server._next_deadline() is None


FORKED = """
import os, sys, time, peak_observe
exporter = peak_observe.start_exporter(port=0)
reader, writer = os.pipe()
child = os.fork()
if child == 0:
    os.write(writer, b"x")  # the program goes on once the fork is complete
    time.sleep(60)
    os._exit(0)
os.read(reader, 1)
print(exporter.port, child, flush=True)
time.sleep(60)
"""


def test_a_forked_child_does_not_keep_the_port() -> None:
    """A dead parent refuses connections, and its next life gets the port while the child still runs."""
    program = subprocess.Popen([sys.executable, "-W", "ignore", "-c", FORKED], stdout=subprocess.PIPE, text=True)
    port, child = map(int, program.stdout.readline().split())
    try:
        program.kill()
        program.wait()
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port), timeout=60)
        with start_exporter(port=port) as exporter:
            assert scraped(exporter) == 200
    finally:
        os.kill(child, signal.SIGKILL)
        program.stdout.close()


def test_a_child_may_serve_on_its_own() -> None:
    """Closing what it inherited does no harm, and a server of its own works."""
    code = """
import os, urllib.request, peak_observe
with peak_observe.start_exporter(port=0) as inherited:
    child = os.fork()
    if child == 0:
        inherited.close()
        with peak_observe.start_exporter(port=0) as own:
            status = urllib.request.urlopen(own.url, timeout=60).status
        os._exit(0 if status == 200 else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert urllib.request.urlopen(inherited.url, timeout=60).status == 200
"""
    subprocess.run([sys.executable, "-W", "ignore", "-c", code], check=True, timeout=60)
