"""Transport by `rclone`, for SFTP and whatever else it is configured for: one short process a request."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from subprocess import PIPE, TimeoutExpired
from urllib.parse import unquote, urlsplit

import msgspec

from peak_observe.backup_recovery.offsite.transport import Found, is_large, patience
from peak_observe.errors import ObjectMissingError, StoreError
from peak_observe.support.child_process import ChildProcess
from peak_observe.support.redact import redact

NO_FOLDER, NO_FILE = 3, 4  # exit codes of rclone
TIMEOUT = 900.0  # seconds of one large request, or a listing


class _Item(msgspec.Struct):
    Path: str
    Size: int
    ModTime: datetime


class Rclone:
    """Remote of rclone.

    Args:
        url: `sftp://user@host:port/folder`, or `rclone:REMOTE:PATH`.
        retry_timeout: Seconds for which a request that moves little may last.

    Raises:
        StoreError: The address is invalid, or rclone is not installed.
    """

    def __init__(self, url: str, *, retry_timeout: float = 180.0) -> None:
        self._patience = patience(retry_timeout)
        self._program = shutil.which("rclone") or ""
        if not self._program:
            raise StoreError(f"{url.partition(':')[0]}: needs rclone, which is not installed: https://rclone.org")
        self._remote = url.partition(":")[2] if url.startswith("rclone:") else _sftp(url)
        if not self._remote or self._remote.startswith("-"):
            raise StoreError("rclone: needs a remote, as rclone:REMOTE:PATH")

    def put(self, name: str, content: bytes, *, new: bool = False) -> None:
        """Write an object; where `new` and it is there, that one stays."""
        if new and self.stat(name) is not None:
            return
        self._run("write", name, "rcat", "--size", str(len(content)), self._at(name), content=content)

    def get(self, name: str) -> bytes:
        """Return the content of an object."""
        return self._run("read", name, "cat", self._at(name))

    def list(self, prefix: str) -> Iterator[Found]:
        """Yield all objects below a prefix."""
        with suppress(ObjectMissingError):
            text = self._run("list", prefix, "lsjson", "-R", "--files-only", "--no-mimetype", self._at(prefix))
            for item in msgspec.json.decode(text, type=list[_Item]):
                yield Found(f"{prefix.rstrip('/')}/{item.Path}", item.Size, item.ModTime.astimezone(UTC))

    def stat(self, name: str) -> Found | None:
        """Return what a listing tells of one object."""
        folder, _, last = name.rpartition("/")
        with suppress(ObjectMissingError):
            text = self._run("look at", name, "lsjson", "--files-only", "--no-mimetype", self._at(folder))
            for item in msgspec.json.decode(text, type=list[_Item]):
                if item.Path == last:
                    return Found(name, item.Size, item.ModTime.astimezone(UTC))
        return None

    def delete(self, names: Iterable[str]) -> None:
        """Remove objects; those that are gone already count as removed."""
        for name in names:
            with suppress(ObjectMissingError):
                self._run("remove", name, "deletefile", self._at(name))

    def flush(self) -> None:
        """Return at once: what rclone has written is the other side's."""

    def clear(self) -> None:
        """Return at once: rclone lists all that is there."""

    def _at(self, name: str) -> str:
        return f"{self._remote.rstrip('/')}/{name}".rstrip("/")

    def _run(self, doing: str, name: str, *args: str, content: bytes | None = None) -> bytes:
        limit = TIMEOUT if doing == "list" or (is_large(name) and doing in ("read", "write")) else self._patience
        command = [self._program, "--log-level", "ERROR", *args]
        try:
            # A session of its own hears no Ctrl-C, which would end in the middle what this process still waits for.
            with ChildProcess(command, stdin=PIPE, stdout=PIPE, stderr=PIPE) as process:
                try:
                    out, err = process.communicate(content, limit)
                finally:
                    process.end(grace=0)
        except TimeoutExpired:
            raise StoreError(f"cannot {doing} {name}: there was no answer within {limit:.0f} seconds") from None
        except OSError as error:
            raise StoreError(f"cannot {doing} {name}: {redact(str(error))}") from None
        if process.returncode in (NO_FOLDER, NO_FILE):
            raise ObjectMissingError(f"the store has no {name}")
        if why := process.why():
            text = err.decode(errors="replace").strip().rpartition("\n")[2]
            raise StoreError(f"cannot {doing} {name}: rclone: {redact(text or why)}")
        return out


def _sftp(url: str) -> str:
    parts = urlsplit(url)
    if parts.password:
        raise StoreError("the url of the store must hold no password: use a key, or a remote of rclone's configuration")
    if not parts.hostname:
        raise StoreError("sftp:// needs a host: sftp://user@host/folder")
    facts = {"host": parts.hostname, "user": parts.username, "port": parts.port}
    options = ",".join(f'{key}="{value}"' for key, value in facts.items() if value)
    return f":sftp,{options}:{unquote(parts.path)}"
