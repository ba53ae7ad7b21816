"""Safe reads of the small texts of a repository: links, pipes and nonsense in their place do no harm."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING, Protocol, TypeVar

from peak_observe.backup_recovery.files.copying import name, opened

if TYPE_CHECKING:
    from pathlib import Path

# The file is not what it was; any other error, as for want of a right or of a connection, says nothing of it.
_DAMAGE = (None, errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.ELOOP, errno.ENXIO, errno.EIO, errno.EBADMSG)

T_co = TypeVar("T_co", covariant=True)


class Decoder(Protocol[T_co]):
    """Decoder of a text."""

    def decode(self, text: bytes, /) -> T_co:
        """Return what the text tells."""
        ...


class NewerFormatError(ValueError):
    """Error of a text that a newer version wrote, which says nothing against its content."""


def content(path: Path) -> bytes:
    """Return what a regular file holds.

    Raises:
        OSError: It cannot be read, or it is a symbolic link, a pipe or anything else.
    """
    descriptor, _ = opened(str(path))
    with os.fdopen(descriptor, "rb") as file:
        try:
            return file.read()
        except OSError as error:
            name(error, str(path))
            raise


def decoded(text: bytes, decoder: Decoder[T_co]) -> T_co:
    """Return what a text tells.

    Raises:
        ValueError: It is no such text; the message says what is wrong and where.
    """
    try:
        return decoder.decode(text)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def check_is_of_file(error: Exception) -> None:
    """Let an error through that says nothing of a file: what the system raises, and what we do, has a reason.

    Raises:
        OSError: A handler of a signal has raised it, as one of an alarm raises `TimeoutError`.
    """
    if isinstance(error, OSError) and error.strerror is None:
        raise error


def is_no_access(error: Exception) -> bool:
    """Return whether an error tells that a file cannot be read and nothing of its content.

    Raises:
        OSError: It is no error of a file.
    """
    check_is_of_file(error)
    if not isinstance(error, OSError):
        return isinstance(error, NewerFormatError)
    # A disk says EIO for a block that it has lost; what hands out files of others may say so for want of a right.
    return error.errno not in _DAMAGE or (error.errno == errno.EIO and _is_of_another(error.filename))


def is_gone(path: Path) -> bool:
    """Return whether nothing is there any more; that it cannot be seen says nothing of it."""
    try:
        os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return True
    except OSError:
        pass
    return False


def _is_of_another(path: str | None) -> bool:
    try:
        return path is not None and os.geteuid() not in (0, os.lstat(path).st_uid)
    except OSError:
        return False
