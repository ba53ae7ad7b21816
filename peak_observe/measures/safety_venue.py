"""Readings of what guards an account at the exchange; readings of one name add up."""

from __future__ import annotations


class _Reading:
    """Base: any difference from an earlier reading changes everything that is shown."""

    __slots__: tuple[str, ...] = ()

    def since(self, other: _Reading) -> tuple[bool, bool, bool]:
        """Return whether anything differs from an earlier reading."""
        changed = any(getattr(self, fact) != getattr(other, fact) for fact in self.__slots__)
        return changed, changed, changed


def _least(one: float | None, other: float | None) -> float | None:
    return min((value for value in (one, other) if value is not None), default=None)


class DeadManReading(_Reading):
    """Reading of a dead man's switch, or of all of an exchange; `beats` follows `catalog.BEAT_OUTCOMES`.

    `expires` is a Unix time, 0.0 while the switch is not armed, and None once it is closed.
    """

    __slots__ = ("beats", "expires")

    def __init__(self, beats: list[int], expires: float | None) -> None:
        self.beats = beats
        self.expires = expires

    def add(self, other: DeadManReading) -> None:
        """Add another reading of the same exchange; the one that expires first, or is not armed, counts."""
        self.beats = [a + b for a, b in zip(self.beats, other.beats, strict=True)]
        self.expires = _least(self.expires, other.expires)

    def retire(self) -> None:
        """Drop the gauge."""
        self.expires = None


class InstanceReading(_Reading):
    """Reading of a lock that only one process may hold; `held` is None once it was given back."""

    __slots__ = ("held", "refused")

    def __init__(self, held: float | None, refused: int) -> None:
        self.held = held
        self.refused = refused

    def add(self, other: InstanceReading) -> None:
        """Add another reading of the same name; one that was lost counts."""
        self.held = _least(self.held, other.held)
        self.refused += other.refused

    def retire(self) -> None:
        """Drop the gauge."""
        self.held = None


class KeyReading(_Reading):
    """Reading of an API key: Unix time of its expiry, None where unknown, and its permissions by name."""

    __slots__ = ("expires", "permissions")

    def __init__(self, expires: float | None, permissions: dict[str, bool]) -> None:
        self.expires = expires
        self.permissions = permissions

    def add(self, other: KeyReading) -> None:
        """Add the reading of another key of the exchange: the first expiry, and what any of them may do."""
        self.expires = _least(self.expires, other.expires)
        both = {*self.permissions, *other.permissions}
        self.permissions = {
            name: self.permissions.get(name, False) or other.permissions.get(name, False) for name in sorted(both)
        }

    def retire(self) -> None:
        """Drop the gauges."""
        self.expires, self.permissions = None, {}


class ReconcileReading(_Reading):
    """Reading of the reconciliations of an exchange.

    `runs` follows `catalog.RECONCILE_OUTCOMES`, `differences` `catalog.DIFFERENCE_KINDS` and is None before the first
    run and after the end. `last_success` is a Unix time, 0.0 for never; `interval` is in seconds.
    """

    __slots__ = ("differences", "interval", "last_success", "runs")

    def __init__(
        self, runs: list[int], differences: list[int] | None, last_success: float | None, interval: float | None
    ) -> None:
        self.runs = runs
        self.differences = differences
        self.last_success = last_success
        self.interval = interval

    def add(self, other: ReconcileReading) -> None:
        """Add another reading of the same exchange; the oldest success counts."""
        self.runs = [a + b for a, b in zip(self.runs, other.runs, strict=True)]
        if self.differences is None or other.differences is None:
            self.differences = self.differences or other.differences
        else:
            self.differences = [a + b for a, b in zip(self.differences, other.differences, strict=True)]
        self.last_success = _least(self.last_success, other.last_success)
        self.interval = max((i for i in (self.interval, other.interval) if i is not None), default=None)

    def retire(self) -> None:
        """Drop the gauges."""
        self.differences = self.last_success = self.interval = None
