"""Dashboard of circuit breakers and retries: which service fails, since when, at which cost."""

from __future__ import annotations

from peak_observe import catalog
from peak_observe.monitoring import dashboard, panels, style, tables
from peak_observe.monitoring.boards import circuits, limits, retries, shared, strategies
from peak_observe.monitoring.boards.circuits import CLOSED, JUDGED, NO_CIRCUITS, NOT_CLOSED
from peak_observe.monitoring.panels import query
from peak_observe.monitoring.promql import (
    CALL_DURATIONS,
    STATE_NUMBERS,
    ago,
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
from peak_observe.monitoring.style import AMBER, COUNT, SPAN, Json

NO_CALLS = "no calls in this time"


def board() -> Json:
    """Return the dashboard."""
    return dashboard.board(
        "peak-breakers",
        "peak_observe: breakers and retries",
        "Which circuit is not closed, since when and why, and what retries cost.",
        [
            panels.row("Now"),
            *circuits.tiles(),
            retries.per_operation(),
            circuits.states(),
            panels.row("Calls"),
            *_calls(),
            panels.row("Latency"),
            *_latency(),
            panels.row("Changes of state"),
            *_changes(),
            panels.row("Retries"),
            *retries.retries(),
            panels.row("Limits"),
            *limits.limits(),
            panels.row("Shared state"),
            *shared.shared(),
            panels.row("Hedges, timed calls, chaos and reloads"),
            *strategies.strategies(),
        ],
        variables=("breaker", "operation"),
        marks=[*dashboard.transitions(), *dashboard.restarts()],
    )


def _calls() -> list[Json]:
    calls = catalog.BREAKER_CALLS_TOTAL
    failed, judged = total(rate(calls, 'outcome="failure"'), "breaker"), total(rate(calls, JUDGED), "breaker")
    return [
        panels.timeseries(
            "Calls by outcome",
            "Calls a second by how they ended. Ignored calls ended in an exception that is no failure of the service; "
            "rejected ones were never made. Red: see which circuit, beside this.",
            [query(total(rate(calls), "outcome"), "{{outcome}}")],
            "reqps",
            empty=NO_CALLS,
            stacked=True,
            colours=style.CALL_COLOURS,
        ),
        panels.timeseries(
            "Failed calls by circuit",
            "Share of the calls that failed, of those that count. One circuit alone: its service fails. All of them: "
            "look at our network.",
            [query(share(failed, judged), "{{breaker}}")],
            "percentunit",
            empty=NO_CALLS,
            maximum=1,
        ),
        panels.timeseries(
            "Refused calls by circuit",
            "Calls a second that were refused because the circuit was open. If they go on long after the service is "
            "back, the recovery timeout is too long.",
            [query(total(rate(calls, 'outcome="rejected"'), "breaker"), "{{breaker}}")],
            "reqps",
            empty=NO_CALLS,
            stacked=True,
        ),
    ]


def _latency() -> list[Json]:
    duration = catalog.BREAKER_CALL_DURATION_SECONDS
    half, by_circuit = recorded_quantile(0.5, CALL_DURATIONS), recorded_quantile(0.95, CALL_DURATIONS, "breaker")
    shown = [
        panels.timeseries(
            "Latency",
            "Time calls took, whatever their outcome. Dots are exemplars: each leads to the trace of one call, so "
            "click one of the slow.",
            [
                {**query(with_exemplars(half, duration), "half are faster"), "exemplar": True},
                query(recorded_quantile(0.95, CALL_DURATIONS), "95 % are faster"),
                query(recorded_quantile(0.99, CALL_DURATIONS), "99 % are faster"),
            ],
            "s",
            empty=NO_CALLS,
        ),
        panels.timeseries(
            "Latency by circuit, 95th percentile",
            "Which service is slow. Where calls take as long as their timeout, make that shorter.",
            [{**query(with_exemplars(by_circuit, duration), "{{breaker}}"), "exemplar": True}],
            "s",
            empty=NO_CALLS,
        ),
        panels.heatmap(
            "Latency distribution",
            "Calls a second by the bucket of their duration. Two bands mean two kinds of answers: follow an exemplar "
            "of the slower one.",
            with_exemplars(total(select(CALL_DURATIONS), "le"), duration),
            "s",
            empty=NO_CALLS,
        ),
    ]
    return [panels.coarse(one) for one in shown]


def _changes() -> list[Json]:
    seconds = catalog.BREAKER_STATE_SECONDS_TOTAL
    circuits_each = f"count by (breaker) ({select(catalog.BREAKER_STATE, CLOSED)})"
    entered = total(step_increase(catalog.BREAKER_TRANSITIONS_TOTAL), "to")
    return [
        panels.timeseries(
            "Changes of state",
            "How often circuits entered a state within four scrapes, or within a step if that is longer. Counted, not "
            "sampled, so short openings show too. Many in a row: the circuit flaps; raise its threshold or mend its "
            "service.",
            [query(entered, "{{to}}")],
            "short",
            empty=NO_CIRCUITS,
            width=12,
            bars=True,
            colours=style.STATE_COLOURS,
        ),
        panels.timeseries(
            "Time not closed",
            "Share of the time in which a circuit was open, half-open or forced open; also counted, not sampled. This "
            "is the outage as your program met it.",
            [
                # Of its five states a circuit is in one at each moment: their sum is the time that passed.
                query(f"{total(rate(seconds, NOT_CLOSED), 'breaker')} / {circuits_each}", "{{breaker}}")
            ],
            "percentunit",
            empty=NO_CIRCUITS,
            width=12,
            maximum=1,
        ),
        panels.timeseries(
            "Windows",
            "Share of the calls in the window that failed or were slow, which is what opens a circuit that has a "
            "window. Near the threshold all the time: the threshold is too low, or the service always half broken.",
            [
                query(worst(select(catalog.BREAKER_FAILURE_RATIO), "breaker"), "{{breaker}} failed"),
                query(worst(select(catalog.BREAKER_SLOW_CALL_RATIO), "breaker"), "{{breaker}} slow"),
            ],
            "percentunit",
            empty="no circuit has a window",
            width=24,
            maximum=1,
        ),
        _circuits(),
    ]


def _circuits() -> Json:
    keys = {"breaker": "Circuit", "process": "Process", "job": "Job", "instance": "Instance"}

    def ended(outcome: str) -> str:
        return total(increase(catalog.BREAKER_CALLS_TOTAL, f'outcome="{outcome}"'), *keys)

    def setting(metric: catalog.Metric) -> str:
        return worst(select(metric), *keys)

    return tables.table(
        "Circuits",
        "Every circuit with its present state, what its calls came to in the time shown, and how it is configured. "
        "Refused calls of a circuit that is closed again tell what an outage cost.",
        keys,
        [
            ("State", worst(select(STATE_NUMBERS), *keys), style.state(style.STATE_TEXTS)),
            ("Changed ago", lowest(ago(catalog.BREAKER_LAST_TRANSITION_TIMESTAMP_SECONDS), *keys), style.AGE),
            ("Succeeded", ended("success"), COUNT),
            ("Failed", ended("failure"), style.bad()),
            ("Ignored", ended("ignored"), COUNT),
            ("Refused", ended("rejected"), style.bad(AMBER)),
            ("Opens after", setting(catalog.BREAKER_FAILURE_THRESHOLD), {"unit": "suffix: failures"}),
            ("Probes after", setting(catalog.BREAKER_RECOVERY_TIMEOUT_SECONDS), SPAN),
        ],
        empty=NO_CIRCUITS,
        sort="State",
    )
