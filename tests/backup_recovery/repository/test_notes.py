"""Notes of runs that the ledger has no room for are counted once, whatever is cut off or lost."""

import errno
import os
import threading
from pathlib import Path

import pytest
from msgspec.structs import replace

from peak_observe.backup_recovery.repository.ledger import Ledger, Promise
from peak_observe.backup_recovery.repository.notes import SLOT, SLOTS, Counts

FAILED = Counts({"failed": 1}, last_attempt=5.0)


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    """Return a ledger that was written once."""
    found = Ledger(tmp_path)
    found.update(lambda known: known)
    return found


def failed(folder: Path) -> int:
    """Return how many failed runs a process that has just begun would tell of."""
    return Ledger(folder).account().runs["failed"]


def test_the_room_of_notes_is_taken_beforehand(ledger: Ledger, tmp_path: Path) -> None:
    """With real bytes, in a file that only its owner reads, and no note changes its size."""
    status = (tmp_path / "account.notes").stat()
    assert (status.st_size, status.st_mode & 0o777) == (SLOT * SLOTS, 0o600)
    assert status.st_blocks * 512 >= status.st_size
    for _ in range(3):
        ledger.note(FAILED)
    after = (tmp_path / "account.notes").stat()
    assert (after.st_size, after.st_ino) == (status.st_size, status.st_ino)


@pytest.mark.parametrize("notes", [1, 2, 3])
@pytest.mark.parametrize("kept", [0, 1, 20, 60])
def test_a_note_that_is_cut_off_takes_no_other_away(ledger: Ledger, tmp_path: Path, notes: int, kept: int) -> None:
    """A part of it may be on the disk: what was noted before stands."""
    path = tmp_path / "account.notes"
    for number in range(notes):
        before = path.read_bytes()
        ledger.note(Counts({"failed": 1}, ended=float(number)))
    whole = path.read_bytes()
    place = 0 if whole[:SLOT] != before[:SLOT] else SLOT
    path.write_bytes(before[:place] + whole[place : place + kept] + before[place + kept :])
    assert failed(tmp_path) == notes - 1
    ledger.note(FAILED)
    assert failed(tmp_path) == notes


def test_what_was_brought_into_the_ledger_counts_no_more(ledger: Ledger, tmp_path: Path) -> None:
    """The notes stay as they are, so that no crash comes in between."""
    for number in (1, 2, 3):
        ledger.note(FAILED)
        assert failed(tmp_path) == number
        ledger.update(lambda known: known)
        assert ledger.load().runs["failed"] == failed(tmp_path) == number
    assert ledger.load().last_attempt == 5.0


def test_a_note_after_the_notes_were_lost_counts(ledger: Ledger, tmp_path: Path) -> None:
    """The ledger knows how many there were."""
    ledger.note(FAILED)
    ledger.note(FAILED)
    ledger.update(lambda known: known)
    (tmp_path / "account.notes").unlink()
    assert failed(tmp_path) == 2
    ledger.note(FAILED)
    assert failed(tmp_path) == 3


def test_a_run_is_over_when_its_end_is_noted(ledger: Ledger, tmp_path: Path) -> None:
    """That of another one that has not begun to write says nothing of it."""
    ledger.update(lambda known: known.configured(1.0, Promise("bot")))
    ledger.update(lambda known: replace(known, running_since=7.0))
    ledger.note(FAILED)
    assert Ledger(tmp_path).account().running_since == 7.0
    ledger.note(Counts({"failed": 1}, last_attempt=7.0, ended=7.0))
    assert Ledger(tmp_path).account().running_since == 0.0
    assert ledger.settle().running_since == 0.0


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir, lambda path: path.symlink_to("elsewhere")])
def test_something_else_in_the_place_of_notes_blocks_nobody(ledger: Ledger, tmp_path: Path, make: object) -> None:
    """The process remembers the run, until it can write to the ledger."""
    path = tmp_path / "account.notes"
    path.unlink()
    make(path)
    ledger.note(FAILED)
    assert not (tmp_path / "elsewhere").exists()
    assert failed(tmp_path) == 1
    assert ledger.update(lambda known: known).runs["failed"] == failed(tmp_path) == 1


def test_an_update_that_fails_forgets_nothing(ledger: Ledger, tmp_path: Path) -> None:
    """What the process remembers is forgotten when it is in the ledger."""
    (tmp_path / "account.notes").unlink()
    (tmp_path / "account.notes").mkdir()
    ledger.note(FAILED)
    with pytest.raises(ZeroDivisionError):
        ledger.update(lambda _: 1 / 0)
    assert failed(tmp_path) == 1
    assert ledger.update(lambda known: known).runs["failed"] == 1


def test_a_child_process_does_not_count_what_its_parent_remembers(ledger: Ledger, tmp_path: Path) -> None:
    """Both would write it into the ledger."""
    (tmp_path / "account.notes").unlink()
    (tmp_path / "account.notes").mkdir()
    ledger.note(FAILED)
    child = os.fork()
    if not child:
        os._exit(Ledger(tmp_path).update(lambda known: known).runs["failed"])
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert ledger.update(lambda known: known).runs["failed"] == 1


def test_notes_of_many_at_once_are_all_counted(tmp_path: Path) -> None:
    """While others bring them into the ledger, and nobody sees a count go down."""
    Ledger(tmp_path).update(lambda known: known)
    over = threading.Event()
    seen = [0]

    def note() -> None:
        for _ in range(20):
            Ledger(tmp_path).note(FAILED)

    def look() -> None:
        while not over.is_set():
            seen.append(failed(tmp_path))

    def settle() -> None:
        while not over.is_set():
            Ledger(tmp_path).settle()

    writers = [threading.Thread(target=note) for _ in range(4)]
    others = [threading.Thread(target=work) for work in (look, settle)]
    for thread in (*writers, *others):
        thread.start()
    for thread in writers:
        thread.join()
    over.set()
    for thread in others:
        thread.join()
    assert seen == sorted(seen)
    assert failed(tmp_path) == Ledger(tmp_path).settle().runs["failed"] == 80


def test_an_account_whose_folder_could_not_be_synced_is_no_reason_to_count_again(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The new account stands there by then."""

    def failing(path: Path) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO), str(path))

    monkeypatch.setattr("peak_observe.support.atomic_files.sync_folder", failing)
    ledger.update(lambda known: known.counted("success", restores=True))
    assert ledger.account().restores["success"] == 1
