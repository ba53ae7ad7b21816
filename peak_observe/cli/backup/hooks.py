"""Hooks around a backup or a restore, and the ping that tells a watchdog how it ended."""

from __future__ import annotations

import threading
import urllib.error
import urllib.request
from contextlib import contextmanager, suppress
from http.client import HTTPException
from typing import TYPE_CHECKING

from peak_observe.backup_recovery.repository.locking import locked_if_writable
from peak_observe.backup_recovery.repository.permissions import FOLDER_MODE
from peak_observe.backup_recovery.repository.repository import OWN, Repository
from peak_observe.backup_recovery.restore.interrupts import Interrupts
from peak_observe.cli.backup.manager import note, repository_of
from peak_observe.clock import SYSTEM_CLOCK
from peak_observe.errors import BackupError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from peak_observe.cli.backup.config import Settings

LOCK = "hooks.lock"
PING_TIMEOUT = 10.0  # seconds
SUCCESS, FAILED = "success", "failed"


class Ending:
    """How that ends which hooks are around."""

    outcome = ""  # what is known before the end


@contextmanager
def around(found: Settings, doing: str) -> Iterator[Ending]:
    """Run `before`, then what is done, then `after` whatever came of it, and ping.

    One Ctrl-C does not disturb `after`, only a warning is shown; the next one ends it.

    Args:
        found: The settings.
        doing: `backup` or `restore`, which the commands find in `PEAK_BACKUP_DOING`.

    Raises:
        RepositoryLockedError: Another process works in the repository; no command has run.
        BackupError: `before` failed, so nothing was done.
    """
    with _turn(found, doing), _hooked(found, doing) as ending:
        yield ending


@contextmanager
def _turn(found: Settings, doing: str) -> Iterator[None]:
    """Keep other runs out from `before` to `after`: what one has stopped another one must not start meanwhile.

    Raises:
        RepositoryLockedError: Somebody else works in the repository.
    """
    hooked = found.before or found.after
    home = Repository(repository_of(found)[0], "", SYSTEM_CLOCK).home if hooked else None
    if home is None:
        yield
        return
    own = home / OWN if (home / OWN).is_dir() else None
    if own is None and doing == "backup":
        with suppress(OSError):  # which the work itself says better
            home.mkdir(FOLDER_MODE, parents=True, exist_ok=True)
    with locked_if_writable(own and own / LOCK, home, f"{doing} with hooks"):
        with locked_if_writable(own and own / "lock", home, doing):
            pass  # the work itself takes it again
        # A new one has no file to lock, and gets none here: `before` may mount something there.
        with locked_if_writable(home, home, f"{doing} with hooks"):
            yield


@contextmanager
def _hooked(found: Settings, doing: str) -> Iterator[Ending]:
    ending = Ending()
    try:
        _before(found, doing)
        yield ending
        ending.outcome = ending.outcome or SUCCESS
    finally:
        outcome = ending.outcome or FAILED
        try:
            _after(found, doing, outcome)
        finally:
            if found.ping_url is not None and doing == "backup":
                ping(found.ping_url, outcome)


def _before(found: Settings, doing: str) -> None:
    if found.before is None:
        return
    reason = found.before.run(environment={"PEAK_BACKUP_DOING": doing})
    if reason:
        raise BackupError(f"no {doing} was made, as the hook `before` failed, {reason}")


def _after(found: Settings, doing: str, outcome: str) -> None:
    if found.after is None:
        return
    environment = {"PEAK_BACKUP_DOING": doing, "PEAK_BACKUP_OUTCOME": outcome}
    with Interrupts() as interrupts:
        interrupts.settle("the hook `after` is running")  # what `before` stopped is to be started again
        try:
            reason = found.after.run(environment=environment)
        except KeyboardInterrupt:
            note("the hook `after` was cut off by Ctrl-C: look whether what it does is done")
            raise
    if reason:
        note(f"the hook `after` failed, {reason}")


def ping(url: str, outcome: str) -> None:
    """Tell an address that a backup succeeded, and the one with `/fail` behind it that it did not.

    What goes wrong is a note: a watchdog that is not told says so itself. The address is a secret and is not shown.
    """
    address = url if outcome == SUCCESS else f"{url.rstrip('/')}/fail"
    said = [_no_answer()]
    # Its own limit is for each byte of the answer alone, and none for the look-up of the name.
    thread = threading.Thread(target=lambda: said.append(_asked(address)), daemon=True)
    thread.start()
    thread.join(PING_TIMEOUT)
    if said[-1]:
        note(f"ping_url was not told: {said[-1]}")


def _asked(address: str) -> str:
    """Ask an address, and return why that failed; empty if it did not."""
    try:
        urllib.request.urlopen(address, timeout=PING_TIMEOUT).close()  # noqa: S310 - the settings take http(s) alone
    except urllib.error.HTTPError as error:
        return f"it answers {error.code}"
    except (OSError, ValueError, HTTPException) as error:
        reason = getattr(error, "reason", error)
        if isinstance(reason, TimeoutError):
            return _no_answer()
        if isinstance(reason, str):  # as that of an address without a host
            return reason
        return getattr(reason, "strerror", None) or type(reason).__name__
    return ""


def _no_answer() -> str:
    return f"no answer in {PING_TIMEOUT:g} s"
