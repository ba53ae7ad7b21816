"""Dashboards are what the published types of Grafana 11 to 13 say, and provisioning has the fields that Grafana reads.

`grafana_types/` holds the types of `@grafana/schema`; `grafana_types/extract.js` writes them.
"""

import json
from pathlib import Path
from typing import Any

import pytest

from peak_observe.monitoring import dashboard_files, grafana_rules, provisioning
from peak_observe.monitoring.alert_files import Links
from peak_observe.monitoring.dashboard import every_panel
from tests.conftest import read_yaml
from tests.monitoring.operator_schema import complaints

FOLDER = Path(__file__).parent / "grafana_types"
VERSIONS = {path.stem: json.loads(path.read_text()) for path in sorted(FOLDER.glob("*.json"))}
BOARDS = dashboard_files.dashboards(runbook_url="https://wiki.test/runbook")
PLAIN = {"string": str, "boolean": bool, "number": (int, float), "null": type(None)}
# What Grafana reads, and its published types do not have: annotations of Prometheus are a type of that data source, and
# Grafana itself writes the text of a variable's query twice.
BEYOND = {"expr", "titleFormat", "textFormat", "definition"}

each_version = pytest.mark.parametrize("version", VERSIONS)


def against(value: Any, kind: Any, objects: dict[str, Any], path: str) -> list[str]:
    """Return what a value has that its published type does not allow."""
    if isinstance(kind, str):
        right = kind == "any" or (isinstance(value, PLAIN[kind]) and (kind == "boolean") >= isinstance(value, bool))
        return [] if right else [f"{path} is no {kind}: {value!r}"]
    if isinstance(kind, list):
        return [] if value in kind else [f"{path} is none of {kind}: {value!r}"]
    if "any" in kind:
        tried = [against(value, one, objects, path) for one in kind["any"]]
        return [] if [] in tried else min(tried, key=lambda said: (said[0].startswith(f"{path} is no"), len(said)))
    if "object" in kind:
        return of_object(value, objects[kind["object"]], objects, path)
    parts = value if isinstance(value, list) else []
    said = [said for n, one in enumerate(parts) for said in against(one, kind["array"], objects, f"{path}.{n}")]
    return said if isinstance(value, list) else [f"{path} is no list"]


def of_object(value: Any, described: dict[str, Any], objects: dict[str, Any], path: str) -> list[str]:
    """Return what an object has that its published type does not allow, or lacks."""
    if not isinstance(value, dict):
        return [f"{path} is no object"]
    fields = {name.removesuffix("!"): kind for name, kind in described["fields"].items()}
    said = [
        f"{path}.{name[:-1]} is missing"
        for name in described["fields"]
        if name.endswith("!") and name[:-1] not in value
    ]
    for name, one in value.items():
        kind = fields.get(name, described.get("others"))
        if kind is not None:
            said += against(one, kind, objects, f"{path}.{name}")
        elif described["fields"] and name not in BEYOND:
            said.append(f"{path}.{name} is unknown")
    return said


@each_version
@pytest.mark.parametrize("board", BOARDS)
def test_a_dashboard_is_of_the_published_type(version: str, board: str) -> None:
    """Every field of it, of its variables, marks, links, rows and panels."""
    known = VERSIONS[version]
    assert against(BOARDS[board], {"object": known["types"]["dashboard"]}, known["objects"], board) == []


@each_version
@pytest.mark.parametrize("board", BOARDS)
def test_panels_have_the_options_of_their_kind(version: str, board: str) -> None:
    """With the settings of fields that are the kind's own."""
    known = VERSIONS[version]
    said = []
    for panel in every_panel(BOARDS[board]):
        kind, path = panel["type"], f"{board}: {panel['title']}"
        said += against(panel["options"], {"object": known["types"][kind]}, known["objects"], f"{path}.options")
        custom = panel["fieldConfig"]["defaults"].get("custom", {})
        if f"{kind}-custom" in known["types"]:
            own = {"object": known["types"][f"{kind}-custom"]}
            said += against(custom, own, known["objects"], f"{path}.custom")
    # What is missing has a default, which Grafana takes; its types do not tell them apart.
    assert [found for found in said if not found.endswith("is missing")] == []


@each_version
def test_the_types_know_what_is_wrong(version: str) -> None:
    """A value that there is not, one of another type, an unknown field."""
    known = VERSIONS[version]
    board = json.loads(json.dumps(BOARDS["peak-overview.json"]))
    board["panels"][0]["fieldConfig"]["defaults"]["thresholds"]["mode"] = "relative"
    board["panels"][1]["title"] = 7
    board["surprise"] = True
    said = against(board, {"object": known["types"]["dashboard"]}, known["objects"], "board")
    assert {found.partition(" ")[0].rpartition(".")[2] for found in said} >= {"surprise"}
    assert len(said) >= 3


DATASOURCE = {
    "name!": str,
    "uid": str,
    "type!": str,
    "access": str,
    "orgId": int,
    "url": str,
    "isDefault": bool,
    "editable": bool,
    "version": int,
    "jsonData": {
        "httpMethod": str,
        "prometheusType": str,
        "timeInterval": str,
        "manageAlerts": bool,
        "alertmanagerUid": str,
        "implementation": str,
        "handleGrafanaManagedAlerts": bool,
    },
    "secureJsonData": {"*": str},
}
PROVIDER = {
    "name!": str,
    "orgId": int,
    "folder": str,
    "folderUid": str,
    "type!": str,
    "disableDeletion": bool,
    "updateIntervalSeconds": int,
    "allowUiUpdates": bool,
    "options!": {"path!": str, "foldersFromFilesStructure": bool},
}
RANGE = {"from!": int, "to!": int}
MODEL = {"refId!": str, "expr": str, "instant": bool, "range": bool, "type": str, "expression": str}
QUERY = {"refId!": str, "datasourceUid!": str, "queryType": str, "relativeTimeRange": RANGE, "model!": MODEL}
RULE = {
    "uid!": str,
    "title!": str,
    "condition!": str,
    "data!": [QUERY],
    "noDataState": str,
    "execErrState": str,
    "for": str,
    "keepFiringFor": str,
    "labels": {"*": str},
    "annotations": {"*": str},
    "isPaused": bool,
}
ROUTE = {
    "receiver": str,
    "group_by": [str],
    "matchers": [str],
    "group_wait": str,
    "group_interval": str,
    "repeat_interval": str,
    "continue": bool,
}
RECEIVER = {"uid!": str, "type!": str, "settings!": {"url": str, "httpMethod": str}, "disableResolveMessage": bool}
FILES = {
    "provisioning/datasources/prometheus.yaml": {"apiVersion!": int, "datasources!": [DATASOURCE]},
    "provisioning/dashboards/peak-observe.yaml": {"apiVersion!": int, "providers!": [PROVIDER]},
    "provisioning/alerting/contact-points.yaml": {
        "apiVersion!": int,
        "contactPoints!": [{"orgId": int, "name!": str, "receivers!": [RECEIVER]}],
    },
    "policies.example.yaml": {"apiVersion!": int, "policies!": [{**ROUTE, "orgId": int, "routes": [ROUTE]}]},
    "provisioning/alerting/rules.yaml": {
        "apiVersion!": int,
        "groups!": [{"orgId": int, "name!": str, "folder!": str, "interval!": str, "rules!": [RULE]}],
    },
}


@pytest.mark.parametrize("name", FILES)
def test_provisioning_has_the_fields_that_grafana_reads(name: str) -> None:
    """Each is one of its documentation, with the type that it has there."""
    written = {**provisioning.grafana(), **grafana_rules.by_hand(), **grafana_rules.generated(Links())}
    assert complaints(read_yaml(written[name]), FILES[name]) == []


def test_no_provisioning_is_left_out() -> None:
    """A new file has its fields above."""
    assert set(FILES) == {*provisioning.grafana(), *grafana_rules.by_hand(), *grafana_rules.generated(Links())}
