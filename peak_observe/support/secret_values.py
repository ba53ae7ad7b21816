"""Values of secrets that this process was told of, found again in texts in every form that they may have there.

Kept are numbers only: Python's keyed hashes of each eight neighbouring characters of each form, under a key that is new
in each process. So a text is searched in one pass, whatever the number of secrets, and nothing that prints, pickles
or dumps this module shows one.
"""

from __future__ import annotations

import base64
import json
import string
from html import escape
from typing import TYPE_CHECKING, NoReturn
from urllib.parse import quote, quote_plus

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

HIDDEN = "***"
SHORTEST = 4
"""Characters of the shortest value that is looked for; shorter ones are parts of every second word."""

PART = 8
"""Characters of the shortest part of a value that is hidden wherever it stands; shorter values have to stand alone."""

LONGEST = 8192
MOST = 500_000
"""Parts of values of exchange objects after which the oldest ones are forgotten."""

_FOLD = str.maketrans(string.ascii_uppercase, string.ascii_lowercase)
# Hiding the word itself would tell nothing less, and spoil every text.
_PLACEHOLDERS = frozenset(
    (
        "apikey", "api_key", "api-key", "changeme", "demo", "false", "none", "null", "password", "passphrase", "secret",
        "secrets", "test", "testnet", "token", "true", "undefined", "xxxx", "xxxxxxxx", "your_api_key", "your_secret",
    )
)  # fmt: skip
# Long words of ordinary messages, of which a passphrase may consist: alone they give nothing of it away.
_ORDINARY = frozenset(
    (
        "accounts", "backup", "balances", "binance", "building", "coinbase", "computer", "connection", "contract",
        "currency", "database", "deposits", "elephant", "exchange", "exchanges", "exporter", "failures", "function",
        "internet", "interval", "leverage", "limits", "margin", "markets", "metrics", "minutes", "mountain", "observe",
        "password", "passphrase", "position", "positions", "private", "products", "protected", "provider", "question",
        "recovery", "repository", "request", "requests", "response", "restore", "second", "seconds", "security",
        "service", "signature", "snapshot", "strategy", "terminal", "tickers", "timeout", "timestamp", "together",
        "trading", "transfer", "username", "variable", "withdraw", "withdrawal", "yesterday",
    )
)  # fmt: skip


class SecretValues:
    """Values to hide, as hashes of their parts."""

    __slots__ = ("_alone", "_before", "_kept", "_parts")

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        """Forget all values."""
        self._parts: dict[int, set[int]] = {}
        self._alone: dict[int, set[int]] = {}
        self._kept: set[int] = set()
        # What came from exchange objects, in two generations: the older one is dropped when the newer one is full.
        self._before = (set[int](), set[int]())

    def __repr__(self) -> str:
        return "<SecretValues>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("the secrets of a process are not written anywhere")

    def __len__(self) -> int:
        return sum(map(len, (*self._parts.values(), *self._alone.values(), *self._before)))

    def learn(self, values: Iterable[str], *, kept: bool = True, whole: bool = False) -> None:
        """Take in values.

        Args:
            values: What to hide; those of fewer than four characters, and words such as `secret`, are left out.
            kept: Whether they stay for the life of the process, or until many others came.
            whole: Whether only the whole value is hidden, where it stands alone: names of users, addresses.
        """
        for value in values:
            if len(value) >= SHORTEST and value.translate(_FOLD) not in _PLACEHOLDERS:
                self._learn(value[:LONGEST], kept=kept, whole=whole)

    def _learn(self, value: str, *, kept: bool, whole: bool) -> None:
        known, newer = hash((value, whole)), self._before[0]
        if known in (self._kept if kept else newer):
            return
        if whole or len(value) < PART:
            for form in _spelled(value):
                self._alone.setdefault(len(form), set()).add(hash(form))
        if not whole:
            parts = {part for form in _forms(value) for part in _windows(form)}
            for form in _encoded(value) if len(value) < PART else ():
                self._parts.setdefault(len(form), set()).add(hash(form))
            if kept:
                self._parts.setdefault(PART, set()).update(map(hash, parts))
            else:
                newer.update(map(hash, parts))
        (self._kept if kept else newer).add(known)
        if len(newer) > MOST:
            self._before = (set(), newer)

    def hide(self, text: str) -> str:
        """Return a text with all known values and their parts replaced."""
        if not self:
            return text
        spans = sorted(self._found(text.translate(_FOLD)))
        if not spans:
            return text
        pieces, at = [], 0
        for start, end in _merged(spans):
            if _is_ordinary(text[start:end]):
                continue
            pieces += [text[at:start], HIDDEN]
            at = end
        return "".join((*pieces, text[at:]))

    def _found(self, text: str) -> Iterator[tuple[int, int]]:
        newer, older = self._before
        for size, known in list(self._parts.items()):
            if size != PART:
                yield from _places(text, size, (known,))
        yield from _places(text, PART, (self._parts.get(PART, set()), newer, older))
        for size, known in list(self._alone.items()):
            for start, end in _places(text, size, (known,)):
                if not (text[start - 1 : start].isalnum() or text[end : end + 1].isalnum()):
                    yield start, end


def _places(text: str, size: int, known: tuple[set[int], ...]) -> list[tuple[int, int]]:
    sets = [one for one in known if one]
    if len(sets) == 1:
        (only,) = sets
        return [(at, at + size) for at in range(len(text) - size + 1) if hash(text[at : at + size]) in only]
    hashes = ((at, hash(text[at : at + size])) for at in range(len(text) - size + 1) if sets)
    return [(at, at + size) for at, found in hashes if any(found in one for one in sets)]


def _is_ordinary(found: str) -> bool:
    """Return whether what a text shares with a secret are words that all texts hold, and no more than that."""
    words = found.lower().split()
    return len(found) < 2 * PART and all(word in _ORDINARY or len(word) < SHORTEST for word in words) and len(words) > 0


def _merged(spans: list[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    first, last = spans[0]
    for start, end in spans:
        if start > last:
            yield first, last
            first = start
        last = max(last, end)
    yield first, last


def _windows(form: str) -> Iterator[str]:
    return (form[at : at + PART] for at in range(len(form) - PART + 1))


def _forms(value: str) -> set[str]:
    return {form for form in (*_spelled(value), *_encoded(value)) if len(form) >= PART}


def _spelled(value: str) -> set[str]:
    """Return the forms of a value that read like itself, folded to lower case."""
    escaped = json.dumps(value)[1:-1]
    found = {
        value, value.lower(), value.upper(), escaped, json.dumps(escaped)[1:-1],
        json.dumps(value, ensure_ascii=False)[1:-1],
        repr(value)[1:-1], repr(value.encode(errors="replace"))[2:-1], " ".join(value.split()), "".join(value.split()),
        quote(value, safe="", errors="replace"), quote(value, errors="replace"), quote_plus(value, errors="replace"),
        escape(value),
    }  # fmt: skip
    return {form.translate(_FOLD) for form in found if len(form) >= SHORTEST}


def _encoded(value: str) -> set[str]:
    """Return the value in hexadecimal digits and in base64, as it looks at each of three places of a longer text."""
    raw = value.encode(errors="replace")
    found = {raw.hex()}
    for shift in range(3):
        # What depends on the neighbours is left out: the first and the last character beyond whole ones of the value.
        text = base64.b64encode(bytes(shift) + raw).decode()
        inner = text[-(-shift * 8 // 6) : (shift + len(raw)) * 8 // 6]
        found |= {inner, inner.replace("+", "-").replace("/", "_"), quote(inner, safe="")}
    return {form.translate(_FOLD) for form in found}


KNOWN = SecretValues()
"""The secrets of this process."""


def learn_configured(secrets: Iterable[str]) -> None:
    """Teach this process's redactor what a program names as secret.

    Raises:
        TypeError: It is one text instead of several, or one of them is no text.
        ValueError: One of them is too short to be told from other words.
    """
    if isinstance(secrets, str | bytes):
        raise TypeError("secrets must be a list of texts, not one text: secrets=[…]")
    values = list(secrets)
    for place, value in enumerate(values):
        if not isinstance(value, str):
            raise TypeError(f"secrets[{place}] must be a text, not {type(value).__name__}: is a variable unset?")
        if len(value) < SHORTEST:
            raise ValueError(f"secrets[{place}] has fewer than {SHORTEST} characters, which every text holds somewhere")
    KNOWN.learn(values)
