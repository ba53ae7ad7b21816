"""Alerts about bulkheads, rate limits, timeouts, and names that share a series."""

from __future__ import annotations

from peak_observe import catalog
from peak_observe.measures.series import OVERFLOW
from peak_observe.monitoring.rules.rule import AT, COUNT, SHARE, WARNING, Alert, Group, last

_NAMED = (
    (catalog.BREAKER_STATE, "breaker"),
    (catalog.RETRY_CALLS_TOTAL, "operation"),
    (catalog.HEALTH_CHECK_HEALTHY, "check"),
    (catalog.BULKHEAD_LIMIT, "bulkhead"),
    (catalog.RATE_LIMIT_CALLS_PER_SECOND, "limiter"),
    (catalog.TIMEOUT_LIMIT_SECONDS, "operation"),
    (catalog.EXCHANGE_REQUESTS_TOTAL, "endpoint"),
)


def _shared(metric: catalog.Metric, label: str) -> str:
    """Return how many series of a metric are those that names past the limit share."""
    series = last(metric, f'{label}="{OVERFLOW}"')
    return f'label_replace(count without ({", ".join(metric.labels)}) ({series}), "kind", "{metric.name}", "", "")'


def _refused(metric: catalog.Metric, outcomes: str) -> str:
    """Return the share of calls that ended so, where it is more than a tenth, and at least ten of them."""
    part = f'sum without (outcome) (increase({metric.name}{{outcome=~"{outcomes}"}}[10m]))'
    whole = f"sum without (outcome) (increase({metric.name}[10m]))"
    return f"({part} / ({whole} > 0) > 0.1) and ({part} >= 10)"


def _refusing(name: str, metric: catalog.Metric, outcomes: str, kind: str, mend: str) -> Alert:
    label = metric.labels[0]
    return Alert(
        name,
        WARNING,
        _refused(metric, outcomes),
        "5m",
        f"more than a tenth of the calls of a {kind} are refused, and at least ten within 10 minutes",
        f"The {kind} {{{{ $labels.{label} }}}} of {AT} refuses calls.",
        f"{SHARE} of its calls were refused within 10 minutes.",
        f"The program asks for more than the {kind} lets through, so some of its calls are not made.",
        f"The calls of the {kind} by outcome, and how long those that came in had to wait.",
        mend,
        keep="5m",
    )


LIMITS = Group(
    "limits",
    "peak-breakers",
    (
        _refusing(
            "PeakBulkheadRefusing",
            catalog.BULKHEAD_CALLS_TOTAL,
            "refused|out_of_time",
            "bulkhead",
            "Find out why calls take so long: they hold their places. Raise `limit` only if the service can take it.",
        ),
        _refusing(
            "PeakRateLimitRefusing",
            catalog.RATE_LIMIT_CALLS_TOTAL,
            "refused|out_of_time",
            "rate limit",
            'Ask less, or wait longer (`wait`). Reserve a share for what must pass: `reserve={"trade": 0.2}`.',
        ),
        Alert(
            "PeakTimeouts",
            WARNING,
            _refused(catalog.TIMEOUT_CALLS_TOTAL, "timed_out"),
            "5m",
            "more than a tenth of the calls of an operation are cut off, and at least ten within 10 minutes",
            f"Calls of {{{{ $labels.operation }}}} of {AT} take too long.",
            f"{SHARE} of them were cut off by their time limit within 10 minutes.",
            "The service behind it is slow or hangs, or the time limit is too short.",
            "The latency of the circuit or endpoint: does all of it take long, or some calls?",
            "If the service is slow, ask less of it. If calls need that long, raise the time limit.",
            keep="5m",
            subject="operation",
        ),
        Alert(
            "PeakNamesOverflow",
            WARNING,
            " or ".join(_shared(metric, label) for metric, label in _NAMED),
            "5m",
            "a process has more names of one kind than get series of their own",
            f"{AT} has too many names.",
            f"{COUNT} series are those of `{OVERFLOW}`: names past 1,000 share them ({{{{ $labels.kind }}}}).",
            "Names past the thousandth share one series, so nobody can tell what is wrong with which of them.",
            "Which names are there? A name that holds an id or a time is a mistake.",
            "Name primitives after what they protect, not after each order or user.",
            keep="5m",
        ),
    ),
    every="2m",
)
