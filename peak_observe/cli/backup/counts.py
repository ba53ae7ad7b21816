"""Counts of runs that end before a manager begins them, as by a hook that fails or a mistake in the file."""

from __future__ import annotations

from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from peak_observe.backup_recovery.create import counts
from peak_observe.backup_recovery.repository.manifest import label_of
from peak_observe.backup_recovery.repository.repository import Repository
from peak_observe.cli.backup import config
from peak_observe.cli.backup.config import Settings
from peak_observe.cli.backup.manager import opened, repository_of
from peak_observe.cli.options import found_file
from peak_observe.clock import SYSTEM_CLOCK
from peak_observe.errors import ConfigError, LoadError, RepositoryLockedError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class Run:
    """Run that was asked for.

    Args:
        given: What the options say.
        file: The file that they name.
    """

    def __init__(self, given: Settings, file: Path | None) -> None:
        self._given = given
        self._file = file
        self.found: Settings | None = None  # all that is said of it, when the file has been read
        self.begun = False

    def place(self) -> Settings:
        """Return where it was to keep its backups, as far as options and file can be read.

        Raises:
            ConfigError: The file cannot be read, or names no place that makes sense.
        """
        if self.found is not None:
            return self.found
        given = {key: value for key, value in self._given._asdict().items() if value is not None}
        try:
            known = Settings() if self._given.app else config.place(self._file or found_file("backup"))
        except ConfigError:
            if self._given.repository is None:
                raise
            known = Settings()
        return known._replace(**given)


@contextmanager
def counted(given: Settings, file: Path | None) -> Iterator[Run]:
    """Count a run that ends before `begun` is set, from where on its manager counts it.

    Args:
        given: What the options say.
        file: The file that they name.
    """
    run = Run(given, file)
    try:
        yield run
    except RepositoryLockedError:
        raise  # the other run counts
    except BaseException as error:
        if not run.begun:
            with suppress(Exception):  # the error itself says what is wrong
                _count(run.place(), error)
        raise


def _count(found: Settings, error: BaseException) -> None:
    wrong = isinstance(error, UsageError | ConfigError | LoadError)
    if wrong and found.app is not None:
        return  # where it keeps its backups, only the module knows
    repository = _repository(found)
    if not wrong:
        repository.configure(found.max_age)
    if not wrong or repository.own.is_dir():  # a mistake makes no repository
        counts.count(repository, error)


def _repository(found: Settings) -> Repository:
    if found.app is not None:
        return opened(found)._repository  # noqa: SLF001 - what a manager does by itself is counted by itself
    folder, name = repository_of(found)
    return Repository(folder, label_of(name, folder), SYSTEM_CLOCK)
