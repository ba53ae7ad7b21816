"""File of a trading switch: written by rename, read by every process, and halted where it cannot be read."""

from __future__ import annotations

import json
import os
import socket
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from peak_observe.catalog import TRADING_STATES
from peak_observe.errors import ConfigError
from peak_observe.safety.switch_byte import SwitchByte
from peak_observe.support import posix
from peak_observe.support.atomic_files import create_file, replace_text
from peak_observe.support.shown import shown
from peak_observe.telemetry.snapshot import writer

if TYPE_CHECKING:
    from collections.abc import Iterator

TRADING, REDUCE_ONLY, HALTED = TRADING_STATES
FOLDER, SUFFIX = "trading", ".json"
LONGEST_NAME, LONGEST_REASON = 64, 200
LONGEST_FILE = 10_000
UNREADABLE = "unreadable"
"""The `id` of the state where the file cannot be read."""
PATIENCE = 2.0
"""Seconds to wait for another process that writes at this moment."""
_LETTERS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-")


class TradingState(NamedTuple):
    """State of a trading switch.

    Args:
        state: `trading`, `reduce_only` or `halted`.
        reason: Why.
        by: Who set it: user, host, program and process id.
        at: Unix time since which it holds, 0 if it was never changed.
        until: Unix time at which it ends by itself; None if somebody has to resume.
        id: The same for as long as one halt lasts.
        revision: Number of the change among hosts that share the switch; 0 if there are none, or they were not told.
    """

    state: str
    reason: str = ""
    by: str = ""
    at: float = 0.0
    until: float | None = None
    id: str = ""
    revision: int = 0

    @property
    def severity(self) -> int:
        """0 for trading, 1 for reduce-only, 2 for halted."""
        return TRADING_STATES.index(self.state)

    def settled(self, now: float) -> TradingState:
        """Return the state that holds at a Unix time: trading, if it has ended by itself."""
        if self.until is None or now < self.until:
            return self
        return TradingState("trading", "its time is over", self.by, self.until, revision=self.revision)

    def outlasts(self, other: TradingState) -> bool:
        """Return whether it is stricter than another state, or as strict and lasts longer."""
        if self.severity != other.severity:
            return self.severity > other.severity
        return other.until is not None and (self.until is None or self.until > other.until)


def checked_name(name: object) -> str:
    """Return the name of a switch, which is also that of its file.

    Raises:
        ValueError: It is no such name.
    """
    if not isinstance(name, str) or not _fits(name):
        raise ValueError(
            f"name of a switch must be 1 to {LONGEST_NAME} ASCII letters, digits, '.', '_' or '-', "
            f"the first no dot, not {shown(name)}"
        )
    return name


def folder_of(given: str | os.PathLike[str] | None) -> Path:
    """Return the folder of all switches: what was given, else that of the snapshots.

    Raises:
        ConfigError: There is none.
    """
    if given is not None and not isinstance(given, str | os.PathLike):
        raise TypeError(f"folder must be a path, not {shown(given)}")
    found = given or writer.folder() or os.environ.get(writer.DIRECTORY)
    if not found:
        raise ConfigError(
            "",
            "",
            f"a trading switch needs a folder that all share: set {writer.DIRECTORY}, or give folder= (--dir)",
        )
    return Path(found).absolute() / FOLDER


def names_in(folder: Path) -> list[str]:
    """Return the names of all switches that have a file."""
    return sorted(filter(_fits, (path.name.removesuffix(SUFFIX) for path in folder.glob(f"[!.]*{SUFFIX}"))))


def _fits(name: str) -> bool:
    return 0 < len(name) <= LONGEST_NAME and name[0] != "." and _LETTERS.issuperset(name)


def new_state(kind: str, reason: object, for_seconds: float | str | None, *, at: float, by: str = "") -> TradingState:
    """Return the state that somebody asks for.

    Args:
        kind: `trading`, `reduce_only` or `halted`.
        reason: Why.
        for_seconds: How long it lasts, in seconds or as `90min`; until somebody resumes if not given.
        at: Unix time.
        by: Who asks; user, host and program if not given.

    Raises:
        ValueError: There is no reason, or the time is invalid.
    """
    from uuid import uuid4

    from peak_observe.support.redact import redact_line

    if not isinstance(reason, str) or not reason.strip():
        raise ValueError(f"reason must be text that says why, not {shown(reason)}")
    until = None if for_seconds is None else at + _seconds(for_seconds)
    why, who = (redact_line(text)[:LONGEST_REASON] for text in (reason, by or actor()))
    return TradingState(kind, why, who, at, until, uuid4().hex)


def _seconds(value: float | str) -> float:
    from peak_observe.support.durations import seconds

    try:
        return seconds(value)
    except ValueError as error:
        raise ValueError(f"for_seconds: {error}") from None


def actor() -> str:
    """Return who acts: user, host, program and process id."""
    import getpass

    try:
        user = os.environ.get("SUDO_USER") or getpass.getuser()
    except (KeyError, OSError):  # a user id without a name, as in containers
        user = str(os.getuid()) if hasattr(os, "getuid") else "unknown"
    return f"{user}@{socket.gethostname()} {writer.process_name()} (pid {os.getpid()})"


class SwitchFile:
    """File, lock and log of one switch.

    Args:
        folder: The folder of all switches.
        name: The switch's name.
    """

    def __init__(self, folder: Path, name: str) -> None:
        self.path = folder / f"{name}{SUFFIX}"
        self.log_path = folder / f"{name}.log"
        self.byte = SwitchByte(folder / f".{name}.byte")
        self._lock_path = folder / f".{name}.lock"
        self._name = name

    def create(self) -> None:
        """Make the file, if there is none, so that from now on a missing file means that something is wrong.

        Raises:
            ConfigError: The folder cannot be written.
        """
        try:
            if self.path.exists():
                return
            self.path.parent.mkdir(parents=True, exist_ok=True)
            create_file(self.path, _text(TradingState(TRADING)).encode())
        except OSError as error:
            problem = f"the trading switch {self._name!r} cannot be made: {error.strerror}; make the folder writable"
            raise ConfigError(str(self.path.parent), "", problem) from None

    def key(self) -> tuple[int, ...] | None:
        """Return what changes whenever the file is replaced; None if it cannot be found."""
        try:
            found = self.path.stat()
        except OSError:
            return None
        return found.st_ino, found.st_mtime_ns, found.st_size, found.st_ctime_ns

    def read(self) -> TradingState:
        """Return the state that the file says; halted where it cannot be read."""
        try:
            with self.path.open("rb") as file:
                return parsed(json.loads(file.read(LONGEST_FILE + 1)))
        except OSError as error:
            return self._unreadable(error.strerror or type(error).__name__)
        except (ValueError, TypeError, KeyError, RecursionError):
            return self._unreadable("it does not hold a state")

    def write(self, state: TradingState) -> None:
        """Replace the file; when this returns the state outlives SIGKILL and a power cut.

        Raises:
            OSError: It cannot be written.
        """
        if state.state != TRADING:
            self.byte.shut()
        replace_text(self.path, _text(state), durable=True)
        if state.state == TRADING:
            self.byte.open()

    def open_byte(self) -> None:
        """Let calls pass by the byte again, if the file says trading and nobody changes it at this moment.

        Who changes it opens the byte as well, but may have been killed before.
        """
        with locked(self._lock_path, patience=0.0) as alone:
            before = self.key()
            if alone and self.read().state == TRADING:
                self.byte.open()
                if self.key() != before:  # by a writer that waited for the lock in vain, as in a signal handler
                    self.byte.shut()

    def log(self, state: TradingState, *, note: str = "") -> None:
        """Append a line: when, what, why and who.

        Raises:
            OSError: It cannot be written.
        """
        from datetime import UTC, datetime

        line: dict[str, object] = {"time": datetime.now(UTC).isoformat(timespec="milliseconds"), **_facts(state)}
        line |= {"note": note} if note else {}
        descriptor = os.open(self.log_path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | posix.CLOEXEC, 0o666)
        try:
            os.write(descriptor, f"{json.dumps(line)}\n".encode())
        finally:
            os.close(descriptor)

    @contextmanager
    def locked(self) -> Iterator[bool]:
        """Keep other writers out, and say whether that was possible within 2 s."""
        with locked(self._lock_path) as alone:
            yield alone

    def _unreadable(self, why: str) -> TradingState:
        mend = f"`peak-observe trading resume {self._name}` writes it anew"
        return TradingState(HALTED, f"the file of the switch cannot be read: {why}; {mend}", id=UNREADABLE)


@contextmanager
def locked(path: Path, *, patience: float = PATIENCE) -> Iterator[bool]:
    """Lock a file among all processes and threads, and say whether that was possible within 2 s.

    Args:
        path: The file, which is made.
        patience: Seconds to wait.
    """
    if posix.fcntl is None:
        yield True
        return
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CREAT | posix.CLOEXEC, 0o666)
    except OSError:
        yield False
        return
    try:
        yield _lock(descriptor, patience)
    finally:
        os.close(descriptor)


def _lock(descriptor: int, patience: float) -> bool:
    # Not for ever: a signal handler may halt while the code that it interrupted holds the lock.
    end = time.monotonic() + patience
    while True:
        try:
            posix.fcntl.flock(descriptor, posix.fcntl.LOCK_EX | posix.fcntl.LOCK_NB)
        except OSError:
            if time.monotonic() >= end:
                return False
            time.sleep(0.01)
        else:
            return True


def _facts(state: TradingState) -> dict[str, Any]:
    return {key: value for key, value in state._asdict().items() if value not in ("", None)}


def _text(state: TradingState) -> str:
    return json.dumps({"version": 1, **_facts(state)}) + "\n"


def parsed(found: Any) -> TradingState:
    """Return the state that JSON holds.

    Raises:
        ValueError: It is none; or KeyError, TypeError.
    """
    if found["version"] != 1 or found["state"] not in TRADING_STATES:
        raise ValueError
    texts = {key: found.get(key, "") for key in ("reason", "by", "id")}
    at, until = found.get("at", 0.0), found.get("until")
    if not all(isinstance(text, str) for text in texts.values()) or not isinstance(at, int | float):
        raise TypeError
    if until is not None and not isinstance(until, int | float):
        raise TypeError
    revision = found.get("revision", 0)
    if isinstance(revision, bool) or not isinstance(revision, int) or revision < 0:
        raise TypeError
    return TradingState(found["state"], texts["reason"], texts["by"], float(at), until, texts["id"], revision)
