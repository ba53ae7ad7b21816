"""Health checks and jobs."""

from tests.monitoring.cases.case import BOTH, Case, series


def healthy(values: str) -> dict[str, str]:
    """Return what a check found."""
    return series("peak_health_check_healthy", values, check="db")


def ran(last: str, interval: str) -> list[dict[str, str]]:
    """Return when a check ran last, and the seconds between two runs."""
    return [
        series("peak_health_check_last_run_timestamp_seconds", last, check="db"),
        series("peak_health_check_interval_seconds", interval, check="db"),
    ]


def job(name: str, values: str) -> dict[str, str]:
    """Return a metric of a job."""
    return series(f"peak_job_{name}", values, task="nightly", process="cron")


CASES = [
    Case(
        "PeakHealthCheckFailing", "fails and recovers", [healthy("1x5 0x30 1x30")], {9: ("warning",), 25: BOTH}, (6, 45)
    ),
    Case("PeakHealthCheckFailing", "has not run yet", [healthy("NaN NaN NaN NaN NaN NaN")], silent=(4, 8)),
    Case("PeakHealthCheckFailing", "fails once", [healthy("1x5 0 1x30")], silent=(6, 7, 20)),
    Case(
        "PeakHealthCheckFlapping",
        "fails every other minute",
        [healthy("1x5 0 1 0 1 0 1 0 1 0 1 0 1 1x60")],
        {14: ("warning",)},
        (6, 75),
    ),
    Case("PeakHealthCheckFlapping", "fails and recovers", [healthy("1x5 0x30 1x30")], silent=(10, 40)),
    Case(
        "PeakHealthCheckStale",
        "stops and runs again",
        ran("0+60x360 21600x60 25260+60x30", "60x500"),
        {370: ("warning",), 420: ("warning",)},
        (362, 440),
    ),
    Case(
        "PeakHealthCheckStale",
        "does not run for more than a day",
        ran("0+60x10 600x1560", "60x1580"),
        {20: ("warning",), 1550: ("warning",)},
        (12,),
    ),
    Case(
        "PeakHealthCheckStale",
        "runs once an hour",
        ran("0x59 3600x59 7200x59 10800x59 14400x59 18000x59", "3600x360"),
        silent=(55, 115, 355),
    ),
    Case("PeakHealthCheckStale", "has never run", ran("0x60", "30x60"), silent=(30, 60)),
    Case(
        "PeakHealthCheckStale",
        "starts afresh",
        ran("0+60x360 _x20 0x60", "60x360 _x20 60x60"),
        silent=(365, 385, 420),
    ),
    Case(
        "PeakJobOverdue",
        "succeeds too late",
        [
            job("last_attempt_timestamp_seconds", "0x60 3600x90 9060x30"),
            job("last_success_timestamp_seconds", "0x60 3600x90 9060x30"),
            job("max_age_seconds", "3600x200"),
        ],
        {125: ("warning",), 145: ("warning",)},
        (115, 156),
    ),
    Case(
        "PeakJobOverdue",
        "begins and never succeeds",
        [
            job("last_attempt_timestamp_seconds", "60x100"),
            job("last_success_timestamp_seconds", "0x100"),
            job("max_age_seconds", "3600x100"),
        ],
        {64: ("warning",)},
        (60,),
    ),
    Case(
        "PeakJobOverdue",
        "is never begun",
        [
            job("last_attempt_timestamp_seconds", "0x100"),
            job("last_success_timestamp_seconds", "0x100"),
            job("max_age_seconds", "3600x100"),
            series("peak_process_start_time_seconds", "60x100", process="cron"),
        ],
        {64: ("warning",)},
        (60,),
    ),
    Case(
        "PeakJobOverdue",
        "promises nothing",
        [
            job("last_attempt_timestamp_seconds", "60x100"),
            job("last_success_timestamp_seconds", "60x100"),
            job("max_age_seconds", " ".join(["NaN"] * 100)),
        ],
        silent=(5, 90),
    ),
    Case(
        "PeakJobFailed",
        "fails, and succeeds half an hour later",
        [
            job("last_attempt_timestamp_seconds", "_x10 600x30 2460x40"),
            job("last_success_timestamp_seconds", "_x10 0x32 2580x40"),
            job("running_since_timestamp_seconds", "_x10 600x1 0x28 2460x1 0x40"),
        ],
        {20: ("warning",), 40: ("warning",)},
        (11, 42, 60),
    ),
    Case(
        "PeakJobFailed",
        "is killed",
        [
            job("last_attempt_timestamp_seconds", "_x10 600x40"),
            job("last_success_timestamp_seconds", "_x10 300x40"),
            job("running_since_timestamp_seconds", "_x10 600x2 stale"),
        ],
        {20: ("warning",)},
        (12,),
    ),
    Case(
        "PeakJobFailed",
        "succeeds",
        [
            job("last_attempt_timestamp_seconds", "_x10 600x40"),
            job("last_success_timestamp_seconds", "_x10 0x1 720x40"),
            job("running_since_timestamp_seconds", "_x10 600x1 0x40"),
        ],
        silent=(11, 15, 40),
    ),
    Case(
        "PeakJobFailed",
        "is still in its first run",
        [
            job("last_attempt_timestamp_seconds", "_x10 600x40"),
            job("last_success_timestamp_seconds", "_x10 0x40"),
            job("running_since_timestamp_seconds", "_x10 600x40"),
        ],
        silent=(15, 45),
    ),
    Case(
        "PeakJobStuck",
        "hangs, then ends",
        [
            job("last_duration_seconds", "300x230"),
            job("running_since_timestamp_seconds", "0x10 660x200 0x20"),
        ],
        {80: ("warning",)},
        (60, 225),
    ),
    Case(
        "PeakJobStuck",
        "takes hours each time",
        [
            job("last_duration_seconds", "7200x230"),
            job("running_since_timestamp_seconds", "0x10 660x200 0x20"),
        ],
        silent=(80, 200),
    ),
    Case(
        "PeakJobStuck",
        "has never ended",
        [job("running_since_timestamp_seconds", "0x10 660x200")],
        silent=(80, 200),
    ),
]
