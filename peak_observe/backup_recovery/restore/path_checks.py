"""Checks of a path before anything is written there: what on the way to it keeps a file or folder from being made."""

from __future__ import annotations

import errno
import os
import stat
from itertools import accumulate
from pathlib import Path

from peak_observe.backup_recovery.files.safe_read import check_is_of_file
from peak_observe.backup_recovery.restore.ownership import is_root

LONGEST_NAME = 255


def lost_link(path: str | os.PathLike[str]) -> str:
    """Return the symbolic link on a path that leads to nothing, in words; empty if there is none.

    To follow it would write where a disk is not mounted, or where nobody has looked.
    """
    names = [name for name in os.path.join(os.getcwd(), path).split("/") if name not in ("", ".")]
    for above in accumulate(names, "{}/{}".format, initial=""):
        try:
            if above:
                os.stat(above)
        except (FileNotFoundError, NotADirectoryError):
            return f"{above} is a symbolic link to nothing" if os.path.islink(above) else ""
        except OSError as error:
            check_is_of_file(error)
            return f"{above}: {error.strerror}" if os.path.islink(above) else ""
    return ""


def dead_end(target: str) -> str:
    """Return why no file or folder can be made at a path, in words; empty if nothing on the way to it is against it.

    Args:
        target: The path, absolute and without symbolic links.
    """
    above, problem = target, ""
    while above := above.rpartition("/")[0]:
        try:
            status = os.stat(above)
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError as error:
            check_is_of_file(error)
            if error.errno != errno.ENAMETOOLONG:
                problem = f"{above}: {error.strerror}"
            continue
        if not stat.S_ISDIR(status.st_mode):
            problem = f"{above} is {kind_of(status)} now, and a folder has to be there: move it away"
        break
    if problem:
        return problem
    long = [name for name in target[len(above) :].split("/") if len(os.fsencode(name)) > _longest_name(above)]
    return f"{above}/{long[0]}: this name is too long" if long else ""


def _longest_name(folder: str) -> int:
    try:
        return os.pathconf(folder or "/", "PC_NAME_MAX")
    except (AttributeError, OSError, ValueError):
        return LONGEST_NAME


def unwritable(path: str) -> str:
    """Return why nothing can be made or changed at a path that is there, in words; empty if that is possible."""
    folder = os.path.isdir(path or "/")
    if os.access(path or "/", os.W_OK | os.X_OK if folder else os.W_OK):
        return ""
    if problem := read_only(path):
        return problem
    mend = "look at its attributes (lsattr)" if is_root() else "run this as a user who may write there"
    return f"{path} cannot be written: Permission denied; {mend}"


def read_only(path: str) -> str:
    """Return that what is at a path lies on a disk that takes no change, in words; empty if it does not.

    Permissions and times of files are bound by that too, which depends on no right of a user.
    """
    place = (os.path.dirname(path) if os.path.islink(path) else path) or "/"
    frozen = os.statvfs(place).f_flag & os.ST_RDONLY
    return f"{path} cannot be written: Read-only file system" if frozen else ""


def nearest_folder(path: str) -> Path:
    """Return the lowest folder that is there of those above a path, or the path itself if it is one."""
    while not os.path.isdir(path):
        path = os.path.dirname(path)
    return Path(path)


def kind_of(status: os.stat_result) -> str:
    """Return what something is, in words."""
    if stat.S_ISDIR(status.st_mode):
        return "a folder"
    if stat.S_ISLNK(status.st_mode):
        return "a symbolic link"
    return "a file" if stat.S_ISREG(status.st_mode) else "no regular file"


def unlisted(error: Exception) -> str:
    """Return that a folder cannot be listed, and why, if an error tells that; empty if it tells something else."""
    if isinstance(error, OSError) and error.filename and os.path.isdir(error.filename):
        return f"{error.filename} cannot be listed: {error.strerror}"
    return ""
