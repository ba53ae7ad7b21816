"""Backups of the demo, in a temporary folder."""

from __future__ import annotations

import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from peak_observe import BackupSchedule, RecoveryManager, job
from peak_observe.demo.view import totals

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

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
        with BackupSchedule(VerifiedManager(recovery), every=EVERY):
            yield f"backups     peak-observe backup list --repository {recovery.backup_root}"


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
