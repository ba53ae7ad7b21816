"""Running the harness from a test."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

MEMORY = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None  # noqa: S108 - where a sync costs nothing
NIGHTLY = bool(os.environ.get("NIGHTLY"))


def environment() -> dict[str, str]:
    """Return the environment of a process that finds the harness and tells no coverage, which is slow."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE")}
    return kept | {"PYTHONPATH": str(Path(__file__).parents[1])}


def harness(*arguments: str, prefix: tuple[str, ...] = ()) -> dict[str, Any]:
    """Run the harness in a process of its own, and return what it tells."""
    command = [*prefix, sys.executable, "-m", "faulty", *arguments]
    run = subprocess.run(command, capture_output=True, text=True, env=environment(), check=False)
    assert run.returncode == 0, run.stderr
    return json.loads(run.stdout.splitlines()[-1])
