"""Builders of Grafana panels in the classic schema, which Grafana 10 to 13 read alike.

They are our own, and not grafana-foundation-sdk's, for two reasons. `peak-observe monitoring write` is a command for
users, so the SDK would be one more thing that each of them installs, for JSON that is read once. And what makes our
dashboards alike (a size, a text for nothing, thresholds, one data source) has to be said here in either case: on top
of the SDK these functions have as many lines, with a call of a setter for each key of a literal.
"""

from __future__ import annotations

from typing import Any

from peak_observe.monitoring.style import GREEN, RED, Json, thresholds

DATASOURCE: Json = {"type": "prometheus", "uid": "${datasource}"}
WIDTH = 24
POINTS = 180
"""Steps of a course at most: a minute each over three hours, as more cost the more, and show the same."""
LIST_LEGEND: Json = {"displayMode": "list", "placement": "bottom", "showLegend": True}


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


def stat(
    title: str,
    description: str,
    expression: str,
    unit: str,
    *,
    steps: Json,
    base: str = GREEN,
    empty: str,
    decimals: int | None = None,
    mappings: list[Json] | None = None,
    link: Json | None = None,
) -> Json:
    """Return a tile with the number of this moment, coloured by the `steps` it has passed; grey without a number.

    Args:
        title: What it shows.
        description: What it means and what to do.
        expression: A query that gives one number.
        unit: Of the number, as Grafana names it.
        steps: Colours and the values from which on they hold; below the first it is `base`.
        base: Colour of what has passed none: red where little is bad.
        empty: What it says without a number.
        decimals: How many the number has; as many as Grafana likes without it.
        mappings: Texts for certain numbers.
        link: Where a click leads.
    """
    nothing = {"type": "special", "options": {"match": "null", "result": {"text": empty, "color": "#4a4c52"}}}
    defaults: Json = {
        "unit": unit,
        "noValue": empty,
        "thresholds": thresholds(steps, base=base),
        "color": {"mode": "thresholds"},
        "mappings": [*(mappings or []), nothing],
        "links": [link] if link else [],
    }
    if decimals is not None:
        defaults["decimals"] = decimals
    options = {
        "colorMode": "background_solid",
        "graphMode": "none",
        "justifyMode": "center",
        "textMode": "value",
        "text": {"valueSize": 30},
        "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
    }
    return panel("stat", title, description, [now(expression)], size=(4, 3), defaults=defaults, options=options)


def timeseries(
    title: str,
    description: str,
    queries: list[Json],
    unit: str,
    *,
    empty: str,
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
        "lineWidth": 0 if bars or stacked else 1,  # a line of zeros on top of a stack would show as its colour
        "showPoints": "never",
        "spanNulls": False,
        "stacking": {"mode": "normal" if stacked or bars else "none", "group": "A"},
        "barWidthFactor": 1,  # what happened once is one block, however many steps see it
    }
    if bars or unit == "percentunit":
        custom["axisSoftMax"] = 1  # or Grafana would draw zeros on an axis up to 100
    defaults = {"unit": unit, "min": 0, "noValue": empty, "custom": custom, "color": {"mode": "palette-classic"}}
    if bars:
        defaults["decimals"] = 0
    if maximum is not None:
        defaults["max"] = maximum
    options = {"legend": LIST_LEGEND, "tooltip": {"mode": "multi", "sort": "desc"}}
    overrides = [override(name, color=_fixed(colour)) for name, colour in (colours or {}).items()]
    if limit is not None:
        dashed = {"color": _fixed(RED), "custom__lineStyle": {"fill": "dash", "dash": [8, 8]}, "custom__fillOpacity": 0}
        overrides.append(override(f"/^{limit}/", by="byRegexp", **dashed))
    size = (width, 8)
    shown = panel(
        "timeseries", title, description, queries, size=size, defaults=defaults, options=options, overrides=overrides
    )
    return shown | {"maxDataPoints": POINTS}


def state_timeline(
    title: str,
    description: str,
    queries: list[Json],
    mappings: list[Json],
    *,
    empty: str,
    size: tuple[int, int] = (24, 7),
    link: Json | None = None,
) -> Json:
    """Return one coloured bar a series."""
    defaults = {
        "mappings": mappings,
        "noValue": empty,
        "custom": {"fillOpacity": 80, "lineWidth": 0},
        "color": {"mode": "thresholds"},
        "thresholds": {"mode": "absolute", "steps": [{"color": GREEN, "value": None}]},
        "links": [link] if link else [],
    }
    options = {
        "mergeValues": True,
        "rowHeight": 0.85,
        "showValue": "auto",
        "legend": LIST_LEGEND,
        "tooltip": {"mode": "multi", "sort": "desc"},
    }
    shown = panel("state-timeline", title, description, queries, size=size, defaults=defaults, options=options)
    return shown | {"maxDataPoints": POINTS}


def heatmap(title: str, description: str, expression: str, unit: str, *, empty: str, width: int = 8) -> Json:
    """Return how often which bucket was hit, from a query by `le`."""
    options = {
        "calculate": False,
        "color": {"mode": "scheme", "scheme": "Oranges", "steps": 64, "exponent": 0.5},
        "cellGap": 1,
        "exemplars": {"color": "rgba(31, 120, 193, 0.7)"},
        "filterValues": {"le": 1e-9},
        "yAxis": {"unit": unit, "axisPlacement": "left"},
        "tooltip": {"mode": "single", "yHistogram": True},
        "legend": {"show": True},
    }
    queries = [{**query(expression, "{{le}}"), "format": "heatmap", "exemplar": True}]
    defaults = {"unit": unit, "noValue": empty}
    shown = panel("heatmap", title, description, queries, size=(width, 8), defaults=defaults, options=options)
    return shown | {"maxDataPoints": POINTS}


def coarse(shown: Json) -> Json:
    """Return a course with half as many steps, of what is recorded half as often and has the most series."""
    return shown | {"maxDataPoints": POINTS // 2}


def row(title: str) -> Json:
    """Return the heading of the panels that follow."""
    return {"type": "row", "title": title, "collapsed": False, "panels": [], "gridPos": {"w": WIDTH, "h": 1}}


def override(name: str, *, by: str = "byName", **properties: Any) -> Json:
    """Return settings of the fields of a name alone; `custom__x` is the property `custom.x`."""
    found = [{"id": key.replace("__", "."), "value": value} for key, value in properties.items()]
    return {"matcher": {"id": by, "options": name}, "properties": found}


def _fixed(colour: str) -> Json:
    return {"mode": "fixed", "fixedColor": colour}
