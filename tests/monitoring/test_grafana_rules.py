"""Grafana's own rules are the same as Prometheus', in the form that its file provisioning takes."""

import re
from pathlib import Path
from typing import Any

import pytest

from peak_observe.monitoring import rules
from tests.conftest import read_yaml

GRAFANA = Path(__file__).parents[2] / "grafana"
ALERTING = GRAFANA / "provisioning" / "alerting"


def read(path: Path) -> Any:
    """Return what a YAML file holds."""
    return read_yaml(path.read_text(encoding="utf-8"))


GROUPS = read(ALERTING / "rules.yaml")["groups"]
MANAGED = [rule for group in GROUPS for rule in group["rules"]]
PROMETHEUS = read(GRAFANA / "alerts" / "peak-observe.rules.yaml")["groups"]
ALERTS = [rule for group in PROMETHEUS for rule in group["rules"] if "alert" in rule]
PAIRS = list(zip(MANAGED, ALERTS, strict=True))
DURATION = re.compile(r"\d+[smhd]")


@pytest.mark.parametrize(("managed", "alert"), PAIRS, ids=[managed["uid"] for managed in MANAGED])
def test_a_rule_is_that_of_prometheus(managed: dict[str, Any], alert: dict[str, Any]) -> None:
    """The same expression, with what is recorded written out, the same patience, and the same words."""
    query = managed["data"][0]["model"]
    assert query["expr"] == rules.expanded(alert["expr"])
    assert ":" not in re.sub(r'"[^"]*"|\[\w+:\w+\]', "", query["expr"])
    assert (managed["for"], managed.get("keepFiringFor")) == (alert["for"], alert.get("keep_firing_for"))
    assert managed["labels"] == {**alert["labels"], "alert": alert["alert"]}
    told = {key: text.replace("$values.A.Value", "$value") for key, text in managed["annotations"].items()}
    assert told == alert["annotations"]


@pytest.mark.parametrize("rule", MANAGED, ids=lambda rule: rule["uid"])
def test_a_rule_has_what_grafana_needs(rule: dict[str, Any]) -> None:
    """An instant query of the data source that is provisioned, a condition over it, and what to do without data."""
    assert set(rule) - {"keepFiringFor"} == {
        "uid", "title", "condition", "data", "noDataState", "execErrState", "for", "labels", "annotations", "isPaused"
    }  # fmt: skip
    assert re.fullmatch(r"[a-z0-9-]{1,40}", rule["uid"])
    assert len(rule["title"]) <= 190
    assert rule["noDataState"] == "OK"
    assert rule["execErrState"] in {"KeepLast", "Error"}
    assert DURATION.fullmatch(rule["for"])
    query, condition = rule["data"]
    (source, *_) = read(GRAFANA / "provisioning" / "datasources" / "prometheus.yaml")["datasources"]
    assert (query["datasourceUid"], query["model"]["instant"], query["model"]["range"]) == (source["uid"], True, False)
    assert query["relativeTimeRange"]["from"] > query["relativeTimeRange"]["to"] == 0
    assert (condition["datasourceUid"], condition["refId"]) == ("__expr__", rule["condition"])
    assert condition["model"] == {"refId": "C", "type": "math", "expression": f"is_number(${query['refId']})"}
    assert query["refId"] == query["model"]["refId"] == "A"


def test_names_are_used_once() -> None:
    """Grafana refuses two rules of one uid, and two of one title in a folder."""
    for key in ("uid", "title"):
        assert len({rule[key] for rule in MANAGED}) == len(MANAGED)
    assert len({group["name"] for group in GROUPS}) == len(GROUPS)
    assert {(group["orgId"], group["folder"], group["interval"]) for group in GROUPS} == {(1, "peak_observe", "1m")}


def test_nothing_is_taken_for_a_variable() -> None:
    """Grafana puts environment variables into all values but queries, and into annotations where there are braces."""
    for rule in MANAGED:
        assert "${" not in str(rule["annotations"])
        assert "$" not in str({key: value for key, value in rule.items() if key not in ("annotations", "data")})


def test_the_watch_over_the_watchers_notices_a_dead_data_source() -> None:
    """One alert says so, not all of them."""
    assert [rule["labels"]["alert"] for rule in MANAGED if rule["execErrState"] == "Error"] == ["PeakExporterAbsent"]


def test_only_what_grafana_reads_is_provisioned() -> None:
    """It does not start with a file of another suffix there, and policies would replace those of others."""
    assert {path.name for path in ALERTING.iterdir()} == {"rules.yaml", "contact-points.yaml"}


def test_the_example_of_policies_leads_to_the_contact_point() -> None:
    """Each route does, the watchdog's and the critical ones' too."""
    (contact,) = read(ALERTING / "contact-points.yaml")["contactPoints"]
    (receiver,) = contact["receivers"]
    assert (receiver["type"], receiver["settings"]["url"]) == ("webhook", "https://alerts.invalid/grafana")
    assert re.fullmatch(r"[a-z0-9-]{1,40}", receiver["uid"])
    (policy,) = read(GRAFANA / "policies.example.yaml")["policies"]
    assert {policy["receiver"], *(route["receiver"] for route in policy["routes"])} == {contact["name"]}
    assert [route["matchers"] for route in policy["routes"]] == [
        ["alert = PeakWatchdog"], ["severity = critical"], ["severity = info"]
    ]  # fmt: skip
