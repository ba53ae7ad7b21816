"""Writer of this process's snapshots: timing only; contents and format are loaded with the first one.

A daemon thread writes every few seconds, and soon after something rare happened; the end of the program writes the last
one. Nothing here ever raises into the program or holds it up: what cannot be written is logged once.
"""

from __future__ import annotations

import atexit
import os
import sys
import threading
from typing import TYPE_CHECKING, NamedTuple

from peak_observe.measures import when_named
from peak_observe.observers import observe
from peak_observe.support.shown import shown
from peak_observe.support.wake_event import WakeEvent
from peak_observe.telemetry.snapshot import program_end

if TYPE_CHECKING:
    from peak_observe.events import Event
    from peak_observe.telemetry.snapshot.name_claim import Claim

DIRECTORY = "PEAK_OBSERVE_DIR"
INSTANCE = "PEAK_OBSERVE_INSTANCE"
INTERVAL = 5.0
MAX_INTERVAL = 86_400.0
MAX_NAME = 64
MAX_INSTANCE = 63  # characters, as a host's name has at most
GAP = 0.5  # seconds between two snapshots, however much happens
SETTLING = 0.1  # seconds for a program to make its names before the first one
PATIENCE = 4.0  # seconds that the end of the program, or a fork, waits for a snapshot under way


class Settings(NamedTuple):
    """Folder, process name, interval and instance of snapshots; without a folder there are none."""

    folder: str = ""
    process: str = ""
    interval: float = INTERVAL
    instance: str = ""


class Writer:
    """Background thread that writes the snapshots of this process.

    Args:
        settings: Where and how often.
        inherited: What the counters showed at the birth of this process.
    """

    def __init__(self, settings: Settings, inherited: bytes = b"") -> None:
        self._settings = settings
        self._inherited = inherited
        self._claim: Claim | None = None
        self._lock = threading.Lock()
        self._wake, self._stop = WakeEvent(), WakeEvent()
        self._failing = self._held = False
        try:
            threading.Thread(target=self._work, name="peak-observe-snapshot", daemon=True).start()
        except RuntimeError as error:  # the system has no thread to give, or the program is ending
            self._complain(error)

    def soon(self) -> None:
        """Have a snapshot written as soon as the gap allows."""
        self._wake.set()

    def end(self, *, crashed: bool = False) -> None:
        """Write the last snapshot; that of a crash is one of a running process, which will be found dead."""
        self._halt()
        self._write("running" if crashed else "ended", last=True)

    def flush(self, timeout: float) -> bool:
        """Write a snapshot now, and return whether it was written in time."""
        written: list[bool] = []
        # In a thread of its own: a disk that hangs must not hold up the program any longer than it wants.
        thread = threading.Thread(target=lambda: written.append(self._write("running")), daemon=True)
        try:
            thread.start()
        except RuntimeError:  # the program is ending
            return self._write("running")
        thread.join(timeout)
        return written == [True]

    def terminate(self) -> None:
        """Write the last snapshot, as SIGTERM ends the process; a disk that hangs holds it up for a while only."""
        thread = threading.Thread(target=self.end, daemon=True)
        try:
            thread.start()
        except RuntimeError:  # the system has no thread to give
            self.end()
        else:
            thread.join(PATIENCE)

    def move(self) -> bytes:
        """Stop, give the name back, and return what the next writer inherits."""
        self._halt()
        if self._lock.acquire(timeout=PATIENCE):
            try:
                if self._claim is not None:
                    self._claim.leave()
            except OSError as error:
                self._complain(error)
            finally:
                self._lock.release()
        return self._inherited if self._claim is None else self._claim.inherited

    def hold(self) -> bytes:
        """Keep still while this process is forked, and return what the child inherits."""
        self._held = self._lock.acquire(timeout=PATIENCE)
        if not self._held:  # a disk that hangs
            return b"" if self._claim is None else self._claim.told
        try:
            return self._claimed().tell()
        except Exception as error:  # noqa: BLE001 - the program's fork must go on
            self._complain(error)
            return b""

    def release(self) -> None:
        """Go on after a fork."""
        if self._held:
            self._held = False
            self._lock.release()

    def _halt(self) -> None:
        self._stop.set()
        self._wake.set()

    def _work(self) -> None:
        self._wake.wait(SETTLING)
        while not self._stop.is_set():
            self._wake.clear()
            self._write("running")
            self._stop.wait(min(GAP, self._settings.interval))
            self._wake.wait(max(0.0, self._settings.interval - GAP))

    def _write(self, state: str, *, last: bool = False) -> bool:
        if not self._lock.acquire(timeout=PATIENCE):
            return False
        try:
            if self._stop.is_set() and not last:
                return False
            self._claimed().write(state, _address)
            self._failing = False
        except Exception as error:  # noqa: BLE001 - a full disk is not the trading program's fault
            self._complain(error)
            return False
        finally:
            self._lock.release()
        return True

    def _claimed(self) -> Claim:
        if self._claim is None:
            from pathlib import Path

            from peak_observe.telemetry.snapshot.name_claim import Claim

            settings = self._settings
            self._claim = Claim(
                Path(settings.folder),
                _full_name(settings),
                interval=settings.interval,
                inherited=self._inherited,
            )
        return self._claim

    def _complain(self, error: Exception) -> None:
        if self._failing:
            return
        from peak_observe.support.loggers import logger

        self._failing = True
        log = logger("peak_observe.snapshot")
        log.warning("no snapshot of this process in %s: %s", self._settings.folder, error)


_OF_INSTANCE = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-")
_settings = Settings()
_writer: Writer | None = None
_address = ""
_inherited = b""
_lock = threading.RLock()


def arm() -> None:
    """Write snapshots from the first name on, if the environment names a folder for them."""
    folder = os.environ.get(DIRECTORY)
    if folder:
        configure(folder=folder)


def configure(
    *,
    process: str | None = None,
    folder: str | os.PathLike[str] | None = None,
    interval: float | None = None,
    instance: str | None = None,
) -> None:
    """Change what is given; a process that has a name already goes on under the new one.

    Raises:
        ValueError: A value makes no sense.
    """
    global _settings  # noqa: PLW0603 - there is one process
    path, name, seconds, replica = _folder(folder), _name(process), _interval(interval), _instance(instance)
    with _lock:
        old = _settings
        settings = Settings(path or old.folder, name or old.process, seconds or old.interval, replica or old.instance)
        if settings == _settings:
            return
        _settings = settings
        _restart()
    if settings.folder:
        program_end.on_sigterm(last_word)
        when_named(_start)


def soon() -> None:
    """Have a snapshot written soon, if they are written at all."""
    if _writer is not None:
        _writer.soon()


def flush(timeout: float = PATIENCE) -> bool:
    """Write the snapshot of this process now, for a worker that ends without `atexit`.

    Args:
        timeout: Seconds to wait for the disk.

    Returns:
        Whether it was written; also True where no snapshots are written at all.

    Raises:
        ValueError: The timeout is no number of seconds above 0.
    """
    if isinstance(timeout, bool) or not isinstance(timeout, int | float) or not 0 < timeout <= MAX_INTERVAL:
        raise ValueError(f"timeout must be seconds, more than 0 and at most a day, not {timeout!r}")
    _start()
    writer = _writer
    return writer is None or writer.flush(timeout)


def serving(address: str) -> None:
    """Tell where this process serves its metrics itself, as host:port; empty when it does not any more."""
    global _address  # noqa: PLW0603 - there is one process
    _address = address
    if address:
        _start()
    soon()


def disarm() -> None:
    """Write none from now on: this process is no one to be watched."""
    global _settings, _writer
    with _lock:
        if _writer is not None:
            _writer.move()
        _writer, _settings = None, Settings()


def program() -> str:
    """Return the name of the program that runs, the same at each start."""
    path = getattr(sys, "argv", None) or [""]
    folder, _, name = path[0].replace("\\", "/").rpartition("/")
    if name == "__main__.py":
        name = folder.rpartition("/")[2]
    name = "".join(filter(str.isprintable, name.removesuffix(".py")))
    return name.encode()[:MAX_NAME].decode(errors="ignore") if name not in ("", "-", "-c", "-m") else "python"


def folder() -> str:
    """Return the folder of the snapshots; empty without one."""
    return _settings.folder


def process_name() -> str:
    """Return what this process is called: by `configure`, or like its program."""
    return _settings.process or program()


def instance() -> str:
    """Return what an orchestrator calls this replica of the program; empty without one."""
    named = "".join(one for one in os.environ.get(INSTANCE, "") if one in _OF_INSTANCE)
    return _settings.instance or named[:MAX_INSTANCE]


def _full_name(settings: Settings) -> str:
    name, replica = settings.process or program(), instance()
    return f"{name}@{replica}" if replica else name


def _instance(replica: str | None) -> str | None:
    fits = isinstance(replica, str) and 0 < len(replica) <= MAX_INSTANCE and _OF_INSTANCE.issuperset(replica)
    if replica is not None and not fits:
        raise ValueError(
            f"instance must be 1 to {MAX_INSTANCE} ASCII letters, digits, '.', '_' or '-', not {shown(replica)}"
        )
    return replica


def _name(process: str | None) -> str | None:
    if process is None:
        return None
    if not isinstance(process, str) or not process.isprintable() or not 0 < len(process.encode()) <= MAX_NAME:
        raise ValueError(f"process must be a name of 1 to {MAX_NAME} bytes that prints, not {shown(process)}")
    return process


def _folder(folder: str | os.PathLike[str] | None) -> str | None:
    return None if folder is None else os.path.abspath(os.fspath(folder))  # noqa: PTH100 - pathlib is not loaded yet


def _interval(interval: float | None) -> float | None:
    if interval is None:
        return None
    if isinstance(interval, bool) or not isinstance(interval, int | float) or not 0 < interval <= MAX_INTERVAL:
        raise ValueError(f"snapshot_interval must be seconds, more than 0 and at most a day, not {interval!r}")
    return float(interval)


def _start() -> None:
    global _writer  # noqa: PLW0603 - there is one process
    with _lock:
        if _writer is None and _settings.folder:
            _writer = Writer(_settings, _inherited)


def _restart() -> None:
    global _writer  # noqa: PLW0603 - there is one process
    if _writer is not None:
        _writer = Writer(_settings, _writer.move()) if _settings.folder else None


# By name, as the classes are made only when they are used.
TOLD_SOON = frozenset({"Transition", "HealthChanged", "BackupFinished", "RestoreFinished", "GuardTripped"})


def _on_event(event: Event) -> None:
    if type(event).__name__ in TOLD_SOON:
        soon()


def _at_exit() -> None:
    if _writer is not None:
        _writer.end(crashed=program_end.crashed())


def last_word() -> None:
    """Write the last snapshot, in good order, before this process is ended without `atexit`."""
    if _writer is not None:
        _writer.terminate()


def _before_fork() -> None:
    global _inherited  # noqa: PLW0603 - there is one process
    _lock.acquire()
    if _writer is not None:
        _inherited = _writer.hold()


def _after_fork_in_parent() -> None:
    global _inherited  # noqa: PLW0603 - there is one process
    _inherited = b""
    if _writer is not None:
        _writer.release()
    _lock.release()


def _after_fork_in_child() -> None:
    global _writer, _lock, _address
    born, _writer, _address, _lock = _writer is not None, None, "", threading.RLock()
    if born:
        _start()
        _end_with_workers()


def _end_with_workers() -> None:
    """Have multiprocessing, billiard and Celery write the last snapshot: their children leave without atexit."""
    for name in ("multiprocessing.util", "billiard.util"):
        util = sys.modules.get(name)
        if util is not None:
            util.register_after_fork(_at_exit, lambda end, util=util: util.Finalize(None, end, exitpriority=0))
    celery = sys.modules.get("celery.signals")
    if celery is not None:
        celery.worker_process_shutdown.connect(_end_of_worker, weak=False, dispatch_uid="peak_observe")


def _end_of_worker(**_: object) -> None:
    _at_exit()


observe(_on_event)
atexit.register(_at_exit)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_before_fork,
        after_in_parent=_after_fork_in_parent,
        after_in_child=_after_fork_in_child,
    )
