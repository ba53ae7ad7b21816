"""`peak-observe backup offsite`: the store away from this machine."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from peak_observe.backup_recovery.offsite.choice import corrupt
from peak_observe.backup_recovery.offsite.encryption import write_identity
from peak_observe.backup_recovery.repository.metadata import CONFIG, DATA, KINDS, STATE
from peak_observe.cli.backup import config, render, restore
from peak_observe.cli.backup.create import chosen, seconds
from peak_observe.cli.backup.manager import note, repository_of, settings
from peak_observe.cli.backup.prune import selection_facts, show_selection
from peak_observe.cli.backup.push import Endpoint, Region, Url, store_of
from peak_observe.cli.backup.session import INCOMPLETE, guarded, progress
from peak_observe.cli.backup.targets import moved_paths
from peak_observe.cli.backup.verify import tell_reports
from peak_observe.cli.options import (
    LATEST,
    AsJson,
    ConfigFile,
    Data,
    DryRun,
    PathsChecked,
    Quiet,
    Repository,
    To,
)
from peak_observe.errors import BackupCorruptError, UsageError
from peak_observe.resilience.health import formatting

if TYPE_CHECKING:
    from collections.abc import Collection

    from peak_observe.backup_recovery.offsite.record import StoredBackup
    from peak_observe.backup_recovery.offsite.verify import StoreReport

TWICE = (
    "Without the private key nobody restores, you neither: keep two copies of it in two places, none on this host. "
    "`peak-observe backup offsite drill --identity FILE` proves that one of them works."
)

app = typer.Typer(help="Keep encrypted backups away from this machine, and prove them.", no_args_is_help=True)

Identity = Annotated[
    Path | None,
    typer.Option("--identity", metavar="FILE", help="File with the private key of age.", show_default=False),
]
NeededIdentity = Annotated[
    Path, typer.Option("--identity", metavar="FILE", help="File with the private key of age.", show_default=False)
]
Host = Annotated[str | None, typer.Option(metavar="NAME", help="Whose backups; without it this host's.")]
Which = Annotated[str, typer.Argument(metavar="BACKUP", help="Its name, its beginning, or 'latest' (good one).")]


def keygen(path: Annotated[Path, typer.Argument(metavar="FILE", help="The new file.")]) -> None:
    """Write a new private key and print the public one.

    Do it on a machine where no bot runs.
    """
    render.printed(write_identity(path))
    note(TWICE)


def init(
    *, file: ConfigFile = None, repository: Repository = None, identity: Identity = None, quiet: Quiet = False
) -> None:
    """Make a new store, or join the one that is there with --identity.

    Only the public keys of [backup.offsite] are needed for a new one.
    """
    found = settings(file, repository=repository)
    store = store_of(found, repository=repository_of(found)[0])
    number = store.init(identity=identity)
    if not quiet:
        render.printed(f"store {number} is ready; this host's key to it is {store.key_file}")
        note(TWICE)


def list_(
    *,
    file: ConfigFile = None,
    repository: Repository = None,
    url: Url = None,
    endpoint: Endpoint = None,
    region: Region = None,
    identity: Identity = None,
    as_json: AsJson = False,
) -> None:
    """List the backups of all hosts in the store."""
    store = store_of(settings(file, repository=repository), url=url, endpoint=endpoint, region=region)
    good, bad = store.backups(identity=identity)
    lost = corrupt(good, store.damaged())
    if as_json:
        facts = [
            {"host": host, "sent_bytes": sent, **found.to_dict(), "corrupt": (host, found.backup_id) in lost}
            for host, found, sent in good
        ]
        render.as_json({"backups": facts, "unreadable": {item.name: item.reason for item in bad}})
    elif good:
        render.printed(_table(good, lost))
    else:
        render.printed("the store holds no backup")
    for item in bad:
        note(f"not readable: {item}")
    if bad:
        raise typer.Exit(BackupCorruptError.exit_code)


def _table(found: list[StoredBackup], lost: Collection[tuple[str, str]]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("host", "backup", "status", "age", "files", "size", "sent"):
        table.add_column(title, overflow="fold")
    for host, backup, sent in found:
        sizes = formatting.size(backup.size_bytes), formatting.size(sent)
        known = [name for at, name in lost if at == host]
        facts = (render.status(backup, known), render.age(backup), str(backup.files_count), *sizes)
        table.add_row(host, backup.backup_id, *facts)
    return table


def verify(
    backup: Annotated[str | None, typer.Argument(metavar="BACKUP", help="Its name.", show_default="newest")] = None,
    *,
    file: ConfigFile = None,
    repository: Repository = None,
    url: Url = None,
    endpoint: Endpoint = None,
    region: Region = None,
    identity: Identity = None,
    all_: Annotated[bool, typer.Option("--all", help="Verify all backups of all hosts.")] = False,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Verify that backups in the store are whole.

    With --identity every byte is read; without it objects and sizes are compared. Exit code 4 if something is wrong.
    """
    store = store_of(settings(file, repository=repository), url=url, endpoint=endpoint, region=region)
    name = None if backup == LATEST else backup
    with progress("verify", quiet=quiet) as tell:
        reports = store.verify(name, all_=all_, identity=identity, progress=tell)
    if as_json:
        render.as_json([{**report._asdict(), "ok": report.ok} for report in reports])
    elif not quiet:
        for report in reports:
            render.printed(_line(report))
    bad = [report for report in reports if not report.ok]
    for report in bad:
        for problem in report.problems:
            note(f"{report.backup_id}: {problem}")
    if bad:
        raise typer.Exit(BackupCorruptError.exit_code)
    if not reports:
        note("the store holds no good backup")
        raise typer.Exit(INCOMPLETE)


def _line(report: StoreReport) -> str:
    state = ("every byte is right" if report.every_byte else "all is there") if report.ok else "CORRUPT"
    return f"{report.host}  {report.backup_id}  {state}  {formatting.size(report.size_bytes)}"


def prune(
    *,
    file: ConfigFile = None,
    repository: Repository = None,
    url: Url = None,
    endpoint: Endpoint = None,
    region: Region = None,
    identity: Identity = None,
    last: Annotated[int | None, typer.Option(min=0, metavar="N", help="Keep the newest N of each host.")] = None,
    daily: Annotated[int | None, typer.Option(min=0, metavar="N", help="Keep the newest of N days.")] = None,
    weekly: Annotated[int | None, typer.Option(min=0, metavar="N", help="Keep the newest of N weeks.")] = None,
    monthly: Annotated[int | None, typer.Option(min=0, metavar="N", help="Keep the newest of N months.")] = None,
    within: Annotated[str | None, typer.Option(metavar="TIME", help="Keep all that are younger, as '30d'.")] = None,
    dry_run: DryRun = False,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Remove backups that no rule keeps, host by host.

    Rules given here replace those of [backup.offsite.keep] or [backup.keep]. It needs credentials that may remove.
    """
    found = settings(file, repository=repository)
    span = None if within is None else seconds("--within", within)
    rules = {"last": last, "daily": daily, "weekly": weekly, "monthly": monthly, "within": span}
    given = {key: value for key, value in rules.items() if value is not None}
    try:
        policy = config.policy(given) if given else found.offsite_policy or found.policy
    except ValueError as error:
        raise UsageError(str(error)) from None
    if policy is None:
        raise UsageError("nothing says what to keep: give --last N or another rule, or a table [backup.offsite.keep]")
    store = store_of(found, url=url, endpoint=endpoint, region=region)
    report = store.prune(policy, identity=identity, dry_run=dry_run)
    if as_json:
        hosts = {host: selection_facts(selection) for host, selection in report.by_host.items()}
        render.as_json(
            {"dry_run": dry_run, "hosts": hosts, "objects": report.objects, "freed_bytes": report.freed_bytes}
        )
    elif not quiet:
        for host, selection in report.by_host.items():
            render.printed(host)
            show_selection(selection, dry_run=dry_run)
        verb = "would be removed" if dry_run else "removed"
        render.printed(f"{report.objects} objects {verb}, {formatting.size(report.freed_bytes)}")


def restore_(
    backup: Which = LATEST,
    *,
    identity: NeededIdentity,
    file: ConfigFile = None,
    repository: Repository = None,
    url: Url = None,
    endpoint: Endpoint = None,
    region: Region = None,
    host: Host = None,
    config_paths: Annotated[
        list[Path] | None, typer.Option("--config", metavar="PATH", help="File or folder of the configuration.")
    ] = None,
    data: Data = None,
    only: Annotated[
        list[str] | None, typer.Option("--only", metavar="PART", help="config, data or state; repeatable.")
    ] = None,
    path: Annotated[
        list[str] | None, typer.Option(metavar="FILE", help="Only this file or folder, or a pattern as '*.csv'.")
    ] = None,
    to: To = None,
    map_: Annotated[
        list[str] | None, typer.Option("--map", metavar="OLD=NEW", help="What lay at OLD goes to NEW; repeatable.")
    ] = None,
    state_file: Annotated[Path | None, typer.Option(metavar="FILE", help="Write the state there.")] = None,
    allow_partial: Annotated[bool, typer.Option("--allow-partial", help="Restore also a partial backup.")] = False,
    numeric_owner: Annotated[bool, typer.Option("--numeric-owner", help="Give files to the numbers of users.")] = False,
    dry_run: DryRun = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask before files are overwritten.")] = False,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Restore a backup from the store alone, all or none."""
    moved = moved_paths(to, map_, state_file)
    found = settings(file, repository=repository, config=config_paths, data=data)
    store = store_of(found, url=url, endpoint=endpoint, region=region)
    beside = to.absolute() if to else store.repository
    parts = chosen(only, ())
    named = [
        path
        for part, paths in ((CONFIG, found.config), (DATA, found.data))
        if part in (parts or KINDS)
        for path in paths
    ]
    holding = [*parts, STATE] if parts and state_file else parts
    with (
        progress("fetch", quiet=quiet) as tell,
        store.fetched(
            backup,
            identity=identity,
            host=host,
            holding=holding,
            places=[*moved, *map(str, named)],
            allow_partial=allow_partial,
            beside=beside,
            progress=tell,
        ) as (root, name),
    ):
        restore.restored(
            name,
            found,
            folder=root,
            only=only,
            path=path,
            to=to,
            moved=moved,
            state_file=state_file,
            allow_partial=allow_partial,
            numeric_owner=numeric_owner,
            dry_run=dry_run,
            yes=yes,
            as_json=as_json,
            quiet=quiet,
        )


def drill(
    *,
    identity: NeededIdentity,
    file: ConfigFile = None,
    repository: Repository = None,
    url: Url = None,
    endpoint: Endpoint = None,
    region: Region = None,
    host: Host = None,
    temp_dir: Annotated[Path | None, typer.Option("--temp-dir", metavar="DIR", help="Where it is restored to.")] = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Prove that the newest backup restores from the store alone.

    It is fetched into a temporary folder, restored, checked and removed; nothing live is touched.
    """
    store = store_of(settings(file, repository=repository), url=url, endpoint=endpoint, region=region)
    with progress("drill", quiet=quiet) as tell:
        report = store.drill(identity=identity, host=host, folder=temp_dir, progress=tell)
    tell_reports([report], as_json=as_json, quiet=quiet, several=False)


for command in (keygen, init, list_, verify, prune, restore_, drill):
    app.command(command.__name__.rstrip("_"), cls=PathsChecked)(guarded(command))
