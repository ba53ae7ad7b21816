"""Extended attributes of files and folders, such as ACLs: noticed, so that it can be said that no backup holds them."""

from __future__ import annotations

import os
import stat
import struct

ACL = "system.posix_acl_access"
_GIVEN = ("user.", "security.capability", "system.posix_acl_")
"""Begin those that somebody has set; systems set others by themselves, such as the labels of SELinux."""
_VERSION, _ENTRY = struct.Struct("<I"), struct.Struct("<HHI")  # then tag, rights and number of each entry
_OF_ACL, _GROUP, _MASK = 2, 0x04, 0x10


def xattrs(path: str) -> list[str]:
    """Return the ACLs, capabilities and attributes that somebody has set; a symbolic link is not followed."""
    try:
        names = os.listxattr(path, follow_symlinks=False)
    except (OSError, AttributeError):  # a file system or a Python without them, or it is gone
        return []
    return [name for name in names if name.startswith(_GIVEN)]


def without_mask(path: str, mode: int) -> int:
    """Return permissions with the rights of the group itself, where those that an ACL lets anybody have are shown.

    Whoever set what is shown without the ACL would let the group do what it could not; what cannot be read gives none.
    """
    try:
        text = os.getxattr(path, ACL, follow_symlinks=False)
        rights = {tag: given for tag, given, _ in _ENTRY.iter_unpack(text[_VERSION.size :])}
        known = _VERSION.unpack_from(text) == (_OF_ACL,)
    except (OSError, AttributeError, struct.error):
        known, rights = False, {}
    group = rights.get(_GROUP, 0) & rights.get(_MASK, 7) & 7 if known else 0
    return (mode & ~stat.S_IRWXG) | (mode & group << 3)


def has_rights(path: str, status: os.stat_result, wanted: int, *, acl: bool) -> bool:
    """Return whether something has these permissions, also where an ACL, if it may have one, shows others."""
    shown = stat.S_IMODE(status.st_mode)
    if shown == wanted or not acl or (shown ^ wanted) & ~stat.S_IRWXG:
        return shown == wanted
    return ACL in xattrs(path) and without_mask(path, shown) == wanted
