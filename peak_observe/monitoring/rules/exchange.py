"""Alerts about exchanges: errors, keys, lost orders, bans, stale prices, clock skew and an error budget."""

from __future__ import annotations

from peak_observe import catalog
from peak_observe.exchange_client.classify import AMBIGUOUS, AUTH, BUG, CANCELLED, COUNTED, REJECTED, SUCCESS
from peak_observe.monitoring.rules.rule import (
    AT,
    CALL_DURATIONS,
    CHECK_P95,
    COUNT,
    CRITICAL,
    FAILURES,
    HOST,
    LOOK,
    OFFSET_NOW,
    REQUEST_DURATIONS,
    REQUEST_P95,
    REQUEST_RATES,
    REQUESTS_10M,
    SHARE,
    SPAN,
    WARNING,
    Alert,
    Group,
    Recording,
    by_our_clock,
    last,
    twins,
)

OBJECTIVE = 0.99
"""Share of the requests that an exchange has to do its part of."""

_REQUESTS = catalog.EXCHANGE_REQUESTS_TOTAL.name
_THEIRS = f'outcome=~"{"|".join(sorted(COUNTED))}"'
_ASKED = f'outcome!~"{BUG}|{CANCELLED}"'
# A refused key has an alert of its own.
_FAILED = f'outcome!~"{SUCCESS}|{REJECTED}|{CANCELLED}|{AUTH}"'

# One look at the counters for all of the group, of which most never count: what is 0 is left out.
_REQUESTED = Recording(
    "instance_exchange_endpoint_outcome:peak_exchange_requests:increase10m", f"increase({_REQUESTS}[10m]) > 0"
)
_FAILURES = Recording(FAILURES, f"sum without (outcome) ({_REQUESTED.name}{{{_FAILED}}})")
_ALL = Recording(REQUESTS_10M, f"sum without (outcome) ({_REQUESTED.name})")
# Of one or two requests that fail nothing is said, so that most endpoints are not in it.
_FAILING = Recording(
    "instance_exchange_endpoint:peak_exchange_failures_per_requests:ratio_increase10m",
    f"({_FAILURES.name} >= 3) / ({_ALL.name} > 0)",
)
_DOWN_FAILURES = f"sum without (outcome, endpoint) ({_REQUESTED.name}{{{_THEIRS}}})"
_DOWN_ASKED = f"sum without (outcome, endpoint) ({_REQUESTED.name}{{{_ASKED}}})"
_KEY = f'sum without (outcome, endpoint) (increase({_REQUESTS}{{outcome="{AUTH}"}}'
_UNKNOWN = f'{catalog.EXCHANGE_WRITES_TOTAL.name}{{outcome="{AMBIGUOUS}"}}'
# A day is dear, and read a value in five minutes: it is recorded, and the last ten minutes are read in full besides.
_LOST_1D = Recording(
    "instance_exchange:peak_exchange_writes_unknown:increase1d",
    f"sum without (outcome) (increase({_UNKNOWN}[1d:5m])) > 0",
)
_LOST = f"{_LOST_1D.name} or sum without (outcome) (increase({_UNKNOWN}[10m])) > 0"
# An order may be lost before its process is scraped for the first time: what is new at a target that is not has risen.
_FIRST_LOST = Recording(
    "instance_exchange:peak_exchange_first_unknown:count",
    f"((sum without (outcome) ({_UNKNOWN}) > 0) unless sum without (outcome) ({_UNKNOWN} offset 15m)) "
    f"and on ({HOST}) (up offset 15m == 1)",
)
_BANNED = by_our_clock(last(catalog.EXCHANGE_BANNED_UNTIL_TIMESTAMP_SECONDS), OFFSET_NOW)
_STALE = f"{last(catalog.EXCHANGE_DATA_AGE_SECONDS)} > {last(catalog.EXCHANGE_DATA_MAX_AGE_SECONDS)}"
_SKEW = f"abs({last(catalog.EXCHANGE_CLOCK_SKEW_SECONDS)})"
_USED = f"min_over_time({catalog.EXCHANGE_RATE_LIMIT_USED_RATIO.name}[5m])"
_ALL_BUDGETED = f"increase({catalog.EXCHANGE_BUDGETED_REQUESTS_TOTAL.name}[30m])"
_OVER_BUDGET = f"increase({catalog.EXCHANGE_SLOW_REQUESTS_TOTAL.name}[30m])"


def _level(window: str) -> str:
    return f"instance_exchange:peak_exchange_failures_per_requests:ratio_rate{window}"


_RATES = Recording(REQUEST_RATES, f"sum without (endpoint) (rate({_REQUESTS}[5m]))")
_RATE_FAILED, _RATE_ASKED = (
    Recording(f"instance_exchange:peak_exchange_{kind}:rate5m", f"sum without (outcome) ({_RATES.name}{{{outcomes}}})")
    for kind, outcomes in (("failures", _THEIRS), ("asked", _ASKED))
)


def _over(rate: Recording, window: str) -> str:
    # Of the recorded rates, a value in one or five minutes: the counters themselves have a hundred times as many.
    minutes = 5 if window in ("6h", "1d", "3d") else 1
    return f"({60 * minutes} * sum_over_time({rate.name}[{window}:{minutes}m]))"


def _recording(window: str) -> Recording:
    return Recording(_level(window), f"{_over(_RATE_FAILED, window)} / ({_over(_RATE_ASKED, window)} > 0)")


def _burning(long: str, short: str, factor: float) -> str:
    limit = f"{factor * (1 - OBJECTIVE):.3g}"
    # Of few requests one that fails is a large share: an alert needs ten.
    enough = f"{_over(_RATE_FAILED, long)} >= 10"
    return f"({_level(long)} > {limit}) and ({_level(short)} > {limit}) and ({enough})"


# Of the recorded rates, too: a day of all counters would be most of what the rules cost.
_STOPPED = f"({_over(_RATE_ASKED, '1h')} == 0) and ({_over(_RATE_ASKED, '1d')} > 500)"
# The exporter goes on to tell the counts, and the clock, of those that have ended.
_ENDED = f"{last(catalog.PROCESS_CLOCK_OFFSET_SECONDS)} unless ({last(catalog.PROCESS_UP)} == 1)"
_QUIET = f"({_STOPPED}) unless on ({HOST}, process) ({_ENDED})"


def _burn(severity: str, *, long: str, short: str, factor: float, spent: str) -> Alert:
    return Alert(
        "PeakExchangeErrorBudgetBurn",
        severity,
        _burning(long, short, factor),
        "0m",  # both windows last long enough: to wait for another evaluation would tell no more
        f"over {long} and over {short} an exchange failed more than {factor * (1 - OBJECTIVE):.1%} of its requests",
        f"{{{{ $labels.exchange }}}} fails {AT} too often.",
        f"It failed {SHARE} of the requests of the last {long}; at this pace {spent}.",
        "The exchange did not do its part of more requests than an objective of 99 % over 30 days has room for, lately "
        "and for long enough to matter.",
        "The requests by outcome, and the exchange's status page. Is it one endpoint, or all?",
        "If it is the exchange, trade less or elsewhere until it is over. If it is the way there, mend that.",
        keep="10m",
        subject="exchange",
        verdict=LOOK,
    )


REQUESTS = Group(
    "requests",
    "peak-exchanges",
    (
        *twins(
            Alert(
                "PeakExchangeErrors",
                WARNING,
                f"{_FAILING.name} > 0.1",
                "5m",
                "more than a tenth of the requests to an endpoint fail",
                f"Requests of {AT} to {{{{ $labels.endpoint }}}} of {{{{ $labels.exchange }}}} fail.",
                f"{SHARE} of them failed within 10 minutes.",
                "Requests to an endpoint fail: by the exchange, the network, the rate limit, the clock or a bug. A "
                "refused order (`rejected`) is an answer and does not count; a refused key has an alert of its own.",
                "The requests by outcome: `rate_limited` asks for patience, `clock` is the time of this machine, `bug` "
                "is the program, the others are the exchange or the way there.",
                "As the outcome says. The exchange's own trouble needs waiting.",
                keep="5m",
                subject="exchange",
            ),
            expression=f"{_FAILING.name} > 0.5",
            when="more than half of them fail",
        ),
        Alert(
            "PeakExchangeDown",
            CRITICAL,
            f"({_DOWN_FAILURES} / ({_DOWN_ASKED} > 0) > 0.5) and ({_DOWN_FAILURES} >= 3)",
            "2m",
            "an exchange fails more than half of all requests",
            f"{{{{ $labels.exchange }}}} does not serve {AT}.",
            f"It failed {SHARE} of all requests within 10 minutes.",
            "The exchange is down, in maintenance or cannot be reached. Alerts of its circuits, endpoints and "
            "prices are muted meanwhile.",
            "The exchange's status page; do other exchanges answer?",
            "Wait: circuits close by themselves when it is back. Then look at open orders and positions.",
            keep="5m",
            subject="exchange",
        ),
        Alert(
            "PeakExchangeKeyRefused",
            CRITICAL,
            f'({_KEY}[30m])) >= 3) and (sum without (outcome, endpoint) ({_REQUESTED.name}{{outcome="{AUTH}"}}) > 0)',
            "0m",
            "an exchange refused the key three times within half an hour",
            f"{{{{ $labels.exchange }}}} refuses the key of {AT}.",
            f"It refused it {COUNT} times within 30 minutes.",
            "The key is wrong, expired, lacks a permission, or may not be used from this address.",
            "The log line of the refusal has the exchange's words. Was the key changed, or the address?",
            "Mend the key or its permissions at the exchange, and restart the program. Nothing is placed until then.",
            keep="10m",
            subject="exchange",
        ),
        Alert(
            "PeakExchangeFateUnknown",
            CRITICAL,
            f"({_LOST}) or (max_over_time({_FIRST_LOST.name}[1d:1m]) > 0)",
            "0m",
            "an order was sent within a day, and nobody knows whether it stands",
            f"An order of {AT} at {{{{ $labels.exchange }}}} may or may not stand.",
            f"{COUNT} requests that change something had no answer within a day.",
            "A write was sent and its answer was lost: the order may have been placed, or not. It was not sent again.",
            "The log line and `OutcomeUnknown` tell endpoint, order and client order ids: look for these ids at the "
            "exchange.",
            "Cancel or take over what stands, by hand or in the program, then silence the alert: it ends after a day.",
            subject="exchange",
        ),
        Alert(
            "PeakMarketDataGap",
            WARNING,
            f"increase({catalog.EXCHANGE_CANDLE_GAPS_TOTAL.name}[15m]) >= 1",
            "0m",
            "candles were missing between others",
            f"Candles of {{{{ $labels.exchange }}}} at {AT} have holes.",
            f"{COUNT} candles were missing within 15 minutes.",
            "An answer had candles before and after some that are not there. Averages over them are wrong. Exchanges "
            "leave out candles without a trade, and have holes after maintenance.",
            "Ask for the candles again: are they there now? Is it a market that is hardly traded?",
            "Fill the hole before a strategy reads it. For markets that are hardly traded, ask for a longer timeframe.",
            keep="1h",  # one alert, not one an hour, of a stream that breaks once an hour
            subject="exchange",
        ),
        Alert(
            "PeakExchangeSlow",
            WARNING,
            f"({_OVER_BUDGET} / ({_ALL_BUDGETED} > 0) > 0.05) and ({_OVER_BUDGET} >= 3)",
            "2m",
            "more than one in twenty requests exceed their latency budget",
            f"{{{{ $labels.exchange }}}} is slow to answer {AT}.",
            f"{SHARE} of its {{{{ $labels.group }}}} requests took longer than their budget within 30 minutes.",
            "Requests of a group take longer than `latency_budget` of the client promises. An order that is late is "
            "filled at another price.",
            "The answer time by endpoint: all, or one? Do other exchanges answer as ever? If not, look at our network; "
            "if so, look at the load of this machine.",
            "Trade less, or with limit orders only, until it is over. A budget that is missed every day is too short.",
            keep="10m",
            subject="exchange",
        ),
    ),
    recordings=(_REQUESTED, _FAILURES, _ALL, _FAILING, _FIRST_LOST),
    every="1m",
)

EXCHANGES = Group(
    "exchanges",
    "peak-exchanges",
    (
        *twins(
            Alert(
                "PeakExchangeBanned",
                WARNING,
                # A ban that ended a moment ago counts: some come again as soon as one asks again.
                f"clamp_min({_BANNED} - time(), 0) and ({_BANNED} > time() - 60)",
                "3m",
                "an exchange limits or bans us",
                f"{{{{ $labels.exchange }}}} has told {AT} to stop asking.",
                f"The rate limit or ban lasts another {SPAN}.",
                "The rate limit was exceeded, so often or so far that the exchange named a time. Calls are held back "
                "until then.",
                "The used share of the rate limit, and the endpoint that uses most of it. Do other programs share the "
                "address or the key?",
                "Wait; asking makes it longer. Then ask less: fewer symbols, longer intervals, websockets.",
                subject="exchange",
            ),
            lasting="15m",
        ),
        Alert(
            "PeakExchangeRateLimitNear",
            WARNING,
            f"{_USED} > 0.9",
            "5m",
            "more than nine tenths of a rate limit have been used for 5 minutes",
            f"{AT} uses nearly all of the rate limit of {{{{ $labels.exchange }}}}.",
            f"At least {SHARE} of it have been in use for 5 minutes.",
            "The program asks as much as the exchange allows. A little more, and it is limited or banned.",
            "Which endpoint takes most of it? Do other programs share the address or the key?",
            "Ask less: fewer symbols, longer intervals, websockets.",
            keep="5m",
            subject="exchange",
        ),
        *twins(
            Alert(
                "PeakMarketDataStale",
                WARNING,
                _STALE,
                "2m",
                "market data are older than they may be (`peak_exchange_data_max_age_seconds`)",
                f"Prices of {{{{ $labels.exchange }}}} at {AT} are old.",
                f"They are {SPAN} old ({{{{ $labels.kind }}}}).",
                "`…_received`: nothing has come in. `ticker`, `candles`: something comes in, but by the exchange's own "
                "time it is old. Too old is more than three usual gaps between two receipts, more than 5 minutes, and "
                "of candles more than a timeframe.",
                "Does the program still ask? Are its requests answered? Does the exchange's status page tell of it?",
                "Do not trade on these prices. Restart a stream that hangs; turn to another source if the exchange "
                "lags. A program that asks no more on purpose: close its client.",
                keep="5m",
                subject="exchange",
            ),
            lasting="15m",
        ),
        *twins(
            Alert(
                "PeakExchangeClockSkew",
                WARNING,
                f"{_SKEW} > 2",
                "5m",
                "the clocks of exchange and machine are 2 seconds or more apart",
                f"The clocks of {{{{ $labels.exchange }}}} and {AT} differ.",
                f"They are {SPAN} apart: signed requests begin to fail.",
                "Signed requests carry the time, and exchanges refuse what is a second or so off. The outcome is "
                "`clock`.",
                "`chronyc tracking` or `timedatectl`: is the clock of this machine synchronised? Do other exchanges "
                "differ too?",
                "Mend the synchronisation. If only one exchange differs, use ccxt's `adjustForTimeDifference`.",
                subject="exchange",
            ),
            expression=f"{_SKEW} > 5",
            when="they are 5 seconds or more apart, which is what most exchanges accept",
            description=f"They are {SPAN} apart: signed requests fail.",
        ),
    ),
    every="30s",
)

OBJECTIVES = Group(
    "objectives",
    "peak-exchanges",
    (
        _burn(CRITICAL, long="1h", short="5m", factor=14.4, spent="the budget of a month is gone in 2 days"),
        _burn(WARNING, long="6h", short="30m", factor=6.0, spent="the budget of a month is gone in 5 days"),
        Alert(
            "PeakExchangeErrorBudgetLow",
            WARNING,
            f"({_burning('1d', '2h', 3.0)}) or ({_burning('3d', '6h', 1.0)})",
            "15m",
            "an exchange fails so steadily that the budget of a month will not last",
            f"{{{{ $labels.exchange }}}} fails {AT} steadily.",
            f"It failed {SHARE} of the requests of the last day or three days; the objective has room for 1 %.",
            "The exchange failed more than 3 % of the requests of a day, or more than 1 % of those of three days.",
            "The requests by outcome over a week. Is it one endpoint, or all? Is it certain hours?",
            "Nothing tonight. If it stays so, trade elsewhere or settle for a lower objective.",
            keep="10m",
            subject="exchange",
        ),
        Alert(
            "PeakExchangeQuiet",
            WARNING,
            f"{_QUIET}",
            "5m",
            "a program that sent hundreds of requests a day has sent none for an hour",
            f"{AT} asks {{{{ $labels.exchange }}}} nothing any more.",
            "It has sent no request for an hour, after more than 500 within a day.",
            "The program lives, but its loop does not ask the exchange: it hangs, was paused, or has nothing to do.",
            "The last lines of its log; `py-spy dump` shows where it waits.",
            "Restart it if it hangs. If it rests on purpose, the alert ends within a day.",
            subject="exchange",
        ),
    ),
    recordings=(
        _RATES,
        _RATE_FAILED,
        _RATE_ASKED,
        *(_recording(window) for window in ("5m", "30m", "1h", "2h", "6h", "1d", "3d")),
        _LOST_1D,
    ),
    notes=(
        f"The objective is that an exchange does its part of {OBJECTIVE:.0%} of the requests. Outcomes that count "
        f"against it also count towards a circuit's threshold: "
        f"{', '.join(f'`{outcome}`' for outcome in sorted(COUNTED))}; "
        "announced maintenance too, as nobody can trade in it. `rejected`, `auth`, `clock` and `rate_limited` are "
        "answers: the exchange did its part, and the cause is ours. `bug` and `cancelled` never asked it anything, so "
        "they are not even requests. Causes on our side show in `PeakExchangeErrors` and `PeakExchangeKeyRefused`."
    ),
    every="2m",  # what is recorded goes over hours and days
)

DURATIONS = Group(
    "durations",
    "peak-exchanges",
    (),
    recordings=(
        Recording(
            REQUEST_DURATIONS,
            f"sum without (endpoint) (rate({catalog.EXCHANGE_REQUEST_DURATION_SECONDS.name}_bucket[5m]))",
        ),
        Recording(
            REQUEST_P95,
            f"histogram_quantile(0.95, rate({catalog.EXCHANGE_REQUEST_DURATION_SECONDS.name}_bucket[5m])) >= 0",
        ),
        Recording(
            CHECK_P95, f"histogram_quantile(0.95, rate({catalog.HEALTH_CHECK_DURATION_SECONDS.name}_bucket[5m])) >= 0"
        ),
        Recording(CALL_DURATIONS, f"rate({catalog.BREAKER_CALL_DURATION_SECONDS.name}_bucket[5m])"),
    ),
    every="4m",  # rates over 5 minutes, of the most series that there are; no alert reads them
)
