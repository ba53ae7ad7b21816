"""Extended attributes of files and folders, such as ACLs: noticed, so that it can be said that no backup holds them."""

from __future__ import annotations

import os

_GIVEN = ("user.", "security.capability", "system.posix_acl_")
"""Begin those that somebody has set; systems set others by themselves, such as the labels of SELinux."""


def has_xattrs(path: str) -> bool:
    """Return whether somebody has set an ACL, a capability or an attribute; a symbolic link is not followed."""
    try:
        names = os.listxattr(path, follow_symlinks=False)
    except (OSError, AttributeError):  # a file system or a Python without them, or it is gone
        return False
    return any(name.startswith(_GIVEN) for name in names)
