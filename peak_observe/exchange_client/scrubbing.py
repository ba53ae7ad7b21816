"""Scrubbing of an exchange's secrets from exceptions with all they came from, from log lines and printed text."""

from __future__ import annotations

import contextlib
import json
import logging
import re
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, quote, quote_plus, urlsplit

from peak_observe.exchange_client.classify import related
from peak_observe.support.redact import clean
from peak_observe.support.secret_names import is_secret
from peak_observe.support.secret_urls import path
from peak_observe.support.secret_values import HIDDEN, KNOWN, SHORTEST

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

CREDENTIALS = ("apiKey", "secret", "password", "twofa", "privateKey", "token")
IDENTITIES = ("uid", "login", "walletAddress")
"""What names the user: hidden as a whole, as a part of it is a part of other words and numbers, too."""

WHOLE = 8
"""A value with fewer characters is hidden where it stands alone, as it may be a part of other words and numbers."""

_NO_SECRETS = re.compile(r"(?i)time|(?:type|method|version)$")
_RANDOM = 16
_PLAIN_HEADERS = frozenset((
    "accept", "accept-encoding", "connection", "content-length", "content-type", "host", "origin", "user-agent",
))  # fmt: skip

# Attributes by which the HTTP libraries' errors carry the request with its headers.
_CARRIERS = ("request", "response", "request_info", "history", "headers")


def _without(text: str, value: str) -> str:
    if len(value) >= WHOLE:
        return text.replace(value, HIDDEN)
    return re.sub(rf"(?<![A-Za-z0-9]){re.escape(value)}(?![A-Za-z0-9])", HIDDEN, text)


class Scrubber:
    """Scrubber of texts and exceptions of one exchange object, whose secrets it teaches the redactor of the process.

    Args:
        credentials: Returns the present credentials, so that a changed key is hidden, too.
        identities: Returns the names of the user, which are hidden as a whole.
    """

    def __init__(
        self,
        credentials: Callable[[], Iterable[str]],
        identities: Callable[[], Iterable[str]] = tuple,
    ) -> None:
        self._credentials = credentials
        self._identities = identities
        self.learn()

    def learn(self) -> None:
        """Teach the redactor the present values; those that it knows cost next to nothing."""
        KNOWN.learn(self._credentials(), kept=False)
        KNOWN.learn(self._identities(), kept=False, whole=True)

    def text(self, text: str, extra: Iterable[str] = ()) -> str:
        """Return `text` without credentials, signatures and query strings.

        Args:
            text: What is to be shown.
            extra: Further values to hide, such as those of a request's headers.
        """
        self.learn()
        for value in sorted(set(extra), key=len, reverse=True):
            for form in _forms(value):
                text = _without(text, form)
        return clean(text)

    def error(self, error: BaseException, extra: Iterable[str] = ()) -> None:
        """Take the secrets out of an exception, in place, and out of all that it came from."""
        extra = tuple(extra)
        for found in list(related(error, contexts=True)):
            with contextlib.suppress(Exception):  # somebody's exception that resists must not hide the fault itself
                _scrub(found, lambda text: self.text(text, extra))


def credentials(exchange: Any) -> list[str]:
    """Return the secret values that a ccxt object holds and that are long enough to be told from other words."""
    named = {*CREDENTIALS, *(getattr(exchange, "requiredCredentials", None) or ())}.difference(IDENTITIES)
    return _texts(getattr(exchange, name, None) for name in named)


def identities(exchange: Any) -> list[str]:
    """Return what names the user of a ccxt object."""
    return _texts(getattr(exchange, name, None) for name in IDENTITIES)


def _texts(values: Iterable[object]) -> list[str]:
    return [value for value in values if isinstance(value, str) and len(value) >= SHORTEST]


def sent_secrets(url: str, headers: Mapping[str, object] | None, body: object) -> list[str]:
    """Return the values of a signed request that must not come back in a text: keys, signatures, nonces."""
    values = [str(value) for name, value in (headers or {}).items() if _is_secret(name, str(value))]
    fields = parse_qsl(urlsplit(url).query) + (parse_qsl(body) if isinstance(body, str) else [])
    values += [value for name, value in fields if is_secret(name)]
    return [value for value in values if len(value) >= SHORTEST]


def _is_secret(header: str, value: str) -> bool:
    # What a header without a telling name holds may be said again by the exchange: a limit, a window, a language.
    if header.lower() in _PLAIN_HEADERS or _NO_SECRETS.search(header):
        return False
    random = len(value) >= _RANDOM and any(map(str.isdigit, value))
    return random or is_secret(header)


def _forms(value: str) -> set[str]:
    escaped = json.dumps(value)[1:-1]
    return {value, escaped, repr(value)[1:-1], quote(value, safe=""), quote(value), quote_plus(value)}


def _scrub(error: BaseException, hide: Callable[[str], str]) -> None:
    error.args = tuple(_cleaned(value, hide) for value in error.args)
    for name, value in list(vars(error).items()):
        clean = _without_request(name) if name in _CARRIERS else _cleaned(value, hide)
        if clean is not value:
            vars(error)[name] = clean


def _without_request(name: str) -> object:
    # An aiohttp error's text names the address, so that one keeps something to show.
    return SimpleNamespace(real_url=HIDDEN, url=HIDDEN, method="", headers={}) if name == "request_info" else None


def _cleaned(value: object, hide: Callable[[str], str]) -> object:
    if isinstance(value, str):
        return _same_or(value, hide(value))
    if isinstance(value, bytes):
        return _same_or(value, hide(value.decode(errors="replace")).encode())
    if isinstance(value, list | tuple) and not hasattr(value, "_fields"):
        return type(value)(_cleaned(item, hide) for item in value)
    if isinstance(value, dict):
        return {_cleaned(key, hide): _cleaned(item, hide) for key, item in value.items()}
    return value


def _same_or(old: Any, new: Any) -> Any:
    return old if old == new else new


class QuietLogger(logging.LoggerAdapter[logging.Logger]):
    """Logger of ccxt that takes the secrets out of its lines and does nothing for lines that nobody wants."""

    def __init__(self, logger: logging.Logger, scrubber: Scrubber) -> None:
        super().__init__(logger, {})
        self._scrubber = scrubber

    def debug(self, msg: object, *args: object, **kwargs: Any) -> None:
        """Write what ccxt says of each request; mostly nobody listens, which has to cost nothing."""
        if self.logger.isEnabledFor(logging.DEBUG):
            self.log(logging.DEBUG, msg, *args, **kwargs)

    def log(self, level: int, msg: object, *args: object, **kwargs: Any) -> None:
        """Write one line without secrets."""
        if self.isEnabledFor(level):
            text = str(msg) % args if args else str(msg)
            self.logger.log(level, "%s", self._scrubber.text(text), **kwargs)


class WireFilter(logging.Filter):
    """Filter that takes signed query strings out of urllib3's lines about its requests."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Clean the record; it is always let through."""
        if isinstance(record.args, tuple):
            record.args = tuple(_wire(value) for value in record.args)
        return True


def _wire(value: object) -> object:
    # The path of a request, and the host before it: a token may stand in either.
    if not isinstance(value, str) or "/" not in value:
        return value
    before, mark, query = value.partition("?")
    shown = path(clean(before)) if before.startswith("/") else clean(before)
    signed = any(is_secret(name) for name, _ in parse_qsl(query))
    return shown if signed or not mark else f"{shown}?{clean(query)}"
