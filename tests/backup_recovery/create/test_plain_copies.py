"""Copies without a repository hold what the sources are now, and nothing in them leads the next run elsewhere."""

import os
import stat
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from peak_observe import ConfigBackup, DataBackup, RestoreRefusedError

from ..conftest import Program, as_user, picture

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")


@pytest.fixture
def victim(tmp_path: Path) -> Path:
    """Return a folder of somebody else, with a file."""
    Program.write(tmp_path / "victim" / "f", "mine")
    (tmp_path / "victim").chmod(0o700)
    return tmp_path / "victim"


def linked(tmp_path: Path, victim: Path) -> Path:
    """Return data with a symbolic link to a folder of somebody else."""
    (tmp_path / "bot").mkdir()
    (tmp_path / "bot" / "l").symlink_to(victim)
    return tmp_path / "bot"


def with_folder(bot: Path) -> None:
    """Put a real folder, open to everybody, where the symbolic link is."""
    (bot / "l").unlink()
    Program.write(bot / "l" / "f", "evil")
    (bot / "l").chmod(0o777)


@pytest.mark.parametrize("part", [ConfigBackup, DataBackup])
def test_a_link_in_the_copy_is_replaced_and_not_followed(
    tmp_path: Path, victim: Path, part: type[ConfigBackup | DataBackup]
) -> None:
    """A link that became a folder: the place that it points to stays as it is, and the folder comes back."""
    bot, before = linked(tmp_path, victim), picture(victim)
    part([bot]).backup(tmp_path / "copy")
    with_folder(bot)
    part([bot]).backup(tmp_path / "copy")
    assert picture(victim) == before
    assert stat.S_IMODE(victim.stat().st_mode) == 0o700
    assert not (tmp_path / "copy" / "bot" / "l").is_symlink()
    (bot / "l" / "f").unlink()
    assert part([bot]).restore(tmp_path / "copy") == 1
    assert (bot / "l" / "f").read_text() == "evil"


@as_root
def test_a_link_that_another_user_puts_into_the_copy_is_replaced(public_path: Path) -> None:
    """A copy's folder may be open to everybody, as its source is; root writes in it nevertheless."""
    bot, copy, victim = public_path / "bot", public_path / "copy", public_path / "victim"
    Program.write(bot / "l" / "f", "evil")
    bot.chmod(0o777)
    copy.mkdir(mode=0o755)
    victim.mkdir(mode=0o700)
    DataBackup([bot]).backup(copy)

    def act() -> None:
        (copy / "bot" / "l").rename(copy / "bot" / "away")
        (copy / "bot" / "l").symlink_to(victim)

    as_user(4711, act)
    DataBackup([bot]).backup(copy)
    assert not any(victim.iterdir())
    assert (copy / "bot" / "l" / "f").read_text() == "evil"
    assert not (copy / "bot" / "l").is_symlink()


def test_a_link_that_is_put_there_meanwhile_is_not_followed(tmp_path: Path, victim: Path) -> None:
    """At whatever moment a folder of the copy becomes one: at the worst the run fails."""
    bot, done = tmp_path / "bot", threading.Event()
    for number in range(20):
        Program.write(bot / "l" / "m" / f"g{number}", "evil")
    DataBackup([bot]).backup(tmp_path / "copy")
    here, away = tmp_path / "copy" / "bot" / "l", tmp_path / "away"
    (victim / "m").mkdir()
    before = picture(victim)

    def exchange() -> None:
        while not done.is_set():
            with suppress(OSError):
                here.rename(away)
                here.symlink_to(victim)
                time.sleep(0.002)
                here.unlink()
                away.rename(here)
                time.sleep(0.001)

    thread = threading.Thread(target=exchange)
    thread.start()
    try:
        for _ in range(40):
            with suppress(OSError):
                DataBackup([bot]).backup(tmp_path / "copy")
    finally:
        done.set()
        thread.join()
    assert picture(victim) == before


def test_a_restore_does_not_follow_a_link_in_its_target(tmp_path: Path, victim: Path) -> None:
    """A folder of the copy that is a link now: nothing is changed, and the message says what to do."""
    bot, before = linked(tmp_path, victim), picture(victim)
    with_folder(bot)
    DataBackup([bot]).backup(tmp_path / "copy")
    (bot / "l").rename(tmp_path / "away")
    (bot / "l").symlink_to(victim)
    with pytest.raises(RestoreRefusedError, match=r"bot/l is a symbolic link now and a folder in the backup"):
        DataBackup([bot]).restore(tmp_path / "copy")
    assert picture(victim) == before


def test_a_destination_that_is_a_link_is_the_owners_wish(tmp_path: Path, program: Program) -> None:
    """It is followed, to write and to restore; a link of the name of what is copied is not."""
    (tmp_path / "disk").mkdir()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "copy").symlink_to("disk")
    (tmp_path / "disk" / "data").symlink_to("../elsewhere")
    before = program.picture()
    assert DataBackup([program.data]).backup(tmp_path / "copy")[0] == 4
    assert not any((tmp_path / "elsewhere").iterdir())
    assert (tmp_path / "disk" / "data" / "positions.csv").is_file()
    (program.data / "positions.csv").unlink()
    assert DataBackup([program.data]).restore(tmp_path / "copy") == 4
    assert program.picture() == before


def make_file(path: Path) -> None:
    """Make a file."""
    Program.write(path, "file")


def make_folder(path: Path) -> None:
    """Make a folder, with a folder and files in it."""
    Program.write(path / "a", "in folder")
    Program.write(path / "below" / "b", "in folder")


def make_link(path: Path) -> None:
    """Make a symbolic link to a folder."""
    path.symlink_to("/usr")


KINDS = [make_file, make_folder, make_link]


def remove(path: Path) -> None:
    """Remove a file, a link, or a folder of `make_folder`."""
    if path.is_symlink() or path.is_file():
        path.unlink()
    else:
        for item in sorted(path.rglob("*"), reverse=True):
            remove(item)
        path.rmdir()


@pytest.mark.parametrize("new", KINDS)
@pytest.mark.parametrize("old", KINDS)
def test_what_became_something_else_is_so_in_the_copy(
    tmp_path: Path, old: Callable[[Path], None], new: Callable[[Path], None]
) -> None:
    """Nothing of the old one stays, nothing else lies in the copy, and the new one comes back."""
    bot, copy = tmp_path / "bot", tmp_path / "copy"
    make_file(bot / "other")
    for make in (old, new):
        if os.path.lexists(bot / "x"):
            remove(bot / "x")
        make(bot / "x")
        for _ in range(2):
            DataBackup([bot]).backup(copy)
            assert picture(copy / "bot") == picture(bot)
            assert [path.name for path in copy.iterdir()] == ["bot"]
    before = picture(bot)
    remove(bot / "x")
    DataBackup([bot]).restore(copy)
    assert picture(bot) == before


@pytest.mark.parametrize(("old", "new"), [(make_file, make_folder), (make_folder, make_file)])
def test_a_named_path_that_became_something_else_is_so_in_the_copy(
    tmp_path: Path, old: Callable[[Path], None], new: Callable[[Path], None]
) -> None:
    """As what is below one."""
    for make in (old, new):
        if (tmp_path / "x").exists():
            remove(tmp_path / "x")
        make(tmp_path / "x")
        ConfigBackup([tmp_path / "x"]).backup(tmp_path / "copy")
    (tmp_path / "want").mkdir()
    (tmp_path / "x").rename(tmp_path / "want" / "x")
    assert picture(tmp_path / "copy") == picture(tmp_path / "want")


@as_root
def test_an_error_has_the_path(public_path: Path) -> None:
    """Of the copy that cannot be written; the old one stays."""
    bot, copy = public_path / "bot", public_path / "copy"
    make_folder(bot / "x")
    copy.mkdir()
    os.chown(copy, 4711, 4711)

    def act() -> None:
        with pytest.raises(PermissionError, match=f"'{copy}/bot/x'"):
            DataBackup([bot]).backup(copy)

    DataBackup([bot]).backup(copy)
    remove(bot / "x")
    make_file(bot / "x")
    before = picture(copy)
    as_user(4711, act)
    assert picture(copy) == before


@as_root
@pytest.mark.parametrize("value", [0, 0o77, 0o277, 0o777])
def test_a_umask_does_not_lock_the_owner_of_a_copy_out(public_path: Path, value: int) -> None:
    """Whatever it takes away, folders on the way to the copy included; it stays as it was."""
    (public_path / "data" / "empty").mkdir(parents=True)
    make_file(public_path / "data" / "file")
    for path in (public_path, *public_path.rglob("*")):
        os.chown(path, 4711, 4711)

    def act() -> None:
        os.chdir(public_path)
        before = os.umask(value)
        data, want = DataBackup([public_path / "data"]), picture(public_path / "data")
        data.add_command("pg", "echo one")
        for _ in range(2):
            assert data.backup(public_path / "x" / "y" / "copy") == (2, 8)
        assert picture(public_path / "x" / "y" / "copy" / "data") == want
        remove(public_path / "data")
        data.restore(public_path / "x" / "y" / "copy")
        assert os.umask(before) == value
        assert picture(public_path / "data") == want

    as_user(4711, act)
