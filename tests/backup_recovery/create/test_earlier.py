"""Files of earlier backups are looked up in the order of the walk."""

import tempfile
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from peak_observe.backup_recovery import RecoveryManager
from peak_observe.backup_recovery.create.earlier import EarlierFiles
from peak_observe.backup_recovery.create.sources import Exclude, Found, find
from peak_observe.backup_recovery.repository.manifest import FILE, Entry, Manifest, encode_name

PATHS = [f"{folder}{name}" for folder in ("", "a/", "a/b/", "c/", "c-d/") for name in ("1", "2", "5%", "é", "z")]


def walked(tree: Path) -> list[Found]:
    """Return what is in a folder in the order in which a backup comes to it."""
    return list(find(str(tree), "data/tree", exclude=Exclude(), skip=(), problem=lambda *_: None))


def looked_up(files: EarlierFiles, walk: list[Found], size: int) -> dict[str, Entry | None]:
    """Look the files of a walk up, so many at once."""
    known: dict[str, Entry | None] = {}
    for start in range(0, len(walk), size):
        batch = walk[start : start + size]
        stored = [encode_name(found.stored) for found in batch]
        entries = files.find_all(stored)
        if entries is None:
            entries = [
                files.find(name) if found.type == FILE else None for name, found in zip(stored, batch, strict=True)
            ]
        known.update(zip(stored, entries, strict=True))
    return known


@given(st.sets(st.sampled_from(PATHS), min_size=1), st.sets(st.sampled_from(PATHS)), st.integers(1, 12))
def test_each_file_is_found_whatever_was_added_and_removed(before: set[str], changed: set[str], size: int) -> None:
    """So it is by itself and some at once, and nothing else is."""
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder, "tree")
        for path in before:
            Path(tree, path).parent.mkdir(parents=True, exist_ok=True)
            Path(tree, path).write_text(path)
        manager = RecoveryManager(Path(folder, "backups"))
        manager.data_backup.add_data_path(tree)
        backup = manager.get_backup(manager.create_backup(include_config=False, include_state=False))
        text = Path(folder, "backups", backup.backup_id, "manifest.json").read_bytes()
        held = {entry.stored: entry for entry in Manifest.from_json(text, backup.backup_id).entries}
        for path in changed:
            if path in before:
                Path(tree, path).unlink()
            else:
                Path(tree, path).parent.mkdir(parents=True, exist_ok=True)
                Path(tree, path).write_text(path)

        files = EarlierFiles(Path(folder, "backups"), backup)
        walk = walked(tree)
        places = {encode_name(found.stored): found.type for found in walk}
        expected = {stored: held.get(stored) if kind == FILE else None for stored, kind in places.items()}
        assert looked_up(files, walk, size) == expected
        files.close()
