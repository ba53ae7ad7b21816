"""Clocks of bots that are an hour behind or ahead of Prometheus: no false alert, and none that is true is missing."""

from tests.monitoring.cases.case import Case, series

HOUR = 3600
BEGIN = 70
"""Minute at which the bots begin, so that a clock an hour behind is past 0, which means never."""


def told(name: str, offset: int, values: str, **labels: str) -> dict[str, str]:
    """Return a time told from minute 70 on; `values` follow its first one, which is that minute by the bot's clock."""
    return series(f"peak_{name}", f"_x{BEGIN} {60 * BEGIN + offset}{values}", **labels)


def off(seconds: int) -> dict[str, str]:
    """Return the clock of a bot that serves itself."""
    return told("observe_time_seconds", seconds, "+60x150")


def kraken(name: str, offset: int, values: str) -> dict[str, str]:
    """Return a time of an exchange."""
    return told(name, offset, values, exchange="kraken")


def checked(offset: int, values: str) -> list[dict[str, str]]:
    """Return a check that runs once a minute."""
    interval = series("peak_health_check_interval_seconds", "60x220", check="db")
    return [off(offset), told("health_check_last_run_timestamp_seconds", offset, values, check="db"), interval]


def compared(offset: int, values: str) -> list[dict[str, str]]:
    """Return books that are compared once a minute."""
    interval = series("peak_reconcile_interval_seconds", "60x220", exchange="kraken")
    return [off(offset), kraken("reconcile_last_success_timestamp_seconds", offset, values), interval]


def job(offset: int) -> list[dict[str, str]]:
    """Return a job that has succeeded once, and promises to do so every hour."""
    names = ("last_attempt_timestamp_seconds", "last_success_timestamp_seconds")
    times = [told(f"job_{name}", offset, "x150", task="nightly") for name in names]
    return [off(offset), *times, series("peak_job_max_age_seconds", "3600x220", task="nightly")]


def stuck(offset: int) -> list[dict[str, str]]:
    """Return a job that hangs."""
    since = told("job_running_since_timestamp_seconds", offset, "x150", task="nightly")
    return [off(offset), since, series("peak_job_last_duration_seconds", "300x220", task="nightly")]


def elsewhere(up: str) -> list[dict[str, str]]:
    """Return an exporter, a bot beside it, and one of another host, whose clock is a minute ahead."""
    return [
        series("peak_exporter_time_seconds", "0+60x60"),
        series("peak_process_clock_offset_seconds", "0x60", process="beside"),
        series("peak_process_up", "1x60", process="beside"),
        series("peak_process_clock_offset_seconds", "60x60", process="far"),
        series("peak_process_up", up, process="far"),
    ]


EXPIRES = "deadman_expires_timestamp_seconds"
BANNED = "exchange_banned_until_timestamp_seconds"
GOES_ON = "+60x150"
CASES = [
    Case("PeakDeadManFired", "an hour behind", [off(-HOUR), kraken(EXPIRES, 90 - HOUR, GOES_ON)], silent=(75, 150)),
    Case(
        "PeakDeadManFired",
        "an hour ahead, and the beats end",
        [off(HOUR), kraken(EXPIRES, 90 + HOUR, "+60x10 8490x60")],
        {84: ("critical",)},
        (75,),
    ),
    Case(
        "PeakDeadManFired",
        "an hour behind, until the clock is set between two beats",
        [
            told("observe_time_seconds", -HOUR, "+60x20 5460+60x60"),
            kraken(EXPIRES, 90 - HOUR, "+60x21 5610+60x60"),
        ],
        silent=(85, 90, 91, 92, 100),
    ),
    Case("PeakHealthCheckStale", "an hour behind", checked(-HOUR, GOES_ON), silent=(78, 150)),
    Case(
        "PeakHealthCheckStale",
        "an hour ahead, and stops",
        checked(HOUR, "+60x10 8400x60"),
        {90: ("warning",)},
        (82,),
    ),
    Case("PeakReconcileStale", "an hour behind", compared(-HOUR, GOES_ON), silent=(78, 150)),
    Case(
        "PeakReconcileStale",
        "an hour ahead, and stops",
        compared(HOUR, "+60x10 8400x60"),
        {90: ("warning",)},
        (82,),
    ),
    Case(
        "PeakReconcileStale",
        "an hour behind, until the clock is set",
        [
            told("observe_time_seconds", -HOUR, "+60x20 5460+60x60"),
            kraken("reconcile_last_success_timestamp_seconds", -HOUR, "x9 1200x9 1800x9 6000x9 6600x9"),
            series("peak_reconcile_interval_seconds", "600x220", exchange="kraken"),
        ],
        silent=(80, 90, 93, 96, 99, 102, 115),
    ),
    Case(
        "PeakDeadManFired",
        "the clock of Prometheus jumps an hour ahead",
        [
            told("observe_time_seconds", 0, "+60x10 _x60 4860+60x40"),
            kraken(EXPIRES, 90, "+60x10 _x60 4950+60x40"),
        ],
        silent=(75, 81, 85, 140, 141, 142, 150),
    ),
    Case(
        "PeakHealthCheckStale",
        "the clock of Prometheus jumps an hour ahead",
        [
            told("observe_time_seconds", 0, "+60x10 _x60 4860+60x40"),
            told("health_check_last_run_timestamp_seconds", 0, "+60x10 _x60 4860+60x40", check="db"),
            series("peak_health_check_interval_seconds", "60x220", check="db"),
        ],
        silent=(75, 85, 141, 144, 160),
    ),
    Case("PeakJobOverdue", "an hour behind", job(-HOUR), {135: ("warning",)}, (75, 125)),
    Case("PeakJobOverdue", "an hour ahead", job(HOUR), {135: ("warning",)}, (125,)),
    Case("PeakJobStuck", "an hour behind", stuck(-HOUR), {135: ("warning",)}, (75, 125)),
    Case("PeakJobStuck", "an hour ahead", stuck(HOUR), {135: ("warning",)}, (125,)),
    Case(
        "PeakExchangeBanned",
        "an hour behind",
        [off(-HOUR), kraken(BANNED, 600 - HOUR, "x150")],
        {76: ("warning",)},
        (95,),
    ),
    Case("PeakExchangeBanned", "an hour ahead", [off(HOUR), kraken(BANNED, HOUR, "x150")], silent=(78, 100)),
    Case(
        "PeakBackupStuck",
        "an hour behind",
        [off(-HOUR), told("backup_running_since_timestamp_seconds", -HOUR, "x150", repository="backups")],
        {195: ("warning",)},
        (140, 185),
    ),
    Case("PeakClockSkew", "a bot that serves itself, an hour behind", [off(-HOUR)], {80: ("warning",)}, (73,)),
    Case("PeakClockSkew", "a bot of another host", elsewhere("1x40 0x20"), {10: ("warning",)}, (3, 50)),
    Case(
        "PeakClockSkew",
        "an exporter, which speaks for the bots beside it",
        [
            series("peak_exporter_time_seconds", "-60+60x60"),
            series("peak_process_clock_offset_seconds", "0x60", process="beside"),
            series("peak_process_up", "1x60", process="beside"),
        ],
        {10: ("warning",)},
    ),
    Case(
        "PeakClockSkew",
        "every second scrape fails",
        [series("peak_exporter_time_seconds", " ".join(f"{60 * m + 90} stale" for m in range(0, 40, 2)))],
        {15: ("warning",), 30: ("warning",)},
    ),
]
