"""Grafana dashboard files, generated from the metric catalogue."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from peak_observe.monitoring.boards import backups, calls, exchanges, exporter, overview
from peak_observe.monitoring.runbook_links import linked

if TYPE_CHECKING:
    from peak_observe.monitoring.style import Json

BOARDS = (overview, calls, exchanges, backups, exporter)


def dashboards(*, runbook_url: str = "") -> dict[str, Json]:
    """Return every dashboard by its file name.

    Args:
        runbook_url: Where the runbook can be read; without an address that a browser can follow nothing links to it.
    """
    made = (linked(module.board(), runbook_url) for module in BOARDS)
    return {f"{board['uid']}.json": board for board in made}


def files(*, runbook_url: str = "") -> dict[str, str]:
    """Return the text of every dashboard by its path below the folder that is written."""
    made = dashboards(runbook_url=runbook_url)
    return {f"dashboards/{name}": json.dumps(dashboard, indent=2) + "\n" for name, dashboard in made.items()}
