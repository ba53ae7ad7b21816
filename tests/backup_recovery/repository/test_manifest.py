"""Nothing in a manifest is believed before it is checked."""

import os

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from peak_observe.backup_recovery.repository.manifest import Entry, Manifest, Root, check_id, decode_name, encode_name

HASH = "ab" * 32
ROOT = Root("data", "data", "/srv/data", "data/data")


def file(stored: str, **facts: object) -> Entry:
    """Return a file's entry."""
    return Entry(stored, "file", **{"size": 1, "blake3": HASH, "mode": 0o644} | facts)


def folder(stored: str) -> Entry:
    """Return a folder's entry."""
    return Entry(stored, "folder", mode=0o755)


def manifest(*entries: Entry, roots: tuple[Root, ...] = (ROOT,)) -> Manifest:
    """Return a manifest."""
    return Manifest(1, "b1", 1, list(roots), list(entries))


def read(found: Manifest) -> Manifest:
    """Return what reading its text gives."""
    return Manifest.from_json(found.to_json(), "b1", "backup_0")


def test_it_comes_back_as_it_was() -> None:
    """Every kind of entry."""
    made = manifest(
        folder("data/data"),
        file("data/data/a", sparse=True, source_size=4096, ctime_ns=5, inode=6, taken="copied", mtime_ns=-7),
        Entry("data/data/l", "link", target="a"),
        file("data/data/b", base="backup_0"),
        file("state.json"),
    )
    assert read(made) == made


def test_it_is_one_line_an_entry() -> None:
    """A person can read it, and JSON it is."""
    text = manifest(folder("data/data"), file("data/data/a")).to_json()
    assert len(text.splitlines()) == 6
    assert msgspec.json.decode(text)["version"] == 1
    assert msgspec.json.decode(manifest(roots=()).to_json())["entries"] == []


@given(st.binary(min_size=1, max_size=40).filter(lambda raw: b"\0" not in raw))
def test_every_name_of_the_system_comes_back(raw: bytes) -> None:
    """Also one that is no UTF-8, or has a percent sign; the text is valid UTF-8."""
    text = encode_name(os.fsdecode(raw))
    text.encode()
    assert os.fsencode(decode_name(text)) == raw


@pytest.mark.parametrize(
    "stored",
    [
        "",
        "/etc/passwd",
        "..",
        "data",
        "data/",
        "data/..",
        "data/data/..",
        "data/data/../../x",
        "data/./data",
        "data//data",
        "data/data/.",
        "data/da\0ta",
        "other/data",
        "config/data",
        "state.json/x",
        "data/data/x/y",
        "data/elsewhere",
    ],
)
def test_no_entry_leads_out(stored: str) -> None:
    """Nor stands below something that is no folder of the backup."""
    with pytest.raises(ValueError):
        read(manifest(folder("data/data"), file(stored)))


@pytest.mark.parametrize(
    "facts",
    [
        {"size": -1},
        {"size": 2**63},
        {"blake3": ""},
        {"blake3": HASH.upper()},
        {"mode": 0o10000},
        {"mode": -1},
        {"mtime_ns": 2**63},
        {"uid": -1},
        {"gid": 2**63},
        {"base": "../other"},
        {"base": ".staging-b2"},
        {"type": "device"},
    ],
)
def test_no_entry_has_impossible_facts(facts: dict[str, object]) -> None:
    """One message says which."""
    odd = msgspec.structs.replace(file("data/data/a"), **facts)
    with pytest.raises(ValueError, match=r"data/data/a|64-bit|int|names files in"):
        read(manifest(folder("data/data"), odd))


def test_nothing_stands_below_a_link() -> None:
    """It would be written wherever that points."""
    link = Entry("data/data/l", "link", target="/etc")
    with pytest.raises(ValueError, match="below nothing"):
        read(manifest(folder("data/data"), link, file("data/data/l/passwd")))


def test_nothing_stands_there_twice() -> None:
    """The second would replace the first."""
    with pytest.raises(ValueError, match="twice"):
        read(manifest(folder("data/data"), file("data/data/a"), file("data/data/a")))


@pytest.mark.parametrize(
    "root",
    [
        Root("state", "s", "/s", "state/s"),
        Root("data", "d", "relative", "data/d"),
        Root("data", "d", "/d", "config/d"),
        Root("data", "d", "/d", "data/d/e"),
        Root("data", "d", "/d", "data/.."),
        Root("data", "d", "/d\0", "data/d"),
        Root("data", "d", "/srv/data", "data/d"),
        Root("data", "d", "/d", "data/data"),
    ],
)
def test_no_root_is_odd(root: Root) -> None:
    """Nor named twice."""
    with pytest.raises(ValueError):
        read(manifest(roots=(ROOT, root)))


def test_it_belongs_to_one_backup() -> None:
    """One that was copied over from another is refused, and one of a form to come."""
    with pytest.raises(ValueError, match="belongs to 'b1'"):
        Manifest.from_json(manifest().to_json(), "b2")
    with pytest.raises(ValueError, match="form 2"):
        read(msgspec.structs.replace(manifest(), version=2))


@pytest.mark.parametrize("backup_id", ["", ".", "..", "a/b", "/a", ".hidden", "a\0", "a" * 201, None, 5])
def test_no_name_of_a_backup_leads_out(backup_id: object) -> None:
    """It becomes part of a path."""
    with pytest.raises(ValueError):
        check_id(backup_id)


@pytest.mark.parametrize(
    "facts", [{"size": 7}, {"blake3": "0" * 64}, {"mode": 0o4755}, {"uid": 0, "gid": 7}, {"mtime_ns": 5}]
)
def test_names_of_one_file_tell_the_same(facts: dict[str, object]) -> None:
    """A restore makes one file of them, so none may hide something else."""
    first = file("data/data/a")
    other = msgspec.structs.replace(first, stored="data/data/b", hardlink="data/data/a")
    assert read(manifest(folder("data/data"), first, other)).entries[2] == other
    with pytest.raises(ValueError, match="is another name of 'data/data/a', and tells other facts"):
        read(manifest(folder("data/data"), first, msgspec.structs.replace(other, **facts)))
