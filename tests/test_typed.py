"""The types that users see: mypy and pyright, both strict, accept a program that uses every public name."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import peak_observe

PROGRAM = Path(__file__).parent / "typed" / "every_public_name.py"


def run(*command: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a type checker away from this project's own settings."""
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=300, check=False
    )


def test_the_program_uses_every_public_name() -> None:
    """None is left out."""
    used = set(re.findall(r"\bpo\.(\w+)", PROGRAM.read_text("utf-8")))
    assert set(peak_observe.__all__) - used == set()


def test_mypy_accepts_it_strictly(tmp_path: Path) -> None:
    """As for a user without settings of his own."""
    done = run(sys.executable, "-m", "mypy", "--strict", "--cache-dir", str(tmp_path), str(PROGRAM), folder=tmp_path)
    assert done.returncode == 0, done.stdout


def test_pyright_accepts_it_strictly(tmp_path: Path) -> None:
    """Beside it no name of the package is of unknown type."""
    # Members of ccxt's objects are of unknown type, as ccxt ships none.
    settings = {"include": [str(PROGRAM.parent)], "typeCheckingMode": "strict", "reportUnknownMemberType": False}
    (tmp_path / "pyrightconfig.json").write_text(json.dumps(settings))
    done = run(sys.executable, "-m", "pyright", "--pythonpath", sys.executable, "-p", str(tmp_path), folder=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
