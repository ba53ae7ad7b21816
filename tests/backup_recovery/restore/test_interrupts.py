"""Ctrl-C in a restore, once and again: a second one does not disturb the undo, a third one is told the truth."""

import os
import signal
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from peak_observe import RecoveryManager, RestoreCutOff
from peak_observe.backup_recovery.restore import transaction
from peak_observe.backup_recovery.restore.interrupts import Interrupts

from ..conftest import Program

FILES = 30


@pytest.fixture
def many(manager: RecoveryManager, program: Program) -> str:
    """Return a backup of many files, all of which have changed since."""
    for number in range(FILES):
        program.write(program.trades / f"{number}.csv", f"{number}\n")
    backup_id = manager.create_backup(include_data=True)
    for number in range(FILES):
        program.write(program.trades / f"{number}.csv", "after\n")
    return backup_id


@pytest.fixture
def interrupting(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Return a function that lets Ctrl-C come at some renames, counted from the beginning of the swap."""

    def at(*places: int) -> None:
        rename, count = os.rename, [0]

        def renaming(path: str, to: str, **more: object) -> None:
            rename(path, to, **more)
            if ".peak-" in str(path) and "/trades/" in str(path):
                count[0] += 1
                if count[0] in places:
                    signal.raise_signal(signal.SIGINT)

        monkeypatch.setattr(os, "rename", renaming)

    return at


def test_one_takes_everything_back(
    manager: RecoveryManager, program: Program, many: str, interrupting: Callable[..., None]
) -> None:
    """And comes through."""
    before = program.picture()
    interrupting(12)
    with pytest.raises(KeyboardInterrupt) as caught:
        manager.restore(many, data=True)
    assert not isinstance(caught.value, RestoreCutOff)
    assert program.picture() == before


@pytest.mark.parametrize("second", [13, 14, 20, 24])
def test_the_second_does_not_disturb_that(
    manager: RecoveryManager, program: Program, many: str, interrupting: Callable[..., None], second: int
) -> None:
    """Wherever it comes."""
    before = program.picture()
    interrupting(12, second)
    with pytest.raises(KeyboardInterrupt) as caught:
        manager.restore(many, data=True)
    assert not isinstance(caught.value, RestoreCutOff)
    assert program.picture() == before


def test_the_second_is_answered(
    manager: RecoveryManager, many: str, interrupting: Callable[..., None], caplog: pytest.LogCaptureFixture
) -> None:
    """With what is under way, and what a third one would do."""
    interrupting(12, 15)
    with pytest.raises(KeyboardInterrupt):
        manager.restore(many, data=True)
    assert "the restore is being taken back; Ctrl-C once more stops that in the middle" in caplog.text


def test_the_third_is_told_the_truth(
    manager: RecoveryManager, program: Program, many: str, interrupting: Callable[..., None]
) -> None:
    """Files are between old and new; the error says where that stands and which command ends it."""
    before = program.picture()
    interrupting(12, 15, 18)
    with pytest.raises(RestoreCutOff, match=r"`peak-observe backup recover --repository .*backups`") as caught:
        manager.restore(many, data=True)
    assert program.picture() != before
    assert caught.value.journal in str(caught.value)
    RecoveryManager(manager.backup_root)
    assert program.picture() == before


def test_the_truth_is_told_also_before_the_undo_begins(
    manager: RecoveryManager, many: str, interrupting: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second and the third come in the instant between the first and the undo."""
    settle = Interrupts.settle

    def interrupted(interrupts: Interrupts, doing: str) -> None:
        for _ in range(2):
            signal.raise_signal(signal.SIGINT)
        settle(interrupts, doing)

    monkeypatch.setattr(Interrupts, "settle", interrupted)
    interrupting(12)
    with pytest.raises(RestoreCutOff, match=r"`peak-observe backup recover --repository .*backups`"):
        manager.restore(many, data=True)


def test_a_fourth_does_not_hide_what_the_third_is_told(
    manager: RecoveryManager, many: str, interrupting: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody who keeps the keys down hears where files stand, and what brings them to an end."""
    unsettled = transaction.Transaction.unsettled

    def once_more(work: transaction.Transaction) -> bool:
        signal.raise_signal(signal.SIGINT)
        return unsettled.__get__(work)

    monkeypatch.setattr(transaction.Transaction, "unsettled", property(once_more))
    interrupting(12, 15, 18)
    with pytest.raises(RestoreCutOff) as caught:
        manager.restore(many, data=True)
    assert caught.value.repository == str(manager.backup_root)


def test_after_an_error_the_first_does_not_disturb_the_undo(
    manager: RecoveryManager, program: Program, many: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is being taken back is, whatever began that."""
    before = program.picture()
    keep, undo, count = transaction.keep, transaction.Transaction._undo_step, [0]

    def failing(target: str, old: str) -> None:
        count[0] += 1
        if count[0] == 9:
            raise OSError(5, "Input/output error", target)
        keep(target, old)

    def interrupted(*args: object) -> None:
        undo(*args)
        if count[0] == 9:
            count[0] += 1
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(transaction, "keep", failing)
    monkeypatch.setattr(transaction.Transaction, "_undo_step", interrupted)
    assert not manager.restore_backup(many, restore_data=True)
    assert program.picture() == before


def test_while_old_files_go_the_restore_stays_done(
    manager: RecoveryManager, program: Program, many: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has happened by then."""
    unlink, heard = transaction.unlink, []

    def interrupted(path: str) -> None:
        if path.endswith(".old") and not heard:
            heard.append(path)
            signal.raise_signal(signal.SIGINT)
        unlink(path)

    monkeypatch.setattr(transaction, "unlink", interrupted)
    assert manager.restore_backup(many, restore_data=True)
    assert heard
    assert (program.trades / "7.csv").read_text() == "7\n"
    assert not list(program.folder.rglob(".peak-*"))


def test_handlers_are_those_of_before() -> None:
    """A program that has its own keeps it, and it is the one that is called."""
    heard: list[int] = []
    before = signal.signal(signal.SIGINT, lambda number, _: heard.append(number))
    try:
        own = signal.getsignal(signal.SIGINT)
        with Interrupts():
            signal.raise_signal(signal.SIGINT)
            assert signal.getsignal(signal.SIGINT) != own
        assert signal.getsignal(signal.SIGINT) == own
        assert heard == [signal.SIGINT]
    finally:
        signal.signal(signal.SIGINT, before)


def test_in_another_thread_there_is_nothing_to_hear() -> None:
    """Only the main thread may set handlers, and only it is interrupted."""
    found = []

    def work() -> None:
        with Interrupts():
            found.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert found == [signal.getsignal(signal.SIGINT)]


@pytest.mark.parametrize("late", [False, True])
def test_one_just_as_files_begin_to_change(
    manager: RecoveryManager, program: Program, many: str, monkeypatch: pytest.MonkeyPatch, *, late: bool
) -> None:
    """Before the journal says so, and after that: nothing is restored, and nothing is left."""
    before, rename = program.picture(), Path.rename

    def renaming(path: Path, to: Path) -> Path:
        if ".swapping." in to.name and not late:
            raise KeyboardInterrupt
        found = rename(path, to)
        if ".swapping." in to.name:
            raise KeyboardInterrupt
        return found

    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", renaming)
        with pytest.raises(KeyboardInterrupt) as caught:
            manager.restore(many, data=True)
    assert not isinstance(caught.value, RestoreCutOff)
    assert program.picture() == before
    assert not list((manager.backup_root / ".peak-observe").glob("restore-*"))
    assert not list(program.trades.glob(".peak-*"))


def test_the_third_before_any_file_has_changed_says_so(
    manager: RecoveryManager, program: Program, many: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """New files lie beside the old ones, which are all as before."""
    before, undo, heard = program.picture(), transaction.Transaction._undo_step, []

    def staged(_: object) -> None:
        signal.raise_signal(signal.SIGINT)

    def undone(*args: object) -> None:
        while len(heard) < 2:
            heard.append(args)
            signal.raise_signal(signal.SIGINT)
        undo(*args)

    with monkeypatch.context() as patch:
        patch.setattr(transaction.Transaction, "_filesystems", staged)
        patch.setattr(transaction.Transaction, "_undo_step", undone)
        with pytest.raises(RestoreCutOff, match="all files are as before, and new ones lie beside them") as caught:
            manager.restore(many, data=True)
    assert caught.value.untouched
    RecoveryManager(manager.backup_root)
    assert program.picture() == before


def test_the_third_after_all_files_are_new_names_what_removes_the_old_ones(
    manager: RecoveryManager,
    program: Program,
    many: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """They lie beside the new ones, and nothing is between old and new."""
    unlink, heard = transaction.unlink, []

    def unlinking(path: str) -> None:
        while path.endswith(".old") and len(heard) < 2:
            heard.append(path)
            signal.raise_signal(signal.SIGINT)
        unlink(path)

    with monkeypatch.context() as patch:
        patch.setattr(transaction, "unlink", unlinking)
        with pytest.raises(KeyboardInterrupt) as caught:
            manager.restore(many, data=True)
    assert not isinstance(caught.value, RestoreCutOff)
    assert any("old ones still lie beside them: `peak-observe backup recover --rep" in line for line in caplog.messages)
    assert (program.trades / "29.csv").read_text() == "29\n"
    assert list(program.trades.glob(".peak-*.old"))
    RecoveryManager(manager.backup_root)
    assert not list(program.trades.glob(".peak-*"))


def test_the_message_names_what_works_where_the_journal_lies_beside_the_files(
    manager: RecoveryManager, program: Program, tmp_path: Path
) -> None:
    """A folder of files is no repository: to use it brings nothing to its end."""
    place = program.trades / ".peak-restore-x.swapping.json"
    command = f"peak-observe backup recover --repository {manager.backup_root} --map /a={tmp_path}"
    work = transaction.Transaction(place.parent, transaction.Journal("x", "b", [], []), "swapping", ".peak-restore-")
    work.bound, work.command = True, command
    place.touch()
    told = RestoreCutOff("", str(place), command)
    with pytest.raises(RestoreCutOff) as caught, transaction.CutOff(work):
        raise KeyboardInterrupt
    assert str(caught.value) == str(told)
    assert str(told).endswith(f"`{command}` brings all of them to one of both")
