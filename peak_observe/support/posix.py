"""Parts of POSIX that Windows lacks: modules, flags of `os.open`, and the one line for what needs them."""

from __future__ import annotations

import os
import sys
from importlib import import_module
from typing import Any


def _module(name: str) -> Any:
    try:
        return import_module(name)
    except ImportError:
        return None


fcntl, grp, pwd, resource = map(_module, ("fcntl", "grp", "pwd", "resource"))

__all__ = ["CLOEXEC", "DIRECTORY", "NOFOLLOW", "NONBLOCK", "fcntl", "grp", "pwd", "resource", "unsupported"]

NOFOLLOW: int = getattr(os, "O_NOFOLLOW", 0)
NONBLOCK: int = getattr(os, "O_NONBLOCK", 0)
CLOEXEC: int = getattr(os, "O_CLOEXEC", 0)
DIRECTORY: int = getattr(os, "O_DIRECTORY", 0)


def unsupported(what: str) -> str:
    """Return why something does not work on this platform; empty where it does.

    Args:
        what: What needs file locks and owners, as `backups`.
    """
    if fcntl is not None and pwd is not None and grp is not None:
        return ""
    return f"{what} need file locks and owners of POSIX (fcntl, pwd, grp), which this platform, {sys.platform}, lacks"
