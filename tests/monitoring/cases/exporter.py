"""Processes, the exporter, and alerting itself."""

from tests.monitoring.cases.case import Case, series


def process(name: str, values: str) -> dict[str, str]:
    """Return a metric of a process."""
    return series(f"peak_process_{name}", values, process="bot")


def rejected(values: str) -> dict[str, str]:
    """Return how many snapshots were left out."""
    return series("peak_process_snapshots_rejected_total", values, reason="torn")


def used(values: str) -> dict[str, str]:
    """Return how much of the limit of bytes is used."""
    return series("peak_process_snapshots_used_ratio", values, limit="bytes")


def source(values: str) -> dict[str, str]:
    """Return whether a source answers."""
    return series("peak_exporter_source_up", values, source="borg.nas")


def bot(up: str) -> list[dict[str, str]]:
    """Return a bot that serves its metrics itself, under a job of its own."""
    return [
        {"series": 'up{job="bots",instance="bot:17326"}', "values": up},
        {"series": 'peak_observe_build_info{job="bots",instance="bot:17326",version="1"}', "values": "1x5 stale"},
    ]


OTHER = {"series": 'up{job="node",instance="bot:9100"}', "values": "0x60"}
CASES = [
    Case(
        "PeakProcessDied",
        "is gone, then not shown any more, then back",
        [process("up", "1x5 0x15 stale _x30 1x30")],
        {8: ("critical",), 40: ("critical",)},
        (5, 60),
    ),
    Case("PeakProcessDied", "is started again at once", [process("up", "1x5 0 1x30")], silent=(6, 7, 20)),
    Case("PeakProcessDied", "its exporter is gone", [process("up", "1x10 _x20 1x10")], silent=(20, 25, 40)),
    Case("PeakProcessDied", "is a job that ended", [process("up", "1x5 stale")], silent=(6, 30)),
    Case(
        "PeakProcessDied",
        "is a bot that was stopped",
        [process("up", "1x5 stale"), process("ended_timestamp_seconds", "_x6 330x15 stale")],
        silent=(6, 10, 30, 90),
    ),
    Case(
        "PeakProcessDied",
        "is killed, started again, and ends in good order before anybody looks",
        [
            process("up", "1x5 0 0 stale"),
            process("start_time_seconds", "100x6 stale"),
            process("ended_timestamp_seconds", "_x7 430x15 stale"),
        ],
        silent=(8, 15, 60),
    ),
    Case(
        "PeakProcessDied",
        "was stopped the time before, and is killed this time",
        [
            process("up", "1x5 stale _x5 1x5 0x15 stale"),
            process("start_time_seconds", "100x5 stale _x5 700x20 stale"),
            process("ended_timestamp_seconds", "_x6 330x4 stale"),
        ],
        {19: ("critical",), 60: ("critical",)},
        (8, 15),
    ),
    Case(
        "PeakProcessRestarting",
        "three times",
        [process("start_time_seconds", "100x10 700x5 1000x5 1300x70")],
        {25: ("warning",)},
        (20, 90),
    ),
    Case(
        "PeakProcessRestarting",
        "three times, and serves itself",
        [
            {
                "series": 'peak_observe_start_time_seconds{job="bots",instance="bot:17326"}',
                "values": "100x5 _x4 700x5 _ 1000x5 _x3 1300x70",
            }
        ],
        {27: ("warning",)},
        (12, 95),
    ),
    Case("PeakProcessRestarting", "once", [process("start_time_seconds", "100x10 700x60")], silent=(11, 40)),
    Case(
        "PeakProcessSilent",
        "hangs for a while",
        [process("snapshot_age_seconds", "5x5 65+60x20 5x20"), process("up", "1x60")],
        {12: ("warning",)},
        (6, 30),
    ),
    Case(
        "PeakProcessSilent",
        "is gone",
        [process("snapshot_age_seconds", "5x5 65+60x20"), process("up", "1x5 0x40")],
        silent=(12, 25),
    ),
    Case("PeakSnapshotsRejected", "two of them", [rejected("0x5 2x60")], {7: ("warning",)}, (4, 50)),
    Case("PeakSnapshotsRejected", "long ago", [rejected("7x60")], silent=(1, 30)),
    Case("PeakSnapshotsRejected", "the exporter restarts", [rejected("7x10 0x30")], silent=(11, 30)),
    Case(
        "PeakSnapshotsNearLimit",
        "fills up and is emptied",
        [used("0.5x5 0.81x30 0.2x60")],
        {25: ("warning",)},
        (4, 15, 70),
    ),
    Case("PeakSnapshotsNearLimit", "has room", [used("0.8x60")], silent=(1, 40)),
    Case("PeakSnapshotsNearLimit", "one moment", [used("0.5x5 1.5x3 0.5x60")], silent=(7, 30)),
    Case("PeakExporterDown", "and up again", [series("up", "1x5 0x20 1x20")], {10: ("critical",)}, (6, 35)),
    Case("PeakExporterDown", "starts afresh", [series("up", "_x5 1x30")], silent=(6, 20)),
    Case("PeakExporterDown", "one scrape fails", [series("up", "1x5 0 1x30")], silent=(6, 7, 20)),
    Case("PeakExporterDown", "somebody else's is down", [OTHER], silent=(10, 40)),
    Case("PeakExporterDown", "a bot of another job dies", [*bot("1x5 0x20 1x20")], {10: ("critical",)}, (6, 35)),
    Case(
        "PeakScrapesFailing",
        "every second one, then none",
        [*bot("1 0 1 0 1 0 1 0 1 0 1 0 1 0 1 0 1 0 1 0 1x30")],
        {18: ("warning",)},
        (2, 60),
    ),
    Case("PeakScrapesFailing", "one", [*bot("1x10 0 1x30")], silent=(15, 30)),
    Case(
        "PeakExporterAbsent",
        "until it is configured",
        [OTHER, series("up", "_x20 1x30")],
        {10: ("critical",)},
        (3, 25),
    ),
    Case("PeakExporterAbsent", "is down, but known", [series("up", "0x60")], silent=(10, 40)),
    Case("PeakSourceFailing", "and recovers", [source("1x5 0x20 1x30")], {14: ("warning",)}, (9, 40)),
    Case("PeakSourceFailing", "has not been asked yet", [source("NaN NaN NaN NaN NaN NaN NaN NaN NaN")], silent=(4, 8)),
    Case("PeakSourceFailing", "fails once", [source("1x5 0x2 1x30")], silent=(7, 9, 20)),
    Case(
        "PeakExporterReloadFailed",
        "until it is mended",
        [series("peak_exporter_config_reload_success", "1x5 0x10 1x10")],
        {9: ("warning",)},
        (5, 20),
    ),
    Case(
        "PeakExporterReloadFailed",
        "all is well",
        [series("peak_exporter_config_reload_success", "1x30")],
        silent=(5, 30),
    ),
    Case(
        "PeakClockSkew",
        "ten seconds ahead, then right",
        [series("peak_exporter_time_seconds", "10+60x20 1260+60x30")],
        {10: ("warning",)},
        (3, 30),
    ),
    Case(
        "PeakClockSkew",
        "behind",
        [series("peak_exporter_time_seconds", "-10+60x20")],
        {10: ("warning",)},
    ),
    Case(
        "PeakClockSkew",
        "a gap in the scrapes",
        [series("peak_exporter_time_seconds", "0+60x10 _x4 900+60x10")],
        silent=(8, 13, 20),
    ),
    Case("PeakWatchdog", "always", [series("up", "0x5")], {0: ("info",), 60: ("info",)}),
]
