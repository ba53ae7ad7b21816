"""A folder without a byte left as the store."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from peak_observe.errors import StoreError

from .conftest import random_bytes


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """Return a small file system of its own, as the place of the store."""
    folder = tmp_path / "store"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(folder)]
    mounted = subprocess.run(command, capture_output=True, text=True, check=False)
    if mounted.returncode:
        pytest.skip(f"needs the right to mount a small file system (root): {mounted.stderr.strip()}")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_full_store_keeps_what_it_has(disk, away) -> None:
    """The push says so in a line, backups that are there stay whole, and with room again the next one succeeds."""
    first = away.pushed().backup_id
    (away.program.data / "big.bin").write_bytes(random_bytes(4 << 20))
    away.manager.create_backup()
    with pytest.raises(StoreError, match="the store is full, or its quota is used up"):
        away.opened().push()
    reports = away.opened().verify(all_=True, identity=away.identity)
    assert [(report.backup_id, report.ok) for report in reports] == [(first, True)]
    subprocess.run(["mount", "-o", "remount,size=16m", str(disk)], check=True)
    away.opened().push()
    assert away.opened().verify(identity=away.identity)[0].ok
