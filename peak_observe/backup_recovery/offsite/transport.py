"""Transport to a store: the five requests that it needs, whatever the provider."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from typing import NamedTuple, Protocol

from peak_observe.backup_recovery.offsite.record import FOLDER, INDEXES, MANIFESTS, OBJECTS

NO_STORE = "is the disk mounted, and the url right? `peak-observe backup offsite init` makes a new store"

LEAST_PATIENCE = 30.0  # seconds that a store has for any answer
LARGE = (OBJECTS, MANIFESTS, INDEXES, FOLDER)
"""Folders whose objects may take long over a slow line."""


def is_large(name: str) -> bool:
    """Return whether the content of an object may take long; all others a store that works answers soon.

    The first request of each command is one of those, so that a store that takes connections and is silent is noticed.
    """
    return name.partition("/")[0] in LARGE


def patience(retry_timeout: float) -> float:
    """Return for how many seconds a request that moves little is waited for."""
    return max(LEAST_PATIENCE, retry_timeout)


class Found(NamedTuple):
    """One object in a listing.

    Args:
        name: Its name below the store's prefix.
        size: Its bytes.
        modified: When it was written, by the store's clock.
    """

    name: str
    size: int
    modified: datetime


class Transport(Protocol):
    """Requests to a store; every one raises `StoreError`, whose text holds no secret."""

    def put(self, name: str, content: bytes, *, new: bool = False) -> None:
        """Write an object, whole or not at all; where `new` and it is there, that one stays if the store can do so."""
        ...

    def get(self, name: str) -> bytes:
        """Return the content of an object; `ObjectMissingError` if there is none."""
        ...

    def list(self, prefix: str) -> Iterator[Found]:
        """Yield all objects below a prefix, which ends at a slash."""
        ...

    def stat(self, name: str) -> Found | None:
        """Return what a listing tells of one object, None if it is not there."""
        ...

    def delete(self, names: Iterable[str]) -> None:
        """Remove objects; those that are gone already count as removed."""
        ...

    def flush(self) -> None:
        """Return when all that was written outlives a power cut."""
        ...

    def clear(self) -> None:
        """Remove what writes that were cut off have left and no listing tells of; nobody may be writing."""
        ...


class Counted:
    """Transport that counts requests and bytes, and keeps to a bandwidth.

    Args:
        inner: The transport.
        wait: Called with the bytes that are about to be sent or were received.
    """

    def __init__(self, inner: Transport, wait: Callable[[int], object] | None = None) -> None:
        self._inner = inner
        self._wait = wait or (lambda _: None)
        self.requests = 0
        self.sent = 0

    def put(self, name: str, content: bytes, *, new: bool = False) -> None:
        """Write an object."""
        self._wait(len(content))
        self.requests += 1
        self._inner.put(name, content, new=new)
        self.sent += len(content)

    def get(self, name: str) -> bytes:
        """Return the content of an object."""
        self.requests += 1
        content = self._inner.get(name)
        self._wait(len(content))
        return content

    def list(self, prefix: str) -> Iterator[Found]:
        """Yield all objects below a prefix."""
        self.requests += 1
        return self._inner.list(prefix)

    def stat(self, name: str) -> Found | None:
        """Return what a listing tells of one object."""
        self.requests += 1
        return self._inner.stat(name)

    def delete(self, names: Iterable[str]) -> None:
        """Remove objects."""
        self.requests += 1
        self._inner.delete(names)

    def flush(self) -> None:
        """Return when all that was written outlives a power cut."""
        self._inner.flush()

    def clear(self) -> None:
        """Remove what writes that were cut off have left."""
        self._inner.clear()
