"""Configuration and data parts of a backup: their named paths, and plain copies of them without a repository."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Collection, Iterable, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from peak_observe.backup_recovery.create.commands import HOUR, Command, Dumps
from peak_observe.backup_recovery.create.identities import of_command, of_state
from peak_observe.backup_recovery.create.plain_copies import move
from peak_observe.backup_recovery.create.sources import Exclude, NamedPaths
from peak_observe.backup_recovery.create.writer import StagingWriter
from peak_observe.backup_recovery.files.helper_names import BESIDE, PREFIX
from peak_observe.backup_recovery.repository.locking import briefly_locked
from peak_observe.backup_recovery.repository.manifest import (
    FILE,
    VERSION,
    Entry,
    Manifest,
    decode_name,
    encode_name,
)
from peak_observe.backup_recovery.repository.metadata import CONFIG, DATA, STATE
from peak_observe.backup_recovery.repository.permissions import FOLDER_MODE, owners_rights
from peak_observe.backup_recovery.repository.repository import DRILL
from peak_observe.backup_recovery.repository.stored_files import StoredFiles
from peak_observe.backup_recovery.restore import legacy
from peak_observe.backup_recovery.restore.crash_recovery import folders_beside
from peak_observe.backup_recovery.restore.ownership import Ownership
from peak_observe.backup_recovery.restore.places import Places, RestoreOptions
from peak_observe.backup_recovery.restore.plan import SAME, Refusal, actions
from peak_observe.backup_recovery.restore.transaction import Transaction
from peak_observe.backup_recovery.restore.unchangeable import forbidden
from peak_observe.errors import RestoreRefusedError
from peak_observe.support.keywords import check_keywords
from peak_observe.support.loggers import logger

if TYPE_CHECKING:
    from collections.abc import Iterator

    from peak_observe.backup_recovery.repository.manifest import Root
    from peak_observe.backup_recovery.repository.metadata import Part
    from peak_observe.backup_recovery.state.snapshot import StateSnapshot

_log = logger("peak_observe.backup")


class _Part:
    """Part of a backup whose named paths can be copied into a folder and back."""

    def __init__(self, kind: str, named: Iterable[Path] | None, exclude: Iterable[str]) -> None:
        self.paths = NamedPaths(kind, list(named or ()))
        self._exclude = Exclude(exclude)

    @owners_rights()
    def _copy(self, folder: Path, dumps: Dumps) -> Part:
        """Copy everything into `folder`, each file by one rename; what cannot be taken keeps the copy of before."""
        folder.mkdir(FOLDER_MODE, parents=True, exist_ok=True)
        with _alone(folder):
            return self._copy_alone(folder, dumps)

    def _copy_alone(self, folder: Path, dumps: Dumps) -> Part:
        own = folder.stat()
        work = folder / f"{DRILL}{secrets.token_hex(4)}"
        work.mkdir(FOLDER_MODE)
        entries: list[Entry] = []
        try:
            with dumps.taken(work):
                writer = StagingWriter(
                    work,
                    add=entries.extend,
                    exclude=self._exclude,
                    skip=[(own.st_dev, own.st_ino)],
                    tell=None,
                    reasons=dumps.failed,
                    elsewhere=dumps.written,
                )
                writer.take(self.paths.kind, self.paths.roots())
            move(entries, work, folder)
        finally:
            shutil.rmtree(work)
        taken = {entry.stored for entry in entries}
        for problem in writer.problems:
            older = next(self._older(decode_name(problem.what), folder, taken), "")
            stays = f"; {older} is the copy of an earlier run, which a restore brings back" if older else ""
            _log.warning("not backed up: %s%s", problem, stays)
        return writer.parts[self.paths.kind]

    def _older(self, path: str, folder: Path, taken: Collection[str]) -> Iterator[str]:
        """Yield the copy that an earlier run made of a path, if this one has not taken it."""
        for root in self.paths.roots():
            source = decode_name(root.source)
            for base in (source, os.path.realpath(source)):
                stored = decode_name(root.stored) + path[len(base) :]
                copy = folder / stored.partition("/")[2]
                is_below = path == base or path.startswith(f"{base}/")
                if is_below and encode_name(stored) not in taken and os.path.lexists(copy):
                    yield str(copy)

    @owners_rights()
    def restore(self, backup_dir: Path, dry_run: bool = False) -> int:
        """Bring everything named back from a folder, all files or none, and return how many files that are.

        Args:
            backup_dir: What `backup` was given.
            dry_run: Whether to count only.

        Raises:
            RestoreRefusedError: It would do harm; nothing was changed.
            OSError: Something cannot be read or written; nothing was changed.
        """
        if not backup_dir.is_dir():
            return 0
        with _alone(backup_dir):
            return self._restore_alone(backup_dir, dry_run=dry_run)

    def _restore_alone(self, backup_dir: Path, *, dry_run: bool) -> int:
        named = self.paths.roots()
        options = RestoreOptions(kinds=(self.paths.kind,), named=named)
        left = [*Transaction.left_behind(backup_dir)]
        for folder in dict.fromkeys(folders_beside(options)):
            with suppress(PermissionError):  # nothing of ours can be in it
                left += Transaction.left_behind(folder, BESIDE)
        for transaction in left:
            reach = [os.path.realpath(decode_name(root.source)) for root in named]
            if not transaction.journal.within(reach, map(str, (backup_dir.absolute(), *folders_beside(options)))):
                problem = f"{transaction.path} was left for other files: name them too"
                raise RestoreRefusedError(backup_dir.name, (problem,))
            transaction.recover()
        roots, entries = legacy.part(backup_dir, self.paths.kind, named)
        sources = {root.source for root in named}
        manifest = Manifest(VERSION, backup_dir.name, 0, [root for root in roots if root.source in sources], entries)
        owners = Ownership(manifest)
        problems: list[Refusal] = []
        places = Places(manifest, options)
        wanted, _ = places.wanted()
        found = actions(wanted, owners, problems)
        problems += forbidden(found)
        if problems:
            reasons = tuple(dict.fromkeys(problem.reason for problem in problems))
            raise RestoreRefusedError(backup_dir.name, tuple(item.problem for item in problems), reasons)
        if not dry_run and any(action.change != SAME or action.retime for action in found):
            transaction = Transaction.of(
                found, (backup_dir, *places.folders()), secrets.token_hex(4), backup_dir.name, owners=owners
            )
            transaction.run(found, StoredFiles(backup_dir, manifest, flat=True))
        return sum(action.entry.type == FILE for action in found)


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Let nobody else copy into a folder or out of it, and remove what a crash has left there."""
    with briefly_locked(folder):
        for name in os.listdir(folder):
            if name.startswith(DRILL):
                shutil.rmtree(folder / name)
            elif name.startswith(f".{PREFIX}") and name.endswith(".tmp"):
                (folder / name).unlink()
        yield


class ConfigBackup(_Part):
    """Configuration part: named files and folders.

    Args:
        config_paths: The paths, to which more can be added.
        exclude: Patterns of what is left out; see `Exclude`.
    """

    @check_keywords()
    def __init__(self, config_paths: Iterable[Path] | None = None, *, exclude: Iterable[str] = ()) -> None:
        super().__init__(CONFIG, config_paths, exclude)

    @property
    def config_paths(self) -> list[Path]:
        """Named paths, in the order in which they were added."""
        return self.paths.named

    def add_config(self, path: Path | str) -> None:
        """Name a file, or a folder with all that is in it; twice is once."""
        self.paths.add(path)

    def backup(self, backup_dir: Path) -> int:
        """Copy everything named into a folder, and return how many files that are; the log tells what is missing.

        A file that cannot be taken keeps the copy of an earlier run there, as the only one; the log names it.

        Raises:
            OSError: The folder cannot be written.
        """
        return self._copy(backup_dir, Dumps(backup_dir)).files


class DataBackup(_Part):
    """Data part: named files and folders.

    Args:
        data_paths: The paths, to which more can be added.
        exclude: Patterns of what is left out; see `Exclude`.
    """

    @check_keywords()
    def __init__(self, data_paths: Iterable[Path] | None = None, *, exclude: Iterable[str] = ()) -> None:
        super().__init__(DATA, data_paths, exclude)
        self.dumps = Dumps(Path("dumps"))

    @property
    def data_paths(self) -> list[Path]:
        """Named paths, in the order in which they were added."""
        return self.paths.named

    def add_data_path(self, path: Path | str) -> None:
        """Name a file, or a folder with all that is in it; twice is once."""
        self.paths.add(path)

    def add_command(
        self, name: str, command: str | Sequence[str], *, timeout: float = HOUR, shell: bool = False
    ) -> Path:
        """Name a command whose standard output is backed up as `data/NAME.sql`; return where a restore puts it.

        A command that fails, or takes too long, makes the backup partial.

        Args:
            name: Its name.
            command: Program and arguments; a text is split as a shell would do it, but no shell reads it.
            timeout: Seconds that it may take.
            shell: Whether the shell runs it, with pipes and variables; bash, which fails where any part of a pipeline
                does, or sh where there is none.

        Raises:
            ValueError: An argument makes no sense.
        """
        path = self.dumps.add(name, Command(command, timeout, shell))
        self.paths.add(path)
        return path

    def backup(self, backup_dir: Path) -> tuple[int, int]:
        """Copy everything named into a folder, and return how many files and bytes that are; the log tells the rest.

        A file that cannot be taken, as of a command that failed, keeps the copy of an earlier run; the log names it.

        Raises:
            OSError: The folder cannot be written.
        """
        part = self._copy(backup_dir, self.dumps)
        return part.files, part.size_bytes


class Named(NamedTuple):
    """All parts of a manager with what is named for them.

    Args:
        config: The configuration.
        data: The data.
        snapshot: The state.
        label: The name that was given to the program; None without one.
    """

    config: ConfigBackup
    data: DataBackup
    snapshot: StateSnapshot
    label: str | None = None

    def kinds(self) -> list[str]:
        """Return the parts that something is named for."""
        named = ((CONFIG, self.config.config_paths), (DATA, self.data.data_paths))
        state = [STATE] if self.snapshot._state_providers else []  # noqa: SLF001 - its name is a contract
        return [kind for kind, paths in named if paths] + state

    def paths(self) -> dict[str, NamedPaths]:
        """Return the named paths by part, in the order of a backup."""
        return {CONFIG: self.config.paths, DATA: self.data.paths}

    def identities(self) -> dict[str, list[str]]:
        """Return by part what tells commands and state providers from those of other programs."""
        commands = self.data.dumps.commands
        providers = self.snapshot._state_providers  # noqa: SLF001 - its name is a contract
        return {
            STATE: of_state(providers, self.label),
            DATA: [of_command(encode_name(str(path)), command, self.label) for path, command in commands.items()],
        }

    def sources(self) -> dict[str, list[str]]:
        """Return what is named by part, as metadata has it: absolute paths, and identities."""
        paths, more = self.paths(), self.identities()
        named = {kind: [encode_name(os.path.abspath(path)) for path in paths[kind].named] for kind in paths}
        return {kind: [*named.get(kind, ()), *more.get(kind, ())] for kind in self.kinds()}

    def roots(self) -> list[Root]:
        """Return all paths that are named."""
        return [*self.config.paths.roots(), *self.data.paths.roots()]
