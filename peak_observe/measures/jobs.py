"""Readings of jobs."""

from __future__ import annotations

from peak_observe import catalog


class JobReading:
    """Reading of a job, or of all jobs of a name.

    `runs` follows `catalog.JOB_OUTCOMES`; times are Unix times in seconds, 0 for never; `last_duration` is in seconds
    and None before a run has ended; `max_age`, in seconds, is None without a promise. `outcome` is that of the last
    run that ended, empty before.
    """

    __slots__ = ("last_attempt", "last_duration", "last_success", "max_age", "outcome", "running_since", "runs")

    def __init__(self) -> None:
        self.runs = [0] * len(catalog.JOB_OUTCOMES)
        self.last_success = self.last_attempt = self.running_since = 0.0
        self.last_duration: float | None = None
        self.max_age: float | None = None
        self.outcome = ""

    def add(self, other: JobReading) -> None:
        """Take in another job of the same name, of which there are many only where names overflow."""
        self.runs = [a + b for a, b in zip(self.runs, other.runs, strict=True)]
        if other.last_attempt >= self.last_attempt:
            self.last_duration, self.outcome = other.last_duration, other.outcome
        self.max_age = self.max_age if other.max_age is None else other.max_age
        self.last_success = max(self.last_success, other.last_success)
        self.last_attempt = max(self.last_attempt, other.last_attempt)
        starts = [start for start in (self.running_since, other.running_since) if start]
        self.running_since = min(starts, default=0.0)

    def since(self, other: JobReading) -> tuple[bool, bool, bool]:
        """Return whether anything differs from an earlier reading: a run changes everything."""
        changed = any(getattr(self, fact) != getattr(other, fact) for fact in self.__slots__)
        return changed, changed, changed

    def retire(self) -> None:
        """Keep everything: a job is remembered when its last run has ended."""
