"""Fetch of backups from a store into a plain repository, from which they are restored like any other.

Nothing of a restore is done twice: what comes out is a repository, and its own code verifies every byte of it again.
"""

from __future__ import annotations

import errno
import os
import tempfile
import threading
from collections.abc import Callable, Collection, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from blake3 import blake3

from peak_observe.backup_recovery.files.copying import CREATE
from peak_observe.backup_recovery.files.workers import Meter, Progress
from peak_observe.backup_recovery.manager import RecoveryManager
from peak_observe.backup_recovery.offsite.index import Index, Place
from peak_observe.backup_recovery.offsite.record import Record, manifest_path, shown_object
from peak_observe.backup_recovery.offsite.store import Store
from peak_observe.backup_recovery.offsite.workers import Requests
from peak_observe.backup_recovery.repository.leftovers import OFFSITE
from peak_observe.backup_recovery.repository.manifest import FILE, FOLDER, LINK, Entry, Manifest, decode_name
from peak_observe.backup_recovery.repository.reading import ObservedRepository
from peak_observe.backup_recovery.repository.repository import MANIFEST, METADATA, OWN, Repository
from peak_observe.backup_recovery.restore.crash_recovery import settle
from peak_observe.backup_recovery.restore.file_steps import remove_tree
from peak_observe.backup_recovery.restore.interrupts import Interrupts
from peak_observe.backup_recovery.restore.transaction import Transaction
from peak_observe.errors import BackupCorruptError, BackupError, ObjectMissingError
from peak_observe.support.loggers import logger
from peak_observe.support.posix import fcntl

Tell = Callable[[Progress], object]
LOCK = ".lock"
FILE_MODE, FOLDER_MODE = 0o600, 0o700

_log = logger("peak_observe.backup")


@contextmanager
def temporary_repository(beside: Path | None) -> Iterator[Path]:
    """Make a folder for a repository, and remove it at the end.

    A restore from it that a crash cut off is brought to its end first, and the folder stays while that is not possible.
    The first Ctrl-C ends the block, and the second one does not disturb the removal: the folder holds unencrypted what
    the store holds encrypted.

    Args:
        beside: A folder on whose disk it lies if that can be written; None for the system's place.
    """
    place = beside
    while place is not None and not os.path.isdir(place):  # which says no of a name that is too long, too
        place = place.parent if place.parent != place else None
    _settle_others(place or Path(tempfile.gettempdir()))
    with Interrupts() as signals, ExitStack() as stack:
        folder = _new(place, stack)
        try:
            yield folder
        finally:
            signals.settle("what was fetched is being removed")
            if _is_settled(folder):
                _remove(folder)


def _remove(folder: Path) -> None:
    """Remove a folder, and say so if it stays, as it holds unencrypted what was fetched."""
    try:
        remove_tree(str(folder))
    except BaseException as error:
        # Another process that takes it for one that is left over, as its lock is gone already, removes it as well.
        if not (isinstance(error, OSError) and error.errno in (errno.ENOENT, errno.ENOTEMPTY)):
            _log.warning("%s stays, which holds unencrypted what was fetched: remove it", folder)
        if not isinstance(error, OSError):
            raise


def _new(place: Path | None, stack: ExitStack) -> Path:
    """Make a folder and hold its lock; another process may take it for one that is left over before it is locked."""
    while True:
        try:
            folder = Path(tempfile.mkdtemp(prefix=OFFSITE, dir=place))
        except OSError:
            folder = Path(tempfile.mkdtemp(prefix=OFFSITE))
        with suppress(BlockingIOError, FileNotFoundError):  # it is removed: the next one may not be
            stack.enter_context(_held(folder))
            return folder


def settle_home(repository: Repository) -> None:
    """Bring a restore to its end that a crash has cut off: later it would change what came from the store."""
    if repository.root.is_dir():
        try:
            settle(repository)
        except BackupError as error:  # of files whose disk is not there, which need not be those
            _log.warning("%s", error)


def _unobserved(repository: Repository, *_: object) -> ObservedRepository:
    return ObservedRepository(repository)


class FetchedBackups(RecoveryManager):
    """Manager of a repository that was fetched and is soon gone, of which no metric tells."""

    _observe = staticmethod(_unobserved)


@contextmanager
def _held(folder: Path) -> Iterator[None]:
    """Hold a lock that ends with the process, so that the next one knows what is left over.

    Raises:
        BlockingIOError: Another process has it.
        FileNotFoundError: Another process has removed it meanwhile.
    """
    descriptor = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, FILE_MODE)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if not os.fstat(descriptor).st_nlink:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(folder / LOCK))
        yield
    finally:
        os.close(descriptor)


def _settle_others(place: Path) -> None:
    """Bring restores to their end that a crash has cut off, and remove what they were made from."""
    for folder in place.glob(f"{OFFSITE}*"):
        with suppress(OSError, BackupError):
            if folder.is_symlink() or folder.stat().st_uid != os.geteuid():
                continue
            with _held(folder):
                FetchedBackups(folder)
                if _is_settled(folder):
                    _remove(folder)


def _is_settled(folder: Path) -> bool:
    try:
        return not any(Transaction.left_behind(folder / OWN))
    except (OSError, ValueError):
        return False


class Fetch:
    """Fetch of one backup.

    Args:
        store: The store, with the private key at hand.
        record: The backup's record.
        index: All that the store's indexes tell.
        tell: Called with a `Progress`.
    """

    def __init__(self, store: Store, record: Record, index: Index, tell: Tell | None = None) -> None:
        self._store = store
        self._record = record
        self._backup = record.backup
        self._index = index
        self._needs = set(record.needs)
        self._tell = tell
        self._lock = threading.Lock()
        self._writing = threading.Lock()
        self._ended = False
        self._sound: set[bytes] = set()
        self.problems: list[str] = []

    def manifest(self) -> tuple[bytes, Manifest]:
        """Return the manifest, as text too.

        Raises:
            BackupCorruptError: It is missing or damaged.
        """
        backup_id = self._backup.backup_id
        try:
            text = self._store.manifest(self._record.host, backup_id)
            if blake3(text).hexdigest() != self._backup.manifest:
                raise ValueError("it is not what was written")  # noqa: TRY301 - one place that says which file
            return text, Manifest.from_json(text, backup_id, self._backup.base)
        except (ObjectMissingError, ValueError) as error:
            reason = "is missing" if isinstance(error, ObjectMissingError) else error
            path = manifest_path(self._record.host, backup_id)
            raise BackupCorruptError(backup_id, (f"{path}: {reason}",)) from None

    def into(self, root: Path, *, parts: Collection[str] = ()) -> None:
        """Write the backup into a repository.

        Args:
            root: The repository's folder.
            parts: Only these parts of it; none for all.

        Raises:
            BackupCorruptError: Something is missing or damaged.
            BackupError: It cannot be written.
        """
        text, manifest = self.manifest()
        folder = root / self._backup.backup_id
        entries = [entry for entry in manifest.entries if not entry.base and (not parts or entry.kind in parts)]
        try:
            folder.mkdir(FOLDER_MODE)
            for kind in {entry.stored.partition("/")[0] for entry in entries if "/" in entry.stored}:
                (folder / kind).mkdir(FOLDER_MODE)
            for name, content in ((METADATA, self._record.metadata), (MANIFEST, text)):
                _new_file(f"{folder}/{name}", content)
            self._fill(folder, entries)
        except OSError as error:
            raise BackupError(f"cannot write to {error.filename or folder}: {error.strerror}") from None
        if self.problems:
            raise BackupCorruptError(self._backup.backup_id, tuple(self.problems))

    def check(self, sound: set[bytes]) -> list[str]:
        """Read every byte of the backup, and return what is wrong, each with the object's name.

        Args:
            sound: Objects that were read already and are right; those that this finds are added.
        """
        self._sound = sound
        try:
            _, manifest = self.manifest()
        except BackupCorruptError as error:
            return list(error.problems)
        self._read([entry for entry in manifest.entries if not entry.base], None)
        return self.problems

    def _fill(self, folder: Path, entries: list[Entry]) -> None:
        for entry in entries:
            path = f"{folder}/{decode_name(entry.stored)}"
            if entry.type == FOLDER:
                os.mkdir(path, FOLDER_MODE)
            elif entry.type == LINK:
                os.symlink(decode_name(entry.target), path)
            elif self._backup.base and not os.path.isdir(os.path.dirname(path)):
                os.makedirs(os.path.dirname(path), FOLDER_MODE)
            if entry.type == FILE and not self._is_one_piece(entry):
                os.close(os.open(path, CREATE, FILE_MODE))
        self._read(entries, folder)

    def _is_one_piece(self, entry: Entry) -> bool:
        return len(self._pieces(entry)) == 1

    def _read(self, entries: list[Entry], folder: Path | None) -> None:
        wanted: dict[bytes, list[tuple[Place, Entry, int]]] = {}
        files = [entry for entry in entries if entry.type == FILE]
        for entry in files:
            at = 0
            for piece in self._pieces(entry):
                place = self._index.place(piece, self._needs)
                if place is None:
                    self._problem(f"{entry.stored}: its content is missing in the store")
                    break
                wanted.setdefault(place.object, []).append((place, entry, at))
                at += place.length
        meter = Meter(self._tell, "fetch" if folder else "verify", len(files), sum(entry.size for entry in files))
        try:
            with Requests() as requests:
                for name, places in wanted.items():
                    requests.submit(_Job(self, name, places, folder, meter))
        finally:  # an error or Ctrl-C waits for no answer of the store, but nothing may be written from here on
            self._ended = True
            with self._writing:
                pass

    def _pieces(self, entry: Entry) -> list[bytes]:
        return self._index.pieces(self._store.namer.of_hash(bytes.fromhex(entry.blake3))) if entry.size else []

    def _problem(self, text: str) -> None:
        with self._lock:
            self.problems.append(text)

    def read_object(
        self, name: bytes, places: list[tuple[Place, Entry, int]], folder: Path | None, meter: Meter
    ) -> None:
        """Read one object, and write what of it is wanted."""
        known = folder is None and name in self._sound
        content = memoryview(b"") if known else self._object(name, places)
        if content is None:
            return
        with self._writing:  # two threads that write into one folder or file wait for each other in the system
            for place, entry, at in places:
                if self._ended:
                    return
                if folder is not None:
                    path, piece = f"{folder}/{decode_name(entry.stored)}", content[place.offset :][: place.length]
                    if self._is_one_piece(entry):
                        _new_file(path, piece)
                    else:
                        _write_at(path, at, piece)
                meter.bytes(place.length)
                if at + place.length >= entry.size:
                    meter.file()

    def _object(self, name: bytes, places: list[tuple[Place, Entry, int]]) -> memoryview | None:
        try:
            content = memoryview(self._store.object(name))
        except (ObjectMissingError, ValueError) as error:
            affected = sorted({entry.stored for _, entry, _ in places})
            more = f" and {len(affected) - 1} more files" if len(affected) > 1 else ""
            reason = "is missing" if isinstance(error, ObjectMissingError) else error
            self._problem(f"{shown_object(name)}, with {affected[0]}{more}: {reason}")
            return None
        self._sound.add(name)
        return content


class _Job:
    """Request for one object."""

    def __init__(self, fetch: Fetch, *args: object) -> None:
        self._call = fetch.read_object
        self._args = args

    def __call__(self) -> None:
        self._call(*self._args)  # type: ignore[arg-type] # handed on as they came


def _new_file(path: str, content: bytes | memoryview) -> None:
    _write(os.open(path, CREATE, FILE_MODE), 0, memoryview(content))


def _write_at(path: str, at: int, content: memoryview) -> None:
    _write(os.open(path, os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC), at, content)


def _write(descriptor: int, at: int, content: memoryview) -> None:
    try:
        while content:
            written = os.pwrite(descriptor, content, at)
            content, at = content[written:], at + written
    finally:
        os.close(descriptor)
