"""Restore of a backup: plan, journalled transaction, crash recovery, verification and diff."""
