"""Floods of connections against the real exporter: none keeps a scrape out, fills the log or takes descriptors."""

import asyncio
import re
import resource
import socket
import ssl
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import pytest
import trustme

from peak_observe.exporter.logs import QUIET, Repeats
from peak_observe.exporter.web import listener
from peak_observe.telemetry import http_rules
from peak_observe.testing import ManualClock
from tests.exporter.conftest import Running

CLIENTS = 1_100
PATIENCE = 120.0
RESET = struct.pack("ii", 1, 0)


@pytest.fixture(autouse=True, scope="module")
def _descriptors() -> Iterator[None]:
    """Let this process have as many connections as the floods need."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 4 * CLIENTS), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.fixture(params=["plain", "tls"])
def served(request: pytest.FixtureRequest, exporter: Callable, tmp_path: Path) -> tuple[Running, ssl.SSLContext | None]:
    """An exporter, and how its clients speak TLS if it does."""
    if request.param == "plain":
        return exporter(""), None
    ca = trustme.CA()
    issued = ca.issue_cert("127.0.0.1")
    issued.private_key_pem.write_to_path(tmp_path / "key.pem")
    issued.cert_chain_pems[0].write_to_path(tmp_path / "cert.pem")
    (tmp_path / "web.yml").write_text("tls_server_config: {cert_file: cert.pem, key_file: key.pem}\n")
    client = ssl.create_default_context()
    ca.configure_trust(client)
    return exporter("", "--web.config.file", "web.yml"), client


@contextmanager
def connections(port: int, count: int, source: str = "127.0.0.1", sent: bytes = b"") -> Iterator[list[socket.socket]]:
    """Hold connections of one address that have sent something."""
    held: list[socket.socket] = []
    try:
        for _ in range(count):
            held.append(socket.create_connection(("127.0.0.1", port), PATIENCE, (source, 0)))
            held[-1].sendall(sent)
        yield held
    finally:
        for one in held:
            one.close()


def descriptors(running: Running) -> int:
    """Return how many an exporter has open."""
    return len(list(Path(f"/proc/{running.process.pid}/fd").iterdir()))


def scraped(running: Running, tls: ssl.SSLContext | None) -> float:
    """Scrape once, and return the seconds that took."""
    start = time.monotonic()
    assert running.get(tls=tls).status == 200
    return time.monotonic() - start


def test_silent_connections_keep_no_scrape_out(served) -> None:
    """More than a process has descriptors for; TLS is not begun by any of them."""
    running, tls = served
    scraped(running, tls)
    before = running.memory()
    with connections(running.port, CLIENTS):
        assert max(scraped(running, tls) for _ in range(6)) < 5
        assert descriptors(running) < listener.MOST + 256
        assert running.memory() - before < 150 << 20
    assert len(running.log) < 2_000


def test_floods_that_come_again_take_no_more_memory(served) -> None:
    """What a connection held is freed when it ends, and the next flood finds it."""
    running, tls = served
    held = []
    for _ in range(4):
        with connections(running.port, 400):
            scraped(running, tls)
        scraped(running, tls)
        held.append(running.memory())
    assert held[3] - held[0] < 25 << 20  # the second and third of TLS took 30 MiB each


@pytest.mark.parametrize("sent", [b"\x16\x03\x01\x02\x00\x01", b"GET /metrics HTTP/1.1\r\nHost: 127.0.0.1\r\n"])
def test_halves_of_requests_keep_no_scrape_out(served, sent: bytes) -> None:
    """The beginning of a handshake, or of a request, and no more."""
    running, tls = served
    with connections(running.port, CLIENTS, sent=sent):
        assert max(scraped(running, tls) for _ in range(3)) < 5
    assert len(running.log) < 2_000


def test_resets_cost_next_to_nothing(served) -> None:
    """Thousands of them, before and after something was sent; the log stays as it was."""
    running, tls = served
    before = descriptors(running)
    for number in range(3_000):
        with closing(socket.create_connection(("127.0.0.1", running.port), PATIENCE)) as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            if number % 2:
                client.sendall(b"GET /metrics HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
    assert scraped(running, tls) < 5
    deadline = time.monotonic() + PATIENCE
    while descriptors(running) > before + 5:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert len(running.log) < 2_000


def test_one_address_keeps_no_other_out(exporter: Callable, tmp_path: Path) -> None:
    """Though it asks on all of its connections and reads no answer, so that none of them is idle."""
    code = "from peak_observe import circuit_breaker\ndef fine(): return True\n"
    code += "kept = [circuit_breaker(name=f'{n}' + 'x' * 700)(lambda: None) for n in range(300)]\n"
    (tmp_path / "mine.py").write_text(code)
    (tmp_path / "sitecustomize.py").write_text("from peak_observe.exporter.web import listener\nlistener.MOST = 20\n")
    running = exporter('[checks.fine]\nkind = "python"\nfunction = "mine:fine"\n', PYTHONPATH=str(tmp_path))
    running.eventually("299xxx")
    ask = b"GET /metrics HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
    with ExitStack() as stack:
        for _ in range(20):
            client = stack.enter_context(socket.socket())
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
            client.settimeout(PATIENCE)
            client.bind(("127.0.0.2", 0))
            client.connect(("127.0.0.1", running.port))
            client.sendall(ask)
            assert client.recv(12, socket.MSG_WAITALL) == b"HTTP/1.1 200"
        with socket.create_connection(("127.0.0.1", running.port), PATIENCE, ("127.0.0.2", 0)) as one_more:
            assert one_more.recv(1) == b""
        running.logged("20 connections are being answered: new ones are refused")
        assert scraped(running, None) < 10
    assert len(running.log) < 2_000


def test_a_kept_connection_is_served_again_while_others_are_silent(served) -> None:
    """Prometheus' own, between two scrapes: silent ones that never asked make room first."""
    running, tls = served
    if tls is not None:
        return
    with socket.create_connection(("127.0.0.1", running.port), PATIENCE) as kept, kept.makefile("rb") as answers:
        for _ in range(2):
            kept.sendall(b"GET /-/healthy HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
            assert answers.readline() == b"HTTP/1.1 200 OK\r\n"
            while answers.readline() != b"\r\n":
                pass
            assert answers.read(3) == b"OK\n"
            with connections(running.port, CLIENTS):
                scraped(running, None)


def test_used_up_descriptors_are_said_once_a_minute(exporter: Callable) -> None:
    """However often the next accept fails; those who ask for nothing are let go, so a scrape gets through."""
    running = exporter("")
    hard = resource.prlimit(running.process.pid, resource.RLIMIT_NOFILE)[1]
    resource.prlimit(running.process.pid, resource.RLIMIT_NOFILE, (40, hard))
    with connections(running.port, 100):
        running.logged("no connection can be accepted: Too many open files")
        assert scraped(running, None) < PATIENCE
    assert running.log.count("Too many open files") == 1
    assert re.search(r"level=warn .*no connection can be accepted", running.log)


def test_the_limit_leaves_descriptors_in_reserve() -> None:
    """Of the few that a process may have."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard))
        assert listener.limit() == 256 - listener.RESERVE
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert listener.limit() == listener.MOST


@pytest.mark.parametrize(
    ("address", "peer"),
    [
        (("10.0.0.1", 1), "10.0.0.1"),
        (("::ffff:10.0.0.1", 1, 0, 0), "10.0.0.1"),
        (("2001:db8::1", 1, 0, 0), "2001:db8::/64"),
        (("2001:db8::ffff:2", 1, 0, 0), "2001:db8::/64"),
        (("fe80::1%eth0", 1, 0, 2), "fe80::/64"),
    ],
)
def test_a_host_is_one_peer_whichever_address_it_takes(address: tuple, peer: str) -> None:
    """A network of IPv6 has more addresses than anybody can count."""
    assert http_rules.peer_of(address) == peer


def test_a_line_is_written_once_a_minute() -> None:
    """With how many were left out before; kinds are bounded."""
    clock = ManualClock()
    repeats = Repeats(clock)
    assert [repeats.admit("a") for _ in range(4)] == [0, None, None, None]
    assert repeats.admit("b") == 0
    clock.advance(QUIET)
    assert repeats.admit("a") == 3
    for number in range(1_000):
        repeats.admit(str(number))
    assert len(repeats._kinds) <= 64


def test_a_listener_that_is_closed_accepts_no_more() -> None:
    """Nor does it wait for who has not begun."""

    async def main() -> None:
        server = socket.create_server(("127.0.0.1", 0))
        found = listener.Listener([server], lambda: pytest.fail("nobody may be served"), None)
        found.start()
        found.close()
        with socket.create_connection(server.getsockname(), PATIENCE):
            await asyncio.sleep(0.1)
        await found.wait_closed()
        server.close()

    asyncio.run(main())


def test_an_answer_waits_for_no_acknowledgement() -> None:
    """Of its head, which comes before its body: a kept connection had 40 ms of rest at each request."""

    class Noted(asyncio.Protocol):
        """What a connection has set when it begins."""

        begun, answering_since, answered_at = False, None, None
        delays: asyncio.Future[int]

        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            self.begun = True
            accepted = transport.get_extra_info("socket")
            self.delays.set_result(accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
            transport.close()

    async def main() -> int:
        Noted.delays = asyncio.get_running_loop().create_future()
        with socket.create_server(("127.0.0.1", 0)) as server:
            found = listener.Listener([server], Noted, None)
            found.start()
            with socket.create_connection(server.getsockname(), PATIENCE):
                no_delay = await asyncio.wait_for(Noted.delays, PATIENCE)
            found.close()
        return no_delay

    assert asyncio.run(main()) != 0
