"""Backups."""

from tests.monitoring.cases.case import DAY, Case, series


def backup(name: str, values: str, **labels: str) -> dict[str, str]:
    """Return a metric of a repository."""
    return series(f"peak_backup_{name}", values, repository="nightly", **labels)


def promise(age: str, last: str) -> list[dict[str, str]]:
    """Return a repository whose owner promised a backup an hour."""
    return [
        backup("max_age_seconds", "3600x200"),
        backup("age_seconds", age, kind="data"),
        backup("last_success_timestamp_seconds", last, kind="data"),
    ]


def attempt(outcome: str, last: str, *, running: str = "0x200") -> list[dict[str, str]]:
    """Return a repository in which, after 10 minutes, a backup ended so; `last` are the times of the last success."""
    return [
        backup("last_attempt_timestamp_seconds", "60x9 600x200"),
        backup("last_success_timestamp_seconds", last, kind="data"),
        backup("running_since_timestamp_seconds", running),
        backup("runs_total", "0x9 1x200", outcome=outcome),
    ]


def unscraped(name: str, value: int) -> dict[str, str]:
    """Return a metric that was as it is when it was first scraped."""
    return backup(name, f"{value}x200")


BEFORE = backup("runs_total", "3x200", outcome="failed")


def verified(last: str) -> list[dict[str, str]]:
    """Return a repository that is known since the beginning."""
    return [backup("last_verified_timestamp_seconds", last), backup("configured_timestamp_seconds", "0x260")]


def restores(values: str, outcome: str = "failed") -> dict[str, str]:
    """Return how many restores ended so."""
    return backup("restores_total", values, outcome=outcome)


HANGS = backup("running_since_timestamp_seconds", "0x9 600x200 0x20")
CASES = [
    Case(
        "PeakRestoreFailed", "then two days pass", [restores("0x5 1x780")], {32: ("critical",)}, (12, 3000), step="4m"
    ),
    Case("PeakRestoreFailed", "before the first scrape", [restores("1x60", "interrupted")], {1: ("critical",)}),
    Case("PeakRestoreFailed", "one succeeds", [restores("0x5 1x60", "success")], silent=(8, 30)),
    Case(
        "PeakBackupStale",
        "grows old and is made anew",
        promise("3000+60x40 60x60", "60x100"),
        {20: ("critical",)},
        (12, 45),
    ),
    Case("PeakBackupStale", "never succeeded", promise("3000+60x100", "0x100"), silent=(30, 90)),
    Case("PeakBackupStale", "no promise", promise("99999x100", "60x100")[1:], silent=(30, 90)),
    Case(
        "PeakBackupStale",
        "its exporter restarts",
        promise("60+60x20 _x6 1620+60x20", "60x100"),
        silent=(21, 24, 28, 40),
    ),
    Case(
        "PeakBackupNeverSucceeded",
        "until it does",
        promise("3000+60x40 60x60", "0x40 2400x60"),
        {20: ("critical",)},
        (12, 45),
    ),
    Case(
        "PeakBackupNeverSucceeded",
        "all that there were become corrupt",
        promise("60+60x20 90000+60x60", "60x20 0x60"),
        {40: ("critical",)},
        (20,),
    ),
    Case("PeakBackupNeverSucceeded", "starts afresh", promise("0+60x50", "0x50"), silent=(30, 50)),
    Case("PeakBackupFailed", "fails, then succeeds", attempt("failed", "60x60 3600x60"), {15: ("critical",)}, (8, 70)),
    Case("PeakBackupFailed", "is killed", attempt("interrupted", "60x100"), {15: ("critical",)}, (8,)),
    Case(
        "PeakBackupFailed",
        "failed before it was first scraped, then succeeds",
        [*attempt("failed", "60x60 3600x60")[1:3], unscraped("last_attempt_timestamp_seconds", 600), BEFORE],
        {5: ("critical",)},
        (70,),
    ),
    Case(
        "PeakBackupFailed",
        "failed once, long before it was first scraped",
        [*attempt("failed", "60x200")[1:3], unscraped("last_attempt_timestamp_seconds", 60), BEFORE],
        silent=(5, 50),
    ),
    Case("PeakBackupFailed", "is still running", attempt("failed", "60x100", running="0x9 600x100"), silent=(15, 50)),
    Case("PeakBackupFailed", "succeeds", attempt("success", "60x9 600x100"), silent=(15, 50)),
    Case(
        "PeakBackupPartial", "is partial, then whole", attempt("partial", "60x60 3600x60"), {15: ("warning",)}, (8, 70)
    ),
    Case("PeakBackupPartial", "fails", attempt("failed", "60x100"), silent=(15, 50)),
    Case("PeakBackupStuck", "hangs, then ends", [HANGS], {140: ("warning",)}, (100, 220)),
    Case(
        "PeakBackupStuck",
        "takes an hour as a rule",
        [HANGS, backup("last_duration_seconds", "3600x230", kind="data")],
        {200: ("warning",)},
        (140, 220),
    ),
    Case(
        "PeakBackupStuck",
        "takes hours as a rule",
        [HANGS, backup("last_duration_seconds", "7200x230", kind="data")],
        silent=(140, 205),
    ),
    Case(
        "PeakBackupShrank",
        "to a third",
        [backup("size_bytes", "900x60 300x20 900x20", kind="data")],
        {70: ("warning",)},
        (59, 90),
    ),
    Case("PeakBackupShrank", "grows", [backup("size_bytes", "900x60 2000x60", kind="data")], silent=(70, 110)),
    Case("PeakBackupShrank", "starts afresh", [backup("size_bytes", "_x5 0x5 9x60", kind="data")], silent=(6, 12, 40)),
    Case(
        "PeakBackupNotVerified",
        "never, until a drill",
        verified("0x219 792000x40"),
        {9 * DAY - 60: ("warning",)},
        (7 * DAY, 10 * DAY),
        "1h",
    ),
    Case(
        "PeakBackupNotVerified",
        "lately",
        verified("0x190 691200x50"),
        silent=(9 * DAY,),
        step="1h",
    ),
    Case(
        "PeakBackupCorrupt",
        "until it is removed",
        [backup("corrupt_files", "0x5 3x30 0x30")],
        {6: ("critical",)},
        (4, 40),
    ),
    Case("PeakBackupCorrupt", "is sound", [backup("corrupt_files", "0x30")], silent=(5, 30)),
    Case(
        "PeakBackupMetricsAbsent",
        "goes away and comes back",
        [backup("configured_timestamp_seconds", "5x30 stale _x60 5x30")],
        {60: ("critical",)},
        (20, 40, 100),
    ),
    Case(
        "PeakBackupMetricsAbsent",
        "a gap in the scrapes",
        [backup("configured_timestamp_seconds", "5x30 stale _x9 5x30")],
        silent=(35, 60),
    ),
    Case("PeakBackupMetricsAbsent", "was never there", [series("up", "1x60")], silent=(20, 60)),
]
