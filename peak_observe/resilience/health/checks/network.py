"""Checks of services behind a network: HTTP and TCP."""

from __future__ import annotations

import re
import socket
import time
import urllib.error
import urllib.request
from http.client import HTTPException
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from peak_observe._version import __version__
from peak_observe.resilience.common import validation
from peak_observe.support.redact import describe, redact
from peak_observe.support.shown import shown

if TYPE_CHECKING:
    from collections.abc import Mapping

    from peak_observe.resilience.health.formatting import CheckFunction, Outcome

MAX_BODY = 1_048_576  # bytes of an answer that are searched
MAX_PORT = 65_535
SUCCESS = range(200, 300)


def http(
    url: str,
    *,
    status: int | None = None,
    body: str | None = None,
    headers: Mapping[str, str] | None = None,
    timeout: float = 5.0,
) -> CheckFunction:
    """Return a check that a GET of `url` is answered as it should be; redirects are followed.

    Args:
        url: An http or https address.
        status: The status code that means healthy; any 2xx if not given.
        body: A regular expression that has to be found in the first MiB of the answer.
        headers: Sent with the request, but not to where it is redirected.
        timeout: Seconds for the connection and for each part of the answer.

    Raises:
        ValueError: The address, the expression or the timeout makes no sense.
    """
    validation.check_period("timeout", timeout)
    checked_url(url)
    try:
        pattern = re.compile((body or "").encode())
    except re.error as error:
        raise ValueError(f"body must be a regular expression, not {shown(body)}: {error}") from None
    opener = urllib.request.build_opener()  # not the one of the process, which others may replace
    sent = {"User-Agent": f"peak_observe/{__version__}", **(headers or {})}

    def check() -> Outcome:
        request = urllib.request.Request(url)  # noqa: S310 - the scheme was checked above
        for name, value in sent.items():
            request.add_unredirected_header(name, value)  # a key must not go to another host
        started = time.perf_counter()
        try:
            code, reason, content = get(opener, request, timeout)
        except NoAnswer as error:
            return False, str(error), {}
        details = {"status": code, "seconds": round(time.perf_counter() - started, 3)}
        if code != status and (status is not None or code not in SUCCESS):
            return False, f"HTTP {code} {reason}".strip() + (f" instead of {status}" if status else ""), details
        if not pattern.search(content):
            return False, f"HTTP {code}, but the body does not match {shown(body)}", details
        return True, f"HTTP {code} in {details['seconds']:.3f} s", details

    return check


class NoAnswer(Exception):  # noqa: N818 - what happened, and no error of ours
    """The server could not be asked, or did not answer; the message gives the reason."""


def checked_url(url: str) -> None:
    """Raise a ValueError unless a text is an http or https address."""
    if urlsplit(url).scheme not in ("http", "https") or not urlsplit(url).hostname:
        raise ValueError(f"url must begin with http:// or https:// and a host, not {redact(url)!r}")


def _cause(error: Exception) -> Exception:
    reason: object = getattr(error, "reason", None)
    return reason if isinstance(reason, Exception) else error


def get(
    opener: urllib.request.OpenerDirector,
    request: urllib.request.Request,
    timeout: float,
) -> tuple[int, str, bytes]:
    """Return status, reason and the first MiB of the body of an answer.

    Raises:
        NoAnswer: There is none.
    """
    try:
        with opener.open(request, timeout=timeout) as answer:
            return answer.status, answer.reason, answer.read(MAX_BODY)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.reason, error.read(MAX_BODY)
    except (OSError, HTTPException) as error:
        raise NoAnswer(f"no answer: {describe(_cause(error))}") from None


def tcp(host: str, port: int, *, timeout: float = 5.0) -> CheckFunction:
    """Return a check that a TCP connection can be made.

    Args:
        host: A name or an address.
        port: The port.
        timeout: Seconds for the connection.

    Raises:
        ValueError: The port or the timeout makes no sense.
    """
    validation.check_period("timeout", timeout)
    if isinstance(port, bool) or not isinstance(port, int) or not 0 < port <= MAX_PORT:
        raise ValueError(f"port must be a whole number from 1 to {MAX_PORT}, not {port!r}")

    def check() -> Outcome:
        started = time.perf_counter()
        try:
            with socket.create_connection((host, port), timeout):
                took = time.perf_counter() - started
        except OSError as error:
            return False, f"cannot connect to {host}:{port}: {error.strerror or error}", {}
        return True, f"connected to {host}:{port} in {took:.3f} s", {"seconds": round(took, 3)}

    return check
