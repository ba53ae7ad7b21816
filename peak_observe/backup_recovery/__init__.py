"""Backups that exist when they are needed."""

from typing import TYPE_CHECKING

from peak_observe.backup_recovery.backup_reader import StoredFile
from peak_observe.backup_recovery.components import ConfigBackup, DataBackup
from peak_observe.backup_recovery.files.workers import Progress
from peak_observe.backup_recovery.manager import RecoveryManager
from peak_observe.backup_recovery.repository.metadata import BackupMetadata, BackupStatus, BackupType, Part, Problem
from peak_observe.backup_recovery.repository.retention import RetentionPolicy
from peak_observe.backup_recovery.restore.diff import Difference
from peak_observe.backup_recovery.restore.plan import RestorePlan
from peak_observe.backup_recovery.restore.restore import RestoreReport
from peak_observe.backup_recovery.restore.verification import VerifyReport
from peak_observe.backup_recovery.schedule import BackupSchedule
from peak_observe.backup_recovery.state.snapshot import StateSnapshot
from peak_observe.support.lazy_import import late

if TYPE_CHECKING:
    from peak_observe.backup_recovery.offsite.offsite import OffsiteStore

__all__ = [
    "BackupMetadata",
    "BackupSchedule",
    "BackupStatus",
    "BackupType",
    "ConfigBackup",
    "DataBackup",
    "Difference",
    "OffsiteStore",
    "Part",
    "Problem",
    "Progress",
    "RecoveryManager",
    "RestorePlan",
    "RestoreReport",
    "RetentionPolicy",
    "StateSnapshot",
    "StoredFile",
    "VerifyReport",
]

__getattr__ = late(__name__, {"OffsiteStore": "offsite.offsite"})
