"""Dashboard section of retries."""

from __future__ import annotations

from peak_observe import catalog
from peak_observe.monitoring import panels, style, tables
from peak_observe.monitoring.panels import query
from peak_observe.monitoring.promql import RETRY_CALLS, increase, rate, select, share, total, worst
from peak_observe.monitoring.style import COUNT, RED, SPAN, YELLOW, Json

RETRIED = 'outcome=~"after_retry|exhausted|out_of_time|out_of_budget"'
NO_OPERATIONS = "no operations in this time"
NO_ERRORS = "no errors"


def per_operation(link: Json | None = None) -> Json:
    """Return the tile of how often operations are tried anew."""
    return panels.stat(
        "Retries per operation",
        "Additional attempts an operation needs on average. Above 1 the exchange is asked more than twice as often, "
        "which can bring a ban: lower `max_attempts` or stop what is hopeless.",
        share(total(rate(catalog.RETRY_RETRIES_TOTAL)), total(rate(catalog.RETRY_CALLS_TOTAL))),
        "none",
        steps={YELLOW: 0.1, RED: 1},
        empty="no operations",
        decimals=2,
        link=link,
    )


def top_errors(*, width: int = 8) -> Json:
    """Return the most frequent errors."""
    keys = {"exception": "Error", "operation": "Operation"}
    counted = total(increase(catalog.RETRY_ERRORS_TOTAL), *keys)
    return tables.table(
        "Top errors",
        "The ten most frequent errors of retried operations in the time shown, by the class of the exception. Mend the "
        "first one first; traces and log have its words.",
        keys,
        [("Attempts", f"topk(10, {counted} > 0)", COUNT)],
        empty=NO_ERRORS,
        size=(width, 8),
        sort="Attempts",
    )


def retries() -> list[Json]:
    """Return what it took to get an answer."""
    errors = catalog.RETRY_ERRORS_TOTAL
    retried, whole = total(select(RETRY_CALLS, RETRIED), "operation"), total(select(RETRY_CALLS), "operation")
    return [
        panels.timeseries(
            "Operations by outcome",
            "Operations a second, over 10 minutes, by how they ended; each is one or more attempts. Exhausted "
            "ones failed for good: somebody has to make up for them.",
            [query(f"{total(select(RETRY_CALLS), 'outcome')} / 600", "{{outcome}}")],
            "ops",
            empty=NO_OPERATIONS,
            stacked=True,
            colours=style.RETRY_COLOURS,
        ),
        panels.timeseries(
            "Retries by operation",
            "Attempts a second after the first: additional load on the exchange's rate limit. Compare it with what the "
            "limit leaves.",
            [query(total(rate(catalog.RETRY_RETRIES_TOTAL), "operation"), "{{operation}}")],
            "ops",
            empty=NO_OPERATIONS,
            stacked=True,
        ),
        panels.timeseries(
            "Errors by class",
            "Failed attempts a second by the exception they ended in. A new class after a release is our own fault.",
            [query(total(rate(errors), "exception"), "{{exception}}")],
            "ops",
            empty=NO_ERRORS,
            stacked=True,
        ),
        panels.timeseries(
            "Operations that needed a retry",
            "Share of the operations of 10 minutes that did not succeed at once though they were retried. A few per "
            "cent are the internet; more is the service.",
            [query(share(retried, whole), "{{operation}}")],
            "percentunit",
            empty=NO_OPERATIONS,
            maximum=1,
        ),
        panels.timeseries(
            "Time spent waiting between attempts",
            "Seconds of waiting a second, summed over threads and tasks: 2 means that two are waiting all the time. If "
            "it grows, less is traded: shorten `max_delay`.",
            [query(total(rate(catalog.RETRY_BACKOFF_SECONDS_TOTAL), "operation"), "{{operation}}")],
            "none",
            empty=NO_OPERATIONS,
        ),
        top_errors(),
        *_multiplied(),
        _operations(),
    ]


def _multiplied() -> list[Json]:
    nested = total(rate(catalog.RETRY_NESTED_TOTAL), "operation")
    return [
        panels.timeseries(
            "Retries inside retries",
            "Operations a second that were retried inside an attempt of this one: their attempts multiply. Take one of "
            "the two retries away.",
            [query(nested, "{{operation}}")],
            "ops",
            empty=NO_OPERATIONS,
            width=12,
        ),
        panels.timeseries(
            "Retries the budgets allow",
            "Retries that a budget would allow at this moment. At 0 failures come through at once, which is meant: the "
            "service is down.",
            [query(total(select(catalog.RETRY_BUDGET_TOKENS), "budget"), "{{budget}}")],
            "none",
            empty="no budgets",
            width=12,
        ),
    ]


def _operations() -> Json:
    keys = {"operation": "Operation", "process": "Process", "job": "Job", "instance": "Instance"}

    def ended(outcome: str) -> str:
        return total(increase(catalog.RETRY_CALLS_TOTAL, f'outcome=~"{outcome}"'), *keys)

    shown = tables.table(
        "Operations",
        "Every retried operation: what its calls came to in the time shown, and how often it may try. Many retries and "
        "few exhausted: they help. As many exhausted: they do not.",
        keys,
        [
            ("First try", ended("first_try"), COUNT),
            ("After retry", ended("after_retry"), COUNT),
            ("Exhausted", ended("exhausted"), style.bad()),
            ("Out of time", ended("out_of_time"), style.bad()),
            ("Out of budget", ended("out_of_budget"), style.bad()),
            ("Not retried", ended("not_retryable|would_retry"), COUNT),
            ("Retries", total(increase(catalog.RETRY_RETRIES_TOTAL), *keys), COUNT),
            ("Waited", total(increase(catalog.RETRY_BACKOFF_SECONDS_TOTAL), *keys), SPAN),
            ("Attempts at most", worst(select(catalog.RETRY_MAX_ATTEMPTS), *keys), COUNT),
        ],
        empty="no operations",
        sort="Exhausted",
    )
    return tables.with_sum(shown, "Calls", 6)  # all outcomes
