"""Readings of hedges, timed calls, chaos and reloads; readings of one name add up."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from peak_observe.measures.counts import Exemplar


class HedgeReading:
    """Reading of a hedge, or of all hedges of a name; `calls` follows `catalog.HEDGE_OUTCOMES`."""

    __slots__ = ("after", "calls", "refused", "started")

    calls: list[int]
    started: int
    refused: int
    after: float

    def add(self, other: HedgeReading) -> None:
        """Take in another reading of the same name; settings are those of the later one."""
        self.calls = [a + b for a, b in zip(self.calls, other.calls, strict=True)]
        self.started += other.started
        self.refused += other.refused
        self.after = other.after

    def since(self, other: HedgeReading) -> tuple[bool, bool, bool]:
        """Return whether calls, hedges and settings differ from an earlier reading."""
        hedges = (self.started, self.refused) != (other.started, other.refused)
        return self.calls != other.calls, hedges, self.after != other.after

    def retire(self) -> None:
        """Keep everything: a hedge has no gauges."""


class TimedReading:
    """Reading of a timed function, or of all of a name; buckets are not cumulative."""

    __slots__ = ("bounds", "bucket_exemplars", "buckets", "duration_sum")

    bounds: tuple[float, ...]
    buckets: list[int]
    duration_sum: float
    bucket_exemplars: dict[int, Exemplar]

    def add(self, other: TimedReading) -> None:
        """Take in another reading of the same name."""
        self.buckets = [a + b for a, b in zip(self.buckets, other.buckets, strict=True)]
        self.duration_sum += other.duration_sum
        self.bucket_exemplars = self.bucket_exemplars | other.bucket_exemplars

    def since(self, other: TimedReading) -> tuple[bool, bool, bool]:
        """Return whether calls differ from an earlier reading."""
        changed = (self.buckets, self.duration_sum) != (other.buckets, other.duration_sum)
        return changed, False, False

    def retire(self) -> None:
        """Keep everything: there are no gauges."""


class ChaosReading:
    """Reading of chaos, or of all chaos of a name; `calls` follows `catalog.CHAOS_OUTCOMES`.

    `ratio` is None when none of the name lives.
    """

    __slots__ = ("calls", "ratio")

    calls: list[int]
    ratio: float | None

    def add(self, other: ChaosReading) -> None:
        """Take in another reading of the same name; of ratios the highest counts."""
        self.calls = [a + b for a, b in zip(self.calls, other.calls, strict=True)]
        self.ratio = max((r for r in (self.ratio, other.ratio) if r is not None), default=None)

    def since(self, other: ChaosReading) -> tuple[bool, bool, bool]:
        """Return whether calls and settings differ from an earlier reading."""
        return self.calls != other.calls, False, self.ratio != other.ratio

    def retire(self) -> None:
        """Forget what only the living have."""
        self.ratio = None


class ReloadReading:
    """Reading of the reloads of a policy, or of all policies of a name; the one that failed shows.

    Both are None when no reloaded policy of the name lives.
    """

    __slots__ = ("last_success", "success")

    success: bool | None
    last_success: float | None

    def add(self, other: ReloadReading) -> None:
        """Take in another reading of the same name; the worse one shows."""
        self.success = min((s for s in (self.success, other.success) if s is not None), default=None)
        times = [t for t in (self.last_success, other.last_success) if t is not None]
        self.last_success = min(times, default=None)

    def since(self, other: ReloadReading) -> tuple[bool, bool, bool]:
        """Return whether reloads differ from an earlier reading."""
        changed = (self.success, self.last_success) != (other.success, other.last_success)
        return changed, changed, changed

    def retire(self) -> None:
        """Forget what only the living have."""
        self.success = self.last_success = None
