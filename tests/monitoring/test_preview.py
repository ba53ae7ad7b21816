"""`make preview` where it cannot draw: one line says why, and nothing fails."""

import subprocess
import sys
from pathlib import Path

LIVE = Path(__file__).parents[1] / "live"


def preview(folder: Path, path: str) -> subprocess.CompletedProcess[str]:
    """Run it with the tool in a folder and the programs of a path."""
    command = [sys.executable, LIVE, folder, folder / "out"]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, env={"PATH": path})


def test_without_the_tool_one_line_says_so(tmp_path: Path) -> None:
    """The line names the place that was looked at, and how to name another."""
    done = preview(tmp_path, "")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"no pictures: {tmp_path}/preview.sh is not there; PREVIEW=FOLDER names another place\n"


def test_without_its_programs_one_line_names_them(tmp_path: Path) -> None:
    """Nothing is begun that could not be finished."""
    (tmp_path / "preview.sh").touch()
    done = preview(tmp_path, str(tmp_path))
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "no pictures: not on PATH: prometheus, node, npm, chromium\n"
    assert not (tmp_path / "out").exists()
