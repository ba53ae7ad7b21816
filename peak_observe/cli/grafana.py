"""`peak-observe grafana`."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003 - typer reads the annotations when it runs
from typing import Annotated

import typer

app = typer.Typer(help="Dashboards for Grafana, alerts for Prometheus.", no_args_is_help=True)


@app.command()
def write(
    directory: Annotated[Path, typer.Argument(help="Folder to write into: dashboards/, alerts/ and RUNBOOK.md.")],
    *,
    runbook_url: Annotated[
        str,
        typer.Option(metavar="URL", help="Where people can read RUNBOOK.md; alerts and dashboards link to it."),
    ] = "RUNBOOK.md",
    dashboard_url: Annotated[
        str,
        typer.Option(metavar="URL", help="Where people can see the dashboard; alerts link to it."),
    ] = "http://localhost:3000/d/peak-overview",
) -> None:
    """Write the dashboards, the alerts and their runbook."""
    from peak_observe.monitoring import alerts, dashboards

    try:
        written = dashboards.write(directory, runbook_url=runbook_url)
        written += alerts.write(directory, runbook_url=runbook_url, dashboard_url=dashboard_url)
        for path in written:
            typer.echo(path)
    except OSError as error:
        typer.echo(f"peak-observe: cannot write to {directory}: {error.strerror}", err=True)
        raise typer.Exit(2) from None
