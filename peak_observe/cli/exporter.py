"""Command `peak-observe exporter`."""

from __future__ import annotations

import sys
from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

from peak_observe.cli.options import ConfigFile


class Level(Enum):
    """Log levels of the exporter."""

    DEBUG = "debug"
    INFO = "info"
    WARN = "warn"
    ERROR = "error"


class Format(Enum):
    """Log formats of the exporter."""

    LOGFMT = "logfmt"
    JSON = "json"


def exporter(
    *,
    config_file: ConfigFile = None,
    listen: Annotated[
        list[str],
        typer.Option("--web.listen-address", metavar="HOST:PORT", help="Where to listen; may be repeated."),
    ] = ["127.0.0.1:17325"],  # noqa: B006 - typer copies it
    web_config_file: Annotated[
        Path | None,
        typer.Option("--web.config.file", metavar="FILE", help="TLS and passwords, as exporter-toolkit has them."),
    ] = None,
    lifecycle: Annotated[
        bool,
        typer.Option("--web.enable-lifecycle", help="Let a POST to /-/reload read the configuration anew."),
    ] = False,
    hosts: Annotated[
        list[str],
        typer.Option("--web.allowed-host", metavar="NAME", help="A public name of this host; may be repeated."),
    ] = [],  # noqa: B006 - typer copies it
    sum_processes: Annotated[
        bool,
        typer.Option("--processes.sum", help="Serve one series for all processes instead of one for each."),
    ] = False,
    level: Annotated[
        Level,
        typer.Option("--log.level", case_sensitive=False, help="Least level that is logged."),
    ] = Level.INFO,
    form: Annotated[
        Format,
        typer.Option("--log.format", case_sensitive=False, help="Form of the log on standard error."),
    ] = Format.LOGFMT,
    check: Annotated[
        bool,
        typer.Option("--config.check", help="Check both files, say what would be watched, and end."),
    ] = False,
) -> None:
    """Serve what this host's bots, jobs and backups tell.

    /metrics is for Prometheus, and / is a status page for people.
    """
    from peak_observe.exporter import logs

    sys.path.insert(0, "")  # modules of the working directory, as with `python -m`
    logs.set_up(level.value, form.value)
    if check:
        _check(config_file, web_config_file, sum_processes=sum_processes)
        return
    from peak_observe.exporter.web.server import Exporter, Options

    Exporter(Options(config_file, tuple(listen), web_config_file, lifecycle, tuple(hosts), sum_processes)).run()


def _check(config_file: Path | None, web_config_file: Path | None, *, sum_processes: bool) -> None:
    from peak_observe.exporter import config
    from peak_observe.exporter.web import web_config

    found, web = config.load(config_file, sum_processes=sum_processes), web_config.load(web_config_file)
    typer.echo(f"{found.path}: in order; it watches" if found.path else "no configuration file: it watches")
    for definition in found.sources:
        if definition.name != "checks":
            typer.echo(f"  {definition.name}: {definition.about}, every {definition.interval:g} s")
    for _, described in found.checks:
        typer.echo(f"  check {described.name}")
    if web.path is not None:
        who = f"{len(web.users)} users" if web.users else "everybody may ask"
        typer.echo(f"{web.path}: in order; {'TLS' if web.tls else 'no TLS'}, {who}")
