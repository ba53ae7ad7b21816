"""Health dashboard: the results on a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from peak_observe.resilience.health import report
from peak_observe.resilience.health.result import HEALTHY, SKIPPED, UNHEALTHY

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from datetime import datetime

    from peak_observe.resilience.health.result import HealthCheckResult

WIDTH = 60
ABOVE, BELOW = 5, 4  # lines around the checks
TITLE = "HEALTH DASHBOARD"
MARKS = {"passed": "✅", "failed": "❌", "warned": "⚠️", "skipped": "⚪"}
ASCII_MARKS = {"passed": "[ OK ]", "failed": "[FAIL]", "warned": "[WARN]", "skipped": "[SKIP]"}
LIGHTS = {report.HEALTHY: "🟢", report.DEGRADED: "🟡", report.UNHEALTHY: "🔴"}
ASCII_LIGHTS = {report.HEALTHY: "[ OK ]", report.DEGRADED: "[WARN]", report.UNHEALTHY: "[FAIL]"}
COLOURS = {"passed": "green", "failed": "bold red", "warned": "yellow", "skipped": "dim"}
VERDICT_COLOURS = {report.HEALTHY: "bold green", report.DEGRADED: "bold yellow", report.UNHEALTHY: "bold red"}


class Line(NamedTuple):
    """Line of text with its style on a terminal."""

    text: str
    style: str = ""


def lines(
    results: Mapping[str, HealthCheckResult], at: datetime, *, title: str = TITLE, plain: bool = False
) -> Iterator[Line]:
    """Yield the dashboard's lines; `plain` keeps them in ASCII."""
    for line in _lines(results, at, title, plain=plain):
        yield line._replace(text=line.text.encode("ascii", "backslashreplace").decode()) if plain else line


def fitted(lines: Iterable[Line], width: int, height: int) -> list[Line]:
    """Return the lines that a screen has room for: checks that passed make room first, the status stays."""
    found = list(lines)
    above, checks, below = found[:ABOVE], found[ABOVE:-BELOW], found[-BELOW:]
    room = height - sum(_rows(line, width) for line in (*above, *below))
    if sum(_rows(line, width) for line in checks) <= room:
        return [*above, *checks, *below]
    kept, room = set(), room - 1
    for number in sorted(range(len(checks)), key=lambda number: checks[number].style == COLOURS["passed"]):
        if _rows(checks[number], width) <= room:
            kept.add(number)
            room -= _rows(checks[number], width)
    note = Line(f"({len(checks) - len(kept)} more checks; this screen has no room for them)", "dim")
    return [*above, *(line for number, line in enumerate(checks) if number in kept), note, *below]


def _lines(results: Mapping[str, HealthCheckResult], at: datetime, title: str, *, plain: bool) -> Iterator[Line]:
    yield Line("=" * WIDTH)
    yield Line(_printable(title), "bold")
    yield Line("=" * WIDTH)
    yield Line(f"Timestamp: {at.isoformat(timespec='seconds')}")
    yield Line("")
    marks = ASCII_MARKS if plain else MARKS
    for name, result in results.items():
        kind = _kind(result)
        yield Line(f"{marks[kind]} {_printable(name).upper()}: {_says(result)}", COLOURS[kind])
    yield Line("")
    yield Line("-" * WIDTH)
    found = report.verdict(results.values())
    light = (ASCII_LIGHTS if plain else LIGHTS)[found]
    yield Line(f"System Status: {light} {found.upper()}", VERDICT_COLOURS[found])
    yield Line("=" * WIDTH)


def _kind(result: HealthCheckResult) -> str:
    if result.healthy:
        return "passed"
    if result.status == SKIPPED:
        return "skipped"
    return "failed" if result.critical else "warned"


def _says(result: HealthCheckResult) -> str:
    if result.healthy and result.status == HEALTHY:
        return HEALTHY  # as in the original dashboard; the report has the message
    word = HEALTHY if result.healthy else UNHEALTHY if result.status == HEALTHY else result.status
    return f"{word} - {result.message}" if result.message else word


def _printable(name: str) -> str:
    return "".join(char if char.isprintable() else "�" for char in name)


def _rows(line: Line, width: int) -> int:
    return max(1, -(-len(line.text) // width))
