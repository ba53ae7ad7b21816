"""Dashboard section of circuit states."""

from __future__ import annotations

from peak_observe import catalog
from peak_observe.monitoring import panels, style
from peak_observe.monitoring.panels import query
from peak_observe.monitoring.promql import STATE_NUMBERS, quantile, rate, select, share, total, worst
from peak_observe.monitoring.style import AMBER, RED, YELLOW, Json

MADE = 'outcome!="rejected"'
JUDGED = 'outcome=~"success|failure"'
CLOSED = 'state="closed"'
NOT_CLOSED = 'state=~"open|half_open|forced_open"'
NO_CIRCUITS = "no circuits"


def not_closed(link: Json | None = None) -> Json:
    """Return the tile that counts open circuits."""
    return panels.stat(
        "Circuits not closed",
        "Circuits that are open, half-open or forced open. Anything but 0 means that calls are refused: see which one "
        "below, and ask its service before you touch ours.",
        total(select(catalog.BREAKER_STATE, NOT_CLOSED)),
        "none",
        steps={RED: 1},
        empty=NO_CIRCUITS,
        link=link,
    )


def failed_share(link: Json | None = None) -> Json:
    """Return the tile of how many calls fail."""
    calls = catalog.BREAKER_CALLS_TOTAL
    return panels.stat(
        "Failed calls",
        "Share of the calls that failed, of those that count. Above 10 %: see which circuit, then which errors.",
        share(total(rate(calls, 'outcome="failure"')), total(rate(calls, JUDGED))),
        "percentunit",
        steps={YELLOW: 0.01, RED: 0.1},
        empty="no calls",
        link=link,
    )


def refused(link: Json | None = None) -> Json:
    """Return the tile of how many calls are refused."""
    return panels.stat(
        "Refused per second",
        "Calls that were refused at once because the circuit was open. They never reached the service: what they "
        "should have done is not done.",
        total(rate(catalog.BREAKER_CALLS_TOTAL, 'outcome="rejected"')),
        "reqps",
        steps={AMBER: 0.001},
        empty=NO_CIRCUITS,
        link=link,
    )


def slowest(link: Json | None = None) -> Json:
    """Return the tile of how long calls take."""
    return panels.stat(
        "Latency, 95th percentile",
        "19 of 20 calls are faster than this. If it grows, see which circuit is slow before its timeouts open it.",
        quantile(0.95, catalog.BREAKER_CALL_DURATION_SECONDS),
        "s",
        steps={YELLOW: 1, RED: 5},
        empty="no calls",
        link=link,
    )


def states(*, width: int = 24, link: Json | None = None) -> Json:
    """Return the course of the state of circuits that were not closed all the time."""
    keys = ("job", "instance", "process", "breaker")
    now = select(STATE_NUMBERS)
    # What was 1, closed, at each moment of the time shown, is left out: looked at once, at its end.
    left = f"{worst(f'max_over_time({now}[$__range] @ end())', *keys)} > 1"
    return panels.state_timeline(
        "Circuit states",
        "One bar for each circuit that was not closed all the time, up to 30. Green is closed: calls pass. Red is "
        "open: calls are refused. Amber is a probe. An opening shorter than the scrape interval shows only in "
        "'Changes of state'. Red: look at the errors and at the service's status page; `reset()` closes it by hand.",
        [
            query(
                f"{worst(now, *keys)} and on ({', '.join(keys)}) topk(30, {left})",
                "{{breaker}} {{process}} @ {{instance}}",
            )
        ],
        style.mapped(style.STATE_TEXTS),
        empty="no circuit left 'closed' in this time",
        size=(width, 7),
        link=link,
    )


def tiles() -> list[Json]:
    """Return what is wrong now, as numbers."""
    return [
        not_closed(),
        panels.stat(
            "Calls per second",
            "Calls that circuits let through. Far from what is usual: see if the program does what it should.",
            total(rate(catalog.BREAKER_CALLS_TOTAL, MADE)),
            "reqps",
            steps={},
            empty=NO_CIRCUITS,
        ),
        failed_share(),
        refused(),
        slowest(),
    ]
