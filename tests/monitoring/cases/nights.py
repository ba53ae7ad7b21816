"""Awkward nights: restarts in the middle of a burst, Prometheus itself away, bots that are renamed or moved."""

from tests.monitoring.cases.account_safety import EXPIRES, kraken
from tests.monitoring.cases.case import BOTH, Case, series
from tests.monitoring.cases.exchange import UP, requests, writes


def repository(values: str, *, instance: str = "bot:17326", process: str = "bot") -> dict[str, str]:
    """Return since when a repository is in use, as an instance tells it."""
    labels = f'job="peak-observe",instance="{instance}",process="{process}",repository="backups"'
    return {"series": f"peak_backup_configured_timestamp_seconds{{{labels}}}", "values": values}


def asked(values: str) -> dict[str, str]:
    """Return the requests of a bot that an exporter tells of."""
    labels = {"exchange": "kraken", "endpoint": "GET Ticker", "outcome": "success", "process": "bot"}
    return series("peak_exchange_requests_total", values, **labels)


CASES = [
    Case(
        "PeakExchangeFateUnknown",
        "the process restarts in the middle of a burst",
        [UP, writes("ambiguous", "0x10 2 3 0 1 2x60")],
        dict.fromkeys((11, 12, 13, 14, 15, 20, 40), ("critical",)),
        (9,),
    ),
    Case(
        "PeakExchangeFateUnknown",
        "an answer is lost while Prometheus is away",
        [series("up", "1x20 _x10 1x100"), writes("ambiguous", "0x20 _x10 1x100")],
        dict.fromkeys((36, 40, 45, 50, 90), ("critical",)),
        (20, 29),
    ),
    Case(
        "PeakExchangeFateUnknown",
        "was lost long ago, and Prometheus was away",
        [series("up", "1x20 _x10 1x60"), writes("ambiguous", "3x20 _x10 3x60")],
        silent=(19, 31, 36, 41, 45, 46, 60),
    ),
    Case(
        "PeakExchangeFateUnknown",
        "was lost long ago, and the bot moves to another instance with its counts",
        [series("up", "_x20 1x60"), writes("ambiguous", "_x20 3x60")],
        silent=(21, 30, 35, 37, 50),
    ),
    Case(
        "PeakExchangeErrors",
        "the process restarts in the middle of a burst",
        [requests("success", "0x60"), requests("transient", "0+10x15 0+10x10 0x30")],
        {12: BOTH, 16: BOTH, 17: BOTH, 20: BOTH, 26: BOTH},
        (50,),
    ),
    Case(
        "PeakExchangeQuiet",
        "the bot is stopped or renamed, and its counts stay",
        [
            asked("0+2x600 1200x300"),
            series("peak_process_up", "1x600 stale", process="bot"),
            series("peak_process_clock_offset_seconds", "0x900", process="bot"),
        ],
        silent=(610, 700, 880),
    ),
    Case(
        "PeakExchangeQuiet",
        "the bot lives, and asks no more",
        [
            asked("0+2x600 1200x300"),
            series("peak_process_up", "1x900", process="bot"),
            series("peak_process_clock_offset_seconds", "0x900", process="bot"),
        ],
        {700: ("warning",)},
        (610,),
    ),
    Case(
        "PeakDeadManFired",
        "Prometheus is away for three minutes",
        [kraken(EXPIRES, "90+60x10 _x3 930+60x30")],
        silent=(11, 12, 13, 14, 15, 20),
    ),
    Case(
        "PeakBackupMetricsAbsent",
        "the bot moves to another instance",
        [repository("60x60 stale"), repository("_x65 60x200", instance="other:17326")],
        silent=(62, 85, 200),
    ),
    Case(
        "PeakBackupMetricsAbsent",
        "the bot is renamed",
        [repository("60x60 stale"), repository("_x62 60x200", process="feed")],
        silent=(62, 85, 200),
    ),
    Case(
        "PeakBackupMetricsAbsent",
        "one of two bots is gone, both of which were there for days",
        [
            repository("60x1500 stale"),
            repository("90x1700", instance="other:17326"),
        ],
        {1530: ("critical",)},
        (1490,),
    ),
]
