"""Snapshot file: one header line about the process, then its samples and its lifetime totals.

One name has one file, whichever life of the process writes it. A new life takes over what the last one left by the
same rename that makes its own first snapshot visible, so nothing is ever counted twice or lost, whoever is killed when.
"""

from __future__ import annotations

import errno
import os
import re
import stat
import zlib
from contextlib import suppress
from itertools import accumulate
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple
from urllib.parse import quote

import msgspec

from peak_observe.support import posix
from peak_observe.telemetry.snapshot import process_identity, samples
from peak_observe.telemetry.snapshot.process_identity import Identity
from peak_observe.telemetry.snapshot.samples import EMPTY, Table

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from peak_observe.clock import Clock

FORMAT = 1
SUFFIX = ".snap"
_LEFTOVER = re.compile(rf"\.(.+\{SUFFIX})(?:\.[0-9a-f]{{8}})?\.tmp")
MAX_BYTES = 16 * 1024 * 1024
MAX_NAME = 140  # bytes: the 64 of a name, the 63 of an instance and the number of one among several
MAX_HEADER = 4096
MOST_PROBLEMS = 20
LONGEST_PROBLEM = 200
PROBLEMS_BYTES = 2_500
"""Bytes of a header for the messages of failing checks, with their names and as JSON writes them."""

_Size = Annotated[int, msgspec.Meta(ge=0, le=MAX_BYTES)]
_Moment = Annotated[float, msgspec.Meta(ge=-1e12, le=1e12)]


_CheckName = Annotated[str, msgspec.Meta(min_length=1, max_length=LONGEST_PROBLEM)]
_Problem = Annotated[str, msgspec.Meta(max_length=LONGEST_PROBLEM)]


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
        checksum: CRC-32 of all.
        outcome: How the last run of a job in it ended; empty without one.
        address: Where it serves its metrics itself, as host:port; empty if it does not.
        clock: The inode of its time namespace: in another one `monotonic` counts from another moment.
        locked: Whether it holds the lock of its name for as long as it lives.
        exemplars: Bytes of the exemplars of its samples, after all others.
        problems: Messages of its failing checks by their names, as many as there is room for.
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
    clock: int = 0
    locked: bool = False
    exemplars: _Size = 0
    problems: Annotated[dict[_CheckName, _Problem], msgspec.Meta(max_length=MOST_PROBLEMS)] = {}


class Snapshot(NamedTuple):
    """Valid snapshot.

    Args:
        header: The process.
        own: Its samples.
        earlier: The account of its earlier lives.
        inherited: What it does not answer for, as it was there at its birth.
        parts: The text of these three; of its own samples, which hardly ever stay the same, nothing.
        exemplars: Exemplars of its samples by their lines.
    """

    header: Header
    own: Table
    earlier: Table
    inherited: Table
    parts: tuple[bytes, bytes, bytes]
    exemplars: dict[str, str]


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


def encode(header: dict[str, Any], own: bytes, earlier: bytes, inherited: bytes, exemplars: bytes = b"") -> bytes:
    """Return the content of a file."""
    body = own + earlier + inherited + exemplars
    sizes = (len(own), len(earlier), len(inherited))
    facts = {**header, "sizes": sizes, "checksum": zlib.crc32(body), "exemplars": len(exemplars)}
    line = msgspec.json.encode(Header(snapshot=1, **facts))
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
    if sum(header.sizes) + header.exemplars != len(body) or zlib.crc32(body) != header.checksum:
        raise RejectedError("torn", "length or checksum differ")
    if len(header.process.encode()) > MAX_NAME or not header.process.isprintable() or header.identity.pid < 1:
        raise RejectedError("invalid", f"process {header.process!r}, pid {header.identity.pid}")
    first, second, third = accumulate(header.sizes)
    parts = (body[:first], body[first:second], body[second:third])
    known = (before or _NOTHING)[1:4]
    same = (before or _NOTHING).parts
    try:
        own, earlier, inherited = (
            table if part and part == text else samples.read(part, table)
            for part, text, table in zip(parts, same, known, strict=True)
        )
        exemplars = samples.read_exemplars(body[third:], own)
    except ValueError as error:
        raise RejectedError("invalid", str(error)) from None
    return Snapshot(header, own, earlier, inherited, (b"", *parts[1:]), exemplars)


_NOTHING = Snapshot(None, EMPTY, EMPTY, EMPTY, (b"", b"", b""), {})  # type: ignore[arg-type] # its header is not looked at


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
        descriptor = os.open(path, os.O_RDONLY | posix.NOFOLLOW | posix.NONBLOCK | posix.CLOEXEC)
    except OSError as error:
        if path.is_symlink():
            raise RejectedError("unsafe", "a symbolic link") from None
        if error.errno == errno.ENXIO:
            raise RejectedError("unsafe", "a socket") from None
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
    """Put a file in its place by one rename; return what the system says of it.

    The temporary file has a random name, which nobody can occupy before; `sweep` removes those of killed writers.

    Args:
        path: Where.
        content: What it shall hold.
        like: A file whose mode, and owner where this process may give things away, it gets.

    Raises:
        OSError: It cannot be written.
    """
    temporary = path.with_name(f".{path.name}.{os.urandom(4).hex()}.tmp")
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | posix.NOFOLLOW | posix.CLOEXEC
    descriptor = os.open(temporary, flags, 0o644)
    try:
        _fill(descriptor, content, like)
        found = os.fstat(descriptor)
        _replace(temporary, path)
    except BaseException:
        with suppress(OSError):
            temporary.unlink()
        raise
    finally:
        os.close(descriptor)
    return found


def sweep(path: Path) -> None:
    """Remove what killed writers of a file left; its name must not be anybody else's."""
    with os.scandir(path.parent) as entries:
        remove_leftovers(path, [entry.name for entry in entries if left_of(entry.name) == path.name])


def left_of(name: str) -> str:
    """Return the name of the file of which a killed writer left this one; empty for any other."""
    found = _LEFTOVER.fullmatch(name)
    return found[1] if found else ""


def remove_leftovers(path: Path, names: Iterable[str]) -> None:
    """Remove what killed writers of a file left."""
    for name in names:
        with suppress(OSError):  # a trap that somebody else set harms nobody
            remove(path.with_name(name))


def remove(path: Path) -> None:
    """Remove a file of any kind, or an empty folder.

    Raises:
        OSError: It stays.
    """
    if stat.S_ISDIR(path.lstat().st_mode):
        path.rmdir()
    else:
        path.unlink()


def age(header: Header, modified: float, clock: Clock) -> float:
    """Return the seconds since a snapshot was written: by the clock that does not jump, where that can be compared.

    Args:
        header: Its header.
        modified: Unix time at which the file was written, by the kernel of this machine.
        clock: What time it is here.
    """
    if process_identity.comparable(header.identity, header.clock):
        return max(0.0, clock.monotonic() - header.monotonic)
    since = header.written if header.state == "account" else modified  # an account was written anew by others
    return max(0.0, clock.now().timestamp() - since)


def has_our_clock(header: Header) -> bool:
    """Return whether the process of a snapshot has the clock of this machine, or is gone, so that nobody minds."""
    return header.state == "account" or process_identity.comparable(header.identity, header.clock)


def clock_offset(header: Header, modified: float) -> float:
    """Return the seconds by which the clock of a process is ahead: 0 on this machine, and where nobody knows any more.

    Args:
        header: The header of its snapshot.
        modified: Unix time at which the file was written, by the kernel of the machine whose disk it is on.
    """
    return 0.0 if has_our_clock(header) else header.written - modified


def _fill(descriptor: int, content: bytes, like: os.stat_result | None) -> None:
    view = memoryview(content)
    while view:
        view = view[os.write(descriptor, view) :]
    if like is not None:
        os.fchmod(descriptor, stat.S_IMODE(like.st_mode))
        with suppress(PermissionError):
            os.fchown(descriptor, like.st_uid, like.st_gid)


def _replace(temporary: Path, path: Path) -> None:
    try:
        os.replace(temporary, path)  # noqa: PTH105 - beside its neighbours
    except IsADirectoryError:
        path.rmdir()
        os.replace(temporary, path)  # noqa: PTH105 - the same
