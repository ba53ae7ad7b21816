"""Single instance: one process at a time may hold a name, or trade with an API key.

A second copy of a bot sends the same orders again. Here it ends with an error that names the first one.
"""

from __future__ import annotations

import os
import threading
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from peak_observe.coordination.default import shared_of
from peak_observe.coordination.joinable import Joinable
from peak_observe.errors import AlreadyRunningError, InstanceLockError
from peak_observe.measures import INSTANCES, InstanceReading, forks
from peak_observe.measures.series import check_name
from peak_observe.safety.instance_lease import InstanceLease
from peak_observe.safety.instance_lock import InstanceLock
from peak_observe.support.shown import shown
from peak_observe.telemetry.snapshot import writer

if TYPE_CHECKING:
    from peak_observe.coordination.shared_records import SharedRecords

StrPath = str | os.PathLike[str]
DEFAULT_FOLDER = Path("~/.local/state/peak-observe")
CREDENTIALS = ("apiKey", "walletAddress", "login", "token", "privateKey")
"""What tells accounts apart, by ccxt's names, in the order in which it is looked for."""


class _Lock:
    """Lock of this process with all that hold it here, which together are one instance."""

    def __init__(self, lock: InstanceLock) -> None:
        self.lock = lock
        self.lease: InstanceLease | None = None
        self.users = 0
        self.released = False
        self._labels: set[str] = set()

    @property
    def held(self) -> bool:
        """Whether no other process of this host, or of those that share, can hold it."""
        return self.lock.held and (self.lease is None or self.lease.held)

    def take_lease(self, name: str, identity: str, records: SharedRecords) -> None:
        """Take the lease among hosts, too, once."""
        if self.lease is None:
            self.lease = InstanceLease(name, identity, records, place=self.lock.place)

    def release(self) -> None:
        """Give back lease and lock, in this order: who gets the lock at once finds the lease free."""
        self.released = True
        if self.lease is not None:
            self.lease.release()
        self.lock.release()

    def forget(self) -> None:
        """Close a forked child's copy."""
        self.released = True
        if self.lease is not None:
            self.lease.forget()
        self.lock.forget()

    def join(self, label: str) -> None:
        """Have the metrics tell of it under a name, once."""
        series = INSTANCES.series(label)
        if series.name not in self._labels:
            self._labels.add(series.name)
            series.join(self, self._read)
        self.users += 1

    def _read(self) -> InstanceReading:
        refused = self.lock.refusals + (self.lease.refusals if self.lease is not None else 0)
        return InstanceReading(None if self.released else float(self.held), refused)


class _Table:
    """Locks that this process holds, by folder and identity."""

    def __init__(self) -> None:
        self._lock = threading.RLock()  # a signal handler may release while this thread takes
        self._held: dict[tuple[str, str], _Lock] = {}
        forks.renew(self)

    def after_fork(self) -> None:
        """Close a forked child's copies: it is another process, and must not keep the lock when the parent is gone."""
        self._lock = threading.RLock()
        for found in self._held.values():
            found.forget()
        self._held = {}

    def take(
        self, name: str, identity: str, folder: Path, records: SharedRecords | None
    ) -> tuple[tuple[str, str], _Lock]:
        """Return the key and the lock, taken if this process does not hold it yet."""
        key = (str(folder), identity)
        with self._lock:
            found = self._held.get(key) or _Lock(InstanceLock.acquire(name, identity, folder))
            self._held[key] = found
            try:
                if records is not None:
                    found.take_lease(name, identity, records)
                found.join(name)
            except BaseException:  # also that of a signal's handler
                if not found.users:
                    del self._held[key]
                    found.release()
                raise
        return key, found

    def give_back(self, key: tuple[str, str], lock: _Lock) -> None:
        """Release a lock with the last that holds it."""
        with self._lock:
            lock.users -= 1
            if lock.users or self._held.get(key) is not lock:
                return
            del self._held[key]
            lock.release()


_table = _Table()


class SingleInstance:
    """Hold of this process on what only one process may hold; made by `only_one`.

    It is a context manager, too. All holds of one name in a process are one instance, which ends with the last of them.
    A forked child has no part in it.

    Args:
        name: The label value `lock`, and the name in messages.
        identity: What only one process may hold; only its salted hash is written down.
        folder: Where the lock file lies.
        shared: Shared state of several hosts, among which one process may hold it.

    Raises:
        AlreadyRunningError: Another process holds it.
        InstanceLockError: The folder or its file system does not allow it.
        SharedStateError: The shared state cannot be reached.
    """

    def __init__(
        self, name: str, *, identity: str, folder: StrPath | None = None, shared: Joinable | str | None = None
    ) -> None:
        check_name(name)
        self.name = name
        try:
            joined = shared_of(shared)
            records = None if joined is None else joined.records()
            self._key, self._lock = _table.take(name, identity, _folder(name, folder), records)
        except AlreadyRunningError as error:
            _log("error", "%s", error)
            raise
        self._pid = os.getpid()
        self._released = False
        writer.soon()

    @property
    def held(self) -> bool:
        """Whether this process holds it; not if the lock file was removed, the lease ran out, or in a forked child."""
        return not self._released and self._lock.held

    @property
    def token(self) -> int | None:
        """Fencing token among hosts: higher than that of each holder before; None without `shared=`."""
        lease = self._lock.lease
        return None if lease is None else lease.token

    @property
    def lost(self) -> str:
        """Reason for which another host may hold it now; empty while none can."""
        lease = self._lock.lease
        return "" if lease is None or lease.held else lease.why_not

    def release(self) -> None:
        """Let another process hold it; twice is once, and in a forked child nothing happens."""
        released, self._released = self._released, True
        if not released and self._pid == os.getpid():
            _table.give_back(self._key, self._lock)

    def __enter__(self) -> Self:
        if self._released:
            raise RuntimeError(f"this hold of {self.name!r} was released: make another one, which takes the lock anew")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.release()

    def __repr__(self) -> str:
        return f"<SingleInstance {self.name!r} {'held' if self.held else 'not held'}>"


def only_one(name: str, *, folder: StrPath | None = None, shared: Joinable | str | None = None) -> SingleInstance:
    """Make sure that no other process holds `name`, until the process ends or the result is released.

    Args:
        name: What only one process may be, the same in each copy of the program.
        folder: Where the lock file lies, on a disk of this machine; that of `PEAK_OBSERVE_DIR` or
            `configure(snapshot_dir=)` if not given, else `~/.local/state/peak-observe`.
        shared: A `Shared`, its URL or `default`, so that no process of all hosts that share it holds `name`; of this
            host only if not given.

    Raises:
        AlreadyRunningError: Another process holds it; the error names it.
        InstanceLockError: The lock cannot be kept there.
        SharedStateError: The shared state cannot be reached.
        ValueError: The name is not a string that UTF-8 can hold, or empty.
    """
    check_name(name)
    return SingleInstance(name, identity=f"name {name}", folder=folder, shared=shared)


def only_one_of_account(exchange: Any, name: str, *, shared: Joinable | None = None) -> SingleInstance:
    """Make sure that no other process trades with the key of a ccxt object.

    Args:
        exchange: The ccxt object.
        name: The client's name, for metrics and messages.
        shared: Shared state of several hosts.

    Raises:
        AlreadyRunningError: Another process holds the key; the error names it.
        InstanceLockError: The lock cannot be kept.
        SharedStateError: The shared state cannot be reached.
        ValueError: The object has no key.
    """
    key = next((found for field in CREDENTIALS if (found := getattr(exchange, field, None))), None)
    if key is None:
        raise ValueError(f"exclusive=True needs the account's key ({', '.join(CREDENTIALS)}), which {name!r} has not")
    return SingleInstance(name, identity=f"key {key}", shared=shared)


def _folder(name: str, given: StrPath | None) -> Path:
    if given is not None and (not isinstance(given, str | os.PathLike) or not os.fspath(given)):
        raise ValueError(f"folder must be a path, not {shown(given)}")
    found = Path(given or writer.folder() or os.environ.get(writer.DIRECTORY) or DEFAULT_FOLDER)
    try:
        return found.expanduser().absolute()
    except RuntimeError as error:  # this user has no home
        raise InstanceLockError(name, str(found), str(error)) from error


def _log(level: str, message: str, *values: object) -> None:
    from peak_observe.support.loggers import logger

    getattr(logger("peak_observe.safety"), level)(message, *values)
