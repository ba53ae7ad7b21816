"""Grafana dashboard files, generated from the metric catalogue."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from peak_observe.monitoring.boards import backups, calls, exchanges, exporter, overview
from peak_observe.monitoring.runbook_links import linked
from peak_observe.support.atomic_files import replace_text

if TYPE_CHECKING:
    from pathlib import Path

    from peak_observe.monitoring.style import Json

BOARDS = (overview, calls, exchanges, backups, exporter)


def dashboards(*, runbook_url: str = "") -> dict[str, Json]:
    """Return every dashboard by its file name.

    Args:
        runbook_url: Where the runbook can be read; without an address that a browser can follow nothing links to it.
    """
    made = (linked(module.board(), runbook_url) for module in BOARDS)
    return {f"{board['uid']}.json": board for board in made}


def write(directory: Path, *, runbook_url: str = "") -> list[Path]:
    """Write every dashboard below `directory`, each by one rename, and return the paths.

    Raises:
        OSError: The folder or a file cannot be written.
    """
    folder = directory / "dashboards"
    paths = []
    for name, dashboard in dashboards(runbook_url=runbook_url).items():
        path = folder / name
        replace_text(path, json.dumps(dashboard, indent=2) + "\n")
        paths.append(path)
    return paths
