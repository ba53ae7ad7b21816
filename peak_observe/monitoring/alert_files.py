"""Helpers of all alert files: writing them, labels and annotations."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import yaml

from peak_observe.monitoring.rules.rule import spoken

if TYPE_CHECKING:
    from peak_observe.monitoring.rules.rule import Alert, Group

MADE = "# Made by `peak-observe grafana write`: change peak_observe/monitoring/ instead.\n"


class Links(NamedTuple):
    """Links of an alert: runbook and dashboard.

    Args:
        runbook: Where the runbook can be read; the name of the alert is appended.
        grafana: Where Grafana can be seen.
    """

    runbook: str
    grafana: str


def document(content: object, *, comment: str = "") -> str:
    """Return a YAML file that says what it is made from."""
    text: str = yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=10_000)
    return f"{MADE}{comment}{text}"


def texts(alert: Alert, group: Group, links: Links) -> dict[str, str]:
    """Return what an alert tells: what is wrong, by how much, and where to read and see more."""
    subject = alert.subject
    chosen = f"?var-{subject}={{{{ $labels.{subject} | urlquery }}}}" if subject else ""
    return {
        "summary": alert.summary,
        "description": alert.description.replace("{lasting}", spoken(alert.lasting)),
        "runbook_url": f"{links.runbook}#{alert.name.lower()}",
        "dashboard_url": f"{links.grafana.rstrip('/')}/d/{group.dashboard}{chosen}",
    }
