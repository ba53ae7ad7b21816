"""What is found at the named paths."""

import os
import socket
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from peak_observe.backup_recovery import ConfigBackup, DataBackup, RecoveryManager
from peak_observe.backup_recovery.create.sources import Exclude, Found, NamedPaths, find
from peak_observe.backup_recovery.files import sqlite


def look(path: Path, *patterns: str, skip: tuple[tuple[int, int], ...] = ()) -> tuple[dict[str, str], dict[str, str]]:
    """Return types by stored path, and problems by path below the named one."""
    problems: dict[str, str] = {}
    found: list[Found] = find(
        str(path),
        "data/x",
        exclude=Exclude(patterns),
        skip=skip,
        problem=lambda where, why: problems.__setitem__(os.path.relpath(where, path), why),
    )
    return {item.stored: item.type for item in found}, problems


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Return a folder with a bit of everything."""
    folder = tmp_path / "tree"
    (folder / "a" / "deep").mkdir(parents=True)
    (folder / "empty").mkdir()
    for name in ("one.csv", "one.log", "a/two.csv", "a/deep/three.log", "a/cache"):
        (folder / name).write_text(name)
    (folder / "link").symlink_to("a/two.csv")
    (folder / "out").symlink_to("/")
    return folder


def test_files_folders_and_links_are_found(tree: Path) -> None:
    """A folder stands before what is in it, and no link is followed."""
    found, problems = look(tree)
    assert found == {
        "data/x": "folder",
        "data/x/link": "link",
        "data/x/one.csv": "file",
        "data/x/one.log": "file",
        "data/x/out": "link",
        "data/x/empty": "folder",
        "data/x/a": "folder",
        "data/x/a/cache": "file",
        "data/x/a/two.csv": "file",
        "data/x/a/deep": "folder",
        "data/x/a/deep/three.log": "file",
    }
    assert not problems
    names = list(found)
    assert all(names.index(name.rpartition("/")[0]) < names.index(name) for name in names[1:])


def test_a_named_file_is_itself(tree: Path) -> None:
    """Also behind a link, as whoever named it meant what it points to."""
    assert look(tree / "one.csv")[0] == {"data/x": "file"}
    assert look(tree / "link")[0] == {"data/x": "file"}


def test_what_is_missing_is_told(tmp_path: Path) -> None:
    """In words that say what to mend."""
    (tmp_path / "broken").symlink_to("nothing")
    assert look(tmp_path / "none") == ({}, {".": "is missing"})
    assert look(tmp_path / "broken") == ({}, {".": "a symbolic link that points to nothing"})


def test_what_no_backup_can_hold_is_told(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pipes, sockets, and links that point to nothing; the last are kept all the same."""
    os.mkfifo(tree / "pipe")
    (tree / "broken").symlink_to("nothing")
    with socket.socket(socket.AF_UNIX) as server:
        monkeypatch.chdir(tree)  # the name of a socket must be short
        server.bind("socket")
        found, problems = look(tree)
    assert problems == {
        "pipe": "is a pipe, which no backup can hold",
        "socket": "is a socket, which no backup can hold",
        "broken": "a symbolic link that points to nothing",
    }
    assert found["data/x/broken"] == "link"
    assert "data/x/pipe" not in found
    assert look(tree / "pipe")[1] == {".": "is a pipe, which no backup can hold"}


def test_a_folder_that_cannot_be_listed_is_told(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All the others are found."""
    listed = os.scandir

    def scandir(path: str) -> object:
        if path.endswith("/a"):
            raise PermissionError(13, "Permission denied")
        return listed(path)

    monkeypatch.setattr(os, "scandir", scandir)
    found, problems = look(tree)
    assert problems == {"a": "cannot be listed: Permission denied"}
    assert "data/x/one.csv" in found


@pytest.mark.parametrize(
    ("patterns", "left_out"),
    [
        (("*.log",), {"one.log", "a/deep/three.log", "a/deep"} - {"a/deep"}),
        (("/*.log",), {"one.log", "a/deep/three.log"}),
        (("a/*.csv",), {"a/two.csv"}),
        (("deep/",), {"a/deep", "a/deep/three.log"}),
        (("cache/",), set()),
        (("cache",), {"a/cache"}),
        (("a",), {"a", "a/two.csv", "a/cache", "a/deep", "a/deep/three.log"}),
        (("a/deep/",), {"a/deep", "a/deep/three.log"}),
        (("one.*", "link", "o?t"), {"one.csv", "one.log", "link", "out"}),
    ],
)
def test_patterns_leave_out(tree: Path, patterns: tuple[str, ...], left_out: set[str]) -> None:
    """Names at any depth, paths below the named one, folders only."""
    everything = set(look(tree)[0])
    assert everything - set(look(tree, *patterns)[0]) == {f"data/x/{name}" for name in left_out}


@pytest.mark.parametrize("patterns", [("",), ("/",), (5,)])
def test_odd_patterns_are_refused(patterns: tuple[object, ...]) -> None:
    """One message shows how a pattern looks."""
    with pytest.raises(ValueError, match="exclude must be patterns"):
        Exclude(patterns)
    assert Exclude("*.log").patterns == ("*.log",)


def test_folders_of_ours_are_skipped(tree: Path) -> None:
    """A repository inside what it backs up does not hold itself."""
    status = (tree / "a").stat()
    found, problems = look(tree, skip=((status.st_dev, status.st_ino),))
    assert not [name for name in found if name.startswith("data/x/a")]
    assert not problems


def test_what_belongs_to_a_database_is_left_to_it(tree: Path) -> None:
    """The log of a database is in its online backup; another file of such a name is a file."""
    database = sqlite3.connect(tree / "db")
    database.execute("PRAGMA journal_mode=WAL")
    database.execute("CREATE TABLE t (x)")
    (tree / "notes-wal").write_text("no database's")
    (tree / "one.csv-journal").write_text("neither")
    found, _ = look(tree)
    database.close()
    assert "data/x/db" in found
    assert {"data/x/notes-wal", "data/x/one.csv-journal"} <= set(found)
    assert not {"data/x/db-wal", "data/x/db-shm"} & set(found)


@pytest.mark.parametrize("mode", ["DELETE", "PERSIST", "WAL"])
def test_what_only_has_the_name_of_a_log_is_a_file_of_its_own(tree: Path, mode: str) -> None:
    """A text, a folder or a link beside a database is nobody's but the user's."""
    with closing(sqlite3.connect(tree / "db", isolation_level=None)) as database:
        database.execute(f"PRAGMA journal_mode={mode}")
        database.execute("CREATE TABLE t (x)")
        for name in ("a", "b", "c", "d"):
            (tree / name).mkdir(exist_ok=True)
            (tree / name / "db").write_bytes((tree / "db").read_bytes())
        (tree / "b" / "db-journal").write_text("my trading journal")
        (tree / "c" / "db-journal").mkdir()
        (tree / "c" / "db-journal" / "2024.txt").write_text("precious")
        (tree / "c" / "db-wal").write_text("mine")
        (tree / "d" / "db-journal").symlink_to("../one.csv")
        (tree / "d" / "db-shm").symlink_to("../one.csv")
        (tree / "d" / "db-wal").touch()
        found, problems = look(tree)
    assert {item for item in found if "db-" in item} == {
        "data/x/b/db-journal",
        "data/x/c/db-journal",
        "data/x/c/db-journal/2024.txt",
        "data/x/c/db-wal",
        "data/x/d/db-journal",
        "data/x/d/db-shm",
    }
    assert not problems


def test_a_named_file_with_a_log_of_sqlite_that_is_no_database_is_told(tree: Path) -> None:
    """As one in a folder is; a database is none of them."""
    (tree / "db").write_bytes(bytes(4096))
    (tree / "db-wal").write_bytes(b"\x37\x7f\x06\x82" + bytes(4000))
    for path in (tree / "db", tree):
        found, problems = look(path)
        assert list(problems.values()) == [
            "has SQLite's -wal beside it and is no database: it is damaged, or encrypted and in use"
        ]
        assert found
    (tree / "db").write_bytes(sqlite.HEADER + bytes(496))
    assert not look(tree / "db")[1]


def test_names_of_any_bytes_are_found(tmp_path: Path) -> None:
    """The system's names are no text."""
    name = os.fsdecode(b"caf\xe9 \n%")
    (tmp_path / name).write_text("x")
    assert f"data/x/{name}" in look(tmp_path)[0]


def test_named_paths_have_places_of_their_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two files of one name do not meet; the same file named twice is one."""
    monkeypatch.chdir(tmp_path)
    paths = NamedPaths("config", [])
    for path in (
        "a/config.toml",
        "b/config.toml",
        Path("a/config.toml"),
        "config.toml.2",
        "/",
        tmp_path / "a/config.toml",
    ):
        paths.add(path)
    assert [(root.named, root.stored) for root in paths.roots()] == [
        ("a/config.toml", "config/config.toml"),
        ("b/config.toml", "config/config.toml.2"),
        ("config.toml.2", "config/config.toml.2.2"),
        ("/", "config/root"),
    ]
    assert paths.roots()[0].source == str(tmp_path / "a/config.toml")


@pytest.mark.parametrize("path", ["", "a\0b"])
def test_what_is_no_path_is_refused(tmp_path: Path, path: str) -> None:
    """An empty one, as an unset variable leaves it, would be the working directory."""
    for part in (ConfigBackup().add_config, DataBackup().add_data_path, RecoveryManager):
        with pytest.raises(ValueError, match="it has to be a path, not "):
            part(path)
