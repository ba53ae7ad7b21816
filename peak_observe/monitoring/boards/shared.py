"""Dashboard section of the state that processes share."""

from __future__ import annotations

from peak_observe import catalog
from peak_observe.monitoring import panels
from peak_observe.monitoring.panels import query
from peak_observe.monitoring.promql import lowest, rate, select, step_increase, total, worst
from peak_observe.monitoring.style import Json

NOTHING_SHARED = "nothing is shared"


def shared() -> list[Json]:
    """Return who takes part, by whose word circuits open, and what sharing costs."""
    return [*_members(), *_transitions(), *_cost()]


def _members() -> list[Json]:
    return [
        panels.timeseries(
            "Shared state reached",
            "1 while all processes reach their shared state, 0 while one of them decides alone. At 0: see the log of "
            "that process, or `peak-observe shared show` on its host.",
            [query(lowest(select(catalog.SHARED_UP), "namespace"), "{{namespace}}")],
            "none",
            empty=NOTHING_SHARED,
            maximum=1,
        ),
        panels.timeseries(
            "Processes that share",
            "Processes that take part, and those that decide alone. Fewer than you started: see which one is gone.",
            [
                query(worst(select(catalog.SHARED_MEMBERS), "namespace"), "{{namespace}}"),
                query(total(select(catalog.SHARED_FALLBACK_ACTIVE), "namespace"), "{{namespace}} alone"),
            ],
            "none",
            empty=NOTHING_SHARED,
        ),
        panels.timeseries(
            "Shared news late by",
            "Time from a transition of one process to its arrival at the others. Above a tenth of a second: the server "
            "or the network is slow.",
            [query(worst(select(catalog.SHARED_LAG_SECONDS), "namespace"), "{{namespace}}")],
            "s",
            empty=NOTHING_SHARED,
        ),
    ]


def _transitions() -> list[Json]:
    return [
        panels.timeseries(
            "Transitions by whose word",
            "Transitions that a process sent to the others (out), and that it received from them (in). A process that "
            "only tells sees the trouble; `peak-observe shared show` names it for each circuit.",
            [
                query(
                    total(
                        step_increase(catalog.SHARED_TRANSITIONS_TOTAL),
                        "instance",
                        "process",
                        "direction",
                    ),
                    "{{direction}} {{process}} @ {{instance}}",
                )
            ],
            "none",
            empty=NOTHING_SHARED,
        ),
        panels.timeseries(
            "Shared probes by answer",
            "Claims of the one probe of a circuit: granted, or why not; fenced ones came back after their lease was "
            "over. Many fenced: processes are stopped, or cannot renew their leases.",
            [
                query(
                    total(step_increase(catalog.SHARED_PROBE_LEASES_TOTAL), "outcome"),
                    "{{outcome}}",
                )
            ],
            "none",
            empty=NOTHING_SHARED,
        ),
        panels.timeseries(
            "Shared state read anew",
            "Times that everything was read anew, as a message or the connection was lost. More than a few "
            "an hour: look at the server and at the network.",
            [query(total(step_increase(catalog.SHARED_RESYNCS_TOTAL), "reason"), "{{reason}}")],
            "none",
            empty=NOTHING_SHARED,
        ),
    ]


def _cost() -> list[Json]:
    return [
        panels.timeseries(
            "Steps of the shared state",
            "Requests a second to Redis, Valkey or the file. Calls of closed circuits need none; turns of shared rate "
            "limits need one each.",
            [query(total(rate(catalog.SHARED_OPERATIONS_TOTAL), "op", "outcome"), "{{op}} {{outcome}}")],
            "ops",
            empty=NOTHING_SHARED,
            stacked=True,
        ),
        panels.timeseries(
            "Waiting in shared limits",
            "Calls that wait for their turn in shared rate limits, on average. If it grows, all processes together ask "
            "for more than the limit lets through.",
            [query(total(rate(catalog.SHARED_LIMIT_WAIT_SECONDS_TOTAL), "namespace"), "{{namespace}}")],
            "none",
            empty=NOTHING_SHARED,
        ),
    ]
