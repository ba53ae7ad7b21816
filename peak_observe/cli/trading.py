"""Commands `peak-observe trading …`: show, halt, reduce and resume the trading of a host, or of all that share."""

from __future__ import annotations

import json
import logging
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from peak_observe.cli.options import AsJson
from peak_observe.errors import PeakObserveError, UsageError
from peak_observe.safety import shared_switch, switch_file
from peak_observe.safety.shared_switch import RemoteSwitch
from peak_observe.safety.switch_file import TRADING
from peak_observe.safety.trading_switch import TradingSwitch
from peak_observe.support.redact import printable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from peak_observe.coordination.shared import Shared
    from peak_observe.safety.switch_file import TradingState

app = typer.Typer(help="Show, halt, reduce and resume the trading of all bots.", no_args_is_help=True)
STOPPED = 1
PATIENCE = 2.0
"""Seconds that a person's command waits for the shared state."""
NAMESPACE = "peak-observe"
Switch = TradingSwitch | RemoteSwitch

Name = Annotated[str | None, typer.Argument(help="The switch; all of the folder if not given.")]
Folder = Annotated[
    Path | None,
    typer.Option("--dir", metavar="DIR", help="The folder of the bots' snapshots; PEAK_OBSERVE_DIR if not given."),
]
Url = Annotated[
    str | None,
    typer.Option("--shared", metavar="URL", help="The shared state of the bots, such as redis://…: acts on all hosts."),
]
Namespace = Annotated[str, typer.Option("--namespace", metavar="NAME", help="Namespace of --shared.")]
ThisHost = Annotated[
    bool, typer.Option("--this-host", help="Resume here, where the shared state is gone for good, without asking it.")
]
Reason = Annotated[str, typer.Option("--reason", help="Why, for whoever reads it later.")]
Lasting = Annotated[str | None, typer.Option("--for", metavar="TIME", help="End it after a time, such as 30min.")]


@app.command()
def status(
    name: Name = None,
    *,
    folder: Folder = None,
    shared: Url = None,
    namespace: Namespace = NAMESPACE,
    as_json: AsJson = False,
) -> None:
    """Show the states; exit code 1 where one is halted or reduced."""
    with _switches(name, folder, shared, namespace) as switches:
        found = {switch.name: switch.state for switch in switches}
    if as_json:
        typer.echo(json.dumps({key: state._asdict() for key, state in found.items()}, indent=2))
    else:
        for key, state in found.items():
            typer.echo(_line(key, state))
    if any(state.state != TRADING for state in found.values()):
        raise typer.Exit(STOPPED)


@app.command()
def halt(
    reason: Reason,
    *,
    name: Name = None,
    lasting: Lasting = None,
    folder: Folder = None,
    shared: Url = None,
    namespace: Namespace = NAMESPACE,
) -> None:
    """Halt trading: bots send nothing but cancels, within a second."""
    seconds = _time(lasting)
    with _switches(name, folder, shared, namespace) as switches:
        _each(switches, lambda switch: switch.halt(reason, for_seconds=seconds))


@app.command()
def reduce(
    reason: Reason,
    *,
    name: Name = None,
    lasting: Lasting = None,
    folder: Folder = None,
    shared: Url = None,
    namespace: Namespace = NAMESPACE,
) -> None:
    """Let bots send only orders with reduceOnly, and cancels."""
    seconds = _time(lasting)
    with _switches(name, folder, shared, namespace) as switches:
        _each(switches, lambda switch: switch.reduce_only(reason, for_seconds=seconds))


@app.command()
def resume(
    name: Name = None,
    *,
    reason: Reason = "resumed",
    folder: Folder = None,
    shared: Url = None,
    namespace: Namespace = NAMESPACE,
    this_host: ThisHost = False,
) -> None:
    """Let trading go on, also after a file that cannot be read."""
    with _switches(name, folder, shared, namespace) as switches:
        if shared is None and not this_host:
            _check_not_shared(switches)
        _each(switches, lambda switch: switch.resume(reason))


@app.callback()
def _quiet() -> None:
    # What the log would say, each command prints.
    logging.getLogger("peak_observe.trading").addHandler(logging.NullHandler())


def _each(switches: Sequence[Switch], change: Callable[[Switch], TradingState]) -> None:
    done, failed = [], []
    for switch in switches:
        # All are changed before a line is printed: neither one that fails nor a closed pipe may leave bots trading.
        try:
            done.append(_line(switch.name, change(switch)))
        except (ValueError, OSError, PeakObserveError) as error:
            failed.append(str(error))
    if failed:
        others = f"; {len(done)} others are changed" if done else ""
        raise UsageError("; ".join(dict.fromkeys(failed)) + others)
    for line in done:
        typer.echo(line)


def _check_not_shared(switches: Sequence[Switch]) -> None:
    """Refuse to resume one host of several, which the others would halt again.

    Raises:
        UsageError: A switch is shared.
    """
    for switch in switches:
        state = switch.state
        if state.revision and state.state != TRADING:
            raise UsageError(
                f"{switch.name!r} is halted on all hosts that share it: give --shared URL of their shared state; "
                "--this-host resumes here alone, for as long as that does not answer"
            )


def _time(lasting: str | None) -> float | None:
    from peak_observe.support.durations import seconds

    try:
        return None if lasting is None else seconds(lasting)
    except ValueError as error:
        raise UsageError(f"--for: {error}") from None


@contextmanager
def _switches(name: str | None, folder: Path | None, url: str | None, namespace: str) -> Iterator[list[Switch]]:
    """Yield the switches that are meant.

    Raises:
        UsageError: There is none: a name with a typing error must not look as if it halted something.
    """
    if url is None:
        root = switch_file.folder_of(folder)
        chosen = _chosen(name, switch_file.names_in(root), str(root))
        yield [TradingSwitch(one, folder=root.parent) for one in chosen]
        return
    with _shared(url, namespace) as shared:
        records = shared.records()
        chosen = _chosen(name, shared_switch.names(records), f"{records.address}, namespace {namespace!r}")
        yield [RemoteSwitch(one, records) for one in chosen]


def _chosen(name: str | None, known: list[str], where: str) -> list[str]:
    there = f"there are: {', '.join(known)}" if known else "there are none; a bot makes its switch when it starts"
    if name is not None and name not in known:
        raise UsageError(f"there is no switch {name!r} in {where}; {there}")
    if not known:
        raise UsageError(f"there is no switch in {where}; a bot makes its switch when it starts")
    return known if name is None else [name]


def _shared(url: str, namespace: str) -> Shared:
    from peak_observe.coordination.shared import Shared

    try:
        return Shared(url, namespace=namespace, timeout=PATIENCE)
    except ValueError as error:
        raise UsageError(f"--shared: {error}") from None


def _line(name: str, state: TradingState) -> str:
    parts = [f"{name}: {state.state}"]
    parts += [f"since {_moment(state.at)}"] if state.at else []
    parts += [f"until {_moment(state.until)}"] if state.until else []
    parts += [f"by {state.by}"] if state.by else []
    return printable(", ".join(parts) + (f": {state.reason}" if state.reason else ""))


def _moment(at: float) -> str:
    return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M:%S} UTC"
