"""The layer between Python and the file system: it counts the calls, and lets one of them go wrong."""

import builtins
import ctypes
import errno
import fcntl
import io
import os
import signal
import sqlite3
import stat
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from functools import partial, wraps
from pathlib import Path
from typing import Any, NamedTuple

CHANGES = [
    "write",
    "pwrite",
    "writev",
    "ftruncate",
    "truncate",
    "fsync",
    "fdatasync",
    "sync",
    "rename",
    "replace",
    "link",
    "symlink",
    "unlink",
    "remove",
    "mkdir",
    "rmdir",
    "chmod",
    "fchmod",
    "utime",
    "chown",
    "fchown",
    "lchown",
    "close",
]
LOOKS = ["stat", "lstat", "fstat", "readlink", "scandir", "listdir", "read", "readv", "pread", "lseek", "listxattr"]
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC
REAL = {name: getattr(os, name) for name in (*CHANGES, *LOOKS, "open")}
REAL_FLOCK, REAL_LOCKF, REAL_OPEN, REAL_CONNECT = fcntl.flock, fcntl.lockf, io.open, sqlite3.connect
AUDITED = {f"os.{name}" for name in (*CHANGES, "listxattr", "setxattr", "removexattr", "lockf", "posix_spawn")}
DATA = ("write", "pwrite", "writev", "ftruncate", "truncate")


class Call(NamedTuple):
    """One call.

    Args:
        number: Its number in the run, from 0.
        name: The function.
        paths: What it is about.
        changes: Whether it may change what is on the disk.
    """

    number: int
    name: str
    paths: tuple[str, ...]
    changes: bool

    def __str__(self) -> str:
        return f"{self.number} {self.name}({', '.join(path.rpartition('/world/')[2] for path in self.paths)})"


Fault = Callable[["Layer", Call, Callable[[], Any], tuple[Any, ...]], Any]


class Layer:
    """Counts calls and hands one of them to a fault.

    Args:
        at: The number of the call; -1 for none.
        fault: What happens at it.
        record: Whether to keep the calls.
    """

    def __init__(self, at: int = -1, fault: Fault | None = None, *, record: bool = False) -> None:
        self.calls: list[Call] = []
        self.unseen: list[str] = []
        self.unsynced: set[tuple[int, int]] = set()
        self.inside = threading.local()
        self._at = at
        self._fault = fault
        self._record = record
        self._count = 0
        self._lock = threading.Lock()

    def install(self) -> None:
        """Put the layer in place, for good; only a forked child does that."""
        for name in (*CHANGES, *LOOKS):
            setattr(os, name, self._around(name, REAL[name], changes=name in CHANGES))
        os.open = self._opening
        fcntl.flock = self._around("flock", REAL_FLOCK, changes=False)
        fcntl.lockf = self._around("lockf", REAL_LOCKF, changes=False)
        builtins.open = io.open = self._file
        ctypes.CDLL = lambda *args, **more: _Library(self)
        sqlite3.connect = partial(REAL_CONNECT, factory=_connection(self))
        if self._record:
            sys.addaudithook(self._audit)

    def move(self, at: int) -> None:
        """Let the fault come at another call."""
        self._at = at

    def _audit(self, event: str, args: tuple[Any, ...]) -> None:
        """Note what Python does to the file system without asking here."""
        writes = event == "open" and isinstance(args[2], int) and args[2] & WRITING
        if (writes or event in AUDITED) and not getattr(self.inside, "busy", False):
            self.unseen.append(f"{event} {args}")

    def call(self, name: str, function: Callable[[], Any], args: tuple[Any, ...], *, changes: bool) -> Any:
        """Make one call, or let it go wrong."""
        if getattr(self.inside, "busy", False):
            return function()
        self.inside.busy = True
        try:
            with self._lock:
                number, self._count = self._count, self._count + 1
            if number != self._at and not self._record:
                self._note(name, args)
                return function()
            call = Call(number, name, _paths(args), changes)
            if self._record:
                self.calls.append(call)
            found = self._fault(self, call, function, args) if number == self._at and self._fault else function()
            self._note(name, args)
            return found
        finally:
            self.inside.busy = False

    def _around(self, name: str, real: Callable[..., Any], *, changes: bool) -> Callable[..., Any]:
        @wraps(real)
        def wrapped(*args: Any, **more: Any) -> Any:
            return self.call(name, lambda: real(*args, **more), args, changes=changes)

        return wrapped

    def _opening(self, path: Any, flags: int, *args: Any, **more: Any) -> int:
        changes = bool(flags & WRITING)
        real = partial(REAL["open"], path, flags, *args, **more)
        return self.call("create" if flags & os.O_CREAT else "open", real, (path,), changes=changes)

    def _file(self, path: Any, mode: str = "r", *args: Any, **more: Any) -> Any:
        if mode not in ("rb", "wb"):
            return REAL_OPEN(path, mode, *args, **more)
        flags = os.O_RDONLY if mode == "rb" else os.O_WRONLY | os.O_CREAT | os.O_TRUNC
        raw = _Raw(path if isinstance(path, int) else os.open(path, flags | os.O_CLOEXEC, 0o666), mode)
        return io.BufferedReader(raw) if mode == "rb" else io.BufferedWriter(raw)

    def _note(self, name: str, args: tuple[Any, ...]) -> None:
        """Remember what a power cut would take."""
        if name in DATA:
            self.unsynced.add(_identity(args[0]))
        elif name in ("fsync", "fdatasync"):
            self.unsynced.discard(_identity(args[0]))
        elif name in ("syncfs", "sync"):
            self.unsynced.clear()
        elif name == "sqlite step":
            with suppress(OSError):
                self.unsynced.add(_identity(args[0]))


class _Raw(io.RawIOBase):
    """A file whose reads and writes go through `os`, as those of Python's own do not."""

    def __init__(self, descriptor: int, mode: str) -> None:
        self._descriptor = descriptor
        self._mode = mode

    def fileno(self) -> int:
        return self._descriptor

    def readable(self) -> bool:
        return self._mode == "rb"

    def writable(self) -> bool:
        return self._mode == "wb"

    def readinto(self, buffer: Any) -> int:
        return os.readv(self._descriptor, [buffer])

    def write(self, text: Any) -> int:
        return os.write(self._descriptor, text)

    def close(self) -> None:
        if not self.closed:
            try:
                super().close()
            finally:
                os.close(self._descriptor)


class _Library:
    """The C library with nothing but `syncfs` in it."""

    def __init__(self, layer: Layer) -> None:
        self._real = REAL_CDLL(None, use_errno=True)
        self._layer = layer

    def syncfs(self, descriptor: int) -> int:
        try:
            real = partial(self._real.syncfs, descriptor)
            return self._layer.call("syncfs", real, (descriptor,), changes=True)
        except OSError as error:
            ctypes.set_errno(error.errno or errno.EIO)
            return -1


REAL_CDLL = ctypes.CDLL


def _connection(layer: Layer) -> type[sqlite3.Connection]:
    class Connection(sqlite3.Connection):
        """A connection whose steps are calls."""

        def __init__(self, name: str, *args: Any, **more: Any) -> None:
            self.name = name
            layer.call("sqlite open", partial(super().__init__, name, *args, **more), (name,), changes=True)

        def execute(self, *args: Any) -> sqlite3.Cursor:
            return layer.call("sqlite execute", partial(super().execute, *args), (self.name,), changes=True)

        def backup(self, target: Any, *, progress: Any, **more: Any) -> None:
            def step(*counts: int) -> None:
                layer.call("sqlite step", lambda: None, (target.name,), changes=True)
                progress(*counts)

            real = partial(super().backup, target, progress=step, **more)
            layer.call("sqlite backup", lambda: None, (target.name,), changes=True)
            real()

        def close(self) -> None:
            layer.call("sqlite close", super().close, (self.name,), changes=True)

    return Connection


def kill(*_: object) -> None:
    """End this process as nobody can help it."""
    os.kill(os.getpid(), signal.SIGKILL)


def kill_before(layer: Layer, call: Call, function: Callable[[], Any], args: tuple[Any, ...]) -> None:
    """Die with the call not made."""
    kill()


def kill_after(layer: Layer, call: Call, function: Callable[[], Any], args: tuple[Any, ...]) -> None:
    """Die with the call made and its answer not seen; of a write, half is made."""
    if call.name in ("write", "pwrite"):
        REAL[call.name](args[0], args[1][: len(args[1]) // 2], *args[2:])
    else:
        function()
    kill()


def power_cut(root: Path) -> Fault:
    """Return the fault of a power cut: names outlive it in their order, what was not synced is empty.

    That is what a file system that keeps a journal of its metadata leaves; between two syncs it may leave an earlier
    state as well, which is that of an earlier point.
    """

    def cut(layer: Layer, call: Call, function: Callable[[], Any], args: tuple[Any, ...]) -> None:
        for where, _, names in os.walk(root):
            for name in names:
                path = f"{where}/{name}"
                status = REAL["lstat"](path)
                if stat.S_ISREG(status.st_mode) and (status.st_dev, status.st_ino) in layer.unsynced:
                    REAL["truncate"](path, 0)
        kill()

    return cut


def fails(number: int) -> Fault:
    """Return the fault of a call that reports an error."""

    def fail(layer: Layer, call: Call, function: Callable[[], Any], args: tuple[Any, ...]) -> None:
        if call.name == "close":
            function()
        if call.name.startswith("sqlite"):
            full = number in (errno.ENOSPC, errno.EDQUOT)
            error = sqlite3.OperationalError("database or disk is full" if full else "disk I/O error")
            error.sqlite_errorcode = sqlite3.SQLITE_FULL if full else sqlite3.SQLITE_IOERR
            raise error
        raise OSError(number, os.strerror(number), *call.paths[:1])

    return fail


def short(layer: Layer, call: Call, function: Callable[[], Any], args: tuple[Any, ...]) -> Any:
    """Write half of what was asked for, and say so."""
    if call.name not in ("write", "pwrite"):
        return function()
    return REAL[call.name](args[0], args[1][: max(1, len(args[1]) // 2)], *args[2:])


def interrupt(layer: Layer, call: Call, function: Callable[[], Any], args: tuple[Any, ...]) -> None:
    """Make the call, and let Ctrl-C come before its answer is seen."""
    function()
    raise KeyboardInterrupt


def interrupt_twice(gap: int) -> Fault:
    """Return the fault of Ctrl-C as the system sends it, which comes again a few calls later."""
    left = [2]

    def twice(layer: Layer, call: Call, function: Callable[[], Any], args: tuple[Any, ...]) -> Any:
        found = function()
        left[0] -= 1
        layer.move(call.number + gap if left[0] else -1)
        signal.raise_signal(signal.SIGINT)
        return found

    return twice


def _identity(file: Any) -> tuple[int, int]:
    status = REAL["fstat"](file) if isinstance(file, int) else REAL["stat"](file)
    return status.st_dev, status.st_ino


def _paths(args: tuple[Any, ...]) -> tuple[str, ...]:
    return tuple(path for arg in args[:2] if (path := _path(arg)))


def _path(arg: Any) -> str:
    if isinstance(arg, int) and not isinstance(arg, bool):
        try:
            return os.fsdecode(REAL["readlink"](f"/proc/self/fd/{arg}"))
        except OSError:
            return ""
    if isinstance(arg, str | os.PathLike):
        return os.fsdecode(os.fspath(arg))
    return ""
