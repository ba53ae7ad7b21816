"""What the dashboard shows of the exchanges."""

from __future__ import annotations

from peak_observe import catalog
from peak_observe.monitoring import panels
from peak_observe.monitoring.panels import BLUE, GREEN, GREY, ORANGE, PURPLE, RED, YELLOW, Json, query
from peak_observe.monitoring.promql import increase, quantile, rate, select, share, total

OUTCOME_COLOURS = dict(
    zip(
        catalog.EXCHANGE_OUTCOMES,
        (GREEN, YELLOW, ORANGE, PURPLE, "light-blue", "dark-red", BLUE, "light-orange", RED, "#6d1f62", GREY),
        strict=True,
    )
)
FAILED = 'outcome!~"success|cancelled"'


def exchanges() -> list[Json]:
    """Return how the exchanges answer, how fresh and how skewed their data is, and what is left of the limits."""
    requests, duration = catalog.EXCHANGE_REQUESTS_TOTAL, catalog.EXCHANGE_REQUEST_DURATION_SECONDS
    age = select(catalog.EXCHANGE_DATA_AGE_SECONDS)
    return [
        panels.row("Exchanges"),
        panels.timeseries(
            "Requests by outcome",
            "Requests a second by what their answer means. Ambiguous: an order may or may not stand, somebody has to "
            "look. Auth: the key is refused. Rejected: the exchange refuses this request, not all.",
            [query(total(rate(requests), "outcome"), "{{outcome}}")],
            "reqps",
            stacked=True,
            colours=OUTCOME_COLOURS,
        ),
        panels.timeseries(
            "Failed requests by endpoint",
            "Share of an endpoint's requests that did not succeed.",
            [
                query(
                    share(
                        total(rate(requests, FAILED), "exchange", "endpoint"),
                        total(rate(requests), "exchange", "endpoint"),
                    ),
                    "{{exchange}} {{endpoint}}",
                )
            ],
            "percentunit",
            maximum=1,
        ),
        panels.timeseries(
            "Answer time by endpoint, 95th percentile",
            "From sending a request to the end of its answer, without the wait for the rate limiter.",
            [query(quantile(0.95, duration, "exchange", "endpoint"), "{{exchange}} {{endpoint}}")],
            "s",
        ),
        panels.timeseries(
            "Age of market data",
            "By the exchange's own time (ticker, candles), and since anything came in (received). The first growing "
            "alone means that the exchange serves old data.",
            [query(f"max by (exchange, kind) ({age})", "{{exchange}} {{kind}}")],
            "s",
        ),
        panels.timeseries(
            "Clock skew",
            "How far the exchange's clock is ahead of ours; beyond a second signed requests begin to fail.",
            [
                query(
                    f"max by (exchange, instance) (abs({select(catalog.EXCHANGE_CLOCK_SKEW_SECONDS)}))", "{{exchange}}"
                )
            ],
            "s",
        ),
        panels.timeseries(
            "Rate limit used",
            "Share of the limit, as the exchange's headers tell or as its published rules count; at 1 it refuses.",
            [query(f"max by (exchange) ({select(catalog.EXCHANGE_RATE_LIMIT_USED_RATIO)})", "{{exchange}}")],
            "percentunit",
        ),
        _exchanges(),
    ]


def _exchanges() -> Json:
    keys = {"exchange": "Exchange", "job": "Job", "instance": "Instance"}
    by = ", ".join(keys)
    banned = f"clamp_min(max by ({by}) ({select(catalog.EXCHANGE_BANNED_UNTIL_TIMESTAMP_SECONDS)}) - time(), 0)"
    counted = {"decimals": 0}

    def ended(*matchers: str) -> str:
        return total(increase(catalog.EXCHANGE_REQUESTS_TOTAL, *matchers), *keys)

    return panels.table(
        "Exchanges",
        "Every exchange: for how long it wants to be left alone, and what its requests came to in the time shown.",
        keys,
        [
            ("Left alone for", banned, {"unit": "s"}),
            ("Requests", ended(), counted),
            ("Succeeded", ended('outcome="success"'), counted),
            ("Fate unknown", ended('outcome="ambiguous"'), counted),
            ("Key refused", ended('outcome="auth"'), counted),
            ("Limited", ended('outcome="rate_limited"'), counted),
            ("Misshapen", ended('outcome="bad_response"'), counted),
        ],
    )
