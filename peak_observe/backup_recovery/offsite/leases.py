"""Leases: pushes that run and a prune keep out of each other's way, without a lock and by the store's clock alone.

Each writes its own mark first and looks for the other's then, so that of two at the same time at least one sees the
other: a push waits for a prune, and a prune that sees a push gives way. What a crash leaves behind expires.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta

from peak_observe.backup_recovery.offsite.record import LEASES, PRUNES, is_ours
from peak_observe.backup_recovery.offsite.transport import Found, Transport
from peak_observe.clock import Clock
from peak_observe.errors import StoreError

EXPIRY = timedelta(hours=2)
"""For how long a lease stands that nobody renews: longer than a request may take, and a machine mostly sleeps."""

RENEWAL = 600.0  # seconds
PATIENCE = 3600.0  # seconds that a push waits for a prune
PAUSE = 5.0
RUNNING = f"{PRUNES}/running"
OTHER_PRUNE = "another prune of this store is under way: try again when it has ended"
_ENDED = b""  # no bytes: credentials that can only add cannot remove a mark


class Lease:
    """Lease of a push, renewed while it works.

    Args:
        transport: The store.
        clock: For the pauses between renewals.
        host: Whose push it is.
    """

    def __init__(self, transport: Transport, clock: Clock, host: str) -> None:
        self.name = f"{LEASES}/{secrets.token_hex(8)}"
        self._transport = transport
        self._clock = clock
        self._text = f"push of {host}".encode()
        self._renewed = clock.monotonic()

    def take(self) -> None:
        """Write the lease, then wait until no prune runs.

        Raises:
            StoreError: A prune runs for an hour.
        """
        self._transport.put(self.name, self._text)
        waited = 0.0
        while prune_runs(self._transport, self._now()):
            if waited >= PATIENCE:
                raise StoreError("a prune of this store has not ended for an hour: try again later")
            self._clock.sleep(PAUSE)
            waited += PAUSE

    def renew(self) -> None:
        """Write it again if that is due."""
        if self._clock.monotonic() - self._renewed >= RENEWAL:
            self._renewed = self._clock.monotonic()
            self._transport.put(self.name, self._text)

    def stands(self) -> bool:
        """Return whether it is still there: else a prune took it for expired, and may have removed what is needed."""
        found = self._transport.stat(self.name)
        return found is not None and found.size > 0

    def end(self) -> None:
        """Give it back; where that fails it expires."""
        with suppress(StoreError):
            self._transport.put(self.name, _ENDED)
            self._transport.delete([self.name])

    def _now(self) -> datetime:
        found = self._transport.stat(self.name)
        if found is None:
            raise StoreError(f"{self.name} was written and is not there: the store forgets what is written")
        return found.modified


def prune_runs(transport: Transport, now: datetime) -> bool:
    """Return whether a prune runs."""
    found = transport.stat(RUNNING)
    return found is not None and found.size > 0 and now - found.modified < EXPIRY


@contextmanager
def exclusive(transport: Transport) -> Iterator[Callable[[], None]]:
    """Let no push begin while a prune works, and yield what renews that.

    Raises:
        StoreError: A push or another prune is under way.
    """
    own = f"{PRUNES}/{secrets.token_hex(8)}"
    text = own.encode()
    transport.put(own, text)
    now = _modified(transport, own)
    transport.delete([own])  # credentials that cannot remove anything end here
    if prune_runs(transport, now):
        raise StoreError(OTHER_PRUNE)
    transport.put(RUNNING, text)
    try:
        if transport.get(RUNNING) != text:
            raise StoreError(OTHER_PRUNE)
        leases = [found for found in transport.list(f"{LEASES}/") if is_ours(found.name)]
        living = [lease for lease in leases if lease.size and now - lease.modified < EXPIRY]
        if living:
            until = max(lease.modified for lease in living) + EXPIRY
            again = f"when it has ended, or after {until:%H:%M} UTC if it was killed"
            raise StoreError(f"{_pushes(living)} under way: nothing was removed; try again {again}")
        transport.delete(lease.name for lease in leases)
        yield lambda: transport.put(RUNNING, text)
    finally:
        if _is_own(transport, text):
            transport.put(RUNNING, _ENDED)
            transport.delete([RUNNING])


def _is_own(transport: Transport, text: bytes) -> bool:
    with suppress(StoreError):
        return transport.get(RUNNING) == text
    return False


def _modified(transport: Transport, name: str) -> datetime:
    found = transport.stat(name)
    if found is None:
        raise StoreError(f"{name} was written and is not there: the store forgets what is written")
    return found.modified


def _pushes(living: list[Found]) -> str:
    return "a push is" if len(living) == 1 else f"{len(living)} pushes are"
