"""`peak-observe backup list`, `show` and `diff`: nothing is changed."""

from typing import Annotated

import typer

from peak_observe.backup_recovery import BackupType
from peak_observe.cli.backup import render
from peak_observe.cli.backup.manager import identified, note, notes, opened, settings
from peak_observe.cli.backup.session import INCOMPLETE, progress
from peak_observe.cli.options import (
    LATEST,
    AsJson,
    Config,
    ConfigFile,
    Data,
    Excluded,
    Manager,
    Repository,
    Tag,
    Which,
)
from peak_observe.errors import BackupError
from peak_observe.support.redact import printable


def list_(
    *,
    file: ConfigFile = None,
    repository: Repository = None,
    app: Manager = None,
    tag: Tag = None,
    type_: Annotated[BackupType | None, typer.Option("--type", help="Only those of this type.")] = None,
    as_json: AsJson = False,
) -> None:
    """List the backups, the newest first."""
    manager = opened(settings(file, repository=repository, app=app), reads=True)
    backups = manager.list_backups(tag, type_)
    unreadable = {} if tag or type_ else manager.unreadable_backups()
    corrupt = manager.unrestorable_backups()
    if as_json:
        found = [backup.to_dict() for backup in backups]
        render.as_json({"backups": found, "unreadable": unreadable, "corrupt": sorted(manager.corrupt_backups())})
    elif backups or unreadable:
        render.printed(render.listed(backups, unreadable, corrupt))
    else:
        which = "no backups of that tag or type" if tag or type_ else "no backups"
        render.printed(f"{which} in {printable(str(manager.backup_root))}")


def show(
    backup: Which = LATEST,
    *,
    file: ConfigFile = None,
    repository: Repository = None,
    app: Manager = None,
    as_json: AsJson = False,
) -> None:
    """Show one backup: its parts, sources and problems.

    Where each part lived, what is missing, and where the backup lies.
    """
    manager = opened(settings(file, repository=repository, app=app), reads=True)
    found = manager.get_backup(identified(manager, backup))
    folder = manager.backup_root.absolute() / found.backup_id
    corrupt = manager.unrestorable_backups()
    if as_json:
        render.as_json({**found.to_dict(), "folder": str(folder), "corrupt": found.backup_id in corrupt})
        return
    problem, held = "", render.Held()
    with progress("read", quiet=False):
        try:
            held = render.held_files(manager.iter_files(found.backup_id) if found.manifest or found.files_count else ())
        except BackupError as error:
            problem = str(error)
    render.printed(render.described(found, folder, held, corrupt))
    if problem:
        note(problem)


def diff(
    before: Which,
    after: Annotated[
        str | None,
        typer.Argument(metavar="[BACKUP]", help="The later one; without it the files as they are now."),
    ] = None,
    *,
    file: ConfigFile = None,
    repository: Repository = None,
    app: Manager = None,
    config: Config = None,
    data: Data = None,
    exclude: Excluded = None,
    as_json: AsJson = False,
) -> None:
    """Show which files changed from one backup to another, or to now.

    Exit code 1 if files or folders of now cannot be read, which are named.
    """
    found = settings(file, repository=repository, app=app, config=config, data=data, exclude=exclude)
    manager = opened(found, reads=True)
    earlier = identified(manager, before)
    other = after and (earlier if after == before else identified(manager, after))
    with progress("compare", quiet=as_json):
        difference = manager.diff(earlier, other)
    if as_json:
        render.as_json(difference._asdict())
    else:
        names = ("added", "removed", "changed", *(("times",) if difference.times else ()))
        render.printed(
            f"from {difference.before} to {difference.after or 'now'}",
            render.groups({name: getattr(difference, name) for name in names}),
            f"same  {difference.same}",
        )
    notes(f"{path}: {reason}" for path, reason in difference.unreadable.items())
    if difference.unreadable:
        raise typer.Exit(INCOMPLETE)
