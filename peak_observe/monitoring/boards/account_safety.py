"""Dashboard section of what guards an account: dead man's switch, single instance, API key, books."""

from __future__ import annotations

from peak_observe import catalog
from peak_observe.monitoring import panels, tables
from peak_observe.monitoring.promql import ago, by_our_clock, increase, lowest, select, total, worst
from peak_observe.monitoring.style import AGE, AMBER, COUNT, EVERY, GREEN, RED, Json, bad, state, unknown

HALF = (12, 6)
_EXPIRES = catalog.DEADMAN_EXPIRES_TIMESTAMP_SECONDS
_HELD_TEXTS = {0: ("lost", RED), 1: ("held", GREEN)}
_LEFT: Json = {"unit": "s", "decimals": 0, "mappings": unknown("not armed")}
_NEVER: Json = {"unit": "s", "decimals": 0, "mappings": unknown("never")}
_WHERE = {"process": "Process", "job": "Job", "instance": "Instance"}
_KEYS = {"exchange": "Exchange", **_WHERE}


def account_safety() -> list[Json]:
    """Return the row with its tables."""
    return [panels.row("Account safety"), _switches(), _instances(), _keys(), _books()]


def _increase(metric: catalog.Metric, outcome: str) -> str:
    chosen = f'outcome="{outcome}"'
    return total(increase(metric, chosen), *_KEYS)


def _switches() -> Json:
    def beats(outcome: str) -> str:
        return _increase(catalog.DEADMAN_BEATS_TOTAL, outcome)

    left = f"{by_our_clock(f'{select(_EXPIRES)} / ({select(_EXPIRES)} > bool 0)')} - time()"
    return tables.table(
        "Dead man's switches",
        "When the exchange cancels all orders unless a beat comes before; below 0 it has. Withheld: the program's own "
        "heartbeat was stale. Failed: the exchange did not take it.",
        _KEYS,
        [
            ("Cancels in", lowest(left, *_KEYS), _LEFT),
            ("Beats", beats("success"), COUNT),
            ("Failed", beats("failed"), bad(AMBER)),
            ("Withheld", beats("withheld"), bad(RED)),
        ],
        empty="no dead man's switch",
        size=HALF,
    )


def _instances() -> Json:
    keys = {"lock": "Lock", **_WHERE}
    return tables.table(
        "Single instances",
        "Names and accounts that only one process may hold. Lost: its file was removed, and a second copy may start. "
        "Refused: how often a second copy was started.",
        keys,
        [
            ("State", lowest(select(catalog.INSTANCE_HELD), *keys), state(_HELD_TEXTS)),
            ("Refused", total(increase(catalog.INSTANCE_REFUSED_TOTAL), *keys), bad(AMBER)),
        ],
        empty="no lock is held",
        size=HALF,
    )


def _keys() -> Json:
    def may(permission: str) -> str:
        chosen = f'permission="{permission}"'
        return worst(select(catalog.EXCHANGE_KEY_PERMISSION, chosen), *_KEYS)

    expires = f"{select(catalog.EXCHANGE_KEY_EXPIRES_TIMESTAMP_SECONDS)} - time()"
    yes = {0: ("no", GREEN), 1: ("yes", GREEN)}
    return tables.table(
        "API keys",
        "What the exchange says that its key may do. A key that may withdraw is worth stealing: take that right away.",
        _KEYS,
        [
            ("Trade", may("trade"), state(yes)),
            ("Transfer", may("transfer"), state(yes | {1: ("yes", AMBER)})),
            ("Withdraw", may("withdraw"), state(yes | {1: ("yes", RED)})),
            ("Expires in", lowest(expires, *_KEYS), _NEVER),
        ],
        empty="no check of a key",
        size=HALF,
    )


def _books() -> Json:
    def runs(outcome: str) -> str:
        return _increase(catalog.RECONCILE_RUNS_TOTAL, outcome)

    return tables.table(
        "Books",
        "Differences between what a program believes and what its exchange says, by the last comparison. Any at all: "
        "do not trade, the log names them.",
        _KEYS,
        [
            ("Differences", total(select(catalog.RECONCILE_DIFFERENCES), *_KEYS), bad(RED)),
            ("Differed", runs("differed"), bad(AMBER)),
            ("Failed", runs("failed"), bad(AMBER)),
            ("Compared ago", lowest(ago(catalog.RECONCILE_LAST_SUCCESS_TIMESTAMP_SECONDS), *_KEYS), AGE),
            ("Every", worst(select(catalog.RECONCILE_INTERVAL_SECONDS), *_KEYS), EVERY),
        ],
        empty="no books are compared",
        size=HALF,
    )
