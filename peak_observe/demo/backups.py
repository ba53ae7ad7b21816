"""Backups of the demo, in a temporary folder."""

from __future__ import annotations

import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from peak_observe import BackupSchedule, RecoveryManager, RetentionPolicy, job
from peak_observe.demo.view import totals
from peak_observe.errors import MissingExtraError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from peak_observe.backup_recovery.offsite.offsite import OffsiteStore

EVERY = 10.0
KEPT = 5
CONFIG = """\
[exchange]
id = "kraken"
url = "{url}"
"""


@contextmanager
def backing_up(url: str) -> Iterator[str]:
    """Make and prove a backup every few seconds; yield the line that tells of them."""
    with tempfile.TemporaryDirectory(prefix="peak-") as folder:
        config = Path(folder, "bot.toml")
        config.write_text(CONFIG.format(url=url), encoding="utf-8")
        recovery = RecoveryManager(Path(folder, "backups"), name="demo", max_age=3 * EVERY)
        recovery.config_backup.add_config(config)
        recovery.state_snapshot.register_provider("circuits", lambda: list(totals()))
        with BackupSchedule(VerifiedManager(recovery), every=EVERY, offsite=_store(Path(folder), recovery)):
            yield f"backups     peak-observe backup list --repository {recovery.backup_root}"


def _store(folder: Path, recovery: RecoveryManager) -> ProvenStore | None:
    """Return a store in another folder, where the extra that it needs is installed."""
    from peak_observe.backup_recovery.offsite.encryption import new_identity
    from peak_observe.backup_recovery.offsite.offsite import OffsiteStore

    try:
        private, public = new_identity()
    except MissingExtraError:
        return None
    identity = folder / "identity.txt"
    identity.touch(0o600)
    identity.write_text(f"{private}\n", encoding="ascii")
    url, root = (folder / "offsite").as_uri(), recovery.backup_root
    store = OffsiteStore(url, recipients=[public], repository=root, name="demo", max_age=6 * EVERY)
    store.init()
    return ProvenStore(store, identity)


class ProvenStore:
    """Off-site store that is drilled and pruned after each push."""

    def __init__(self, store: OffsiteStore, identity: Path) -> None:
        self._store = store
        self._identity = identity

    def push(self) -> None:
        """Send the newest backup, prove it, and remove old ones."""
        self._store.push()
        self._store.drill(identity=self._identity)
        self._store.verify(identity=self._identity)
        self._store.prune(RetentionPolicy(last=KEPT))


class VerifiedManager:
    """Recovery manager that drills after each backup and keeps a few."""

    def __init__(self, recovery: RecoveryManager) -> None:
        self._recovery = recovery

    def create_backup(self, **create: Any) -> None:
        """Make one, prove it, and remove old ones."""
        with job("backup", max_age="1h"):
            self._recovery.create_backup(**create)
            self._recovery.drill()
            self._recovery.cleanup_old_backups(KEPT)

    def last_success(self) -> datetime | None:
        """Return when the newest good one was made."""
        return self._recovery.last_success()
