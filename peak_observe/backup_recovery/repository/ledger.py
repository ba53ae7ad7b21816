"""Run ledger of a repository: outcomes of runs and restores, promises, verification results.

It is kept on the disk, so that a metric does not forget with the process, and a crash leaves the old text or the new.
"""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING

import msgspec

from peak_observe import catalog
from peak_observe.backup_recovery.files.safe_read import content, decoded, is_gone, is_no_access
from peak_observe.backup_recovery.repository.locking import briefly_locked
from peak_observe.backup_recovery.repository.manifest import decode_name
from peak_observe.backup_recovery.repository.metadata import CONFIG, DATA, KINDS, telling
from peak_observe.backup_recovery.repository.notes import Counts, Notes, added
from peak_observe.backup_recovery.repository.permissions import owners_rights
from peak_observe.support.atomic_files import replace_durably
from peak_observe.support.loggers import logger

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping
    from pathlib import Path

SUCCESS, PARTIAL, FAILED, INTERRUPTED = catalog.BACKUP_OUTCOMES


def _none_yet() -> dict[str, int]:
    return dict.fromkeys(catalog.BACKUP_OUTCOMES, 0)


RENEWALS = 2  # so many times the promised age a promise stands that nobody renews and whose paths are gone
AN_HOUR, A_DAY = 3_600.0, 86_400.0


class Promise(msgspec.Struct, frozen=True):
    """Promise of one caller: several may use one repository, each for paths of its own.

    Args:
        name: The label of the caller's metrics.
        max_age: Seconds that its newest backup may be old; None without a promise.
        kinds: The parts that it has named something for.
        sources: What it has named, by part; empty until it makes a backup.
        at: When it was last given, as a Unix time in seconds.
        since: When each of the sources was first named, the same way; of `""`, when it was first given.
    """

    name: str
    max_age: float | None = None
    kinds: list[str] = []
    sources: dict[str, list[str]] = {}
    at: float = 0.0
    since: dict[str, float] = {}

    def is_of(self, other: Promise) -> bool:
        """Return whether another promise is that of the same caller: it has the same label, and a path in common."""
        if self.name != other.name:
            return False
        # The state alone tells less than a path: many programs call a provider `bot`.
        kinds = (CONFIG, DATA) if self.named() and other.named() else KINDS
        mine, theirs = self.named(kinds), other.named(kinds)
        if mine and theirs:
            return bool(mine & theirs)
        # Before its first backup nobody knows what a caller names, but the age that it promises.
        return not (mine or theirs) or self.max_age == other.max_age

    def renewed(self, other: Promise, now: float) -> Promise:
        """Return this promise with what a newer one of the same caller says."""
        kinds, sources = other.kinds or self.kinds, other.sources or self.sources
        if other.max_age is None and self.max_age is not None:
            # Who promises no age, as a run by hand, takes nothing out of what another one promised.
            kinds = [kind for kind in KINDS if kind in {*self.kinds, *kinds}]
            sources = {kind: sorted({*self.sources.get(kind, ()), *sources.get(kind, ())}) for kind in kinds}
        named = ["", *(source for listed in sources.values() for source in listed)]
        first = now if self.sources else self.since.get("", now)
        found = Promise(
            self.name,
            self.max_age if other.max_age is None else other.max_age,
            kinds,
            sources,
            self.at,
            {source: min(self.since.get(source, min(first, other.since.get(source, now))), now) for source in named},
        )
        # That a promise still stands is worth a write once in a while only.
        return self if found == self and 0 <= now - self.at < AN_HOUR else msgspec.structs.replace(found, at=now)

    def is_stale(self, now: float) -> bool:
        """Return whether it was not renewed for long, and nothing of what it named is there any more."""
        patience = RENEWALS * (self.max_age or A_DAY)
        return now - self.at > patience and not any(os.path.lexists(decode_name(path)) for _, path in self.named())

    def named(self, kinds: Iterable[str] = (CONFIG, DATA)) -> set[tuple[str, str]]:
        """Return what it has named for some parts, by part."""
        return {(kind, path) for kind in kinds for path in telling(self.sources.get(kind, ()))}


class Account(msgspec.Struct, frozen=True):
    """Account of one repository; times are Unix times in seconds, 0 for never.

    Args:
        configured_at: When it was first used.
        max_age: The strictest of all promises, in seconds; None without one.
        kinds: The parts that anybody has named something for.
        promises: The promises, one a caller.
        runs: How often a backup ended how.
        restores: How often a restore ended how.
        last_attempt: When the last backup was begun.
        running_since: When the one under way was begun.
        last_verified: When all bytes of a backup were last found to be right.
        corrupt: Backups with files that are not what they were, and how many.
        doubted: Backups that may share such a file with one that is gone; of those that are verified nobody doubts.
        stored_bytes: What all backups take on the disk, a file that several share counted once; None if not known.
        sequence: The number of the newest backup.
        cleared: Staging folders of runs that are counted, which a crash or a second Ctrl-C may have left.
        noted: What it holds of the notes of runs and restores for which there was no room here.
        lost: Whether an earlier text of it was damaged, and no backup was made since.
    """

    configured_at: float = 0.0
    max_age: float | None = None
    kinds: list[str] = []
    promises: list[Promise] = []
    runs: dict[str, int] = msgspec.field(default_factory=_none_yet)
    restores: dict[str, int] = msgspec.field(default_factory=_none_yet)
    last_attempt: float = 0.0
    running_since: float = 0.0
    last_verified: float = 0.0
    corrupt: dict[str, int] = {}
    doubted: list[str] = []
    stored_bytes: int | None = None
    sequence: int = 0
    cleared: list[str] = []
    noted: Counts = Counts()
    lost: bool = False

    def configured(self, now: float, promise: Promise) -> Account:
        """Return the account with what one caller promises now; what it does not say stands as before."""
        before = sorted((known for known in self.promises if known.is_of(promise)), key=lambda it: not it.sources)
        others = [known for known in self.promises if known not in before and not known.is_stale(now)]
        is_known = any(known.name == promise.name for known in self.promises)
        if is_known and not promise.sources and len(before) != 1:
            renewed = before  # which of them it is, or whether it is a new one, shows when it makes a backup
        else:
            known = before[0] if before else Promise(promise.name, None if self.promises else self.max_age)
            renewed = [known.renewed(promise, now)]
        found = [*others, *renewed]
        return msgspec.structs.replace(
            self,
            configured_at=min(self.configured_at or now, now),  # a clock may have been ahead
            promises=found,
            max_age=min((item.max_age for item in found if item.max_age is not None), default=None),
            kinds=[kind for kind in KINDS if any(kind in item.kinds for item in found)] or self.kinds,
        )

    def heard(self, now: float, promises: Iterable[Promise]) -> Account:
        """Return the account with what callers say that are here, each by itself: none changes what another says."""
        alone = [self.configured(now, promise).promises for promise in promises if promise.sources]
        kept = [known for known in self.promises if all(known in found for found in alone)]
        new = [promise for found in alone for promise in found if promise not in self.promises]
        return msgspec.structs.replace(self, promises=[*kept, *new])

    def promised(self, name: str) -> list[Promise]:
        """Return the promises of a label, or all where it gave none."""
        own = [promise for promise in self.promises if promise.name == name]
        return own or self.promises or [Promise(name, self.max_age, self.kinds)]

    def counted(self, outcome: str, *, restores: bool = False) -> Account:
        """Return the account with one more run, or restore, that ended so."""
        counts = self.restores if restores else self.runs
        changed = {**counts, outcome: counts.get(outcome, 0) + 1}
        if restores:
            return msgspec.structs.replace(self, restores=changed)
        return msgspec.structs.replace(self, runs=changed, lost=self.lost and outcome not in (SUCCESS, PARTIAL))

    def ended(self, outcomes: Iterable[str], sequence: int) -> Account:
        """Return the account after runs that ended so, and with the number of the newest."""
        account = self
        for outcome in outcomes:
            account = account.counted(outcome)
        # What they take on the disk is not known any more, and is measured anew. All that are there look like runs that
        # ended just now where the text was lost.
        return msgspec.structs.replace(account, running_since=0.0, sequence=sequence, stored_bytes=None, lost=self.lost)

    def settled(self, noted: Counts, remembered: Counts) -> Account:
        """Return the account with what was noted and is not in it yet, and with what a process remembers."""
        more = noted.beyond(self.noted).plus(remembered)
        if not (more.runs or more.restores):
            return self
        return msgspec.structs.replace(
            self,
            runs=added(self.runs, more.runs),
            restores=added(self.restores, more.restores),
            last_attempt=max(self.last_attempt, more.last_attempt),
            running_since=0.0 if more.ended >= self.running_since else self.running_since,
            noted=self.noted.most(noted),
        )

    def forgotten(self, freed: Mapping[str, int | None]) -> Account:
        """Return the account without backups that were removed, with the bytes that each freed; None if not known."""
        stored = self.stored_bytes
        for size in freed.values():
            stored = None if size is None or stored is None else max(0, stored - size)
        return msgspec.structs.replace(self, stored_bytes=stored)

    def without_corrupt(self, backup_ids: Collection[str]) -> Account:
        """Return the account without what was wrong with some backups."""
        corrupt = {name: count for name, count in self.corrupt.items() if name not in backup_ids}
        return msgspec.structs.replace(self, corrupt=corrupt)

    def whole(self, backup_ids: Collection[str]) -> Account:
        """Return the account after all bytes of some backups were found to be right."""
        doubted = [name for name in self.doubted if name not in backup_ids]
        return msgspec.structs.replace(self.without_corrupt(backup_ids), doubted=doubted)

    def present(self, names: Collection[str]) -> Account:
        """Return the account of a repository that holds these names: what is left may share files with what is gone."""
        gone = [name for name in self.corrupt if name not in names]
        doubted = sorted({*self.doubted, *(names if gone else ())} & {*names})
        return msgspec.structs.replace(self.without_corrupt(gone), doubted=doubted)


_DECODER = msgspec.json.Decoder(Account)


class Ledger:
    """Account on the disk, changed under a lock by one rename.

    Args:
        folder: Where it is kept, in the folder of the repository.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / "account.json"
        self._lock = folder / "account.lock"
        self._notes = Notes(folder / "account.notes")
        self._seen: tuple[tuple[int, int, int], Account] | None = None

    def read(self) -> Account:
        """Return the account; one that cannot be read counts as lost, which is logged."""
        try:
            return self._read()
        except OSError as error:
            return self._lost(error)

    def _read(self) -> Account:
        try:
            status = self._path.lstat()
        except FileNotFoundError:
            return Account()
        stamp = (status.st_mtime_ns, status.st_size, status.st_ino)
        if self._seen is None or self._seen[0] != stamp:
            self._seen = stamp, self._decoded()
        return self._of_present(self._seen[1])

    def load(self) -> Account:
        """Return the account as it is on the disk now; a text that makes no sense counts as lost, which is logged.

        Raises:
            OSError: It cannot be read, which must not pass for a new one where somebody builds on it.
        """
        return self._of_present(self._decoded())

    def _decoded(self) -> Account:
        try:
            return decoded(content(self._path), _DECODER)
        except FileNotFoundError:
            return Account()
        except ValueError as error:
            return self._lost(error)

    def _lost(self, error: Exception) -> Account:
        """Return the account in place of one that cannot be read: nobody knows any more which backups are corrupt."""
        logger("peak_observe.backup").warning("%s is not readable: %s", self._path, error)
        names: list[str] = []
        with suppress(OSError):
            names = self._names()
        return Account(doubted=names, lost=True)

    def _names(self) -> list[str]:
        return sorted(name for name in os.listdir(self._path.parent.parent) if not name.startswith("."))

    def _of_present(self, account: Account) -> Account:
        """Return an account that tells of no backups which are not in the repository any more."""
        repository = self._path.parent.parent
        if any(is_gone(repository / name) for name in (*account.corrupt, *account.doubted)):
            with suppress(OSError):
                return account.present(self._names())
        return account

    def account(self) -> Account:
        """Return the account with what could not be written into it yet, each run and restore once.

        Raises:
            OSError: It may not be read, which says nothing of it.
        """
        return self._notes.look(lambda *notes: self._known().settled(*notes))

    def _known(self) -> Account:
        try:
            return self._read()
        except OSError as error:
            if is_no_access(error):
                raise
            return self._lost(error)

    def settle(self) -> Account:
        """Bring what could not be written into the account, if there is any, and return that as it is then.

        Raises:
            OSError: It cannot be read or written.
        """
        known = self.load()
        settled = self._notes.look(known.settled)
        return known if settled is known else self.update(lambda account: account)

    def note(self, more: Counts) -> None:
        """Note runs or restores that cannot be written into the account, as on a full disk."""
        self._notes.add(more, self.read().noted)

    def clear(self) -> None:
        """Remove the texts that a crash has left on their way; with the writer's lock held.

        Raises:
            OSError: That cannot be done.
        """
        with briefly_locked(self._lock):
            for path in self._path.parent.glob(".*.tmp"):
                path.unlink()

    def _write(self, account: Account) -> None:
        try:
            with owners_rights():
                replace_durably(self._path, msgspec.json.encode(account), private=True, handed=True)
        except OSError:
            # It stands there already where only the folder could not be synced: who counts it once more counts twice.
            if self.load() != account:
                raise

    def update(self, change: Callable[[Account], Account]) -> Account:
        """Replace the account by what `change` makes of it; processes take turns.

        Raises:
            OSError: It cannot be read or written.
        """
        with briefly_locked(self._lock):
            after = self._notes.bring(lambda *notes: self._changed(change, *notes))
            self._notes.prepare()
        return after

    def _changed(self, change: Callable[[Account], Account], noted: Counts, remembered: Counts) -> Account:
        # Read anew: two changes by others within one tick of the clock may look like none.
        before = self._decoded()
        after = self._of_present(change(self._of_present(before).settled(noted, remembered)))
        if after != before or not self._path.exists():
            self._write(after)
        return after
