"""Alerting and recording rules for Prometheus."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from peak_observe.monitoring import rules
from peak_observe.monitoring.alert_files import GENERATED, Links, document, texts
from peak_observe.monitoring.rules.rule import of_trouble

if TYPE_CHECKING:
    from peak_observe.monitoring.rules.rule import Alert, Group, Recording


def prometheus_rules(links: Links) -> str:
    """Return the rules for Prometheus, as the YAML that `rule_files` takes."""
    return document({"groups": groups(links)}, GENERATED)


def groups(links: Links) -> list[dict[str, Any]]:
    """Return the groups of rules."""
    return [_group(group, links) for group in rules.GROUPS]


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
