"""Command `peak-observe grafana`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(help="Dashboards for Grafana, alerts for Prometheus.", no_args_is_help=True)


@app.command()
def write(
    directory: Annotated[
        Path, typer.Argument(help="Folder to write into: dashboards/, alerts/, provisioning/ and RUNBOOK.md.")
    ],
    *,
    runbook_url: Annotated[
        str,
        typer.Option(metavar="URL", help="Where people can read RUNBOOK.md; alerts and dashboards link to it."),
    ] = "",
    grafana_url: Annotated[
        str,
        typer.Option(metavar="URL", help="Where people can see Grafana; alerts link to their dashboards."),
    ] = "",
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Write files anew that were edited by hand, too.")
    ] = False,
    diff: Annotated[bool, typer.Option("--diff", help="Show what would change, and write nothing.")] = False,
) -> None:
    """Write dashboards, alerts, their runbook and provisioning.

    Prints the path of each file that changed.
    """
    from peak_observe.monitoring import output
    from peak_observe.monitoring.alert_files import Links

    for option, url in (("--runbook-url", runbook_url), ("--grafana-url", grafana_url)):
        if url and "://" not in url:
            raise typer.BadParameter(f"{url!r} is no address: begin it with https://", param_hint=option)
    try:
        changes = output.changes(directory, Links(runbook_url, grafana_url), overwrite=overwrite)
        if not diff:
            output.write(changes)
    except OSError as error:
        typer.echo(f"peak-observe: cannot write to {directory}: {error.strerror}", err=True)
        raise typer.Exit(2) from None
    for change in filter(lambda change: change.needed, changes):
        typer.echo(change.diff() if diff else change.path, nl=not diff)
    for change in changes:
        if change.kept:
            typer.echo(f"peak-observe: {change.kept} was edited and is left alone; see {change.path}", err=True)
    unchanged = sum(not change.needed for change in changes)
    if unchanged:
        typer.echo(f"peak-observe: {unchanged} files are as they should be", err=True)
