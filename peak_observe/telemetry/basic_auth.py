"""Basic authentication: bcrypt hashes, slow on purpose, whose verdicts are cached, or a password that is known."""

from __future__ import annotations

import base64
import hashlib
import secrets
import threading
from collections import OrderedDict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

REMEMBERED = 256
LONGEST = 72  # bytes of a password that bcrypt looks at


class Passwords:
    """Verifier of `Authorization` headers.

    A name that nobody has costs as much time as a wrong password. What is remembered are keyed digests, not passwords.

    Args:
        users: Bcrypt hashes by name.
        plain: Passwords themselves by name, which are looked up in no time.
    """

    def __init__(self, users: Mapping[str, bytes], plain: Mapping[str, str] | None = None) -> None:
        self._users = users
        self._key = secrets.token_bytes(32)
        self._right: OrderedDict[bytes, bool] = OrderedDict()
        self._wrong: OrderedDict[bytes, bool] = OrderedDict()  # apart: a flood of these shall not displace the others
        self._lock, self._guess = threading.Lock(), threading.Lock()
        self._known = frozenset(self._digest(header(name, password)) for name, password in (plain or {}).items())

    def right(self, headers: list[str]) -> bool:
        """Return whether a request with these `Authorization` headers may pass; guesses wait for each other.

        Args:
            headers: All of them; several are none.
        """
        header = headers[0] if len(headers) == 1 else ""
        found = self.remembered(header)
        if found is None:
            with self._guess:  # bcrypt needs a core of the program, and a flood of guesses shall not need all
                found = self.remembered(header)
                found = self.check(header) if found is None else found
        return found

    def remembered(self, header: str) -> bool | None:
        """Return what was found for a header before, or None; takes no time."""
        if not self._users and not self._known:
            return True
        if not header:
            return False
        digest = self._digest(" ".join(header.split()))
        if digest in self._known or not self._users:
            return digest in self._known
        with self._lock:
            return self._right.get(digest, self._wrong.get(digest))

    def check(self, header: str) -> bool:
        """Return whether a header is right; takes as long as bcrypt."""
        name, password = _credentials(header)
        hashed = self._users.get(name) or next(iter(self._users.values()))
        right = _matches(password, hashed) and name in self._users
        with self._lock:
            known = self._right if right else self._wrong
            known[self._digest(" ".join(header.split()))] = right
            while len(known) > REMEMBERED:
                known.popitem(last=False)
        return right

    def _digest(self, header: str) -> bytes:
        # The dictionary compares digests under a key that nobody knows, so its timing tells nothing of the header.
        return hashlib.blake2b(header.encode(errors="replace"), key=self._key).digest()


def header(name: str, password: str) -> str:
    """Return the `Authorization` header of a name and a password."""
    return f"Basic {base64.b64encode(f'{name}:{password}'.encode()).decode()}"


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
    import bcrypt  # late: it is for hashes only, and comes with the extra

    fits = b"\0" not in password and len(password) <= LONGEST  # bcrypt refuses others; an empty one takes as long
    return bcrypt.checkpw(password if fits else b"", hashed) and fits
