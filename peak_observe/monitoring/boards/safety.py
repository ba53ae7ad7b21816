"""Dashboard section of trading safety: switches, guards and the account."""

from __future__ import annotations

from peak_observe import catalog
from peak_observe.monitoring import panels, style, tables
from peak_observe.monitoring.panels import query
from peak_observe.monitoring.promql import ago, increase, lowest, rate, select, step_increase, total, worst
from peak_observe.monitoring.style import AGE, AMBER, GREEN, GREY, RED, Json

NO_SWITCH, NO_GUARD, NO_EQUITY = "no trading switch", "no guard", "no equity reported"
STATE_TEXTS = {0: ("gone", GREY), 1: ("trading", GREEN), 2: ("reduce only", AMBER), 3: ("halted", RED)}


def safety() -> list[Json]:
    """Return whether trading is halted, and how near guards and account are to it."""
    return [_states(), _switches(), *_guards(), *_account()]


def _number(*keys: str) -> str:
    """Return the state of each switch as a number, by its place in `catalog.TRADING_STATES` from 1 on."""
    states = enumerate(catalog.TRADING_STATES, start=1)
    parts = (worst(select(catalog.TRADING_STATE, f'state="{state}"'), *keys) for _, state in states)
    return " + ".join(f"{number} * {part}" for number, part in enumerate(parts, start=1))


def _states() -> Json:
    keys = ("job", "instance", "process", "switch")
    return panels.state_timeline(
        "Trading switches",
        "One bar a switch and program. Red: halted, nothing but cancels is sent; orange: only orders with reduceOnly. "
        "Programs of one switch that differ for longer than a second do not share its folder.",
        [query(_number(*keys), "{{switch}} {{process}} @ {{instance}}")],
        style.mapped(STATE_TEXTS),
        empty=NO_SWITCH,
        size=(12, 6),
    )


def _switches() -> Json:
    keys = {"switch": "Switch", "process": "Process", "job": "Job", "instance": "Instance"}
    return tables.table(
        "Switches",
        "Every switch with its last change and the calls that it did not let through in the time shown. Why it is "
        "halted stands on the overview and in `peak-observe trading status`.",
        keys,
        [
            ("State", _number(*keys), style.state(STATE_TEXTS)),
            ("Changed ago", lowest(ago(catalog.TRADING_CHANGED_TIMESTAMP_SECONDS), *keys), AGE),
            ("Refused", total(increase(catalog.TRADING_REFUSED_TOTAL), *keys), style.bad(AMBER)),
            ("Reasons", total(select(catalog.TRADING_REASON), *keys), style.bad()),
        ],
        empty=NO_SWITCH,
        size=(12, 6),
    )


def _guards() -> list[Json]:
    return [
        panels.timeseries(
            "Headroom of guards",
            "Share of each guard's tightest limit that is left. At 0 it trips; below 20 % an alert says so.",
            [query(lowest(select(catalog.GUARD_HEADROOM_RATIO), "guard"), "{{guard}}")],
            "percentunit",
            empty=NO_GUARD,
            maximum=1,
        ),
        panels.timeseries(
            "Trips of guards by limit",
            "Limits that were exceeded. Each wants a look at the account before trading is resumed.",
            [
                query(
                    total(step_increase(catalog.GUARD_TRIPS_TOTAL), "guard", "reason"),
                    "{{guard}} {{reason}}",
                )
            ],
            "short",
            empty=NO_GUARD,
            bars=True,
        ),
        panels.timeseries(
            "Calls refused by switches",
            "Calls a second that were not made, as trading was halted or reduced. A bot that goes on asking does not "
            "read the error.",
            [query(total(rate(catalog.TRADING_REFUSED_TOTAL), "switch"), "{{switch}}")],
            "ops",
            empty=NO_SWITCH,
        ),
    ]


def _account() -> list[Json]:
    return [
        panels.timeseries(
            "Equity by account",
            "As the program last reported it, in the account's own currency; a flat line may be a program "
            "that reports nothing.",
            [query(worst(select(catalog.ACCOUNT_EQUITY), "account"), "{{account}}")],
            "none",
            empty=NO_EQUITY,
            width=12,
        ),
        panels.timeseries(
            "Drawdown by account",
            "Share of its highest equity that the account has lost; restarts of the program change nothing.",
            [query(worst(select(catalog.ACCOUNT_DRAWDOWN_RATIO), "account"), "{{account}}")],
            "percentunit",
            empty=NO_EQUITY,
            width=12,
        ),
    ]
