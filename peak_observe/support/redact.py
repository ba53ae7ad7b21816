"""Redaction: the one way by which texts lose their secrets before they leave the process.

Log lines, spans, events, labels, messages of checks, the status page and our own exceptions all pass here. First goes
what the process was told of, in every form; then what has the form of a secret, addresses, and fields by their names.
"""

from __future__ import annotations

import html
import math
import re
from typing import Any
from urllib.parse import unquote

from peak_observe.support.disguises import DEFAULT_IGNORABLE, undisguised
from peak_observe.support.secret_fields import without_values
from peak_observe.support.secret_names import is_secret
from peak_observe.support.secret_shapes import without_shapes
from peak_observe.support.secret_urls import without_secrets
from peak_observe.support.secret_values import HIDDEN, KNOWN

MAX_LENGTH = 300
MAX_DEPTH = 8
MAX_BITS = 4096
LONGEST = 100
PAIR = 2
LAYERS = 3
"""Times that a text is looked at under its encoding: an address in a query in a query."""

_ENCODED = re.compile(r"%[0-9A-Fa-f]{2}|\\/|&(?:quot|#\d{1,4}|#x[0-9A-Fa-f]{1,4}|amp|lt);|\\[uUx][0-9A-Fa-f]{2}")
_RUN = re.compile(r"\S++")
_CODE = re.compile(r"\\{1,4}(?:u([0-9A-Fa-f]{4})|x([0-9A-Fa-f]{2})|U(00(?:0[0-9A-Fa-f]|10)[0-9A-Fa-f]{4}))")


def clean(text: str) -> str:
    """Return a text without secrets, whatever its length, in time that grows with it.

    It is a net, not a proof: a secret that has no telling name, form or place, and was never told, passes.
    """
    text = KNOWN.hide(text)
    plain = undisguised(text)
    if plain != text:
        found = _cleaned(KNOWN.hide(plain), LAYERS)
        if found != plain:
            return found
    return _cleaned(text, LAYERS)


def _cleaned(text: str, layers: int) -> str:
    if layers and _ENCODED.search(text):
        text = _RUN.sub(lambda found: _under(found[0], layers - 1), text)
    return without_values(without_secrets(without_shapes(text)))


def _under(run: str, layers: int) -> str:
    """Return a word decoded and without its secrets if it holds any under its encoding, else as it is."""
    if not _ENCODED.search(run):
        return run
    plain = _CODE.sub(lambda found: chr(int(found[found.lastindex or 0], 16)), run)
    plain = undisguised(unquote(html.unescape(plain)).replace("\\/", "/"))
    found = KNOWN.hide(plain)
    found = _cleaned(found, layers)
    return found if found != plain else run


def redact(text: str) -> str:
    """Return `text` without secrets, see `clean`, cut to 300 characters."""
    text = clean(text[: 10 * MAX_LENGTH])
    return text if len(text) <= MAX_LENGTH else text[: MAX_LENGTH - 1] + "…"


def redact_line(text: str) -> str:
    """Return `text` without secrets on one line of at most 300 characters that cannot steer a terminal."""
    text = printable(" ".join(clean(text[: 10 * MAX_LENGTH]).split()))
    return text if len(text) <= MAX_LENGTH else text[: MAX_LENGTH - 1] + "…"


def describe(error: BaseException) -> str:
    """Return `Class: message` of an error on one printable line, redacted; one that cannot say itself is named only."""
    message = message_of(error)
    return f"{type(error).__name__}: {message}" if message else type(error).__name__


def message_of(error: BaseException) -> str:
    """Return the message of an error on one line, redacted; empty if it has none or cannot say it."""
    try:
        return redact_line(str(error))
    except Exception:  # noqa: BLE001 - a broken __str__ of somebody's exception must not break the caller
        return ""


def printable(text: str) -> str:
    """Return a text on one line, of which nothing can do more to a terminal than be read, and all can be seen."""
    if DEFAULT_IGNORABLE.search(text):
        text = DEFAULT_IGNORABLE.sub(lambda found: ascii(found[0])[1:-1], text)
    return "".join(char if char.isprintable() else repr(char)[1:-1] for char in text)


def printable_lines(text: str) -> str:
    """Return a text of several lines, each of which prints."""
    return "\n".join(map(printable, text.split("\n")))


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
        named = is_secret(_name(value.get("name", value.get("key", "")))) and "value" in value
        return {
            redact(_text(key)): HIDDEN if named and key == "value" else _hidden(key, item, depth)
            for key, item in value.items()
        }
    return _redacted_items(list(value), depth)


def _redacted_items(items: list[Any], depth: int) -> list[Any]:
    """Return the items of a list redacted; one after an option, or the second of a pair, may be a secret."""
    named = [False, *(_names_next(item, pair=len(items) == PAIR) for item in items)]
    return [HIDDEN if secret else redact_data(item, depth - 1) for secret, item in zip(named, items, strict=False)]


def _names_next(item: object, *, pair: bool) -> bool:
    name = _name(item)
    return (pair or name.startswith("-")) and " " not in name and is_secret(name)


def _name(key: object) -> str:
    return bytes(key[:LONGEST]).decode(errors="replace") if isinstance(key, bytes | bytearray) else _text(key)[:LONGEST]


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
    return HIDDEN if isinstance(key, str | bytes) and is_secret(_name(key)) else redact_data(value, depth - 1)


def _text(value: object) -> str:
    try:
        return str(value).encode(errors="backslashreplace").decode()
    except Exception:  # noqa: BLE001 - a broken __str__ must not break the caller
        return type(value).__name__
