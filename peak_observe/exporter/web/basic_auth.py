"""Basic authentication with bcrypt, which is slow on purpose: verdicts are cached for a while."""

from __future__ import annotations

import base64
import hashlib
import secrets
import threading
from collections import OrderedDict
from typing import TYPE_CHECKING

import bcrypt

if TYPE_CHECKING:
    from collections.abc import Mapping

REMEMBERED = 256
LONGEST = 72  # bytes of a password that bcrypt looks at


class Passwords:
    """Verifier of `Authorization` headers.

    A name that nobody has costs as much time as a wrong password. What is remembered are keyed digests, not passwords.

    Args:
        users: Bcrypt hashes by name.
    """

    def __init__(self, users: Mapping[str, bytes]) -> None:
        self._users = users
        self._key = secrets.token_bytes(32)
        self._right: OrderedDict[bytes, bool] = OrderedDict()
        self._wrong: OrderedDict[bytes, bool] = OrderedDict()  # apart: a flood of these shall not displace the others
        self._lock = threading.Lock()

    def remembered(self, header: str) -> bool | None:
        """Return what was found for a header before, or None; takes no time."""
        if not self._users:
            return True
        if not header:
            return False
        digest = self._digest(header)
        with self._lock:
            return self._right.get(digest, self._wrong.get(digest))

    def check(self, header: str) -> bool:
        """Return whether a header is right; takes as long as bcrypt."""
        name, password = _credentials(header)
        hashed = self._users.get(name) or next(iter(self._users.values()))
        right = _matches(password, hashed) and name in self._users
        with self._lock:
            known = self._right if right else self._wrong
            known[self._digest(header)] = right
            while len(known) > REMEMBERED:
                known.popitem(last=False)
        return right

    def _digest(self, header: str) -> bytes:
        # The dictionary compares digests under a key that nobody knows, so its timing tells nothing of the header.
        return hashlib.blake2b(header.encode(errors="replace"), key=self._key).digest()


def _credentials(header: str) -> tuple[str, bytes]:
    scheme, _, encoded = header.partition(" ")
    if scheme.lower() != "basic":
        return "", b""
    try:
        name, _, password = base64.b64decode(encoded.strip(), validate=True).partition(b":")
        return name.decode(), password
    except ValueError:
        return "", b""


def _matches(password: bytes, hashed: bytes) -> bool:
    fits = b"\0" not in password and len(password) <= LONGEST  # bcrypt refuses others; an empty one takes as long
    return bcrypt.checkpw(password if fits else b"", hashed) and fits
