"""The web configuration in exporter-toolkit's form, and what is said of one that makes no sense."""

import ssl
from pathlib import Path

import bcrypt
import pytest
import trustme
from hypothesis import given
from hypothesis import strategies as st

from peak_observe.errors import ConfigError
from peak_observe.exporter.web import web_config
from peak_observe.support.redact import printable

HASH = bcrypt.hashpw(b"secret", bcrypt.gensalt(4)).decode()
ALL = f"""
tls_server_config:
  cert_file: cert.pem
  key_file: key.pem
  client_auth_type: RequireAndVerifyClientCert
  client_ca_file: ca.pem
  client_allowed_sans: [prometheus]
  min_version: TLS12
  max_version: TLS13
http_server_config:
  http2: false
  headers:
    Strict-Transport-Security: max-age=31536000
basic_auth_users:
  prometheus: {HASH}
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a certificate, its key, and who signed it."""
    folder = tmp_path_factory.mktemp("web")
    ca = trustme.CA()
    cert = ca.issue_cert("127.0.0.1")
    cert.private_key_pem.write_to_path(folder / "key.pem")
    for number, blob in enumerate(cert.cert_chain_pems):
        blob.write_to_path(folder / "cert.pem", append=bool(number))
    ca.cert_pem.write_to_path(folder / "ca.pem")
    (folder / "garbage.pem").write_text("garbage")
    return folder


def refused(folder: Path, text: str) -> str:
    """Return what is said of a file, without its folder."""
    (folder / "web.yml").write_text(text)
    with pytest.raises(ConfigError) as caught:
        web_config.load(folder / "web.yml")
    message = str(caught.value)
    assert "\n" not in message
    return message.replace(f"{folder}/", "")


def tls(**keys: str) -> str:
    """Return a file that speaks TLS."""
    settings = {"cert_file": "cert.pem", "key_file": "key.pem", **keys}
    return "tls_server_config:\n" + "".join(f"  {key}: {value}\n" for key, value in settings.items())


def test_every_key(folder: Path) -> None:
    """And none is missing here; files are beside the file."""
    (folder / "web.yml").write_text(ALL)
    found = web_config.load(folder / "web.yml")
    assert found.users == {"prometheus": HASH.encode()}
    assert found.headers == {"Strict-Transport-Security": "max-age=31536000"}
    assert found.tls == web_config.Tls(
        folder / "cert.pem",
        folder / "key.pem",
        folder / "ca.pem",
        (folder / "ca.pem").read_text(),
        "RequireAndVerifyClientCert",
        ("prometheus",),
        ssl.TLSVersion.TLSv1_2,
        ssl.TLSVersion.TLSv1_3,
    )
    assert all(f" {key}: " in ALL for key in web_config.TLS_KEYS)
    assert all(f"{key}:" in ALL for key in (*web_config.HTTP_KEYS, *web_config.SECTIONS))


@pytest.mark.parametrize("text", ["", "---\n", "basic_auth_users:\n", "tls_server_config: {}\n"])
def test_an_empty_file_is_an_open_server(folder: Path, text: str) -> None:
    """As if there were none."""
    (folder / "web.yml").write_text(text)
    assert web_config.load(folder / "web.yml")[1:] == web_config.load(None)[1:] == (None, {}, {})


@pytest.mark.parametrize(
    ("keys", "mode"),
    [
        ({}, ssl.CERT_NONE),
        ({"client_auth_type": "NoClientCert"}, ssl.CERT_NONE),
        ({"client_ca_file": "ca.pem"}, ssl.CERT_REQUIRED),
        ({"client_ca_file": "ca.pem", "client_auth_type": "VerifyClientCertIfGiven"}, ssl.CERT_OPTIONAL),
        ({"client_ca_file": "ca.pem", "client_auth_type": "RequireAndVerifyClientCert"}, ssl.CERT_REQUIRED),
    ],
)
def test_client_certificates(folder: Path, keys: dict[str, str], mode: ssl.VerifyMode) -> None:
    """By exporter-toolkit's words."""
    (folder / "web.yml").write_text(tls(**keys))
    context = web_config.context(web_config.load(folder / "web.yml").tls)
    assert context.verify_mode == mode
    assert context.minimum_version == ssl.TLSVersion.TLSv1_2


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[", "web.yml: not valid YAML: "),
        ("- x", "web.yml: it has to consist of tls_server_config, http_server_config, basic_auth_users"),
        ("basic_auth_user: {}", "web.yml: basic_auth_user: there is no such key; did you mean 'basic_auth_users'?"),
        ("1: 2", "web.yml: 1: there is no such key"),
        ("basic_auth_users: [x]", "basic_auth_users: it has to be a mapping, not ['x']"),
        ("tls_server_config: 5", "tls_server_config: it has to be a mapping, not 5"),
        (tls(cert_fil="x"), "tls_server_config.cert_fil: there is no such key; did you mean 'cert_file'?"),
        (tls(cert_file="''"), "tls_server_config.cert_file: it is missing: TLS needs both"),
        ("tls_server_config: {cert_file: cert.pem}", "tls_server_config.key_file: it is missing: TLS needs both"),
        (tls(cert_file="gone.pem"), "cert_file: No such file or directory"),
        (tls(cert_file="garbage.pem"), "cert.pem: cert_file: "),
        (tls(key_file="ca.pem"), "cert_file: it is not what is needed: "),
        (tls(client_ca_file="garbage.pem"), "garbage.pem: client_ca_file: it is not what is needed: "),
        (tls(client_ca_file="gone.pem"), "gone.pem: client_ca_file: No such file or directory"),
        (tls(client_auth_type="RequireAndVerifyClientCert"), "client_auth_type: RequireAndVerifyClientCert needs a"),
        (
            tls(client_ca_file="ca.pem", client_auth_type="NoClientCert"),
            "client_auth_type: NoClientCert has no use for client_ca_file",
        ),
        (tls(client_auth_type="RequireAnyClientCert"), "takes a certificate that nobody verifies: use Verify"),
        (tls(client_auth_type="NoClientCrt"), "'NoClientCrt' is none of NoClientCert, "),
        (tls(client_allowed_sans="[x]"), "client_allowed_sans: it needs client_auth_type: Require"),
        (tls(client_allowed_sans="x"), "client_allowed_sans: it has to be a list, not 'x'"),
        (tls(min_version="TLS11"), "min_version: TLS11 is broken: TLS12 is the oldest there is"),
        (tls(min_version="TLS1"), "min_version: 'TLS1' is none of TLS12, TLS13; did you mean 'TLS1"),
        (tls(min_version="TLS13", max_version="TLS12"), "min_version: it is above max_version"),
        (tls(cipher_suites="[x]"), "cipher_suites: exporter-toolkit knows it, this exporter does not"),
        ("http_server_config: {http2: true}", "http_server_config.http2: HTTP/2 is not served"),
        ("http_server_config: {http2: yep}", "http_server_config.http2: it has to be true or false, not 'yep'"),
        ("http_server_config: {headers: {X: y}}", "http_server_config.headers.X: there is no such key"),
        (
            'http_server_config: {headers: {X-Frame-Options: "a\\r\\nb"}}',
            "headers.X-Frame-Options: it has to be printable text, not",
        ),
    ],
)
def test_nonsense_is_one_line_that_names_the_key(folder: Path, text: str, message: str) -> None:
    """What was found, what is allowed, and what was probably meant."""
    said = refused(folder, text)
    assert message.replace("cert.pem: cert_file", "cert_file") in said, said


@pytest.mark.parametrize("password", ["hunter2", "''", "5", "$2y$10$short", "[x]"])
def test_a_password_that_is_no_hash_is_not_repeated(folder: Path, password: str) -> None:
    """Somebody may have forgotten to hash it, and errors end up in logs."""
    said = refused(folder, f"basic_auth_users: {{anna: {password}}}")
    assert said == "web.yml: basic_auth_users.anna: it has to be a bcrypt hash: htpasswd -nBC 10 '' makes one"


def test_a_file_that_is_not_there(folder: Path) -> None:
    """Is named; and a folder is none."""
    with pytest.raises(ConfigError, match=r"gone\.yml: No such file or directory"):
        web_config.load(folder / "gone.yml")
    with pytest.raises(ConfigError, match="Is a directory"):
        web_config.load(folder)


def test_the_stamp_changes_with_every_file(folder: Path, tmp_path: Path) -> None:
    """By which a renewed certificate is noticed."""
    for name in ("cert.pem", "key.pem", "ca.pem"):
        (tmp_path / name).write_bytes((folder / name).read_bytes())
    (tmp_path / "web.yml").write_text(ALL)
    found = web_config.load(tmp_path / "web.yml")
    stamps = {found.stamp()}
    for name in ("cert.pem", "key.pem", "ca.pem", "web.yml"):
        (tmp_path / name).write_bytes((tmp_path / name).read_bytes() + b"\n")
        stamps.add(found.stamp())
    (tmp_path / "key.pem").unlink()
    stamps.add(found.stamp())
    assert len(stamps) == 6
    assert web_config.load(None).stamp() == ()


@given(st.one_of(st.binary(max_size=100), st.text(max_size=60).map(lambda text: text.encode(errors="surrogatepass"))))
def test_any_file_is_a_configuration_or_one_error(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    """Never anything else."""
    file = tmp_path_factory.getbasetemp() / "any.yml"
    file.write_bytes(content)
    problem = "one line"
    try:
        web_config.load(file)
    except ConfigError as error:
        problem = printable(str(error))
    assert len(problem.splitlines()) == 1
