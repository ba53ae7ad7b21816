"""Redaction of secrets in log lines, span descriptions, messages and details of health checks."""

from __future__ import annotations

import math
import re
from typing import Any

MAX_LENGTH = 300
MAX_DEPTH = 8
MAX_BITS = 4096

# A query string may carry a signature, a user part a password; the host and path are what helps at night.
_URL = re.compile(r"(\b[a-z][a-z0-9+.-]*://)(?:[^\s/@]*@)?([^\s?#\"']*)(?:[?#][^\s\"']*)?", re.IGNORECASE)
_FIELD = r"(?:api[_-]?key|secret|signature|api[_-]?sign|passw(?:or)?d|passphrase|token|authorization|nonce)"
_SECRET_FIELD = re.compile(_FIELD, re.IGNORECASE)
_SECRET = re.compile(
    rf"(?i)({_FIELD}"
    r"[\"']?\s*(?P<sign>[:=])\s*(?P<opening>bearer\s+|basic\s+)?)(?P<value>\"[^\"]*\"|'[^']*'|[^\s,;&}\"']+)",
)
_WORD = re.compile(r"[A-Za-z]+(?:['-][a-z]+)*[.!]?")


def redact(text: str) -> str:
    """Return `text` without query strings, credentials and values of secret-looking fields, cut to 300 characters.

    It is a net under the exchange client's own redaction, not a proof: what matches no pattern passes.
    """
    text = _SECRET.sub(_without_value, _URL.sub(r"\1\2", text[: 10 * MAX_LENGTH]))
    return text if len(text) <= MAX_LENGTH else text[: MAX_LENGTH - 1] + "…"


def _without_value(found: re.Match[str]) -> str:
    return found[0] if gives_a_reason(found) else f"{found[1]}***"


def gives_a_reason(found: re.Match[str]) -> bool:
    """Return whether a word after the name of a secret belongs to a sentence, as in `Invalid nonce: too low`.

    Args:
        found: The match, with groups `sign` (`:` or `=`), `opening` (a quote, or the scheme) and `value`.
    """
    opening = found["opening"] or ""
    if found["sign"] == "=" or opening[-1:].isspace() or not _WORD.fullmatch(found["value"]):
        return False
    text, start, end = found.string, found.start(), found.end()
    goes_on = re.match(r" [A-Za-z]", text[end : end + 2]) is not None
    return goes_on or (not opening and re.search(r"[A-Za-z] $", text[max(0, start - 2) : start]) is not None)


def describe(error: BaseException) -> str:
    """Return `Class: message` of an error on one line, redacted; an error that cannot say itself is named only."""
    try:
        message = " ".join(redact(str(error)).split())
    except Exception:  # noqa: BLE001 - a broken __str__ of somebody's exception must not break the caller
        message = ""
    return f"{type(error).__name__}: {message}" if message else type(error).__name__


def printable(text: str) -> str:
    """Return a text on one line, of which nothing can do more to a terminal than be read."""
    return "".join(char if char.isprintable() else repr(char)[1:-1] for char in text)


def redact_data(value: Any, depth: int = MAX_DEPTH) -> Any:
    """Return a copy that JSON can hold, with texts redacted and the values of secret-looking keys as `***`.

    What JSON has no form for becomes its text, and what is nested deeper than `depth` becomes an ellipsis.
    """
    if hasattr(value, "item") and not isinstance(value, float | dict):
        value = _scalar(value)
    if value is None or isinstance(value, int | float):
        return _number(value)
    if not isinstance(value, dict | list | tuple | set | frozenset):
        return redact(_text(value))
    if depth == 0:
        return "…"
    if isinstance(value, dict):
        return {redact(_text(key)): _hidden(key, item, depth) for key, item in value.items()}
    return [redact_data(item, depth - 1) for item in value]


def _number(value: Any) -> Any:
    # Python refuses to write whole numbers of more than 4,300 digits, and JSON has none that are not finite.
    if isinstance(value, int):
        return value if value.bit_length() <= MAX_BITS else f"a whole number of {value.bit_length()} bits"
    return value if value is None or math.isfinite(value) else str(value)


def _scalar(value: Any) -> Any:
    """Return a number of numpy, or of a library like it, as Python's own; other objects as they are."""
    try:
        found = value.item()
    except Exception:  # noqa: BLE001 - an array of several values, or something else that is called so
        return value
    return found if isinstance(found, bool | int | float | str) else value


def _hidden(key: object, value: Any, depth: int) -> Any:
    return "***" if isinstance(key, str) and _SECRET_FIELD.search(key) else redact_data(value, depth - 1)


def _text(value: object) -> str:
    try:
        return str(value).encode(errors="backslashreplace").decode()
    except Exception:  # noqa: BLE001 - a broken __str__ must not break the caller
        return type(value).__name__
