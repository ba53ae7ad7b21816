"""External programs: run one with a time limit and return its standard output."""

from __future__ import annotations

import atexit
import json
import os
import signal
import subprocess
import tempfile
from typing import TYPE_CHECKING

from peak_observe.support.child_process import ChildProcess
from peak_observe.support.redact import redact

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

MOST = 256 << 20  # bytes of output; more is no list of backups

_running: set[ChildProcess] = set()


class ProgramError(Exception):
    """A program could not be run, failed, or exceeded its time limit; the message says which and why."""


def output(words: Sequence[str], *, environment: Mapping[str, str], timeout: float) -> bytes:
    """Return what a program writes to its standard output.

    Args:
        words: The program and its arguments; no shell sees them.
        environment: What it finds in its environment beside that of this process.
        timeout: Seconds until it and all it started are killed.

    Raises:
        ProgramError: It cannot be run, takes too long, writes too much or ends with another code than 0.
    """
    # Files and not pipes: what the program started may keep a pipe open after its end, and nobody has to read along.
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        why = _run(words, (out.fileno(), err.fileno()), {**os.environ, **environment}, timeout)
        if why:
            err.seek(0)
            raise ProgramError(f"{words[0]} {_how(why)}: {_last_line(err.read(1 << 20))}")
        if out.seek(0, os.SEEK_END) > MOST:
            raise ProgramError(f"{words[0]} writes more than {MOST >> 20} MiB")
        out.seek(0)
        return out.read()


def _run(words: Sequence[str], files: tuple[int, int], environment: Mapping[str, str], timeout: float) -> str:
    """Run a program, and return why its end was no success; empty if it was one."""
    try:
        process = ChildProcess(words, stdin=subprocess.DEVNULL, stdout=files[0], stderr=files[1], env=environment)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ProgramError(f"cannot run {words[0]}: {reason}") from None
    _running.add(process)
    try:
        process.wait(timeout)
    except subprocess.TimeoutExpired:
        raise ProgramError(f"{words[0]} was killed after {timeout:g} s") from None
    finally:
        process.end(grace=0)
        _running.discard(process)
    return process.why()


def _how(why: str) -> str:
    return f"was killed by {why}" if why.startswith("signal") else f"ended with {why}"


def _last_line(text: bytes) -> str:
    lines = text.decode(errors="replace").split("\n")
    said = [line.strip() for line in lines if line.strip()]
    return redact(_message(said[-1])) if said else "it does not say why"


def _message(line: str) -> str:
    """Return what a line says; restic writes its errors as JSON from version 0.18 on."""
    try:
        found = json.loads(line)
    except ValueError:
        return line
    return str(found["message"]) if isinstance(found, dict) and "message" in found else line


@atexit.register
def _kill_all() -> None:
    for process in list(_running):
        process.send(signal.SIGKILL)
