"""One pass reads, hashes and writes."""

import os
from pathlib import Path

import pytest
from blake3 import blake3

from peak_observe.backup_recovery.files.copying import CHUNK, NotRegularError, WriteError, copied, hashed


@pytest.mark.parametrize("size", [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK])
def test_a_copy_is_the_same_and_its_hash_right(tmp_path: Path, size: int) -> None:
    """Whatever its size is."""
    source, target = tmp_path / "a", tmp_path / "b"
    source.write_bytes(os.urandom(size))
    told: list[int] = []
    found = copied(str(source), str(target), told.append)
    assert target.read_bytes() == source.read_bytes()
    assert (found.size, found.blake3, found.stable) == (size, blake3(source.read_bytes()).hexdigest(), True)
    assert sum(told) == size
    assert hashed(str(target))[:2] == found[:2]


def test_a_copy_cannot_be_written_but_run(tmp_path: Path) -> None:
    """It is for its owner only, who may run it if that was so; its time is that of the source."""
    source, target = tmp_path / "a", tmp_path / "b"
    source.write_text("x")
    source.chmod(0o750)
    os.utime(source, ns=(1, 1_700_000_000_123_456_789))
    copied(str(source), str(target))
    assert target.stat().st_mode & 0o7777 == 0o500
    assert target.stat().st_mtime_ns == 1_700_000_000_123_456_789


def test_holes_stay_holes(tmp_path: Path) -> None:
    """A file of 64 MiB that holds one byte takes next to no room."""
    source, target = tmp_path / "a", tmp_path / "b"
    with source.open("wb") as file:
        file.seek((64 << 20) - 1)
        file.write(b"x")
        file.truncate(65 << 20)
    found = copied(str(source), str(target))
    assert found.sparse
    assert target.stat().st_size == 65 << 20
    assert target.stat().st_blocks * 512 < 1 << 20
    assert hashed(str(target)).blake3 == found.blake3


def test_zeros_that_are_no_hole_are_written(tmp_path: Path) -> None:
    """Only a file with holes gets some."""
    source, target = tmp_path / "a", tmp_path / "b"
    source.write_bytes(bytes(CHUNK))
    os.sync()
    copied(str(source), str(target), sparse=False)
    assert target.read_bytes() == bytes(CHUNK)


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    """What it points to is not what was asked for."""
    (tmp_path / "secret").write_text("x")
    (tmp_path / "a").symlink_to("secret")
    with pytest.raises(OSError):
        copied(str(tmp_path / "a"), str(tmp_path / "b"))
    assert not (tmp_path / "b").exists()


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    """Nobody may ever write to it."""
    os.mkfifo(tmp_path / "a")
    with pytest.raises(NotRegularError):
        hashed(str(tmp_path / "a"))


def test_what_stands_at_the_target_is_left_alone(tmp_path: Path) -> None:
    """And it is the copy, not the source, that is at fault."""
    (tmp_path / "a").write_text("new")
    (tmp_path / "b").write_text("old")
    with pytest.raises(WriteError):
        copied(str(tmp_path / "a"), str(tmp_path / "b"))
    assert (tmp_path / "b").read_text() == "old"


def test_a_file_that_grows_meanwhile_is_not_stable(tmp_path: Path) -> None:
    """It is told apart, for somebody to read it again."""
    source = tmp_path / "a"
    source.write_bytes(bytes(2 * CHUNK))

    def grow(_: int) -> None:
        with source.open("ab") as file:
            file.write(b"more")

    assert not copied(str(source), str(tmp_path / "b"), grow).stable


def test_short_writes_are_carried_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The system may take less than it was given."""
    source, target = tmp_path / "a", tmp_path / "b"
    source.write_bytes(os.urandom(5000))
    write = os.write
    monkeypatch.setattr(os, "write", lambda to, data: write(to, data[:700]))
    copied(str(source), str(target))
    assert target.read_bytes() == source.read_bytes()
