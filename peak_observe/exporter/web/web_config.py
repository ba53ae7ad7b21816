"""Web configuration in the format of Prometheus' exporter-toolkit: TLS, client certificates, passwords, headers."""

from __future__ import annotations

import re
import ssl
from typing import TYPE_CHECKING, Any, NamedTuple

import yaml

from peak_observe.errors import ConfigError
from peak_observe.support.shown import shown
from peak_observe.support.toml import near
from peak_observe.telemetry.server_tls import (
    CLIENT_AUTH,
    IF_GIVEN,
    NO_CERTIFICATE,
    REQUIRED,
    Tls,
    client_ca_text,
    context,
    file_stamp,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

BCRYPT = re.compile(r"\$2[abxy]?\$(0[4-9]|[12]\d|3[01])\$[./A-Za-z0-9]{53}")
UNVERIFIED = ("RequestClientCert", "RequireAnyClientCert")
VERSIONS = {"TLS12": ssl.TLSVersion.TLSv1_2, "TLS13": ssl.TLSVersion.TLSv1_3}
OLD_VERSIONS = ("TLS10", "TLS11")
HEADERS = (
    "Cache-Control",
    "Content-Security-Policy",
    "Strict-Transport-Security",
    "X-Content-Type-Options",
    "X-Frame-Options",
    "X-XSS-Protection",
)
TLS_KEYS = {
    "cert_file": "the certificate, with those between it and the root",
    "key_file": "its private key",
    "client_auth_type": f"`{NO_CERTIFICATE}`, `{IF_GIVEN}` or `{REQUIRED}`",
    "client_ca_file": "the certificates that a client's has to be signed by",
    "client_allowed_sans": "names of which a client's certificate has to carry one",
    "min_version": "`TLS12` (default) or `TLS13`",
    "max_version": "the same, `TLS13` by default",
}
HTTP_KEYS = {"http2": "only `false`: HTTP/2 is not served", "headers": "headers of every answer, for instance HSTS"}
SECTIONS = ("tls_server_config", "http_server_config", "basic_auth_users")
ELSEWHERE = {"cipher_suites", "prefer_server_cipher_suites", "curve_preferences", "cert", "key", "client_ca"}


class WebConfig(NamedTuple):
    """Web configuration: TLS, users and response headers.

    Args:
        path: The file; None where there is none.
        tls: How to speak TLS; None for plain HTTP.
        users: Passwords as bcrypt hashes by name; empty where everybody may ask.
        headers: Headers of every answer.
    """

    path: Path | None = None
    tls: Tls | None = None
    users: Mapping[str, bytes] = {}
    headers: Mapping[str, str] = {}

    def stamp(self) -> tuple[object, ...]:
        """Return what changes when the file, or one that it names, is written anew."""
        own = () if self.path is None else (file_stamp(self.path),)
        return own if self.tls is None else (*own, *self.tls.stamp())


def load(path: Path | None) -> WebConfig:
    """Return what a file says.

    Raises:
        ConfigError: It makes no sense; the error names file, key, what was found and what is allowed.
    """
    if path is None:
        return WebConfig()
    found = _Table(path, "", _read(path))
    found.check(SECTIONS)
    tls, http = found.table("tls_server_config"), found.table("http_server_config")
    http.check(HTTP_KEYS)
    if http.get("http2", bool, default=False):
        raise ConfigError(str(path), "http_server_config.http2", "HTTP/2 is not served: leave it out or say false")
    config = WebConfig(path, _tls(tls) if tls.found else None, dict(_users(found)), dict(_headers(http)))
    if config.tls is not None:
        context(config.tls)  # what the files hold is looked at now, not when somebody knocks
    return config


def _read(path: Path) -> dict[str, Any]:
    try:
        found = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(str(path), "", error.strerror or str(error)) from None
    except (yaml.YAMLError, ValueError, RecursionError, TypeError) as error:
        raise ConfigError(str(path), "", f"no YAML: {' '.join(str(error).split())}") from None
    if found is None:
        return {}
    if not isinstance(found, dict):
        raise ConfigError(str(path), "", f"it has to consist of {', '.join(SECTIONS)}")
    return found


class _Table:
    """Mapping of the file with its position, for error messages."""

    def __init__(self, path: Path, where: str, found: Mapping[Any, Any]) -> None:
        self.path = path
        self.where = where
        self.found = found

    def error(self, key: object, problem: str) -> ConfigError:
        return ConfigError(str(self.path), f"{self.where}.{key}" if self.where else str(key), problem)

    def check(self, allowed: Mapping[str, str] | tuple[str, ...]) -> None:
        for key in self.found:
            if key in ELSEWHERE:
                raise self.error(key, "exporter-toolkit knows it, this exporter does not")
            if key not in allowed:
                raise self.error(key, f"there is no such key{near(key, allowed)}")

    def get(self, key: str, kind: type[Any], *, default: Any) -> Any:
        value = self.found.get(key)
        value = default if value is None else value
        if value is not default and not isinstance(value, kind):
            words = {str: "a string", bool: "true or false", dict: "a mapping", list: "a list"}
            raise self.error(key, f"it has to be {words[kind]}, not {shown(value)}")
        return value

    def table(self, key: str) -> _Table:
        return _Table(self.path, key, self.get(key, dict, default={}))

    def file(self, key: str) -> Path | None:
        name = self.get(key, str, default="")
        return self.path.absolute().parent / name if name else None


def _tls(table: _Table) -> Tls:
    table.check(TLS_KEYS)
    cert, key, ca = (table.file(key) for key in ("cert_file", "key_file", "client_ca_file"))
    if cert is None or key is None:
        raise table.error("cert_file" if cert is None else "key_file", "it is missing: TLS needs both")
    auth = table.get("client_auth_type", str, default="") or (REQUIRED if ca else NO_CERTIFICATE)
    if auth in UNVERIFIED:
        problem = f"{auth} takes a certificate that nobody verifies: use {IF_GIVEN} or {REQUIRED}"
        raise table.error("client_auth_type", problem)
    if auth not in CLIENT_AUTH:
        problem = f"{auth!r} is none of {', '.join(CLIENT_AUTH)}{near(auth, CLIENT_AUTH)}"
        raise table.error("client_auth_type", problem)
    if (ca is None) != (auth == NO_CERTIFICATE):
        raise table.error("client_auth_type", f"{auth} {'needs a' if ca is None else 'has no use for'} client_ca_file")
    sans = table.get("client_allowed_sans", list, default=[])
    if sans and auth != REQUIRED:
        raise table.error("client_allowed_sans", f"it needs client_auth_type: {REQUIRED}")
    minimum, maximum = _version(table, "min_version", "TLS12"), _version(table, "max_version", "TLS13")
    if minimum > maximum:
        raise table.error("min_version", "it is above max_version")
    return Tls(cert, key, ca, client_ca_text(ca), auth, tuple(map(str, sans)), minimum, maximum)


def _version(table: _Table, key: str, default: str) -> ssl.TLSVersion:
    name = table.get(key, str, default=default)
    if name in OLD_VERSIONS:
        raise table.error(key, f"{name} is broken: TLS12 is the oldest there is")
    if name not in VERSIONS:
        raise table.error(key, f"{name!r} is none of {', '.join(VERSIONS)}{near(name, VERSIONS)}")
    return VERSIONS[name]


def _users(found: _Table) -> Iterator[tuple[str, bytes]]:
    table = found.table("basic_auth_users")
    if table.found:
        import bcrypt  # noqa: F401 - missed now, not when somebody knocks
    for name, hashed in table.found.items():
        if not isinstance(hashed, str) or not BCRYPT.fullmatch(hashed):
            # Never the value: it may be a password that somebody forgot to hash.
            problem = "it has to be a bcrypt hash: htpasswd -nBC 10 '' makes one"
            raise table.error(name, problem)
        yield str(name), hashed.encode()


def _headers(http: _Table) -> Iterator[tuple[str, str]]:
    table = _Table(http.path, "http_server_config.headers", http.get("headers", dict, default={}))
    table.check(HEADERS)
    for name, value in table.found.items():
        if not isinstance(value, str) or not value.isascii() or not value.isprintable():
            raise table.error(name, f"it has to be printable text, not {shown(value)}")
        yield name, value
