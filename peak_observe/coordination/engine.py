"""Protocol of an engine that keeps the shared state, and its answers: time left, never a date."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

if TYPE_CHECKING:
    from peak_observe.coordination.windows import WindowRequest


class EngineError(Exception):
    """The engine did not answer in time, or refused.

    Args:
        message: What it said, without secrets.
        refused: Whether it answered and will refuse again: a wrong password, a missing right.
    """

    def __init__(self, message: str, *, refused: bool = False) -> None:
        super().__init__(message)
        self.refused = refused


class CircuitNews(NamedTuple):
    """Shared state of one circuit, as an engine tells of it.

    Args:
        name: The circuit's name.
        era: How many transitions there were.
        state: `closed`, `open`, `forced_open` or `disabled`.
        left: Seconds until it is due; infinity for never.
        token: The number of the last probe lease.
        leased: Seconds that this lease still has.
        by: The process that made the transition.
        reason: Why, in words.
        age: Seconds since the transition.
    """

    name: str
    era: int
    state: str
    left: float
    token: int
    leased: float
    by: str
    reason: str
    age: float


class HoldNews(NamedTuple):
    """A hold, as an engine tells of it.

    Args:
        name: The exchange and the address or account.
        left: Seconds until it ends.
        reason: What the exchange said.
    """

    name: str
    left: float
    reason: str


class SharedPicture(NamedTuple):
    """All that is shared, of one moment.

    Args:
        sequence: The number of the last change.
        circuits: The circuits by name.
        holds: The holds by name.
        members: How many processes take part.
    """

    sequence: int
    circuits: dict[str, CircuitNews]
    holds: dict[str, HoldNews]
    members: int


class NewsBatch(NamedTuple):
    """Changes that came in.

    Args:
        sequence: The number of the last one; None if they have no numbers, as all was read anew.
        changes: The changes.
        gap: Whether some may be missing, so that all has to be read anew.
    """

    sequence: int | None
    changes: list[CircuitNews | HoldNews]
    gap: bool = False


class StoredRecord(NamedTuple):
    """Record as an engine tells of it.

    Args:
        writes: How often it was written; 0 if there is none.
        value: What it holds.
        now: Unix time of the engine's clock.
        replaced: Whether this step has written it.
    """

    writes: int
    value: dict[str, Any]
    now: float
    replaced: bool = False


class Engine(Protocol):
    """Protocol of an engine; each method is one round trip at most and raises `EngineError` where it fails."""

    def open(self, name: str, *, era: int, seconds: float, by: str, reason: str, voter: str) -> CircuitNews:
        """Open a circuit that is closed in this era; with a quorum, vote for it."""
        ...

    def claim(self, name: str, *, lease: float) -> tuple[str, CircuitNews]:
        """Ask for the probe lease; the answer is one of `records.GRANTED` and the others there."""
        ...

    def extend(self, name: str, *, token: int, lease: float) -> CircuitNews:
        """Lengthen a lease."""
        ...

    def settle(self, name: str, *, token: int, state: str, seconds: float, by: str, reason: str) -> CircuitNews:
        """Close or reopen a circuit by the result of its probe."""
        ...

    def override(self, name: str, *, state: str, seconds: float, by: str, reason: str) -> CircuitNews:
        """Set a state by hand."""
        ...

    def hold(self, name: str, *, seconds: float, reason: str) -> HoldNews:
        """Hold an exchange; a longer hold stays."""
        ...

    def reserve(
        self, name: str, *, interval: float, burst: float, weight: float, patience: float
    ) -> tuple[float, bool]:
        """Reserve a turn: the seconds until it, and whether it was reserved."""
        ...

    def reserve_window(self, name: str, *, request: WindowRequest) -> tuple[float, bool, str]:
        """Reserve a turn in windows: the seconds until it, whether it was reserved, and the mark of the logs."""
        ...

    def postpone(self, name: str, *, seconds: float) -> None:
        """Let no turn begin for some seconds; later ones than that stay."""
        ...

    def nonce(self, name: str, *, least: int) -> int:
        """Take the next nonce of a key: higher than each one before it, and `least` or more."""
        ...

    def seed(self, circuits: list[CircuitNews], holds: list[HoldNews]) -> None:
        """Bring back what the engine lost; what it knows better stays."""
        ...

    def record(self, name: str, value: dict[str, Any] | None = None, *, after: int | None = None) -> StoredRecord:
        """Read a record, and replace it before if it was written `after` times."""
        ...

    def record_names(self) -> list[str]:
        """Return the names of all records."""
        ...

    def sync(self, member: str) -> SharedPicture:
        """Take part for some seconds more, and read everything."""
        ...

    def beat(self, member: str) -> tuple[int, int]:
        """Take part for some seconds more; return the number of the last change and of members."""
        ...

    def wait_for_news(self, seconds: float) -> NewsBatch | None:
        """Wait for changes; None if there were none."""
        ...

    def renew_news(self) -> None:
        """Listen for news anew, as the engine was away."""
        ...

    def wake(self) -> None:
        """End the wait for news of this process."""
        ...

    def forget_connections(self) -> None:
        """Drop what a forked child must not use."""
        ...

    def close(self) -> None:
        """Give back files and connections."""
        ...
