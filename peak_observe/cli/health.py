"""Command `peak-observe health`."""

from __future__ import annotations

import json
import logging
import signal
import sys
import time
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer
from rich.console import Console, Group
from rich.text import Text

from peak_observe.cli.options import AsJson, ConfigFile, found_file
from peak_observe.clock import SYSTEM_CLOCK
from peak_observe.errors import UsageError
from peak_observe.resilience import HealthCheck, health_check
from peak_observe.resilience.health import config, references, report, terminal
from peak_observe.support.atomic_files import replace_text

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from peak_observe.resilience import HealthCheckResult

UNHEALTHY, INTERRUPTED = 1, 130
LONGEST_WATCH = 86_400
REPORT = Path("reports/health_check.json")


def health(
    *,
    app: Annotated[
        str | None,
        typer.Option(metavar="MODULE[:NAME]", help="Module that registers checks, or a HealthCheck in one."),
    ] = None,
    config_file: ConfigFile = None,
    report_file: Annotated[Path, typer.Option("--report", metavar="FILE", help="Where the report goes.")] = REPORT,
    no_report: Annotated[bool, typer.Option("--no-report", help="Write no report.")] = False,
    as_json: AsJson = False,
    as_health_json: Annotated[
        bool,
        typer.Option("--health-json", help="Print it in the form application/health+json."),
    ] = False,
    watch: Annotated[bool, typer.Option("--watch", help="Run again and again until Ctrl-C.")] = False,
    interval: Annotated[float, typer.Option(min=0.1, help="Seconds between the runs of --watch.")] = 5.0,
    tag: Annotated[list[str] | None, typer.Option(help="Only checks with this tag; may be repeated.")] = None,
    only: Annotated[list[str] | None, typer.Option(help="Only the check of this name; may be repeated.")] = None,
    title: Annotated[str, typer.Option(help="First line of the dashboard.")] = terminal.TITLE,
    plain: Annotated[bool, typer.Option("--ascii", help="Use no character outside ASCII.")] = False,
) -> None:
    """Run health checks and show the dashboard.

    Exit code 0 is healthy or degraded, 1 unhealthy, 2 wrong usage.
    """
    logging.getLogger("peak_observe.health").addHandler(logging.NullHandler())  # the dashboard says it better
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that commands and the terminal are left in order
    output = Output(
        Console(soft_wrap=True, highlight=False),
        "health+json" if as_health_json else "json" if as_json else "dashboard",
        None if no_report else report_file,
        plain or not _shows_emoji(),
        title,
    )
    try:
        _refuse_nonsense(interval, as_json=as_json, as_health_json=as_health_json)
        selection = Selection(_registry(app, config_file), only or None, tag or None)
        raise typer.Exit(_watch(selection, output, interval) if watch else _once(selection, output))
    except KeyboardInterrupt:
        raise typer.Exit(INTERRUPTED) from None


class Selection(NamedTuple):
    """Registry and tags of the checks to run."""

    registry: HealthCheck
    only: list[str] | None
    tags: list[str] | None

    def run(self) -> dict[str, HealthCheckResult]:
        """Run them.

        Raises:
            UsageError: There is none of such a name or tag.
        """
        try:
            results = self.registry.run_all(only=self.only, tags=self.tags)
        except KeyError as error:
            raise UsageError(error.args[0]) from None
        if not results:
            raise UsageError("no check has both a name of --only and a tag of --tag")
        return results


class Output(NamedTuple):
    """Output format, and the file of the report."""

    console: Console
    form: str
    report_file: Path | None
    plain: bool
    title: str

    def text(self, results: dict[str, HealthCheckResult], at: datetime, *, on_screen: bool = False) -> Text:
        """Return the dashboard with its colours, or the JSON; on a screen, as much of it as there is room for."""
        if self.form == "dashboard":
            lines: Iterable[terminal.Line] = terminal.lines(results, at, title=self.title, plain=self.plain)
            if on_screen:
                lines = terminal.fitted(lines, self.console.width, self.console.height - 1)
            return Text("\n").join(Text(line.text, line.style) for line in lines)
        found = report.as_json(results, at) if self.form == "json" else report.as_health_json(results, at)
        return Text(json.dumps(found, indent=2, ensure_ascii=self.plain))

    def write(self, results: dict[str, HealthCheckResult], at: datetime) -> None:
        """Write the report, if one is wanted.

        Raises:
            UsageError: It cannot be written.
        """
        if self.report_file is None:
            return
        try:
            replace_text(self.report_file, json.dumps(report.as_json(results, at), indent=2) + "\n")
        except OSError as error:
            mend = "--report chooses another place, --no-report leaves it out"
            raise UsageError(f"cannot write the report to {self.report_file}: {error.strerror}; {mend}") from None


def _once(selection: Selection, output: Output) -> int:
    results, at = selection.run(), SYSTEM_CLOCK.now()
    with suppress(SystemExit):  # rich's word for a reader that left early, which changes no verdict
        output.console.print(output.text(results, at))
    output.write(results, at)
    return _exit_code(results)


def _watch(selection: Selection, output: Output, interval: float) -> int:
    from rich.live import Live

    code, console = INTERRUPTED, output.console
    on_screen = console.is_terminal and not console.is_dumb_terminal
    live = Live(console=console, screen=True, auto_refresh=False)
    try:
        with live if on_screen else nullcontext():
            while True:
                results, at = selection.run(), SYSTEM_CLOCK.now()
                code = _exit_code(results)
                output.write(results, at)
                text = output.text(results, at, on_screen=on_screen)
                if on_screen:
                    live.update(Group(text, Text(f"every {interval:g} s; Ctrl-C ends it", "dim")), refresh=True)
                else:
                    console.print(text)
                if getattr(sys.stdout, "unread", False):  # the reader has left, as in `| head -1`
                    return code
                time.sleep(interval)
    except (KeyboardInterrupt, SystemExit):  # as above
        return code


def _registry(app: str | None, config_file: Path | None) -> HealthCheck:
    if app is None and config_file is None:
        config_file = found_file("checks")
    if app is None and config_file is None:
        raise UsageError("nothing to check: give --app MODULE, --config.file FILE or both")
    sys.path.insert(0, "")  # modules of the working directory, as with `python -m`
    registry = health_check
    if app is not None:
        registry = references.load_registry(app) or health_check
    if config_file is not None:
        config.add(registry, config_file)
    if not registry.names():
        raise UsageError(f"no checks are registered by {app}")
    return registry


def _refuse_nonsense(interval: float, *, as_json: bool, as_health_json: bool) -> None:
    if as_json and as_health_json:
        raise UsageError("--json and --health-json exclude each other")
    if not 0 < interval <= LONGEST_WATCH:
        raise UsageError(f"--interval must be a number of seconds up to {LONGEST_WATCH}, not {interval}")


def _exit_code(results: dict[str, HealthCheckResult]) -> int:
    return UNHEALTHY if report.verdict(results.values()) == report.UNHEALTHY else 0


def _shows_emoji() -> bool:
    try:
        "".join((*terminal.MARKS.values(), *terminal.LIGHTS.values())).encode(sys.stdout.encoding or "ascii")
    except UnicodeEncodeError:
        return False
    return True
