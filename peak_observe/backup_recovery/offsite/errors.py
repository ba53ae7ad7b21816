"""Errors of an off-site store that commands and schedules tell apart."""

from __future__ import annotations

from peak_observe.errors import BackupError


class StoreError(BackupError):
    """The store refused a request or cannot be reached; the message names the request and the mend."""


class ObjectMissingError(StoreError):
    """The store has no object of that name."""


class WrongKeyError(BackupError):
    """The key at hand does not open what is stored."""
