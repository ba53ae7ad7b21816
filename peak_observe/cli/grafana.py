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
        typer.Option(metavar="URL", help="Where people can read RUNBOOK.md; all link to it."),
    ] = "RUNBOOK.md",
    grafana_url: Annotated[
        str,
        typer.Option(metavar="URL", help="Where people can see Grafana; alerts link to their dashboards."),
    ] = "http://localhost:3000",
) -> None:
    """Write dashboards, alerts, their runbook and provisioning."""
    from peak_observe.monitoring import alerts, dashboard_files
    from peak_observe.monitoring.alert_files import Links

    try:
        written = dashboard_files.write(directory, runbook_url=runbook_url)
        written += alerts.write(directory, Links(runbook_url, grafana_url))
        for path in written:
            typer.echo(path)
    except OSError as error:
        typer.echo(f"peak-observe: cannot write to {directory}: {error.strerror}", err=True)
        raise typer.Exit(2) from None
