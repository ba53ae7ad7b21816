"""Claim of a process name in the snapshot folder, and the snapshots written under it."""

from __future__ import annotations

import itertools
import os
from typing import TYPE_CHECKING, Any

from peak_observe.clock import SYSTEM_CLOCK, Clock
from peak_observe.measures import JOBS
from peak_observe.telemetry.metrics.renderer import Renderer
from peak_observe.telemetry.snapshot import lifetime_totals, process_identity, samples, snapshot_file
from peak_observe.telemetry.snapshot.snapshot_file import RejectedError, Snapshot

if TYPE_CHECKING:
    from pathlib import Path

    from peak_observe.measures import JobReading


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
        self._renderer = Renderer()
        self._started = process_identity.started()
        self.told = self._earlier = b""
        self._mark: tuple[int, int] | None = None

    def tell(self) -> bytes:
        """Return what this process has to tell now."""
        return samples.packed(self._renderer.render())

    def write(self, state: str, address: str = "") -> None:
        """Write a snapshot, and claim a name before where this process has none, or not any more.

        Args:
            state: `running` or `ended`.
            address: Where the process serves its metrics itself, as host:port.

        Raises:
            OSError: It cannot be written.
        """
        own = self.tell()
        if self._mark is not None and self._mark == _mark(self._path):
            self._put(state, own, address, self.inherited)
        else:
            self._folder.mkdir(mode=0o755, parents=True, exist_ok=True)
            with snapshot_file.locked(self._folder):
                self._take()
                self._put(state, own, address, self.inherited)

    def leave(self) -> None:
        """Give the name back as it was, for this process goes on under another one.

        Raises:
            OSError: The file cannot be changed.
        """
        if self._mark is None:
            return
        with snapshot_file.locked(self._folder):
            if self._mark != _mark(self._path):
                self.inherited = self.told
            elif self._earlier:
                self._put("account", b"", "", b"")
            else:
                self._path.unlink()

    @property
    def _path(self) -> Path:
        return snapshot_file.path_of(self._folder, self.name)

    def _take(self) -> None:
        """Find a name, and take over what its last life left; what was ours and is taken from us is accounted for."""
        if self._mark is not None:
            if _mark(self._path) is None:
                return  # the folder was emptied: nobody else has what we had
            self.inherited, self._mark = self.told, None
        mine = process_identity.mine()
        for number in itertools.count(1):
            self.name = self._process if number == 1 else f"{self._process}-{number}"
            try:
                left = _left(self._path)
            except PermissionError:
                continue  # somebody else's, who does not want it read
            if left is None or not self._taken(left, mine):
                self._earlier = b"" if left is None else lifetime_totals.packed(lifetime_totals.settled(*left[1:4]))
                return

    def _taken(self, left: Snapshot, mine: process_identity.Identity) -> bool:
        header = left.header
        if header.state != "running" or mine.is_life_of(header.identity):
            return False
        age = self._clock.monotonic() - header.monotonic
        return process_identity.lives(header.identity, age, header.interval)

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
        }
        found = snapshot_file.write(self._path, snapshot_file.encode(header, own, self._earlier, inherited))
        self._mark, self.told = (found.st_ino, found.st_mtime_ns), own


def _left(path: Path) -> Snapshot | None:
    try:
        return snapshot_file.decode(snapshot_file.read(path)[0])
    except (RejectedError, FileNotFoundError):
        return None


def _mark(path: Path) -> tuple[int, int] | None:
    try:
        found = os.stat(path, follow_symlinks=False)  # noqa: PTH116 - Path.stat() is this with more steps
    except FileNotFoundError:
        return None
    return found.st_ino, found.st_mtime_ns


def _outcome() -> str:
    """Return how the jobs of this process ended: well if all did; empty if there was none."""
    readings: list[tuple[str, JobReading]] = JOBS.read()
    outcomes = [reading.outcome for _, reading in readings if reading.outcome]
    return next((outcome for outcome in outcomes if outcome != "success"), outcomes[0] if outcomes else "")
