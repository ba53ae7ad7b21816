"""Builder of Grafana tables."""

from __future__ import annotations

from typing import TYPE_CHECKING

from peak_observe.monitoring.panels import WIDTH, now, override, panel
from peak_observe.monitoring.style import COUNT

if TYPE_CHECKING:
    from peak_observe.monitoring.style import Json

CELL, NAME = 90, 180  # pixels: a column has at least, and the names in the first one of a wide table take


def table(
    title: str,
    description: str,
    keys: Json,
    columns: list[tuple[str, str, Json]],
    *,
    empty: str,
    size: tuple[int, int] = (WIDTH, 7),
    sort: str = "",
) -> Json:
    """Return a table with one row for each combination of labels.

    Args:
        title: What it shows.
        description: How to read it and what to do.
        keys: The labels that make a row, with the titles of their columns.
        columns: Title, expression summed by just those labels, and field settings of each column of numbers.
        empty: What it says without rows.
        size: Width and height in units of the grid.
        sort: The column by which rows are sorted, the largest first.
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
    cells = override("/.*/", by="byRegexp", noValue="-")  # what the panel says without rows is nothing for a cell
    overrides = [cells, *(override(title, **settings) for title, _, settings in columns if settings)]
    if size[0] == WIDTH:
        overrides.append(override(next(iter(keys.values())), custom__width=NAME))
    shown = panel(
        "table",
        title,
        description,
        queries,
        size=size,
        defaults={"noValue": empty, "unit": "short", "custom": {"cellOptions": {"type": "auto"}, "minWidth": CELL}},
        options={
            "showHeader": True,
            "cellHeight": "sm",
            "sortBy": [{"displayName": sort, "desc": True}] if sort else [],
        },
        overrides=overrides,
    )
    shown["transformations"] = [{"id": "merge", "options": {}}, {"id": "organize", "options": organize}]
    return shown


def with_sum(shown: Json, title: str, count: int) -> Json:
    """Return a table with the sum of its first `count` columns of numbers in front of them, which Grafana adds up.

    To let Prometheus do so would be to read the same counters twice.
    """
    merge, organize = shown["transformations"]
    parts = [f"Value #{chr(ord('A') + index)}" for index in range(count)]
    names = list(organize["options"]["indexByName"])
    names.insert(names.index(parts[0]), title)
    organize["options"]["indexByName"] = {name: index for index, name in enumerate(names)}
    reduce = {"reducer": "sum", "include": parts}
    added = {"id": "calculateField", "options": {"mode": "reduceRow", "reduce": reduce, "alias": title}}
    shown["transformations"] = [merge, added, organize]
    shown["fieldConfig"]["overrides"].append(override(title, **COUNT))
    return shown
