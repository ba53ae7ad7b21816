"""Engines by URL: a file of this host, or a Redis or Valkey server."""

from __future__ import annotations

import os
import re
import tempfile
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from peak_observe.coordination import server_discovery

if TYPE_CHECKING:
    from peak_observe.clock import Clock
    from peak_observe.coordination.engine import Engine

HOST = "host"
DIRECTORY = "PEAK_OBSERVE_DIR"
FILE = "shared-state"
SERVERS = ("redis", "rediss", "unix")
KNOWN = "'host', file:///path, redis://…, rediss://…, unix://…, redis+sentinel://… or redis+cluster://…"
UNCLEAR = (
    "the URL of the shared state makes no sense: write redis://user:password@host:port/0 with the number of the "
    "database, and '/', '@', '?' and '#' of a password as %2F, %40, %3F and %23"
)
_NAMESPACE = re.compile(r"[A-Za-z0-9_.-]{1,64}")


def check_namespace(namespace: object) -> None:
    """Raise ValueError unless a namespace can be part of keys and of file names."""
    if not isinstance(namespace, str) or not _NAMESPACE.fullmatch(namespace):
        from peak_observe.support.shown import shown

        raise ValueError(f"namespace must be 1 to 64 letters, digits, '_', '.' or '-', not {shown(namespace)}")


def build_engine(url: object, *, namespace: str, timeout: float, quorum: int, clock: Clock) -> Engine:
    """Return the engine of a URL; nothing is connected yet.

    Raises:
        ValueError: The URL means no engine; the message has no password.
        MissingExtraError: Its library is not installed.
    """
    if not isinstance(url, str) or not url:
        raise ValueError(f"url must be {KNOWN}, not a value of type {type(url).__name__}")
    scheme = HOST if url == HOST else _scheme(url)
    if scheme in (*SERVERS, *server_discovery.SCHEMES):
        from peak_observe.coordination.redis_engine import RedisEngine  # late: it needs an extra

        located = scheme in server_discovery.SCHEMES
        if located:
            server_discovery.place_of(url)
        else:
            _check_server(url, scheme)
        try:
            return RedisEngine(url, namespace=namespace, timeout=timeout, quorum=quorum)
        except (ValueError, TypeError):  # its message may quote a password
            raise ValueError(server_discovery.UNCLEAR if located else UNCLEAR) from None
    if scheme not in (HOST, "file"):
        raise ValueError(f"url must be {KNOWN}; its scheme is {scheme or 'missing'!r}")
    if quorum > 1:
        raise ValueError("quorum counts hosts, and a file has one: use redis:// for more")
    from peak_observe.coordination.file_engine import FileEngine

    return FileEngine(_path(url, namespace), timeout=timeout, clock=clock)


def address(url: str) -> str:
    """Return a URL as logs may show it: without user, password and query."""
    if url == HOST:
        return url
    if url.partition("://")[0] in server_discovery.SCHEMES:
        return server_discovery.place_of(url).shown
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def _scheme(url: str) -> str:
    if url.partition("://")[0] in server_discovery.SCHEMES:  # urlsplit does not know of several hosts
        return url.partition("://")[0]
    try:
        return urlsplit(url).scheme
    except ValueError:  # its message may quote a password
        raise ValueError(UNCLEAR) from None


def _check_server(url: str, scheme: str) -> None:
    """Raise ValueError where a password would be taken for a part of the address, or the name of a database for 0."""
    parts = urlsplit(url)
    misread = "@" in f"{parts.path}{parts.query}{parts.fragment}"
    if misread or (scheme != "unix" and not re.fullmatch(r"(/\d*)?", parts.path)):
        raise ValueError(UNCLEAR)


def _path(url: str, namespace: str) -> str:
    if url == HOST:
        return os.path.join(_directory(), f"{FILE}.{namespace}")  # noqa: PTH118 - a text, as all paths of the engine
    parts = urlsplit(url)
    path = unquote(parts.path)
    if parts.netloc not in ("", "localhost") or not path.startswith("/") or path.endswith("/"):
        raise ValueError("url of a file must be absolute and name a file: file:///run/peak-observe/shared")
    return f"{path}.{namespace}"


def _directory() -> str:
    found = os.environ.get(DIRECTORY)
    if found:
        return found
    user = os.getuid() if hasattr(os, "getuid") else 0
    return os.path.join(tempfile.gettempdir(), f"peak-observe-{user}")  # noqa: PTH118 - as above
