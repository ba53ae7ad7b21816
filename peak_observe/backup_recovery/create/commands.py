"""Commands whose standard output is backed up, such as dumps of databases."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, NamedTuple

from peak_observe.backup_recovery.repository.permissions import FILE_MODE, FOLDER_MODE
from peak_observe.support.child_process import GRACE, ChildProcess
from peak_observe.support.loggers import logger
from peak_observe.support.redact import redact
from peak_observe.support.shown import shown

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,99}")
HOUR = 3600.0
DUMP = ".sql"  # ends the names of their files
OUTPUT = ".commands"
"""Name of the folder in a staging folder that commands write to."""
_log = logger("peak_observe.backup")


class Command(NamedTuple):
    """Command and its limits.

    Args:
        command: Program and arguments; a text is split as a shell would do it, but no shell reads it.
        timeout: Seconds that it may take.
        shell: Whether the shell runs it, a text then, with pipes and variables.
    """

    command: str | Sequence[str]
    timeout: float = HOUR
    shell: bool = False

    def check(self, what: str) -> None:
        """Look at it before it is needed.

        Raises:
            ValueError: It is no command, or its time limit makes no sense.
        """
        if isinstance(self.timeout, bool) or not 0 < self.timeout < float("inf"):
            raise ValueError(f"the timeout of {what} must be a number of seconds above 0, not {self.timeout!r}")
        if self.shell and not isinstance(self.command, str):
            raise ValueError(f"{what} must be a text for the shell, not a list")
        try:
            words = self.words
        except ValueError as error:
            raise ValueError(f"{what} is no command: {error}") from None
        sound = words and all(isinstance(word, str) for word in words) and words[0] and "\0" not in "".join(words)
        if not sound or not str(self.command).strip():
            raise ValueError(
                f"{what} is no command: it has to be a program with its arguments, not {shown(self.command)}"
            )

    @property
    def words(self) -> list[str]:
        """Program and arguments; of the shells, bash fails where any part of a pipeline does."""
        if self.shell:
            bash = shutil.which("bash")
            return [*([bash, "-o", "pipefail"] if bash else ["/bin/sh"]), "-c", str(self.command)]
        return shlex.split(self.command) if isinstance(self.command, str) else list(self.command)

    def run(self, output: int | None = None, environment: dict[str, str] | None = None) -> str:
        """Run it, and return why it failed; empty if it did not.

        Args:
            output: Where standard output goes; None for that of this process.
            environment: More environment variables.
        """
        with tempfile.TemporaryFile() as said:
            try:
                process = ChildProcess(
                    self.words,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=said,  # no pipe: what a program leaves in the background would keep it open
                    env={**os.environ, **(environment or {})},
                )
            except (OSError, ValueError) as error:
                return f"it cannot be started: {getattr(error, 'strerror', None) or error}"
            late = True
            try:
                with suppress(subprocess.TimeoutExpired):
                    process.wait(self.timeout)
                    late = False
            finally:
                going_on = process.end(GRACE)
            if late:
                return f"it took longer than {self.timeout:g} s{going_on and f' and cannot be ended: {going_on}'}"
            return _reason(process.why(), said)


class Dumps:
    """Commands of one program, whose output lies in a staging folder while a backup takes it.

    Args:
        folder: Where the files of the output belong, and a restore puts them. No command writes there: others may have
            made that folder, and what a restore has put there is its owner's.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.failed: dict[str, str] = {}
        self.written: dict[str, str] = {}
        self.commands: dict[Path, Command] = {}

    def add(self, name: str, command: Command) -> Path:
        """Name a command, and return the file that its output is restored to.

        Raises:
            ValueError: Name or command makes no sense.
        """
        check_name(name)
        command.check(f"command {name!r}")
        path = Path(os.path.abspath(self.folder / f"{name}{DUMP}"))
        self.commands[path] = command
        return path

    @contextmanager
    def taken(self, staging: Path) -> Iterator[None]:
        """Run all commands one after another, and remove their output at the end.

        `failed` and `written` tell by file why there is none of it, and where it lies meanwhile.

        Args:
            staging: A folder that only its owner may enter, and that is cleared after a crash.

        Raises:
            OSError: Something of that cannot be made or removed.
        """
        self.failed.clear()
        self.written.clear()
        if not self.commands:
            yield
            return
        folder = Path(os.path.realpath(staging), OUTPUT)
        folder.mkdir(FOLDER_MODE)
        try:
            for path, command in self.commands.items():
                self.written[str(path)] = str(folder / path.name)
                self._take(path, folder / path.name, command)
            yield
        finally:
            shutil.rmtree(folder)

    def _take(self, path: Path, output: Path, command: Command) -> None:
        try:
            descriptor = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, FILE_MODE)
            try:
                reason = command.run(descriptor)
                if not reason and not os.fstat(descriptor).st_size:
                    reason = "it printed nothing, and a dump is never empty"
            finally:
                os.close(descriptor)
        except OSError as error:
            reason = f"its output cannot be written: {error.strerror}"
        if reason:
            output.unlink(missing_ok=True)  # half a dump must not pass for one
            self.failed[str(path)] = f"its command failed, {reason}"
            _log.warning("the command for %s failed, %s", path.name, reason)


def check_name(name: object) -> None:
    """Look whether a command can have a name, of which its file gets its own.

    Raises:
        ValueError: It cannot.
    """
    if not isinstance(name, str) or not NAME.fullmatch(name):
        raise ValueError(f"the name of a command has to be letters, digits, '_' and '-', not {shown(name)}")


def _reason(why: str, said: BinaryIO) -> str:
    """Return how a command ended that failed, with its last line."""
    last = _last_line(said) if why else ""
    return redact(f"{why}: {last}" if last else why)


def _last_line(said: BinaryIO) -> str:
    size = said.seek(0, os.SEEK_END)
    said.seek(max(0, size - 4096))
    return said.read().decode(errors="replace").strip().rpartition("\n")[2]
