"""Access to folders in a restore, and times of files that stay: set when all files are new, put back by an undo."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING

from msgspec.structs import replace

from peak_observe.backup_recovery.repository.manifest import decode_name, encode_name
from peak_observe.backup_recovery.restore.file_steps import set_access
from peak_observe.backup_recovery.restore.journal import Access, Time
from peak_observe.backup_recovery.restore.ownership import is_closed
from peak_observe.backup_recovery.restore.plan import look
from peak_observe.support.loggers import logger

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from peak_observe.backup_recovery.restore.journal import Journal
    from peak_observe.backup_recovery.restore.plan import Action

OWNERS = 0o700
"""Rights of the owner, who needs all of them to change what is in a folder and to bring that to the disk."""

_log = logger("peak_observe.backup")


def with_opened(access: Iterable[Access], folders: Iterable[str]) -> list[Access]:
    """Return what changes of folders, an outer one first, with those that have to be opened to change files in them.

    Args:
        access: The folders that get another owner or other permissions.
        folders: The folders in which files change.
    """
    found = {item.target: item for item in access}
    for folder in folders:
        if is_closed(folder or "/"):
            now, target = os.stat(folder or "/"), encode_name(folder or "/")
            as_now = now.st_uid, now.st_gid, now.st_mode & 0o7777
            found[target] = replace(found.get(target) or Access(target, *as_now, *as_now), opens=True)
    return [found[target] for target in sorted(found)]


def times_of(actions: Iterable[Action]) -> Iterator[Time]:
    """Yield the times that are set of files that are not replaced."""
    for action in actions:
        if action.retime:
            now = os.lstat(action.target).st_mtime_ns
            yield Time(encode_name(action.target), action.entry.modified_ns, now)


def open_folders(journal: Journal) -> None:
    """Let the owner into the folders that keep him out.

    Raises:
        OSError: That cannot be done.
    """
    for access in journal.access:
        if access.opens:
            _set_before(access, OWNERS)


def change_folders(journal: Journal) -> None:
    """Give folders their owner and permissions, and leave their owner the rights to remove the old files.

    Raises:
        OSError: That cannot be done.
    """
    for access in journal.access:
        set_access(decode_name(access.target), access.uid, access.gid, access.mode | OWNERS)


def finish_folders(journal: Journal) -> None:
    """Take from owners the rights that they had for the restore only, and set all times; what fails is logged."""
    failed = []
    # What is in a folder comes first, as nobody may get into it any more.
    items: list[Access | Time] = [*journal.times, *reversed(journal.access)]
    for item in items:
        try:
            _set_time(item) if isinstance(item, Time) else _close(item)
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError as error:
            failed.append(f"{decode_name(item.target)}: {error.strerror}")
    if failed:
        what = "%d files and folders are restored but for their permissions or their time: %s"
        _log.warning(what, len(failed), "; ".join(failed[:3]))


def reach_folders(journal: Journal, *, all_changed: bool) -> None:
    """Let the owner into folders once more, to take back what is in them; what does not change needs no right.

    Args:
        journal: The journal.
        all_changed: Whether other folders than those that were opened may have changed.
    """
    for access in journal.access:
        if all_changed or access.opens:
            with suppress(OSError):  # whatever cannot be taken back for that says so itself
                _set_before(access, OWNERS)


def put_folders_back(journal: Journal, *, all_changed: bool) -> None:
    """Give folders the owner and the permissions that they had.

    Args:
        journal: The journal.
        all_changed: As there.

    Raises:
        OSError: That cannot be done, and one is not as it was.
    """
    for access in reversed(journal.access):
        if all_changed or access.opens:
            try:
                _set_before(access, 0)
            except (FileNotFoundError, NotADirectoryError):
                continue
            except OSError:  # as for an attribute that forbids any change
                if not _is_as_before(access):
                    raise


def _set_before(access: Access, more: int) -> None:
    target = decode_name(access.target)
    set_access(target, access.uid_before, access.gid_before, access.mode_before | more, durable=not more)


def _is_as_before(access: Access) -> bool:
    now = look(decode_name(access.target))
    before = access.uid_before, access.gid_before, access.mode_before
    return now is None or (now.st_uid, now.st_gid, now.st_mode & 0o7777) == before


def _close(access: Access) -> None:
    target = decode_name(access.target)
    set_access(target, access.uid, access.gid, access.mode, durable=access.opens)


def _set_time(time: Time) -> None:
    """Set a time; a file that somebody has changed meanwhile keeps its own."""
    path = decode_name(time.target)
    now = os.lstat(path)
    if now.st_mtime_ns == time.before_ns:
        os.utime(path, ns=(now.st_atime_ns, time.mtime_ns), follow_symlinks=False)
