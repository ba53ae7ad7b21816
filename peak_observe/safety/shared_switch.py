"""Copy of a trading switch in a shared state, through which the hosts of an account obey one halt.

The file of each host is its memory, and the shared state joins the files. The higher revision wins; a halt that the
others were not told yet (revision 0) wins against trading. So a halt survives a server that is away, and one that lost
its data; only resuming needs the server.
"""

from __future__ import annotations

import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from peak_observe.clock import SYSTEM_CLOCK, Clock
from peak_observe.errors import SharedStateError
from peak_observe.measures import forks
from peak_observe.safety import switch_file
from peak_observe.safety.switch_file import HALTED, REDUCE_ONLY, TRADING, SwitchFile, TradingState

if TYPE_CHECKING:
    from collections.abc import Callable

    from peak_observe.coordination.engine import StoredRecord
    from peak_observe.coordination.shared_records import SharedRecords

INTERVAL = 0.5
"""Seconds between two looks at the shared state."""
GRACE = 3.0
"""Seconds for which an empty shared state is not believed: it may have lost a halt, which other hosts bring back.

They come back to a server at the latest a second after it, and look half a second later.
"""
PREFIX = "switch:"
UNHEARD, UNREADABLE = "unheard", "unreadable-record"
PATIENCE = 1.0
"""Seconds for which a process that starts waits for an answer, of which one may be late."""
_TRIES = 20


class SharedSwitch:
    """Copy of one switch in a shared state.

    Args:
        name: The switch's name.
        records: The records of the shared state.
        file: The file of this host; None for a command, which has none.
        clock: Where time comes from; for tests.
    """

    def __init__(
        self, name: str, records: SharedRecords, file: SwitchFile | None = None, *, clock: Clock = SYSTEM_CLOCK
    ) -> None:
        self.heard = False
        self.address = records.address
        self._records = records
        self._key = PREFIX + name
        self._file = file
        self._clock = clock
        self._lock = threading.RLock()
        self._due = 0.0
        self._empty_since: float | None = None
        forks.renew(self)

    def after_fork(self) -> None:
        """Make the lock anew in a forked child."""
        self._lock = threading.RLock()

    def begin(self) -> None:
        """Hear the shared state for the first time, if it answers within a second; an empty one takes 3 s."""
        start = time.monotonic()
        patience = 2 * GRACE
        while not self.heard and time.monotonic() < start + patience:
            try:
                self.join_files()
            except (SharedStateError, OSError):
                patience = PATIENCE
            time.sleep(0.0 if self.heard else 0.05)

    def look(self) -> None:
        """Bring the file of this host and the shared state together twice a second, if that answers."""
        if time.monotonic() < self._due:
            return
        self._due = time.monotonic() + INTERVAL
        with suppress(SharedStateError, OSError):  # it is logged and counted there; each look tries again
            self.join_files()

    def load(self) -> TradingState | None:
        """Return the state that all hosts share; None if none is known there.

        Raises:
            SharedStateError: The shared state cannot be reached.
        """
        return _state(self._records.load(self._key))

    def publish(self, wanted: TradingState, *, least: int = 0, never_weaker: bool = False) -> TradingState:
        """Tell all hosts of a state, and return what holds for them then.

        Args:
            wanted: The state.
            least: Revision that the new one has to exceed.
            never_weaker: Whether a stricter or longer state stays as it is.

        Raises:
            SharedStateError: The shared state cannot be reached: nothing is changed there.
        """

        def decide(now: TradingState | None) -> TradingState | None:
            if now is None or now.id == UNREADABLE or not never_weaker:
                return wanted
            now = now.settled(self._clock.now().timestamp())
            # The same halt, if it only lasts longer: its hooks have run.
            same = wanted._replace(id=now.id) if now.state == wanted.state else wanted
            return same if wanted.outlasts(now) else None

        return self._swap(decide, least)

    def join_files(self) -> bool:
        """Bring the file of this host and the shared state together, and return whether that is heard now.

        Raises:
            SharedStateError: The shared state cannot be reached.
            OSError: The file cannot be written.
        """
        if self._file is None:
            return True
        with self._lock:
            stored, local = self.load(), self._file.read()
            if stored != _shortened(local) and local.id != switch_file.UNREADABLE:
                with self._file.locked() as alone:
                    if alone:
                        self._merge_locked(self._file, stored)
            self.heard = self.heard or self._is_believed(stored)
        return self.heard

    def unheard(self, at: float) -> TradingState:
        """Return the state of a process that has not heard the shared state yet.

        Args:
            at: Unix time at which the process began to wait.
        """
        why = f"the shared state at {self.address} has not answered since this process began: it may know of a halt"
        return TradingState(HALTED, why, at=at, id=UNHEARD)

    def _merge_locked(self, file: SwitchFile, stored: TradingState | None) -> None:
        local = file.read()
        found = merged(local, stored, self._clock.now().timestamp())
        if found is not local:
            file.write(found)
            file.log(found, note="told by another host")
        elif local.state != TRADING or self._is_believed(stored):
            at = self._clock.now().timestamp()
            told = self._swap(lambda now: local if merged(local, now, at) is local else None, local.revision - 1)
            if told.id == local.id and told.revision != local.revision:
                file.write(local._replace(revision=told.revision))

    def _swap(self, decide: Callable[[TradingState | None], TradingState | None], least: int) -> TradingState:
        """Write what is decided of what is there, unless that is nothing, and return what is there then."""
        for _ in range(_TRIES):
            stored = self._records.load(self._key)
            now = _state(stored)
            wanted = decide(now)
            if wanted is None:
                return now or TradingState(TRADING)
            new = _shortened(wanted)._replace(revision=max(least, now.revision if now else 0) + 1)
            if self._records.replace(self._key, _value(new), after=stored.writes).replaced:
                return new
        raise SharedStateError(self.address, "others change the switch all the time: try again")

    def _is_believed(self, stored: TradingState | None) -> bool:
        now = time.monotonic()
        if stored is not None:
            self._empty_since = None
            return True
        if self._empty_since is None:
            self._empty_since = now
        return now - self._empty_since >= GRACE


class RemoteSwitch:
    """Switch of several hosts as a command sees it, which has no file of it.

    Args:
        name: The switch's name.
        records: The records of the shared state.
    """

    def __init__(self, name: str, records: SharedRecords) -> None:
        self.name = name
        self._shared = SharedSwitch(name, records)

    @property
    def state(self) -> TradingState:
        """State that all hosts share."""
        return (self._shared.load() or TradingState(TRADING)).settled(time.time())

    def halt(self, reason: str, *, for_seconds: float | str | None = None) -> TradingState:
        """Halt trading on all hosts; a longer halt is not shortened."""
        wanted = switch_file.new_state(HALTED, reason, for_seconds, at=time.time())
        return self._shared.publish(wanted, never_weaker=True)

    def reduce_only(self, reason: str, *, for_seconds: float | str | None = None) -> TradingState:
        """Let only orders through that carry `reduceOnly`, and cancels, on all hosts."""
        return self._shared.publish(switch_file.new_state(REDUCE_ONLY, reason, for_seconds, at=time.time()))

    def resume(self, reason: str) -> TradingState:
        """Let trading go on, on all hosts."""
        return self._shared.publish(switch_file.new_state(TRADING, reason, None, at=time.time()))


def merged(local: TradingState, stored: TradingState | None, now: float) -> TradingState:
    """Return which of two states holds on all hosts: that of this host's file, or the shared one.

    Args:
        local: The state of the file; revision 0 if the others were not told of it.
        stored: The shared state; None if there is none.
        now: Unix time; what has ended by itself halts nobody.
    """
    if stored is None:
        return local
    if local.revision and local.revision != stored.revision:  # a lower one there: the server has lost data
        return local if local.revision > stored.revision else stored
    return local if local.settled(now).outlasts(stored.settled(now)) else stored


def names(records: SharedRecords) -> list[str]:
    """Return the names of all switches of a shared state."""
    return records.names(PREFIX)


def _state(stored: StoredRecord) -> TradingState | None:
    if not stored.writes:
        return None
    try:
        return switch_file.parsed({"version": 1, **stored.value})
    except (ValueError, TypeError, KeyError):
        return TradingState(HALTED, "the shared state holds no state of the switch; resume writes one", id=UNREADABLE)


def _value(state: TradingState) -> dict[str, Any]:
    return {key: value for key, value in state._asdict().items() if value not in ("", None)}


def _shortened(state: TradingState) -> TradingState:
    """Return a state that fits a slot of a file: 120 bytes of reason, 80 of author."""
    return state._replace(reason=_cut(state.reason, 120), by=_cut(state.by, 80), id=_cut(state.id, 32))


def _cut(text: str, most: int) -> str:
    # No character that JSON would escape, which takes two bytes and more.
    return text.replace('"', "'").replace("\\", "/").encode()[:most].decode(errors="ignore")
