"""Alerts about circuit breakers and retries."""

from __future__ import annotations

from peak_observe import catalog
from peak_observe.monitoring.rules.rule import AT, COUNT, CRITICAL, SHARE, WARNING, WHERE, Alert, Group, twins

_BREAKER = f"{WHERE}, breaker"
_OPERATION = f"{WHERE}, operation"
# A disabled circuit is somebody's decision and lets every call through.
_NOT_CLOSED = f'sum by ({_BREAKER}) ({catalog.BREAKER_STATE.name}{{state=~"open|half_open|forced_open"}}) > 0'
_OPENED = f'sum by ({_BREAKER}) (increase({catalog.BREAKER_TRANSITIONS_TOTAL.name}{{to="open"}}[30m])) >= 5'
# One that only observes (mode observe) is disabled too, and its transitions are those that it would have made.
_DISABLED = f'sum by ({_BREAKER}) ({catalog.BREAKER_STATE.name}{{state="disabled"}}) > 0'


def _share(part: str, metric: str, by: str, window: str) -> str:
    whole = f"sum by ({by}) (rate({metric}[{window}]))"
    return f"sum by ({by}) (rate({metric}{{{part}}}[{window}])) / ({whole} > 0)"


_REJECTED = _share('outcome="rejected"', catalog.BREAKER_CALLS_TOTAL.name, _BREAKER, "5m")
_RETRIED = _share(
    'outcome=~"after_retry|exhausted|out_of_time|out_of_budget"', catalog.RETRY_CALLS_TOTAL.name, _OPERATION, "10m"
)
_RETRIES = f"sum by ({_OPERATION}) (increase({catalog.RETRY_RETRIES_TOTAL.name}[10m]))"
_EXHAUSTED = (
    f'sum by ({_OPERATION}) (increase({catalog.RETRY_CALLS_TOTAL.name}{{outcome=~"exhausted|out_of_.*"}}[15m]))'
)

BREAKERS = Group(
    "breakers",
    "peak-breakers",
    (
        *twins(
            Alert(
                "PeakBreakerNotClosed",
                WARNING,
                _NOT_CLOSED,
                "2m",
                "a circuit is open, half-open or forced open",
                f"Circuit {{{{ $labels.breaker }}}} of {AT} is not closed.",
                "It has been open or probing for {lasting}: its calls are refused, and probes have not closed it.",
                "A circuit is open, half-open or forced open. Calls through it fail at once.",
                "The timeline of the circuits: since when? The log line of its opening names the last error. Does "
                "the exchange's status page tell of maintenance?",
                "Mostly wait: the circuit probes by itself and closes when the service is back. Close open positions "
                "by hand where risk demands it. `get_breaker(name).reset()` closes it at once, if you know better.",
                keep="5m",
                subject="breaker",
            ),
            lasting="15m",
        ),
        Alert(
            "PeakBreakerFlapping",
            WARNING,
            f"{_OPENED} unless {_DISABLED}",
            "0m",
            "it opened five times within half an hour",
            f"Circuit {{{{ $labels.breaker }}}} of {AT} opens again and again.",
            f"It has opened {COUNT} times within 30 minutes.",
            "Probes succeed, and soon afterwards enough calls fail again: the service is overloaded or half broken.",
            "Failed calls and latency of the circuit: which calls fail between two openings?",
            "Ask less of the service: a longer `recovery_timeout`, fewer workers. If it is only some calls, give them "
            "a circuit of their own.",
            keep="10m",
            subject="breaker",
        ),
        Alert(
            "PeakBreakerRejecting",
            CRITICAL,
            f"{_REJECTED} > 0.1",
            "5m",
            "more than a tenth of its calls are refused",
            f"Circuit {{{{ $labels.breaker }}}} of {AT} refuses calls.",
            f"{SHARE} of its calls were refused within 5 minutes.",
            "The program goes on calling while the circuit is open: what it wants to do is not done.",
            "What does the program do with `CircuitOpenError`? The table of circuits tells how many were refused.",
            "Let the program pause for `error.retry_after` seconds, or fall back on another source.",
            keep="5m",
            subject="breaker",
        ),
    ),
)

RETRIES = Group(
    "retries",
    "peak-breakers",
    (
        Alert(
            "PeakRetryStorm",
            WARNING,
            # A program that calls once in a while and tries twice makes no storm.
            f"({_RETRIED} > 0.5) and ({_RETRIES} >= 10)",
            "10m",
            "more than half of the calls need a retry, and at least ten retries within 10 minutes",
            f"Operation {{{{ $labels.operation }}}} of {AT} mostly needs a retry.",
            f"{SHARE} of its calls were retried within 10 minutes.",
            "Retries multiply the load on a service that is in trouble, and count towards its rate limit.",
            "The errors by class: what is retried? A 429 or a refused key does not get better by asking.",
            "Retry less (`max_attempts`), later (`base_delay`), or only what passes by waiting (`expected_exception`).",
            subject="operation",
        ),
        Alert(
            "PeakRetriesExhausted",
            WARNING,
            f"{_EXHAUSTED} >= 3",
            "0m",
            "an operation gave up three times within 15 minutes",
            f"Operation {{{{ $labels.operation }}}} of {AT} fails in spite of its retries.",
            f"It gave up {COUNT} times within 15 minutes.",
            "All attempts of an operation failed, several times: the trouble outlasts the delays.",
            "The errors by class, and the log lines `gave up after …`, which name the last error.",
            "If the service is down, nothing. If it is slow, raise `max_delay` or `max_attempts`.",
            keep="10m",
            subject="operation",
        ),
    ),
)
