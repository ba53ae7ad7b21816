"""Dashboard section of hedges, timed calls, chaos and reloaded policies."""

from __future__ import annotations

from peak_observe import catalog
from peak_observe.monitoring import panels, style
from peak_observe.monitoring.panels import query
from peak_observe.monitoring.promql import ago, lowest, quantile, rate, select, share, total, worst
from peak_observe.monitoring.style import Json

NO_HEDGES, NO_TIMED, NO_CHAOS, NO_RELOADS = "no hedges", "no timed calls", "no chaos", "no policy follows its file"


def strategies() -> list[Json]:
    """Return what hedges win and cost, how long timed calls take, and what was changed or broken on purpose."""
    return [*_hedges(), *_timed(), *_chaos(), *_reloads()]


def _hedges() -> list[Json]:
    calls, started = catalog.HEDGE_CALLS_TOTAL, catalog.HEDGE_STARTED_TOTAL
    refused = catalog.HEDGE_REFUSED_TOTAL
    return [
        panels.timeseries(
            "Hedged calls by outcome",
            "Calls a second by whether the first request answered, a hedge did, or all failed. Hedges that never win "
            "only cost: raise `after`.",
            [query(total(rate(calls), "outcome"), "{{outcome}}")],
            "reqps",
            empty=NO_HEDGES,
            stacked=True,
            colours=style.HEDGE_COLOURS,
        ),
        panels.timeseries(
            "Hedges per call",
            "Requests that hedges add, as share of the calls, and those that the budget refused. If many are refused, "
            "the service is slow as a whole, and hedging does not help.",
            [
                query(share(total(rate(started), "operation"), total(rate(calls), "operation")), "{{operation}}"),
                query(
                    share(total(rate(refused), "operation"), total(rate(calls), "operation")), "{{operation}} refused"
                ),
            ],
            "percentunit",
            empty=NO_HEDGES,
        ),
        panels.timeseries(
            "Time until a hedge",
            "How long a call goes without an answer until it is asked again, as configured. Near the 95th percentile "
            "of its latency one call in twenty is hedged.",
            [query(worst(select(catalog.HEDGE_DELAY_SECONDS), "operation"), "{{operation}}")],
            "s",
            empty=NO_HEDGES,
        ),
    ]


def _timed() -> list[Json]:
    duration = catalog.TIMED_CALL_DURATION_SECONDS
    return [
        panels.timeseries(
            "Latency of timed calls, 95th percentile",
            "How long functions with `timed` take, whatever their outcome. Dots are exemplars: each leads to the trace "
            "of one call.",
            [{**query(quantile(0.95, duration, "call"), "{{call}}"), "exemplar": True}],
            "s",
            empty=NO_TIMED,
            width=12,
        ),
    ]


def _chaos() -> list[Json]:
    return [
        panels.timeseries(
            "Calls disturbed on purpose",
            "Calls a second that chaos made late or let fail, and the share that it is set to. Anything at all here on "
            "a machine that trades: take PEAK_OBSERVE_CHAOS out of its environment and restart.",
            [
                query(total(rate(catalog.CHAOS_CALLS_TOTAL, 'outcome!="undisturbed"'), "operation"), "{{operation}}"),
                query(worst(select(catalog.CHAOS_RATIO), "operation"), "{{operation}}: share set"),
            ],
            "none",
            empty=NO_CHAOS,
            width=12,
        ),
    ]


def _reloads() -> list[Json]:
    return [
        panels.timeseries(
            "Policies that follow their file",
            "1 where the policy is as its file says, 0 where the file has a fault and the settings are older; the log "
            "names file, key and mend.",
            [query(lowest(select(catalog.POLICY_RELOAD_SUCCESS), "policy", "instance"), "{{policy}}")],
            "none",
            empty=NO_RELOADS,
            width=12,
            maximum=1,
        ),
        panels.stat(
            "Last reload ago",
            "Time since the policy that was loaded longest ago took its file over. Younger than your last change? Then "
            "all have it.",
            worst(ago(catalog.POLICY_LAST_RELOAD_SUCCESS_TIMESTAMP_SECONDS)),
            "s",
            steps={},
            empty=NO_RELOADS,
        ),
    ]
