"""`peak-observe backup create`."""

from typing import Annotated

import typer

from peak_observe.backup_recovery import BackupMetadata, RecoveryManager
from peak_observe.backup_recovery.create.left_out import RESTORING, SKIPPED, WITHOUT_FILES
from peak_observe.backup_recovery.repository.metadata import CONFIG, DATA, KINDS, STATE
from peak_observe.cli.backup import render
from peak_observe.cli.backup.config import Settings
from peak_observe.cli.backup.counts import counted
from peak_observe.cli.backup.hooks import FAILED, SUCCESS, around
from peak_observe.cli.backup.manager import note, notes, opened, settings
from peak_observe.cli.backup.push import pushed, tell_pushed
from peak_observe.cli.backup.session import INCOMPLETE, progress
from peak_observe.cli.options import AsJson, Config, ConfigFile, Data, Excluded, Manager, Only, Quiet, Repository
from peak_observe.errors import UsageError
from peak_observe.support import durations
from peak_observe.support.redact import printable


def create(
    *,
    file: ConfigFile = None,
    repository: Repository = None,
    app: Manager = None,
    config: Config = None,
    data: Data = None,
    exclude: Excluded = None,
    append_only: Annotated[
        list[str] | None,
        typer.Option(metavar="PATTERN", help="Files that only ever grow, as 'fills.csv'; may be repeated."),
    ] = None,
    max_age: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="How old the newest backup may get, as '24h' or seconds; for the alert."),
    ] = None,
    name: Annotated[str | None, typer.Option(help="Label of the metrics.", show_default="the folder's name")] = None,
    only: Only = None,
    description: Annotated[str, typer.Option(help="What it is for.")] = "",
    tag: Annotated[list[str] | None, typer.Option(help="For finding it again; may be repeated.")] = None,
    incremental: Annotated[
        bool, typer.Option("--incremental", help="Store what changed since the last full one.")
    ] = False,
    push: Annotated[bool, typer.Option("--push", help="Send it to the off-site store, if it is a good one.")] = False,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Make a backup; exit code 1 if something is missing in it."""
    with counted(Settings(repository=repository, app=app, name=name), file) as run:
        found = run.found = settings(
            file,
            repository=repository,
            app=app,
            config=config,
            data=data,
            exclude=exclude,
            append_only=append_only,
            name=name,
        )
        if max_age is not None:  # after the file, which says where a mistake counts
            found = run.found = found._replace(max_age=seconds("--max-age", max_age))
        if not (found.config or found.data or found.commands or found.app):
            raise UsageError("nothing to back up: give --config PATH, --data PATH, --config.file FILE or --app MODULE")
        if push and found.offsite is None:
            raise UsageError("--push: no table [backup.offsite] says where to")
        with around(found, "backup") as ending:
            manager = opened(found, new=True)
            wanted = parts(manager, only)
            run.begun = True
            try:
                backup = _made(manager, wanted, description, tag, incremental=incremental, quiet=quiet)
            except ValueError as error:
                run.begun = False  # an option that makes no sense is nothing that a manager counts
                raise UsageError(str(error)) from None
            hushed, sent = quiet or as_json, None
            if push and backup.good:
                sent = pushed(found, backup.backup_id, repository=manager.backup_root, quiet=hushed)
            ending.outcome = SUCCESS if backup.good else FAILED  # whether or not that can be told
            if sent and not hushed:
                tell_pushed(sent)
            _tell(backup, as_json=as_json, quiet=quiet, news=_newly_left_out(manager, backup))


def _made(
    manager: RecoveryManager,
    wanted: list[str],
    description: str,
    tag: list[str] | None,
    *,
    incremental: bool,
    quiet: bool,
) -> BackupMetadata:
    with progress("backup", quiet=quiet) as tell:
        made = manager.create_backup(
            CONFIG in wanted,
            STATE in wanted,
            DATA in wanted,
            description,
            tag,
            incremental=incremental,
            progress=tell,
        )
    return manager.get_backup(made)


def seconds(option: str, text: str) -> float:
    """Return the seconds that an option asks for.

    Raises:
        UsageError: It is no time.
    """
    try:
        return durations.seconds(text)
    except ValueError as error:
        raise UsageError(f"{option}: {error}") from None


def chosen(only: list[str] | None, default: tuple[str, ...]) -> list[str]:
    """Return the parts that are wanted.

    Raises:
        UsageError: There is no such part.
    """
    for part in only or ():
        if part not in KINDS:
            raise UsageError(f"--only: there is no part {part!r}; there are {', '.join(KINDS)}")
    return list(only or default)


def parts(manager: RecoveryManager, only: list[str] | None) -> list[str]:
    """Return the parts to back up: those that something is named for.

    Raises:
        UsageError: Nothing is named, or nothing for a part that is wanted.
    """
    named = manager.named_parts()
    wanted = chosen(only, tuple(named))
    empty = [part for part in wanted if part not in named]
    if empty or not wanted:
        raise UsageError(f"nothing is named for {' and '.join(empty or KINDS)}: there is nothing to back up")
    return wanted


def _newly_left_out(manager: RecoveryManager, made: BackupMetadata) -> list[str]:
    """Return what a backup leaves out as a cache or a repository, where the last good one of the same did not."""
    others = (other for other in manager.list_backups() if other.backup_id != made.backup_id)
    last = next((other for other in others if other.good and other.sources == made.sources), None)
    told = [str(problem) for problem in made.left_out or () if problem.what == SKIPPED]
    return [] if last is None else [text for text in told if text not in map(str, last.left_out or ())]


def _tell(made: BackupMetadata, *, as_json: bool, quiet: bool, news: list[str]) -> None:
    if as_json:
        render.as_json(made.to_dict())
    elif not quiet:
        what = f"{render.files(made.files_count, made.size_bytes)} in {made.duration:.1f} s"
        render.printed(f"{made.backup_id}  {made.status.value}  {what}")
        for problem in made.left_out or ():
            if problem.what == SKIPPED:  # the command line knows of what it left out itself
                render.printed(f"left out  {printable(str(problem))}")
    for problem in made.left_out or ():
        if problem.what in (WITHOUT_FILES, RESTORING) and not quiet:
            note(f"left out: {problem}")
    if quiet and not as_json:  # as under cron, where nobody looks at what is left out each time
        notes(f"left out, unlike last time: {text}" for text in news)
    for problem in made.problems:
        note(f"not in the backup: {problem}")
    if not made.good:
        raise typer.Exit(INCOMPLETE)
