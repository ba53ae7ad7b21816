"""Snapshot file: one header line about the process, then its samples and its lifetime totals.

One name has one file, whichever life of the process writes it. A new life takes over what the last one left by the
same rename that makes its own first snapshot visible, so nothing is ever counted twice or lost, whoever is killed when.
"""

from __future__ import annotations

import fcntl
import os
import stat
import time
import zlib
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple
from urllib.parse import quote

import msgspec

from peak_observe.telemetry.snapshot import samples
from peak_observe.telemetry.snapshot.process_identity import Identity
from peak_observe.telemetry.snapshot.samples import EMPTY, Table

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

FORMAT = 1
SUFFIX = ".snap"
MAX_BYTES = 16 * 1024 * 1024
MAX_NAME = 70  # bytes: the 64 of a name and the number of one among several
MAX_HEADER = 4096
LOCK = ".lock"
LOCK_PATIENCE = 2.0  # seconds

_Size = Annotated[int, msgspec.Meta(ge=0, le=MAX_BYTES)]
_Moment = Annotated[float, msgspec.Meta(ge=-1e12, le=1e12)]


class Header(msgspec.Struct, frozen=True, omit_defaults=True):
    """Header of a snapshot: facts about the process.

    Args:
        snapshot: The number of the format.
        process: Its name.
        state: `running`; `ended` in order; or `account`, when only the sum of its lives is left.
        identity: Which life of which process wrote this.
        started: Unix time at which it began.
        written: Unix time of the snapshot.
        monotonic: The same by the clock that does not jump, in seconds; comparable until the machine starts anew.
        interval: Seconds until the next one.
        sizes: Bytes of the samples, of the account of earlier lives, and of what was inherited.
        checksum: CRC-32 of all three.
        outcome: How the last run of a job in it ended; empty without one.
        address: Where it serves its metrics itself, as host:port; empty if it does not.
    """

    snapshot: Literal[1]
    process: Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_NAME)]
    state: Literal["running", "ended", "account"]
    identity: Identity
    started: _Moment
    written: _Moment
    monotonic: _Moment
    interval: Annotated[float, msgspec.Meta(gt=0, le=86_400)]
    sizes: tuple[_Size, _Size, _Size]
    checksum: int
    outcome: Literal["", "success", "failed", "interrupted"] = ""
    address: Annotated[str, msgspec.Meta(pattern=r"^([A-Za-z0-9.\-]+|\[[0-9A-Fa-f:.]+\]):[0-9]{1,5}$|^$")] = ""


class Snapshot(NamedTuple):
    """Valid snapshot.

    Args:
        header: The process.
        own: Its samples.
        earlier: The account of its earlier lives.
        inherited: What it does not answer for, as it was there at its birth.
        parts: The text of these three.
    """

    header: Header
    own: Table
    earlier: Table
    inherited: Table
    parts: tuple[bytes, bytes, bytes]


class RejectedError(ValueError):
    """A snapshot file was rejected.

    Args:
        reason: One of `catalog.REJECTIONS`.
        problem: What is wrong with it.
    """

    def __init__(self, reason: str, problem: str) -> None:
        super().__init__(reason, problem)
        self.reason = reason
        self.problem = problem


def path_of(folder: Path, process: str) -> Path:
    """Return the file of a process; its name may hold anything that prints."""
    name = quote(process, safe=" ()+,=@")
    return folder / f"{name.replace('.', '%2E', 1) if name.startswith('.') else name}{SUFFIX}"


def encode(header: dict[str, Any], own: bytes, earlier: bytes, inherited: bytes) -> bytes:
    """Return the content of a file."""
    body = own + earlier + inherited
    sizes = (len(own), len(earlier), len(inherited))
    line = msgspec.json.encode(Header(snapshot=1, sizes=sizes, checksum=zlib.crc32(body), **header))
    return line + b"\n" + body


def decode(content: bytes, before: Snapshot | None = None) -> Snapshot:
    """Return what a file says.

    Args:
        content: Its content.
        before: What an earlier state of it said; what did not change is not parsed again.

    Raises:
        RejectedError: It is not ours, not whole, or says what no process of ours would.
    """
    line, _, body = content.partition(b"\n")
    header = _header(line)
    if sum(header.sizes) != len(body) or zlib.crc32(body) != header.checksum:
        raise RejectedError("torn", "length or checksum differ")
    if len(header.process.encode()) > MAX_NAME or not header.process.isprintable() or header.identity.pid < 1:
        raise RejectedError("invalid", f"process {header.process!r}, pid {header.identity.pid}")
    first, second = header.sizes[0], header.sizes[0] + header.sizes[1]
    parts = (body[:first], body[first:second], body[second:])
    known = (before or _NOTHING)[1:4]
    same = (before or _NOTHING).parts
    try:
        own, earlier, inherited = (
            table if part == text else samples.read(part, table)
            for part, text, table in zip(parts, same, known, strict=True)
        )
    except ValueError as error:
        raise RejectedError("invalid", str(error)) from None
    return Snapshot(header, own, earlier, inherited, parts)


_NOTHING = Snapshot(None, EMPTY, EMPTY, EMPTY, (b"", b"", b""))  # type: ignore[arg-type] # its header is not looked at


def _header(line: bytes) -> Header:
    try:
        if not line.startswith(b'{"snapshot":') or len(line) > MAX_HEADER:
            raise RejectedError("foreign", "no snapshot")
        return msgspec.json.decode(line, type=Header)
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        raise RejectedError("foreign", str(error)) from None


def read(path: Path) -> tuple[bytes, os.stat_result]:
    """Return the content of a file and what the system says of it, never waiting for anybody.

    Raises:
        RejectedError: It is no plain file, anybody may write it, or it is too big.
        OSError: It cannot be read.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        if path.is_symlink():
            raise RejectedError("unsafe", "a symbolic link") from None
        raise error from None
    try:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode) or found.st_mode & stat.S_IWOTH:
            raise RejectedError("unsafe", "no plain file, or anybody may write it")
        if found.st_size > MAX_BYTES:
            raise RejectedError("huge", f"{found.st_size} bytes")
        return os.read(descriptor, found.st_size + 1), found
    finally:
        os.close(descriptor)


def write(path: Path, content: bytes, *, like: os.stat_result | None = None) -> os.stat_result:
    """Put a file in its place by one rename, for one writer of the name at a time; return what the system says of it.

    A writer that is killed leaves at most one temporary file a name, which the next one uses.

    Args:
        path: Where.
        content: What it shall hold.
        like: A file whose mode, and owner where this process may give things away, it gets.

    Raises:
        OSError: It cannot be written.
    """
    temporary = path.with_name(f".{path.name}.tmp")
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    descriptor = os.open(temporary, flags, 0o644)
    try:
        view = memoryview(content)
        while view:
            view = view[os.write(descriptor, view) :]
        if like is not None:
            os.fchmod(descriptor, stat.S_IMODE(like.st_mode))
            with suppress(PermissionError):
                os.fchown(descriptor, like.st_uid, like.st_gid)
        found = os.fstat(descriptor)
        os.replace(temporary, path)  # noqa: PTH105 - beside its neighbours
        return found
    finally:
        os.close(descriptor)


@contextmanager
def locked(folder: Path, patience: float = LOCK_PATIENCE) -> Iterator[None]:
    """Hold the folder while a name changes hands; everybody does so for an instant only.

    Args:
        folder: The folder.
        patience: Seconds to wait for another one.

    Raises:
        TimeoutError: Somebody holds it all the time.
        OSError: It cannot be had.
    """
    path = folder / LOCK
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        descriptor = os.open(path, flags)
    except FileNotFoundError:
        descriptor = os.open(path, flags | os.O_CREAT, 0o644)
    try:
        _take(descriptor, path, time.monotonic() + patience)
        yield
    finally:
        os.close(descriptor)


def _take(descriptor: int, path: Path, deadline: float) -> None:
    while True:
        try:
            return fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= deadline:
                raise TimeoutError(f"{path} is held by another process") from None
            time.sleep(0.01)
