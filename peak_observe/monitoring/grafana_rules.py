"""Grafana-managed alert rules, for those without an Alertmanager.

A file that provisions policies replaces all that Grafana has, so ours is an example, and lies where Grafana does not
look: it does not start with a file of another suffix among those that it provisions.
Recordings are put into the expressions: Grafana's own need a data source that can be written to.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from peak_observe.monitoring import rules
from peak_observe.monitoring.alert_files import BY_HAND, GENERATED, Links, document, texts
from peak_observe.monitoring.provisioning import DATASOURCE_UID, FOLDER
from peak_observe.monitoring.rules.rule import CRITICAL, INFO

if TYPE_CHECKING:
    from peak_observe.monitoring.rules.rule import Alert, Group

EVERY = "1m"
CONTACT = "peak_observe"
URL = "https://alerts.invalid/grafana"
POLICIES = """\
# An example. Provisioned policies replace Grafana's whole tree of them, also what others made: take the routes over by
# hand, or copy this file to provisioning/alerting/policies.yaml if nobody else has alerts in this Grafana.
"""
_VALUE = re.compile(r"\$value\b")


def generated(links: Links) -> dict[str, str]:
    """Return the rules by their path below the folder that is written."""
    return {"provisioning/alerting/rules.yaml": document({"apiVersion": 1, "groups": groups(links)}, GENERATED)}


def by_hand() -> dict[str, str]:
    """Return the files that are to be edited, by their paths below the folder that is written."""
    contacts, policies = [_contact()], [_policy()]
    return {
        "provisioning/alerting/contact-points.yaml": document({"apiVersion": 1, "contactPoints": contacts}, BY_HAND),
        "policies.example.yaml": document({"apiVersion": 1, "policies": policies}, BY_HAND + POLICIES),
    }


def groups(links: Links) -> list[dict[str, Any]]:
    """Return the groups of rules as Grafana's file provisioning takes them."""
    return [
        {
            "orgId": 1,
            "name": f"peak_observe.{group.name}",
            "folder": FOLDER,
            "interval": EVERY,
            "rules": [_rule(alert, group, links) for alert in group.alerts],
        }
        for group in rules.GROUPS
        if group.alerts
    ]


def _rule(alert: Alert, group: Group, links: Links) -> dict[str, Any]:
    return {
        "uid": f"{alert.name}-{alert.severity}".lower(),
        "title": f"{alert.name} ({alert.severity})",
        "condition": "C",
        "data": [_query(alert.expression), _condition()],
        # The queries find what is wrong, so finding nothing is well; that nothing is scraped is an alert of its own.
        "noDataState": "OK",
        "execErrState": "Error" if alert.name == "PeakExporterAbsent" else "KeepLast",
        "for": alert.lasting,
        **({"keepFiringFor": alert.keep} if alert.keep else {}),
        "labels": {"severity": alert.severity, "alert": alert.name},
        "annotations": {key: _spelled(text) for key, text in texts(alert, group, links, "from=now-3h&to=now").items()},
        "isPaused": False,
    }


def _spelled(text: str) -> str:
    # $value is a text of all values in Grafana; the number is this.
    return _VALUE.sub("$values.A.Value", text)


def _query(expression: str) -> dict[str, Any]:
    return {
        "refId": "A",
        "datasourceUid": DATASOURCE_UID,
        "relativeTimeRange": {"from": 600, "to": 0},
        "model": {"refId": "A", "expr": rules.expanded(expression), "instant": True, "range": False},
    }


def _condition() -> dict[str, Any]:
    # Whatever is found is wrong, also a 0, such as that of a process that is gone.
    return {
        "refId": "C",
        "datasourceUid": "__expr__",
        "relativeTimeRange": {"from": 0, "to": 0},
        "model": {"refId": "C", "type": "math", "expression": "is_number($A)"},
    }


def _contact() -> dict[str, Any]:
    settings = {"url": URL, "httpMethod": "POST"}
    receiver = {"uid": "peak-observe-webhook", "type": "webhook", "settings": settings}
    return {"orgId": 1, "name": CONTACT, "receivers": [receiver]}


def _policy() -> dict[str, Any]:
    return {
        "orgId": 1,
        "receiver": CONTACT,
        "group_by": ["grafana_folder", "job", "instance", "process"],
        "group_wait": "30s",
        "group_interval": "5m",
        "repeat_interval": "12h",
        "routes": [
            {
                "receiver": CONTACT,
                "matchers": ["alert = PeakWatchdog"],
                "group_wait": "0s",
                # As in Alertmanager: an interval as long as the repetition would double it.
                "group_interval": "1m",
                "repeat_interval": "5m",
            },
            {"receiver": CONTACT, "matchers": [f"severity = {CRITICAL}"], "repeat_interval": "1h"},
            {"receiver": CONTACT, "matchers": [f"severity = {INFO}"], "repeat_interval": "1d"},
        ],
    }
