"""Alerts about exchanges: errors, bans, stale prices, clock skew and an error budget."""

from __future__ import annotations

from peak_observe import catalog
from peak_observe.exchange_client.classify import AMBIGUOUS, BUG, CANCELLED, COUNTED, REJECTED, SUCCESS
from peak_observe.monitoring.rules.rule import (
    AT,
    COUNT,
    CRITICAL,
    HOST,
    SHARE,
    SPAN,
    WARNING,
    WHERE,
    Alert,
    Group,
    Recording,
    twins,
)

OBJECTIVE = 0.99
"""Share of the requests that an exchange has to do its part of."""

_BY = f"{WHERE}, exchange"
_ENDPOINT = f"{_BY}, endpoint"
_REQUESTS = catalog.EXCHANGE_REQUESTS_TOTAL.name
_THEIRS = f'outcome=~"{"|".join(sorted(COUNTED))}"'
_ASKED = f'outcome!~"{BUG}|{CANCELLED}"'
_FAILED = f'outcome!~"{SUCCESS}|{REJECTED}|{CANCELLED}"'

_FAILURES = f"sum by ({_ENDPOINT}) (increase({_REQUESTS}{{{_FAILED}}}[10m]))"
_ALL = f"sum by ({_ENDPOINT}) (increase({_REQUESTS}[10m]))"
_UNKNOWN = f'{catalog.EXCHANGE_WRITES_TOTAL.name}{{outcome="{AMBIGUOUS}"}}'
_LATELY = f"sum by ({_BY}) (increase({_UNKNOWN}[15m])) > 0"
# An order may be lost before its process is scraped for the first time: what is new at a target that is not has risen.
_AT_FIRST = (
    f"((sum by ({_BY}) ({_UNKNOWN}) > 0) unless sum by ({_BY}) ({_UNKNOWN} offset 15m)) "
    f"and on ({HOST}) (up offset 15m == 1)"
)
_BANNED = f"max by ({_BY}) ({catalog.EXCHANGE_BANNED_UNTIL_TIMESTAMP_SECONDS.name}) - time()"
_AGE = f'{catalog.EXCHANGE_DATA_AGE_SECONDS.name}{{kind=~"ticker|ticker_received"}}'
_SKEW = f"max by ({_BY}) (abs({catalog.EXCHANGE_CLOCK_SKEW_SECONDS.name}))"


def _failing(share: float) -> str:
    return f"({_FAILURES} / ({_ALL} > 0) > {share}) and ({_FAILURES} >= 3)"


def _level(window: str) -> str:
    return f"instance_process_exchange:peak_exchange_failures_per_requests:ratio_rate{window}"


def _recording(window: str) -> Recording:
    failures = f"sum by ({_BY}) (rate({_REQUESTS}{{{_THEIRS}}}[{window}]))"
    return Recording(_level(window), f"{failures} / (sum by ({_BY}) (rate({_REQUESTS}{{{_ASKED}}}[{window}])) > 0)")


def _burning(long: str, short: str, factor: float) -> str:
    limit = f"{factor * (1 - OBJECTIVE):.3g}"
    # Of few requests one that fails is a large share: a page needs ten.
    enough = f"sum by ({_BY}) (increase({_REQUESTS}{{{_THEIRS}}}[{long}])) >= 10"
    return f"({_level(long)} > {limit}) and ({_level(short)} > {limit}) and ({enough})"


def _burn(severity: str, *, long: str, short: str, factor: float, spent: str) -> Alert:
    return Alert(
        "PeakExchangeErrorBudgetBurn",
        severity,
        _burning(long, short, factor),
        "2m",
        f"over {long} and over {short} an exchange failed more than {factor * (1 - OBJECTIVE):.1%} of its requests",
        f"{{{{ $labels.exchange }}}} fails {AT} too often.",
        f"It failed {SHARE} of the requests of the last {long}; at this pace {spent}.",
        "The exchange did not do its part of more requests than an objective of 99 % over 30 days has room for, lately "
        "and for long enough to matter.",
        "The requests by outcome, and the exchange's status page. Is it one endpoint, or all?",
        "If it is the exchange, trade less or elsewhere until it is over. If it is the way there, mend that.",
        keep="10m",
        subject="exchange",
    )


EXCHANGES = Group(
    "exchanges",
    "peak-exchanges",
    (
        *twins(
            Alert(
                "PeakExchangeErrors",
                WARNING,
                _failing(0.1),
                "5m",
                "more than a tenth of the requests to an endpoint fail, for whatever reason",
                f"Requests of {AT} to {{{{ $labels.endpoint }}}} of {{{{ $labels.exchange }}}} fail.",
                f"{SHARE} of them failed within 10 minutes.",
                "Requests to an endpoint fail: by the exchange, the network, the rate limit, the key, the clock or a "
                "bug. A refused order (`rejected`) is an answer and does not count.",
                "The requests by outcome: `auth` is the key, `rate_limited` asks for patience, `clock` is the time of "
                "this machine, `bug` is the program, the others are the exchange or the way there.",
                "As the outcome says. A refused key needs a person; the exchange's own trouble needs waiting.",
                keep="5m",
                subject="exchange",
            ),
            expression=_failing(0.5),
            when="more than half of them fail",
        ),
        Alert(
            "PeakExchangeFateUnknown",
            CRITICAL,
            f"({_LATELY}) or ({_AT_FIRST})",
            "0m",
            "an order was sent, and nobody knows whether it stands",
            f"An order of {AT} at {{{{ $labels.exchange }}}} may or may not stand.",
            f"{COUNT} requests that change something had no answer within 15 minutes.",
            "A write was sent and its answer was lost: the order may have been placed, or not. It was not sent again.",
            "The log line and `OutcomeUnknown` tell endpoint, order and client order ids: look for these ids at the "
            "exchange.",
            "Cancel or take over what stands, by hand or in the program. Then it is over; the alert ends by itself.",
            subject="exchange",
        ),
        *twins(
            Alert(
                "PeakExchangeBanned",
                WARNING,
                f"{_BANNED} > 0",
                "1m",
                "an exchange limits or bans us",
                f"{{{{ $labels.exchange }}}} has told {AT} to stop asking.",
                f"The rate limit or ban lasts another {SPAN}.",
                "The rate limit was exceeded, so often or so far that the exchange named a time. Calls are held back "
                "until then.",
                "What is used of the rate limit, and which endpoint takes most of it. Do other programs share the "
                "address or the key?",
                "Wait; asking makes it longer. Then ask less: fewer symbols, longer intervals, websockets.",
                subject="exchange",
            ),
            lasting="15m",
        ),
        Alert(
            "PeakMarketDataStale",
            WARNING,
            # Only where prices are usually fresh: a program that asks for one before each order is not stale between.
            f"(max by ({_BY}, kind) ({_AGE}) > 300) and "
            f"(max by ({_BY}, kind) (quantile_over_time(0.5, {_AGE}[1d])) < 60)",
            "5m",
            "prices that are usually younger than a minute are older than 5 minutes",
            f"Prices of {{{{ $labels.exchange }}}} at {AT} are old.",
            f"They are {SPAN} old ({{{{ $labels.kind }}}}); usually they are younger than a minute.",
            "`ticker_received`: nothing has come in. `ticker`: something comes in, but by the exchange's own time it "
            "is old. Candles are not judged, as their age depends on the timeframe.",
            "Does the program still ask? Are the requests answered? Does the exchange's status page tell of delays?",
            "Do not trade on these prices. Restart a stream that hangs; turn to another source if the exchange lags.",
            keep="5m",
            subject="exchange",
        ),
        Alert(
            "PeakExchangeClockSkew",
            WARNING,
            f"{_SKEW} > 2",
            "5m",
            "the clocks of exchange and machine are 2 seconds apart",
            f"The clocks of {{{{ $labels.exchange }}}} and {AT} differ.",
            "They are {{ $value | humanizeDuration }} apart: signed requests begin to fail.",
            "Signed requests carry the time, and exchanges refuse what is a second or so off. The outcome is `clock`.",
            "`chronyc tracking` or `timedatectl`: is the clock of this machine synchronised? Do other exchanges differ "
            "too?",
            "Mend the synchronisation. If only one exchange differs, use ccxt's `adjustForTimeDifference`.",
            subject="exchange",
        ),
        _burn(CRITICAL, long="1h", short="5m", factor=14.4, spent="the budget of a month is gone in 2 days"),
        _burn(WARNING, long="6h", short="30m", factor=6.0, spent="the budget of a month is gone in 5 days"),
    ),
    recordings=tuple(_recording(window) for window in ("5m", "30m", "1h", "6h")),
    notes=(
        f"The objective is that an exchange does its part of {OBJECTIVE:.0%} of the requests. What counts against it "
        f"also counts towards a circuit's threshold: {', '.join(f'`{outcome}`' for outcome in sorted(COUNTED))}; "
        "announced maintenance too, as nobody can trade in it. `rejected`, `auth`, `clock` and `rate_limited` are "
        "answers: the exchange did its part, and the cause is ours. `bug` and `cancelled` never asked it anything, so "
        "they are not even requests. What is ours shows in `PeakExchangeErrors`."
    ),
)
