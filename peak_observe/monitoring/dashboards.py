"""The Grafana dashboards, made from the metric catalogue."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from peak_observe import catalog

if TYPE_CHECKING:
    from pathlib import Path

SELECTOR = 'job=~"$job", instance=~"$instance"'


def dashboards() -> dict[str, dict[str, Any]]:
    """Return every dashboard by its file name, in Grafana's classic schema."""
    panels = [
        ("Circuit states", f"max by (job, instance, breaker, state) ({catalog.BREAKER_STATE.name}{{{SELECTOR}}})"),
        ("Calls per second", f"rate({catalog.BREAKER_CALLS_TOTAL.name}{{{SELECTOR}}}[$__rate_interval])"),
        ("Retries per second", f"rate({catalog.RETRY_RETRIES_TOTAL.name}{{{SELECTOR}}}[$__rate_interval])"),
    ]
    return {
        "peak-observe.json": {
            "uid": "peak-observe",
            "title": "Peak Observe",
            "panels": [
                {
                    "id": i,
                    "title": title,
                    "type": "timeseries",
                    "targets": [{"refId": "A", "expr": expr}],
                    "gridPos": {"h": 8, "w": 24, "x": 0, "y": 8 * i},
                }
                for i, (title, expr) in enumerate(panels)
            ],
        }
    }


def write(directory: Path) -> list[Path]:
    """Write every dashboard below `directory`, each by one rename, and return the paths."""
    folder = directory / "dashboards"
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for name, dashboard in dashboards().items():
        path = folder / name
        temporary = path.with_name(f".{name}.tmp")
        temporary.write_text(json.dumps(dashboard, indent=2) + "\n", encoding="utf-8")
        temporary.replace(path)
        paths.append(path)
    return paths
