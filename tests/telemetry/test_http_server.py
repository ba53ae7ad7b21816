"""The small server of `start_exporter`, as a Prometheus, a browser and a clumsy client meet it."""

import errno
import gc
import gzip
import http.client
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator

import pytest
from prometheus_client import CollectorRegistry, Counter
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

import peak_observe
from peak_observe import CircuitBreaker, ListenError, PeakObserveError, start_exporter
from peak_observe.telemetry.http_server import Exporter
from tests.conftest import free_port

OPENMETRICS = "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5"


@pytest.fixture
def exporter() -> Iterator[Exporter]:
    """A server on a free port."""
    with start_exporter(port=0) as exporter:
        yield exporter


def request(exporter: Exporter, path: str = "/metrics", method: str = "GET", **headers: str) -> tuple:
    """Return status, headers and body of one answer."""
    connection = http.client.HTTPConnection("127.0.0.1", exporter.port, timeout=60)
    try:
        connection.request(method, path, headers={key.replace("_", "-"): value for key, value in headers.items()})
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read()
    finally:
        connection.close()


def test_the_text_format_is_the_default(exporter) -> None:
    """What a browser or curl gets."""
    breaker = CircuitBreaker(name="server.text")
    breaker.call(lambda: None)()
    status, headers, body = request(exporter)
    assert status == 200
    assert headers["Content-Type"].startswith("text/plain; version=")
    assert int(headers["Content-Length"]) == len(body)
    assert b'peak_breaker_calls_total{breaker="server.text",outcome="success"} 1.0\n' in body
    assert list(parse_text(body.decode()))


def test_prometheus_gets_openmetrics(exporter) -> None:
    """Complete with its end mark, so that a cut answer is noticed."""
    _, headers, body = request(exporter, Accept=OPENMETRICS)
    assert headers["Content-Type"].startswith("application/openmetrics-text; version=1.0.0")
    assert body.endswith(b"# EOF\n")
    assert body.count(b"# EOF") == 1
    assert {family.name for family in parse_openmetrics(body.decode())} >= {"peak_breaker_calls"}


@pytest.mark.parametrize("accept", ["", "*/*", "nonsense;;;=", "text/html", "application/openmetrics-text"])
def test_any_accept_header_gets_an_answer(exporter, accept: str) -> None:
    """Whatever a client says it wants."""
    status, _, body = request(exporter, Accept=accept)
    assert status == 200
    assert b"peak_observe_build_info" in body


def test_gzip_is_for_those_who_ask(exporter) -> None:
    """The same bytes, smaller."""
    _, plain, body = request(exporter)
    _, packed, small = request(exporter, Accept_Encoding="gzip")
    assert "Content-Encoding" not in plain
    assert (packed["Content-Encoding"], packed["Vary"], plain["Vary"]) == ("gzip", *["Accept, Accept-Encoding"] * 2)
    assert int(packed["Content-Length"]) == len(small) < len(body)
    assert b"peak_observe_build_info" in gzip.decompress(small)


def test_head_has_no_body(exporter) -> None:
    """Only what the body would be like."""
    status, headers, body = request(exporter, method="HEAD")
    assert (status, body) == (200, b"")
    assert int(headers["Content-Length"]) > 0


@pytest.mark.parametrize("path", ["/-/healthy", "/-/ready"])
def test_health_routes_answer(exporter, path: str) -> None:
    """For load balancers and systemd."""
    status, _, body = request(exporter, path)
    assert (status, body) == (200, b"OK\n")


def test_the_root_leads_to_the_metrics(exporter) -> None:
    """A person who types the address finds the way."""
    _, headers, body = request(exporter, "/")
    assert headers["Content-Type"] == "text/html; charset=utf-8"
    assert b'<a href="/metrics">' in body


def test_a_query_string_does_not_matter(exporter) -> None:
    """Proxies add them."""
    assert request(exporter, "/metrics?x=1")[0] == 200


def test_other_paths_are_not_found(exporter) -> None:
    """And the answer says where the metrics are."""
    status, _, body = request(exporter, "/metric")
    assert (status, body) == (404, b"not found: the metrics are at /metrics\n")


def test_other_methods_are_refused(exporter) -> None:
    """Nothing can be written."""
    assert request(exporter, method="POST")[0] == 501


def test_garbage_does_not_stop_it(exporter) -> None:
    """A client that does not speak HTTP gets an error, the next one its metrics."""
    with socket.create_connection(("127.0.0.1", exporter.port), timeout=60) as client:
        client.sendall(b"\x16\x03\x01garbage\r\n\r\n")
        assert b"400" in client.recv(1000)
    with socket.create_connection(("127.0.0.1", exporter.port), timeout=60):
        pass
    assert request(exporter)[0] == 200


def test_a_silent_client_holds_up_nobody(exporter) -> None:
    """Each connection has a thread of its own."""
    with socket.create_connection(("127.0.0.1", exporter.port), timeout=60) as silent:
        silent.sendall(b"GET /metrics HTTP/1.1\r\n")
        assert request(exporter)[0] == 200


def test_scrapes_at_the_same_time_are_all_whole(exporter) -> None:
    """Two Prometheus servers and a curious person."""
    breaker = CircuitBreaker(name="server.parallel")
    stop = threading.Event()

    def trade() -> None:
        while not stop.is_set():
            breaker.call(lambda: None)()
            time.sleep(0)  # whoever reads the disk for a scrape would wait for the interpreter at each step otherwise

    bodies: list[bytes] = []
    scrapers = [threading.Thread(target=lambda: bodies.append(request(exporter)[2])) for _ in range(8)]
    trader = threading.Thread(target=trade)
    trader.start()
    for scraper in scrapers:
        scraper.start()
    for scraper in scrapers:
        scraper.join()
    stop.set()
    trader.join()
    assert len(bodies) == 8
    for body in bodies:
        assert b"peak_observe_build_info" in body
        values = {
            sample.name: sample.value
            for family in parse_text(body.decode())
            for sample in family.samples
            if sample.labels.get("breaker") == "server.parallel"
            if sample.labels.get("outcome", "success") == "success"
        }
        assert values["peak_breaker_calls_total"] == values["peak_breaker_call_duration_seconds_count"]


def test_the_programs_own_registry_is_served_too() -> None:
    """One port for everything, and ours only once though it is registered there."""
    registry = CollectorRegistry()
    peak_observe.register(registry)
    Counter("orders", "Orders sent.", registry=registry).inc(3)
    with start_exporter(port=0, registry=registry) as exporter:
        _, _, text = request(exporter)
        _, _, openmetrics = request(exporter, Accept=OPENMETRICS)
    for body in (text, openmetrics):
        assert b"orders_total 3.0\n" in body
        assert body.count(b"# TYPE peak_breaker_state gauge\n") == 1
    assert openmetrics.endswith(b"# EOF\n")
    assert openmetrics.count(b"# EOF") == 1


def test_a_registry_that_fails_does_not_take_ours_along() -> None:
    """Its scrape fails as a whole, as half the truth would look like all of it; the server stays."""

    class Broken:
        def collect(self) -> list:
            raise RuntimeError("secret in the message")

    registry = CollectorRegistry(auto_describe=False)
    registry.register(Broken())
    with start_exporter(port=0, registry=registry) as exporter:
        status, _, body = request(exporter)
        assert status == 500
        assert b"secret" not in body
        assert request(exporter, "/-/healthy")[0] == 200


def test_a_taken_port_is_one_clear_error(exporter) -> None:
    """With the address, the mend, and an exit code for the command line."""
    with pytest.raises(ListenError, match=f"127.0.0.1:{exporter.port}: Address already in use") as caught:
        start_exporter(port=exporter.port)
    assert isinstance(caught.value, PeakObserveError)
    assert (caught.value.addr, caught.value.port) == ("127.0.0.1", exporter.port)
    assert caught.value.errno == errno.EADDRINUSE


@pytest.mark.parametrize("port", [-1, 65536, "80", 1.5, True])
def test_a_port_that_is_none_is_refused(port) -> None:
    """Before anything is opened."""
    with pytest.raises(ValueError, match=r"port must be a whole number from 0 to 65535, not"):
        start_exporter(port=port)


def test_an_address_that_is_not_ours_is_one_clear_error() -> None:
    """Neither a name nobody knows nor a foreign address ends in a riddle."""
    with pytest.raises(ListenError, match=r"cannot listen on 192\.0\.2\.1:0"):
        start_exporter(port=0, addr="192.0.2.1")
    with pytest.raises(ListenError, match=r"cannot listen on no\.such\.invalid:0"):
        start_exporter(port=0, addr="no.such.invalid")
    with pytest.raises(ListenError, match="there is no such host"):
        start_exporter(port=0, addr="a" * 64)


@pytest.mark.parametrize("addr", [None, 5, b"127.0.0.1"])
def test_an_address_that_is_no_text_is_refused(addr: object) -> None:
    """Before anything is opened: None left a server behind that nobody could close."""
    before = threading.active_count()
    with pytest.raises(ValueError, match=r"addr must be text such as '127\.0\.0\.1'"):
        start_exporter(0, addr)
    assert threading.active_count() == before


def test_closing_frees_the_port() -> None:
    """At once, and twice is fine."""
    exporter = start_exporter(port=0)
    exporter.close()
    exporter.close()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", exporter.port), timeout=60)
    with start_exporter(port=exporter.port) as again:
        assert request(again)[0] == 200


def test_it_leaves_no_thread_behind() -> None:
    """After closing."""
    before = set(threading.enumerate())
    with start_exporter(port=0):
        (mine,) = set(threading.enumerate()) - before
        assert mine.name == "peak-observe-exporter"
    assert not mine.is_alive()


def test_without_a_thread_to_give_it_leaves_no_socket(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where it asked for a port by number, the next start gets that."""

    def refused(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refused)
        with pytest.raises(RuntimeError, match="new thread"):
            start_exporter(port := free_port())
        gc.collect()  # a socket that was left would be a ResourceWarning, which is an error
    with start_exporter(port) as exporter:
        assert exporter.port == port


def test_the_url_can_be_opened() -> None:
    """Also for IPv6 and for all interfaces."""
    with start_exporter(port=0, addr="::1") as exporter:
        assert exporter.url == f"http://[::1]:{exporter.port}/metrics"
        assert urllib.request.urlopen(exporter.url, timeout=60).status == 200
    for everywhere in ("", "0.0.0.0"):  # noqa: S104 - this is what is tested
        with start_exporter(port=0, addr=everywhere) as exporter:
            assert urllib.request.urlopen(exporter.url, timeout=60).status == 200
    with start_exporter(port=0, addr="localhost") as exporter:
        assert urllib.request.urlopen(exporter.url, timeout=60).status == 200


@pytest.mark.parametrize(("error", "lines"), [(BrokenPipeError, 0), (RuntimeError, 1)])
def test_a_request_that_fails_leaves_the_programs_output_clean(capfd, caplog, error, lines) -> None:
    """A client that has gone away is no news; anything else is a line in the log."""

    def fail(_: str) -> None:
        raise error("gone")

    with Exporter(0, "127.0.0.1", answers=fail) as exporter, pytest.raises((OSError, http.client.HTTPException)):
        request(exporter, "/somewhere")
    assert len(caplog.records) == lines
    assert capfd.readouterr().err == ""


def test_it_never_keeps_the_program_from_ending() -> None:
    """Also while a client is connected and silent."""
    code = """
import socket
import subprocess
import sys
from peak_observe import start_exporter
exporter = start_exporter(port=0)
client = socket.create_connection(("127.0.0.1", exporter.port))
client.sendall(b"GET /metrics HTTP/1.1\\r\\n")
print("the end")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "the end\n"
