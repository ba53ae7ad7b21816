"""Texts without what hides a name from a search and not from a reader: invisible characters, colours, wide letters."""

from __future__ import annotations

import re
import unicodedata

DEFAULT_IGNORABLE = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u3164\uffa0\ufe00-\ufe0d\U000e0100-\U000e01ef]"
)
"""Characters that print nothing although `str.isprintable` accepts them; the forms of emoji are not among them."""

# Colours and links of a terminal: CSI, and OSC up to its end.
_ESCAPE = re.compile(r"(?:\x1b\[|\x9b)[0-?]*+[ -/]*+[@-~]|(?:\x1b\]|\x9d)[^\x07\x1b\x9c\n]*+(?:\x07|\x1b\\|\x9c)?")
_LINK = re.compile(r"^(?:\x1b\]|\x9d)8;[^;]*+;(.*?)(?:\x07|\x1b\\|\x9c)?$")
_INVISIBLE = frozenset(("Cc", "Cf", "Cs"))
_KEPT = frozenset("\t\n\r")
_QUOTES = dict.fromkeys(map(ord, "\u201c\u201d\u201e\u00ab\u00bb"), '"') | dict.fromkeys(
    map(ord, "\u2018\u2019\u201a\u2039\u203a"), "'"
)


def undisguised(text: str) -> str:
    """Return a text as a reader sees it, in plain letters, to look for secrets in it.

    Invisible characters go, addresses of links stay, letters and signs of full width and typographic quotes become
    plain ones. A text in which nothing is disguised comes back as it is.
    """
    if text.isascii() and (text.isprintable() or not _CONTROL.search(text)):
        return text
    text = _ESCAPE.sub(lambda found: _address(found[0]), text)
    return "".join(map(_plain, DEFAULT_IGNORABLE.sub("", text)))


_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")


def _address(escape: str) -> str:
    found = _LINK.match(escape)
    return f" {found[1]} " if found and found[1] else ""


def _plain(char: str) -> str:
    if char.isascii() and char.isprintable():
        return char
    if unicodedata.category(char) in _INVISIBLE:
        return char if char in _KEPT else ""
    return _QUOTES.get(ord(char)) or unicodedata.normalize("NFKC", char)
