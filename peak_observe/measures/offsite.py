"""Reading of an off-site store."""

from __future__ import annotations

from collections.abc import Callable
from math import inf

from peak_observe import catalog


class OffsiteReading:
    """Reading of the off-site store of a repository.

    `pushes` follows `catalog.OFFSITE_OUTCOMES`. Times are Unix times in seconds, 0 for never; `max_age` is None without
    a promise; `failing` tells whether the last push that ended failed.
    """

    __slots__ = (
        "age",
        "configured",
        "damaged",
        "failing",
        "last_attempt",
        "last_backup",
        "last_drill",
        "last_push",
        "last_verified",
        "max_age",
        "objects",
        "pushes",
        "reused_bytes",
        "sent_bytes",
        "stored_bytes",
    )

    def __init__(self) -> None:
        self.age = self.configured = self.last_attempt = self.last_backup = 0.0
        self.last_drill = self.last_push = self.last_verified = 0.0
        self.max_age: float | None = None
        self.failing = False
        self.damaged = self.objects = self.reused_bytes = self.sent_bytes = self.stored_bytes = 0
        self.pushes = [0] * len(catalog.OFFSITE_OUTCOMES)

    def add(self, other: OffsiteReading) -> None:
        """Take in another store of the same repository or name; of each thing, the one that is worse off shows."""
        for names, badness in _TOGETHER.items():
            worse = max(self, other, key=badness)
            for name in names:
                setattr(self, name, getattr(worse, name))
        for name in ("damaged", "objects", "reused_bytes", "sent_bytes", "stored_bytes"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.pushes = [a + b for a, b in zip(self.pushes, other.pushes, strict=True)]


# Alerts compare these with each other: one of this store with one of that would hide what fails, or tell of nothing.
_TOGETHER: dict[tuple[str, ...], Callable[[OffsiteReading], tuple[float, ...]]] = {
    ("age", "max_age", "last_backup"): lambda it: (it.age / (it.max_age or inf), it.age),
    ("last_attempt", "last_push", "failing"): lambda it: (it.failing, it.last_attempt > it.last_push, -it.last_push),
    ("configured", "last_drill"): lambda it: (-max(it.configured, it.last_drill),),
    ("last_verified",): lambda it: (-it.last_verified,),
}
