"""Off-site store of a repository: push, list, verify, prune, restore and drill."""

from __future__ import annotations

import tempfile
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any, Self

from msgspec.structs import replace

from peak_observe.backup_recovery.files.workers import Tell, as_raised
from peak_observe.backup_recovery.offsite import prune as pruning
from peak_observe.backup_recovery.offsite import settings
from peak_observe.backup_recovery.offsite import store as stores
from peak_observe.backup_recovery.offsite import verify as verification
from peak_observe.backup_recovery.offsite.choice import LATEST, bases, choose, of_this, to_push
from peak_observe.backup_recovery.offsite.connect import connect
from peak_observe.backup_recovery.offsite.damage import Mend, looked_at, names
from peak_observe.backup_recovery.offsite.encryption import Opener, read_identities
from peak_observe.backup_recovery.offsite.fetch import Fetch, FetchedBackups, settle_home, temporary_repository
from peak_observe.backup_recovery.offsite.index_cache import IndexCache
from peak_observe.backup_recovery.offsite.initialization import initialize
from peak_observe.backup_recovery.offsite.noted import NotedStatus, number_of
from peak_observe.backup_recovery.offsite.object_store import make_folder
from peak_observe.backup_recovery.offsite.prune import PruneReport
from peak_observe.backup_recovery.offsite.push import Push, PushReport, stored
from peak_observe.backup_recovery.offsite.record import StoredBackup, checked_host, own_name
from peak_observe.backup_recovery.offsite.store import Store, Unreadable
from peak_observe.backup_recovery.offsite.store_key import StoreKey
from peak_observe.backup_recovery.offsite.throttle import Throttle
from peak_observe.backup_recovery.offsite.transport import Counted
from peak_observe.backup_recovery.offsite.verify import StoreReport
from peak_observe.backup_recovery.repository.manifest import label_of
from peak_observe.backup_recovery.repository.metadata import BackupMetadata
from peak_observe.backup_recovery.repository.offsite_status import FAILED, SUCCESS, Status
from peak_observe.backup_recovery.repository.repository import Repository
from peak_observe.backup_recovery.repository.retention import RetentionPolicy
from peak_observe.backup_recovery.restore.restore import RestoreReport
from peak_observe.backup_recovery.restore.verification import VerifyReport
from peak_observe.clock import SYSTEM_CLOCK, Clock
from peak_observe.errors import BackupError, BackupNotFoundError, ObjectMissingError, StoreError
from peak_observe.support.keywords import check_keywords
from peak_observe.support.redact import describe
from peak_observe.telemetry.tracing.spans import Operation


class OffsiteStore:
    """Off-site store: encrypted copies of a repository's backups in an object store or on another host.

    Sending needs the public keys alone; whatever reads content is given the file of a private one. Credentials for the
    provider come from the environment, as its own tools read them.

    Args:
        url: `s3://bucket/prefix`, `gs://bucket/prefix`, `az://container/prefix`, `file:///folder`,
            `sftp://user@host/folder`, or `rclone:REMOTE:PATH`; the last two need rclone.
        recipients: Public keys of age, `age1…`; whoever has one of the private keys can restore.
        repository: The folder with the backups.
        name: The label `repository` of the metrics; the folder's name by default.
        host: The name under which the backups of this host are kept; its own by default.
        endpoint: Address of a provider that speaks S3.
        region: Region of the bucket.
        max_age: Seconds that the newest backup in the store may be old: the promise that the alert compares with.
        bandwidth: Bytes a second that are sent and received, on average; None without a limit.
        retry_timeout: Seconds for which a request that failed is tried again, and a small one waits for its answer.
        key_file: Where the store's key is kept; beside the repository's own files by default.
        clock: What time it is; for tests.

    Raises:
        ValueError: An argument is invalid.
    """

    @check_keywords()
    def __init__(
        self,
        url: str,
        *,
        recipients: Iterable[str] = (),
        repository: str | Path = "backups",
        name: str | None = None,
        host: str | None = None,
        endpoint: str | None = None,
        region: str | None = None,
        max_age: float | None = None,
        bandwidth: float | None = None,
        retry_timeout: float = 180.0,
        key_file: str | Path | None = None,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        settings.check_amounts(max_age=max_age, bandwidth=bandwidth, retry_timeout=retry_timeout)
        self.url, root = url, Path(repository)
        self.host = checked_host(own_name() if host is None else host)
        self._recipients = (recipients,) if isinstance(recipients, str) else tuple(recipients)
        self._reach = {"endpoint": endpoint, "region": region, "retry_timeout": float(retry_timeout)}
        self._repository = Repository(root, label_of(name, root), clock)
        self._throttle = Throttle(bandwidth, clock)
        self._clock = clock
        number = number_of(url)
        self.key_file = self._repository.own / f"offsite-{number}.key" if key_file is None else Path(key_file)
        self._cache = IndexCache(self._repository.own / f"offsite-{number}")
        noted = NotedStatus(self._repository, url, endpoint=endpoint, max_age=max_age, key_file=self.key_file)
        self._status, self._note = noted, noted.note

    @classmethod
    def from_file(cls, path: str | Path = "peak-observe.toml") -> Self:
        """Return the store that the table `[backup.offsite]` of a TOML file names.

        Raises:
            ConfigError: Something in it is invalid.
        """
        found, repository, name = settings.of_file(Path(path))
        return cls(found.url, repository=repository, name=name, **found.options())

    @cached_property
    def _transport(self) -> Counted:
        endpoint, region, retry = (self._reach[key] for key in ("endpoint", "region", "retry_timeout"))
        inner = connect(self.url, endpoint=endpoint, region=region, retry_timeout=retry)  # type: ignore[arg-type] # a mapping of several types
        return Counted(inner, self._throttle.wait)

    @property
    def repository(self) -> Path:
        """Folder with the backups of this host."""
        return self._repository.root

    def init(self, *, identity: str | Path | None = None) -> str:
        """Make a new store, or join the one that is there with a private key; return its number.

        The store's key is written to `key_file`, and into the store, sealed for the recipients.

        Args:
            identity: File with a private key; only to join a store.

        Raises:
            BackupError: There is a store and no private key is given, or a key is invalid.
        """
        known = identity is None and self.key_file.exists()
        if identity is None and not known:
            make_folder(self.url)
        try:
            key = initialize(self._transport, self.key_file, self._recipients, identity)
        except ObjectMissingError as error:
            again = f", once {self.key_file}, the key of the old one, is moved away" if known else ""
            raise StoreError(f"{error}{again}") from None
        self._note(lambda status: status)
        return key.store

    @as_raised()
    def push(self, backup_id: str | None = None, *, progress: Tell | None = None) -> PushReport:
        """Send a backup, and what it is based on; what is stored already is not sent again.

        It sends again, too, what `verify` has found missing, as far as a backup here still has it. It may be broken off
        at any instant: a backup is in the store or is not, and the next push goes on.

        Args:
            backup_id: The backup; the newest good one by default.
            progress: Called with a `Progress`, by one thread at a time; what it raises ends all, and comes through.

        Raises:
            BackupNotFoundError: There is no such backup, or it was removed meanwhile.
            BackupCorruptError: What is stored here is not what was stored; it is not sent.
            BackupError: The store refuses, or cannot be reached; what is in it is as it was.
        """
        self._note(lambda status: replace(status, last_attempt=self._now()))
        known = self._status.read() or Status()
        try:
            with self._operation("backup.push") as span:
                backup = to_push(self._repository, backup_id)
                store = self._store(cache=self._cache)
                mend = Mend(store, self.host, known.damaged)
                pushed = self._push(store, backup, progress)
                report = pushed[-1]
                span.note(backup_id=report.backup_id, sent_bytes=report.sent_bytes)
        except BaseException as error:
            reason = describe(error)
            self._note(lambda status: status.pushed(FAILED, error=reason))
            raise
        self._note_pushed(backup, report)
        mend.run(lambda name: self._push(store, self._repository.get(name), progress), pushed, self._note)
        return report

    def _push(self, store: Store, backup: BackupMetadata, progress: Tell | None) -> list[PushReport]:
        needed = [self._repository.get(backup.base)] if backup.base else []
        return [self._sent(store, item, progress) for item in (*needed, backup)]

    def _sent(self, store: Store, backup: BackupMetadata, progress: Tell | None) -> PushReport:
        found = stored(store, backup, self.host)
        return found or Push(store, self._repository, backup, host=self.host, clock=self._clock, tell=progress).run()

    def _note_pushed(self, backup: BackupMetadata, report: PushReport) -> None:
        made = backup.created.timestamp() if backup.good else 0.0
        self._note(
            lambda status: status.pushed(
                SUCCESS,
                error="",
                last_push=self._now(),
                last_backup=status.newest(made, self._now()),
                sent_bytes=status.sent_bytes + report.sent_bytes,
                objects=report.stored_objects,
                stored_bytes=report.stored_bytes,
                reused_bytes=status.reused_bytes + max(0, report.size_bytes - report.new_bytes),
            )
        )

    def backups(self, *, identity: str | Path | None = None) -> tuple[list[StoredBackup], list[Unreadable]]:
        """Return the backups of all hosts, the newest first, and the records that cannot be read.

        Args:
            identity: File with a private key, where the store's key is not on this host.

        Raises:
            BackupError: The store cannot be reached, or a key is wrong.
        """
        good, bad = verification.readable(self._store(identity), self._now())
        return [StoredBackup(item.host, item.backup, item.sent) for item in good], bad

    @as_raised()
    def verify(
        self,
        backup_id: str | None = None,
        *,
        all_: bool = False,
        identity: str | Path | None = None,
        progress: Tell | None = None,
    ) -> list[StoreReport]:
        """Look whether backups are whole: with a private key every byte is read, else what is there is compared.

        Args:
            backup_id: The backup; the newest of each host by default.
            all_: Whether all backups are meant.
            identity: File with a private key.
            progress: Called with a `Progress`, by one thread at a time; what it raises ends all, and comes through.

        Raises:
            BackupError: The store cannot be reached, or a key is wrong.
        """
        with self._operation("backup.offsite_verify"):
            known, bad = verification.readable(store := self._store(identity), self._now())
            records, recorded = known, names(known, bad)
            if backup_id is not None:
                records = [record for record in records if record.backup.backup_id == backup_id]
                if not records:
                    raise BackupNotFoundError(backup_id, "the store holds none of that name")
                bad = []
            elif not all_:
                own = of_this(self._repository, records, self.host)
                records = list(verification.newest_by_host(own).values())
            reports = [*verification.verify(store, records, known, progress), *map(verification.of_unreadable, bad)]
        present, now = store.present(), self._now()
        self._note(lambda status: looked_at(status, reports, recorded, present, now), looked=True)
        return reports

    def prune(
        self, policy: RetentionPolicy, *, identity: str | Path | None = None, dry_run: bool = False
    ) -> PruneReport:
        """Remove what a policy does not keep, host by host, and the objects that nothing needs any more.

        Args:
            policy: What to keep.
            identity: File with a private key, where the store's key is not on this host.
            dry_run: Whether to tell only.

        Raises:
            BackupError: A push is under way, a record cannot be read, or the credentials do not allow it.
        """
        with self._operation("backup.offsite_prune"):
            store, now = self._store(identity), self._now()
            return pruning.prune(store, policy, damaged=self.damaged(), now=now, dry_run=dry_run)

    @contextmanager
    def fetched(
        self,
        backup_id: str = LATEST,
        *,
        identity: str | Path,
        host: str | None = None,
        parts: Collection[str] = (),
        holding: Collection[str] = (),
        places: Collection[str] = (),
        allow_partial: bool = False,
        beside: Path | None = None,
        progress: Tell | None = None,
    ) -> Iterator[tuple[Path, str]]:
        """Fetch a backup into a temporary repository; yield its folder and the backup's name, and remove it then.

        Args:
            backup_id: The backup, the beginning of its name, or `latest`, the newest good one with what is wanted.
            identity: File with a private key.
            host: Whose backups are meant; without it those of this host, or of the only one there is.
            parts: Only these parts; none for all.
            holding: The parts that `latest` has to hold; none for what was named when the newest one was made.
            places: The paths that `latest` has to hold, as far as any backup does.
            allow_partial: Whether `latest` may be a partial one where no good one holds the parts.
            beside: A folder on whose disk it shall lie.
            progress: Called with a `Progress`, by one thread at a time; what it raises ends all, and comes through.

        Raises:
            BackupNotFoundError: There is no such backup.
            BackupCorruptError: Something is missing or damaged.
            BackupError: The store cannot be reached, or the key is wrong.
        """
        settle_home(self._repository)
        store = self._store(identity)
        records, bad = verification.readable(store, self._now())
        wanted: dict[str, Any] = {"parts": holding or parts, "places": places, "allow_partial": allow_partial}
        named = backup_id != LATEST or parts or holding or places
        meant = records if named else of_this(self._repository, records, self.host)
        record = choose(meant, bad, backup_id, host, own=self.host, damaged=self.damaged(), **wanted)
        index, _ = store.index()
        with temporary_repository(beside) as root:
            with as_raised():
                for needed in (*bases(records, record), record):
                    Fetch(store, needed, index, progress).into(root, parts=parts)
            yield root, record.backup.backup_id

    def restore(
        self,
        backup_id: str = LATEST,
        *,
        identity: str | Path,
        host: str | None = None,
        restore_to: str | Path | None = None,
        progress: Tell | None = None,
        **options: Any,
    ) -> RestoreReport:
        """Restore a backup from the store alone, with all that `RecoveryManager.restore` checks.

        Args:
            backup_id: The backup, or `latest`.
            identity: File with a private key.
            host: Whose backups are meant.
            restore_to: A folder that gets everything.
            progress: Called with a `Progress`, by one thread at a time; what it raises ends all, and comes through.
            options: More of what `RecoveryManager.restore` takes, as `moved` or `data`.

        Raises:
            BackupError: As there, and if the store cannot be reached or the key is wrong.
        """
        beside = self._repository.root if restore_to is None else Path(restore_to).absolute()
        wanted: dict[str, Any] = {"config": True, "data": True, **options}
        where: dict[str, Any] = {"identity": identity, "host": host, "beside": beside, "progress": progress}
        partial = bool(wanted.get("allow_partial"))
        with self.fetched(backup_id, allow_partial=partial, **where) as (root, found):
            manager = FetchedBackups(root, name=self._repository.name)
            return manager.restore(found, restore_to=restore_to, progress=progress, **wanted)

    def drill(
        self,
        *,
        identity: str | Path,
        host: str | None = None,
        folder: str | Path | None = None,
        progress: Tell | None = None,
    ) -> VerifyReport:
        """Restore the newest good backup from the store alone into a temporary folder, and verify every byte.

        Args:
            identity: File with a private key.
            host: Whose backups are meant.
            folder: Where the temporary folder is made.
            progress: Called with a `Progress`, by one thread at a time; what it raises ends all, and comes through.

        Raises:
            BackupError: It could not be restored.
        """
        place = Path(folder or tempfile.gettempdir()).absolute()
        fetched = self.fetched(identity=identity, host=host, beside=place, progress=progress)
        with self._operation("backup.offsite_drill"), fetched as (root, found):
            report = FetchedBackups(root, name=self._repository.name).drill(progress=progress)
        if report.ok and report.backup_id == found:
            self._note(lambda status: replace(status, last_drill=self._now()), looked=True)
        return report

    def _store(self, identity: str | Path | None = None, cache: IndexCache | None = None) -> Store:
        transport = self._transport
        opener = None if identity is None else Opener(read_identities(Path(identity)))
        if opener is not None:
            return Store(transport, stores.unlocked(transport, opener), recipients=self._recipients, opener=opener)
        key, found = StoreKey.load(self.key_file), stores.described(transport)
        if found.store != key.store:
            raise BackupError(f"{self.key_file} is the key of another store than {self.url}")
        return Store(transport, key, recipients=self._recipients, usual=found.recipients, cache=cache)

    def damaged(self) -> set[tuple[str, str]]:
        """Return host and name of each backup in the store of which it is known here that it is damaged."""
        return self._status.damaged()

    def _now(self) -> float:
        return self._clock.now().timestamp()

    def _operation(self, name: str) -> Operation:
        return Operation(name, {"peak_observe.repository": self._repository.name})
