"""Temporary repositories that backups are fetched into."""

import subprocess
import sys
from pathlib import Path

MAKE = """
import sys
from pathlib import Path
from peak_observe.backup_recovery.offsite.fetch import temporary_repository
for number in range(60):
    with temporary_repository(Path(sys.argv[1])) as folder:
        (folder / "file").write_text("content")
        assert list(folder.glob("f*"))
"""


def test_processes_that_make_folders_at_once_leave_each_other_alone(tmp_path: Path) -> None:
    """A folder that is new and not locked yet is none that a crash has left."""
    command = [sys.executable, "-c", MAKE, str(tmp_path)]
    processes = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True) for _ in range(4)]
    assert [process.communicate()[1] for process in processes] == [""] * 4
    assert list(tmp_path.iterdir()) == []
