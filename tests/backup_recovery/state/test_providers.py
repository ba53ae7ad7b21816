"""State providers are called with a time limit, in whatever way they are written."""

import asyncio
import contextvars
import signal
import sqlite3
import sys
import threading
import time
import warnings
from collections.abc import Iterator, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from types import FrameType

import pytest

from peak_observe.backup_recovery import RecoveryManager, StateSnapshot
from peak_observe.backup_recovery.state.providers import TIME_LIMIT
from peak_observe.errors import BackupError


def taken(provider: object, **options: object) -> tuple[object, list[str]]:
    """Return what one provider gives, and what went wrong."""
    snapshot = StateSnapshot()
    snapshot.register_provider("bot", provider, **options)
    found, problems = snapshot.take()
    return found["providers"]["bot"], [str(problem) for problem in problems]


async def positions() -> dict[str, int]:
    """Return them after a moment."""
    await asyncio.sleep(0.001)
    return {"BTC": 1}


def test_a_coroutine_function_is_awaited() -> None:
    """In an event loop of its own, and nothing warns that it never was."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert taken(positions) == ({"BTC": 1}, [])
        assert taken(partial(positions)) == ({"BTC": 1}, [])


def test_it_is_awaited_also_where_a_loop_runs_already() -> None:
    """A bot may make its backup from its event loop."""

    async def main() -> object:
        return taken(positions)

    assert asyncio.run(main()) == ({"BTC": 1}, [])


def test_a_coroutine_inside_of_a_value_is_refused_by_name() -> None:
    """And nothing warns of it later."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        value, problems = taken(lambda: {"open": [positions()]})
    assert problems == [
        "state provider 'bot': ValueError: value['open'][0] is a coroutine inside of a value: await it first"
    ]
    assert list(value) == ["error"]


@pytest.mark.parametrize("how", ["sync", "async"])
def test_a_provider_that_hangs_is_given_up(how: str) -> None:
    """After its time limit; the others are asked all the same."""
    leave = threading.Event()

    async def hang() -> None:
        await asyncio.sleep(30)

    snapshot = StateSnapshot()
    snapshot.register_provider("slow", leave.wait if how == "sync" else hang, timeout=0.05)
    snapshot.register_provider("bot", lambda: 1)
    began = time.monotonic()
    found, problems = snapshot.take()
    leave.set()
    assert time.monotonic() - began < 10
    assert found["providers"]["bot"] == 1
    assert [str(problem) for problem in problems] == ["state provider 'slow': TimeoutError: it took longer than 0.05 s"]


@pytest.mark.parametrize("timeout", [0, -1, True, "1", float("inf"), None])
def test_a_time_limit_that_is_none_is_refused(timeout: object) -> None:
    """By name."""
    with pytest.raises(ValueError, match="timeout must be a number of seconds above 0"):
        StateSnapshot().register_provider("bot", dict, timeout=timeout)


def test_a_provider_sees_the_context_of_its_caller() -> None:
    """Such as the current span, or a decimal context."""
    account = contextvars.ContextVar("account", default="none")
    account.set("main")
    assert taken(account.get) == ("main", [])


def test_a_connection_of_sqlite_answers_the_thread_that_made_it() -> None:
    """Though providers are called in a thread of their own."""
    database = sqlite3.connect(":memory:")
    assert taken(lambda: database.execute("SELECT 7").fetchone()[0]) == (7, [])
    database.close()


def test_a_coroutine_function_may_use_a_connection_of_sqlite() -> None:
    """Then its event loop runs in the thread that made the connection."""
    database = sqlite3.connect(":memory:")

    async def count() -> int:
        await asyncio.sleep(0)
        return database.execute("SELECT 7").fetchone()[0]

    assert taken(count) == (7, [])
    database.close()


def test_a_coroutine_function_that_cannot_run_here_is_told_with_its_own_error() -> None:
    """Where a loop runs in the thread that made its connection, and nothing warns that it was never awaited."""

    async def main() -> list[str]:
        database = sqlite3.connect(":memory:")

        async def count() -> int:
            return database.execute("SELECT 7").fetchone()[0]

        problems = taken(count)[1]
        database.close()
        return problems

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        [problem] = asyncio.run(main())
    assert problem.startswith("state provider 'bot': ProgrammingError: SQLite objects created in a thread can only")


def test_what_a_provider_raises_in_the_thread_of_its_caller_ends_only_the_provider() -> None:
    """As in the thread of its own."""
    database = sqlite3.connect(":memory:")

    def leave() -> None:
        database.execute("SELECT 7")
        sys.exit(3)

    assert taken(leave)[1] == ["state provider 'bot': RuntimeError: it raised SystemExit: 3"]
    database.close()


def test_a_provider_with_another_error_of_sqlite_is_called_once() -> None:
    """As one whose connection is closed, or that counts its question marks wrong."""
    calls = []

    def orders() -> object:
        calls.append(1)
        database = sqlite3.connect(":memory:")
        database.close()
        return database.execute("SELECT 7").fetchone()

    _, [problem] = taken(orders)
    assert problem.startswith("state provider 'bot': ProgrammingError: Cannot operate on a closed database")
    assert calls == [1]


def test_a_provider_with_the_connection_of_another_thread_is_called_once() -> None:
    """As it would not answer the caller either."""
    ready, leave = threading.Event(), threading.Event()
    databases: list[sqlite3.Connection] = []
    calls = []

    def make() -> None:
        databases.append(sqlite3.connect(":memory:"))
        ready.set()
        leave.wait(60)
        databases[0].close()

    def orders() -> object:
        calls.append(1)
        return databases[0].execute("SELECT 7").fetchone()

    thread = threading.Thread(target=make)
    thread.start()
    assert ready.wait(60)
    _, [problem] = taken(orders)
    leave.set()
    thread.join()
    assert problem.startswith("state provider 'bot': ProgrammingError: SQLite objects created in a thread can only")
    assert calls == [1]


@pytest.mark.parametrize("how", ["sync", "async"])
def test_a_time_limit_of_the_providers_own_is_told_as_it_is(how: str) -> None:
    """And is not taken for ours."""

    def ask() -> None:
        raise TimeoutError("exchange timed out")

    async def ask_later() -> None:
        await asyncio.sleep(0)
        ask()

    _, problems = taken(ask if how == "sync" else ask_later)
    assert problems == ["state provider 'bot': TimeoutError: exchange timed out"]


def test_providers_do_not_hold_the_lock(manager: RecoveryManager) -> None:
    """While one takes its time, somebody else can make a backup and prune."""
    inside, leave = threading.Event(), threading.Event()
    other = RecoveryManager(manager.backup_root)
    other.state_snapshot.register_provider("bot", dict)

    def slow() -> int:
        inside.set()
        leave.wait(60)
        return 1

    manager.state_snapshot.register_provider("slow", slow)
    made: list[str] = []
    thread = threading.Thread(target=lambda: made.append(manager.create_backup()))
    thread.start()
    assert inside.wait(60)
    first = other.create_backup()
    assert other.delete_backup(first)
    leave.set()
    thread.join()
    assert manager.get_backup(made[0]).good


def test_a_backup_with_a_hanging_provider_is_partial(manager: RecoveryManager) -> None:
    """It names the provider, and everything else is in it."""
    leave = threading.Event()
    manager.state_snapshot.register_provider("slow", leave.wait, timeout=0.05)
    backup = manager.get_backup(manager.create_backup())
    leave.set()
    assert backup.error_message == "state provider 'slow': TimeoutError: it took longer than 0.05 s"
    assert set(backup.parts) == {"config", "data", "state"}
    with pytest.raises(BackupError, match="partial"):
        manager.restore(backup.backup_id)


def test_a_value_that_hangs_while_it_is_read_is_given_up() -> None:
    """As one that asks the exchange for each of its items does."""
    leave = threading.Event()

    class Lazy(Mapping):
        def __getitem__(self, key: str) -> int:
            leave.wait(60)
            return 1

        def __iter__(self) -> Iterator[str]:
            return iter(["BTC"])

        def __len__(self) -> int:
            return 1

    began = time.monotonic()
    _, problems = taken(Lazy, timeout=0.05)
    leave.set()
    assert time.monotonic() - began < 10
    assert problems == ["state provider 'bot': TimeoutError: it took longer than 0.05 s"]


def test_calls_that_hang_do_not_pile_up() -> None:
    """With a backup every hour there would be another thread every hour; one that came back is called again."""
    leave, calls = threading.Event(), []
    snapshot = StateSnapshot()

    def slow() -> int:
        calls.append(threading.current_thread())
        leave.wait(60)
        return len(calls)

    snapshot.register_provider("slow", slow, timeout=0.05)
    snapshot.take()
    _, problems = snapshot.take()
    assert [str(problem) for problem in problems] == [
        "state provider 'slow': TimeoutError: it was not called, as its last call has not come back yet"
    ]
    leave.set()
    calls[0].join()
    assert snapshot.take()[0]["providers"] == {"slow": 2}


async def cancelled() -> None:
    """Do what a task does that somebody has cancelled."""
    raise asyncio.CancelledError


@pytest.mark.parametrize(
    ("provider", "reason"), [(cancelled, "CancelledError"), (lambda: sys.exit(3), "SystemExit: 3")]
)
def test_what_ends_a_task_or_a_program_ends_only_the_provider(provider: object, reason: str) -> None:
    """And not the backup, of which nobody would hear."""
    assert taken(provider)[1] == [f"state provider 'bot': RuntimeError: it raised {reason}"]


def test_a_provider_is_asked_where_no_thread_can_start(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in `atexit` of Python 3.12, in a backup as the last thing that a program does."""

    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't create new thread at interpreter shutdown")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    assert taken(lambda: {"BTC": 1}) == ({"BTC": 1}, [])
    assert taken(positions) == ({"BTC": 1}, [])


@pytest.mark.parametrize("how", ["sync", "async"])
def test_who_asks_while_a_call_is_under_way_waits_for_it(manager: RecoveryManager, tmp_path: Path, how: str) -> None:
    """And asks anew: a state that is saved while a backup is made has all values, as the backup has."""
    together, most = [], []

    def slow() -> int:
        together.append(1)
        most.append(len(together))
        time.sleep(0.2)
        together.pop()
        return 1

    async def slow_as_well() -> int:
        return slow()

    manager.state_snapshot.register_provider("slow", slow if how == "sync" else slow_as_well)
    made: list[str] = []
    threads = [threading.Thread(target=lambda: made.append(manager.create_backup(include_data=False))) for _ in "ab"]
    saving = [threading.Thread(target=manager.state_snapshot.save, args=[tmp_path / f"{n}.json"]) for n in range(2)]
    for thread in (*threads, *saving):
        thread.start()
    for thread in (*threads, *saving):
        thread.join()
    states = [manager.state_snapshot.load(tmp_path / f"{n}.json")["providers"]["slow"] for n in range(2)]
    assert states == [1, 1]
    assert all(manager.get_backup(backup_id).status.value == "success" for backup_id in made)
    assert set(most) == {1}


def test_a_provider_that_asks_for_the_state_itself_waits_for_nobody() -> None:
    """Neither for itself, nor do two of them for each other: it is told at once that the call is under way."""
    snapshot, both = StateSnapshot(), threading.Barrier(2, timeout=2)

    def asking(other: str) -> object:
        with suppress(threading.BrokenBarrierError):
            both.wait()
        return snapshot.capture()["providers"][other]

    snapshot.register_provider("itself", lambda: snapshot.capture()["providers"]["itself"])
    assert "it was not called" in snapshot.capture()["providers"]["itself"]["error"]
    snapshot = StateSnapshot()
    snapshot.register_provider("a", lambda: asking("b"))
    snapshot.register_provider("b", lambda: asking("a"))
    reverse = StateSnapshot()
    reverse._state_providers = dict(reversed(snapshot._state_providers.items()))
    reverse._calls = snapshot._calls
    began = time.monotonic()
    thread = threading.Thread(target=reverse.capture)
    thread.start()
    snapshot.capture()
    thread.join()
    assert time.monotonic() - began < TIME_LIMIT / 2


def test_what_the_handler_of_a_signal_raises_is_no_fault_of_a_provider() -> None:
    """It comes through, and the value of the provider is not replaced by it."""
    snapshot = StateSnapshot()
    snapshot.register_provider("slow", lambda: time.sleep(1))

    def alarm(number: int, frame: FrameType | None) -> None:
        raise TimeoutError("my alarm")

    before = signal.signal(signal.SIGALRM, alarm)
    signal.setitimer(signal.ITIMER_REAL, 0.2)
    try:
        with pytest.raises(TimeoutError, match="my alarm"):
            snapshot.capture()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@pytest.mark.parametrize("ends", [SystemExit(3), asyncio.CancelledError()])
def test_a_restore_function_that_ends_a_program_or_a_task_ends_only_itself(ends: BaseException) -> None:
    """The others are called all the same, and the report names it; Ctrl-C comes through."""
    snapshot, taken_back = StateSnapshot(), []

    def leave(value: object) -> None:
        raise ends

    snapshot.register_provider("bot", lambda: 1, restore=leave)
    snapshot.register_provider("other", lambda: 2, restore=taken_back.append)
    [problem] = snapshot.apply(snapshot.capture())
    assert str(problem).startswith(f"state provider 'bot': {type(ends).__name__}")
    assert taken_back == [2]
    ends = KeyboardInterrupt()
    with pytest.raises(KeyboardInterrupt):
        snapshot.apply(snapshot.capture())
