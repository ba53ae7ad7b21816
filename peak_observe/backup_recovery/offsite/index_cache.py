"""Cache of a store's indexes on a host, so that each is read from the store once."""

from __future__ import annotations

from collections.abc import Collection
from contextlib import suppress
from pathlib import Path

from peak_observe.backup_recovery.files.safe_read import content
from peak_observe.backup_recovery.repository.permissions import owners_rights
from peak_observe.support.atomic_files import replace_durably


class IndexCache:
    """Cache of indexes, sealed as they are in the store; what cannot be kept is read again.

    Args:
        folder: Where they are kept.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def get(self, name: str) -> bytes | None:
        """Return a sealed index; None if it is not here."""
        try:
            return content(self._path(name))
        except OSError:
            return None

    @owners_rights()
    def put(self, name: str, sealed: bytes) -> None:
        """Keep a sealed index."""
        with suppress(OSError):
            self._folder.mkdir(0o700, parents=True, exist_ok=True)
            replace_durably(self._path(name), sealed, private=True, handed=True)

    def keep(self, names: Collection[str]) -> None:
        """Remove all but these."""
        wanted = {self._path(name).name for name in names}
        with suppress(OSError):
            for path in self._folder.iterdir():
                if path.name not in wanted:
                    path.unlink()

    def _path(self, name: str) -> Path:
        return self._folder / name.rpartition("/")[2]
