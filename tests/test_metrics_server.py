"""`start_exporter` with certificates, a password and a choice of names, as a Prometheus and strangers meet it."""

import base64
import http.client
import socket
import ssl
import time
import urllib.error
import urllib.request
from pathlib import Path

import bcrypt
import pytest
import trustme
from prometheus_client import CollectorRegistry, Counter

import peak_observe
from peak_observe import CircuitBreaker, start_exporter
from peak_observe.errors import ConfigError
from peak_observe.telemetry import bounded_server

PASSWORD = "correct horse battery staple"  # noqa: S105 - of no account


def basic(name: str, password: str) -> dict[str, str]:
    """Return the header of basic authentication."""
    return {"Authorization": "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()}


def get(url: str, context: ssl.SSLContext | None = None, **headers: str) -> tuple[int, str]:
    """Return status and body."""
    try:
        with urllib.request.urlopen(
            urllib.request.Request(url, headers=headers), timeout=60, context=context
        ) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


@pytest.fixture
def authority() -> trustme.CA:
    """One that signs certificates."""
    return trustme.CA()


def certify(folder: Path, authority: trustme.CA) -> tuple[Path, Path]:
    """Write a certificate and its key."""
    certificate = authority.issue_cert("127.0.0.1")
    paths = folder / "cert.pem", folder / "key.pem"
    paths[0].write_bytes(b"".join(pem.bytes() for pem in certificate.cert_chain_pems))
    paths[1].write_bytes(certificate.private_key_pem.bytes())
    return paths


def client(authority: trustme.CA, signed: bool = False) -> ssl.SSLContext:
    """Return what trusts the authority, and shows a certificate of it where that is asked for."""
    context = ssl.create_default_context()
    authority.configure_trust(context)
    if signed:
        authority.issue_cert("prometheus.example").configure_cert(context)
    return context


def test_a_certificate_makes_it_https(tmp_path, authority) -> None:
    """Plain HTTP on the same port gets no answer, and a stranger's authority is not ours."""
    cert, key = certify(tmp_path, authority)
    with start_exporter(0, certfile=cert, keyfile=str(key)) as exporter:
        assert exporter.url.startswith("https://127.0.0.1:")
        assert "peak_observe_build_info" in get(exporter.url, client(authority))[1]
        with pytest.raises(urllib.error.URLError):
            get(exporter.url, ssl.create_default_context())
        with pytest.raises((OSError, http.client.HTTPException)):
            get(exporter.url.replace("https", "http"))


def test_a_client_needs_a_certificate_of_the_authority(tmp_path, authority) -> None:
    """Without one it is turned away, also with one of another authority."""
    cert, key = certify(tmp_path, authority)
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    with start_exporter(0, certfile=cert, keyfile=key, client_ca=tmp_path / "ca.pem") as exporter:
        assert get(exporter.url, client(authority, signed=True))[0] == 200
        stranger = client(authority)
        trustme.CA().issue_cert("prometheus.example").configure_cert(stranger)
        for context in (client(authority), stranger):
            with pytest.raises(OSError):
                get(exporter.url, context)


def test_a_renewed_certificate_needs_no_restart(tmp_path, authority, caplog) -> None:
    """And a broken one leaves the old in use, with a line in the log."""
    cert, key = certify(tmp_path, authority)
    with start_exporter(0, certfile=cert, keyfile=key) as exporter:
        renewed = trustme.CA()
        certify(tmp_path, renewed)
        assert get(exporter.url, client(renewed))[0] == 200
        cert.write_text("nothing")
        assert get(exporter.url, client(renewed))[0] == 200
    assert "the old certificate stays in use" in caplog.text


def test_a_certificate_that_comes_before_its_key_changes_nothing_yet(tmp_path, authority, caplog) -> None:
    """OpenSSL takes it and drops the old key, so that no handshake would succeed any more."""
    cert, key = certify(tmp_path, authority)
    with start_exporter(0, certfile=cert, keyfile=key) as exporter:
        before, new = key.read_bytes(), trustme.CA()
        _, key = certify(tmp_path, new)
        renewed, _ = key.read_bytes(), key.write_bytes(before)
        assert get(exporter.url, client(authority))[0] == 200
        assert "the old certificate stays in use" in caplog.text
        key.write_bytes(renewed)
        assert get(exporter.url, client(new))[0] == 200


def test_silent_handshakes_do_not_stop_a_scrape(tmp_path, authority) -> None:
    """They count from the accept, and the oldest makes room."""
    cert, key = certify(tmp_path, authority)
    with start_exporter(0, certfile=cert, keyfile=key) as exporter:
        silent = [
            socket.create_connection(("127.0.0.1", exporter.port)) for _ in range(3 * bounded_server.MAX_CONNECTIONS)
        ]
        began = time.monotonic()
        assert get(exporter.url, client(authority))[0] == 200
        assert time.monotonic() - began < 50  # of the minute that a handshake may take here
        for connection in silent:
            connection.close()


def test_a_password_is_asked_for_on_all_paths() -> None:
    """A wrong one, none, two and another scheme get 401 with a challenge."""
    with start_exporter(0, password=PASSWORD) as exporter:
        root = exporter.url.removesuffix("/metrics")
        for path in ("/metrics", "/readyz", "/health", "/", "/-/healthy", "/missing"):
            assert get(root + path)[0] == 401
        assert get(exporter.url, **basic("prometheus", PASSWORD))[0] == 200
        for wrong in (basic("prometheus", "x"), basic("root", PASSWORD), {"Authorization": f"Bearer {PASSWORD}"}):
            assert get(exporter.url, **wrong)[0] == 401
        connection = http.client.HTTPConnection("127.0.0.1", exporter.port)
        connection.putrequest("GET", "/metrics")
        for _ in range(2):
            connection.putheader(*next(iter(basic("prometheus", PASSWORD).items())))
        connection.endheaders()
        answer = connection.getresponse()
        assert (answer.status, answer.headers["WWW-Authenticate"]) == (401, 'Basic realm="peak_observe"')
        connection.close()


def test_a_hash_of_the_password_is_as_good() -> None:
    """As in the exporter's web configuration."""
    hashed = bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(4)).decode()
    with start_exporter(0, username="grafana", password=hashed) as exporter:
        assert get(exporter.url, **basic("grafana", PASSWORD))[0] == 200
        assert get(exporter.url, **basic("grafana", hashed))[0] == 401
        assert get(exporter.url, **basic("prometheus", PASSWORD))[0] == 401


def test_the_password_is_known_to_the_redactor() -> None:
    """It is a secret of this process."""
    with start_exporter(0, password=PASSWORD):
        assert "horse battery" not in str(peak_observe.CircuitOpenError(PASSWORD))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"keyfile": "k.pem"}, "keyfile needs certfile"),
        ({"client_ca": "ca.pem"}, "client_ca needs certfile"),
        ({"password": ""}, "password must be text that is not empty"),
        ({"password": "x", "username": "a:b"}, "username must be text without a colon"),
    ],
)
def test_half_of_it_is_refused(arguments, message) -> None:
    """One sentence says what is missing."""
    with pytest.raises(ValueError, match=message):
        start_exporter(0, **arguments)


def test_a_file_that_is_not_there_is_named(tmp_path) -> None:
    """Before the port is taken."""
    with pytest.raises(ConfigError, match=r"cert\.pem: .*No such file"):
        start_exporter(0, certfile=tmp_path / "cert.pem")


@pytest.mark.parametrize(
    "query",
    ["name[]=peak_breaker_calls_total", "name%5B%5D=peak_breaker_calls", "name[]=x&name[]=peak_breaker_calls_total"],
)
@pytest.mark.parametrize("accept", ["", "application/openmetrics-text"])
def test_names_choose_families(query, accept) -> None:
    """By a family's name or that of its samples, ours and those of the program's registry."""
    CircuitBreaker(name="chosen")
    registry = CollectorRegistry()
    Counter("mine", "help", registry=registry)
    with start_exporter(0, registry=registry) as exporter:
        status, body = get(f"{exporter.url}?{query}", Accept=accept)
        assert status == 200
        assert {line.split()[2] for line in body.splitlines() if line.startswith("# TYPE")} <= {
            "peak_breaker_calls_total",
            "peak_breaker_calls",
        }
        assert 'breaker="chosen"' in body
        mine = get(f"{exporter.url}?name[]=mine_total")[1]
        assert "mine_total 0.0" in mine
        assert "peak_" not in mine
        assert get(f"{exporter.url}?name[]=none")[1] == ""
        assert get(exporter.url + "?" + "&".join(["name[]=a"] * 101))[0] == 400


def free_port() -> int:
    """Return a port on which nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def test_started_twice_is_the_same_exporter() -> None:
    """A bot that reloads its strategy runs the same line again."""
    port = free_port()
    with start_exporter(port) as exporter:
        assert start_exporter(port) is exporter
        assert get(exporter.url)[0] == 200


def test_a_closed_exporter_is_not_handed_out() -> None:
    """The next call serves anew."""
    port = free_port()
    start_exporter(port).close()
    with start_exporter(port) as exporter:
        assert get(exporter.url)[0] == 200


def test_other_settings_are_another_exporter() -> None:
    """Which cannot have the same port."""
    port = free_port()
    with start_exporter(port), pytest.raises(peak_observe.ListenError, match=f"{port}"):
        start_exporter(port, registry=CollectorRegistry())


def test_port_0_is_a_port_of_its_own_each_time() -> None:
    """As the system picks it."""
    with start_exporter(0) as first, start_exporter(0) as second:
        assert first.port != second.port
