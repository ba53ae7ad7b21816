"""Frame of a dashboard: variables, annotations and links."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from peak_observe import catalog
from peak_observe.monitoring.panels import DATASOURCE, WIDTH
from peak_observe.monitoring.promql import TARGET, VARIABLES, changes, without, worst
from peak_observe.monitoring.style import AMBER, BLUE, GREEN, PURPLE, RED, YELLOW, Json

if TYPE_CHECKING:
    from collections.abc import Iterator

    from peak_observe.catalog import Metric

TAG = "peak-observe"

# The label of each variable on the screen, and the metric that knows its values from the first moment on.
CHOICES = {
    "process": ("Process", catalog.OBSERVE_BUILD_INFO),
    "breaker": ("Circuit", catalog.BREAKER_STATE),
    "operation": ("Operation", catalog.RETRY_MAX_ATTEMPTS),
    "exchange": ("Exchange", catalog.EXCHANGE_BANNED_UNTIL_TIMESTAMP_SECONDS),
    "repository": ("Repository", catalog.BACKUP_CONFIGURED_TIMESTAMP_SECONDS),
    "check": ("Check", catalog.HEALTH_CHECK_LAST_RUN_TIMESTAMP_SECONDS),
    "task": ("Task", catalog.JOB_RUNS_TOTAL),
    "source": ("Source", catalog.EXPORTER_SOURCE_RUNS_TOTAL),
}


def board(
    uid: str, title: str, description: str, panels: list[Json], *, variables: tuple[str, ...], marks: list[Json]
) -> Json:
    """Return a dashboard.

    Args:
        uid: Its address in Grafana, and the name of its file.
        title: Its name.
        description: The question it answers.
        panels: From left to right and top to bottom.
        variables: The labels that a person can choose values of, besides data source, job, instance and process.
        marks: Its annotations.
    """
    chosen = ("process", *variables)
    made = {
        "uid": uid,
        "title": title,
        "description": description,
        "tags": [TAG],
        "editable": False,
        "graphTooltip": 1,
        "refresh": "30s",
        "schemaVersion": 39,
        "time": {"from": "now-3h", "to": "now"},
        "timezone": "browser",
        "links": [_others()],
        "templating": {"list": list(_variables(chosen))},
        "annotations": {"list": marks},
        "panels": arranged(panels),
    }
    for target in [*marks, *(target for panel in panels for target in panel.get("targets", []))]:
        target["expr"] = without(target["expr"], set(VARIABLES) - set(chosen))
    # What is shared while it is made is plain data, and apart, when it is handed out.
    found: Json = json.loads(json.dumps(made))
    return found


def _others() -> Json:
    return {
        "type": "dashboards",
        "title": "peak_observe",
        "tags": [TAG],
        "asDropdown": False,
        "includeVars": True,
        "keepTime": True,
        "targetBlank": False,
        "icon": "external link",
        "tooltip": "",
        "url": "",
    }


def _variables(chosen: tuple[str, ...]) -> Iterator[Json]:
    build = catalog.OBSERVE_BUILD_INFO
    yield {
        "name": "datasource",
        "label": "Data source",
        "type": "datasource",
        "query": "prometheus",
        "current": {"text": "default", "value": "default"},
    }
    yield _variable("job", "Job", f"label_values({build.name}, job)")
    yield _variable("instance", "Instance", f'label_values({build.name}{{job=~"$job"}}, instance)')
    for name in chosen:
        label, metric = CHOICES[name]
        # What a program tells by itself has no label `process`, and has to be in All too.
        every = ".*" if name == "process" else ".+"
        yield _variable(name, label, f"label_values({metric.name}{{{TARGET}}}, {name})", every)


def _variable(name: str, label: str, query: str, every: str = ".+") -> Json:
    return {
        "name": name,
        "label": label,
        "type": "query",
        "datasource": DATASOURCE,
        "query": {"query": query, "refId": name},
        "definition": query,
        "refresh": 2,  # on every change of the time range, as circuits come and go
        "sort": 1,
        "multi": True,
        "includeAll": True,
        "allValue": every,
        "current": {"text": ["All"], "value": ["$__all"]},
    }


def details(uid: str, **variables: str) -> Json:
    """Return a link to another dashboard that keeps time and variables, and chooses some more."""
    chosen = "".join(f"&var-{name}={value}" for name, value in variables.items())
    return {"title": "Details", "url": f"/d/{uid}?${{__url_time_range}}&${{__all_variables}}{chosen}"}


def label(name: str) -> str:
    """Return what a link has to say to mean the label of what is clicked."""
    return f"${{__field.labels.{name}}}"


def transitions() -> list[Json]:
    """Return marks where circuits opened, probed and closed; counted, so that short openings have theirs."""
    looks = {"open": ("opened", RED), "half_open": ("probed", AMBER), "closed": ("closed", GREEN)}
    return [
        _mark(
            f"Circuits {done}",
            colour,
            _changed(catalog.BREAKER_TRANSITIONS_TOTAL, "breaker", f'to="{to}"'),
            f"{{{{breaker}}}} {done}",
            shown=to != "half_open",
        )
        for to, (done, colour) in looks.items()
    ]


def backups() -> list[Json]:
    """Return marks where backups began and ended."""
    runs = catalog.BACKUP_RUNS_TOTAL
    good = _changed(runs, "repository", 'outcome="success"')
    others = _changed(runs, "repository", 'outcome!="success"', more="outcome")
    return [
        _mark(
            "Backups begun",
            BLUE,
            _changed(catalog.BACKUP_LAST_ATTEMPT_TIMESTAMP_SECONDS, "repository"),
            "backup of {{repository}} begun",
        ),
        _mark("Backups made", GREEN, good, "backup of {{repository}} made"),
        _mark("Backups failed", YELLOW, others, "backup of {{repository}}: {{outcome}}"),
    ]


def restarts() -> list[Json]:
    """Return marks where a process was started anew, or went and came back."""
    began = _changed(catalog.PROCESS_START_TIME_SECONDS, "process")
    itself = _changed(catalog.OBSERVE_START_TIME_SECONDS, "process")
    went = _changed(catalog.PROCESS_UP, "process")
    return [
        _mark("Processes restarted or gone", PURPLE, f"{began} or {itself} or {went}", "{{process}} restarted or gone")
    ]


def _changed(metric: Metric, name: str, *matchers: str, more: str = "") -> str:
    labels = ["job", "instance", "process", name, more]
    kept = [label for label in dict.fromkeys(labels) if label]
    return f"{worst(changes(metric, *matchers), *kept)} > 0"


def _mark(name: str, colour: str, expression: str, title: str, *, shown: bool = True) -> Json:
    return {
        "name": name,
        "datasource": DATASOURCE,
        "enable": shown,
        "iconColor": colour,
        "expr": expression,
        "titleFormat": title,
        "textFormat": "{{process}} {{job}} {{instance}}",
    }


def arranged(panels: list[Json]) -> list[Json]:
    """Return the panels with their numbers and places: from left to right, a new line where one is full.

    Rows but the first are collapsed: their panels ask nothing until somebody opens them.
    """
    x = y = line = 0
    placed = []
    for number, found in enumerate(panels, start=1):
        size = found["gridPos"]
        if x + size["w"] > WIDTH:
            x, y, line = 0, y + line, 0
        placed.append({"id": number, **found, "gridPos": {"x": x, "y": y, **size}})
        x, line = x + size["w"], max(line, size["h"])
    return _folded(placed)


def _folded(placed: list[Json]) -> list[Json]:
    shown: list[Json] = []
    row: Json | None = None
    for panel in placed:
        if panel["type"] == "row" and any(other["type"] == "row" for other in shown):
            row = {**panel, "collapsed": True, "panels": []}
            shown.append(row)
        else:
            (shown if row is None else row["panels"]).append(panel)
    return shown


def every_panel(board: Json) -> list[Json]:
    """Return the panels of a dashboard, also those of collapsed rows, without the rows."""
    found = (panel for outer in board["panels"] for panel in (outer, *outer.get("panels", ())))
    return [panel for panel in found if panel["type"] != "row"]
