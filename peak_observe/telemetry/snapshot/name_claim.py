"""Claim of a process name in the snapshot folder, and the snapshots written under it."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING, Any

import msgspec

from peak_observe.clock import SYSTEM_CLOCK, Clock
from peak_observe.measures import CHECKS, JOBS
from peak_observe.support import process_start
from peak_observe.telemetry.metrics.renderer import Renderer
from peak_observe.telemetry.snapshot import lifetime_totals, name_lock, process_identity, samples, snapshot_file
from peak_observe.telemetry.snapshot.snapshot_file import RejectedError, Snapshot

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from peak_observe.measures import HealthReading, JobReading
    from peak_observe.telemetry.snapshot.name_lock import NameLock

_BLOCKED = {errno.EPERM, errno.EACCES, errno.EISDIR, errno.ENOTEMPTY}  # somebody else's file, or a folder of files
MOST_NUMBERS = 1_000
"""Processes of one name that get a number; later ones, or a bot whose numbers somebody occupies, get random letters."""


class Claim:
    """Snapshot file of this process. A name that another living process holds gets a number: `bot`, `bot-2`.

    `told` is what was written last.

    Args:
        folder: The folder, made when it is missing.
        process: The name.
        interval: Seconds until the next snapshot, as the file tells its reader.
        inherited: What the counters of this process showed at its birth, in a forked one.
        clock: Where time comes from.

    Raises:
        OSError: There is no /proc as Linux has it.
    """

    def __init__(
        self,
        folder: Path,
        process: str,
        *,
        interval: float,
        inherited: bytes = b"",
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self.name = ""
        self.inherited = inherited
        self._folder = folder
        self._process = process
        self._interval = interval
        self._clock = clock
        self._renderer = Renderer(start_time=False)
        self._started = process_start.started()
        self.told = self._earlier = self._exemplars = b""
        self._mark: tuple[int, int] | None = None
        self._lock: NameLock | None = None

    def tell(self) -> bytes:
        """Return what this process has to tell now."""
        text, self._exemplars = samples.without_exemplars(self._renderer.render(openmetrics=True))
        return samples.packed(text)

    def write(self, state: str, address: str = "") -> None:
        """Write a snapshot, and claim a name before where this process has none, or not any more.

        Args:
            state: `running` or `ended`.
            address: Where the process serves its metrics itself, as host:port.

        Raises:
            OSError: It cannot be written.
        """
        own = self.tell()
        if self._keeps_its_name():
            self._put(state, own, address, self.inherited)
        else:
            self._folder.mkdir(mode=0o755, parents=True, exist_ok=True)
            self._take(state, own, address)
        if state == "ended":
            self._release()

    def leave(self) -> None:
        """Give the name back as it was, for this process goes on under another one.

        Raises:
            OSError: The file cannot be changed.
        """
        if self._mark is None:
            return
        try:
            if self._mark != _mark(self._path):
                self.inherited = self.told
            elif self._earlier:
                self._put("account", b"", "", b"")
            else:
                self._path.unlink()
        finally:
            self._release(remove=not self._earlier)

    @property
    def _path(self) -> Path:
        return snapshot_file.path_of(self._folder, self.name)

    def _keeps_its_name(self) -> bool:
        return self._lock is not None and self._lock.held and self._mark == _mark(self._path)

    def _take(self, state: str, own: bytes, address: str) -> None:
        """Find a name and write under it; a name that somebody occupies with files that stay is passed over."""
        self._account()
        problem: OSError | None = None
        for name in self._candidates():
            if name != self.name and self._mark is not None and _mark(self._path) is not None:
                self._begin_anew()  # whoever holds the former name has what was told under it
            self.name = name
            try:
                if self._locked():
                    return self._put(state, own, address, self.inherited)
            except OSError as error:
                if error.errno not in _BLOCKED:
                    raise
                problem = error
            self._release()
        raise problem or TimeoutError(f"another process holds each name like {self._process!r} in {self._folder}")

    def _account(self) -> None:
        """Account for what was ours and is taken from us; of a folder that was emptied nobody else has what we had."""
        if self._mark is not None and _mark(self._path) not in (None, self._mark):
            self._begin_anew()
            self._release()

    def _begin_anew(self) -> None:
        self.inherited, self._mark, self._earlier = self.told, None, b""

    def _candidates(self) -> Iterator[str]:
        if self._mark is not None:
            yield self.name
        yield self._process
        yield from (f"{self._process}-{number}" for number in range(2, MOST_NUMBERS))
        yield f"{self._process}-{os.urandom(4).hex()}"

    def _locked(self) -> bool:
        """Lock the name and take over what its last life left, or return False if it belongs to a living process."""
        if self._lock is None or not self._lock.held:
            self._lock = name_lock.acquire(name_lock.path_of(self._folder, self.name))
        if self._lock is None:
            return False
        left = _left(self._path)
        if left is None:
            self._earlier = self._earlier if self._mark is not None else b""
        elif self._mark is None or self._mark != _mark(self._path):
            snapshot, modified = left
            if self._taken(snapshot, modified, self._lock):
                return False
            self._earlier = lifetime_totals.packed(lifetime_totals.settled(*snapshot[1:4]))
        snapshot_file.sweep(self._path)
        return True

    def _taken(self, left: Snapshot, modified: float, lock: NameLock) -> bool:
        header = left.header
        if header.state != "running" or process_identity.mine().is_life_of(header.identity):
            return False
        if header.locked and lock.firm and not lock.created:
            return False  # it would hold the lock
        age = snapshot_file.age(header, modified, self._clock)
        return process_identity.lives(header.identity, age, header.interval, header.clock)

    def _release(self, *, remove: bool = False) -> None:
        if self._lock is not None:
            self._lock.release(remove=remove)
        self._lock = None

    def _put(self, state: str, own: bytes, address: str, inherited: bytes) -> None:
        header: dict[str, Any] = {
            "process": self.name,
            "state": state,
            "identity": process_identity.mine(),
            "started": self._started,
            "written": self._clock.now().timestamp(),
            "monotonic": self._clock.monotonic(),
            "interval": self._interval,
            "outcome": _outcome(),
            "address": address,
            "clock": process_identity.time_namespace(),
            "locked": self._lock is not None and self._lock.firm,
            "problems": _problems() if state == "running" else {},
        }
        content = snapshot_file.encode(header, own, self._earlier, inherited, self._exemplars if own else b"")
        found = snapshot_file.write(self._path, content)
        self._mark, self.told = (found.st_ino, found.st_mtime_ns), own


def _left(path: Path) -> tuple[Snapshot, float] | None:
    try:
        content, found = snapshot_file.read(path)
        return snapshot_file.decode(content), found.st_mtime
    except (RejectedError, FileNotFoundError):
        return None


def _mark(path: Path) -> tuple[int, int] | None:
    try:
        found = os.stat(path, follow_symlinks=False)  # noqa: PTH116 - Path.stat() is this with more steps
    except FileNotFoundError:
        return None
    return found.st_ino, found.st_mtime_ns


def _problems() -> dict[str, str]:
    """Return the messages of failing checks, without secrets, as many as a header has room for."""
    found: dict[str, str] = {}
    room, longest = snapshot_file.PROBLEMS_BYTES, snapshot_file.LONGEST_PROBLEM
    readings: list[tuple[str, HealthReading]] = CHECKS.read()
    for name, reading in readings:
        message = reading.problem
        if not message or len(name) > longest or len(found) == snapshot_file.MOST_PROBLEMS:
            continue
        message = message if len(message) <= longest else f"{message[: longest - 1]}…"
        room -= len(msgspec.json.encode({name: message}))
        if room >= 0:
            found[name] = message
    return found


def _outcome() -> str:
    """Return how the jobs of this process ended: well if all did; empty if there was none."""
    readings: list[tuple[str, JobReading]] = JOBS.read()
    outcomes = [reading.outcome for _, reading in readings if reading.outcome]
    return next((outcome for outcome in outcomes if outcome != "success"), outcomes[0] if outcomes else "")
