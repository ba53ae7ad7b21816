"""A file that is replaced is whole at every instant."""

import errno
import os
import threading
from pathlib import Path

import pytest

from peak_observe.support.atomic_files import create_file, replace_text


def test_the_folders_above_are_made(tmp_path: Path) -> None:
    """And nothing but the file is left there."""
    path = tmp_path / "a" / "b" / "report.json"
    replace_text(path, "né\n")
    replace_text(path, "två\n")
    assert path.read_bytes() == "två\n".encode()
    assert list(path.parent.iterdir()) == [path]


def test_a_reader_never_sees_a_part(tmp_path: Path) -> None:
    """Neither an empty nor a half-written file, while a writer writes on and on."""
    path = tmp_path / "x"
    texts = [char * 500_000 for char in "ab"]
    replace_text(path, texts[0])
    stop, seen = threading.Event(), set()

    def write() -> None:
        while not stop.is_set():
            for text in texts:
                replace_text(path, text)

    writer = threading.Thread(target=write)
    writer.start()
    for _ in range(500):
        seen.add(path.read_text())
    stop.set()
    writer.join()
    assert seen <= set(texts)


@pytest.mark.parametrize("name", ["folder", ".", "folder/.."])
def test_a_folder_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """With the usual error, and without a trace."""
    (tmp_path / "folder").mkdir()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(IsADirectoryError) as caught:
        replace_text(Path(name), "x")
    assert (caught.value.errno, caught.value.strerror) == (errno.EISDIR, os.strerror(errno.EISDIR))
    assert os.listdir() == ["folder"]  # noqa: PTH208 - hidden files count


def test_a_failed_write_leaves_the_old_text(tmp_path: Path) -> None:
    """And no temporary file."""
    path = tmp_path / "x"
    replace_text(path, "old")
    with pytest.raises(UnicodeEncodeError):
        replace_text(path, "\ud800")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_that_is_there_is_not_made_again(tmp_path: Path) -> None:
    """It keeps its text, and nothing but the file is left."""
    path = tmp_path / "key"
    assert create_file(path, b"first", private=True, durable=True)
    assert not create_file(path, b"second")
    assert path.read_bytes() == b"first"
    assert path.stat().st_mode & 0o777 == 0o600
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_is_made_by_one_of_many(tmp_path: Path) -> None:
    """Nobody sees a part of it."""
    path, start, made, seen = tmp_path / "key", threading.Barrier(8, timeout=60), [], set()

    def make(number: int) -> None:
        start.wait()
        made.append(create_file(path, str(number).encode() * 100_000))
        seen.add(path.read_bytes())

    threads = [threading.Thread(target=make, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(made) == [False] * 7 + [True]
    assert len(seen) == 1
    assert len(seen.pop()) == 100_000


def test_a_file_is_made_where_there_are_no_hard_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a stick, or a folder shared with another system; the file that is there stays there, too."""

    def refuse(*_: object) -> None:
        raise OSError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(os, "link", refuse)
    path = tmp_path / "key"
    assert create_file(path, b"first")
    assert not create_file(path, b"second")
    assert path.read_bytes() == b"first"
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_that_cannot_be_made_is_an_error(tmp_path: Path) -> None:
    """With the usual words."""
    with pytest.raises(FileNotFoundError):
        create_file(tmp_path / "nowhere" / "key", b"")
