"""A hundred thousand files fit into little memory."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from faulty.driving import NIGHTLY, environment
from faulty.world import World

MANY = 100_000 if NIGHTLY else 5_000
FEW = 500
MOST = 300 * 1024  # KiB for 100,000 files
# Backs up twice (all is new, all is old), verifies, restores into an empty folder, and tells its greatest size in KiB.
PROGRAM = """
import json, sys
from pathlib import Path
from peak_observe.backup_recovery import RecoveryManager
manager = RecoveryManager(sys.argv[2], name="faults")
manager.data_backup.add_data_path(sys.argv[1])
first = manager.create_backup(include_config=False, include_state=False, include_data=True)
second = manager.create_backup(include_config=False, include_state=False, include_data=True)
files = manager.verify_backup(second).files
manager.restore(second, config=False, data=True, restore_to=sys.argv[3])
status = Path("/proc/self/status").read_text()  # getrusage would tell of the parent too, if that was larger
print(json.dumps([files, int(status.partition("VmHWM:")[2].split()[0])]))
"""


def peak(base: Path, count: int) -> int:
    """Return the greatest resident size, in KiB, of a process that works with so many files."""
    live = base / f"live {count}"
    for number in range(count):
        if number % 500 == 0:
            folder = live / f"folder {number}"
            folder.mkdir(parents=True)
        (folder / f"a file with a name of usual length {number}").write_bytes(b"%d" % number)
    command = [sys.executable, "-c", PROGRAM, live, base / f"repo {count}", base / f"back {count}"]
    run = subprocess.run(command, capture_output=True, text=True, env=environment(), check=True)
    files, size = json.loads(run.stdout)
    assert files == count
    return size


@pytest.mark.timeout(1800)
def test_memory_grows_slowly_with_the_number_of_files(new_world: Callable[[], World]) -> None:
    """Measured in a process of its own, and in `make test` carried on to 100,000 files in a straight line."""
    base = new_world().base
    small, large = peak(base, FEW), peak(base, MANY)
    if not NIGHTLY:
        large = small + (large - small) * (100_000 - FEW) // (MANY - FEW)
    assert large < MOST
