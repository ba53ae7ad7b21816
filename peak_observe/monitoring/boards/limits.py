"""Dashboard section of bulkheads, rate limits and timeouts."""

from __future__ import annotations

from peak_observe import catalog
from peak_observe.monitoring import panels, style, tables
from peak_observe.monitoring.panels import query
from peak_observe.monitoring.promql import increase, rate, select, share, total, worst
from peak_observe.monitoring.style import AMBER, COUNT, Json

NO_BULKHEADS, NO_LIMITS, NO_TIMEOUTS = "no bulkheads", "no rate limits", "no timeouts"
NO_SHARES, NO_FALLBACKS = "no shared calls", "no fallbacks"


def limits() -> list[Json]:
    """Return how full the bulkheads are, how the rates are used, who waits, and what took too long."""
    return [*_bulkheads(), *_rate_limits(), *_timeouts(), *_results()]


def _bulkheads() -> list[Json]:
    calls, wait = catalog.BULKHEAD_CALLS_TOTAL, catalog.BULKHEAD_WAIT_SECONDS_TOTAL
    taken = select(catalog.BULKHEAD_IN_FLIGHT)
    return [
        panels.timeseries(
            "Bulkhead calls by outcome",
            "Calls a second by how they came in. Refused: all places were taken for as long as a call may wait; out of "
            "time: the caller's deadline ended the wait. Find out why the calls inside take so long.",
            [query(total(rate(calls), "outcome"), "{{outcome}}")],
            "reqps",
            empty=NO_BULKHEADS,
            stacked=True,
            colours=style.LIMIT_COLOURS,
        ),
        panels.timeseries(
            "Bulkhead places taken",
            "Share of a bulkhead's places that are taken. At 100 % calls wait or are refused: allow more if the "
            "service bears it, or call less.",
            [query(worst(share(taken, select(catalog.BULKHEAD_LIMIT)), "bulkhead", "instance"), "{{bulkhead}}")],
            "percentunit",
            empty=NO_BULKHEADS,
            maximum=1,
        ),
        panels.timeseries(
            "Waiting at bulkheads",
            "Calls that wait for a place, and the seconds a call waited on average. If the line grows, calls come "
            "faster than they end.",
            [
                query(total(select(catalog.BULKHEAD_WAITING), "bulkhead"), "{{bulkhead}}: calls"),
                query(share(total(rate(wait), "bulkhead"), total(rate(calls), "bulkhead")), "{{bulkhead}}: seconds"),
            ],
            "short",
            empty=NO_BULKHEADS,
        ),
    ]


def _rate_limits() -> list[Json]:
    calls, wait = catalog.RATE_LIMIT_CALLS_TOTAL, catalog.RATE_LIMIT_WAIT_SECONDS_TOTAL
    used = share(
        total(rate(catalog.RATE_LIMIT_WEIGHT_TOTAL), "limiter"),
        total(select(catalog.RATE_LIMIT_CALLS_PER_SECOND), "limiter"),
    )
    return [
        panels.timeseries(
            "Rate-limited calls by outcome",
            "Calls a second by how they passed. Refused: their turn was further away than a call may wait; out of "
            "time: it was beyond the caller's deadline. Ask less, or raise what the exchange allows.",
            [query(total(rate(calls), "outcome"), "{{outcome}}")],
            "reqps",
            empty=NO_LIMITS,
            stacked=True,
            colours=style.LIMIT_COLOURS,
        ),
        panels.timeseries(
            "Rate used",
            "Weight that passed, as share of what may. Near 100 % calls wait or are refused: spread them out.",
            [query(used, "{{limiter}}")],
            "percentunit",
            empty=NO_LIMITS,
        ),
        panels.timeseries(
            "Waiting for a turn",
            "Calls whose turn has yet to come, and the seconds a call waited on average. If it grows, more is asked "
            "for than the rate allows.",
            [
                query(total(select(catalog.RATE_LIMIT_WAITING), "limiter"), "{{limiter}}: calls"),
                query(share(total(rate(wait), "limiter"), total(rate(calls), "limiter")), "{{limiter}}: seconds"),
            ],
            "short",
            empty=NO_LIMITS,
        ),
        *_priorities(),
        _table(),
    ]


def _priorities() -> list[Json]:
    calls = catalog.RATE_LIMIT_PRIORITY_CALLS_TOTAL
    wait = catalog.RATE_LIMIT_PRIORITY_WAIT_SECONDS_TOTAL
    keys = ("limiter", "priority")
    return [
        panels.timeseries(
            "Rate limit pauses",
            "Seconds for which a rate limit lets no call pass yet, as the service asked for it, or the program did. "
            "Pauses that follow each other: the limit is set higher than what the service bears.",
            [query(worst(select(catalog.RATE_LIMIT_PAUSE_SECONDS), "limiter"), "{{limiter}}")],
            "s",
            empty=NO_LIMITS,
        ),
        panels.timeseries(
            "Calls by priority",
            "Calls a second that passed, by priority class, of rate limits that reserve a share for one. If a reserved "
            "class passes nothing, is its work inside `with priority(…)`?",
            [query(total(rate(calls), *keys), "{{limiter}}: {{priority}}")],
            "reqps",
            empty="no rate limits with reserved shares",
        ),
        panels.timeseries(
            "Waits by priority",
            "Seconds that a call waited for its turn on average, by priority class. If a reserved class waits, reserve "
            "more for it.",
            [query(share(total(rate(wait), *keys), total(rate(calls), *keys)), "{{limiter}}: {{priority}}")],
            "s",
            empty="no rate limits with reserved shares",
        ),
    ]


def _table() -> Json:
    keys = {"limiter": "Rate limit", "process": "Process", "job": "Job", "instance": "Instance"}
    refused = total(increase(catalog.RATE_LIMIT_CALLS_TOTAL, 'outcome="refused"'), *keys)
    return tables.table(
        "Rate limits",
        "Every rate limit: what it allows, and what it refused in the time shown. Refused calls did not happen: does "
        "the program make up for them?",
        keys,
        [
            ("Weight a second", total(select(catalog.RATE_LIMIT_CALLS_PER_SECOND), *keys), {"unit": "short"}),
            ("At once", total(select(catalog.RATE_LIMIT_BURST), *keys), COUNT),
            ("Refused", refused, style.bad(AMBER)),
        ],
        empty=NO_LIMITS,
        sort="Refused",
    )


def _timeouts() -> list[Json]:
    calls = catalog.TIMEOUT_CALLS_TOTAL
    late = total(rate(calls, 'outcome="timed_out"'), "operation")
    return [
        panels.timeseries(
            "Calls that took too long",
            "Share of an operation's calls that were cancelled, as their time was over. All of them: the service "
            "hangs. Some: the timeout is short for it.",
            [query(share(late, total(rate(calls), "operation")), "{{operation}}")],
            "percentunit",
            empty=NO_TIMEOUTS,
            width=12,
            maximum=1,
        ),
        panels.timeseries(
            "Time limits",
            "How long a call may take, as configured. Well above the 99th percentile of its latency, and well below "
            "what the caller can wait.",
            [query(worst(select(catalog.TIMEOUT_LIMIT_SECONDS), "operation"), "{{operation}}")],
            "s",
            empty=NO_TIMEOUTS,
            width=12,
        ),
    ]


def _results() -> list[Json]:
    shared, fallen = catalog.SHARE_CALLS_TOTAL, catalog.FALLBACK_CALLS_TOTAL
    return [
        panels.timeseries(
            "Shared calls",
            "Calls a second by what served them. Only made: nobody asks the same at the same time, and `share` saves "
            "nothing. Interrupted: callers were cancelled or ran out of time while they waited.",
            [query(total(rate(shared), "outcome"), "{{outcome}}")],
            "reqps",
            empty=NO_SHARES,
            width=12,
            stacked=True,
            colours=style.SHARE_COLOURS,
        ),
        panels.timeseries(
            "Answers of fallbacks",
            "Calls a second that failed or were refused and that a fallback answered, by what it gave. None: no good "
            "result was young enough. The program works with old data: how long has the service been away?",
            [query(total(rate(fallen), "operation", "outcome"), "{{operation}}: {{outcome}}")],
            "reqps",
            empty=NO_FALLBACKS,
            width=12,
        ),
    ]
