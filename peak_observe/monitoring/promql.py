"""PromQL over the catalogue: selectors filter by the dashboard's variables, rates fit the scrape interval."""

from __future__ import annotations

from typing import TYPE_CHECKING

from peak_observe import catalog
from peak_observe.catalog import Metric
from peak_observe.monitoring.rules import rule

if TYPE_CHECKING:
    from collections.abc import Iterable

TARGET = 'job=~"$job", instance=~"$instance"'
VARIABLES = ("process", "breaker", "operation", "exchange", "repository", "check", "task", "source")
"""Labels that a dashboard may have as a variable."""

UP = Metric("up", "gauge", "1 if the last scrape of the target succeeded.")
SCRAPE_DURATION_SECONDS = Metric("scrape_duration_seconds", "gauge", "Time that the scrape of the target took.")
SCRAPE_SAMPLES_SCRAPED = Metric("scrape_samples_scraped", "gauge", "Samples that the target exposed.")
SCRAPED = (UP, SCRAPE_DURATION_SECONDS, SCRAPE_SAMPLES_SCRAPED)
"""What Prometheus itself tells of each target."""

TROUBLES = Metric(rule.TROUBLE, "gauge", "What an alert waits for.", ("process", "alert", "severity", "verdict"))
WATCHED = Metric(rule.WATCHED, "gauge", "1 for each target that tells of peak_observe.")
ALERTS = Metric("ALERTS", "gauge", "1 for each alert.", ("process", "alertname", "alertstate", "severity"))
STATE_NUMBERS = Metric(rule.STATE_NUMBER, "gauge", "State of a circuit as a number.", ("process", "breaker"))
REQUEST_RATES = Metric(
    rule.REQUEST_RATES, "gauge", "Requests a second by outcome, over 5 minutes.", ("process", "exchange", "outcome")
)
REQUESTS = Metric(rule.REQUESTS_10M, "gauge", "Requests within 10 minutes.", ("process", "exchange", "endpoint"))
FAILURES = Metric(rule.FAILURES, "gauge", "Failed requests within 10 minutes.", ("process", "exchange", "endpoint"))
REQUEST_DURATIONS = Metric(
    rule.REQUEST_DURATIONS, "gauge", "Requests a second by duration, over 5 minutes.", ("process", "exchange", "le")
)
REQUEST_P95 = Metric(
    rule.REQUEST_P95, "gauge", "Seconds that 95 % of the requests do not exceed.", ("process", "exchange", "endpoint")
)
CALL_DURATIONS = Metric(
    rule.CALL_DURATIONS, "gauge", "Calls a second by duration, over 5 minutes.", ("process", "breaker", "le")
)
CHECK_STATES = Metric(rule.CHECK_STATE, "gauge", "State of a check as a number.", ("process", "check"))
CHECK_P95 = Metric(rule.CHECK_P95, "gauge", "Seconds that 95 % of the runs do not exceed.", ("process", "check"))
RETRY_CALLS = Metric(
    rule.RETRY_CALLS_10M, "gauge", "Operations within 10 minutes by outcome.", ("process", "operation", "outcome")
)
BUDGET_RATES = {
    kind: Metric(f"instance_exchange:peak_exchange_{kind}:rate5m", "gauge", told, ("process", "exchange"))
    for kind, told in (
        ("failures", "Requests a second that count against the objective, over 5 minutes."),
        ("asked", "Requests a second that reached out for the exchange, over 5 minutes."),
    )
}
CLOCK_OFFSETS = Metric(rule.CLOCK_OFFSET, "gauge", "How far a clock is ahead of that of Prometheus.", ("process",))
BY_RULES = (
    CLOCK_OFFSETS,
    CHECK_STATES,
    CHECK_P95,
    RETRY_CALLS,
    *BUDGET_RATES.values(),
    TROUBLES,
    WATCHED,
    ALERTS,
    STATE_NUMBERS,
    REQUEST_RATES,
    REQUESTS,
    FAILURES,
    REQUEST_DURATIONS,
    REQUEST_P95,
    CALL_DURATIONS,
)
"""What Prometheus makes by the rules that are loaded."""


def select(metric: Metric, *matchers: str, suffix: str = "") -> str:
    """Return the series of a metric that the dashboard's variables and the matchers choose."""
    chosen = [_matcher(label) for label in VARIABLES if label in _labels(metric)]
    return f"{metric.name}{suffix}{{{', '.join([TARGET, *chosen, *matchers])}}}"


def without(expression: str, variables: Iterable[str]) -> str:
    """Return an expression that does not filter by `variables`, which its dashboard does not have."""
    for name in variables:
        expression = expression.replace(f", {_matcher(name)}", "")
    return expression


def _matcher(label: str) -> str:
    return f'{label}=~"${label}"'


def _labels(metric: Metric) -> tuple[str, ...]:
    """Return the labels with the one that the exporter adds to what a process tells."""
    return ("process", *metric.labels) if metric in catalog.IN_PROCESS else metric.labels


def rate(metric: Metric, *matchers: str, suffix: str = "") -> str:
    """Return the increase a second of a counter."""
    return f"rate({select(metric, *matchers, suffix=suffix)}[$__rate_interval])"


def increase(metric: Metric, *matchers: str, window: str = "$__range") -> str:
    """Return the increase of a counter over the time shown."""
    return f"increase({select(metric, *matchers)}[{window}])"


def step_increase(metric: Metric, *matchers: str) -> str:
    """Return the increase of a counter within a step of a course."""
    return increase(metric, *matchers, window="$__rate_interval")


def changes(metric: Metric, *matchers: str) -> str:
    """Return how often a value changed within a step."""
    return f"changes({select(metric, *matchers)}[$__rate_interval])"


def total(expression: str, *labels: str) -> str:
    """Return the sum of an expression, kept apart by `labels`."""
    return _aggregate("sum", expression, labels)


def worst(expression: str, *labels: str) -> str:
    """Return the largest value of an expression, kept apart by `labels`."""
    return _aggregate("max", expression, labels)


def lowest(expression: str, *labels: str) -> str:
    """Return the smallest value of an expression, kept apart by `labels`."""
    return _aggregate("min", expression, labels)


def _aggregate(function: str, expression: str, labels: tuple[str, ...]) -> str:
    return f"{function} by ({', '.join(labels)}) ({expression})" if labels else f"{function}({expression})"


def since(metric: Metric) -> str:
    """Return the seconds since a Unix time; nothing where it is 0, which means never."""
    return f"time() - {by_our_clock(f'{select(metric)} > 0')}"


def longest_since(metric: Metric) -> str:
    """Return the seconds since the earliest of some Unix times, over `style.NEVER` where one is 0; nothing if all are.

    A time of 0 is that of 1970, so that what never happened is the longest ago.
    """
    return f"max(time() - {by_our_clock(select(metric))}) and (max({select(metric)}) > 0)"


def ago(metric: Metric) -> str:
    """Return the seconds since a Unix time; NaN, so that a table has a row for it, where it is 0."""
    return f"time() - {by_our_clock(f'{select(metric)} / ({select(metric)} > bool 0)')}"


def by_our_clock(moments: str) -> str:
    """Return Unix times told by processes as times of Prometheus' clock."""
    return rule.by_our_clock(moments, select(CLOCK_OFFSETS))


def missing(metric: Metric) -> str:
    """Return how many series of a gauge of 0 and 1 are 0; one that is NaN is not known yet and does not count."""
    return f"sum({select(metric)} == bool 0)"


def share(part: str, whole: str) -> str:
    """Return `part / whole`, and nothing, rather than NaN, where nothing happened."""
    return f"{part} / ({whole} > 0)"


def quantile(rank: float, metric: Metric, *labels: str) -> str:
    """Return a quantile of a histogram, in its unit; nothing where nothing was observed."""
    # The comparison keeps everything but NaN, which is what no observations give.
    return f"histogram_quantile({rank}, {total(rate(metric, suffix='_bucket'), 'le', *labels)}) >= 0"


def recorded_quantile(rank: float, recorded: Metric, *labels: str) -> str:
    """Return a quantile of a histogram whose rates are recorded; nothing where nothing was observed."""
    return f"histogram_quantile({rank}, {total(select(recorded), 'le', *labels)}) >= 0"


def with_exemplars(expression: str, metric: Metric) -> str:
    """Return an expression, of which Grafana shows the exemplars of a histogram too: recordings have none.

    They are those of all series that an expression names; this one looks at them once, and adds nothing.
    """
    return f"({expression}) or (count by (le) ({select(metric, suffix='_bucket')} @ end()) < 0)"


def ours(expression: str) -> str:
    """Return what Prometheus tells of a target, of those alone that told of peak_observe in the time shown."""
    return f"{expression} and on (job, instance) present_over_time({select(catalog.OBSERVE_BUILD_INFO)}[$__range])"
