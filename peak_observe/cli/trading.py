"""Commands `peak-observe trading …`: show, halt, reduce and resume the trading switches of a folder."""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from peak_observe.cli.options import AsJson
from peak_observe.errors import UsageError
from peak_observe.safety import switch_file
from peak_observe.safety.switch_file import TRADING
from peak_observe.safety.trading_switch import TradingSwitch
from peak_observe.support.redact import printable
from peak_observe.support.streams import unread_output_dropped

if TYPE_CHECKING:
    from collections.abc import Callable

    from peak_observe.safety.switch_file import TradingState

app = typer.Typer(help="Show, halt, reduce and resume the trading of all bots.", no_args_is_help=True)
STOPPED = 1

Name = Annotated[str | None, typer.Argument(help="The switch; all of the folder if not given.")]
Folder = Annotated[
    Path | None,
    typer.Option("--dir", metavar="DIR", help="The folder of the bots' snapshots; PEAK_OBSERVE_DIR if not given."),
]
Reason = Annotated[str, typer.Option("--reason", help="Why, for whoever reads it later.")]
Lasting = Annotated[str | None, typer.Option("--for", metavar="TIME", help="End it after a time, such as 30min.")]


@app.command()
def status(name: Name = None, *, folder: Folder = None, as_json: AsJson = False) -> None:
    """Show the states; exit code 1 where one is halted or reduced."""
    root, names = _names(name, folder)
    found = {one: TradingSwitch(one, folder=root.parent).state for one in names}
    if as_json:
        typer.echo(json.dumps({key: state._asdict() for key, state in found.items()}, indent=2))
    else:
        for key, state in found.items():
            typer.echo(_line(key, state))
    if any(state.state != TRADING for state in found.values()):
        raise typer.Exit(STOPPED)


@app.command()
def halt(reason: Reason, *, name: Name = None, lasting: Lasting = None, folder: Folder = None) -> None:
    """Halt trading: bots send nothing but cancels, within a second."""
    seconds = _time(lasting)
    _each(name, folder, lambda switch: switch.halt(reason, for_seconds=seconds))


@app.command()
def reduce(reason: Reason, *, name: Name = None, lasting: Lasting = None, folder: Folder = None) -> None:
    """Let bots send only orders with reduceOnly, and cancels."""
    seconds = _time(lasting)
    _each(name, folder, lambda switch: switch.reduce_only(reason, for_seconds=seconds))


@app.command()
def resume(name: Name = None, *, reason: Reason = "resumed", folder: Folder = None) -> None:
    """Let trading go on, also after a file that cannot be read."""
    _each(name, folder, lambda switch: switch.resume(reason))


@app.callback()
def _quiet() -> None:
    # What the log would say, each command prints.
    logging.getLogger("peak_observe.trading").addHandler(logging.NullHandler())


def _each(name: str | None, folder: Path | None, change: Callable[[TradingSwitch], TradingState]) -> None:
    root, names = _names(name, folder)
    done, failed = [], []
    for one in names:
        # All are changed before a line is printed: neither one that fails nor a closed pipe may leave bots trading.
        try:
            done.append(_line(one, change(TradingSwitch(one, folder=root.parent))))
        except (ValueError, OSError) as error:
            failed.append(str(error))
    if failed:
        others = f"; {len(done)} others are changed" if done else ""
        raise UsageError("; ".join(dict.fromkeys(failed)) + others)
    with unread_output_dropped():
        for line in done:
            typer.echo(line)


def _time(lasting: str | None) -> float | None:
    from peak_observe.support.durations import seconds

    try:
        return None if lasting is None else seconds(lasting)
    except ValueError as error:
        raise UsageError(f"--for: {error}") from None


def _names(name: str | None, folder: Path | None) -> tuple[Path, list[str]]:
    """Return the folder of the switches, and the names of those that are meant.

    Raises:
        UsageError: There is none: a name with a typing error must not look as if it halted something.
    """
    root = switch_file.folder_of(folder)
    known = switch_file.names_in(root)
    if name is not None and name not in known:
        there = f"there are: {', '.join(known)}" if known else "there are none; a bot makes its switch when it starts"
        raise UsageError(f"there is no switch {name!r} in {root}; {there}")
    if not known:
        raise UsageError(f"there is no switch in {root}; a bot makes its switch when it starts")
    return root, known if name is None else [name]


def _line(name: str, state: TradingState) -> str:
    parts = [f"{name}: {state.state}"]
    parts += [f"since {_moment(state.at)}"] if state.at else []
    parts += [f"until {_moment(state.until)}"] if state.until else []
    parts += [f"by {state.by}"] if state.by else []
    return printable(", ".join(parts) + (f": {state.reason}" if state.reason else ""))


def _moment(at: float) -> str:
    return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M:%S} UTC"
