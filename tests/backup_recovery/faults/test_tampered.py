"""Somebody has written to the repository and made all checksums right: nothing outside is read, written or removed."""

import json
import os
import shutil
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from blake3 import blake3
from faulty.driving import NIGHTLY
from faulty.world import World, snapshot
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from peak_observe.backup_recovery import BackupMetadata, RecoveryManager, RetentionPolicy
from peak_observe.backup_recovery.repository.ledger import Account
from peak_observe.backup_recovery.restore.journal import Journal, Made, Step
from peak_observe.errors import BackupCorruptError, BackupError, RestoreRefusedError

EXAMPLES = 2000 if NIGHTLY else min(60, settings().max_examples)
SLOW = (HealthCheck.function_scoped_fixture, HealthCheck.too_slow)  # the world is put right again; a machine has load
Tamper = Callable[[dict[str, Any], World], None]


@pytest.fixture(scope="module")
def world(new_world: Callable[[], World]) -> World:
    """Return a world with one backup."""
    world = new_world()
    world.backup()
    world.keep()
    return world


def only(world: World) -> Path:
    """Return the folder of the only backup."""
    return next(path for path in world.repo.iterdir() if path.name.startswith("backup_"))


def sealed(folder: Path, manifest: bytes, **facts: Any) -> None:
    """Write a manifest, and metadata that vouches for it."""
    path = folder / "metadata.json"
    found = BackupMetadata.from_json(path.read_bytes())
    (folder / "manifest.json").write_bytes(manifest)
    path.write_bytes(msgspec.structs.replace(found, manifest=blake3(manifest).hexdigest(), **facts).to_json())


def entry(manifest: dict[str, Any], end: str = "same.txt") -> dict[str, Any]:
    """Return the entry of one file."""
    return next(item for item in manifest["entries"] if item["stored"].endswith(end))


def named(stored: str) -> Tamper:
    """Return what gives a file's entry another place."""
    return lambda manifest, world: entry(manifest).update(stored=stored)


def given_(**facts: Any) -> Tamper:
    """Return what gives a file's entry other facts."""
    return lambda manifest, world: entry(manifest).update(facts)


def root(**facts: Any) -> Tamper:
    """Return what gives the root of the data other facts."""
    return lambda manifest, world: manifest["roots"][-1].update(facts)


def below_a_link(manifest: dict[str, Any], world: World) -> None:
    """Make a folder of the backup a link to a neighbour, with files below it."""
    entry(manifest, "/old").update(type="link", target=str(world.sibling))


def twice(manifest: dict[str, Any], world: World) -> None:
    """Name a file twice."""
    manifest["entries"].append(dict(entry(manifest)))


def twice_in_other_words(manifest: dict[str, Any], world: World) -> None:
    """Name a file twice, once with a needless escape."""
    manifest["entries"].append(entry(manifest, "%25name") | {"stored": "data/data/odd %FF%41name"})


def roots_outside(manifest: dict[str, Any], world: World) -> None:
    """Let the data be what a neighbour is."""
    manifest["roots"][-1].update(source=str(world.sibling), named=str(world.sibling))


def a_root_again(manifest: dict[str, Any], world: World) -> None:
    """Name a root twice."""
    manifest["roots"].append(dict(manifest["roots"][-1]))


def deep(manifest: dict[str, Any], world: World) -> None:
    """Nest something without end."""
    manifest["more"] = json.loads("[" * 900 + "]" * 900)


MANIFESTS: dict[str, Tamper] = {
    "upwards": named("data/data/../../../../sibling/config/app.toml"),
    "upwards at the end": named("data/data/.."),
    "absolute": named("/etc/passwd"),
    "absolute below": named("data//etc/passwd"),
    "nul": named("data/data/a\0b"),
    "empty": named(""),
    "empty part": named("data/data//same.txt"),
    "dot": named("data/data/./same.txt"),
    "slash at the end": named("data/data/same.txt/"),
    "another part": named("metadata.json"),
    "own folder": named("../.peak-observe/account.json"),
    "escaped dots": named("data/data/%2E%2E/x"),
    "escaped slash": named("data/data/..%2Fx"),
    "half a surrogate": named("data/data/\\ud800"),
    "below a file": named("data/data/trades.csv/x"),
    "below a link": below_a_link,
    "below nothing": named("data/nothing/same.txt"),
    "twice": twice,
    "twice in other words": twice_in_other_words,
    "negative size": given_(size=-1),
    "huge size": given_(size=2**63 - 1),
    "beyond size": given_(size=10**40),
    "fraction": given_(size=1.5),
    "text for a number": given_(size="1"),
    "negative mode": given_(mode=-1),
    "huge mode": given_(mode=2**40),
    "huge time": given_(mtime_ns=2**63),
    "huge owner": given_(uid=2**32),
    "nobody's owner": given_(uid=2**32 - 1),
    "negative group": given_(gid=-1),
    "no hash": given_(blake3=""),
    "hash of other letters": given_(blake3="Z" * 64),
    "strange type": given_(type="socket"),
    "folder with content": given_(type="folder"),
    "link to nothing": given_(type="link", target=""),
    "nul in a link": given_(type="link", target="a\0b"),
    "base upwards": given_(base=".."),
    "base absolute": given_(base="/etc"),
    "base is own": given_(base=".peak-observe"),
    "base is strange": given_(base="backup_1"),
    "root outside": roots_outside,
    "root twice": a_root_again,
    "root upwards": root(stored="data/.."),
    "root deeper": root(stored="data/data/x"),
    "root of no part": root(kind="state"),
    "root is relative": root(source="etc"),
    "root with nul": root(source="/a\0b"),
    "no entries": lambda manifest, world: manifest.pop("entries"),
    "entries are no list": lambda manifest, world: manifest.update(entries={}),
    "version": lambda manifest, world: manifest.update(version=0),
    "another backup": lambda manifest, world: manifest.update(backup_id="backup_1"),
}


@pytest.fixture
def manager(world: World) -> RecoveryManager:
    """Return a manager of a repository that nobody has touched yet."""
    world.reset(live=False)
    return world.manager()


@pytest.mark.parametrize("name", MANIFESTS)
def test_a_tampered_manifest_is_refused(name: str, world: World, manager: RecoveryManager) -> None:
    """All hashes are right, so it is what the manifest says that is refused; everything stays as it is."""
    folder = only(world)
    manifest = json.loads((folder / "manifest.json").read_bytes())
    MANIFESTS[name](manifest, world)
    text = json.dumps(manifest).replace("\\\\ud800", "\\ud800").encode()
    sealed(folder, text)
    before = snapshot(world.root / "live"), snapshot(world.sibling, folder_times=True), snapshot(folder)
    with pytest.raises((BackupCorruptError, RestoreRefusedError)):
        manager.restore(folder.name, data=True, state=True)
    if name != "root outside":  # what is elsewhere now may well have been backed up, so into a folder it may go
        assert not manager.verify_backup(folder.name).ok
        with pytest.raises(BackupCorruptError):
            manager.restore(folder.name, data=True, restore_to=world.base / "into")
        assert not (world.base / "into").exists()
    manager.create_backup(include_data=True)
    assert (snapshot(world.root / "live"), snapshot(world.sibling, folder_times=True), snapshot(folder)) == before


def test_nesting_without_end_is_refused(world: World, manager: RecoveryManager) -> None:
    """Neither manifest nor metadata can exhaust the stack."""
    folder = only(world)
    text = (folder / "manifest.json").read_bytes()
    nested = b'{"x": ' + b"[" * 200_000 + b"]" * 200_000 + b", " + text[1:]
    sealed(folder, nested)
    with pytest.raises(BackupCorruptError, match="too deeply"):
        manager.restore(folder.name)
    (folder / "metadata.json").write_bytes(nested)
    with pytest.raises(BackupCorruptError, match="too deeply"):
        manager.get_backup(folder.name)
    assert manager.list_backups() == []


def test_a_million_entries_are_refused_in_time(world: World, manager: RecoveryManager) -> None:
    """Tiny texts in great number cost some seconds at most, and no answer but the usual one."""
    folder = only(world)
    manifest = json.loads((folder / "manifest.json").read_bytes())
    line = b'{"stored":"data/data/x","type":"folder"}'
    head = json.dumps(manifest | {"entries": []}).encode()
    sealed(folder, head.replace(b'"entries": []', b'"entries": [' + b",".join([line] * 1_000_000) + b"]"))
    with pytest.raises(BackupCorruptError, match="below nothing"):
        manager.restore(folder.name)


def test_a_stored_folder_that_became_a_link_is_not_followed(world: World, manager: RecoveryManager) -> None:
    """The files behind the link are true, byte for byte, and are refused all the same."""
    folder = only(world)
    elsewhere = world.base / "elsewhere"
    shutil.rmtree(elsewhere, ignore_errors=True)
    (folder / "data" / "data").rename(elsewhere)
    (folder / "data" / "data").symlink_to(elsewhere)
    assert not manager.verify_backup(folder.name).ok
    with pytest.raises(BackupCorruptError):
        manager.restore(folder.name, data=True)


def test_a_live_folder_that_became_a_link_is_not_followed(world: World, manager: RecoveryManager) -> None:
    """A link in the place of a folder would lead the restore to the neighbours."""
    folder = only(world)
    old = world.live / "data" / "old"
    old.rename(world.base / "moved")
    old.symlink_to(world.sibling)
    before = snapshot(world.sibling, folder_times=True)
    with pytest.raises(RestoreRefusedError, match="symbolic link"):
        manager.restore(folder.name, data=True)
    assert snapshot(world.sibling, folder_times=True) == before
    old.unlink()
    (world.base / "moved").rename(old)


BACKUP_IDS = ("", ".", "..", "../sibling", "/etc", "backup_1/..", ".peak-observe", "a\0b", "a" * 300, "-x", "\udc80")


@pytest.mark.parametrize("backup_id", BACKUP_IDS)
def test_a_name_that_leads_elsewhere_is_no_backup(backup_id: str, world: World, manager: RecoveryManager) -> None:
    """Names are checked before anything is done with them."""
    for act in (manager.restore, manager.verify_backup, manager.get_backup):
        with pytest.raises(BackupError, match="no backup"):
            act(backup_id)
    assert not manager.delete_backup(backup_id)


ACCOUNTS = [
    b"",
    b"null",
    b"[]",
    b"\xff\xfe",
    b'{"runs": 5}',
    b'{"runs": {"success": 1e300}}',
    b'{"sequence": ' + b"9" * 4000 + b"}",
    b"[" * 200_000,
    b'{"stored_bytes": -5, "corrupt": {"../..": -1}, "last_attempt": 1e308}',
]


@pytest.mark.parametrize("text", ACCOUNTS, ids=range(len(ACCOUNTS)))
def test_a_tampered_account_stops_nobody(text: bytes, world: World, manager: RecoveryManager) -> None:
    """Backups are made, listed and restored, whatever stands in the account."""
    (world.repo / ".peak-observe" / "account.json").write_bytes(text)
    made = world.manager().create_backup(include_data=True)
    assert made in [backup.backup_id for backup in world.manager().list_backups()]
    assert world.manager().restore(made, data=True)
    assert msgspec.json.decode((world.repo / ".peak-observe" / "account.json").read_bytes(), type=Account).sequence > 0


@pytest.mark.parametrize("name", ["lock", "account.lock", "account.json"])
def test_a_link_among_the_own_files_is_not_followed(name: str, world: World, manager: RecoveryManager) -> None:
    """What it points to keeps its content, and the error names the file, or the link is replaced."""
    target = world.base / "precious"
    target.write_text("precious")
    path = world.repo / ".peak-observe" / name
    path.unlink(missing_ok=True)
    path.symlink_to(target)
    with pytest.raises(BackupError, match=name):
        manager.create_backup()
    assert target.read_text() == "precious"


@pytest.mark.parametrize("name", ["lock", "account.lock", "account.json", "restore-x.swapping.json"])
def test_a_pipe_or_folder_among_the_own_files_blocks_nobody(name: str, world: World, manager: RecoveryManager) -> None:
    """There is an error that says so, or it does not matter; nobody waits for a writer that never comes."""
    path = world.repo / ".peak-observe" / name
    for make in (os.mkfifo, os.mkdir):
        path.unlink(missing_ok=True)
        make(path)
        message = ""
        try:
            manager.create_backup()
        except BackupError as error:
            message = str(error)
        assert str(path) in message or not message
    path.rmdir()


def test_a_folder_of_own_files_that_is_a_link_is_refused(tmp_path: Path) -> None:
    """Nothing is written to where it leads."""
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "repo").mkdir()
    (tmp_path / "repo" / ".peak-observe").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(BackupError, match="symbolic link"):
        RecoveryManager(tmp_path / "repo", name="faults")
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_leftovers_that_are_no_folders_are_removed_and_not_followed(world: World, manager: RecoveryManager) -> None:
    """A link named like a leftover goes, and what it points to stays."""
    (world.repo / ".trash-x").symlink_to(world.sibling)
    (world.repo / ".staging-x").write_text("x")
    before = snapshot(world.sibling, folder_times=True)
    manager.create_backup()
    assert world.leftovers() == []
    assert snapshot(world.sibling, folder_times=True) == before


def journal(targets: list[str], folders: tuple[Made, ...] = ()) -> Journal:
    """Return a journal that would remove its targets."""
    return Journal("x", "backup_1", list(folders), [Step(target, goes=True) for target in targets])


JOURNALS = {
    "no JSON": b"{",
    "no journal": b"{}",
    "deep": b'{"x": ' + b"[" * 200_000,
    "no checksum": msgspec.json.encode(journal(["/tmp/x"])),  # noqa: S108 - a name only
    "relative": journal(["x"]).to_json(),
    "upwards": journal(["/tmp/a/../x"]).to_json(),  # noqa: S108 - a name only
    "nul": journal(["/tmp/a\0b"]).to_json(),  # noqa: S108 - a name only
    "folder upwards": journal([], (Made("/a/../b"),)).to_json(),
    "another name": msgspec.structs.replace(journal([]), name="y").to_json(),
    "a name with a slash": msgspec.structs.replace(journal([]), name="../x").to_json(),
}


@pytest.mark.parametrize("name", JOURNALS)
def test_a_tampered_journal_is_refused_and_named(name: str, world: World, manager: RecoveryManager) -> None:
    """What is left half must not be guessed at: the error names the file, and says what to do."""
    path = world.repo / ".peak-observe" / "restore-x.swapping.json"
    path.write_bytes(JOURNALS[name])
    before = snapshot(world.root)
    with pytest.raises(BackupError, match=r"restore-x\.swapping\.json.*remove it"):
        manager.create_backup()
    with pytest.raises(BackupError, match="remove it"):
        world.manager()
    after = snapshot(world.root)
    changed = {item for item in {*before, *after} if before.get(item) != after.get(item)}
    assert changed <= {"repo/.peak-observe/lock", "repo/.peak-observe/account.json"}
    path.unlink()


def test_a_flipped_bit_in_a_journal_leads_to_no_other_file(world: World, manager: RecoveryManager) -> None:
    """Every bit of it counts."""
    path = world.repo / ".peak-observe" / "restore-x.swapping.json"
    text = journal([str(world.live / "data" / "same.txt")]).to_json()
    for place in range(len(text)):
        path.write_bytes(text[:place] + bytes([text[place] ^ 1]) + text[place + 1 :])
        with pytest.raises(BackupError):
            manager.create_backup()
    assert (world.live / "data" / "same.txt").exists()
    path.unlink()


def test_a_journal_among_copies_leads_to_named_files_only(world: World, manager: RecoveryManager) -> None:
    """A folder of copies may come from anywhere."""
    copies = world.base / "planted"
    manager.data_backup.backup(copies)
    (copies / "restore-x.swapping.json").write_bytes(journal([str(world.sibling / "config" / "app.toml")]).to_json())
    before = snapshot(world.sibling, folder_times=True)
    with pytest.raises(RestoreRefusedError, match="other files"):
        manager.data_backup.restore(copies)
    assert snapshot(world.sibling, folder_times=True) == before
    shutil.rmtree(copies)


def changed_texts() -> st.SearchStrategy[Callable[[bytes], bytes]]:
    """Return functions that cut, overwrite and insert."""

    def changes(places: list[tuple[float, int, bytes]]) -> Callable[[bytes], bytes]:
        def change(text: bytes) -> bytes:
            for place, length, new in places:
                at = int(place * len(text))
                text = text[:at] + new + text[at + length :]
            return text

        return change

    pieces = [
        b"",
        b"-1",
        b"null",
        b'"',
        b"{",
        b"[",
        b"..",
        b"/",
        b"\0",
        b"\xff",
        b"\\ud800",
        b"1e999",
        b"9" * 30,
        b"true",
    ]
    place = st.tuples(st.floats(0, 1), st.integers(0, 40), st.sampled_from(pieces) | st.binary(max_size=8))
    return st.lists(place, min_size=1, max_size=4).map(changes)


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=SLOW)
@given(change=changed_texts(), sealing=st.booleans())
def test_whatever_a_manifest_holds_the_error_is_a_documented_one(
    change: Callable[[bytes], bytes], sealing: bool, world: World
) -> None:
    """Also where the metadata vouches for it."""
    folder = only(world)
    kept = (folder / "manifest.json").read_bytes(), (folder / "metadata.json").read_bytes()
    text = change(kept[0])
    if sealing:
        sealed(folder, text)
    else:
        (folder / "manifest.json").write_bytes(text)
    manager, live = world.manager(), snapshot(world.live)
    # A file whose whole entry was cut out is found by a verification only: what the manifest tells can be restored.
    problems = manager.verify_backup(folder.name).problems
    if any(not problem.endswith("is not in the manifest") for problem in problems):
        with pytest.raises(BackupError):
            manager.restore(folder.name, data=True)
        assert snapshot(world.live) == live
    (folder / "manifest.json").write_bytes(kept[0])
    (folder / "metadata.json").write_bytes(kept[1])


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=SLOW)
@given(change=changed_texts(), sealing=st.booleans())
def test_whatever_metadata_hold_the_error_is_a_documented_one(
    change: Callable[[bytes], bytes], sealing: bool, world: World
) -> None:
    """Also where its checksum is right, or left out."""
    folder = only(world)
    kept = (folder / "metadata.json").read_bytes()
    text = change(kept)
    if sealing:
        try:
            text = msgspec.json.decode(text, type=BackupMetadata).to_json()
        except (ValueError, RecursionError):
            text = b"{}"
    (folder / "metadata.json").write_bytes(text)
    manager = world.manager()
    for act in (manager.get_backup, manager.verify_backup, lambda name: manager.restore(name, dry_run=True)):
        with suppress(BackupError):
            act(folder.name)
    manager.list_backups()
    manager.prune(RetentionPolicy(hourly=1, within=timedelta(days=1)), dry_run=True)
    (folder / "metadata.json").write_bytes(kept)
