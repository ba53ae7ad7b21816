"""May we trade? The answer and its reasons, from what the alerts wait for."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from peak_observe import catalog
from peak_observe.monitoring import panels, style, tables
from peak_observe.monitoring.promql import ALERTS, TROUBLES, WATCHED, select, total
from peak_observe.monitoring.rules import alerts
from peak_observe.monitoring.rules.rule import LOOK, NO
from peak_observe.monitoring.style import AMBER, GREEN, RED, YELLOW, Json

if TYPE_CHECKING:
    from collections.abc import Iterator

SILENCE = "nothing answers"
# A label of a primitive names what the trouble is with; only an exchange comes with another, endpoint or stream,
# and a switch with the reason of its halt.
_NAMED = (
    "breaker",
    "operation",
    "check",
    "task",
    "switch",
    "guard",
    "reason",
    "exchange",
    "endpoint",
    "stream",
    "repository",
    "source",
    "kind",
    "group",
)

_IN_CODE = re.compile(r" \(`[^`]*`\)")  # where something is set is for the runbook: the table has little room


def tile() -> Json:
    """Return the tile that says yes only while something that trades tells of itself, and nothing of trouble."""
    found = {verdict: _count(verdict) for verdict in (NO, LOOK)}
    answers = {0: ("YES", GREEN), 1: ("LOOK", YELLOW), 2: ("NO", RED), 3: ("NO", RED)}
    return panels.stat(
        "May we trade?",
        "No: something that a critical alert waits for is wrong, or nothing answers. Look: something that a warning "
        "waits for. The reasons stand beside it. It reads the same recording rules as the alerts, so it says no "
        "where Prometheus has not loaded them.",
        f"(2 + 0 * {found[NO]}) or (vector(3) unless on () {_answers()}) or (1 + 0 * {found[LOOK]}) or vector(0)",
        "none",
        steps={YELLOW: 1, RED: 2},
        empty="NO DATA",
        mappings=style.mapped(answers),
    )


def _answers() -> str:
    """Return an expression that is there while the rules run and something that trades tells of itself."""
    traders = (catalog.BREAKER_STATE, catalog.HEALTH_CHECK_HEALTHY, catalog.EXCHANGE_BANNED_UNTIL_TIMESTAMP_SECONDS)
    told = " or ".join(select(metric) for metric in traders)
    return f"(count({select(WATCHED)}) and on () count({told}))"


def _count(verdict: str) -> str:
    matcher = f'verdict="{verdict}"'
    return f"count({select(TROUBLES, matcher)})"


def reasons() -> Json:
    """Return the table of what is wrong, the worst first."""
    silent = f'label_replace(label_replace(vector(1), "alert", "{SILENCE}", "", ""), "verdict", "{NO}", "", "")'
    nothing = f"{silent} unless on () {_answers()}"
    keys = {"verdict": "Trade?", "alert": "Why", **{name: name.capitalize() for name in _NAMED}}
    keys |= {"process": "Process", "instance": "Instance"}
    kept = ", ".join(keys)
    no, look = (select(TROUBLES, f'verdict="{verdict}"') for verdict in (NO, LOOK))
    found = f"{no} or ({look} unless ignoring (severity, verdict) {no})"  # a warning says no more than its twin
    shown = tables.table(
        "Why not?",
        "Everything that speaks against it now, the worst first; the runbook has a section for each. Nothing here: "
        "no alert waits for anything.",
        keys,
        [("Count", f"count by ({kept}) ({found}) or {nothing}", {})],
        empty="nothing is wrong",
        size=(20, 6),
        sort="Trade?",
    )
    shown["transformations"][1]["options"]["excludeByName"]["Value"] = True  # it is 1 for each
    verdicts = {LOOK: ("LOOK", YELLOW), NO: ("NO", RED)}
    shown["fieldConfig"]["overrides"] += [
        panels.override("Trade?", mappings=_texts(verdicts), custom__width=80, **style.BACKGROUND),
        panels.override("Why", mappings=_texts(dict(_meanings())), custom__width=520),
    ]
    return shown


def _meanings() -> Iterator[tuple[str, tuple[str, str]]]:
    for alert in reversed(alerts()):  # of twins, the words of the first stay
        yield alert.name, (_IN_CODE.sub("", alert.when), "text")
    yield SILENCE, ("nothing that trades answers, or the rules are not loaded", "text")


def _texts(texts: dict[str, tuple[str, str]]) -> list[Json]:
    options = {key: {"text": text, "color": color, "index": n} for n, (key, (text, color)) in enumerate(texts.items())}
    return [{"type": "value", "options": options}]


def firing(link: Json | None = None) -> Json:
    """Return the tile that counts alerts."""
    matchers = ('alertstate="firing"', 'alertname=~"Peak.+"', 'severity!="info"')
    return panels.stat(
        "Alerts firing",
        "Alerts that have waited long enough and fire, whether silenced or not. Each has a section in the runbook.",
        f"{total(select(ALERTS, *matchers))} or 0 * count({select(WATCHED)})",
        "none",
        steps={AMBER: 1},
        empty="no rules",
        link=link,
    )
