"""The folder that holds the backups: what is in it, who may write, and how something gets in and out of it at once."""

from __future__ import annotations

import ctypes
import os
import shutil
import stat
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

import msgspec
from blake3 import blake3

from peak_observe.backup_recovery.files.safe_read import content
from peak_observe.backup_recovery.repository.ledger import INTERRUPTED, Account, Ledger
from peak_observe.backup_recovery.repository.locking import locked
from peak_observe.backup_recovery.repository.manifest import Manifest, check_id
from peak_observe.backup_recovery.repository.metadata import BackupMetadata
from peak_observe.errors import BackupCorruptError, BackupError, BackupNotFoundError
from peak_observe.support.atomic_files import sync_folder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from peak_observe.clock import Clock

METADATA, MANIFEST = "metadata.json", "manifest.json"
OWN = ".peak-observe"
STAGING, TRASH, DRILL = ".staging-", ".trash-", ".drill-"


def _raise(error: OSError) -> None:
    raise error


class Repository:
    """A folder of backups.

    Args:
        root: The folder; it is made when something is first written.
        name: The label of its metrics.
        clock: What time it is.
    """

    def __init__(self, root: Path, name: str, clock: Clock) -> None:
        self.root = root
        self.name = name
        self.clock = clock
        self.own = root / OWN
        self.ledger = Ledger(self.own)
        self._known: dict[str, tuple[int, BackupMetadata | str]] = {}

    def configure(self, max_age: float | None) -> None:
        """Make the folder, and note what its owner promises; where it cannot be written it can still be read.

        Raises:
            BackupError: It cannot be made.
        """
        self._make(self.root)
        now = self.clock.now().timestamp()
        with suppress(OSError):
            self.own.mkdir(exist_ok=True)
            self.ledger.update(lambda known: known.configured(now, max_age))

    def _make(self, folder: Path) -> None:
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise BackupError(f"cannot make the repository {self.root}: {error.strerror}") from error
        if os.path.islink(self.own):
            raise BackupError(f"{self.own} is a symbolic link: remove it")

    def folder(self, backup_id: str) -> Path:
        """Return the folder of a backup, which need not exist.

        Raises:
            BackupNotFoundError: Nothing can have that name.
        """
        try:
            return self.root / check_id(backup_id)
        except ValueError as error:
            raise BackupNotFoundError(str(backup_id), str(error)) from None

    def backups(self) -> list[BackupMetadata]:
        """Return all backups whose metadata can be read, the oldest first.

        Raises:
            BackupError: The folder cannot be listed.
        """
        found = [item for item in self._look().values() if isinstance(item, BackupMetadata)]
        return sorted(found, key=lambda backup: backup.order)

    def empty(self) -> bool:
        """Return whether nothing is there that could be a backup.

        Raises:
            BackupError: The folder cannot be listed.
        """
        return not self._names()

    def unreadable(self) -> dict[str, str]:
        """Return the backups whose metadata cannot be read, and why."""
        return {name: item for name, item in self._look().items() if isinstance(item, str)}

    def _look(self) -> dict[str, BackupMetadata | str]:
        # A backup never changes after the rename that made it visible, so its metadata is read once.
        known = {}
        for name in self._names():
            stamp = _stamp(f"{self.root}/{name}/{METADATA}")
            before = self._known.get(name)
            found = before[1] if before and before[0] == stamp else self._read(name)
            if found is not None:
                known[name] = stamp, found
        self._known = known
        return {name: item for name, (_, item) in known.items()}

    def _names(self) -> list[str]:
        try:
            return [entry.name for entry in os.scandir(self.root) if entry.name[0] != "." and _is_folder(entry)]
        except FileNotFoundError:
            return []
        except OSError as error:
            raise BackupError(f"{self.root} cannot be listed: {error.strerror}") from error

    def _read(self, name: str) -> BackupMetadata | str | None:
        try:
            return self.load(self.root / name)
        except FileNotFoundError:
            return None  # somebody's folder, or a backup that was just removed
        except (OSError, ValueError) as error:
            return str(error)

    def load(self, folder: Path) -> BackupMetadata:
        """Return the metadata of a backup.

        Raises:
            OSError: It cannot be read.
            ValueError: It is not what was written, or not a backup's.
        """
        if folder.is_symlink():
            raise ValueError("the folder is a symbolic link")
        if not (folder / METADATA).exists() and (folder / MANIFEST).exists():
            raise ValueError("it is missing")
        found = BackupMetadata.from_json(content(folder / METADATA))
        if found.backup_id != folder.name:
            raise ValueError(f"the metadata is that of {found.backup_id!r}")
        return found

    def get(self, backup_id: str) -> BackupMetadata:
        """Return one backup.

        Raises:
            BackupNotFoundError: There is none of that name.
            BackupCorruptError: Its metadata cannot be read.
        """
        folder = self.folder(backup_id)
        try:
            return self.load(folder)
        except (FileNotFoundError, NotADirectoryError):
            newest = [backup.backup_id for backup in self.backups()[-1:]]
            hint = f"the newest is {newest[0]}" if newest else f"{self.root} has none"
            raise BackupNotFoundError(backup_id, hint) from None
        except (OSError, ValueError) as error:
            raise BackupCorruptError(backup_id, (f"{METADATA}: {error}",)) from None

    def manifest(self, backup: BackupMetadata) -> Manifest:
        """Return what a backup says is in it; nothing is in the manifest of a failed one.

        Raises:
            BackupCorruptError: The manifest is missing, not what was written, or names something outside.
        """
        try:
            text = content(self.root / backup.backup_id / MANIFEST)
            if blake3(text).hexdigest() != backup.manifest:
                raise ValueError("it is not what was written")  # noqa: TRY301 - one place that says which file
            return Manifest.from_json(text, backup.backup_id, backup.base)
        except (OSError, ValueError) as error:
            problem = getattr(error, "strerror", None) or error
            raise BackupCorruptError(backup.backup_id, (f"{MANIFEST}: {problem}",)) from None

    @contextmanager
    def writing(self, doing: str) -> Iterator[None]:
        """Be the only one that writes; what a crash left behind is cleared first, and counted.

        Raises:
            RepositoryLockedError: Somebody else is.
            BackupError: The folder cannot be made.
            OSError: It cannot be written.
        """
        self._make(self.own)
        with locked(self.own / "lock", self.root, doing):
            self._clear()
            yield

    def _clear(self) -> None:
        self.ledger.clear()
        left = [name for name in os.listdir(self.root) if name.startswith((STAGING, TRASH, DRILL))]
        for name in left:
            if name.startswith(TRASH):  # how much of it was accounted for when the crash came is not known
                self.ledger.update(lambda known: _forgotten(known, name.removeprefix(TRASH), None))  # noqa: B023 - called at once
            self.discard(self.root / name)
        known = self.ledger.load()
        # A backup may have become visible in the instant before the crash, and is counted as what it is.
        unseen = [backup for backup in self.backups() if backup.sequence > known.sequence]
        crashed = sum(name.startswith(STAGING) for name in left) or bool(known.running_since and not unseen)
        if crashed or unseen or known.running_since:
            outcomes = [backup.status.value for backup in unseen] + [INTERRUPTED] * crashed
            newest = max((backup.sequence for backup in unseen), default=known.sequence)
            self.ledger.update(lambda account: _ended(account, outcomes, newest))

    def new_id(self) -> tuple[str, int]:
        """Return name and number of a new backup; with the writer's lock held."""
        newest = max((backup.sequence for backup in self.backups()), default=0)
        now = self.clock.now()
        while True:
            stamp = round(now.timestamp() * 1_000_000)
            found = f"backup_{stamp}_{now:%Y%m%d_%H%M%S_%f}"
            if not (self.root / found).exists():
                return found, max(newest, self.ledger.load().sequence) + 1
            now += now.resolution

    def publish(self, staging: Path, backup: BackupMetadata) -> None:
        """Make a backup visible by one rename, after everything it names is on the disk.

        Raises:
            OSError: The disk is full or reports an error.
        """
        (staging / METADATA).write_bytes(backup.to_json())
        sync_filesystem(staging)
        staging.rename(self.root / backup.backup_id)
        sync_folder(self.root)

    def remove(self, backup_id: str) -> None:
        """Remove a backup, with the writer's lock held: it is out of sight at once, whatever happens then.

        Raises:
            OSError: It cannot be removed.
        """
        trash = self.root / f"{TRASH}{backup_id}"
        self.folder(backup_id).rename(trash)
        sync_folder(self.root)
        try:
            freed = sum(_freed(found) for found in walk(trash, onerror=_raise))
        except OSError:
            freed = None
        self.ledger.update(lambda known: _forgotten(known, backup_id, freed))
        self.discard(trash)

    def discard(self, path: Path) -> None:
        """Remove a folder with all that is in it, or whatever else stands there."""
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()

    def stored_bytes(self) -> int:
        """Return what all backups take on the disk: what the account says, or what of it can be seen."""
        known = self.ledger.read().stored_bytes
        return self.measured(onerror=None) if known is None else known

    def measured(self, *, onerror: Callable[[OSError], object] | None = _raise) -> int:
        """Return what all backups take on the disk, by looking.

        Args:
            onerror: What is done about a folder that cannot be listed.

        Raises:
            OSError: Something cannot be looked at.
        """
        files = (found for name in self._names() for found in walk(self.root / name, onerror=onerror))
        return sum({found.st_ino: found.st_size for found in files if stat.S_ISREG(found.st_mode)}.values())


def _stamp(path: str) -> int:
    try:
        return os.stat(path).st_mtime_ns
    except OSError:
        return 0


def _is_folder(entry: os.DirEntry[str]) -> bool:
    return entry.is_dir(follow_symlinks=False)


def walk(folder: Path, *, onerror: Callable[[OSError], object] | None) -> Iterator[os.stat_result]:
    """Yield the status of every file below a folder."""
    for where, _, names in os.walk(folder, onerror=onerror):
        for name in names:
            yield os.lstat(os.path.join(where, name))


def sync_filesystem(folder: Path) -> None:
    """Bring everything written to the file system of `folder` to the disk.

    Raises:
        OSError: The disk reports an error.
    """
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        call = getattr(ctypes.CDLL(None, use_errno=True), "syncfs", None)
        if call is None:  # not Linux
            os.sync()
        elif call(descriptor) != 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number), str(folder))
    finally:
        os.close(descriptor)


def _freed(status: os.stat_result) -> int:
    return status.st_size if status.st_nlink == 1 and stat.S_ISREG(status.st_mode) else 0


def _ended(account: Account, outcomes: Iterable[str], sequence: int) -> Account:
    for outcome in outcomes:
        account = account.counted(outcome)
    # What they take on the disk is not known any more, and is measured anew.
    return msgspec.structs.replace(account, running_since=0.0, sequence=sequence, stored_bytes=None)


def _forgotten(account: Account, backup_id: str, freed: int | None) -> Account:
    corrupt = {name: count for name, count in account.corrupt.items() if name != backup_id}
    stored = None if freed is None or account.stored_bytes is None else max(0, account.stored_bytes - freed)
    return msgspec.structs.replace(account, corrupt=corrupt, stored_bytes=stored)
