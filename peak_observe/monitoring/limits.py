"""What the dashboard shows of bulkheads, rate limits and timeouts."""

from __future__ import annotations

from peak_observe import catalog
from peak_observe.monitoring import panels
from peak_observe.monitoring.panels import BLUE, GREEN, GREY, ORANGE, RED, Json, query
from peak_observe.monitoring.promql import increase, rate, select, share, total, worst

OUTCOME_COLOURS = dict(zip(catalog.LIMIT_OUTCOMES, (GREEN, BLUE, RED, ORANGE, GREY), strict=True))
PASSED = 'outcome=~"at_once|after_wait"'


def limits() -> list[Json]:
    """Return how full the bulkheads are, how the rates are used, who waits, and what took too long."""
    return [panels.row("Limits"), *_bulkheads(), *_rate_limits(), *_timeouts()]


def _bulkheads() -> list[Json]:
    calls, wait = catalog.BULKHEAD_CALLS_TOTAL, catalog.BULKHEAD_WAIT_SECONDS_TOTAL
    taken = select(catalog.BULKHEAD_IN_FLIGHT)
    return [
        panels.timeseries(
            "Bulkhead calls by outcome",
            "Calls a second by how they came in. Refused: all places were taken for as long as a call may wait. Out of "
            "time: the caller's deadline ended the wait.",
            [query(total(rate(calls), "outcome"), "{{outcome}}")],
            "reqps",
            stacked=True,
            colours=OUTCOME_COLOURS,
        ),
        panels.timeseries(
            "Bulkhead places taken",
            "Share of a bulkhead's places that are taken; at 1 calls wait or are refused.",
            [query(worst(share(taken, select(catalog.BULKHEAD_LIMIT)), "bulkhead", "instance"), "{{bulkhead}}")],
            "percentunit",
            maximum=1,
        ),
        panels.timeseries(
            "Waiting at bulkheads",
            "Calls that wait for a place, and the time a call waited on average.",
            [
                query(total(select(catalog.BULKHEAD_WAITING), "bulkhead"), "{{bulkhead}}: calls"),
                query(share(total(rate(wait), "bulkhead"), total(rate(calls), "bulkhead")), "{{bulkhead}}: seconds"),
            ],
            "short",
        ),
    ]


def _rate_limits() -> list[Json]:
    calls, wait = catalog.RATE_LIMIT_CALLS_TOTAL, catalog.RATE_LIMIT_WAIT_SECONDS_TOTAL
    keys = {"limiter": "Rate limit", "job": "Job", "instance": "Instance"}
    by = tuple(keys)
    return [
        panels.timeseries(
            "Rate-limited calls by outcome",
            "Calls a second by how they passed. Refused: their turn was further away than a call may wait. Out of "
            "time: it was beyond the caller's deadline.",
            [query(total(rate(calls), "outcome"), "{{outcome}}")],
            "reqps",
            stacked=True,
            colours=OUTCOME_COLOURS,
        ),
        panels.timeseries(
            "Rate used",
            "Calls that passed, as share of those that may; at 1 calls wait or are refused.",
            [
                query(
                    share(
                        total(rate(calls, PASSED), "limiter"),
                        total(select(catalog.RATE_LIMIT_CALLS_PER_SECOND), "limiter"),
                    ),
                    "{{limiter}}",
                )
            ],
            "percentunit",
        ),
        panels.timeseries(
            "Waiting for a turn",
            "Calls whose turn has yet to come, and the time a call waited on average.",
            [
                query(total(select(catalog.RATE_LIMIT_WAITING), "limiter"), "{{limiter}}: calls"),
                query(share(total(rate(wait), "limiter"), total(rate(calls), "limiter")), "{{limiter}}: seconds"),
            ],
            "short",
        ),
        panels.table(
            "Rate limits",
            "Every rate limit: what it allows, and what it refused in the time shown.",
            keys,
            [
                ("Calls a second", total(select(catalog.RATE_LIMIT_CALLS_PER_SECOND), *by), {}),
                ("At once", total(select(catalog.RATE_LIMIT_BURST), *by), {}),
                ("Refused", total(increase(calls, 'outcome="refused"'), *by), {"decimals": 0}),
            ],
        ),
    ]


def _timeouts() -> list[Json]:
    calls = catalog.TIMEOUT_CALLS_TOTAL
    late = total(rate(calls, 'outcome="timed_out"'), "operation")
    return [
        panels.timeseries(
            "Calls that took too long",
            "Share of an operation's calls that were cancelled, as their time was over.",
            [query(share(late, total(rate(calls), "operation")), "{{operation}}")],
            "percentunit",
            width=12,
            maximum=1,
        ),
        panels.timeseries(
            "Time limits",
            "How long a call may take, as configured.",
            [query(worst(select(catalog.TIMEOUT_LIMIT_SECONDS), "operation"), "{{operation}}")],
            "s",
            width=12,
        ),
    ]
