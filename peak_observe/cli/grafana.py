"""`peak-observe grafana`."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003 - typer reads the annotations when it runs
from typing import Annotated

import typer

app = typer.Typer(help="Dashboards for Grafana.", no_args_is_help=True)


@app.command()
def write(
    directory: Annotated[Path, typer.Argument(help="Folder to write into; it gets a folder dashboards/.")],
) -> None:
    """Write the dashboards, made from the metric catalogue, as JSON files."""
    from peak_observe.monitoring import dashboards

    try:
        for path in dashboards.write(directory):
            typer.echo(path)
    except OSError as error:
        typer.echo(f"peak-observe: cannot write to {directory}: {error.strerror}", err=True)
        raise typer.Exit(2) from None
