"""Watcher of files: one thread of the process looks once a second whether one of them changed, and sleeps in between.

A look is one `stat` of the path, through all its symbolic links. So it also notices an editor that replaces the file by
a rename, and a Kubernetes ConfigMap, whose folder is a link that is swapped, on every kind of file system.
"""

from __future__ import annotations

import atexit
import threading
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING
from weakref import WeakSet

from peak_observe.measures import forks
from peak_observe.support.wake_event import WakeEvent

if TYPE_CHECKING:
    from collections.abc import Callable

INTERVAL = 1.0
SETTLING = 0.2
"""Seconds for which a file has to stay as it is before it is read: who writes it may not have finished."""
MOST_LOOKS = 25
"""After so many looks at a file that never stays as it is, it is read nevertheless."""

Signature = tuple[int, int, int, int, int]


def signature(path: str) -> Signature | None:
    """Return what differs when a file is another or has been written; None if there is no file."""
    try:
        found = Path(path).stat()
    except (OSError, ValueError):
        return None
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns


class WatchedFile:
    """A file and its state at the last look; the watcher forgets it when nobody else holds it.

    Args:
        path: The file.
        changed: Is called in the watcher's thread when the file changed and has settled; must not raise.
        seen: How the file was when it was read.
    """

    def __init__(self, path: str, changed: Callable[[], object], seen: Signature | None) -> None:
        self._path = path
        self._changed = changed
        self._seen = seen
        self.closed = False

    def look(self, pause: Callable[[float], object]) -> None:
        """Call `changed` if the file is not what it was; `pause` sleeps."""
        found = signature(self._path)
        if found == self._seen:
            return
        for _ in range(MOST_LOOKS):
            pause(SETTLING)
            before, found = found, signature(self._path)
            if before == found:
                break
        self._seen = found  # from before it is read: a change meanwhile is seen at the next look
        if not self.closed:
            self._changed()


class FileWatcher:
    """Watches files from a thread that lives as long as there are any, also in a forked child."""

    def __init__(self) -> None:
        self._files: WeakSet[WatchedFile] = WeakSet()
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()
        self._wake = WakeEvent()
        forks.renew(self)

    def add(self, file: WatchedFile) -> None:
        """Watch a file from now on."""
        with self._lock:
            self._files.add(file)
            if self._thread is None:
                self._start()

    def remove(self, file: WatchedFile) -> None:
        """Watch a file no longer; the thread ends with the last one."""
        file.closed = True
        with self._lock:
            self._files.discard(file)
            if not self._files:
                self._wake.set()

    def end(self) -> None:
        """End the thread at the end of the program."""
        for file in self._present():
            self.remove(file)
        self._wake.set()
        thread = self._thread
        if thread is not None:
            thread.join(INTERVAL)

    def _start(self) -> None:
        thread = threading.Thread(target=self._run, name="peak-observe-policies", daemon=True)
        thread.start()
        self._thread = thread

    def _run(self) -> None:
        while True:
            # A forked child waits here before anything else, by when all its locks are made anew.
            self._wake.wait(INTERVAL)
            files = self._present(ending=True)
            if not files:
                return
            while files:
                files.pop().look(self._wake.wait)

    def _present(self, *, ending: bool = False) -> list[WatchedFile]:
        """Return the files; where there are none, a thread that asks is no longer the watcher's."""
        with self._lock:
            self._wake.clear()
            files = list(self._files)
            if ending and not files:
                self._thread = None
            return files

    def after_fork(self) -> None:
        """Go on in a forked child, into which the thread did not follow."""
        self._lock = threading.Lock()
        self._wake = WakeEvent()
        self._thread = None
        if self._files:
            with suppress(RuntimeError):  # the system has no thread to give: the policies stay as they are
                self._start()


WATCHER = FileWatcher()
atexit.register(WATCHER.end)
