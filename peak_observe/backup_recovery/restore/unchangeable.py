"""What a restore may not change is found out before it changes anything: attributes of files bind root too."""

from __future__ import annotations

from shlex import quote
from typing import TYPE_CHECKING

from peak_observe.backup_recovery.repository.manifest import FOLDER
from peak_observe.backup_recovery.restore.attributes import APPEND_ONLY, IMMUTABLE, attribute
from peak_observe.backup_recovery.restore.plan import BLOCKED, NEW, REPLACED, SAME, Action, Refusal, look

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

_MEND = {
    IMMUTABLE: "Operation not permitted on {0}, which is immutable: `chattr -i {1}` lets it be changed",
    APPEND_ONLY: "Operation not permitted on {0}, which is append only: `chattr -a {1}` lets it be changed",
}


def forbidden(actions: Sequence[Action]) -> Iterator[Refusal]:
    """Yield the paths that an attribute keeps from being changed."""
    changed = [action for action in actions if action.change != SAME]
    missing = {action.target for action in changed if action.entry.type == FOLDER and action.change == NEW}
    folders, beside = set(missing), set[str]()
    for action in changed:
        if action.entry.type != FOLDER:
            # What is written in place needs nothing of its folder but that files on their way can go again.
            (beside if action.in_place else folders).add(action.target.rpartition("/")[0])
    bound = dict.fromkeys(path for action in changed for path in _changed(action))
    bound |= dict.fromkeys(sorted({_nearest(folder, missing) for folder in folders}))
    for path in bound:
        if problem := bound_by_attribute(path):
            yield Refusal(BLOCKED, problem)
    for path in sorted(beside - set(bound)):
        if attribute(path or "/") == APPEND_ONLY:
            yield Refusal(BLOCKED, _MEND[APPEND_ONLY].format(path, quote(path)))


def bound_by_attribute(path: str) -> str:
    """Return the attribute that forbids changes of what is at a path, in words with the mend; empty if none does."""
    found = attribute(path)
    return _MEND[found].format(path, quote(path)) if found else ""


def _nearest(folder: str, missing: Collection[str]) -> str:
    """Return a folder, or the next one above it that is there."""
    while folder and (folder in missing or look(folder) is None):
        folder = folder.rpartition("/")[0]
    return folder or "/"


def _changed(action: Action) -> Iterator[str]:
    if action.change == REPLACED:
        yield action.target
    yield from action.sides
