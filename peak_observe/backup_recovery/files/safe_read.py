"""Reading the small texts of a repository: nothing of what stands in their place can lead astray, block or crash."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Protocol, TypeVar

from peak_observe.backup_recovery.files.copying import opened

if TYPE_CHECKING:
    from pathlib import Path

T_co = TypeVar("T_co", covariant=True)


class Decoder(Protocol[T_co]):
    """What makes something of a text."""

    def decode(self, text: bytes, /) -> T_co:
        """Return what the text tells."""
        ...


def content(path: Path) -> bytes:
    """Return what a regular file holds.

    Raises:
        OSError: It cannot be read, or it is a symbolic link, a pipe or anything else.
    """
    descriptor, _ = opened(str(path))
    with os.fdopen(descriptor, "rb") as file:
        return file.read()


def decoded(text: bytes, decoder: Decoder[T_co]) -> T_co:
    """Return what a text tells.

    Raises:
        ValueError: It is no such text; the message says what is wrong and where.
    """
    try:
        return decoder.decode(text)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
