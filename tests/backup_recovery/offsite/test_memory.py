"""Memory of a push of many files."""

import subprocess
import sys

import pytest

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="/proc tells the peak on Linux alone")

PUSH = """
import sys
from pathlib import Path
from peak_observe.backup_recovery.offsite.offsite import OffsiteStore
store = OffsiteStore(sys.argv[1], recipients=[sys.argv[2]], repository=sys.argv[3], host="bot1")
store.push()
# Not by getrusage, which counts the process that started this one too.
(peak,) = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM")]
print(int(peak.split()[1]) // 1024)
"""


def peak(away, files: int) -> int:
    """Return the MiB that a process takes that pushes a backup of so many files."""
    for number in range(files):
        folder = away.program.data / f"{number // 1000}"
        if number % 1000 == 0:
            folder.mkdir()
        (folder / f"{number}.csv").write_text(f"{number},BTC\n")
    away.manager.create_backup()
    command = [sys.executable, "-c", PUSH, away.store.url, away.recipient, str(away.manager.backup_root)]
    return int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def test_some_thousand_files(away) -> None:
    """A file costs a few hundred bytes while it is pushed."""
    assert peak(away, 3000) < 130


@pytest.mark.nightly
@pytest.mark.timeout(600)
def test_a_hundred_thousand_files(away) -> None:
    """Less than 300 MB, with all that Python itself takes."""
    assert peak(away, 100_000) < 300
