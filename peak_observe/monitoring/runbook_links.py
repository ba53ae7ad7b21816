"""Links from dashboards and panels to the runbook."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from peak_observe.monitoring.style import Json

SECTIONS = {
    "Circuits not closed": "PeakBreakerNotClosed",
    "Circuit states": "PeakBreakerNotClosed",
    "Changes of state": "PeakBreakerFlapping",
    "Refused per second": "PeakBreakerRejecting",
    "Refused calls by circuit": "PeakBreakerRejecting",
    "Shared state reached": "PeakSharedDown",
    "Shared state read anew": "PeakSharedFlapping",
    "Retries per operation": "PeakRetryStorm",
    "Operations by outcome": "PeakRetriesExhausted",
    "Failed requests": "PeakExchangeErrors",
    "Failed requests by endpoint": "PeakExchangeErrors",
    "Orders of unknown fate": "PeakExchangeFateUnknown",
    "Exchanges holding us off": "PeakExchangeBanned",
    "Held off by exchanges": "PeakExchangeBanned",
    "Age of market data": "PeakMarketDataStale",
    "Missing candles by exchange": "PeakMarketDataGap",
    "Clock skew": "PeakExchangeClockSkew",
    "Trading switches": "PeakTradingHalted",
    "Switches": "PeakTradingHalted",
    "Headroom of guards": "PeakGuardNear",
    "Trips of guards by limit": "PeakGuardTripped",
    "Slow requests by group": "PeakExchangeSlow",
    "Latency budgets": "PeakExchangeSlow",
    "Checks failing": "PeakHealthCheckFailing",
    "Health of checks": "PeakHealthCheckFailing",
    "Checks": "PeakHealthCheckStale",
    "Runs of jobs by outcome": "PeakJobFailed",
    "Jobs": "PeakJobStuck",
    "Overdue backups": "PeakBackupStale",
    "Backup age against promise": "PeakBackupStale",
    "Never backed up": "PeakBackupNeverSucceeded",
    "Backups by outcome": "PeakBackupFailed",
    "Running for": "PeakBackupStuck",
    "Size of the newest backup": "PeakBackupShrank",
    "Verified ago": "PeakBackupNotVerified",
    "Corrupt files": "PeakBackupCorrupt",
    "Here and off-site": "PeakOffsiteStale",
    "Pushes by outcome": "PeakOffsitePushFailed",
    "Processes gone": "PeakProcessDied",
    "Processes that write snapshots": "PeakProcessDied",
    "Processes by name": "PeakProcessSilent",
    "Snapshots left out by reason": "PeakSnapshotsRejected",
    "Limits of snapshots used": "PeakSnapshotsNearLimit",
    "Targets down": "PeakExporterDown",
    "Sources down": "PeakSourceFailing",
    "Runs of sources that failed": "PeakSourceFailing",
    "Configurations not taken": "PeakExporterReloadFailed",
    "Dead man's switches": "PeakDeadManFired",
    "Single instances": "PeakInstanceRefused",
    "API keys": "PeakExchangeKeyExpires",
    "Books": "PeakBooksDiffer",
    "Clocks apart": "PeakClockSkew",
}
"""The alert that each of these panels shows the reason of."""


def linked(board: Json, url: str) -> Json:
    """Return a dashboard with its links to the runbook.

    Args:
        board: The dashboard.
        url: Where the runbook can be read. A mere file name would lead into Grafana itself: no links then.
    """
    if "://" not in url:
        return board
    panels = [_with_section(panel, url) for panel in board["panels"]]
    return {**board, "links": [*board["links"], _link("Runbook", url)], "panels": panels}


def _with_section(panel: Json, url: str) -> Json:
    if panel["type"] == "row":
        return {**panel, "panels": [_with_section(inner, url) for inner in panel["panels"]]}
    alert = SECTIONS.get(panel["title"])
    return {**panel, "links": [_link("Runbook", f"{url}#{alert.lower()}")]} if alert else panel


def _link(title: str, url: str) -> Json:
    shown = {"type": "link", "title": title, "url": url, "icon": "doc", "tooltip": title, "targetBlank": True}
    return {**shown, "asDropdown": False, "includeVars": False, "keepTime": False, "tags": []}
