"""A manifest that is written and read line by line is the one that is written and read at once."""

import json
from itertools import chain
from pathlib import Path

import msgspec
import pytest
from blake3 import blake3

from peak_observe.backup_recovery import RecoveryManager
from peak_observe.backup_recovery.repository import manifest_file
from peak_observe.backup_recovery.repository.manifest import Entry, Manifest, Root
from peak_observe.backup_recovery.repository.manifest_file import (
    ManifestFile,
    ManifestReader,
    ManifestWriter,
    whole_manifest,
)

HASH = "ab" * 32
ROOTS = [Root("config", "app.toml", "/srv/app.toml", "config/app.toml"), Root("data", "data", "/srv/data", "data/data")]
ENTRIES = [
    Entry("config/app.toml", "file", 1, HASH),
    Entry("data/data", "folder"),
    Entry('data/data/a "type":"folder" ]}', "file", 2, HASH, mtime_ns=-5),
    Entry("data/data/b", "link", target="a"),
    Entry("data/data/deep", "folder"),
    Entry("data/data/deep/c", "file", 3, HASH),
]


def written(path: Path, entries: list[Entry], *, batch: int = 2) -> ManifestFile:
    """Write a manifest in batches."""
    writer = ManifestWriter(path, Manifest(1, "b1", 5, ROOTS, []))
    for start in range(0, len(entries), batch):
        writer.add(entries[start : start + batch])
    writer.finish()
    return ManifestFile(path)


def between(file: ManifestFile, start: int, end: int) -> list[Entry]:
    """Return the entries between two places."""
    return list(chain.from_iterable(file.entries_between(start, end)))


@pytest.mark.parametrize("entries", [ENTRIES, ENTRIES[:1], []], ids=len)
@pytest.mark.parametrize("batch", [1, 2, 100])
def test_it_is_the_same_as_one_that_is_written_at_once(tmp_path: Path, entries: list[Entry], batch: int) -> None:
    """And it says so of itself, by its hash."""
    path = tmp_path / "manifest.json"
    file = written(path, entries, batch=batch)
    whole = Manifest.from_json(path.read_bytes(), "b1")
    assert (whole.entries, whole.roots) == (entries, ROOTS)
    assert whole.to_json() == path.read_bytes()
    assert file.head() == Manifest(1, "b1", 5, ROOTS, [])
    assert file.check("b1", "") == blake3(path.read_bytes()).hexdigest()


@pytest.mark.parametrize("owners", [True, False])
def test_entries_are_found_folder_by_folder(tmp_path: Path, owners: bool) -> None:
    """Also in a manifest of an older version, which names no owners; a name may look like the end of a line."""
    path = tmp_path / "manifest.json"
    file = written(path, ENTRIES)
    if not owners:
        path.write_bytes(Manifest(1, "b1", 5, ROOTS, ENTRIES).to_json())
    starts, end = file.starts(blake3(path.read_bytes()).hexdigest())
    assert list(starts) == ["config/app.toml", "data/data", "data/data/deep"]
    assert list(starts.values()) == sorted(starts.values())
    assert between(file, starts["config/app.toml"], end) == ENTRIES
    assert between(file, starts["config/app.toml"], starts["data/data"]) == ENTRIES[:2]
    assert between(file, starts["data/data"], end) == ENTRIES[2:]
    assert between(file, starts["data/data"], starts["data/data/deep"]) == ENTRIES[2:5]
    assert between(file, starts["data/data/deep"], end) == ENTRIES[5:]
    assert list(chain.from_iterable(file.entries())) == ENTRIES


def test_a_manifest_of_many_blocks_is_the_same_as_of_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Wherever a block ends, in the head, between entries or in the tail."""
    path = tmp_path / "manifest.json"
    file = written(path, ENTRIES)
    digest = blake3(path.read_bytes()).hexdigest()
    starts, end = file.starts(digest)
    for size in range(2, path.stat().st_size + 1, 7):
        monkeypatch.setattr(manifest_file, "BUFFER", size)
        assert list(chain.from_iterable(file.entries())) == ENTRIES
        assert file.check("b1", "") == digest
        assert file.starts(digest) == (starts, end)
        assert between(file, starts["data/data"], end) == ENTRIES[2:]


def test_an_empty_folder_at_the_end_has_no_entries(tmp_path: Path) -> None:
    """Its place is the end, not behind it."""
    path = tmp_path / "manifest.json"
    file = written(path, ENTRIES[:5])
    starts, end = file.starts(blake3(path.read_bytes()).hexdigest())
    assert starts["data/data/deep"] == end
    assert between(file, end, end) == []


@pytest.mark.parametrize("folders", [["z"], ["a", "z"], ["a/b"], ["z", "z/y"]], ids="+".join)
def test_files_of_folders_that_were_empty_are_found_new(tmp_path: Path, folders: list[str]) -> None:
    """The last of them has the last line of the earlier manifest."""
    tree = tmp_path / "tree"
    for folder in folders:
        (tree / folder).mkdir(parents=True)
    manager = RecoveryManager(tmp_path / "backups")
    manager.data_backup.add_data_path(tree)
    manager.create_backup(False, False, True)
    for folder in folders:
        (tree / folder / "new.csv").write_text("1\n")
    backup = manager.get_backup(manager.create_backup(False, False, True))
    assert backup is not None
    assert backup.good
    assert {str(path.relative_to(tmp_path / "backups" / backup.backup_id / "data" / "tree").parent)
            for path in (tmp_path / "backups" / backup.backup_id).rglob("new.csv")} == set(folders)  # fmt: skip


def test_one_that_was_cut_off_meanwhile_is_told(tmp_path: Path) -> None:
    """As one that is no manifest."""
    path = tmp_path / "manifest.json"
    file = written(path, ENTRIES)
    text = path.read_bytes()
    starts, end = file.starts(blake3(text).hexdigest())
    for size in range(starts["data/data"], end):
        path.write_bytes(text[:size])
        with pytest.raises(ValueError):
            between(file, starts["data/data"], end)


def test_another_hash_is_told(tmp_path: Path) -> None:
    """Nothing of a manifest that was changed is relied on."""
    with pytest.raises(ValueError, match="it is not what was written"):
        written(tmp_path / "manifest.json", ENTRIES).starts(HASH)


@pytest.mark.parametrize(
    "entry",
    [
        Entry("data/../x", "file", 1, HASH),
        Entry("data/data/x/y", "file", 1, HASH),
        Entry("data/data/..", "file", 1, HASH),
        Entry("data/data/b", "link", target="again"),
        Entry("data/data/x", "file", -1, HASH),
        Entry("data/data/x", "file", 1, HASH, base="b0"),
        Entry("data/data/x", "file", 1, HASH, hardlink="data/data/none"),
        Entry("data/data/x", "file", 1, HASH, mtime_s=2**70),
    ],
    ids=str,
)
def test_what_a_restore_refuses_is_found_when_it_is_read_back(tmp_path: Path, entry: Entry) -> None:
    """By the same check."""
    file = written(tmp_path / "manifest.json", [*ENTRIES, entry])
    with pytest.raises(ValueError) as streamed:
        file.check("b1", "")
    with pytest.raises(ValueError) as whole:
        Manifest.from_json((tmp_path / "manifest.json").read_bytes(), "b1")
    assert str(streamed.value) == str(whole.value)


def test_one_of_another_backup_or_version_is_refused(tmp_path: Path) -> None:
    """Before any entry is looked at."""
    file = written(tmp_path / "manifest.json", ENTRIES)
    with pytest.raises(ValueError, match="it belongs to 'b1'"):
        file.check("b2", "")


@pytest.mark.parametrize("form", ["lines", "one line", "indented"])
def test_a_manifest_is_read_the_same_whole_and_as_a_stream(tmp_path: Path, form: str) -> None:
    """As often as it is wanted, and also if another program has written it in another form."""
    path = tmp_path / "manifest.json"
    written(path, ENTRIES)
    if form != "lines":
        text = json.dumps(json.loads(path.read_bytes()), indent=None if form == "one line" else 2)
        path.write_text(text)
    digest = blake3(path.read_bytes()).hexdigest()
    reader = ManifestReader(path, digest, "b1", "")
    assert list(reader) == list(reader) == ENTRIES
    assert reader.head == Manifest(1, "b1", 5, ROOTS, [], reader.head.users, reader.head.groups)
    assert whole_manifest(path, digest, "b1", "") == Manifest.from_json(path.read_bytes(), "b1")
    for read in (ManifestReader, whole_manifest):
        with pytest.raises(ValueError, match="not what was written"):
            read(path, "0" * 64, "b1", "")


@pytest.mark.parametrize("facts", [{"size": 7}, {"mode": 0o4755}, {"mtime_ns": 5}])
def test_a_stream_is_checked_before_its_first_entry(tmp_path: Path, facts: dict[str, int]) -> None:
    """Also what only all entries together tell: names of one file with other facts."""
    path = tmp_path / "manifest.json"
    second = msgspec.structs.replace(ENTRIES[-1], stored="data/data/deep/d", hardlink="data/data/deep/c", **facts)
    written(path, [*ENTRIES, second])
    with pytest.raises(ValueError, match="is another name of 'data/data/deep/c', and tells other facts"):
        ManifestReader(path, blake3(path.read_bytes()).hexdigest(), "b1", "")
