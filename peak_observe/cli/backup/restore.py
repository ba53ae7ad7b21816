"""`peak-observe backup restore` and `recover`."""

import json
import os
import sys
from collections.abc import Collection, Iterator
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any

import typer
from rich.text import Text

from peak_observe.backup_recovery import BackupMetadata, RecoveryManager, RestorePlan, RestoreReport
from peak_observe.backup_recovery.repository.advice import command
from peak_observe.backup_recovery.repository.leftovers import OFFSITE
from peak_observe.backup_recovery.repository.manifest import STATE_FILE
from peak_observe.backup_recovery.repository.metadata import CONFIG, DATA, KINDS, STATE
from peak_observe.backup_recovery.state.snapshot import encode
from peak_observe.cli.backup import render
from peak_observe.cli.backup.config import Settings
from peak_observe.cli.backup.create import chosen
from peak_observe.cli.backup.hooks import around
from peak_observe.cli.backup.manager import fetched, identified, latest_to_restore, note, notes, opened, settings
from peak_observe.cli.backup.session import INCOMPLETE, progress
from peak_observe.cli.backup.targets import moved_paths
from peak_observe.cli.options import (
    DEFAULT_REPOSITORY,
    LATEST,
    AsJson,
    Config,
    ConfigFile,
    Data,
    DryRun,
    Manager,
    Quiet,
    Repository,
    To,
    Which,
)
from peak_observe.errors import RestoreRefusedError, UsageError

HELP = {
    "unnamed": "--config PATH, --data PATH or --map OLD=NEW says where to, --to DIR puts all into a folder of its own, "
    "--only PART leaves the others out",
    "partial": "--allow-partial restores what there is",
    "failed": "`latest` is the newest one that succeeded",
    "open": "or --to DIR restores into a folder of its own meanwhile",
    "blocked": "or --to DIR restores into a folder of its own",
    "unmatched": "`{lists}` lists what it holds",
    "inner": "--map takes one of these as OLD, or a folder above it, and --path FILE restores a part of it",
    "lost": "--map OLD=NEW names another place, or --to DIR restores into a folder of its own",
    "misplaced": "--to DIR or --map OLD=NEW names another place",
    "state_file": "--state-file FILE names another one, and --json prints the state",
}
NOBODY_TAKES_IT = "--state-file FILE writes it, --app MODULE hands it back to its providers, --json prints it"
NOT_ASKED_FOR = "--state-file FILE writes it too, --only state with --app MODULE hands it back, with --json prints it"


def restore(
    backup: Which,
    *,
    file: ConfigFile = None,
    repository: Repository = None,
    app: Manager = None,
    config: Config = None,
    data: Data = None,
    only: Annotated[
        list[str] | None,
        typer.Option(
            "--only",
            metavar="PART",
            help="config, data or state; repeatable.",
            show_default="all parts",
        ),
    ] = None,
    path: Annotated[
        list[str] | None,
        typer.Option(metavar="FILE", help="Only this file or folder, or a pattern as '*.csv'."),
    ] = None,
    to: To = None,
    map_: Annotated[
        list[str] | None,
        typer.Option("--map", metavar="OLD=NEW", help="What lay at OLD goes to NEW; may be repeated."),
    ] = None,
    state_file: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write the state there too; `StateSnapshot.load` reads it."),
    ] = None,
    allow_partial: Annotated[
        bool,
        typer.Option("--allow-partial", help="Restore also a backup that misses something."),
    ] = False,
    numeric_owner: Annotated[
        bool,
        typer.Option("--numeric-owner", help="Give files to the numbers of users, not to their names."),
    ] = False,
    dry_run: DryRun = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask before files are overwritten.")] = False,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Restore a backup: all files or none.

    Every byte is verified first. Only paths named now (by the file, --app, --config, --data or --map) are written,
    unless --to says where. Files that are not in the backup stay.
    """
    restored(
        backup,
        settings(file, repository=repository, app=app, config=config, data=data),
        only=only,
        path=path,
        to=to,
        moved=moved_paths(to, map_, state_file),
        state_file=state_file,
        allow_partial=allow_partial,
        numeric_owner=numeric_owner,
        dry_run=dry_run,
        yes=yes,
        as_json=as_json,
        quiet=quiet,
    )


def restored(
    backup: str,
    given: Settings,
    *,
    folder: Path | None = None,
    only: list[str] | None,
    path: list[str] | None,
    to: Path | None,
    moved: dict[str, str],
    state_file: Path | None,
    allow_partial: bool,
    numeric_owner: bool,
    dry_run: bool,
    yes: bool,
    as_json: bool,
    quiet: bool,
) -> None:
    """Restore a backup as the options say.

    Args:
        backup: Its name, the beginning of it, or `latest`.
        given: What file and options name.
        folder: The repository that it was fetched into, if it is not in that of the settings.
        only: The parts that are wanted; None for all.
        path: Patterns of the files that are wanted; None for all.
        to: A folder for all.
        moved: Old paths with their new ones.
        state_file: Where the state goes too.
        allow_partial: Whether it may be a partial one.
        numeric_owner: Whether owners go by their numbers.
        dry_run: Whether nothing is changed.
        yes: Whether files are overwritten without being asked.
        as_json: Whether JSON is printed.
        quiet: Whether nothing but errors is.
    """
    manager = opened(given, reads=dry_run) if folder is None else fetched(given, folder)
    also = [STATE] if state_file else []
    asked = [*chosen(only, ()), *also]
    with progress("look", quiet=quiet):
        if backup == LATEST:
            wanted = asked if only else ()
            name = latest_to_restore(manager, wanted, also=also, moved=moved, allow_partial=allow_partial)
        else:
            name = identified(manager, backup)
        found = manager.get_backup(name)
    parts = set(_parts(found, only, path or [], state=bool(state_file)))
    takes_state = bool(to or state_file or as_json or manager.state_snapshot.takes_back())
    restoring = partial(
        _restored,
        manager,
        name,
        config=CONFIG in parts,
        state=STATE in parts and takes_state,
        data=DATA in parts,
        restore_to=to,
        moved=moved,
        paths=path or (),
        allow_partial=allow_partial,
        numeric_owner=numeric_owner,
        state_file=state_file,
    )
    if dry_run or not yes:
        with progress("restore", quiet=quiet) as tell:
            report = restoring(dry_run=True, progress=tell)
        if not dry_run:
            _ask(report.plan, state_file)
    if not dry_run:
        live = around(given, "restore") if to is None else nullcontext()
        with live, progress("restore", quiet=quiet) as tell:
            report = restoring(progress=tell)
    _tell(report, dry_run=dry_run, as_json=as_json, quiet=quiet)
    if not (dry_run or to or state_file or as_json):
        notes(f"not handed back: the state '{name}'; {NOBODY_TAKES_IT}" for name in report.not_handed_back)
    if report.state and STATE_FILE in (path or ()):
        notes(_namesakes(manager, name, path or ()))
    state_mend = NOBODY_TAKES_IT if STATE in parts else NOT_ASKED_FOR
    complete = _tell_left(report, found, also if path else asked, state_mend=state_mend, quiet=quiet)
    if report.unapplied or not complete:
        raise typer.Exit(INCOMPLETE)


def recover(
    *,
    file: ConfigFile = None,
    repository: Repository = None,
    app: Manager = None,
    config: Config = None,
    data: Data = None,
    to: Annotated[
        Path | None, typer.Option("--to", metavar="DIR", help="The folder that the restore was to go to.")
    ] = None,
    map_: Annotated[
        list[str] | None,
        typer.Option("--map", metavar="OLD=NEW", help="As the restore had it; may be repeated."),
    ] = None,
) -> None:
    """Finish a restore that was cut off.

    All files are those of the backup then, or as they were before. Where the repository was full or read-only, say
    with the options of the restore which files that was.
    """
    moved = moved_paths(to, map_, None)
    found = settings(file, repository=repository, app=app, config=config, data=data)
    named = to or moved or found.config or found.data
    if named and found.app is None and not (found.repository or DEFAULT_REPOSITORY).is_dir():
        # A restore from an off-site store leaves its journal beside the files, on a host that has no repository.
        with TemporaryDirectory() as folder:
            (place := Path(folder, OFFSITE)).mkdir()
            looked = fetched(found, place).recover(restore_to=to, moved=moved)
        render.printed(f"no restore is under way beside {', '.join(looked)}")
        return
    manager = opened(found)
    looked = manager.recover(restore_to=to, moved=moved)
    beside = f", nor beside {', '.join(looked)}" if looked else ""
    render.printed(f"no restore is under way in {manager.backup_root}{beside}")
    if not looked:
        note("--to, --map, --config and --data name files beside which one may be that found the repository full")


def _parts(backup: BackupMetadata, only: list[str] | None, paths: list[str], *, state: bool) -> list[str]:
    if only:
        return [*only, *([STATE] if state else [])]
    if paths:
        return [CONFIG, DATA, *([STATE] if state or STATE_FILE in paths else [])]
    return [*(backup.parts or KINDS), *([STATE] if state else [])]


def _namesakes(manager: RecoveryManager, name: str, paths: Collection[str]) -> Iterator[str]:
    """Yield a note for each file that has the name of the state, and is not restored by it."""
    others = [path for path in paths if path != STATE_FILE]
    restored = {item.path for item in manager.list_files(name, others)} if others else set[str]()
    for item in manager.list_files(name, [f"*/{STATE_FILE}"]):
        if item.path not in restored:
            yield f"{STATE_FILE} is the state of the program; --path {item.path} restores the file of that name"


def _restored(manager: RecoveryManager, name: str, **options: Any) -> RestoreReport:
    """Restore, and let a refusal end with the option that helps.

    Raises:
        RestoreRefusedError: It would do harm.
    """
    try:
        return manager.restore(name, **options)
    except RestoreRefusedError as error:
        raise _RefusedError(error, manager) from None


class _RefusedError(RestoreRefusedError):
    """A refusal in the words of the command line."""

    def __init__(self, error: RestoreRefusedError, manager: RecoveryManager) -> None:
        problems = tuple(problem.replace("allow_partial=True restores what there is", "") for problem in error.problems)
        super().__init__(error.backup_id, tuple(problem.rstrip("; ") for problem in problems), error.reasons)
        self._lists = command("ls", manager.backup_root, error.backup_id)

    def __str__(self) -> str:
        return "; ".join((super().__str__(), *(HELP[reason].format(lists=self._lists) for reason in self.reasons)))


def _ask(plan: RestorePlan, state_file: Path | None) -> None:
    """Ask whether files may be overwritten or removed, if some would be.

    Raises:
        UsageError: There is nobody to ask.
    """
    empty = None if state_file is None or not _is_empty(state_file) else os.path.realpath(state_file)
    count, gone = sum(path != empty for path in plan.replaced), len(plan.removed)
    done = (("overwrite", count), ("remove", gone))
    what = " and ".join(f"{verb} {_files(number)}" for verb, number in done if number)
    if not what:
        return
    if sys.stdin is None or not sys.stdin.isatty():
        raise UsageError(
            f"this would {what}: --yes does it, --dry-run shows what would change, "
            f"--to DIR restores into a folder of its own{_spared(plan, state_file)}"
        )
    render.printed(f"restore of {plan.backup_id}", _plan(plan), err=True)
    if not _confirmed(f"{what[0].upper()}{what[1:]}?"):
        note("nothing was restored")
        raise typer.Exit(INCOMPLETE)


def _spared(plan: RestorePlan, state_file: Path | None) -> str:
    """Return a part of a message: what keeps the file that the state would go to."""
    asked = state_file is not None and os.path.realpath(state_file) in plan.replaced
    return f", and another --state-file keeps {state_file}" if asked else ""


def _is_empty(file: Path) -> bool:
    """Return whether a file is there and holds nothing that could be lost."""
    return file.is_file() and file.stat().st_size == 0


def _files(count: int) -> str:
    return "1 file" if count == 1 else f"{count} files"


def _confirmed(question: str) -> bool:
    """Return the answer to a question; the end of what is typed, as Ctrl-D, is a no."""
    try:
        return typer.confirm(question, err=True)
    except typer.Abort as abort:
        if not isinstance(abort.__context__, EOFError):
            raise
        return False


def _tell(report: RestoreReport, *, dry_run: bool, as_json: bool, quiet: bool) -> None:
    if as_json:
        facts = {**report.plan._asdict(), "moved": dict(report.moved), "left": list(report.left)}
        render.as_json({"dry_run": dry_run, **facts, **_state(report)})
    elif not quiet:
        did = "would change" if dry_run else "is restored" if _something(report) else "changes nothing"
        render.printed(f"{report.plan.backup_id} {did}", _plan(report.plan))
        notes(f"{old} {'would go' if dry_run else 'went'} to {new}" for old, new in report.moved)
    notes(f"not restored: {problem}" for problem in report.unapplied)


def _tell_left(
    report: RestoreReport, backup: BackupMetadata, asked: list[str], *, state_mend: str, quiet: bool
) -> bool:
    """Say what was not restored, and return whether something was, and all that was asked for."""
    missing = [part for part in asked if backup.parts and part not in backup.parts]
    notes(f"{backup.backup_id} holds no {part}" for part in missing)
    for part in report.left:
        held = backup.parts.get(part)
        size = f" ({render.files(held.files, held.size_bytes)})" if held and part != STATE else ""
        mend = state_mend if part == STATE else f"--only {part} does so"
        if not quiet or part in asked:
            note(f"not restored: the {part}{size}; {mend}")
    if not _something(report):
        note("nothing was restored")
    return _something(report) and not missing and not set(asked) & set(report.left)


def _something(report: RestoreReport) -> bool:
    plan = report.plan
    return bool(plan.new or plan.replaced or plan.same or plan.folders or report.state)


def _plan(plan: RestorePlan) -> Text:
    found = {name: getattr(plan, name) for name in ("new", "replaced", "same", "extra")}
    more = {name: paths for name in ("folders", "removed", "times") if (paths := getattr(plan, name))}
    return render.groups(found | more, counted=("same",))


def _state(report: RestoreReport) -> dict[str, Any]:
    if report.state is None:
        return {}
    held = json.loads(encode(report.state)) if report.state else None
    return {"state": held, "unapplied": list(report.unapplied)}
