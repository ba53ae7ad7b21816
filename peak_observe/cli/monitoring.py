"""Commands `peak-observe monitoring` and, under their old name, `peak-observe grafana`."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from peak_observe.monitoring.output import Change

app = typer.Typer(help="Alerts, dashboards and what runs the exporter.", no_args_is_help=True)
grafana = typer.Typer(help="Dashboards for Grafana, alerts for Prometheus.", no_args_is_help=True)


class Kind(StrEnum):
    """Purpose of files; the names are those of `peak_observe.monitoring.output.KINDS`."""

    PROMETHEUS = "prometheus"
    GRAFANA = "grafana"
    KUBERNETES = "kubernetes"
    SYSTEMD = "systemd"
    COMPOSE = "compose"
    ALL = "all"


Directory = Annotated[Path, typer.Argument(help="Folder to write into; need not exist.")]
Kinds = Annotated[list[Kind], typer.Option("--kind", help="What the files are for; may be repeated.")]
RunbookUrl = Annotated[
    str, typer.Option(metavar="URL", help="Where people can read RUNBOOK.md; alerts and dashboards link to it.")
]
GrafanaUrl = Annotated[
    str, typer.Option(metavar="URL", help="Where people can see Grafana; alerts link to their dashboards.")
]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Write files anew that were edited by hand, too.")]
Diff = Annotated[bool, typer.Option("--diff", help="Show what would change, and write nothing.")]


@app.command()
def write(
    directory: Directory,
    *,
    kind: Kinds = [Kind.ALL],  # noqa: B006 - typer copies it
    runbook_url: RunbookUrl = "",
    grafana_url: GrafanaUrl = "",
    overwrite: Overwrite = False,
    diff: Diff = False,
) -> None:
    """Write alerts, dashboards and what runs the exporter.

    Prints the path of each file that changed.
    """
    kinds = [found for found in Kind if found is not Kind.ALL] if Kind.ALL in kind else kind
    _write(directory, kinds, runbook_url, grafana_url, overwrite=overwrite, diff=diff)


@grafana.command(name="write")
def write_as_before(
    directory: Directory,
    *,
    runbook_url: RunbookUrl = "",
    grafana_url: GrafanaUrl = "",
    overwrite: Overwrite = False,
    diff: Diff = False,
) -> None:
    """Write dashboards, alerts and provisioning.

    Prints the path of each file that changed.
    """
    kinds = [Kind.PROMETHEUS, Kind.GRAFANA]
    _write(directory, kinds, runbook_url, grafana_url, overwrite=overwrite, diff=diff)


def _write(
    directory: Path, kinds: Sequence[Kind], runbook_url: str, grafana_url: str, *, overwrite: bool, diff: bool
) -> None:
    from peak_observe.monitoring import output
    from peak_observe.monitoring.alert_files import Links

    for option, url in (("--runbook-url", runbook_url), ("--grafana-url", grafana_url)):
        if url and "://" not in url:
            raise typer.BadParameter(f"{url!r} is no address: begin it with https://", param_hint=option)
    try:
        changes = output.changes(directory, Links(runbook_url, grafana_url), kinds=kinds, overwrite=overwrite)
        if not diff:
            output.write(changes)
    except OSError as error:
        typer.echo(f"peak-observe: cannot write to {directory}: {error.strerror}", err=True)
        raise typer.Exit(2) from None
    _tell(changes, diff=diff)


def _tell(changes: list[Change], *, diff: bool) -> None:
    for change in filter(lambda change: change.needed, changes):
        typer.echo(change.diff() if diff else change.path, nl=not diff)
    for change in changes:
        if change.kept:
            typer.echo(f"peak-observe: {change.kept} was edited and is left alone; see {change.path}", err=True)
    unchanged = sum(not change.needed for change in changes)
    if unchanged:
        typer.echo(f"peak-observe: {unchanged} files are as they should be", err=True)
