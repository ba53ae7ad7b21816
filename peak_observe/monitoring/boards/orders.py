"""Row of the exchange dashboard for the order journal."""

from __future__ import annotations

from peak_observe import catalog
from peak_observe.monitoring import panels, style
from peak_observe.monitoring.panels import query
from peak_observe.monitoring.promql import quantile, select, step_increase, total, worst
from peak_observe.monitoring.style import AMBER, RED, Json

NO_JOURNAL = "no order journal"


def row() -> list[Json]:
    """Return the row."""
    return [panels.row("Order journal"), *_tiles(), *_charts()]


def unresolved(link: Json | None = None) -> Json:
    """Return the tile of the oldest order that may or may not stand."""
    return panels.stat(
        "Oldest unresolved order",
        "Age of the oldest order of the journal that may or may not stand; `submit` finds out within seconds. Minutes: "
        "the exchange cannot be asked, or the bot that sent it is gone. Call `reconcile()`, or look at the account.",
        worst(select(catalog.ORDERS_OLDEST_PENDING_SECONDS)),
        "s",
        steps={AMBER: 60, RED: 300},
        empty=NO_JOURNAL,
        decimals=0,
        link=link,
    )


def _tiles() -> list[Json]:
    return [
        unresolved(),
        panels.stat(
            "Orders pending",
            "Orders of the journal that are intended, sent or of unknown fate. Those only intended were never sent: "
            "the bot submits them again, or not.",
            worst(select(catalog.ORDERS_PENDING)),
            "none",
            steps={},
            empty=NO_JOURNAL,
            decimals=0,
        ),
    ]


def _charts() -> list[Json]:
    return [
        panels.timeseries(
            "Orders by state",
            "Orders that came into each state. Each order is intended and sent once; many more sent than open or "
            "closed: requests get lost, and are sent again after they are known not to have arrived.",
            [query(total(step_increase(catalog.ORDERS_TOTAL), "state"), "{{state}}")],
            "short",
            empty=NO_JOURNAL,
            bars=True,
            stacked=True,
            colours=style.ORDER_COLOURS,
        ),
        panels.timeseries(
            "Look-ups by outcome",
            "What became of orders whose answer was lost. Absent: it was never placed, and may be sent again. Unknown: "
            "it could not be found out, and somebody has to look.",
            [
                query(
                    total(step_increase(catalog.ORDERS_RECONCILED_TOTAL), "outcome"),
                    "{{outcome}}",
                )
            ],
            "short",
            empty=NO_JOURNAL,
            bars=True,
            stacked=True,
            colours=style.RECONCILE_COLOURS,
        ),
        panels.timeseries(
            "Reconcile time, 95th percentile",
            "How long `reconcile()` takes. It waits until the exchange can no longer carry out what was sent: seconds "
            "are usual, minutes mean that the exchange answers slowly.",
            [
                {
                    **query(quantile(0.95, catalog.ORDERS_RECONCILE_DURATION_SECONDS, "exchange"), "{{exchange}}"),
                    "exemplar": True,
                }
            ],
            "s",
            empty="not reconciled in this time",
        ),
    ]
