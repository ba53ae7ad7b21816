"""The files that alert people: rules for Prometheus, and the runbook that their links lead to."""

from __future__ import annotations

import json
from itertools import groupby
from typing import TYPE_CHECKING

from peak_observe.files import replace_text
from peak_observe.monitoring.alert_rules import Alert, alerts

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def rules(*, runbook_url: str, dashboard_url: str) -> str:
    """Return the rules for Prometheus, as the YAML that `rule_files` takes.

    Args:
        runbook_url: Where the runbook can be read; the name of the alert is appended.
        dashboard_url: Where the dashboard can be seen.
    """
    lines = [
        "# Made by `peak-observe grafana write`: change peak_observe/monitoring/alert_rules.py instead.",
        "groups:",
    ]
    for group, members in groupby(alerts(), key=lambda alert: alert.group):
        lines += [f"  - name: peak_observe.{group}", "    rules:"]
        for alert in members:
            lines += _rule(alert, f"{runbook_url}#{alert.name.lower()}", dashboard_url)
    return "\n".join(lines) + "\n"


def _rule(alert: Alert, runbook_url: str, dashboard_url: str) -> Iterator[str]:
    yield f"      - alert: {alert.name}"
    yield f"        expr: {json.dumps(alert.expression)}"
    yield f"        for: {alert.lasting}"
    if alert.keep:
        yield f"        keep_firing_for: {alert.keep}"
    yield f"        labels: {{severity: {alert.severity}}}"
    yield "        annotations:"
    yield f"          summary: {json.dumps(alert.summary)}"
    yield f"          description: {json.dumps(alert.description)}"
    yield f"          runbook_url: {json.dumps(runbook_url)}"
    yield f"          dashboard_url: {json.dumps(dashboard_url)}"


def runbook() -> str:
    """Return the runbook: one section an alert, with what it means, where to look first, and the mend."""
    lines = [
        "# Runbook",
        "",
        "What each alert means, where to look first, and what to do.",
        "Made by `peak-observe grafana write` from `peak_observe/monitoring/alert_rules.py`.",
    ]
    for group, members in groupby(alerts(), key=lambda alert: alert.group):
        lines += ["", f"## {group.capitalize()}"]
        for name, same in groupby(members, key=lambda alert: alert.name):
            lines += _section(name, list(same))
    return "\n".join(lines) + "\n"


def _section(name: str, same: list[Alert]) -> Iterator[str]:
    first = same[0]
    levels = ", ".join(f"{alert.severity} {_after(alert.lasting)}" for alert in same)
    yield from ("", f"### {name}", "", f"{levels.capitalize()}.", "")
    yield f"- **Meaning.** {first.meaning}"
    yield f"- **First look.** {first.look}"
    yield f"- **Mend.** {first.mend}"


def _after(lasting: str) -> str:
    return "at once" if lasting == "0m" else f"after {lasting}"


def write(directory: Path, *, runbook_url: str, dashboard_url: str) -> list[Path]:
    """Write rules and runbook below `directory`, each by one rename, and return the paths.

    Raises:
        OSError: The folder or a file cannot be written.
    """
    texts = {
        directory / "alerts" / "peak-observe.rules.yaml": rules(runbook_url=runbook_url, dashboard_url=dashboard_url),
        directory / "RUNBOOK.md": runbook(),
    }
    for path, text in texts.items():
        replace_text(path, text)
    return list(texts)
