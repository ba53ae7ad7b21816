"""The Grafana dashboards, made from the metric catalogue."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from peak_observe import catalog
from peak_observe.files import replace_text
from peak_observe.monitoring import backups, exchange, exporter, health, limits, processes, rows
from peak_observe.monitoring.panels import DATASOURCE, GREEN, RED, Json, arranged
from peak_observe.monitoring.promql import PROCESS, select, total

if TYPE_CHECKING:
    from pathlib import Path

    from peak_observe.catalog import Metric


def dashboards() -> dict[str, Json]:
    """Return every dashboard by its file name, in Grafana's classic schema, which Grafana 10 to 13 read alike."""
    return {"peak-observe.json": overview()}


def overview() -> Json:
    """Return the dashboard of a trading program."""
    panels = [
        *rows.at_a_glance(),
        *rows.circuit_breakers(),
        *rows.retries(),
        *limits.limits(),
        *exchange.exchanges(),
        *health.checks(),
        *backups.backups(),
        *processes.processes_and_jobs(),
        *exporter.exporter(),
        *rows.processes(),
    ]
    return {
        "uid": "peak-observe",
        "title": "peak_observe",
        "description": "Circuits, exchanges, checks and backups of trading code: what is broken, and since when.",
        "tags": ["peak_observe"],
        "editable": False,
        "graphTooltip": 1,
        "refresh": "30s",
        "schemaVersion": 39,
        "time": {"from": "now-3h", "to": "now"},
        "timezone": "browser",
        "templating": {"list": _variables()},
        "annotations": {"list": [_transitions("open", RED), _transitions("closed", GREEN)]},
        "panels": arranged(panels),
    }


def _variables() -> list[Json]:
    build = catalog.OBSERVE_BUILD_INFO
    return [
        {
            "name": "datasource",
            "label": "Data source",
            "type": "datasource",
            "query": "prometheus",
            "current": {"text": "default", "value": "default"},
        },
        _variable("job", "Job", f"label_values({build.name}, job)"),
        _variable("instance", "Instance", f'label_values({build.name}{{job=~"$job"}}, instance)'),
        _variable("breaker", "Circuit", _values(catalog.BREAKER_STATE)),
        _variable("operation", "Operation", _values(catalog.RETRY_MAX_ATTEMPTS)),
        _variable("exchange", "Exchange", _values(catalog.EXCHANGE_BANNED_UNTIL_TIMESTAMP_SECONDS)),
        _variable("check", "Check", _values(catalog.HEALTH_CHECK_LAST_RUN_TIMESTAMP_SECONDS)),
        _variable("repository", "Backups", _values(catalog.BACKUP_CONFIGURED_TIMESTAMP_SECONDS)),
    ]


def _values(metric: Metric) -> str:
    return f"label_values({metric.name}{{{PROCESS}}}, {metric.labels[0]})"


def _variable(name: str, label: str, query: str) -> Json:
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
        "allValue": ".+",
        "current": {"text": ["All"], "value": ["$__all"]},
    }


def _transitions(to: str, colour: str) -> Json:
    entered = select(catalog.BREAKER_TRANSITIONS_TOTAL, f'to="{to}"')
    changes = total(f"changes({entered}[$__rate_interval])", "job", "instance", "breaker")
    return {
        "name": f"Circuits {'opened' if to == 'open' else to}",
        "datasource": DATASOURCE,
        "enable": True,
        "iconColor": colour,
        "expr": f"{changes} > 0",
        "titleFormat": f"{{{{breaker}}}} is {to}",
        "textFormat": "{{job}} {{instance}}",
    }


def write(directory: Path) -> list[Path]:
    """Write every dashboard below `directory`, each by one rename, and return the paths.

    Raises:
        OSError: The folder or a file cannot be written.
    """
    folder = directory / "dashboards"
    paths = []
    for name, dashboard in dashboards().items():
        path = folder / name
        replace_text(path, json.dumps(dashboard, indent=2) + "\n")
        paths.append(path)
    return paths
