"""`peak-observe backup prune`."""

from typing import Annotated, Any

import typer

from peak_observe.backup_recovery import RetentionPolicy
from peak_observe.backup_recovery.repository.retention import Selection
from peak_observe.cli.backup import config, render
from peak_observe.cli.backup.create import seconds
from peak_observe.cli.backup.manager import opened, settings
from peak_observe.cli.backup.session import progress
from peak_observe.cli.options import AsJson, ConfigFile, DryRun, Manager, Quiet, Repository
from peak_observe.errors import UsageError
from peak_observe.support.redact import printable

Count = Annotated[int | None, typer.Option(min=0, metavar="N", help="Keep the newest of that many.")]


def prune(
    *,
    file: ConfigFile = None,
    repository: Repository = None,
    app: Manager = None,
    last: Annotated[int | None, typer.Option(min=0, metavar="N", help="Keep the newest N.")] = None,
    hourly: Count = None,
    daily: Count = None,
    weekly: Count = None,
    monthly: Count = None,
    yearly: Count = None,
    within: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="Keep all that are younger, as '7d'; counted from the newest."),
    ] = None,
    keep_tag: Annotated[
        list[str] | None,
        typer.Option(metavar="TAG", help="Keep all with this tag; may be repeated."),
    ] = None,
    group_by: Annotated[
        str | None,
        typer.Option(
            metavar="WHAT",
            help="What has rules of its own: part, root, both with a comma between them, or none.",
            show_default="part,root",
        ),
    ] = None,
    dry_run: DryRun = False,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Remove backups that no rule keeps; the last good one stays.

    Rules given here replace those of the file.
    """
    found = settings(file, repository=repository, app=app)
    counts = {"last": last, "hourly": hourly, "daily": daily, "weekly": weekly, "monthly": monthly, "yearly": yearly}
    span = None if within is None else seconds("--within", within)
    rules = {**counts, "within": span, "keep_tags": keep_tag}
    given = {key: value for key, value in rules.items() if value is not None}
    policy = _policy(given, group_by) if given else _grouped(found.policy, group_by)
    if policy is None:
        raise UsageError("nothing says what to keep: give --last N or another rule, or a table [backup.keep]")
    with progress("remove", quiet=quiet):
        selection = opened(found, reads=dry_run).prune(policy, dry_run=dry_run)
    if as_json:
        render.as_json({"dry_run": dry_run, **selection_facts(selection)})
    elif not quiet:
        show_selection(selection, dry_run=dry_run)


def _grouped(policy: RetentionPolicy | None, group_by: str | None) -> RetentionPolicy | None:
    """Return the policy of the file, with another grouping if one is given."""
    if policy is None or group_by is None:
        return policy
    rules = {name: getattr(policy, name) for name in policy.__struct_fields__}
    try:
        return RetentionPolicy(**rules | {"group_by": group_by})
    except ValueError as error:
        raise UsageError(str(error)) from None


def _policy(given: dict[str, Any], group_by: str | None) -> RetentionPolicy:
    try:
        return config.policy(given | ({} if group_by is None else {"group_by": group_by}))
    except (ValueError, OverflowError) as error:
        raise UsageError(str(error)) from None


def selection_facts(selection: Selection) -> dict[str, object]:
    """Return what JSON can hold of a selection."""
    return {
        "keep": [{**kept.backup.to_dict(), "reasons": list(kept.reasons)} for kept in selection.keep],
        "remove": [backup.to_dict() for backup in selection.remove],
        "corrupt": list(selection.corrupt),
    }


def show_selection(selection: Selection, *, dry_run: bool) -> None:
    """Print what a selection keeps and removes."""
    keep = {kept.backup.backup_id: printable(", ".join(kept.reasons)) for kept in selection.keep}
    gone = {
        backup.backup_id: f"{render.status(backup, selection.corrupt).plain}, {render.age(backup, 'old')}"
        for backup in selection.remove
    }
    verb = "would remove" if dry_run else "removed"
    render.printed(f"keep {len(keep)}", render.pairs(dict(keep)), f"{verb} {len(gone)}", render.pairs(dict(gone)))
