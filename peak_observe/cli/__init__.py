"""Command line interface: one module a command."""

from __future__ import annotations

from typing import Annotated

import typer

from peak_observe._version import __version__
from peak_observe.cli import backup, demo, exporter, health, monitoring, shared, trading
from peak_observe.cli.options import ConfigRenamed, PathsChecked
from peak_observe.cli.usage_errors import PlainGroup

app = typer.Typer(
    cls=PlainGroup,
    name="peak-observe",
    help="Resilience for trading code that tells Prometheus what it did.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command(cls=ConfigRenamed)(health.health)
app.command(cls=PathsChecked)(exporter.exporter)
app.command()(demo.demo)
app.add_typer(backup.app, name="backup")
app.add_typer(trading.app, name="trading")
app.add_typer(shared.app, name="shared")
app.add_typer(monitoring.app, name="monitoring")
app.add_typer(monitoring.grafana, name="grafana")


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
