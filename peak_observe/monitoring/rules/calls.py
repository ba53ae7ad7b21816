"""Alerts about circuit breakers and retries."""

from __future__ import annotations

from peak_observe import catalog
from peak_observe.monitoring.rules.rule import (
    AT,
    COUNT,
    GAP,
    LOOK,
    NO,
    RETRY_CALLS_10M,
    SHARE,
    STATE_NUMBER,
    WARNING,
    Alert,
    Group,
    Recording,
    last,
    twins,
)

_IS_DISABLED = 'state="disabled"'
_DISABLED = f"max without (state) ({last(catalog.BREAKER_STATE, _IS_DISABLED)}) == 1"
_OPENED = f'sum without (to) (increase({catalog.BREAKER_TRANSITIONS_TOTAL.name}{{to="open"}}[30m])) >= 5'
# Most circuits are closed: those that are not are looked for once for all alerts.
_NOT_CLOSED = Recording(
    "instance_breaker:peak_breaker_not_closed:number",
    f"last_over_time({STATE_NUMBER}[{GAP}]) != {catalog.STATES.index('closed') + 1}",
)


def _in(*states: str) -> str:
    return " or ".join(f"({_NOT_CLOSED.name} == {catalog.STATES.index(state) + 1})" for state in states)


def _of_exchange(expression: str, label: str) -> str:
    """Return an expression with the exchange that a circuit or retry of an exchange client is of, as its label.

    So that one alert about the exchange can stand for those of its circuits (see the inhibitions of Alertmanager).
    """
    return f'label_replace({expression}, "exchange", "$1", "{label}", "(.+)[.](?:public|private|trade)")'


_CALLED = f"sum without (outcome) (rate({catalog.BREAKER_CALLS_TOTAL.name}[5m]))"
_REJECTED = (
    f'sum without (outcome) (rate({catalog.BREAKER_CALLS_TOTAL.name}{{outcome="rejected"}}[5m])) / ({_CALLED} > 0)'
)
# One look at the counters for alert and dashboard; what is 0 is left out.
_ENDED = Recording(RETRY_CALLS_10M, f"increase({catalog.RETRY_CALLS_TOTAL.name}[10m]) > 0")
_RETRIED = (
    f'sum without (outcome) ({_ENDED.name}{{outcome=~"after_retry|exhausted|out_of_time|out_of_budget"}})'
    f" / sum without (outcome) ({_ENDED.name})"
)
_RETRIES = f"increase({catalog.RETRY_RETRIES_TOTAL.name}[10m])"
_EXHAUSTED = (
    f'sum without (outcome) (increase({catalog.RETRY_CALLS_TOTAL.name}{{outcome=~"exhausted|out_of_.*"}}[15m]))'
)

_NUMBERS = " or ".join(
    f'(0 * ({catalog.BREAKER_STATE.name}{{state="{state}"}} > 0) + {number})'
    for number, state in enumerate(catalog.STATES, start=1)
)

BREAKERS = Group(
    "breakers",
    "peak-breakers",
    (
        *twins(
            Alert(
                "PeakBreakerNotClosed",
                WARNING,
                _of_exchange(_in("open", "half_open"), "breaker"),
                "2m",
                "a circuit is open or half-open",
                f"Circuit {{{{ $labels.breaker }}}} of {AT} is not closed.",
                "It has been open or probing for {lasting}: its calls are refused, and probes have not closed it.",
                "A circuit is open or half-open. Calls through it fail at once.",
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
            "PeakBreakerForcedOpen",
            WARNING,
            _in("forced_open"),
            "1h",
            "a circuit is forced open",
            f"Circuit {{{{ $labels.breaker }}}} of {AT} has been forced open for an hour.",
            "Somebody called `force_open()`: all its calls are refused until somebody calls `reset()`.",
            "A circuit was forced open by hand, and refuses all calls until it is reset by hand. Nobody is woken.",
            "The log line of the change: when, and by which program?",
            "If the reason is gone: `get_breaker(name).reset()`. Otherwise silence the alert for as long as it takes.",
            subject="breaker",
            verdict=NO,
        ),
        Alert(
            "PeakBreakerDisabled",
            WARNING,
            _in("disabled"),
            "1h",
            "a circuit is disabled",
            f"Circuit {{{{ $labels.breaker }}}} of {AT} has been disabled for an hour.",
            "Somebody called `disable()`, or it only observes: all calls pass, and nothing protects the account.",
            'A circuit was disabled by hand, or made with `mode="observe"`. It lets every call through.',
            "The log line of the change: when, and by which program?",
            "`get_breaker(name).reset()` protects again.",
            subject="breaker",
            verdict=LOOK,
        ),
    ),
    recordings=(Recording(STATE_NUMBER, f"max without (state) ({_NUMBERS})"), _NOT_CLOSED),
    every="30s",
)

BREAKER_CALLS = Group(
    "breaker calls",
    "peak-breakers",
    (
        Alert(
            "PeakBreakerFlapping",
            WARNING,
            _of_exchange(f"({_OPENED}) unless ({_DISABLED})", "breaker"),
            "0m",
            "a circuit opened five times within half an hour",
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
            WARNING,
            _of_exchange(f"{_REJECTED} > 0.1", "breaker"),
            "5m",
            "more than a tenth of the calls of a circuit are refused",
            f"Circuit {{{{ $labels.breaker }}}} of {AT} refuses calls.",
            f"{SHARE} of its calls were refused within 5 minutes.",
            "The program goes on calling while the circuit is open: these calls are not made.",
            "What does the program do with `CircuitOpenError`? The table of circuits tells how many were refused.",
            "Let the program pause for `error.retry_after` seconds, or fall back on another source.",
            keep="5m",
            subject="breaker",
        ),
    ),
    every="2m",
)

RETRY_STORMS = Group(
    "retry storms",
    "peak-breakers",
    (
        Alert(
            "PeakRetryStorm",
            WARNING,
            # A program that calls once in a while and tries twice makes no storm.
            _of_exchange(f"({_RETRIED} > 0.5) and ({_RETRIES} >= 10)", "operation"),
            "10m",
            "more than half of the calls need a retry, and at least ten retries within 10 minutes",
            f"Operation {{{{ $labels.operation }}}} of {AT} mostly needs a retry.",
            f"{SHARE} of its calls were retried within 10 minutes.",
            "Retries multiply the load on a service that is in trouble, and count towards its rate limit.",
            "The errors by class: what is retried? A 429 or a refused key does not get better by asking.",
            "Retry less (`max_attempts`), later (`base_delay`), or only what passes by waiting (`expected_exception`).",
            subject="operation",
        ),
    ),
    recordings=(_ENDED,),
    every="2m",
)

RETRIES = Group(
    "retries",
    "peak-breakers",
    (
        Alert(
            "PeakRetriesExhausted",
            WARNING,
            _of_exchange(f"{_EXHAUSTED} >= 3", "operation"),
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
    every="2m",
)
