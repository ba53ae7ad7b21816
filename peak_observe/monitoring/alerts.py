"""Alert files: rules for Prometheus and for Grafana, the runbook, and the delivery."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from peak_observe.monitoring import grafana_rules, provisioning, rules, runbook_text
from peak_observe.monitoring.alert_files import Links, document, texts
from peak_observe.monitoring.rules.rule import of_trouble
from peak_observe.support.atomic_files import replace_text

if TYPE_CHECKING:
    from pathlib import Path

    from peak_observe.monitoring.rules.rule import Alert, Group, Recording


def prometheus_rules(links: Links) -> str:
    """Return the rules for Prometheus, as the YAML that `rule_files` takes."""
    return document({"groups": [_group(group, links) for group in rules.GROUPS]})


def _group(group: Group, links: Links) -> dict[str, Any]:
    troubles = group.troubles
    recorded = [_recording(recording) for recording in (*group.recordings, *troubles.values())]
    alerting = [_rule(alert, troubles.get(alert.expression), texts(alert, group, links)) for alert in group.alerts]
    return {
        "name": f"peak_observe.{group.name}",
        **({"interval": group.every} if group.every else {}),
        "rules": [*recorded, *alerting],
    }


def _recording(recording: Recording) -> dict[str, Any]:
    labels = {"labels": dict(recording.labels)} if recording.labels else {}
    return {"record": recording.name, "expr": recording.expression, **labels}


def _rule(alert: Alert, trouble: Recording | None, told: dict[str, str]) -> dict[str, Any]:
    return {
        "alert": alert.name,
        "expr": of_trouble(trouble) if trouble else alert.expression,
        "for": alert.lasting,
        **({"keep_firing_for": alert.keep} if alert.keep else {}),
        "labels": {"severity": alert.severity},
        "annotations": told,
    }


def write(directory: Path, links: Links) -> list[Path]:
    """Write rules, runbook, provisioning and examples below `directory`, each by one rename, and return the paths.

    Raises:
        OSError: The folder or a file cannot be written.
    """
    written = {
        "alerts/peak-observe.rules.yaml": prometheus_rules(links),
        "RUNBOOK.md": runbook_text.runbook(),
        **grafana_rules.files(links),
        **provisioning.files(),
    }
    for name, text in written.items():
        replace_text(directory / name, text)
    return [directory / name for name in written]
