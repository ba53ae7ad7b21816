"""Reading of an off-site store."""

from __future__ import annotations

from peak_observe import catalog


class OffsiteReading:
    """Reading of the off-site store of a repository.

    `pushes` follows `catalog.OFFSITE_OUTCOMES`. Times are Unix times in seconds, 0 for never; `max_age` is None without
    a promise.
    """

    __slots__ = (
        "age",
        "configured",
        "damaged",
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
        self.damaged = self.objects = self.reused_bytes = self.sent_bytes = self.stored_bytes = 0
        self.pushes = [0] * len(catalog.OFFSITE_OUTCOMES)

    def add(self, other: OffsiteReading) -> None:
        """Take in the store of another repository of the same name; the one that is worse off shows."""
        for name in ("configured", "last_attempt", "last_backup", "last_drill", "last_push", "last_verified"):
            setattr(self, name, min(getattr(self, name), getattr(other, name)))
        for name in ("damaged", "objects", "reused_bytes", "sent_bytes", "stored_bytes"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.age = max(self.age, other.age)
        self.max_age = min((age for age in (self.max_age, other.max_age) if age is not None), default=None)
        self.pushes = [a + b for a, b in zip(self.pushes, other.pushes, strict=True)]
