"""Metrics reading of a repository, made from its files at each scrape, so that it outlives the process."""

from __future__ import annotations

import os
from contextlib import contextmanager
from math import inf
from typing import TYPE_CHECKING, NamedTuple, TypeAlias
from weakref import WeakKeyDictionary

from msgspec.structs import replace

from peak_observe import catalog
from peak_observe.backup_recovery.files.safe_read import is_gone
from peak_observe.backup_recovery.repository.choice import corrupt_of, lost, newest_of_each, restorable
from peak_observe.backup_recovery.repository.ledger import Account, Promise
from peak_observe.backup_recovery.repository.metadata import KINDS, SKEW, telling
from peak_observe.backup_recovery.repository.offsite_status import reading_of_stores
from peak_observe.backup_recovery.repository.repository import NoAccess
from peak_observe.errors import BackupError
from peak_observe.measures import BACKUPS, BackupReading, KindReading, forks

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from peak_observe.backup_recovery.repository.metadata import BackupMetadata
    from peak_observe.backup_recovery.repository.repository import Repository


ANYTHING = "anything"  # the label `kind` where a backup is promised, none is there, and nobody has said of what


class _Caller:
    """Caller in this process, as a manager.

    Args:
        named: Returns what it names, by part.
        max_age: Seconds that its newest backup may be old; None without a promise.
        now: Unix time in seconds.
    """

    def __init__(self, named: Callable[[], Mapping[str, Collection[str]]], max_age: float | None, now: float) -> None:
        self._named = named
        self._max_age = max_age
        self._looked = now
        self._since: dict[str, float] = {}

    def promise(self, name: str, now: float) -> Promise:
        """Return what it promises under a label; what was not named at the last look is named since then."""
        sources = {kind: [*listed] for kind, listed in self._named().items()}
        found = ["", *(source for listed in sources.values() for source in listed)]
        self._since = {source: min(self._since.get(source, self._looked), now) for source in found}
        self._looked = now
        return Promise(name, self._max_age, [*sources], sources, since=self._since)


class ObservedRepository:
    """Repository whose metrics are read for the life of the process.

    Args:
        repository: The repository.
    """

    def __init__(self, repository: Repository) -> None:
        self.repository = repository
        self.max_age: float | None = None
        self._callers: WeakKeyDictionary[object, _Caller] = WeakKeyDictionary()
        self._newest: list[_Caller] = []
        self._asking: list[float] = []
        self._since = repository.clock.now().timestamp()
        self._last: BackupReading | None = None

    def heed(self, owner: object, named: Callable[[], Mapping[str, Collection[str]]], max_age: float | None) -> None:
        """Tell also of what somebody names and promises: as long as he lives, and until somebody else comes."""
        self._callers[owner] = caller = _Caller(named, max_age, self.repository.clock.now().timestamp())
        self._newest = [caller]

    def _heard(self) -> list[Promise]:
        """Return what those promise that are alive, and who came last."""
        with _lock:
            callers = dict.fromkeys([*self._callers.values(), *self._newest])
        now = self.repository.clock.now().timestamp()
        return [caller.promise(self.repository.name, now) for caller in callers]

    def read(self) -> BackupReading:
        """Return how things stand; where nothing can be read, nothing is backed up."""
        try:
            found = self.look()
        except (OSError, BackupError):
            found = self._nothing()
        found.running_since = min((since for since in (found.running_since, *self._asking) if since), default=0.0)
        return found

    def look(self) -> BackupReading:
        """Return how things stand.

        Raises:
            OSError: The folder cannot be read.
            BackupError: It cannot be listed, or what was there is gone, as if its disk were not mounted.
        """
        repository = self.repository
        self._since = min(self._since, repository.clock.now().timestamp())
        found = reading_of(repository, kinds=(), max_age=self.max_age, since=self._since, heard=self._heard())
        if found.configured is not None:
            self._last, self._since = found, found.configured
        elif self._last is not None and not os.path.lexists(repository.own):
            raise BackupError(f"{repository.root} has no backups any more: is its disk mounted?")
        return found

    def _nothing(self) -> BackupReading:
        """Return what there is to tell while the repository is gone: none of what is named has a backup."""
        last, heard = self._last or BackupReading(), self._heard()
        promised = last.max_age if self.max_age is None else self.max_age
        # What was counted since the repository is gone is known to this process alone.
        account = self.repository.ledger.account() if is_gone(self.repository.own) else Account()
        return reading(
            (),
            account,
            kinds={**dict.fromkeys(last.kinds, ()), **_named(heard)},
            max_age=_strictest(heard, promised),
            stored_bytes=0,
            unreadable=0,
            now=self.repository.clock.now().timestamp(),
            since=self._since,
        )

    @contextmanager
    def asking(self) -> Iterator[None]:
        """Show a backup as under way while state providers are asked, of which its ledger knows nothing yet."""
        since = self.repository.clock.now().timestamp()
        self._asking.append(since)
        try:
            yield
        finally:
            self._asking.remove(since)


Named: TypeAlias = "Mapping[str, Collection[str]] | tuple[()]"  # no part at all may be written ()
_observed: dict[tuple[str, Path], ObservedRepository] = {}
_lock = forks.RenewedLock()


def observe(
    repository: Repository,
    owner: object,
    named: Callable[[], Mapping[str, Collection[str]]],
    max_age: float | None,
    /,
) -> ObservedRepository:
    """Tell of a repository from now on, and return what tells.

    It is told of once, however many managers work in it; what each of them promises counts as long as it lives, and
    what the newest one does until there is another.

    Args:
        repository: The repository.
        owner: The manager.
        named: Returns what is named, by part.
        max_age: Seconds that the newest backup may be old; None without a promise.
    """
    key = repository.name, repository.root.absolute()
    with _lock:
        known = _observed.get(key)
        if known is None:
            known = _observed[key] = ObservedRepository(repository)
            BACKUPS.series(repository.name).join(known, known.read)
        known.heed(owner, named, max_age)
    return known


def _named(promises: Iterable[Promise]) -> dict[str, list[str]]:
    """Return what promises name together, by part."""
    found: dict[str, list[str]] = {}
    for promise in promises:
        for kind, sources in promise.sources.items():
            found.setdefault(kind, []).extend(sources)
    return found


def _strictest(promises: Iterable[Promise], *others: float | None) -> float | None:
    ages = (*(promise.max_age for promise in promises), *others)
    return min((age for age in ages if age is not None), default=None)


def reading_of(
    repository: Repository,
    *,
    kinds: Named,
    max_age: float | None,
    since: float | None = None,
    heard: Collection[Promise] = (),
) -> BackupReading:
    """Return the reading of a repository, after one look at each of its metadata files.

    Args:
        repository: The repository.
        kinds: What is named, by part.
        max_age: Seconds that the newest backup may be old; None for what was promised under the repository's label.
        since: When it was first looked at, as a Unix time in seconds; None for now.
        heard: What callers in this process promise under its label.

    Raises:
        OSError: It cannot be read.
        BackupError: It cannot be listed.
    """
    backups, unreadable = repository.look()
    now = repository.clock.now().timestamp()
    account = repository.account(backups).heard(now, heard)
    # What a caller promises that has not said yet what of holds for whatever there is.
    of_all = [promise for promise in heard if not promise.sources]
    found = reading(
        backups,
        account,
        promises=[
            replace(promise, max_age=_strictest(of_all, promise.max_age))
            for promise in account.promised(repository.name)
        ],
        kinds={**dict(kinds), **_named(heard)},
        max_age=max_age,
        stored_bytes=repository.measured(onerror=None) if account.stored_bytes is None else account.stored_bytes,
        unreadable=sum(not isinstance(reason, NoAccess) for reason in unreadable.values()),
        gone=lost(repository.root, backups),
        now=now,
        since=since,
    )
    found.offsite = reading_of_stores(repository.own, now)
    return found


def reading(
    backups: Collection[BackupMetadata],
    account: Account,
    *,
    promises: Collection[Promise] = (),
    kinds: Named,
    max_age: float | None,
    stored_bytes: int,
    unreadable: int,
    now: float,
    gone: Collection[str] = (),
    since: float | None = None,
) -> BackupReading:
    """Return what there is to tell.

    Args:
        backups: All backups, the oldest first.
        account: The ledger.
        promises: Those of the label that is read; the ledger's own is taken without them.
        kinds: What is named, by part.
        max_age: Seconds that the newest backup may be old; None if the account knows better.
        stored_bytes: What they take on the disk.
        unreadable: How many backups have metadata that is not what was written.
        now: Unix time in seconds.
        gone: The backups whose manifest or base is gone.
        since: When the repository was first looked at, the same way; None for now.
    """
    found = BackupReading()
    good = restorable(backups, corrupt_of(backups, account.corrupt, gone))
    since = account.configured_at if 0 < account.configured_at <= now + SKEW else since or now
    found.configured = since if account.configured_at or backups else None
    known = promises or [Promise("", account.max_age, account.kinds)]
    asked = [_asked(promise, dict(kinds), max_age, since, now) for promise in known]
    told = _told(good, asked, kinds, now)
    found.kinds = {kind: standing.reading for kind, standing in told.items()}
    found.max_age = _limit(told.values(), asked)
    if not found.kinds and found.max_age is not None:
        found.kinds[ANYTHING] = _reading(None, ANYTHING, since, now)
    found.last_attempt = account.last_attempt
    found.running_since = account.running_since
    found.last_verified = account.last_verified
    found.stored_bytes = stored_bytes
    found.corrupt_files = sum((*account.corrupt.values(), unreadable, len({*gone} - {*account.corrupt}), account.lost))
    statuses = [backup.status.value for backup in backups]
    found.count = [statuses.count(status) for status in catalog.BACKUP_STATUSES]
    found.runs = [account.runs.get(outcome, 0) for outcome in catalog.BACKUP_OUTCOMES]
    found.restores = [account.restores.get(outcome, 0) for outcome in catalog.BACKUP_OUTCOMES]
    return found


class _Standing(NamedTuple):
    """Standing of a promise in one part.

    Args:
        share: The share of the promised age that is used up; 0 without a promise.
        reading: What there is to tell.
        max_age: The promised age, in seconds.
    """

    share: float
    reading: KindReading
    max_age: float | None

    @property
    def badness(self) -> tuple[float, float, float]:
        """Sort key, the worst last."""
        return self.share, self.reading.age, -(self.max_age or inf)


def _asked(promise: Promise, named: Named, max_age: float | None, since: float, now: float) -> Promise:
    """Return a promise with the age that is asked for, what is named and not in it yet, and no time in the future."""
    times = {source: at for source, at in promise.since.items() if at <= now + SKEW}
    return replace(
        promise,
        max_age=promise.max_age if max_age is None else max_age,
        sources={kind: [*listed] for kind, listed in {**dict(named), **promise.sources}.items()},
        since={"": since, **times},
    )


def _told(good: Sequence[BackupMetadata], asked: Sequence[Promise], kinds: Named, now: float) -> dict[str, _Standing]:
    """Return by part how the promise stands that is worst off; one without an age is no match for those with one."""
    asked = [promise for promise in asked if promise.max_age is not None] or asked
    told = {}
    for kind in KINDS:
        expected = [promise for promise in asked if kind in promise.kinds]
        worst = max((_standing(good, kind, promise, now) for promise in expected or asked), key=lambda it: it.badness)
        if expected or kind in kinds or worst.reading.last_success:
            told[kind] = worst
    return told


def _standing(good: Sequence[BackupMetadata], kind: str, promise: Promise, now: float) -> _Standing:
    """Return how a promise stands: of the newest good backup of each path that it names, the oldest counts."""
    wanted = telling(promise.sources.get(kind, ())) or {""}
    newest = newest_of_each(good, kind, wanted, now + SKEW)
    never = {source: promise.since.get(source, promise.since[""]) for source in wanted - newest.keys()}
    times = never | {source: backup.created.timestamp() for source, backup in newest.items()}
    oldest = min(times, key=lambda source: (times[source], source))
    reading = _reading(newest.get(oldest), kind, times[oldest], now)
    return _Standing(reading.age / (promise.max_age or inf), reading, promise.max_age)


def _reading(backup: BackupMetadata | None, kind: str, since: float, now: float) -> KindReading:
    age = max(0.0, now - since)
    if backup is None:
        return KindReading(0.0, age, 0, 0, 0.0)
    part = backup.parts[kind]
    return KindReading(since, age, part.size_bytes, part.files, part.seconds)


def _limit(told: Collection[_Standing], asked: Iterable[Promise]) -> float | None:
    """Return the promised age to compare all parts with: one that makes those late that are, and else none of them."""
    late = [standing.max_age for standing in told if standing.share > 1 and standing.max_age is not None]
    limits = [standing.max_age for standing in told if standing.max_age is not None]
    promised = [promise.max_age for promise in asked if promise.max_age is not None]
    return min(late, default=max(limits, default=min(promised, default=None)))
