"""Owners of restored files: names win over numbers, and setuid bits come back with the right owner only."""

from __future__ import annotations

import errno
import os
import stat
from typing import TYPE_CHECKING, NamedTuple

from peak_observe.backup_recovery.files.xattrs import has_rights
from peak_observe.backup_recovery.restore.attributes import attribute
from peak_observe.support.posix import grp, pwd

if TYPE_CHECKING:
    from collections.abc import Collection

    from peak_observe.backup_recovery.repository.manifest import Entry, Manifest

UNKNOWN = -1  # also the system's word for "leave it as it is"
PRIVILEGED = 0o6000  # run as the owner, run as the group
# A user without the right, a number that a container does not map, a file system without owners.
_REFUSALS = (errno.EPERM, errno.EACCES, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP)


class Owner(NamedTuple):
    """The owner that something gets.

    Args:
        uid: User.
        gid: Group.
        exact: Whether these are surely the user and the group of the backup.
        withheld: What does not come back of setuid and setgid even then.
    """

    uid: int
    gid: int
    exact: bool
    withheld: int = 0

    def matches(self, status: os.stat_result) -> bool:
        """Return whether something belongs to this owner, which counts as far as this user can change it."""
        if not is_root():
            mine = status.st_uid == os.geteuid() and self.uid in (UNKNOWN, status.st_uid)
            return not mine or self.gid in (UNKNOWN, status.st_gid) or self.gid not in _groups()
        return self.uid in (UNKNOWN, status.st_uid) and self.gid in (UNKNOWN, status.st_gid)

    def mode(self, mode: int, status: os.stat_result) -> int:
        """Return the permissions that something with this status should have."""
        right = self.exact and (self.uid, self.gid) == (status.st_uid, status.st_gid)
        return self.permissions(mode, right=right)

    def fits(self, entry: Entry, path: str, status: os.stat_result) -> bool:
        """Return whether what is at a path has the owner and the permissions of an entry."""
        acl = entry.xattrs or entry.uid == UNKNOWN  # a plain copy does not tell
        return self.matches(status) and has_rights(path, status, self.mode(entry.mode, status), acl=acl)

    def permissions(self, mode: int, *, right: bool) -> int:
        """Return the permissions of something that belongs to its right owner, or does not."""
        return mode & ~(self.withheld if right else PRIVILEGED)


class Ownership:
    """Finds the owner of each entry on this host.

    Args:
        manifest: The backup, which knows the names of its owners.
        numeric: Whether numbers count and names do not.
        makers: Other users than root and this one who may have made the backup, or can change it: nobody becomes able
            to run what is in it as anybody else than them.
    """

    def __init__(self, manifest: Manifest, *, numeric: bool = False, makers: Collection[int] = ()) -> None:
        self._users = {} if numeric else manifest.users
        self._groups = {} if numeric else manifest.groups
        self._makers = makers
        self._makers_groups = frozenset.intersection(*map(_groups_of, makers)) if makers else frozenset()
        self._known: dict[tuple[int, int], Owner] = {}

    def of(self, entry: Entry) -> Owner:
        """Return the owner of an entry; a name that this host does not know leaves the number."""
        key = entry.uid, entry.gid
        found = self._known.get(key)
        if found is None:
            user, group = self._users.get(entry.uid, ""), self._groups.get(entry.gid, "")
            uid, gid = _uid(user, entry.uid), _gid(group, entry.gid)
            exact = UNKNOWN not in key and None not in (uid, gid)
            found = Owner(entry.uid if uid is None else uid, entry.gid if gid is None else gid, exact)
            found = self._known[key] = found._replace(withheld=self._withheld(found))
        return found

    def _withheld(self, owner: Owner) -> int:
        if not self._makers:
            return 0
        user = 0 if {*self._makers} == {owner.uid} else stat.S_ISUID
        return user if owner.gid in self._makers_groups else user | stat.S_ISGID


def is_root() -> bool:
    """Return whether this process may give files away."""
    return os.geteuid() == 0


def is_adjustable(status: os.stat_result) -> bool:
    """Return whether this user can change the permissions of a folder, and then put them back as they were.

    To change them costs the bit for its group where somebody does not belong to that.
    """
    if is_root():
        return True
    return status.st_uid == os.geteuid() and not (status.st_mode & stat.S_ISGID and status.st_gid not in _groups())


def is_closed(folder: str) -> bool:
    """Return whether the permissions of a folder keep its own owner from changing files in it, who can lift that."""
    if os.access(folder, os.R_OK | os.W_OK | os.X_OK):
        return False
    try:
        status, disk = os.stat(folder), os.statvfs(folder)
    except OSError:
        return False
    mine = status.st_uid == os.geteuid() and is_adjustable(status)
    shut = status.st_mode & stat.S_IRWXU != stat.S_IRWXU
    return mine and shut and not disk.f_flag & os.ST_RDONLY and not attribute(folder)


def give(file: int | str, owner: Owner) -> bool:
    """Give a file away, and return whether it has its right owner now; a symbolic link is not followed.

    Raises:
        OSError: The disk reports an error; that this user may not do it is none.
    """
    try:
        if isinstance(file, int):
            os.fchown(file, owner.uid, owner.gid)
        else:
            os.chown(file, owner.uid, owner.gid, follow_symlinks=False)
    except OSError as error:
        if error.errno not in _REFUSALS:
            raise
        return False
    return owner.exact


def _groups() -> set[int]:
    return {os.getegid(), *os.getgroups()}


def _groups_of(uid: int) -> frozenset[int]:
    """Return the groups of a user: that of a file of his need be none of them, as a folder hands its group down."""
    try:
        user = pwd.getpwuid(uid)
        return frozenset(os.getgrouplist(user.pw_name, user.pw_gid))
    except (KeyError, OSError):
        return frozenset()


def _uid(name: str, number: int) -> int | None:
    try:
        return pwd.getpwnam(name).pw_uid if name else number
    except KeyError:
        return None


def _gid(name: str, number: int) -> int | None:
    try:
        return grp.getgrnam(name).gr_gid if name else number
    except KeyError:
        return None
