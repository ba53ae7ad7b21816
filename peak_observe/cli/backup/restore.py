"""`peak-observe backup restore`."""

import json
import sys
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.text import Text

from peak_observe.backup_recovery import BackupMetadata, RestorePlan, RestoreReport
from peak_observe.backup_recovery.repository.metadata import CONFIG, DATA, STATE
from peak_observe.backup_recovery.state.snapshot import encode
from peak_observe.cli.backup import render
from peak_observe.cli.backup.create import chosen
from peak_observe.cli.backup.options import (
    App,
    AsJson,
    Config,
    Data,
    File,
    Quiet,
    Repository,
    Which,
    identified,
    opened,
    settings,
)
from peak_observe.cli.backup.session import INCOMPLETE, progress
from peak_observe.errors import UsageError
from peak_observe.support.atomic_files import replace_text
from peak_observe.support.redact import printable


def restore(
    backup: Which,
    *,
    file: File = None,
    repository: Repository = None,
    app: App = None,
    config: Config = None,
    data: Data = None,
    only: Annotated[
        list[str] | None,
        typer.Option(metavar="PART", help="config, data or state; may be repeated.", show_default=CONFIG),
    ] = None,
    to: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Restore into this folder, laid out as in the backup."),
    ] = None,
    state_file: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write the state there; `StateSnapshot.load` reads it."),
    ] = None,
    allow_partial: Annotated[
        bool,
        typer.Option("--allow-partial", help="Restore also a backup that misses something."),
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Verify, show what would change, and end.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask before files are overwritten.")] = False,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Restore a backup: all files or none.

    Every byte is verified before the first file changes.

    Only paths named now (by the file, --app, --config or --data) are written, unless --to says where. Files that are
    not in the backup stay.
    """
    parts = {*chosen(only, (CONFIG,)), *([STATE] if state_file else [])}
    manager = opened(settings(file, repository=repository, app=app, config=config, data=data))
    name = identified(manager, backup)
    _note_missing(manager.get_backup(name), parts)
    restored = partial(
        manager.restore,
        name,
        config=CONFIG in parts,
        state=STATE in parts,
        data=DATA in parts,
        restore_to=to,
        allow_partial=allow_partial,
    )
    if dry_run or not yes:
        with progress(quiet=quiet) as tell:
            report = restored(dry_run=True, progress=tell)
        if not dry_run:
            _ask(report.plan)
    if not dry_run:
        with progress(quiet=quiet) as tell:
            report = restored(progress=tell)
    _tell(report, dry_run=dry_run, as_json=as_json, quiet=quiet)
    if report.state is not None and state_file and not dry_run:
        replace_text(state_file, encode(report.state).decode(), durable=True)
    if report.unapplied:
        raise typer.Exit(INCOMPLETE)


def _note_missing(backup: BackupMetadata, parts: set[str]) -> None:
    for part in sorted(parts - set(backup.parts)) if backup.parts else ():  # an old one does not say what it holds
        typer.echo(f"peak-observe: {backup.backup_id} holds no {part}", err=True)


def _ask(plan: RestorePlan) -> None:
    """Ask whether files may be overwritten, if some would be.

    Raises:
        UsageError: There is nobody to ask.
    """
    if not plan.replaced:
        return
    count = len(plan.replaced)
    what = "1 file" if count == 1 else f"{count} files"
    if not sys.stdin.isatty():
        raise UsageError(f"this would overwrite {what}: --yes does it, --dry-run shows what would change")
    render.printed(f"restore of {plan.backup_id}", _plan(plan), err=True)
    if not typer.confirm(f"Overwrite {what}?", err=True):
        typer.echo("peak-observe: nothing was restored", err=True)
        raise typer.Exit(INCOMPLETE)


def _tell(report: RestoreReport, *, dry_run: bool, as_json: bool, quiet: bool) -> None:
    if as_json:
        render.as_json({"dry_run": dry_run, **report.plan._asdict(), **_state(report)})
    elif not quiet:
        did = "would change" if dry_run else "is restored"
        render.printed(f"{report.plan.backup_id} {did}", _plan(report.plan))
    for problem in report.unapplied:
        typer.echo(f"peak-observe: not restored: {printable(problem)}", err=True)


def _plan(plan: RestorePlan) -> Text:
    found = {name: getattr(plan, name) for name in ("new", "replaced", "same", "extra")}
    return render.groups(found, counted=("same",))


def _state(report: RestoreReport) -> dict[str, Any]:
    if report.state is None:
        return {}
    held = json.loads(encode(report.state)) if report.state else None
    return {"state": held, "unapplied": list(report.unapplied)}
