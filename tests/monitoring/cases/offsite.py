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
    Case(
        "PeakOffsitePushFailed",
        "failed long ago, succeeded since, takes long",
        pushes("60x9 600x9 1200x9 1800x600", "60x19 1260x600", "0x9 1x700"),
        silent=(45, 90, 600),
    ),
    Case(
        "PeakOffsitePushFailed",
        "failed before it was first scraped, takes long",
        pushes("60x9 600x600", "90x700", "3x700"),
        silent=(45, 90, 600),
    ),
    Case(
        "PeakOffsitePushFailed",
        "the first of all fails before it is scraped",
        pushes("60x100", "0x100", "1x100"),
        {45: ("warning",)},
        (20,),
    ),
    Case(
        "PeakOffsitePushFailed",
        "is killed each time, then succeeds",
        pushes("60x9 600x59 4200x59 7800x200", "90x160 9600x200", "0x400"),
        {101: ("warning",), 150: ("warning",)},
        (60, 98, 170, 300),
    ),
    Case(
        "PeakOffsitePushFailed",
        "is killed each night",
        pushes("60x23 86400x23 172800x23 259200x23", "90x400", "0x400"),
        {49 * 60: ("warning",), 71 * 60: ("warning",), 90 * 60: ("warning",)},
        (23 * 60, 47 * 60),
        "1h",
    ),
    Case(
        "PeakOffsitePushFailed",
        "was killed and never begun anew",
        pushes("60x9 36000x300", "90x400", "0x400"),
        {36 * 60: ("warning",), 200 * 60: ("warning",)},
        (33 * 60,),
        "1h",
    ),
    Case(
        "PeakOffsitePushFailed",
        "fails once a week",
        pushes("60x9 36000x300", "90x400", "0x10 1x400"),
        {12 * 60: ("warning",), 200 * 60: ("warning",)},
        (9 * 60,),
        "1h",
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
