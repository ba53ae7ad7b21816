"""Dead man's switch, single instance, API key and books."""

from tests.monitoring.cases.case import DAY, Case, series


def kraken(name: str, values: str, **labels: str) -> dict[str, str]:
    """Return a series of an exchange."""
    return series(f"peak_{name}", values, exchange="kraken", **labels)


def lock(name: str, values: str) -> dict[str, str]:
    """Return a series of a lock."""
    return series(f"peak_instance_{name}", values, lock="rebalancer")


EXPIRES = "deadman_expires_timestamp_seconds"
CASES = [
    Case(
        "PeakDeadManNotArmed", "until the first beat", [kraken(EXPIRES, "0x9 660+60x30")], {5: ("critical",)}, (1, 20)
    ),
    Case("PeakDeadManNotArmed", "armed from the beginning", [kraken(EXPIRES, "60+60x30")], silent=(1, 20)),
    Case(
        "PeakDeadManFired",
        "the beats end for ten minutes",
        [kraken(EXPIRES, "90+60x10 690x10 1350+60x30")],
        {14: ("critical",)},
        (5, 35),
    ),
    Case("PeakDeadManFired", "the program disarms and ends", [kraken(EXPIRES, "90+60x10 stale")], silent=(11, 14, 20)),
    Case("PeakDeadManFired", "was never armed", [kraken(EXPIRES, "0x30")], silent=(5, 29)),
    Case("PeakInstanceRefused", "twice", [lock("refused_total", "0x5 2x60")], {7: ("warning",)}, (4, 45)),
    Case("PeakInstanceRefused", "never", [lock("refused_total", "0x30")], silent=(5, 29)),
    Case("PeakInstanceLost", "until a restart", [lock("held", "1x5 0x10 1x20")], {8: ("critical",)}, (4, 30)),
    Case("PeakInstanceLost", "is given back", [lock("held", "1x5 stale")], silent=(4, 8, 20)),
    Case(
        "PeakExchangeKeyExpires",
        "in a month, and is replaced",
        [kraken("exchange_key_expires_timestamp_seconds", f"{30 * 86400}x697 {400 * 86400}x60")],
        {20 * DAY: ("warning",), 28 * DAY + 360: ("critical", "warning")},
        (15 * DAY, 30 * DAY),
        "1h",
    ),
    Case(
        "PeakExchangeKeyExpires",
        "in a year",
        [kraken("exchange_key_expires_timestamp_seconds", f"{400 * 86400}x30")],
        silent=(10, 29),
    ),
    Case(
        "PeakExchangeKeyCanWithdraw",
        "until it may not",
        [kraken("exchange_key_permission", "1x9 0x30", permission="withdraw")],
        {5: ("warning",)},
        (20,),
    ),
    Case(
        "PeakExchangeKeyCanWithdraw",
        "may trade",
        [kraken("exchange_key_permission", "1x30", permission="trade")],
        silent=(5, 29),
    ),
    Case(
        "PeakBooksDiffer",
        "an order that nobody knows, until it is cancelled",
        [kraken("reconcile_differences", "0x5 1x10 0x30", kind="foreign_order")],
        {8: ("critical",)},
        (4, 30),
    ),
    Case("PeakBooksDiffer", "agree", [kraken("reconcile_differences", "0x30", kind="balance")], silent=(5, 29)),
    Case(
        "PeakReconcileStale",
        "fails for a quarter of an hour",
        [
            kraken("reconcile_interval_seconds", "60x60"),
            kraken("reconcile_last_success_timestamp_seconds", "0+60x10 600x15 1560+60x30"),
        ],
        {20: ("warning",)},
        (9, 40),
    ),
    Case(
        "PeakReconcileStale",
        "was compared once, before the first order",
        [kraken("reconcile_last_success_timestamp_seconds", "60x60")],
        silent=(30, 59),
    ),
]
