"""The exporter as Prometheus, a browser, a probe and an owner meet it: a real process on a real port."""

import base64
import gzip
import http.client
import json
import re
import signal
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import bcrypt
import pytest
import trustme
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from tests.conftest import lint

OPENMETRICS = "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5"
PATIENCE = 120.0
CONFIG = """
[files.dumps]
glob = "dumps/*.dump"
max_age = 90000

[repositories.gone]
path = "gone"

[checks.sound]
kind = "python"
function = "mine:sound"

[checks.sick]
kind = "python"
function = "mine:sick"
critical = false
"""
MINE = """
import time
from peak_observe import circuit_breaker

@circuit_breaker(name="mine")
def sound():
    return True, "feels well"

def sick():
    return False, "feels sick"

def hang():
    time.sleep(600)
"""


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory, serving: Callable) -> Iterator:
    """An exporter that watches a bit of everything."""
    folder = tmp_path_factory.mktemp("exporter")
    (folder / "mine.py").write_text(MINE)
    (folder / "dumps").mkdir()
    (folder / "dumps" / "a.dump").write_text("x")
    with serving(folder, CONFIG) as found:
        found.eventually('peak_health_check_runs_total{check="sick",outcome="unhealthy"} 1.0')
        found.eventually('peak_exporter_source_up{source="files.dumps"} 1.0')
        yield found


def test_the_text_format_is_the_default(running) -> None:
    """What a browser or curl gets, whole."""
    answer = running.get()
    assert answer.status == 200
    assert answer.headers["Content-Type"].startswith("text/plain; version=")
    assert int(answer.headers["Content-Length"]) == len(answer.body)
    families = {family.name: family for family in parse_text(answer.text)}
    assert families["peak_backup_age_seconds"].samples[0].labels == {"kind": "file", "repository": "dumps"}
    assert families["peak_breaker_calls"].samples[0].labels == {"breaker": "mine", "outcome": "success"}
    assert families["peak_observe_build_info"].samples[0].value == 1


def test_prometheus_gets_openmetrics(running) -> None:
    """Complete with its end mark, so that a cut answer is noticed."""
    answer = running.get(Accept=OPENMETRICS)
    assert answer.headers["Content-Type"].startswith("application/openmetrics-text; version=1.0.0")
    assert answer.text.endswith("# EOF\n")
    assert {family.name for family in parse_openmetrics(answer.text)} >= {
        "peak_exporter_source_runs",
        "peak_backup_age_seconds",
    }


def test_promtool_has_nothing_to_say(running) -> None:
    """About all that is served."""
    assert lint(running.get().body) == ""


def test_gzip_is_for_those_who_ask(running) -> None:
    """In both formats, and it is the same."""
    for accept in ("", OPENMETRICS):
        answer = running.get(Accept=accept, Accept_Encoding="gzip")
        assert answer.headers["Content-Encoding"] == "gzip"
        assert int(answer.headers["Content-Length"]) == len(answer.body)
        assert b"peak_exporter_time_seconds" in gzip.decompress(answer.body)
    assert running.get().headers["Content-Encoding"] is None


def names(text: str) -> set[str]:
    """Return the families of an answer."""
    return {family.name for family in parse_text(text)}


def test_filters_by_name_and_source(running) -> None:
    """Also together, and several; nobody's name gives nothing."""
    assert names(running.get("/metrics?name[]=peak_exporter_time_seconds").text) == {"peak_exporter_time_seconds"}
    both = running.get("/metrics?name[]=peak_exporter_source_up&name[]=peak_health_check_runs_total").text
    assert names(both) == {"peak_exporter_source_up", "peak_health_check_runs"}
    files = running.get("/metrics?source%5B%5D=files.dumps").text
    assert names(files) == {
        *(name for name in names(running.get().text) if name.startswith("peak_backup_")),
        *(name for name in names(running.get().text) if name.startswith("peak_exporter_source_")),
    }
    assert 'source="checks"' not in files
    one = running.get("/metrics?source[]=files.dumps&name[]=peak_backup_stored", Accept_Encoding="gzip")
    assert names(gzip.decompress(one.body).decode()) == {"peak_backup_stored"}
    assert running.get("/metrics?name[]=nonsense").body == b""
    assert running.get("/metrics?name[]=nonsense", Accept=OPENMETRICS).body == b"# EOF\n"


def test_a_source_that_is_none_is_said(running) -> None:
    """With what was probably meant, as an empty answer would look like a source with nothing to tell."""
    answer = running.get("/metrics?source[]=file.dumps")
    assert answer.status == 400
    assert answer.text.startswith("there is no source 'file.dumps'; did you mean 'files.dumps'?; there are exporter, ")
    assert running.get("/metrics?" + "&".join(["name[]=x"] * 1001)).status == 400


def test_sources_are_told_apart(running) -> None:
    """One that is broken has its reason in the log, and the others are as they were."""
    assert running.value('peak_exporter_source_up{source="repositories.gone"}') == 0
    assert running.value('peak_exporter_source_runs_total{outcome="error",source="repositories.gone"}') >= 1
    assert running.value('peak_exporter_source_last_success_timestamp_seconds{source="repositories.gone"}') == 0
    assert running.value('peak_exporter_source_last_success_timestamp_seconds{source="files.dumps"}') > 1e9
    assert "source repositories.gone: FileNotFoundError" in running.log


def test_it_says_what_it_watches(running) -> None:
    """In the log, at its start."""
    for about in ("this process", "files dumps/*.dump", "backups in gone", "check sound", "check sick"):
        assert f'msg="watching {about}"' in running.log


def test_the_clock_and_the_configuration(running) -> None:
    """For the alerts on both."""
    assert abs(running.value("peak_exporter_time_seconds") - time.time()) < PATIENCE
    assert running.value("peak_exporter_config_reload_success") == 1
    assert 0 <= time.time() - running.value("peak_exporter_config_last_reload_timestamp_seconds") < 600


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/-/healthy", "OK\n"),
        ("/-/ready", "OK\n"),
        ("/livez", "ok\n"),
        ("/readyz", "ok\n"),
        ("/healthz", "ok\n"),
        ("/startupz", "ok\n"),
        ("/sd", "[]"),
        (
            "/readyz?verbose",
            "[+]sound ok: feels well\n[~]sick failed: feels sick\nreadyz check passed\n",
        ),
    ],
)
def test_probes(running, path: str, body: str) -> None:
    """What Kubernetes, a load balancer and Prometheus' service discovery ask for."""
    answer = running.get(path)
    assert (answer.status, answer.text) == (200, body)
    head = running.get(path, "HEAD")
    assert (head.status, head.body, head.headers["Content-Length"]) == (200, b"", str(len(body)))


def test_a_tag_that_no_check_has_is_not_found(running) -> None:
    """Instead of an answer for all."""
    answer = running.get("/readyz?verbose&tag=trade")
    assert (answer.status, answer.text) == (404, "no check has the tag 'trade'\n")


def test_health_is_degraded(running) -> None:
    """In the form application/health+json."""
    answer = running.get("/health")
    assert answer.headers["Content-Type"] == "application/health+json"
    assert json.loads(answer.body)["status"] == "warn"


def test_head_tells_of_the_metrics(running) -> None:
    """Without sending them."""
    answer = running.get(method="HEAD")
    assert (answer.status, answer.body) == (200, b"")
    assert int(answer.headers["Content-Length"]) > 0


@pytest.mark.parametrize("host", ["[", "a/b?c", "", "x" * 5000, "localhost", "127.0.0.1:1", "[::1]"])
def test_what_a_client_says_our_name_is(running, host: str) -> None:
    """Does not matter, as long as it is not a name that somebody else may have."""
    assert names(running.get("/metrics?name[]=peak_exporter_time_seconds", Host=host).text) == {
        "peak_exporter_time_seconds"
    }
    for path in ("/readyz", "/", "/sd"):
        assert running.get(path, Host=host).status == 200
    missing = running.get("/metrics/", Host=host)
    assert (missing.status, missing.headers["Location"]) == (404, None)


@pytest.mark.parametrize("path", ["/metrics", "/", "/sd", "/readyz", "/-/healthy", "/nonsense"])
@pytest.mark.parametrize("header", [{"Host": "evil.example"}, {"Sec_Fetch_Site": "cross-site"}], ids=["host", "site"])
def test_a_foreign_web_page_reads_nothing(running, path: str, header: dict[str, str]) -> None:
    """Neither by a name that it gave our address, nor across sites."""
    answer = running.get(path, **header)
    assert answer.status == 403
    assert "peak_" not in answer.text


def test_a_public_name_can_be_allowed(exporter: Callable, tmp_path: Path) -> None:
    """By an option; a password or a certificate makes it needless."""
    running = exporter("", "--web.allowed-host", "bots.example.com", "--web.allowed-host", "other.example.com")
    assert running.get(Host="bots.example.com:17325").status == 200
    assert running.get(Host="evil.example").status == 403


@pytest.mark.parametrize(
    "head",
    [
        b"Content-Length: 5\r\nTransfer-Encoding: chunked",
        b"Transfer-Encoding: chunked\r\nContent-Length: 5",
        b"Content-Length: 5\r\nContent-Length: 6",
        b"Content-Length: x",
        b"Transfer-Encoding: gzip, chunked",
    ],
)
def test_a_request_whose_length_is_in_doubt_is_malformed(running, head: bytes) -> None:
    """And the connection ends: what follows may be somebody else's request."""
    with socket.create_connection(("127.0.0.1", running.port), timeout=PATIENCE) as client:
        request = (
            b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n"
            + head
            + b"\r\n\r\n0\r\n\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n"
        )
        client.sendall(request)
        received = b""
        while chunk := client.recv(65_536):
            received += chunk
    assert received.count(b"HTTP/1.1 ") == 1
    assert re.match(rb"HTTP/1.1 (400|501) ", received)


def test_a_client_that_only_reads_on_gets_all_its_answers(running) -> None:
    """It ended its own side after two requests, as netcat does."""
    with socket.create_connection(("127.0.0.1", running.port), timeout=PATIENCE) as client:
        client.sendall(
            b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\nGET /-/healthy HTTP/1.1\r\nHost: localhost\r\n\r\n"
        )
        client.shutdown(socket.SHUT_WR)
        received = b""
        while chunk := client.recv(65_536):  # until the exporter ends its side too
            received += chunk
    assert received.count(b"HTTP/1.1 200 OK") == 2
    assert received.endswith(b"OK\n")


@pytest.mark.parametrize(
    ("target", "host", "status"),
    [
        (b"http://127.0.0.1/-/healthy", b"evil.example", b"200"),
        (b"HTTP://localhost:1/metrics?name[]=peak_observe_build_info", b"localhost", b"200"),
        (b"http://evil.example/metrics", b"127.0.0.1", b"403"),
        (b"http://localhost", b"localhost", b"200"),
        (b"ftp://localhost/metrics", b"localhost", b"404"),
    ],
)
def test_a_whole_url_is_a_target_too(running, target: bytes, host: bytes, status: bytes) -> None:
    """A proxy writes one; its host counts, and not that of the header (RFC 9112, 3.2.2)."""
    with socket.create_connection(("127.0.0.1", running.port), timeout=PATIENCE) as client:
        client.sendall(b"GET " + target + b" HTTP/1.1\r\nHost: " + host + b"\r\nConnection: close\r\n\r\n")
        assert client.recv(12, socket.MSG_WAITALL)[9:] == status


@pytest.mark.parametrize(
    ("headers", "content_type", "encoding"),
    [
        ({"Accept_Encoding": "gzip;q=0"}, "text/plain", None),
        ({"Accept_Encoding": "*"}, "text/plain", "gzip"),
        ({"Accept": "application/openmetrics-text;version=2.0.0"}, "text/plain", None),
        ({"Accept": "application/openmetrics-text;q=0"}, "text/plain", None),
        ({"Accept": "application/openmetrics-text"}, "application/openmetrics-text; version=1.0.0", None),
    ],
)
def test_what_a_client_accepts(running, headers: dict[str, str], content_type: str, encoding: str | None) -> None:
    """As RFC 9110 has it: a weight of 0 means no, and a version that nobody writes is not promised."""
    answer = running.get("/metrics", **headers)
    assert answer.headers["Content-Type"].startswith(content_type)
    assert answer.headers["Content-Encoding"] == encoding


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "BREW"])
def test_wrong_methods(running, method: str) -> None:
    """Are refused, with those that are right."""
    answer = running.get(method=method)
    assert answer.status == 405
    assert set(answer.headers["Allow"].split(", ")) == {"GET", "HEAD"}


@pytest.mark.parametrize(
    "path",
    [
        "/nonsense",
        "/metrics/",
        "//metrics",
        "/metrics/../etc/passwd",
        "/..%2f..%2fetc/passwd",
        "/%2e%2e/%2e%2e/etc/passwd",
        "/metrics%00",
        "/-/",
        "/static/../../log",
        "/\\..\\log",
        "*",
        "/%ff%fe",
    ],
)
def test_other_paths(running, path: str) -> None:
    """Lead nowhere, and to no file."""
    answer = running.get(path)
    assert answer.status == 404
    assert answer.text == "there is no such path: / leads to all there are\n"


def test_reloading_by_http_has_to_be_allowed(running) -> None:
    """Whoever can read the metrics should not be able to change anything."""
    answer = running.get("/-/reload", "POST")
    assert (answer.status, answer.text) == (403, "reloading needs --web.enable-lifecycle, or SIGHUP\n")
    assert running.get("/-/reload").status == 405


def test_it_listens_on_loopback_alone(running) -> None:
    """Unless told otherwise."""
    table = Path(f"/proc/{running.process.pid}/net/tcp").read_text()
    inode = {str(link.readlink()) for link in Path(f"/proc/{running.process.pid}/fd").iterdir() if link.is_symlink()}
    listening = [line.split() for line in table.splitlines()[1:] if line.split()[3] == "0A"]
    mine = [fields[1] for fields in listening if f"socket:[{fields[9]}]" in inode]
    assert mine == [f"0100007F:{running.port:04X}"]


def test_one_that_hangs_delays_nobody(exporter: Callable, tmp_path: Path) -> None:
    """A check, and a source whose program does not end and is killed: the others answer, threads do not pile up."""
    (tmp_path / "mine.py").write_text(MINE)
    (tmp_path / "restic").write_text("#!/bin/sh\nexec sleep 600\n")
    (tmp_path / "restic").chmod(0o755)
    hanging = '[checks.hangs]\nkind = "python"\nfunction = "mine:hang"\ntimeout = 0.3\ninterval = 0.1\n'
    hanging += '[restic.hangs]\nrepository = "r"\nprogram = "./restic"\ntimeout = 0.5\ninterval = 0.1\n'
    running = exporter(hanging)
    running.eventually('peak_exporter_source_up{source="restic.hangs"} 0.0')
    running.eventually('peak_health_check_healthy{check="hangs"} 0.0')
    running.eventually("OK\n", "/-/ready")
    threads = len(list(Path(f"/proc/{running.process.pid}/task").iterdir()))
    for _ in range(20):
        start = time.monotonic()
        assert running.get().status == 200
        assert running.get("/readyz").status == 503
        assert time.monotonic() - start < PATIENCE
    series = 'peak_exporter_source_runs_total{outcome="%s",source="restic.hangs"}'
    # On a busy machine the look is over before the program that was killed is buried.
    assert sum(running.value(series % outcome) for outcome in ("error", "timeout")) >= 1
    assert len(list(Path(f"/proc/{running.process.pid}/task").iterdir())) <= threads + 1
    assert running.end() == 0


def test_reload_swaps_everything_or_keeps_the_old(exporter: Callable, tmp_path: Path) -> None:
    """By SIGHUP or a POST; a mistake is named, and shows until it is mended."""
    first = '[files.a]\nglob = "*.a"\n[checks.one]\nkind = "memory"\n'
    running = exporter(first, "--web.enable-lifecycle")
    file = tmp_path / "peak-observe.toml"
    running.eventually('peak_health_check_healthy{check="one"}')
    file.write_text('[files.b]\nglob = "*.b"\n[checks.two]\nkind = "memory"\n')
    answer = running.get("/-/reload", "POST")
    assert (answer.status, answer.text) == (200, "OK\n")
    text = running.eventually('peak_health_check_healthy{check="two"}')
    assert 'source="files.b"' in text
    assert 'source="files.a"' not in text
    assert 'peak_health_check_healthy{check="one"}' not in text
    file.write_text('[files.c]\nglob = "*.c"\n[checks.three]\nkind = "memroy"\n')
    answer = running.get("/-/reload", "PUT")
    assert answer.status == 500
    assert "checks.three.kind: 'memroy' is none of" in answer.text
    text = running.get().text
    assert "peak_exporter_config_reload_success 0.0" in text
    assert 'source="files.b"' in text
    assert "files.c" not in text
    assert "changed and makes no sense" in running.get("/").text
    file.write_text(first)
    running.process.send_signal(signal.SIGHUP)
    text = running.eventually("peak_exporter_config_reload_success 1.0")
    assert 'source="files.a"' in text


def basic(name: str, password: str) -> str:
    """Return an Authorization header."""
    return f"Basic {base64.b64encode(f'{name}:{password}'.encode()).decode()}"


def test_passwords_and_headers(exporter: Callable, tmp_path: Path) -> None:
    """For every path, as exporter-toolkit has them; a changed file counts at once."""
    hashed = bcrypt.hashpw(b"secret", bcrypt.gensalt(4)).decode()
    headers = "http_server_config: {headers: {X-Frame-Options: DENY}}\n"
    web = tmp_path / "web.yml"
    web.write_text(f"{headers}basic_auth_users: {{anna: {hashed}}}\n")
    running = exporter("", "--web.config.file", "web.yml")
    for path in ("/metrics", "/", "/-/healthy", "/nonsense", "/sd"):
        refused = running.get(path)
        assert refused.status == 401
        assert refused.headers["WWW-Authenticate"].startswith("Basic realm=")
        assert running.get(path, Authorization=basic("anna", "wrong")).status == 401
        assert running.get(path, Authorization=basic("bob", "secret")).status == 401
        assert running.get(path, Authorization=basic("anna", "secret")).status in (200, 404)
        assert (refused.headers["X-Frame-Options"], refused.headers["X-Content-Type-Options"]) == ("DENY", "nosniff")
    assert running.get(Authorization="Basic " + "A" * 10_000).status == 401
    other = bcrypt.hashpw(b"other", bcrypt.gensalt(4)).decode()
    web.write_text(f"basic_auth_users: {{anna: {other}}}\n")
    deadline = time.monotonic() + PATIENCE
    while running.get(Authorization=basic("anna", "other")).status != 200:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert running.get(Authorization=basic("anna", "secret")).status == 401
    web.write_text("basic_auth_user: {}\n")
    running.logged(
        "web configuration reload failed, the old one stays in force: web.yml: basic_auth_user: there is no such key"
    )
    assert running.get(Authorization=basic("anna", "other")).status == 200
    assert "secret" not in running.log


def test_tls_with_client_certificates(exporter: Callable, tmp_path: Path) -> None:
    """Who has none, or one of another name, gets no answer; a renewed certificate is used at once."""
    ours, theirs = trustme.CA(), trustme.CA()

    def certify(ca: trustme.CA) -> None:
        cert = ca.issue_cert("127.0.0.1")
        cert.private_key_pem.write_to_path(tmp_path / "key.pem")
        cert.cert_chain_pems[0].write_to_path(tmp_path / "cert.pem")

    def client(ca: trustme.CA, name: str | None) -> ssl.SSLContext:
        context = ssl.create_default_context()
        ca.configure_trust(context)
        if name is not None:
            ours.issue_cert(name).configure_cert(context)
        return context

    certify(ours)
    ours.cert_pem.write_to_path(tmp_path / "ca.pem")
    files = "cert_file: cert.pem, key_file: key.pem, client_ca_file: ca.pem, client_allowed_sans: [prometheus]"
    (tmp_path / "web.yml").write_text(f"tls_server_config: {{{files}}}\n")
    running = exporter("", "--web.config.file", "web.yml")
    running.logged("listening on https://")
    right = client(ours, "prometheus")
    assert running.get(tls=right).status == 200
    for wrong in (client(ours, None), client(ours, "somebody")):
        with pytest.raises((ssl.SSLError, ConnectionError, http.client.RemoteDisconnected)):
            running.get(tls=wrong)
    with pytest.raises((ConnectionError, http.client.RemoteDisconnected, http.client.BadStatusLine)):
        running.get()
    certify(theirs)
    renewed = client(theirs, "prometheus")
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            assert running.get(tls=renewed).status == 200
            break
        except ssl.SSLError:
            assert time.monotonic() < deadline, running.log
            time.sleep(0.05)
    theirs.cert_pem.write_to_path(tmp_path / "ca.pem")
    running.logged("tls_server_config: TLS, and who may come in by it, changes by a restart only")
    assert running.get(tls=renewed).status == 200


def test_sigterm_finishes_scrapes_under_way(exporter: Callable, tmp_path: Path) -> None:
    """An answer that is being read is sent to its end, idle connections are closed, and the code is 0."""
    running = exporter("")
    with socket.create_connection(("127.0.0.1", running.port), timeout=PATIENCE) as client:
        client.sendall(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
        assert client.recv(12) == b"HTTP/1.1 200"
        start = time.monotonic()
        assert running.end() == 0
        rest = b""
        while chunk := client.recv(65_536):
            rest += chunk
    assert b"peak_exporter_time_seconds" in rest
    assert time.monotonic() - start < PATIENCE
    assert not list(tmp_path.glob("*.tmp"))


def test_systemd_is_told(exporter: Callable, tmp_path: Path) -> None:
    """Ready when it listens, reloading and ready again, alive all the time, and stopping."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(PATIENCE)

        def told(wanted: str) -> str:
            while True:
                if (state := manager.recv(1000).decode()).startswith(wanted):
                    return state

        running = exporter("", NOTIFY_SOCKET=str(tmp_path / "notify"))
        told("READY=1")
        told("WATCHDOG=1")
        running.process.send_signal(signal.SIGHUP)
        assert "MONOTONIC_USEC=" in told("RELOADING=1")
        told("READY=1")
        running.process.send_signal(signal.SIGTERM)
        told("STOPPING=1")
        assert running.process.wait(PATIENCE) == 0


@pytest.fixture(scope="module")
def unusual(tmp_path_factory: pytest.TempPathFactory, serving: Callable) -> Iterator:
    """An exporter on two addresses, with a log in JSON and a socket of systemd that nobody reads."""
    options = ("--log.format", "json", "--web.listen-address", "[::1]:0")
    with serving(tmp_path_factory.mktemp("unusual"), "", *options, NOTIFY_SOCKET="@nobody") as found:
        yield found


def test_a_socket_that_nobody_reads_harms_nothing(unusual) -> None:
    """Whatever the variable says."""
    assert unusual.get("/-/healthy").status == 200


def test_json_is_a_form_of_the_log(unusual) -> None:
    """Each line an object."""
    lines = [json.loads(line) for line in unusual.log.splitlines()]
    assert all({"time", "level", "logger", "msg"} <= set(line) for line in lines)


def test_several_addresses(unusual) -> None:
    """All of them answer."""
    port = int(unusual.logged(r"listening on http://\[::1\]:(\d+)")[1])
    connection = http.client.HTTPConnection("::1", port, timeout=PATIENCE)
    connection.request("GET", "/-/healthy")
    assert connection.getresponse().read() == b"OK\n"
    connection.close()
