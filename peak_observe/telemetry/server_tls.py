"""TLS of the servers: certificates from files, also of clients, renewed while the server runs."""

from __future__ import annotations

import functools
import ssl
from typing import TYPE_CHECKING, Any, NamedTuple

from peak_observe.errors import ConfigError
from peak_observe.support.loggers import logger

if TYPE_CHECKING:
    from pathlib import Path

NO_CERTIFICATE, IF_GIVEN, REQUIRED = "NoClientCert", "VerifyClientCertIfGiven", "RequireAndVerifyClientCert"
CLIENT_AUTH = {NO_CERTIFICATE: ssl.CERT_NONE, IF_GIVEN: ssl.CERT_OPTIONAL, REQUIRED: ssl.CERT_REQUIRED}


class Tls(NamedTuple):
    """TLS files and settings of a server.

    Args:
        cert_file: The certificate, with those between it and the root.
        key_file: Its private key.
        client_ca_file: Certificates of which one has to sign a client's; None where clients show none.
        client_ca: Its content.
        client_auth: One of `CLIENT_AUTH`.
        allowed_sans: Names of which a client's certificate has to carry one; empty for any.
        minimum: The oldest version.
        maximum: The newest version.
    """

    cert_file: Path
    key_file: Path
    client_ca_file: Path | None = None
    client_ca: str = ""
    client_auth: str = NO_CERTIFICATE
    allowed_sans: tuple[str, ...] = ()
    minimum: ssl.TLSVersion = ssl.TLSVersion.TLSv1_2
    maximum: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3

    def stamp(self) -> tuple[object, ...]:
        """Return what changes when one of the files is written anew."""
        paths = (self.cert_file, self.key_file, self.client_ca_file)
        return tuple(file_stamp(path) for path in paths if path is not None)


class RenewedContext:
    """TLS context that follows its files: a certificate that was renewed needs no restart.

    Args:
        tls: The files.

    Raises:
        ConfigError: One of them cannot be read, or holds something else.
    """

    def __init__(self, tls: Tls) -> None:
        self._tls = tls
        self._stamp = tls.stamp()
        self._context = context(tls)

    def current(self) -> ssl.SSLContext:
        """Return the context; files that make no sense are logged, and the old certificate stays in use."""
        stamp = self._tls.stamp()
        if stamp != self._stamp:
            self._stamp = stamp
            try:
                refresh(self._context, self._tls)
            except ConfigError as error:
                logger("peak_observe.exporter").error("the old certificate stays in use: %s", error)
        return self._context


def file_stamp(path: Path) -> tuple[int, int, int] | None:
    """Return what changes when a file is written anew; None where there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


def client_ca_text(path: Path | None) -> str:
    """Return the content of a file of certificates; empty without one.

    Raises:
        ConfigError: It cannot be read, or is no text.
    """
    try:
        return "" if path is None else path.read_text(encoding="ascii")
    except OSError as error:
        raise ConfigError(str(path), "client_ca_file", error.strerror or str(error)) from None
    except ValueError:
        raise ConfigError(str(path), "client_ca_file", "it is not what is needed: no text") from None


def context(tls: Tls) -> ssl.SSLContext:
    """Return what speaks TLS as configured.

    Raises:
        ConfigError: A file cannot be read, or holds something else.
    """
    found = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    found.minimum_version, found.maximum_version = tls.minimum, tls.maximum
    found.verify_mode = CLIENT_AUTH[tls.client_auth]
    if tls.client_ca:
        _load(tls.client_ca_file, "client_ca_file", lambda: found.load_verify_locations(cadata=tls.client_ca))
    refresh(found, tls)
    return found


def refresh(found: ssl.SSLContext, tls: Tls) -> None:
    """Load certificate and key, which may have been renewed.

    Raises:
        ConfigError: A file cannot be read, or holds something else; then the old certificate stays in use.
    """
    # On trial first: a certificate that came before its key would be taken, and the old key dropped.
    for each in (ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), found):
        _load(tls.cert_file, "cert_file", functools.partial(each.load_cert_chain, tls.cert_file, tls.key_file, ""))


def _load(path: Path | None, key: str, load: Any) -> None:
    try:
        load()
    except (ssl.SSLError, ValueError) as error:
        reason = getattr(error, "reason", None) or error
        raise ConfigError(str(path), key, f"it is not what is needed: {reason}") from None
    except OSError as error:
        raise ConfigError(str(error.filename or path), key, error.strerror or str(error)) from None
