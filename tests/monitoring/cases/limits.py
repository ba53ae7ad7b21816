"""Bulkheads, rate limits, timeouts, and names that share a series."""

from tests.monitoring.cases.case import Case, series


def calls(kind: str, label: str, outcome: str, values: str) -> dict[str, str]:
    """Return the calls of a limit."""
    return series(f"peak_{kind}_calls_total", values, outcome=outcome, **{label: "kraken"})


def refusing(alert: str, kind: str, label: str, good: str, bad: str) -> list[Case]:
    """Return the cases of a limit that refuses calls."""
    return [
        Case(
            alert,
            "a third is refused, then none",
            [calls(kind, label, good, "0+20x20 430+30x60"), calls(kind, label, bad, "0+10x20 200x60")],
            {12: ("warning",)},
            (4, 45),
        ),
        Case(
            alert,
            "a few are",
            [calls(kind, label, good, "0+99x60"), calls(kind, label, bad, "0+5x60")],
            silent=(20, 60),
        ),
        Case(
            alert, "one of few is", [calls(kind, label, good, "0x60"), calls(kind, label, bad, "0x5 4x60")], silent=(9,)
        ),
    ]


def name(metric: str, values: str, **labels: str) -> dict[str, str]:
    """Return a series of a primitive."""
    return series(metric, values, **labels)


CASES = [
    *refusing("PeakBulkheadRefusing", "bulkhead", "bulkhead", "at_once", "refused"),
    *refusing("PeakRateLimitRefusing", "rate_limit", "limiter", "after_wait", "out_of_time"),
    *refusing("PeakTimeouts", "timeout", "operation", "in_time", "timed_out"),
    Case(
        "PeakNamesOverflow",
        "circuits, until the process is restarted",
        [name("peak_breaker_state", "_x5 0x20 stale", breaker="_overflow", state="open")],
        {12: ("warning",)},
        (5, 45),
    ),
    Case(
        "PeakNamesOverflow",
        "endpoints of an exchange",
        [name("peak_exchange_requests_total", "0x30", exchange="binance", endpoint="_overflow", outcome="success")],
        {12: ("warning",)},
    ),
    Case(
        "PeakNamesOverflow",
        "all have series of their own",
        [name("peak_breaker_state", "0x30", breaker="kraken", state="open")],
        silent=(12, 30),
    ),
]
