"""Circuits and retries."""

from tests.monitoring.cases.case import BOTH, Case, series


def breaker(state: str, values: str, **labels: str) -> dict[str, str]:
    """Return one state of a circuit."""
    return series("peak_breaker_state", values, breaker="kraken", state=state, **labels)


def opened(values: str) -> dict[str, str]:
    """Return how often a circuit opened."""
    return series("peak_breaker_transitions_total", values, breaker="kraken", to="open")


def calls(outcome: str, values: str) -> dict[str, str]:
    """Return the calls of a circuit."""
    return series("peak_breaker_calls_total", values, breaker="kraken", outcome=outcome)


def operation(outcome: str, values: str) -> dict[str, str]:
    """Return the operations of a retry."""
    return series("peak_retry_calls_total", values, operation="candles", outcome=outcome)


def retries(values: str) -> dict[str, str]:
    """Return the attempts after the first."""
    return series("peak_retry_retries_total", values, operation="candles")


CASES = [
    Case(
        "PeakBreakerNotClosed",
        "opens and closes",
        [breaker("open", "0x5 1x30 0x30")],
        {8: ("warning",), 25: BOTH},
        (7, 50),
    ),
    Case(
        "PeakBreakerNotClosed",
        "probes now and then",
        [breaker("open", "1 0 1 0 1 0 1 0 1"), breaker("half_open", "0 1 0 1 0 1 0 1 0")],
        {5: ("warning",)},
    ),
    Case("PeakBreakerNotClosed", "is forced open", [breaker("forced_open", "1x60")], silent=(5, 30)),
    Case(
        "PeakBreakerNotClosed",
        "every second scrape fails",
        [breaker("open", "0x5 1 stale 1 stale 1 stale 1 stale 1 stale 1 stale 1 stale 1 stale 1 stale 1 stale 1")],
        {8: ("warning",), 23: BOTH},
    ),
    Case("PeakBreakerForcedOpen", "and reset", [breaker("forced_open", "1x70 0x20")], {65: ("warning",)}, (30, 80)),
    Case("PeakBreakerForcedOpen", "is open by itself", [breaker("open", "1x90")], silent=(65, 90)),
    Case("PeakBreakerDisabled", "and enabled", [breaker("disabled", "1x70 0x20")], {65: ("warning",)}, (30, 80)),
    Case("PeakBreakerDisabled", "for a while", [breaker("disabled", "1x30 0x60")], silent=(20, 65)),
    Case(
        "PeakBreakerNotClosed",
        "two processes have one of the same name",
        [breaker("open", "1x60", process="a"), breaker("open", "0x60", process="b")],
        {20: BOTH},
    ),
    Case(
        "PeakBreakerNotClosed", "is disabled", [breaker("disabled", "1x60"), breaker("open", "0x60")], silent=(30, 60)
    ),
    Case(
        "PeakBreakerNotClosed",
        "starts afresh",
        [breaker("closed", "_x5 1x60"), breaker("open", "_x5 0x60")],
        silent=(5, 30),
    ),
    Case("PeakBreakerNotClosed", "a gap in the scrapes", [breaker("open", "0x5 1x10 _x3 1x20")], {25: BOTH}),
    Case("PeakBreakerNotClosed", "its process is gone", [breaker("open", "1x5 stale")], {4: ("warning",)}, (20,)),
    Case(
        "PeakBreakerFlapping",
        "opens five times and rests",
        [opened("0 1 2 3 4 5 6 6x120")],
        {20: ("warning",)},
        (2, 80),
    ),
    Case(
        "PeakBreakerFlapping",
        "only observes",
        [opened("0 1 2 3 4 5 6 6x120"), breaker("disabled", "1x130"), breaker("open", "0x130")],
        silent=(6, 20, 80),
    ),
    Case("PeakBreakerFlapping", "opens once", [opened("0x5 1x60")], silent=(10, 30)),
    Case("PeakBreakerFlapping", "restarts", [opened("9x10 0x60")], silent=(11, 30)),
    Case("PeakBreakerFlapping", "is first seen after many", [opened("9x60")], silent=(1, 30)),
    Case("PeakBreakerFlapping", "a gap in the scrapes", [opened("0x5 1x5 _x8 2x30")], silent=(15, 25)),
    Case(
        "PeakBreakerRejecting",
        "a third is refused",
        [calls("success", "0+20x20 400x60"), calls("rejected", "0+10x20 200x60")],
        {15: ("warning",)},
        (3, 45),
    ),
    Case(
        "PeakBreakerRejecting",
        "nothing is called",
        [calls("success", "5x60"), calls("rejected", "9x60")],
        silent=(20, 60),
    ),
    Case(
        "PeakBreakerRejecting",
        "restarts",
        [calls("success", "900x10 0+20x30"), calls("rejected", "500x10 0x30")],
        silent=(11, 18, 30),
    ),
    Case(
        "PeakRetryStorm",
        "two retries a call, then none",
        [
            operation("first_try", "0x30 0+6x60"),
            operation("after_retry", "0+6x30 180x60"),
            retries("0+12x30 360x60"),
        ],
        {25: ("warning",)},
        (5, 50),
    ),
    Case(
        "PeakRetryStorm",
        "one call in ten is retried",
        [operation("first_try", "0+9x60"), operation("after_retry", "0+1x60"), retries("0+1x60")],
        silent=(20, 60),
    ),
    Case(
        "PeakRetryStorm",
        "is called once in ten minutes",
        [operation("after_retry", "0x9 1x9 2x9 3x9 4x9 5x9"), retries("0x9 2x9 4x9 6x9 8x9 10x9")],
        silent=(25, 45, 55),
    ),
    Case(
        "PeakRetryStorm",
        "restarts",
        [operation("first_try", "90x10 0+5x40"), operation("after_retry", "80x10 0x40"), retries("99x10 0x40")],
        silent=(12, 22, 40),
    ),
    Case(
        "PeakRetriesExhausted",
        "gives up again and again",
        [operation("exhausted", "0x5 0+1x10 10x60")],
        {14: ("warning",)},
        (5, 60),
    ),
    Case(
        "PeakRetriesExhausted",
        "has no time or no budget left",
        [operation("out_of_time", "0x5 0+1x2 2x60"), operation("out_of_budget", "0x5 0+1x2 2x60")],
        {9: ("warning",)},
        (5, 60),
    ),
    Case("PeakRetriesExhausted", "a counter is reset", [operation("exhausted", "50x10 0x60")], silent=(11, 20)),
    Case("PeakRetriesExhausted", "starts afresh", [operation("exhausted", "_x5 0x60")], silent=(6, 20)),
]
