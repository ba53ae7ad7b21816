"""`peak-observe backup push`, and the off-site store that a file or options name."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from peak_observe.backup_recovery.offsite.offsite import OffsiteStore
from peak_observe.backup_recovery.offsite.settings import OffsiteSettings
from peak_observe.cli.backup import render
from peak_observe.cli.backup.manager import identified, opened, repository_of, settings
from peak_observe.cli.backup.session import progress
from peak_observe.cli.options import DEFAULT_REPOSITORY, LATEST, AsJson, ConfigFile, Quiet, Repository, Which
from peak_observe.errors import LoadError, UsageError
from peak_observe.resilience.health import formatting

if TYPE_CHECKING:
    from peak_observe.backup_recovery.offsite.push import PushReport
    from peak_observe.cli.backup.config import Settings

WHERE = "no table [backup.offsite] names a store: --url URL or --config.file FILE does"

Url = Annotated[
    str | None,
    typer.Option("--url", metavar="URL", help="The store, as s3://bucket/prefix."),
]
Endpoint = Annotated[str | None, typer.Option(metavar="URL", help="Address of a provider that speaks S3.")]
Region = Annotated[str | None, typer.Option(metavar="NAME", help="Region of the bucket.")]


def push(
    backup: Which = LATEST,
    *,
    file: ConfigFile = None,
    repository: Repository = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Send a backup, encrypted, to the off-site store.

    Content that is there already is not sent again.
    """
    found = settings(file, repository=repository)
    manager = opened(found, reads=True)
    name = None if backup == LATEST else identified(manager, backup)
    report = pushed(found, name, repository=manager.backup_root, quiet=quiet)
    if as_json:
        render.as_json(report._asdict())
    elif not quiet:
        tell_pushed(report)


def store_of(
    found: Settings,
    *,
    repository: Path | None = None,
    url: str | None = None,
    endpoint: str | None = None,
    region: str | None = None,
) -> OffsiteStore:
    """Return the store that is meant.

    Raises:
        UsageError: None is named.
    """
    offsite = found.offsite if url is None else OffsiteSettings(url=url)
    if offsite is None:
        raise UsageError(WHERE)
    facts = {key: value for key, value in (("endpoint", endpoint), ("region", region)) if value is not None}
    where, name = _place(found)
    return OffsiteStore(offsite.url, repository=repository or where, name=name, **offsite.options() | facts)


def _place(found: Settings) -> tuple[Path, str | None]:
    """Return the folder with the backups and the label; on a new host, where no module tells, the usual ones."""
    try:
        return repository_of(found)
    except LoadError:
        return DEFAULT_REPOSITORY, None


def pushed(found: Settings, backup: str | None, *, repository: Path, quiet: bool) -> PushReport:
    """Push a backup, and return what was sent.

    Raises:
        BackupError: That was not possible.
    """
    store = store_of(found, repository=repository)
    with progress("push", quiet=quiet) as tell:
        return store.push(backup, progress=tell)


def tell_pushed(report: PushReport) -> None:
    """Say what was sent."""
    sent = f"{formatting.size(report.sent_bytes)} sent of {formatting.size(report.size_bytes)}"
    render.printed(f"{report.backup_id}  {'was there already' if report.was_there else f'pushed, {sent}'}")
