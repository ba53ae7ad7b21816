"""Status page: plain HTML without external resources."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import html
from typing import TYPE_CHECKING

from starlette.responses import HTMLResponse

from peak_observe._version import __version__
from peak_observe.clock import SYSTEM_CLOCK
from peak_observe.exporter.threads import WorkerThread
from peak_observe.exporter.web import status_tables
from peak_observe.exporter.web.recent_requests import COUNTED, EVERY, RecentRequests
from peak_observe.exporter.web.samples import Samples
from peak_observe.exporter.web.status_assets import SCRIPT, STYLE
from peak_observe.support.redact import printable_lines

if TYPE_CHECKING:
    from collections.abc import Iterator

    from starlette.responses import Response

    from peak_observe.exporter.service import ExporterService
    from peak_observe.exporter.web.status_tables import Row, Table

MOST = 200  # rows of a table
SHARED = 1.0  # seconds for which all who ask get the same page
VERDICTS = {status_tables.BAD: "unhealthy", status_tables.WARN: "degraded", status_tables.GOOD: "healthy"}
LINKS = ("/metrics", "/health", "/readyz?verbose", "/sd")


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


POLICY = "; ".join(
    (
        "default-src 'none'",
        f"style-src {_hash(STYLE)}",
        f"script-src {_hash(SCRIPT)}",
        "connect-src 'self'",
        "img-src data:",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
}


class Page:
    """Status page, rendered at most once a second.

    Args:
        host: What is known.
    """

    def __init__(self, host: ExporterService) -> None:
        self._host = host
        self._worker = WorkerThread("page")  # of its own: no scrape waits for it
        self._lock = asyncio.Lock()
        self._made = ""
        self._made_at = float("-inf")
        self._recent = RecentRequests()

    async def watch(self) -> None:
        """Remember what counters say, for as long as the exporter runs, whether or not somebody looks."""
        while True:
            await self._worker(self._note)
            await asyncio.sleep(EVERY)

    def _note(self) -> None:
        statuses = self._host.sources.statuses()
        counts = [block for status in statuses.values() for block in status.told if block.name in COUNTED]
        self._recent.note(Samples(counts))

    async def answer(self) -> Response:
        """Return it with all its headers."""
        async with self._lock:
            if SYSTEM_CLOCK.monotonic() - self._made_at >= SHARED:
                self._made = await self._worker(self._make)
                self._made_at = SYSTEM_CLOCK.monotonic()
        return HTMLResponse(self._made, headers=HEADERS)

    def _make(self) -> str:
        host, now = self._host, SYSTEM_CLOCK.now()
        statuses = host.sources.statuses()
        told = [block for status in statuses.values() for block in status.told]
        abouts, problems = host.sources.abouts(), host.problems()
        results = host.checks.results()
        found = status_tables.tables(
            told, results, statuses, abouts, now.timestamp(), problems=problems, recent=self._recent
        )
        return document(found, f"{now:%Y-%m-%d %H:%M:%S} UTC", reloaded=host.reload_success)


def document(tables: list[Table], at: str, *, reloaded: bool = True) -> str:
    """Return the page.

    Args:
        tables: What it shows.
        at: When that was so, in words.
        reloaded: Whether the configuration in use is that of the file.
    """
    counts = status_tables.worst(tables)
    verdict = next((level for level in (status_tables.BAD, status_tables.WARN) if counts[level]), status_tables.GOOD)
    word = VERDICTS[verdict]
    reload_failed = "" if reloaded else '<p class="note bad">The configuration file was changed and makes no sense.</p>'
    links = " ".join(f'<a href="{link}">{link.partition("?")[0]}</a>' for link in LINKS)
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{word}: peak_observe</title>
<link rel="icon" href="data:,">
<style>{STYLE}</style>
</head>
<body>
<main>
<header class="{verdict}">
<h1>{word.capitalize()}</h1>
<p>{_summary(counts)}</p>
<p class="at">as of <time>{escape(at)}</time><span id="stale" hidden>: the exporter does not answer</span></p>
</header>
{reload_failed}
{"".join(_section(table) for table in tables)}
</main>
<footer>peak_observe {escape(__version__)} · {links}</footer>
<script>{SCRIPT}</script>
</body>
</html>
"""


def _summary(counts: dict[str, int]) -> str:
    words = {
        status_tables.BAD: "to look at now",
        status_tables.WARN: "to keep an eye on",
        status_tables.GOOD: "as it should be",
    }
    return (
        ", ".join(f"{counts[level]} {text}" for level, text in words.items() if counts[level]) or "nothing is known yet"
    )


def escape(text: str) -> str:
    """Return a text as the page may hold it: neither markup nor an invisible character that turns its direction."""
    return html.escape(printable_lines(text))


def _section(table: Table) -> str:
    title = escape(table.title)
    if not table.rows:
        return f'<section><h2>{title}</h2><p class="empty">{escape(table.empty)}</p></section>\n'
    more = len(table.rows) - MOST
    note = f'<p class="empty">and {more} more, none of them worse</p>' if more > 0 else ""
    heads = "".join(f'<th scope="col">{escape(head)}</th>' for head in table.heads)
    rows = "".join(_row(row, table.heads) for row in table.rows[:MOST])
    return (
        f"<section><h2>{title} <span>{len(table.rows)}</span></h2>"
        f"<table><thead><tr>{heads}</tr></thead><tbody>\n{rows}</tbody></table>{note}</section>\n"
    )


def _row(row: Row, heads: tuple[str, ...]) -> str:
    state = f'<td class="state" data-head="{escape(heads[1])}"><b class="{row.level}">{escape(row.state)}</b></td>'
    cells = "".join(_cells(row, heads[2:]))
    return f'<tr><th scope="row">{escape(row.what)}</th>{state}{cells}</tr>\n'


def _cells(row: Row, heads: tuple[str, ...]) -> Iterator[str]:
    for head, cell in zip(heads, row.cells, strict=True):
        yield f'<td data-head="{escape(head)}">{escape(cell)}</td>'
