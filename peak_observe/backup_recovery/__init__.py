"""Backups that exist when they are needed."""

from peak_observe.backup_recovery.difference import Difference
from peak_observe.backup_recovery.manager import RecoveryManager
from peak_observe.backup_recovery.metadata import BackupMetadata, BackupStatus, BackupType, Part, Problem
from peak_observe.backup_recovery.parts import ConfigBackup, DataBackup
from peak_observe.backup_recovery.plan import RestorePlan
from peak_observe.backup_recovery.restore import RestoreReport
from peak_observe.backup_recovery.retention import RetentionPolicy
from peak_observe.backup_recovery.schedule import BackupSchedule
from peak_observe.backup_recovery.state import StateSnapshot
from peak_observe.backup_recovery.threads import Progress
from peak_observe.backup_recovery.verification import VerifyReport

__all__ = [
    "BackupMetadata",
    "BackupSchedule",
    "BackupStatus",
    "BackupType",
    "ConfigBackup",
    "DataBackup",
    "Difference",
    "Part",
    "Problem",
    "Progress",
    "RecoveryManager",
    "RestorePlan",
    "RestoreReport",
    "RetentionPolicy",
    "StateSnapshot",
    "VerifyReport",
]
