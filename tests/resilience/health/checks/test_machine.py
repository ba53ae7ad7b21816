"""Checks of the machine: what the kernel tells, and what it would tell in need or in a container."""

from datetime import datetime, timedelta
from pathlib import Path

import pytest

from peak_observe.resilience.health import checks
from peak_observe.testing import ManualClock

GIB = 1024**3


def test_the_disk_has_room(tmp_path: Path) -> None:
    """Any folder will do; what is free is told."""
    healthy, message, details = checks.disk_space(tmp_path, min_free_ratio=0, min_free_bytes=1)()
    assert healthy
    assert message.endswith("%) free")
    assert 0 < details["free_bytes"] < details["total_bytes"]


@pytest.mark.parametrize("limits", [{"min_free_ratio": 1.0}, {"min_free_ratio": 0, "min_free_bytes": 10**18}])
def test_a_disk_without_room_is_unhealthy(tmp_path: Path, limits: dict) -> None:
    """Each limit counts by itself."""
    assert checks.disk_space(tmp_path, **limits)()[0] is False


def test_a_disk_that_is_not_there_says_why() -> None:
    """An unmounted folder, for instance."""
    assert checks.disk_space("/no/such/folder")() == (False, "/no/such/folder: No such file or directory", {})


def test_the_memory_of_this_machine() -> None:
    """The real kernel is understood."""
    healthy, message, details = checks.memory(min_available_ratio=0)()
    assert healthy
    assert message.endswith("%) available")
    assert 0 < details["available_bytes"] <= details["total_bytes"]


@pytest.fixture
def proc(tmp_path: Path) -> Path:
    """A machine with 16 GiB, 8 of them available."""
    lines = "MemTotal:       16777216 kB\nMemFree:  1 kB\nMemAvailable:    8388608 kB\nHugePages_Total:       0\n"
    (tmp_path / "meminfo").write_text(lines)
    return tmp_path


def container(folder: Path, limit: object, used: int, cache: int = 0) -> Path:
    """Return the cgroup files of a container."""
    folder.mkdir()
    (folder / "memory.max").write_text(f"{limit}\n")
    (folder / "memory.current").write_text(f"{used}\n")
    (folder / "memory.stat").write_text(f"anon 1\ninactive_file {cache}\nactive_file 2\n")
    return folder


@pytest.mark.parametrize(
    ("files", "message"),
    [
        (("max", 15 * GIB, 0), "8 GiB (50.0%) available"),
        ((2 * GIB, GIB // 2, 0), "1.5 GiB (75.0%) available"),
        ((2 * GIB, 2 * GIB, GIB), "1 GiB (50.0%) available"),
        ((2 * GIB, 2 * GIB, 0), "0 B (0.0%) available"),
        ((12 * GIB, GIB, 0), "8 GiB (66.7%) available"),
        ((64 * GIB, 60 * GIB, 0), "8 GiB (50.0%) available"),
    ],
)
def test_a_containers_limit_counts(tmp_path: Path, proc: Path, files: tuple, message: str) -> None:
    """Without the cache that the kernel would drop; the machine's lack counts as well."""
    cgroup = container(tmp_path / "cgroup", *files)
    healthy, found, _ = checks.memory(min_available_ratio=0.2, proc=proc, cgroup=cgroup)()
    assert found == message
    assert healthy is (not message.startswith("0 B"))


def test_without_a_container_the_machine_counts(tmp_path: Path, proc: Path) -> None:
    """There are no such files there."""
    found = checks.memory(min_available_ratio=0.6, proc=proc, cgroup=tmp_path / "none")()
    assert found == (False, "8 GiB (50.0%) available", {"available_bytes": 8 * GIB, "total_bytes": 16 * GIB})


@pytest.mark.parametrize(
    ("offset", "healthy", "message"),
    [
        (0, True, "both clocks agree"),
        (0.5, True, "this clock is 0.5 s behind the other"),
        (-90, False, "this clock is 1.5 min ahead of the other"),
        (7200, False, "this clock is 2.0 h behind the other"),
    ],
)
@pytest.mark.parametrize("kind", ["datetime", "seconds"])
def test_clocks_are_compared(clock: ManualClock, kind: str, offset: float, healthy: bool, message: str) -> None:
    """With an aware datetime or with Unix time."""

    def theirs() -> datetime | float:
        at = clock.now() + timedelta(seconds=offset)
        return at if kind == "datetime" else at.timestamp()

    found = checks.clock_skew(theirs, max_skew=1.0, clock=clock)()
    assert found == (healthy, message, {"skew_seconds": -offset, "round_trip_seconds": 0.0})


def test_half_of_the_round_trip_is_taken_off(clock: ManualClock) -> None:
    """An answer that took four seconds is two seconds old."""

    def slow() -> datetime:
        clock.advance(2)
        at = clock.now()
        clock.advance(2)
        return at

    assert checks.clock_skew(slow, max_skew=0.1, clock=clock)()[:2] == (True, "both clocks agree")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: checks.disk_space(min_free_ratio=10), "min_free_ratio must be a number from 0 to 1, not 10"),
        (lambda: checks.disk_space(min_free_bytes=-1), "min_free_bytes must be a whole number of bytes"),
        (lambda: checks.memory(min_available_ratio="10%"), "min_available_ratio must be a number from 0 to 1"),
        (lambda: checks.clock_skew(lambda: 0, max_skew=0), "max_skew must be more than 0"),
    ],
)
def test_limits_that_make_no_sense_are_refused(make: object, message: str) -> None:
    """When the check is made."""
    with pytest.raises(ValueError, match=message):
        make()
