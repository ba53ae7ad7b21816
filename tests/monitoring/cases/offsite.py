"""Off-site stores."""

from tests.monitoring.cases.case import DAY, Case, series


def store(name: str, values: str, **labels: str) -> dict[str, str]:
    """Return a metric of a repository's store."""
    return series(f"peak_offsite_{name}", values, repository="nightly", **labels)


def pushes(attempt: str, pushed: str, failed: str) -> list[dict[str, str]]:
    """Return a store with the times of the last push that was begun and of the last that succeeded."""
    return [
        store("last_attempt_timestamp_seconds", attempt),
        store("last_push_timestamp_seconds", pushed),
        store("pushes_total", failed, outcome="failed"),
        store("pushes_total", "1x100", outcome="success"),
    ]


def drilled(last: str) -> list[dict[str, str]]:
    """Return a store that is known since the beginning."""
    return [store("last_drill_timestamp_seconds", last), store("configured_timestamp_seconds", "0x1000")]


CASES = [
    Case(
        "PeakOffsiteStale",
        "grows old and is sent anew",
        [store("max_age_seconds", "3600x200"), store("age_seconds", "3000+60x40 60x60")],
        {20: ("critical",)},
        (12, 45),
    ),
    Case("PeakOffsiteStale", "no promise", [store("age_seconds", "99999x100")], silent=(30, 90)),
    Case(
        "PeakOffsitePushFailed",
        "fails, then succeeds",
        pushes("60x9 600x100", "60x60 3600x60", "0x9 1x100"),
        {45: ("warning",)},
        (8, 30, 70),
    ),
    Case("PeakOffsitePushFailed", "takes long", pushes("60x9 600x100", "60x100", "0x100"), silent=(45, 90)),
    Case(
        "PeakOffsiteDamaged",
        "until it is mended",
        [store("damaged", "0x5 3x30 0x30")],
        {6: ("critical",)},
        (4, 40),
    ),
    Case("PeakOffsiteDamaged", "is whole", [store("damaged", "0x30")], silent=(5, 30)),
    Case(
        "PeakOffsiteShrank",
        "to a third",
        [store("stored_bytes", "900x60 300x20 900x20")],
        {70: ("critical",)},
        (59, 90),
    ),
    Case("PeakOffsiteShrank", "grows", [store("stored_bytes", "900x60 2000x60")], silent=(70, 110)),
    Case(
        "PeakOffsiteNotDrilled",
        "never, until a drill",
        drilled("0x800 2880000x100"),
        {33 * DAY: ("warning",)},
        (31 * DAY, 35 * DAY),
        "1h",
    ),
    Case("PeakOffsiteNotDrilled", "lately", drilled("0x700 2520000x200"), silent=(33 * DAY,), step="1h"),
]
