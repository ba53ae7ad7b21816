"""Overview dashboard: may we trade?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from peak_observe.monitoring import dashboard
from peak_observe.monitoring.boards import backups, checks, circuits, exchanges, processes, retries, verdict
from peak_observe.monitoring.dashboard import details, label

if TYPE_CHECKING:
    from peak_observe.monitoring.style import Json

TO_BREAKERS, TO_EXCHANGES = details("peak-breakers"), details("peak-exchanges")
TO_BACKUPS, TO_EXPORTER = details("peak-backups"), details("peak-exporter")


def board() -> Json:
    """Return the dashboard."""
    return dashboard.board(
        "peak-overview",
        "peak_observe: overview",
        "May we trade? Everything that speaks against it in one look; a click on it leads to the details.",
        [
            verdict.tile() | {"gridPos": {"w": 4, "h": 6}},
            verdict.reasons(),
            *_tiles(),
            circuits.states(width=12, link=details("peak-breakers", breaker=label("breaker"))),
            checks.states(width=12, link=details("peak-backups", check=label("check"))),
            exchanges.by_outcome(),
            backups.promised(link=details("peak-backups", repository=label("repository"))),
            retries.top_errors(),
            exchanges.bans(width=12, link=details("peak-exchanges", exchange=label("exchange"))),
            processes.states(width=12, link=TO_EXPORTER) | {"gridPos": {"w": 12, "h": 5}},
        ],
        variables=(),
        marks=[*dashboard.transitions(), *dashboard.backups(), *dashboard.restarts()],
    )


def _tiles() -> list[Json]:
    return [
        verdict.firing(),
        circuits.not_closed(TO_BREAKERS),
        exchanges.unknown_fate(TO_EXCHANGES),
        exchanges.keys_refused(TO_EXCHANGES),
        exchanges.held_off(TO_EXCHANGES),
        exchanges.data_age(TO_EXCHANGES),
        exchanges.clock_skew(TO_EXCHANGES),
        checks.failing(TO_BACKUPS),
        processes.gone(TO_EXPORTER),
        processes.targets_down(TO_EXPORTER),
        exchanges.failed(TO_EXCHANGES),
        backups.overdue(TO_BACKUPS),
    ]
