"""Status of a store as what uses it notes it, for the metrics of the repository."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from blake3 import blake3
from msgspec.structs import replace

from peak_observe.backup_recovery.repository.offsite_status import Status, StatusFile
from peak_observe.backup_recovery.repository.repository import Repository
from peak_observe.support.redact import redact


class NotedStatus(StatusFile):
    """Status of one store of a repository.

    Args:
        repository: The repository.
        url: The store's address.
        endpoint: That of its provider; buckets of one name at two providers are two stores.
        max_age: Seconds that the newest backup in it may be old; None without a promise.
        key_file: Where this host's key to it is kept.
    """

    def __init__(
        self, repository: Repository, url: str, *, endpoint: str | None, max_age: float | None, key_file: Path
    ) -> None:
        super().__init__(repository.own, number_of(url if endpoint is None else f"{url} {endpoint}"))
        self._repository = repository
        self._url = redact(url)
        self._max_age = max_age
        self._key_file = key_file

    def note(self, change: Callable[[Status], Status], *, looked: bool = False) -> None:
        """Keep what metrics tell; on a host that has no repository there is nobody to tell.

        Args:
            change: Makes the new status of the old one.
            looked: Whether the store was only looked at: one that this host has no key to is not its own.
        """
        now = self._repository.clock.now().timestamp()

        def noted(known: Status) -> Status:
            since, max_age = known.configured_at or now, self._max_age or known.max_age
            return replace(change(known), configured_at=since, max_age=max_age, url=self._url)

        if self._repository.root.is_dir() and (not looked or self._key_file.exists()):
            with suppress(OSError):
                self.update(noted)


def number_of(url: str) -> str:
    """Return what tells a store from others in the name of a file, and shows nothing of its address."""
    return blake3(url.encode()).hexdigest()[:12]
