"""Overview dashboard: may we trade?"""

from __future__ import annotations

from peak_observe import catalog
from peak_observe.monitoring import dashboard, panels, style
from peak_observe.monitoring.boards import backups, checks, circuits, exchanges, processes, retries
from peak_observe.monitoring.boards.circuits import NOT_CLOSED
from peak_observe.monitoring.dashboard import details, label
from peak_observe.monitoring.promql import missing, select, total
from peak_observe.monitoring.style import GREEN, RED, Json

TO_BREAKERS, TO_EXCHANGES = details("peak-breakers"), details("peak-exchanges")
TO_BACKUPS, TO_EXPORTER = details("peak-backups"), details("peak-exporter")


def board() -> Json:
    """Return the dashboard."""
    return dashboard.board(
        "peak-overview",
        "peak_observe: overview",
        "May we trade? Everything that speaks against it in one look; a click on it leads to the details.",
        [
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
        _verdict(),
        circuits.not_closed(TO_BREAKERS),
        checks.failing(TO_BACKUPS),
        exchanges.held_off(TO_EXCHANGES),
        processes.gone(TO_EXPORTER),
        processes.targets_down(TO_EXPORTER),
        exchanges.unknown_fate(TO_EXCHANGES),
        circuits.failed_share(TO_BREAKERS),
        circuits.refused(TO_BREAKERS),
        circuits.slowest(TO_BREAKERS),
        retries.per_operation(TO_BREAKERS),
        backups.overdue(TO_BACKUPS),
    ]


def _verdict() -> Json:
    """Return the tile that says yes only if somebody who trades tells of himself, and nobody of trouble."""
    troubles = (
        total(select(catalog.BREAKER_STATE, NOT_CLOSED)),
        missing(catalog.HEALTH_CHECK_HEALTHY),
        f"sum({select(exchanges.UNTIL)} > bool time())",
        missing(catalog.PROCESS_UP),
        processes.down(),
    )
    found = " + ".join(f"({trouble} or vector(0))" for trouble in troubles)
    traders = " or ".join(
        select(metric) for metric in (catalog.BREAKER_STATE, catalog.HEALTH_CHECK_HEALTHY, exchanges.UNTIL)
    )
    answers = [
        *style.mapped({0: ("YES", GREEN)}),
        {"type": "range", "options": {"from": 1, "to": None, "result": {"text": "NO", "color": RED}}},
    ]
    return panels.stat(
        "May we trade?",
        "Yes, if no circuit is open, no check fails, no exchange holds us off, and no process or target is gone. No: "
        "the tiles beside it say why. No data: no circuit, check or exchange is told of, which is no yes.",
        f"{found} and on () count({traders})",
        "none",
        steps={RED: 1},
        empty="NO DATA",
        mappings=answers,
    )
