"""Panels of the objectives of an exchange: latency budgets, and the error budget that is left."""

from __future__ import annotations

from peak_observe import catalog
from peak_observe.monitoring import panels, style, tables
from peak_observe.monitoring.panels import query
from peak_observe.monitoring.promql import (
    BUDGET_RATES,
    increase,
    lowest,
    rate,
    select,
    share,
    total,
    worst,
)
from peak_observe.monitoring.rules.exchange import OBJECTIVE
from peak_observe.monitoring.style import AMBER, COUNT, GREEN, RED, YELLOW, Json

NO_BUDGET = "no latency budget"


def budget_left() -> Json:
    """Return the tile of how much of the error budget of 30 days is left."""
    keys, room = ("job", "instance", "process", "exchange"), f"{1 - OBJECTIVE:.3g}"
    # Of the recorded rates, a value an hour: shares of days would weigh a quiet day as much as a busy one.
    # A Prometheus that has just begun has no full hour yet.
    failed = " or ".join(
        f"({share(*(total(f'sum_over_time({select(BUDGET_RATES[kind])}[{window}])', *keys) for kind in BUDGET_RATES))})"
        for window in ("30d:1h", "1h")
    )
    return panels.stat(
        "Error budget left",
        f"Of the {1 - OBJECTIVE:.0%} of 30 days' requests that an exchange may fail, for the one that has failed most. "
        "At 0 % its objective is missed: trade less there, or elsewhere. It knows as many days as Prometheus keeps.",
        lowest(f"1 - ({failed}) / {room}"),
        "percentunit",
        steps={YELLOW: 0, GREEN: 0.25},
        base=RED,
        empty="no requests",
        decimals=0,
    )


def latency_budgets() -> list[Json]:
    """Return the panels of latency budgets."""
    asked, slow = catalog.EXCHANGE_BUDGETED_REQUESTS_TOTAL, catalog.EXCHANGE_SLOW_REQUESTS_TOTAL
    keys = {"exchange": "Exchange", "group": "Group", "process": "Process", "job": "Job", "instance": "Instance"}
    late = share(total(rate(slow), "exchange", "group"), total(rate(asked), "exchange", "group"))
    return [
        panels.timeseries(
            "Slow requests by group",
            "Share of the requests that took longer than the latency budget of their group. Trade slow: an order is "
            "filled at another price than the one it was made for.",
            [query(late, "{{exchange}} {{group}}")],
            "percentunit",
            empty=NO_BUDGET,
            maximum=1,
        ),
        tables.table(
            "Latency budgets",
            "Each group of requests with a budget, and how many in the time shown took longer. Many: see which "
            "endpoint is slow, then the exchange's status page.",
            keys,
            [
                ("Budget", worst(select(catalog.EXCHANGE_LATENCY_BUDGET_SECONDS), *keys), style.SPAN),
                ("Requests", total(increase(asked), *keys), COUNT),
                ("Slow", total(increase(slow), *keys), style.bad(AMBER)),
            ],
            empty=NO_BUDGET,
            size=(16, 8),
        ),
    ]
