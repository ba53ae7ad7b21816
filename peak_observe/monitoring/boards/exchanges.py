"""Dashboard of exchanges: answers, data age, clock skew and rate limits."""

from __future__ import annotations

from peak_observe import catalog
from peak_observe.monitoring import dashboard, panels, style, tables
from peak_observe.monitoring.boards import account_safety, objectives, orders, safety, streams
from peak_observe.monitoring.panels import query
from peak_observe.monitoring.promql import (
    FAILURES,
    REQUEST_DURATIONS,
    REQUEST_P95,
    REQUEST_RATES,
    REQUESTS,
    UP,
    by_our_clock,
    changes,
    increase,
    lowest,
    rate,
    recorded_quantile,
    select,
    share,
    step_increase,
    total,
    with_exemplars,
    worst,
)
from peak_observe.monitoring.style import AMBER, COUNT, RED, YELLOW, Json

FAILED = 'outcome!~"success|cancelled"'
NO_EXCHANGES = "no exchanges"
NO_BUDGET = "no latency budget"
NO_REQUESTS = "no requests in this time"
_ENDPOINT = ("exchange", "endpoint"), "{{exchange}} {{endpoint}}"
UNTIL = catalog.EXCHANGE_BANNED_UNTIL_TIMESTAMP_SECONDS


def board() -> Json:
    """Return the dashboard."""
    return dashboard.board(
        "peak-exchanges",
        "peak_observe: exchanges",
        "Does each exchange answer, in time, with fresh data, and does it still want to hear from us?",
        [
            panels.row("Now"),
            *_tiles(),
            bans(),
            panels.row("Requests"),
            *_requests(),
            *objectives.latency_budgets(),
            panels.row("Data, clock and limits"),
            *_data(),
            _table(),
            panels.row("Trading safety"),
            *safety.safety(),
            *account_safety.account_safety(),
            *orders.row(),
            panels.row("Streams"),
            *streams.streams(),
        ],
        variables=("exchange",),
        marks=[*dashboard.transitions(), *dashboard.restarts()],
    )


def held_off(link: Json | None = None) -> Json:
    """Return the tile that counts rate limited or banned exchanges."""
    return panels.stat(
        "Exchanges holding us off",
        "Exchanges with a rate limit or ban in force. Clients wait by themselves; look for what asked too often, "
        "and do not restart it, as a ban grows.",
        f"sum({by_our_clock(select(UNTIL))} > bool time())",
        "none",
        steps={RED: 1},
        empty=NO_EXCHANGES,
        link=link,
    )


def unknown_fate(link: Json | None = None) -> Json:
    """Return the tile that counts the orders that may or may not stand."""
    return panels.stat(
        "Orders of unknown fate",
        "Requests in the time shown that may or may not have changed something, as their answer got lost. Look at the "
        "open orders of the account before you send anything again.",
        total(increase(catalog.EXCHANGE_WRITES_TOTAL, 'outcome="ambiguous"')),
        "none",
        steps={RED: 0.5},
        empty="no requests",
        decimals=0,
        link=link,
    )


def failed(link: Json | None = None) -> Json:
    """Return the tile of how many requests fail."""
    requests = catalog.EXCHANGE_REQUESTS_TOTAL
    return panels.stat(
        "Failed requests",
        "Share of the requests that did not succeed. See below whether all endpoints fail or one of them.",
        share(total(rate(requests, FAILED)), total(rate(requests))),
        "percentunit",
        steps={YELLOW: 0.01, RED: 0.1},
        empty="no requests",
        link=link,
    )


def keys_refused(link: Json | None = None) -> Json:
    """Return the tile that counts refusals of a key."""
    return panels.stat(
        "Keys refused",
        "Requests in the time shown whose key the exchange did not accept. Check that it is valid, not expired, "
        "and allowed from this address.",
        total(increase(catalog.EXCHANGE_REQUESTS_TOTAL, 'outcome="auth"')),
        "none",
        steps={RED: 0.5},
        empty="no requests",
        decimals=0,
        link=link,
    )


def data_age(link: Json | None = None) -> Json:
    """Return the tile of how old market data are."""
    age, limit = select(catalog.EXCHANGE_DATA_AGE_SECONDS), select(catalog.EXCHANGE_DATA_MAX_AGE_SECONDS)
    return panels.stat(
        "Market data age",
        "Age of the data that are most overdue, in multiples of what they may have: three usual gaps, at least 5 "
        "minutes. Above 1: do not trade on them; see which exchange and kind, and both times in seconds.",
        f"{worst(f'{age} / {limit}')} >= 0",
        "suffix: x limit",
        steps={YELLOW: 0.7, RED: 1},
        empty="no data yet",
        decimals=1,
        link=link,
    )


def clock_skew(link: Json | None = None) -> Json:
    """Return the tile of how far the clocks are apart."""
    return panels.stat(
        "Worst clock skew",
        "How far the clock of an exchange is from ours, of the one that differs most. From 2 seconds on signed "
        "requests begin to fail: see that NTP runs on our side.",
        worst(f"abs({select(catalog.EXCHANGE_CLOCK_SKEW_SECONDS)})"),
        "s",
        steps={YELLOW: 2, RED: 5},
        empty=NO_EXCHANGES,
        link=link,
    )


def _tiles() -> list[Json]:
    requests = catalog.EXCHANGE_REQUESTS_TOTAL
    return [
        held_off(),
        panels.stat(
            "Requests per second",
            "Requests that were sent. None where there should be some: the program hangs, or its circuits are open.",
            total(rate(requests)),
            "reqps",
            steps={},
            empty="no requests",
        ),
        failed(),
        unknown_fate(),
        keys_refused(),
        data_age(),
        clock_skew(),
        objectives.budget_left(),
        panels.stat(
            "Rate limit used",
            "Of the exchange that has used the most of its limit; at 100 % it refuses. Ask less often, or use what it "
            "streams.",
            worst(select(catalog.EXCHANGE_RATE_LIMIT_USED_RATIO)),
            "percentunit",
            steps={YELLOW: 0.8, RED: 1},
            empty=NO_EXCHANGES,
        ),
    ]


def bans(*, width: int = 24, link: Json | None = None) -> Json:
    """Return the timeline of rate limits and bans."""
    keys = ("job", "instance", "process", "exchange")
    lasts, renewed = worst(by_our_clock(select(UNTIL)), *keys), worst(changes(UNTIL), *keys)
    return panels.state_timeline(
        "Held off by exchanges",
        "One bar an exchange and program. Red: rate limited or banned, and our clients wait; a pause that no scrape "
        "fell into shows for four of them. If it comes back again and again, ask less often.",
        [
            query(
                f"clamp_max(({lasts} > bool time()) + ({renewed} > bool 0), 1)",
                "{{exchange}} {{process}} @ {{instance}}",
            )
        ],
        style.mapped(style.BAN_TEXTS),
        empty=NO_EXCHANGES,
        size=(width, 5),
        link=link,
    )


def by_outcome(*, width: int = 8) -> Json:
    """Return what the answers of exchanges mean."""
    # A rate of 5 minutes goes on when nothing answers any more: then there is nothing to show.
    answering = f"{select(REQUEST_RATES)} and on (job, instance) (max_over_time({select(UP)}[1m]) > 0)"
    return panels.timeseries(
        "Requests by outcome",
        "Requests a second, over 5 minutes, by what their answer means. Ambiguous: an order may or may not stand, "
        "somebody has to look. Auth: the key is refused. Rejected: the exchange refuses this request, not all.",
        [query(f"{total(answering, 'outcome')} > 0", "{{outcome}}")],
        "reqps",
        empty=NO_REQUESTS,
        width=width,
        stacked=True,
        colours=style.REQUEST_COLOURS,
    )


def _requests() -> list[Json]:
    by, name = _ENDPOINT
    return [
        by_outcome(),
        panels.timeseries(
            "Failed requests by endpoint",
            "Share of an endpoint's requests of 10 minutes that failed; refused orders and keys are not meant. One "
            "endpoint alone: see the exchange's news; all of them: see its status page, then our network.",
            [query(share(total(select(FAILURES), *by), total(select(REQUESTS), *by)), name)],
            "percentunit",
            empty=NO_REQUESTS,
            maximum=1,
        ),
        panels.timeseries(
            "Requests by endpoint",
            "Requests a second, over 10 minutes. What asks most is the first to make rarer when the limit comes near.",
            [query(f"{total(select(REQUESTS), *by)} / 600", name)],
            "reqps",
            empty=NO_REQUESTS,
            stacked=True,
        ),
        *_answer_times(),
    ]


def _answer_times() -> list[Json]:
    duration, half = catalog.EXCHANGE_REQUEST_DURATION_SECONDS, recorded_quantile(0.5, REQUEST_DURATIONS)
    by, name = _ENDPOINT
    shown = [
        panels.timeseries(
            "Answer time",
            "From sending a request to the end of its answer, without the wait for the rate limiter. Dots are "
            "exemplars: each leads to the trace of one request.",
            [
                {**query(with_exemplars(half, duration), "half are faster"), "exemplar": True},
                query(recorded_quantile(0.95, REQUEST_DURATIONS), "95 % are faster"),
                query(recorded_quantile(0.99, REQUEST_DURATIONS), "99 % are faster"),
            ],
            "s",
            empty=NO_REQUESTS,
        ),
        panels.timeseries(
            "Answer time by endpoint, 95th percentile",
            "Which endpoint is slow, for the program that waits longest. Prices that come late are old prices: see the "
            "age of market data too.",
            [{**query(with_exemplars(worst(select(REQUEST_P95), *by), duration), name), "exemplar": True}],
            "s",
            empty=NO_REQUESTS,
        ),
        panels.heatmap(
            "Answer times",
            "Requests a second by the bucket of their duration. Two bands mean two kinds of answers; follow an "
            "exemplar of the slower one.",
            with_exemplars(total(select(REQUEST_DURATIONS), "le"), duration),
            "s",
            empty=NO_REQUESTS,
        ),
    ]
    return [panels.coarse(one) for one in shown]


def _data() -> list[Json]:
    age, skew = select(catalog.EXCHANGE_DATA_AGE_SECONDS), select(catalog.EXCHANGE_CLOCK_SKEW_SECONDS)
    limit = select(catalog.EXCHANGE_DATA_MAX_AGE_SECONDS)
    return [
        panels.timeseries(
            "Age of market data",
            "By the exchange's own time (ticker, candles), and since anything came in (received). The first growing "
            "alone means that the exchange serves old data: stop trading on it.",
            [
                query(f"{worst(age, 'exchange', 'kind')} >= 0", "{{exchange}} {{kind}}"),
                query(f"{lowest(limit, 'exchange', 'kind')} >= 0", "limit of {{exchange}} {{kind}}"),
            ],
            "s",
            empty="no market data yet",
            limit="limit of ",
        ),
        panels.timeseries(
            "Clock skew",
            "How far the exchange's clock is from ours; beyond a second signed requests begin to fail. See that NTP "
            "runs on our side.",
            [
                query(
                    worst(f"abs({skew})", "exchange", "instance", "process"), "{{exchange}} {{process}} @ {{instance}}"
                )
            ],
            "s",
            empty=NO_EXCHANGES,
        ),
        panels.timeseries(
            "Rate limit used by exchange",
            "Share of the limit, as the exchange's headers tell or as its published rules count; at 100 % it refuses.",
            [query(worst(select(catalog.EXCHANGE_RATE_LIMIT_USED_RATIO), "exchange"), "{{exchange}}")],
            "percentunit",
            empty=NO_EXCHANGES,
        ),
        panels.timeseries(
            "Missing candles by exchange",
            "Candles that were not there between others, each counted once. Fill the hole before a strategy reads it.",
            [
                query(
                    total(step_increase(catalog.EXCHANGE_CANDLE_GAPS_TOTAL), "exchange"),
                    "{{exchange}}",
                )
            ],
            "short",
            empty=NO_EXCHANGES,
            bars=True,
        ),
    ]


def _table() -> Json:
    keys = {"exchange": "Exchange", "process": "Process", "job": "Job", "instance": "Instance"}
    writes = catalog.EXCHANGE_WRITES_TOTAL
    banned = f"clamp_min({worst(by_our_clock(select(UNTIL)), *keys)} - time(), 0)"

    def ended(*matchers: str) -> str:
        # They are recorded every two minutes.
        return f"120 * {total(f'sum_over_time({select(REQUEST_RATES, *matchers)}[$__range])', *keys)}"

    return tables.table(
        "Exchanges",
        "Every exchange: how long its rate limit or ban lasts, and what its requests came to in the time shown. "
        "Orders of unknown fate want a look at the account, refused keys a new key.",
        keys,
        [
            ("Held off for", banned, {"unit": "s", "decimals": 0}),
            ("Requests", ended(), COUNT),
            ("Succeeded", ended('outcome="success"'), COUNT),
            ("Fate unknown", total(increase(writes, 'outcome="ambiguous"'), *keys), style.bad()),
            ("Key refused", ended('outcome="auth"'), style.bad()),
            ("Limited", ended('outcome="rate_limited"'), style.bad(AMBER)),
            ("Misshapen", ended('outcome="bad_response"'), style.bad(AMBER)),
        ],
        empty=NO_EXCHANGES,
        size=(24, 6),
    )
