"""Standard streams of a command: closed ones are opened, and what can be written to nobody is dropped."""

from __future__ import annotations

import errno
import os
import sys
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

STANDARD = 3  # input, output and errors
_UNREAD = (errno.EPIPE, errno.EBADF)


class OutputError(OSError):
    """Error of writing to standard output, as opposed to that of a file."""


def open_streams() -> None:
    """Open `/dev/null` for standard streams that are closed (`>&-`), whose numbers the next file would get.

    Letters that the encoding of the output lacks, and names of any bytes, are written by their codes.
    """
    while (descriptor := os.open(os.devnull, os.O_RDWR)) < STANDARD:
        pass
    os.close(descriptor)
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            stream = os.fdopen(os.open(os.devnull, os.O_WRONLY), "w", encoding="utf-8")
            setattr(sys, name, stream)
            setattr(sys, f"__{name}__", stream)
    with suppress(AttributeError):  # of a stream that is none of Python's own
        sys.stdout.reconfigure(errors="backslashreplace")  # type: ignore[union-attr] # see above


@contextmanager
def unread_output_dropped() -> Iterator[None]:
    """Let a command end as it would have, also where nobody reads its output any more (`| head -1`)."""
    before = sys.stdout
    sys.stdout = _Output(before)
    try:
        yield
    finally:
        with suppress(OSError, ValueError):
            sys.stdout.flush()
        sys.stdout = before


@contextmanager
def untold_errors_dropped() -> Iterator[None]:
    """Let a command do its work and end as it would have, also where standard error takes nothing."""
    before = sys.stderr
    sys.stderr = _Errors(before)
    try:
        yield
    finally:
        sys.stderr = before
        try:
            before.flush()
        except (OSError, ValueError):
            _give_up(before)


class _Output:
    """A text stream that drops what can be given to nobody."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self.unread = False
        """Whether the reader has left; commands that run until Ctrl-C end then."""

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        """Write a text."""
        try:
            self._stream.write(text)
        except OSError as error:
            self._drop(error)
        return len(text)

    def flush(self) -> None:
        """Hand on what has been written."""
        try:
            self._stream.flush()
        except OSError as error:
            self._drop(error)

    def _drop(self, error: OSError) -> None:
        if error.errno not in _UNREAD:
            raise OutputError(error.errno, error.strerror) from error
        self.unread = True
        _give_up(self._stream)


class _Errors(_Output):
    """Standard error: what a command does is worth more than that it can say so."""

    def _drop(self, error: OSError) -> None:
        """Go on; what is in the buffer is written with the next text if there is room by then."""


def _give_up(stream: Any) -> None:
    """Let what is in the buffer go into nothing: it would fail again when the process ends."""
    with suppress(OSError, ValueError, AttributeError):
        nothing = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nothing, stream.fileno())
        os.close(nothing)
