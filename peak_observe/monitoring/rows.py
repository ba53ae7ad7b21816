"""What the dashboard shows, row by row: first what is wrong now, then why."""

from __future__ import annotations

from peak_observe import catalog
from peak_observe.monitoring import panels
from peak_observe.monitoring.panels import BLUE, GREEN, GREY, ORANGE, PURPLE, RED, YELLOW, Json, query
from peak_observe.monitoring.promql import increase, quantile, rate, select, share, total

STATE_COLOURS = dict(zip(catalog.STATES, (GREEN, RED, YELLOW, PURPLE, GREY), strict=True))
CALL_COLOURS = dict(zip(catalog.CALL_OUTCOMES, (GREEN, RED, BLUE, ORANGE), strict=True))
RETRY_COLOURS = dict(zip(catalog.RETRY_OUTCOMES, (GREEN, YELLOW, RED, BLUE, PURPLE, ORANGE), strict=True))

MADE = 'outcome!="rejected"'
JUDGED = 'outcome=~"success|failure"'
RETRIED = 'outcome=~"after_retry|exhausted|out_of_time|out_of_budget"'
NOT_CLOSED = 'state=~"open|half_open|forced_open"'

# A state as a number, for timelines and tables: 0 where no breaker of the name lives any more.
STATE_TEXTS = {0: ("gone", GREY)} | {
    number: (state.replace("_", "-"), STATE_COLOURS[state]) for number, state in enumerate(catalog.STATES, start=1)
}


def state_number(*labels: str) -> str:
    """Return the state as the numbers of `STATE_TEXTS`."""
    terms = (total(select(catalog.BREAKER_STATE, f'state="{state}"'), *labels) for state in catalog.STATES)
    return " + ".join(f"{number} * {term}" for number, term in enumerate(terms, start=1))


def at_a_glance() -> list[Json]:
    """Return what tells a person at night whether to get up."""
    calls, retries = catalog.BREAKER_CALLS_TOTAL, catalog.RETRY_CALLS_TOTAL
    return [
        panels.row("At a glance"),
        panels.stat(
            "Circuits not closed",
            "Circuits that are open, half-open or forced open. Anything but 0 means that calls are refused.",
            total(select(catalog.BREAKER_STATE, NOT_CLOSED)),
            "none",
            steps={RED: 1},
            empty="no circuits",
        ),
        panels.stat(
            "Calls per second",
            "Calls that circuits let through.",
            total(rate(calls, MADE)),
            "reqps",
            steps={},
            empty="no circuits",
        ),
        panels.stat(
            "Failed calls",
            "Share of the calls that failed, of those that count; empty while nothing is called.",
            share(total(rate(calls, 'outcome="failure"')), total(rate(calls, JUDGED))),
            "percentunit",
            steps={YELLOW: 0.01, RED: 0.1},
            empty="no calls",
        ),
        panels.stat(
            "Refused per second",
            "Calls that were refused at once because the circuit was open.",
            total(rate(calls, 'outcome="rejected"')),
            "reqps",
            steps={ORANGE: 0.001},
            empty="no circuits",
        ),
        panels.stat(
            "Latency, 95th percentile",
            "19 of 20 calls are faster than this.",
            quantile(0.95, catalog.BREAKER_CALL_DURATION_SECONDS),
            "s",
            steps={YELLOW: 1, RED: 5},
            empty="no calls",
        ),
        panels.stat(
            "Retries per operation",
            "Additional attempts an operation needs on average. Above 1 the exchange is asked more than twice as "
            "often.",
            share(total(rate(catalog.RETRY_RETRIES_TOTAL)), total(rate(retries))),
            "none",
            steps={YELLOW: 0.1, RED: 1},
            empty="no operations",
        ),
        panels.state_timeline(
            "Circuit states",
            "One bar a circuit. Green is closed: calls pass. Red is open: calls are refused. Yellow is a probe. An "
            "opening shorter than the scrape interval shows only in 'Changes of state'.",
            [query(state_number("job", "instance", "breaker"), "{{breaker}} @ {{instance}}")],
            panels.mapped(STATE_TEXTS),
        ),
    ]


def circuit_breakers() -> list[Json]:
    """Return how calls fare and what the circuits make of it."""
    calls, duration = catalog.BREAKER_CALLS_TOTAL, catalog.BREAKER_CALL_DURATION_SECONDS
    seconds = catalog.BREAKER_STATE_SECONDS_TOTAL
    entered = total(increase(catalog.BREAKER_TRANSITIONS_TOTAL, window="$__rate_interval"), "to")
    return [
        panels.row("Circuit breakers"),
        panels.timeseries(
            "Calls by outcome",
            "Calls a second by how they ended. Ignored calls ended in an exception that is no failure of the service; "
            "rejected ones were never made.",
            [query(total(rate(calls), "outcome"), "{{outcome}}")],
            "reqps",
            stacked=True,
            colours=CALL_COLOURS,
        ),
        panels.timeseries(
            "Failed calls by circuit",
            "Share of the calls that failed, of those that count.",
            [
                query(
                    share(
                        total(rate(calls, 'outcome="failure"'), "breaker"),
                        total(rate(calls, JUDGED), "breaker"),
                    ),
                    "{{breaker}}",
                )
            ],
            "percentunit",
            maximum=1,
        ),
        panels.timeseries(
            "Refused calls by circuit",
            "Calls a second that were refused because the circuit was open.",
            [query(total(rate(calls, 'outcome="rejected"'), "breaker"), "{{breaker}}")],
            "reqps",
            stacked=True,
        ),
        panels.timeseries(
            "Latency",
            "Time calls took, whatever their outcome. Dots are exemplars: each leads to the trace of one call.",
            [
                {**query(quantile(0.5, duration), "half are faster"), "exemplar": True},
                query(quantile(0.95, duration), "95 % are faster"),
                query(quantile(0.99, duration), "99 % are faster"),
            ],
            "s",
        ),
        panels.timeseries(
            "Latency by circuit, 95th percentile",
            "Which service is slow.",
            [query(quantile(0.95, duration, "breaker"), "{{breaker}}")],
            "s",
        ),
        panels.heatmap(
            "Latency distribution",
            "Calls a second by the bucket of their duration; two bands mean two kinds of answers.",
            total(rate(duration, suffix="_bucket"), "le"),
            "s",
        ),
        panels.timeseries(
            "Changes of state",
            "How often circuits entered a state, a minute at least a bar. Counted, not sampled, so short openings show "
            "too.",
            [{**query(entered + " > 0", "{{to}}"), "interval": "1m"}],
            "short",
            width=12,
            bars=True,
            colours=STATE_COLOURS,
        ),
        panels.timeseries(
            "Time not closed",
            "Share of the time in which a circuit was open, half-open or forced open; also counted, not sampled.",
            [
                query(
                    share(total(rate(seconds, NOT_CLOSED), "breaker"), total(rate(seconds), "breaker")),
                    "{{breaker}}",
                )
            ],
            "percentunit",
            width=12,
            maximum=1,
        ),
        panels.timeseries(
            "Windows",
            "Share of the calls in the window that failed or were slow, which is what opens a circuit with a window.",
            [
                query(f"max by (breaker) ({select(catalog.BREAKER_FAILURE_RATIO)})", "{{breaker}} failed"),
                query(f"max by (breaker) ({select(catalog.BREAKER_SLOW_CALL_RATIO)})", "{{breaker}} slow"),
            ],
            "percentunit",
            width=24,
            maximum=1,
        ),
        _circuits(),
    ]


def _circuits() -> Json:
    keys = {"breaker": "Circuit", "job": "Job", "instance": "Instance"}
    calls = catalog.BREAKER_CALLS_TOTAL

    def ended(outcome: str) -> str:
        return total(increase(calls, f'outcome="{outcome}"'), *keys)

    last_change = f"time() - ({select(catalog.BREAKER_LAST_TRANSITION_TIMESTAMP_SECONDS)} > 0)"
    state = {
        "mappings": panels.mapped(STATE_TEXTS),
        "custom__cellOptions": {"type": "color-background", "mode": "basic"},
    }
    counted = {"decimals": 0}
    return panels.table(
        "Circuits",
        "Every circuit with its present state, what its calls came to in the time shown, and how it is configured.",
        keys,
        [
            ("State", state_number(*keys), state),
            ("Changed ago", f"min by ({', '.join(keys)}) ({last_change})", {"unit": "s"}),
            ("Succeeded", ended("success"), counted),
            ("Failed", ended("failure"), counted),
            ("Ignored", ended("ignored"), counted),
            ("Refused", ended("rejected"), counted),
            ("Opens after", total(select(catalog.BREAKER_FAILURE_THRESHOLD), *keys), {"unit": "suffix: failures"}),
            ("Probes after", total(select(catalog.BREAKER_RECOVERY_TIMEOUT_SECONDS), *keys), {"unit": "s"}),
        ],
    )


def retries() -> list[Json]:
    """Return what it took to get an answer."""
    calls, errors = catalog.RETRY_CALLS_TOTAL, catalog.RETRY_ERRORS_TOTAL
    return [
        panels.row("Retries"),
        panels.timeseries(
            "Operations by outcome",
            "Operations a second by how they ended; each is one or more attempts.",
            [query(total(rate(calls), "outcome"), "{{outcome}}")],
            "ops",
            stacked=True,
            colours=RETRY_COLOURS,
        ),
        panels.timeseries(
            "Retries by operation",
            "Attempts a second after the first: additional load on the exchange's rate limit.",
            [query(total(rate(catalog.RETRY_RETRIES_TOTAL), "operation"), "{{operation}}")],
            "ops",
            stacked=True,
        ),
        panels.timeseries(
            "Errors by class",
            "Failed attempts a second by the exception they ended in.",
            [query(total(rate(errors), "exception"), "{{exception}}")],
            "ops",
            stacked=True,
        ),
        panels.timeseries(
            "Operations that needed a retry",
            "Share of the operations that did not succeed at once though they were retried.",
            [
                query(
                    share(total(rate(calls, RETRIED), "operation"), total(rate(calls), "operation")),
                    "{{operation}}",
                )
            ],
            "percentunit",
            width=12,
            maximum=1,
        ),
        panels.timeseries(
            "Time spent waiting between attempts",
            "Seconds of waiting a second, summed over threads and tasks: 2 means that two are waiting all the time.",
            [query(total(rate(catalog.RETRY_BACKOFF_SECONDS_TOTAL), "operation"), "{{operation}}")],
            "none",
            width=12,
        ),
        _operations(),
    ]


def _operations() -> Json:
    keys = {"operation": "Operation", "job": "Job", "instance": "Instance"}
    calls = catalog.RETRY_CALLS_TOTAL
    counted = {"decimals": 0}

    def ended(*matchers: str) -> str:
        return total(increase(calls, *matchers), *keys)

    return panels.table(
        "Operations",
        "Every retried operation: what its calls came to in the time shown, and how often it may try.",
        keys,
        [
            ("Calls", ended(), counted),
            ("First try", ended('outcome="first_try"'), counted),
            ("After retry", ended('outcome="after_retry"'), counted),
            ("Exhausted", ended('outcome="exhausted"'), counted),
            ("Not retryable", ended('outcome="not_retryable"'), counted),
            ("Retries", total(increase(catalog.RETRY_RETRIES_TOTAL), *keys), counted),
            ("Waited", total(increase(catalog.RETRY_BACKOFF_SECONDS_TOTAL), *keys), {"unit": "s"}),
            ("Attempts at most", total(select(catalog.RETRY_MAX_ATTEMPTS), *keys), {}),
        ],
    )


def processes() -> list[Json]:
    """Return who is being watched."""
    keys = {"job": "Job", "instance": "Instance", "version": "peak_observe", "python": "Python"}
    running = total(select(catalog.OBSERVE_BUILD_INFO), *keys)
    return [
        panels.row("Processes"),
        panels.table(
            "Processes",
            "Every process that is scraped, with its versions.",
            keys,
            [("Processes", running, {})],
            height=5,
        ),
    ]
