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
        self._right: OrderedDict[bytes, tuple[str, bytes]] = OrderedDict()  # with the user and the hash it was for
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
            name, hashed = self._right.get(digest, ("", b""))
            return True if hashed and self._users.get(name) == hashed else self._wrong.get(digest)

    def check(self, header: str) -> bool:
        """Return whether a header is right; takes as long as bcrypt."""
        name, password = _credentials(header)
        users = self._users
        hashed = users.get(name) or next(iter(users.values()))
        right = _matches(password, hashed) and name in users
        digest = self._digest(" ".join(header.split()))
        with self._lock:
            if right:
                self._right[digest] = (name, hashed)
            elif users is self._users:
                self._wrong[digest] = False
            for known in (self._right, self._wrong):
                while len(known) > REMEMBERED:
                    known.popitem(last=False)
        return right

    def renew(self, users: Mapping[str, bytes]) -> None:
        """Take over other users; who was verified stays so, as long as the hash is the same.

        To guess passwords while the configuration is reloaded would lock everybody out.
        """
        with self._lock:
            self._users = users
            self._wrong.clear()

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
