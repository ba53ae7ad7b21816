"""Checks of files: how old one is, and whether an SQLite database is sound."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from peak_observe.clock import SYSTEM_CLOCK, Clock
from peak_observe.resilience.common import validation
from peak_observe.resilience.health.formatting import FUTURE, CheckFunction, Outcome, seconds, size

if TYPE_CHECKING:
    import os


def file_age(path: str | os.PathLike[str], *, max_age: float, clock: Clock = SYSTEM_CLOCK) -> CheckFunction:
    """Return a check that a file exists and was changed in the last `max_age` seconds.

    Args:
        path: The file, or folder; taken from the working directory of the moment if it is relative.
        max_age: Seconds since its last change.
        clock: Source of the time; for tests.

    Raises:
        ValueError: The age makes no sense.
    """
    validation.check_period("max_age", max_age)
    file = Path(path)

    def check() -> Outcome:
        try:
            found = file.stat()
        except OSError as error:
            return False, f"{file}: {error.strerror}", {}
        age = clock.now().timestamp() - found.st_mtime
        details = {"age_seconds": round(age, 3), "size_bytes": found.st_size}
        if age < -FUTURE:
            return False, f"{file} was changed {seconds(-age)} in the future: is the clock right?", details
        age = max(0.0, age)
        return age <= max_age, f"{file} was changed {seconds(age)} ago, at most {seconds(max_age)} allowed", details

    return check


def sqlite_integrity(path: str | os.PathLike[str], *, busy_timeout: float = 1.0) -> CheckFunction:
    """Return a check that opens an SQLite database read-only and runs its `quick_check`.

    Args:
        path: The database; it is never created.
        busy_timeout: Seconds to wait for a lock that another program holds.

    Raises:
        ValueError: The timeout makes no sense.
    """
    validation.check_seconds("busy_timeout", busy_timeout)
    file = Path(path)

    def check() -> Outcome:
        import sqlite3
        from contextlib import closing

        if not file.is_file():
            return False, f"{file}: there is no such file", {}
        try:
            uri = f"{file.absolute().as_uri()}?mode=ro"
            with closing(sqlite3.connect(uri, uri=True, timeout=busy_timeout)) as database:
                (found,) = database.execute("PRAGMA quick_check(1)").fetchone()
        except sqlite3.Error as error:
            return False, f"{file}: {error}", {}
        details = {"size_bytes": file.stat().st_size}
        if found != "ok" or not details["size_bytes"]:  # to SQLite a file cut to nothing is a database without tables
            return False, f"{file} is damaged: {found if found != 'ok' else 'it is empty'}", details
        return True, f"{file} is sound ({size(details['size_bytes'])})", details

    return check
