"""Words for what a backup does not hold, though nothing is wrong with it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from peak_observe.backup_recovery.create.sources import EMPTIED, EMPTY, ON_ITS_WAY
from peak_observe.backup_recovery.repository.metadata import Problem
from peak_observe.support.loggers import logger

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

WITHOUT_FILES = "folders without a file in the backup"
RESTORING = "files of a restore on its way"
SKIPPED = "caches and repositories of backups"
SHOWN = 3  # problems that are named in a message
_log = logger("peak_observe.backup")


def left_out(named: Sequence[str], wanted: Mapping[str, bool], *, asked: Sequence[str]) -> list[Problem]:
    """Return in words which parts are named and not wanted, or asked for and not named."""
    found = [Problem(kind, f"is named, and was left out by include_{kind}=False") for kind in named if not wanted[kind]]
    found += [
        Problem(kind, f"was asked for by include_{kind}=True, and nothing is named for it")
        for kind in asked
        if kind not in named
    ]
    for problem in found:
        _log.info("not in the backup: %s", problem)
    return found


def without_files(left_out: Mapping[str, Sequence[str]]) -> list[str]:
    """Return the named paths of which a backup holds no file, from what was left out by reason."""
    return [path for why in (EMPTIED, EMPTY) for path in left_out.get(why, ())]


def skipped(left_out: Mapping[str, Sequence[str]]) -> Iterator[Problem]:
    """Yield what a backup does not hold on purpose, a line for each kind."""
    if restored := left_out.get(ON_ITS_WAY):
        yield Problem(RESTORING, f"{summary(restored)}: no backup holds these")
    for why in (EMPTIED, EMPTY):
        if empty := left_out.get(why):
            yield Problem(WITHOUT_FILES, f"{summary(empty)}: {why}")
    own = (ON_ITS_WAY, EMPTIED, EMPTY)
    if others := [path for why, paths in left_out.items() if why not in own for path in paths]:
        yield Problem(SKIPPED, f"what is in {summary(others)} is not kept; name a folder itself to keep it")


def attributes(stored: Sequence[str]) -> Iterator[Problem]:
    """Yield what a backup does not hold of the files that it holds."""
    if stored:
        problem = Problem("ACLs and other extended attributes", f"those of {summary(stored)} are not kept")
        _log.warning("not in the backup: %s", problem)
        yield problem


def summary(problems: Collection[object]) -> str:
    """Return the first few problems in one line, and how many more there are."""
    listed = [str(problem) for problem in problems]
    more = f"; and {len(listed) - SHOWN} more" if len(listed) > SHOWN else ""
    return "; ".join(listed[:SHOWN]) + more
