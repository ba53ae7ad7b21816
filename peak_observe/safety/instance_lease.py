"""Lease of a single instance among hosts: a record in the shared state that its holder renews.

It ends by the clock of the server, and a holder that cannot renew it takes it for lost before that. Each holder has a
higher fencing token than the one before it (Kleppmann, "How to do distributed locking", 2016), also after the server
has lost its data, as tokens follow its clock.
"""

from __future__ import annotations

import os
import socket
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from peak_observe.errors import AlreadyRunningError, SharedStateError
from peak_observe.support import process_start
from peak_observe.support.wake_event import WakeEvent

if TYPE_CHECKING:
    from peak_observe.coordination.engine import StoredRecord
    from peak_observe.coordination.shared_records import SharedRecords

LASTS = 15.0
"""Seconds after which the lease of a host that is gone may be taken."""
EVERY = LASTS / 3
RETRY = 1.0
CLAIM = EVERY + RETRY
"""Seconds in which a holder that is alive takes its lease back from whoever found no record."""
MARGIN = 1.0
"""Seconds by which a holder takes it for lost too soon, for requests that are under way."""
PATIENCE = 3.0
"""Seconds for which a process that starts waits for an answer, of which one may be late."""
_TRIES = 20
_LONGEST_HOST = 60
_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)  # which runs on while the machine sleeps


class Leased(NamedTuple):
    """Lease as the record has it.

    Args:
        holder: Random text of the holder; empty where it was released.
        token: Fencing token.
        until: When it ends, Unix time of the server.
        pid: The process that holds it.
        host: Its host.
        since: When that process began, ISO 8601 in UTC.
        place: Digest of the machine and the lock file, of which one process can be alive.
        claim: Whether it was taken while nothing was known, so that a holder that is alive may take it back.
        refused: Number of processes that were refused.
    """

    holder: str
    token: int
    until: float
    pid: int = 0
    host: str = ""
    since: str = ""
    place: str = ""
    claim: bool = False
    refused: int = 0


class InstanceLease:
    """Lease that this process holds and renews in a daemon thread.

    Args:
        name: What is held, for messages.
        identity: What only one process may hold; the record has its hash.
        records: The records of the shared state.
        place: Digest of the machine and the lock file that this process holds.

    Raises:
        AlreadyRunningError: A process of another host holds it.
        SharedStateError: The shared state cannot be reached.
    """

    def __init__(self, name: str, identity: str, records: SharedRecords, *, place: str) -> None:
        self._name = name
        self._records = records
        self._key = f"instance:{_digest(identity)}"
        self._ended = WakeEvent()
        self._deadline = 0.0
        self._lost = ""
        self._refused_before = self._refused = 0
        since = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(process_start.started()))
        host = socket.gethostname()[:_LONGEST_HOST]
        self._mine = Leased(os.urandom(8).hex(), 0, 0.0, os.getpid(), host, since, place)
        try:
            self._take_in_time()
            threading.Thread(target=self._renew_on, name="peak-observe-lease", daemon=True).start()
        except BaseException:  # Ctrl-C in a claim, or no thread: the next host need not wait for its end
            self.release()
            raise

    @property
    def token(self) -> int:
        """Fencing token, higher than that of each holder before."""
        return self._mine.token

    @property
    def held(self) -> bool:
        """Whether no other host can have it."""
        return _now() < self._deadline

    @property
    def why_not(self) -> str:
        """Reason for which it is not held."""
        return self._lost or f"the shared state at {self._records.address} cannot be reached to renew its lease"

    @property
    def refusals(self) -> int:
        """Number of processes of other hosts that were refused, as of the last renewal."""
        return self._refused - self._refused_before

    def release(self) -> None:
        """Give it back; where the shared state is away it ends by itself."""
        self.forget()
        with suppress(SharedStateError):
            for _ in range(_TRIES):  # a process that is refused, or a renewal under way, may write between
                stored = self._records.load(self._key)
                found = _leased(stored)
                if found is None or found.holder != self._mine.holder:
                    return
                if self._replace(found._replace(holder="", until=0.0), stored):
                    return

    def forget(self) -> None:
        """Hold it no more, without giving it back, as in a forked child."""
        self._deadline = 0.0
        self._ended.set()

    def _take_in_time(self) -> None:
        end = time.monotonic() + PATIENCE
        while True:
            try:
                self._take()
            except SharedStateError:
                if time.monotonic() >= end:
                    raise
                time.sleep(0.05)
            else:
                return

    def _take(self) -> None:
        for _ in range(_TRIES):
            begin, stored = _now(), self._records.load(self._key)
            found = _leased(stored)
            # Of this place the lock file is ours, so who had the lease is dead. A lease too long comes from a clock
            # that was set back.
            free = found is not None and (found.until <= stored.now or found.place == self._mine.place)
            doubtful = found is None or found.until > stored.now + LASTS + MARGIN
            if found is not None and not free and not doubtful:
                self._refuse(found, stored)
            if self._write(found, stored, claim=not free) and (free or self._is_confirmed()):
                self._deadline = self._deadline or begin + LASTS - MARGIN
                return
        raise SharedStateError(self._records.address, f"others take the lease of {self._name!r} all the time")

    def _write(self, before: Leased | None, stored: StoredRecord, *, claim: bool) -> bool:
        self._refused_before = self._refused = before.refused if before else 0
        token = max(before.token + 1 if before else 1, int(stored.now * 1000))
        until = stored.now + LASTS
        self._mine = self._mine._replace(token=token, until=until, claim=claim, refused=self._refused)
        return self._replace(self._mine, stored)

    def _is_confirmed(self) -> bool:
        """Wait for a holder that takes its lease back from a claim, and return whether there was none."""
        time.sleep(CLAIM)
        begin, stored = _now(), self._records.load(self._key)
        found = _leased(stored)
        if found is None or found.holder != self._mine.holder:
            return False
        self._mine = found._replace(claim=False, until=stored.now + LASTS)
        if not self._replace(self._mine, stored):
            return False
        self._deadline = begin + LASTS - MARGIN
        return True

    def _refuse(self, found: Leased, stored: StoredRecord) -> None:
        self._replace(found._replace(refused=found.refused + 1), stored)
        raise AlreadyRunningError(self._name, found.pid, found.since, found.host)

    def _replace(self, lease: Leased, stored: StoredRecord) -> bool:
        return self._records.replace(self._key, lease._asdict(), after=stored.writes).replaced

    def _renew_on(self) -> None:
        wait = EVERY
        while not self._ended.wait(wait) and not self._lost:
            try:
                wait = EVERY if self._renew() else RETRY / 10
            except SharedStateError:
                wait = RETRY  # the shared state logs it; what is not renewed in time is not held

    def _renew(self) -> bool:
        begin, stored = _now(), self._records.load(self._key)
        found = _leased(stored)
        if self._ended.is_set():  # given back meanwhile
            return True
        if found is not None and found.holder != self._mine.holder and not (found.claim and self.held):
            self._lose(found)
            return True
        self._refused = max(self._refused, found.refused if found is not None else 0)
        mine = self._mine._replace(until=stored.now + LASTS, refused=self._refused)
        if not self._replace(mine, stored):
            return False
        if not self._ended.is_set():
            self._deadline = begin + LASTS - MARGIN
        return True

    def _lose(self, found: Leased) -> None:
        from peak_observe.support.loggers import logger

        self._deadline = 0.0
        self._lost = f"process {found.pid} on {found.host} has taken the lease of {self._name!r}"
        logger("peak_observe.safety").error("%s: this process must not go on", self._lost)


def _leased(stored: StoredRecord) -> Leased | None:
    """Return the lease of a record; None where there is none, or something else."""
    try:
        found = Leased(**stored.value)
    except TypeError:
        return None
    return found if isinstance(found.token, int) and isinstance(found.until, int | float) else None


def _digest(identity: str) -> str:
    import hashlib

    return hashlib.blake2b(identity.encode(), digest_size=16, person=b"peak-lease").hexdigest()


def _now() -> float:
    return time.clock_gettime(_CLOCK)
