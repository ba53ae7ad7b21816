"""`peak-observe backup verify` and `drill`."""

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import typer

from peak_observe.backup_recovery import BackupStatus, RecoveryManager, VerifyReport
from peak_observe.backup_recovery.restore.verification import NoRoomError
from peak_observe.cli.backup import render
from peak_observe.cli.backup.manager import identified, note, opened, settings
from peak_observe.cli.backup.session import INCOMPLETE, progress
from peak_observe.cli.options import LATEST, AsJson, ConfigFile, Manager, Quiet, Repository, Which
from peak_observe.errors import BackupCorruptError, BackupError, BackupNotFoundError, BackupUnreadableError


def verify(
    backup: Which = LATEST,
    *,
    file: ConfigFile = None,
    repository: Repository = None,
    app: Manager = None,
    all_: Annotated[bool, typer.Option("--all", help="Verify every backup that did not fail.")] = False,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Read every byte of a backup, and compare.

    Exit code 4 if something is not what was stored.
    """
    manager = opened(settings(file, repository=repository, app=app), reads=True)
    names = _all(manager) if all_ else [_holding(manager, identified(manager, backup, whole=False))]
    with progress("verify", quiet=quiet) as tell:
        reports, unreadable = [], False
        for name in names:
            try:
                reports.append(manager.verify_backup(name, progress=tell))
            except BackupNotFoundError:
                if not all_:
                    raise
                note(f"{name} was removed meanwhile, so it was not verified")
            except BackupUnreadableError as error:
                if not all_:
                    raise
                note(str(error))
                unreadable = True
    tell_reports(reports, as_json=as_json, quiet=quiet, several=all_)
    if unreadable:
        raise typer.Exit(BackupUnreadableError.exit_code)
    if not reports:
        note("there is no backup to verify")
        raise typer.Exit(INCOMPLETE)


def drill(
    *,
    file: ConfigFile = None,
    repository: Repository = None,
    app: Manager = None,
    temp_dir: Annotated[
        Path | None,
        typer.Option("--temp-dir", metavar="DIR", help="Where it is restored to, if not in the repository."),
    ] = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Prove that the newest good backup restores.

    It is restored into a temporary folder, checked, and removed; nothing live is touched.
    """
    manager = opened(settings(file, repository=repository, app=app))
    with progress("drill", quiet=quiet) as tell:
        try:
            report = manager.drill(folder=temp_dir, progress=tell)
        except NoRoomError as error:
            raise BackupError(f"{error}; --temp-dir DIR names another place") from None
    tell_reports([report], as_json=as_json, quiet=quiet, several=False)


def _all(manager: RecoveryManager) -> list[str]:
    backups = [backup.backup_id for backup in manager.list_backups() if backup.status is not BackupStatus.FAILED]
    return backups + list(manager.unreadable_backups())


def _holding(manager: RecoveryManager, name: str) -> str:
    if name not in manager.unreadable_backups() and manager.get_backup(name).status is BackupStatus.FAILED:
        raise BackupError(f"{name} failed, so there is nothing to verify: {manager.get_backup(name).error_message}")
    return name


def tell_reports(reports: Iterable[VerifyReport], *, as_json: bool, quiet: bool, several: bool) -> None:
    """Print reports, and end with exit code 4 if one tells of something wrong."""
    bad = [report for report in reports if not report.ok]
    if as_json:
        facts = [{**report._asdict(), "ok": report.ok} for report in reports]
        render.as_json(facts if several else facts[0])
    elif not quiet:
        for report in reports:
            what = f"{render.files(report.files, report.size_bytes)} in {report.seconds:.1f} s"
            render.printed(f"{report.backup_id}  {'ok' if report.ok else 'CORRUPT'}  {what}")
    for report in bad:
        for problem in report.problems:
            note(f"{report.backup_id}: {problem}")
    if bad:
        raise typer.Exit(BackupCorruptError.exit_code)
