"""Coverage of the processes that tests start: cheap to measure, and never in the way of the whole."""

import os
import sqlite3
from collections.abc import Iterable
from pathlib import Path

CONFIG = "COVERAGE_PROCESS_CONFIG"
"""The variable by which coverage tells a new process what to measure."""
PACKAGE = Path(__file__).parents[1] / "peak_observe"
ELSEWHERE = (
    "backup_recovery/faults",
    "backup_recovery/offsite/test_killed.py",
    "coordination/test_processes.py",
    "exchange_client/order_journal",
    "exporter/test_browser.py",
    "exporter/test_under_fire.py",
    "exporter/web/test_listener.py",
    "safety/test_hosts.py",
    "safety/test_processes.py",
    "safety/test_single_instance.py",
    "safety/test_switch_byte.py",
    "test_docs.py",
    "test_examples.py",
    "test_first_start.py",
    "test_tutorial.py",
)
"""Tests whose processes run again what other tests measure: each would take a third of a second more."""


def measure_only_what_runs() -> None:
    """Let processes write down the files that they run.

    The one that began lists all the others of the package once; each process would walk through them too.
    """
    if CONFIG in os.environ:
        from coverage.config import CoverageConfig

        config = CoverageConfig.deserialize(os.environ[CONFIG])
        config.source, config.run_include = None, [f"{PACKAGE}/*"]
        os.environ[CONFIG] = config.serialize()


def is_measured_elsewhere(test: Path) -> bool:
    """Return whether the processes of a file of tests tell nothing new of the coverage."""
    return any(test.is_relative_to(Path(__file__).parent / name) for name in ELSEWHERE)


def unmeasured() -> dict[str, str]:
    """Return the environment of a process whose coverage would be lost, as it is killed, or tells nothing new."""
    return {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE")}


def parts() -> Iterable[Path]:
    """Return the files of all processes that are to be combined."""
    from coverage.config import CoverageConfig

    whole = Path(CoverageConfig.deserialize(os.environ[CONFIG]).data_file)
    return whole.parent.glob(f"{whole.name}.*")


def drop_broken(files: Iterable[Path]) -> None:
    """Remove what a process that was killed while it wrote left behind: no other file would be combined."""
    from coverage import CoverageData
    from coverage.exceptions import CoverageException

    for file in files:
        try:
            part = CoverageData(str(file))
            part.read()
            CoverageData(no_disk=True).update(part)
            part.close()
        except (CoverageException, sqlite3.Error):
            file.unlink()
