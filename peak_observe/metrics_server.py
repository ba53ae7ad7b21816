"""HTTP server of the metrics and the health of this process."""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Iterable
from pathlib import Path

from prometheus_client.registry import CollectorRegistry

from peak_observe.errors import MissingExtraError
from peak_observe.resilience.health import health_check
from peak_observe.resilience.health.http import answers
from peak_observe.support.keywords import check_keywords
from peak_observe.telemetry.basic_auth import Passwords
from peak_observe.telemetry.http_server import Access, Exporter

USERNAME = "prometheus"
_HASH = re.compile(r"\$2[abxy]?\$\d\d\$[./A-Za-z0-9]{53}")

FOREIGN = {
    "host bind address listen listen_address interface": "addr",
    "cert ssl_certfile": "certfile",
    "key ssl_keyfile": "keyfile",
    "ca client_cafile": "client_ca",
    "user": "username",
    "hosts": "allowed_hosts",
}
"""Arguments with what prometheus_client and web servers call them."""

_started: list[tuple[tuple[object, ...], Exporter]] = []
_lock = threading.Lock()

StrPath = str | os.PathLike[str]


@check_keywords(FOREIGN)
def start_exporter(
    port: int = 17326,
    addr: str = "127.0.0.1",
    *,
    registry: CollectorRegistry | None = None,
    certfile: StrPath | None = None,
    keyfile: StrPath | None = None,
    client_ca: StrPath | None = None,
    username: str = USERNAME,
    password: str | None = None,
    allowed_hosts: Iterable[str] = (),
) -> Exporter:
    """Serve the metrics and the health of this process on `http://addr:port/` from a background thread.

    `/metrics` are the metrics, `/metrics?name[]=NAME` some of them; `/livez`, `/readyz`, `/healthz`, `/health` and
    `/startupz` answer for the checks of `health_check`. With a certificate it is `https://`; a renewed one
    needs no restart.

    Args:
        port: The port; 0 picks a free one.
        addr: The address to listen on; only this machine can reach the default.
        registry: A prometheus_client registry whose metrics are served as well, for instance `REGISTRY`.
        certfile: The certificate in PEM, with those between it and the root.
        keyfile: Its private key; if not given, it stands in `certfile`.
        client_ca: Certificates of which one has to have signed that of each client; others are turned away.
        username: The user name, if there is a password.
        password: The password of `username`, for basic authentication: itself, or its bcrypt hash, for which the extra
            `exporter` is needed. Everybody may ask without one.
        allowed_hosts: Public names by which a server without certificate and password may be asked, beside addresses
            and private names; others belong to web pages that gave their name this address.

    Returns:
        The exporter, with `.port`, `.url` and `.close()`; it is also a context manager. A second call with the same
        arguments returns the exporter that is there, so that code that runs again after a reload need not know.

    Raises:
        ListenError: The address cannot be had; mostly another process listens there, or this one with other settings.
        ConfigError: A file of the certificates cannot be read, or holds something else.
        ValueError: There is no such port, or the password or what belongs to the certificate makes no sense.
        MissingExtraError: The password is a hash, and bcrypt is not installed.
    """
    hosts = (allowed_hosts,) if isinstance(allowed_hosts, str) else tuple(allowed_hosts)
    wanted = (port, addr, registry, certfile, keyfile, client_ca, username, password, hosts)
    with _lock:
        _started[:] = [(settings, exporter) for settings, exporter in _started if exporter.alive]
        for settings, exporter in _started:
            if settings == wanted:
                return exporter
        access = _access(certfile, keyfile, client_ca, _passwords(username, password))._replace(hosts=hosts)
        exporter = Exporter(port, addr, registry=registry, answers=answers(health_check), access=access)
        if port:  # each call with 0 wants a port of its own
            _started.append((wanted, exporter))
        return exporter


def _access(
    certfile: StrPath | None,
    keyfile: StrPath | None,
    client_ca: StrPath | None,
    passwords: Passwords | None,
) -> Access:
    if certfile is None:
        if keyfile is not None or client_ca is not None:
            raise ValueError(f"{'client_ca' if keyfile is None else 'keyfile'} needs certfile, the certificate to show")
        return Access(None, passwords)
    from peak_observe.telemetry import server_tls  # late: it loads ssl, which programs without TLS do without

    cert, ca = Path(certfile), None if client_ca is None else Path(client_ca)
    auth = server_tls.NO_CERTIFICATE if ca is None else server_tls.REQUIRED
    tls = server_tls.Tls(cert, Path(keyfile or cert), ca, server_tls.client_ca_text(ca), auth)
    return Access(server_tls.RenewedContext(tls), passwords)


def _passwords(username: str, password: str | None) -> Passwords | None:
    if password is None:
        return None
    if not isinstance(username, str) or not username or ":" in username:
        raise ValueError("username must be text without a colon")
    if not isinstance(password, str) or not password:
        raise ValueError("password must be text that is not empty: is a variable unset?")
    if not _HASH.fullmatch(password):
        from peak_observe.support.secret_values import KNOWN, SHORTEST

        KNOWN.learn([password] if len(password) >= SHORTEST else ())
        return Passwords({}, {username: password})
    try:
        import bcrypt  # noqa: F401 - asked for now, not when somebody knocks
    except ImportError:
        raise MissingExtraError("exporter", "a password as bcrypt hash") from None
    return Passwords({username: password.encode()})
