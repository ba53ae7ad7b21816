"""Runbook, generated from the alerts: meaning, first look, and mend."""

from __future__ import annotations

from itertools import groupby
from operator import attrgetter
from typing import TYPE_CHECKING

from peak_observe.monitoring import rules

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from peak_observe.monitoring.rules.rule import Alert

TITLE = """\
# Runbook

For each alert: its meaning, where to look first, and the action. *Critical* wakes somebody, *warning* can wait.
Every alert carries a link to its section here and one to the dashboard of its subject.

Made by `peak-observe monitoring write` from `peak_observe/monitoring/rules/`.
"""


def runbook() -> str:
    """Return the table of all alerts, and one section for each."""
    lines = [TITLE, "| alert | severity | when |", "|---|---|---|"]
    for name, same in named(rules.alerts()):
        severities = ", ".join(f"{alert.severity} {_after(alert.lasting)}" for alert in same)
        lines.append(f"| [{name}](#{name.lower()}) | {severities} | {_when(same)} |")
    for group in filter(attrgetter("alerts"), rules.GROUPS):
        lines += ["", f"## {group.name.capitalize()}"]
        lines += ["", group.notes] if group.notes else []
        for name, same in named(group.alerts):
            lines += _section(name, same)
    return "\n".join(lines) + "\n"


def named(alerts: Iterable[Alert]) -> Iterator[tuple[str, list[Alert]]]:
    """Yield each name with the alerts that have it, one a severity."""
    for name, same in groupby(alerts, key=lambda alert: alert.name):
        yield name, list(same)


def _when(same: list[Alert]) -> str:
    return "; ".join(dict.fromkeys(alert.when for alert in same))


def _after(lasting: str) -> str:
    return "at once" if lasting == "0m" else f"after {lasting}"


def _section(name: str, same: list[Alert]) -> Iterator[str]:
    alert = same[0]
    yield from ("", f"### {name}", "")
    yield f"- **Meaning.** {alert.meaning}"
    yield f"- **First look.** {alert.look}"
    yield f"- **Mend.** {alert.mend}"
    yield from ("", "What it finds now:", "", "```promql")
    yield from dict.fromkeys(alert.expression for alert in same)
    yield "```"
