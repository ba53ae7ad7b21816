"""The harness sees every call, and the calls come in the order that outlives a power cut."""

import re
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import pytest
from faulty.driving import harness

from tests.conftest import binary

SCENARIOS = ("create-after-crash", "restore", "restore-into", "part-restore", "prune", "drill")
# A system call and the call of ours that makes it; those of SQLite's own files are not ours.
SYSTEM_CALLS = {
    "write": "write",
    "pwrite64": "pwrite",
    "ftruncate": "ftruncate",
    "fsync": "fsync",
    "syncfs": "syncfs",
    "rename": "rename",
    "link": "link",
    "linkat": "link",
    "symlink": "symlink",
    "unlink": "unlink",
    "unlinkat": "unlink",
    "mkdir": "mkdir",
    "rmdir": "rmdir",
    "chmod": "chmod",
    "fchmod": "chmod",
    "fchmodat": "chmod",
    "utimensat": "utime",
    "chown": "chown",
    "lchown": "chown",
    "fchown": "chown",
    "fchownat": "chown",
}
SAME = {"replace": "rename", "remove": "unlink", "fchmod": "chmod", "lchown": "chown", "fchown": "chown"}


class Step(NamedTuple):
    """One call of a recorded run."""

    name: str
    paths: tuple[str, ...]

    def below(self, part: str) -> bool:
        """Return whether it is about something whose path holds this text."""
        return any(part in path for path in self.paths)


def changes(scenario: str) -> list[Step]:
    """Return the calls of a run that change something."""
    calls = harness(scenario)["calls"]
    quiet = ("close", "open")  # to open for writing what is there changes nothing yet
    return [Step(name, tuple(paths)) for _, name, paths, changing in calls if changing and name not in quiet]


def places(steps: list[Step], name: str, part: str = "") -> list[int]:
    """Return where calls of a name that are about a path stand in a run."""
    return [place for place, step in enumerate(steps) if step.name == name and step.below(part)]


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_python_changes_nothing_on_the_disk_without_the_layer(scenario: str) -> None:
    """Python's audit events tell of no opening for writing, rename, link, removal … outside a call that was counted."""
    result = harness(scenario)
    assert result["unseen"] == []
    assert len(result["calls"]) > 100


@pytest.mark.nightly
@pytest.mark.parametrize("scenario", SCENARIOS)
def test_the_system_sees_the_calls_that_the_layer_counts(scenario: str, tmp_path: Path) -> None:
    """`strace` counts as many of each kind; only those that SQLite makes by itself are its own."""
    log = tmp_path / "strace"
    names = ",".join((*SYSTEM_CALLS, "openat", "renameat", "renameat2", "mkdirat", "symlinkat"))
    result = harness(scenario, prefix=(binary("strace"), "-f", "-y", "-qq", "-o", str(log), "-e", f"trace={names}"))
    seen: Counter[str] = Counter()
    for line in log.read_text().splitlines():
        pid, _, call = line.partition(" ")
        found = re.match(r"\s*(\w+)\(", call)
        if int(pid) != result["pid"] or not found or result["base"] not in call or "orders.db" in call:
            continue
        if found[1] == "openat":
            seen["create"] += "O_CREAT" in call
        elif "AT_REMOVEDIR" in call:
            seen["rmdir"] += 1
        else:
            seen[SYSTEM_CALLS[found[1]]] += 1
    ours = Counter(
        SAME.get(name, name)
        for _, name, paths, changing in result["calls"]
        if changing and name not in ("close", "open") and not any("orders.db" in path for path in paths)
    )
    assert seen == ours


def test_a_backup_is_on_the_disk_before_it_is_visible() -> None:
    """Whatever it holds is written, then all is synced, then it gets its name, and then that name is synced."""
    steps = changes("create-again")
    (synced,) = places(steps, "syncfs", "/.staging-")
    (visible,) = places(steps, "rename", "/.staging-")
    filled = [place for place, step in enumerate(steps) if step.below("/.staging-") and place not in (synced, visible)]
    assert max(filled) < synced < visible
    assert steps[visible + 1].name == "fsync"
    assert steps[visible + 1].paths[0].endswith("/repo")
    assert not any(step.below("/repo/backup_") for step in steps[visible + 1 :])


def test_a_restore_is_written_down_and_on_the_disk_before_it_touches_a_live_file() -> None:
    """Journal, new files, sync, journal with what they are, phase, and only then the first live file."""
    steps = changes("restore")
    journal, again = places(steps, "replace", "/restore-")
    first_new = min(place for place, step in enumerate(steps) if step.below("/live/"))
    (synced,) = places(steps, "syncfs", "/live/")
    swapping, finishing = places(steps, "rename", "/.peak-observe/")
    moves = [place for place, step in enumerate(steps) if step.name in ("link", "rename") and step.below("/live/")]
    # A new name of a file that is the same already is a link to it, made among the new files.
    swaps = [place for place in moves if not steps[place].paths[-1].endswith(".new")]
    gone = places(steps, "unlink", ".old")
    assert [steps[place + 1].name for place in (journal, again, swapping, finishing)] == ["fsync"] * 4
    assert journal < first_new < synced < again < swapping < min(swaps)
    before = [step for step in steps[:swapping] if step.below("/live/") and step.name != "syncfs"]
    touched = [path for step in before for path in step.paths[-1 if step.name == "link" else 0 :] if "/live/" in path]
    assert touched
    assert all("/.peak-" in path for path in touched)
    assert max(swaps) < finishing < min(gone)
    parents = {path.rpartition("/")[0] for place in swaps for path in steps[place].paths}
    flushed = {steps[place].paths[0] for place in places(steps, "fsync", "/live/") if max(swaps) < place < finishing}
    assert parents <= flushed


def test_a_backup_is_out_of_sight_before_any_of_it_is_removed() -> None:
    """Its name is gone from the disk first: a power cut leaves all of it, or nothing that is listed."""
    steps = changes("prune")
    hidden = places(steps, "rename", "/.trash-")
    removed = [place for place, step in enumerate(steps) if step.name in ("unlink", "rmdir") and step.below("/.trash-")]
    assert len(hidden) == 2
    assert steps[hidden[0] + 1].name == "fsync"
    assert hidden[0] + 1 < min(removed)
