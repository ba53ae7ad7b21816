"""The command line; each command is a few lines that call a room of the house."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003 - typer reads the annotations when it runs
from typing import Annotated

import typer

from peak_observe._version import __version__

app = typer.Typer(
    name="peak-observe",
    help="Resilience for trading code that tells Prometheus what it did.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
grafana = typer.Typer(help="Dashboards for Grafana.", no_args_is_help=True)
app.add_typer(grafana, name="grafana")


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"peak-observe {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit."),
    ] = False,
) -> None:
    pass


@app.command()
def demo(
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port of /metrics; 0 picks a free one.")] = 0,
    duration: Annotated[float | None, typer.Option(min=0.1, help="Seconds to run; without it until Ctrl-C.")] = None,
    once: Annotated[bool, typer.Option("--once", help="Play the script of faults once, then stop.")] = False,
    no_prometheus: Annotated[bool, typer.Option("--no-prometheus", help="Do not start a Prometheus.")] = False,
) -> None:
    """Trade against an exchange that fails by script, and watch the circuits."""
    from peak_observe.demo import run

    run(port=port, duration=duration, once=once, prometheus=not no_prometheus)


@grafana.command()
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
