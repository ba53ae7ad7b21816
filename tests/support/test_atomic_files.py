"""A file that is replaced is whole at every instant."""

import errno
import os
import threading
from pathlib import Path

import pytest

from peak_observe.support.atomic_files import replace_text


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
