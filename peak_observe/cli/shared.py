"""Commands `peak-observe shared`: show and change the state that processes share."""

from __future__ import annotations

import json
import math
import os
from typing import TYPE_CHECKING, Annotated, Any

import typer

from peak_observe.cli.options import AsJson
from peak_observe.coordination.default import VARIABLE
from peak_observe.support import durations
from peak_observe.support.redact import printable

if TYPE_CHECKING:
    from peak_observe.coordination.engine import SharedPicture
    from peak_observe.coordination.shared import Shared

app = typer.Typer(help="Circuits and holds that processes share.", no_args_is_help=True)
PATIENCE = 2.0
"""Seconds that a person's command waits for the engine."""

Url = Annotated[
    str | None,
    typer.Option("--url", metavar="URL", help=f"host, file:///path or redis://…; by default {VARIABLE}, else host."),
]
Namespace = Annotated[str, typer.Option("--namespace", metavar="NAME", help="Name of those who share.")]
Circuit = Annotated[str, typer.Argument(metavar="NAME", help="The circuit's name, as `shared show` prints it.")]


@app.command()
def show(*, url: Url = None, namespace: Namespace = "peak-observe", as_json: AsJson = False) -> None:
    """Show shared circuits, holds and members.

    Each circuit is shown with the process that opened it.
    """
    with _shared(url, namespace) as shared:
        picture = shared.picture()
    typer.echo(json.dumps(_as_data(picture), ensure_ascii=False) if as_json else "\n".join(_lines(picture)))


@app.command("open")
def force_open(
    name: Circuit,
    *,
    url: Url = None,
    namespace: Namespace = "peak-observe",
    for_time: Annotated[
        str | None, typer.Option("--for", metavar="TIME", help="As 10min or 2h; until `reset` if not given.")
    ] = None,
) -> None:
    """Open a circuit in all processes."""
    seconds = None if for_time is None else _seconds(for_time)
    with _shared(url, namespace) as shared:
        shared.force_open(name, for_seconds=seconds)
        _tell(shared, f"circuit {printable(name)} is open in all processes" + (f" for {for_time}" if for_time else ""))


@app.command()
def reset(name: Circuit, *, url: Url = None, namespace: Namespace = "peak-observe") -> None:
    """Close a circuit in all processes."""
    with _shared(url, namespace) as shared:
        shared.reset(name)
        _tell(shared, f"circuit {printable(name)} is closed in all processes")


def _tell(shared: Shared, change: str) -> None:
    typer.echo(change)
    if shared.picture().members == 1:  # this command
        where = f"namespace {shared.namespace} of {shared.address}"
        typer.echo(f"peak-observe: no process takes part in {where} now: is --url or --namespace another?", err=True)


def _seconds(text: str) -> float:
    try:
        return durations.seconds(text)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--for") from None


def _shared(url: str | None, namespace: str) -> Shared:
    from peak_observe.coordination.shared import Shared

    try:
        return Shared(url or os.environ.get(VARIABLE) or "host", namespace=namespace, timeout=PATIENCE)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None


def _as_data(picture: SharedPicture) -> dict[str, Any]:
    circuits = [_finite(news._asdict()) for news in picture.circuits.values()]
    holds = [hold._asdict() for hold in picture.holds.values()]
    return {"members": picture.members - 1, "circuits": circuits, "holds": holds}


def _finite(row: dict[str, Any]) -> dict[str, Any]:
    return {key: None if value == math.inf else value for key, value in row.items()}


def _lines(picture: SharedPicture) -> list[str]:
    lines = [f"{picture.members - 1} processes"]  # this command is one more
    for news in sorted(picture.circuits.values()):
        left = "" if news.state == "closed" or news.left == math.inf else f", {news.left:.0f} s left"
        by = f", by {news.by}" if news.by else ""
        why = f": {news.reason}" if news.reason else ""
        lines.append(printable(f"circuit {news.name} {news.state}{left}{by}{why}"))
    lines += [
        printable(f"hold {hold.name} {hold.left:.0f} s left: {hold.reason}") for hold in sorted(picture.holds.values())
    ]
    return lines
