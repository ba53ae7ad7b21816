"""Builders of Grafana panels in the classic schema; a panel knows its size, `arranged` gives it place and number."""

from __future__ import annotations

from typing import Any

Json = dict[str, Any]

DATASOURCE: Json = {"type": "prometheus", "uid": "${datasource}"}
WIDTH = 24
GREEN, YELLOW, ORANGE, RED, PURPLE, BLUE, GREY = "green", "yellow", "orange", "red", "purple", "blue", "#808080"


def query(expression: str, legend: str = "") -> Json:
    """Return a query for a course over time."""
    return {"datasource": DATASOURCE, "expr": expression, "legendFormat": legend or "__auto", "range": True}


def now(expression: str, legend: str = "") -> Json:
    """Return a query for the value at the end of the time shown."""
    return {"datasource": DATASOURCE, "expr": expression, "legendFormat": legend or "__auto", "instant": True}


def panel(
    kind: str,
    title: str,
    description: str,
    queries: list[Json],
    *,
    size: tuple[int, int],
    defaults: Json,
    options: Json,
    overrides: list[Json] | None = None,
) -> Json:
    """Return a panel of any kind; `size` is width, of 24, and height."""
    return {
        "type": kind,
        "title": title,
        "description": description,
        "datasource": DATASOURCE,
        "gridPos": {"w": size[0], "h": size[1]},
        "targets": [{"refId": chr(ord("A") + index), **query} for index, query in enumerate(queries)],
        "fieldConfig": {"defaults": defaults, "overrides": overrides or []},
        "options": options,
    }


def stat(title: str, description: str, expression: str, unit: str, *, steps: Json, empty: str) -> Json:
    """Return a tile with the number of this moment, coloured by the `steps` it has passed."""
    defaults = {"unit": unit, "noValue": empty, "thresholds": thresholds(steps), "color": {"mode": "thresholds"}}
    options = {
        "colorMode": "background",
        "graphMode": "none",
        "justifyMode": "center",
        "textMode": "value",
        "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
    }
    return panel("stat", title, description, [now(expression)], size=(4, 4), defaults=defaults, options=options)


def timeseries(
    title: str,
    description: str,
    queries: list[Json],
    unit: str,
    *,
    width: int = 8,
    stacked: bool = False,
    bars: bool = False,
    colours: Json | None = None,
    maximum: float | None = None,
    limit: str | None = None,
) -> Json:
    """Return lines over time; `colours` fixes those of certain legends, `limit` is how those of limits begin."""
    custom = {
        "drawStyle": "bars" if bars else "line",
        "fillOpacity": 70 if bars or stacked else 8,
        "lineWidth": 0 if stacked else 1,  # a line of zeros on top of a stack would show as its colour
        "showPoints": "never",
        "spanNulls": False,
        "stacking": {"mode": "normal" if stacked or bars else "none", "group": "A"},
    }
    defaults = {"unit": unit, "min": 0, "noValue": "no data", "custom": custom, "color": {"mode": "palette-classic"}}
    if maximum is not None:
        defaults["max"] = maximum
    options = {
        "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True},
        "tooltip": {"mode": "multi", "sort": "desc"},
    }
    overrides = [_override(name, color=_fixed(colour)) for name, colour in (colours or {}).items()]
    if limit is not None:
        dashed = {"color": _fixed(RED), "custom__lineStyle": {"fill": "dash", "dash": [8, 8]}, "custom__fillOpacity": 0}
        overrides.append(_override(f"/^{limit}/", by="byRegexp", **dashed))
    return panel(
        "timeseries",
        title,
        description,
        queries,
        size=(width, 8),
        defaults=defaults,
        options=options,
        overrides=overrides,
    )


def state_timeline(title: str, description: str, queries: list[Json], mappings: list[Json]) -> Json:
    """Return one coloured bar a series."""
    defaults = {
        "mappings": mappings,
        "noValue": "no data",
        "custom": {"fillOpacity": 80, "lineWidth": 0},
        "color": {"mode": "thresholds"},
        "thresholds": thresholds({}),
    }
    options = {
        "mergeValues": True,
        "rowHeight": 0.85,
        "showValue": "auto",
        "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True},
        "tooltip": {"mode": "single"},
    }
    return panel("state-timeline", title, description, queries, size=(24, 8), defaults=defaults, options=options)


def heatmap(title: str, description: str, expression: str, unit: str, *, width: int = 8) -> Json:
    """Return how often which bucket was hit, from a query by `le`."""
    options = {
        "calculate": False,
        "color": {"mode": "scheme", "scheme": "Oranges", "steps": 64, "exponent": 0.5},
        "cellGap": 1,
        "yAxis": {"unit": unit, "axisPlacement": "left"},
        "tooltip": {"mode": "single", "yHistogram": True},
        "legend": {"show": True},
    }
    defaults = {"unit": unit, "noValue": "no data"}
    queries = [{**query(expression, "{{le}}"), "format": "heatmap"}]
    return panel("heatmap", title, description, queries, size=(width, 8), defaults=defaults, options=options)


def table(title: str, description: str, keys: Json, columns: list[tuple[str, str, Json]], *, height: int = 8) -> Json:
    """Return a table with one row for each combination of labels.

    Args:
        title: What it shows.
        description: How to read it.
        keys: The labels that make a row, with the titles of their columns.
        columns: Title, expression summed by just those labels, and field settings of each column of numbers.
        height: In units of the grid.
    """
    queries = [{**now(expression), "format": "table"} for _, expression, _ in columns]
    single = len(queries) == 1
    values = {"Value" if single else f"Value #{chr(ord('A') + index)}": c[0] for index, c in enumerate(columns)}
    names = {**keys, **values}
    organize = {
        "excludeByName": {"Time": True},
        "indexByName": {name: index for index, name in enumerate(names)},
        "renameByName": names,
    }
    shown = panel(
        "table",
        title,
        description,
        queries,
        size=(WIDTH, height),
        defaults={"noValue": "-", "unit": "short", "custom": {"cellOptions": {"type": "auto"}, "minWidth": 90}},
        options={"showHeader": True, "cellHeight": "sm"},
        overrides=[_override(title, **settings) for title, _, settings in columns if settings],
    )
    shown["transformations"] = [{"id": "merge", "options": {}}, {"id": "organize", "options": organize}]
    return shown


def row(title: str) -> Json:
    """Return the heading of the panels that follow."""
    return {"type": "row", "title": title, "collapsed": False, "panels": [], "gridPos": {"w": WIDTH, "h": 1}}


def thresholds(steps: Json) -> Json:
    """Return thresholds: green, and each colour of `steps` from its value on."""
    named = [{"color": colour, "value": value} for colour, value in steps.items()]
    return {"mode": "absolute", "steps": [{"color": GREEN, "value": None}, *named]}


def mapped(texts: dict[int, tuple[str, str]]) -> list[Json]:
    """Return mappings of numbers to a text and a colour."""
    options = {str(n): {"text": text, "color": color, "index": n} for n, (text, color) in texts.items()}
    return [{"type": "value", "options": options}]


def arranged(panels: list[Json]) -> list[Json]:
    """Return the panels with their numbers and places: from left to right, a new line where one is full."""
    x = y = line = 0
    placed = []
    for number, found in enumerate(panels, start=1):
        size = found["gridPos"]
        if x + size["w"] > WIDTH:
            x, y, line = 0, y + line, 0
        placed.append({"id": number, **found, "gridPos": {"x": x, "y": y, **size}})
        x, line = x + size["w"], max(line, size["h"])
    return placed


def _override(name: str, *, by: str = "byName", **properties: Any) -> Json:
    found = [{"id": key.replace("__", "."), "value": value} for key, value in properties.items()]
    return {"matcher": {"id": by, "options": name}, "properties": found}


def _fixed(colour: str) -> Json:
    return {"mode": "fixed", "fixedColor": colour}
