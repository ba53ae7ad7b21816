"""Names of the files that a restore keeps beside others while it is on its way: no backup takes them, or brings one."""

from __future__ import annotations

import re
from itertools import pairwise

PREFIX, BESIDE = "restore-", ".peak-restore-"
"""Begin the names of journals: in a folder of ours, and in one of somebody else's."""
MARK = ".peak-observe"
"""Name of the folder in which a repository keeps what is its own."""
HELPERS, JOURNALS = (".peak-", f".{BESIDE}"), (PREFIX, f".{PREFIX}")
"""Begin the names of all of them beside files, and in the own folder of a repository."""

_HELPER = re.compile(
    rf"{re.escape(BESIDE)}.*|\.{re.escape(BESIDE)}.*\.tmp|\.peak-[0-9a-f]{{8}}-\d+\.(?:new|old)~?", re.DOTALL
)


def is_helper(name: str) -> bool:
    """Return whether a name is that of a journal beside files, or of a file on its way."""
    return name.startswith(HELPERS) and _HELPER.fullmatch(name) is not None


def is_journal(name: str) -> bool:
    """Return whether a name in the own folder of a repository is that of a journal."""
    return name.startswith(JOURNALS)


def leads_to_helper(path: str) -> bool:
    """Return whether a path is that of a helper or of a journal, or lies in a folder on its way."""
    if "peak-" not in path:  # which is true of nearly all
        return False
    parts = path.split("/")
    inside = any(above == MARK and is_journal(name) for above, name in pairwise(parts))
    return inside or any(map(is_helper, parts))
