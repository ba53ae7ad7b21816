"""An off-site store in a folder, with the key that opens it."""

import os
from pathlib import Path

import pyrage
import pytest

from peak_observe.backup_recovery import RecoveryManager
from peak_observe.backup_recovery.offsite.offsite import OffsiteStore


class Away:
    """A program's repository and its store in a folder.

    Args:
        folder: Where all of it lies.
        manager: The manager of the repository.
        program: The program's files.
    """

    def __init__(self, folder: Path, manager: RecoveryManager, program) -> None:
        self.folder = folder
        self.manager = manager
        self.program = program
        self.place = folder / "store"
        self.identity, self.recipient = new_key(folder / "identity.txt")
        self.store = self.opened()
        self.store.init()

    def opened(self, **options) -> OffsiteStore:
        """Return the store as another process would open it."""
        given = {"recipients": [self.recipient], "repository": self.manager.backup_root, "host": "bot1", **options}
        return OffsiteStore(f"file://{self.place}", **given)

    def pushed(self, **options):
        """Make a backup, push it, and return the report."""
        made = self.manager.create_backup(**options)
        return self.store.push(made)

    def objects(self) -> list[Path]:
        """Return the files of all objects."""
        return sorted(path for path in (self.place / "objects").rglob("*") if path.is_file())

    def names(self) -> set[str]:
        """Return the names of all that is stored."""
        return {str(path.relative_to(self.place)) for path in self.place.rglob("*") if path.is_file()}

    def restored(self, **options) -> Path:
        """Restore into a new folder, and return it."""
        target = self.folder / f"restored{len(list(self.folder.glob('restored*')))}"
        self.store.restore(identity=self.identity, restore_to=target, **options)
        return target


def new_key(path: Path) -> tuple[Path, str]:
    """Write a new private key, and return its file and the public key."""
    made = pyrage.x25519.Identity.generate()
    path.write_text(f"# public key: {made.to_public()}\n{made}\n")
    path.chmod(0o600)
    return path, str(made.to_public())


@pytest.fixture
def away(tmp_path: Path, manager: RecoveryManager, program) -> Away:
    """Return a repository with a store that nothing was pushed to yet."""
    return Away(tmp_path, manager, program)


def random_bytes(size: int) -> bytes:
    """Return bytes that cannot be compressed."""
    return os.urandom(size)
