"""What the handler of a signal raises leaves no lock held and no thread waiting for ever, whenever the signal comes."""

import contextlib
import dis
import queue
import signal
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import FrameType

import pytest

import peak_observe
from peak_observe.backup_recovery.repository import locking
from peak_observe.coordination import thread_limit
from peak_observe.coordination.mapped_file import MappedTable
from peak_observe.coordination.worker import Listener
from peak_observe.exchange_client.order_journal.key_lock import KeyLocks
from peak_observe.safety.guard_file import GuardFile
from peak_observe.safety.instance_lock import InstanceLock
from peak_observe.safety.switch_watcher import SwitchWatcher
from peak_observe.support.timed_lock import TimedLock
from peak_observe.support.wake_event import WakeEvent
from peak_observe.telemetry.snapshot.writer import Settings, Writer
from tests.resilience.retry.test_interrupts import AFTER, handlers

PACKAGE = (str(Path(peak_observe.__file__).parent), contextlib.__file__, __file__)
PRIMITIVES = ("Event.", "Condition.")
"""The parts of `threading` whose locks outlive a call; to interrupt the start of a thread is another matter."""
PATIENCE = 10

pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


class Struck(BaseException):
    """What the handler of a signal raises."""


class Striker:
    """Raises at one of the moments at which Python looks for signals."""

    def __init__(self, at: int) -> None:
        self.left = at
        self._before: dict[int, int] = {}

    def __call__(self, frame: FrameType, event: str, _: object) -> object:
        """Follow our own frames, and those of the events and conditions of `threading`."""
        code = frame.f_code
        if not code.co_filename.startswith(PACKAGE) and not (
            code.co_filename == threading.__file__ and code.co_qualname.startswith(PRIMITIVES)
        ):
            return None
        self._before[id(frame)] = -1
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        return self._step

    def _step(self, frame: FrameType, event: str, _: object) -> object:
        if event == "opcode":
            before, self._before[id(frame)] = self._before[id(frame)], frame.f_lasti
            where = handlers(frame.f_code)
            after = before >= 0 and dis.opname[frame.f_code.co_code[before]] in AFTER
            if after and where.get(before) == where.get(frame.f_lasti):
                self.left -= 1
                if self.left == 0:
                    sys.settrace(None)
                    raise Struck
        return self._step


def struck(act: Callable[[], object], at: int) -> bool:
    """Do something, raise at one moment of it, and return whether it went that far."""
    before = sys.gettrace()
    sys.settrace(Striker(at))
    try:
        act()
    except Struck:
        return True
    finally:
        sys.settrace(before)
    return False


def at_every_moment(act: Callable[[], object], check: Callable[[int], None]) -> int:
    """Interrupt something at each of its moments in turn, and check after each; return how many there are."""
    act()  # so that no import is interrupted
    at = 1
    with ThreadPoolExecutor(1) as pool:  # what Python 3.11 knows of the exceptions of a thread may be wrong after that
        while pool.submit(struck, act, at).result():
            check(at)
            at += 1
    return at - 1


def in_time(act: Callable[[], object]) -> bool:
    """Return whether something gets through in a thread of its own."""
    thread = threading.Thread(target=act, daemon=True)
    thread.start()
    thread.join(PATIENCE)
    return not thread.is_alive()


def enter(context: Callable[[], contextlib.AbstractContextManager[object]]) -> Callable[[], None]:
    """Return a function that enters and leaves a context."""

    def act() -> None:
        with context():
            pass

    return act


def test_a_timed_lock() -> None:
    """It is held no longer than its block, and whoever waits in vain is told."""
    lock = TimedLock(0)

    def take() -> None:
        with lock:
            len("")

    assert at_every_moment(take, lambda _: take()) >= 1
    with lock, pytest.raises(queue.Empty):
        take()
    take()


def test_an_event() -> None:
    """It is set, cleared and waited for from other threads as before."""
    event = WakeEvent()

    def use() -> None:
        event.set()
        event.wait(1)
        event.clear()
        event.wait(0)

    def check(at: int) -> None:
        assert in_time(use), f"moment {at}"

    assert at_every_moment(use, check) > 10


def test_the_table_of_a_file(tmp_path: Path) -> None:
    """Neither the other threads nor the other processes find it busy."""
    tables = [MappedTable(str(tmp_path / "table"), boot=bytes(16), timeout=0.5, on_reboot=len) for _ in range(2)]

    def check(at: int) -> None:
        for table in tables:  # the second one as another process has it
            enter(table.locked)()

    try:
        assert at_every_moment(enter(tables[0].locked), check) > 10
    finally:
        for table in tables:
            table.close()


def test_the_turns_of_an_engine() -> None:
    """None of them is lost."""
    turns = thread_limit.new_turns()

    def check(at: int) -> None:
        assert turns.qsize() == thread_limit.ASKING, f"moment {at}"

    assert at_every_moment(enter(lambda: thread_limit.turn_of(turns, 0.1)), check) > 2


def test_the_start_of_a_thread() -> None:
    """Of the shared state: the next call starts it, and one runs."""

    def start() -> None:
        listener = made[-1]
        listener.start()

    made = [Listener("test", lambda: time.sleep(0.001))]

    def check(at: int) -> None:
        ran: list[int] = []
        made[-1]._step = lambda: (ran.append(threading.get_ident()), time.sleep(0.001))
        made[-1].start()
        deadline = time.monotonic() + PATIENCE
        while len(ran) < 3 and time.monotonic() < deadline:
            time.sleep(0.001)
        made[-1].close()
        assert len(ran) >= 3, f"moment {at}"
        assert ran[-1] == made[-1]._thread.ident
        made.append(Listener("test", lambda: time.sleep(0.001)))

    first = made[-1]
    made.append(Listener("test", lambda: time.sleep(0.001)))
    first.close()
    assert at_every_moment(start, check) >= 3
    made[-1].close()


def test_the_file_of_a_guard(tmp_path: Path) -> None:
    """The next order is no refused one."""
    file = GuardFile(tmp_path / "guard")
    file._lock = TimedLock(0.5)
    assert at_every_moment(enter(file.changed), lambda _: enter(file.changed)()) > 10


def test_the_lock_of_a_single_instance(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is free as long as nobody knows that it was taken, save for the instant in which it changes hands."""

    def act() -> None:
        InstanceLock.acquire("bot", "bot", tmp_path).release()

    signing = InstanceLock.sign

    def interrupted(lock: InstanceLock) -> None:
        signing(lock)
        raise Struck

    act()
    with monkeypatch.context() as patch, pytest.raises(Struck):
        patch.setattr(InstanceLock, "sign", interrupted)
        act()
    act()


def test_the_locks_of_orders(tmp_path: Path) -> None:
    """Whoever was interrupted as it took an order, or let go of it, leaves it to the next one."""
    locks = KeyLocks.of(tmp_path / "orders.lock")

    def act() -> None:
        hold = locks.hold(7)
        assert hold
        try:
            len("")
        finally:
            hold.free()

    def check(at: int) -> None:
        assert not locks._held, f"moment {at}"

    assert at_every_moment(act, check) > 10
    kept = locks.hold(7)
    assert kept
    assert locks.hold(7) is None
    assert not locks.take(7)


@pytest.mark.parametrize("folder", [False, True])
def test_the_lock_of_a_repository(tmp_path: Path, *, folder: bool) -> None:
    """The next backup is none that another one keeps out."""
    path = tmp_path if folder else tmp_path / "lock"

    def check(at: int) -> None:
        with locking.locked(path, tmp_path, "check"):
            pass
        assert not locking._held, f"moment {at}"

    for lock in (lambda: locking.locked(path, tmp_path, "test"), lambda: locking.briefly_locked(path)):
        assert at_every_moment(enter(lock), check) > 10


def test_the_writer_of_snapshots(tmp_path: Path) -> None:
    """Each change of a breaker's state wakes it: the next one does not hang, and it writes."""
    writer = Writer(Settings(str(tmp_path), "test", 3600))

    def check(at: int) -> None:
        assert in_time(writer.soon), f"moment {at}"
        assert in_time(lambda: writer.flush(PATIENCE)), f"moment {at}"

    try:
        assert at_every_moment(writer.soon, check) >= 2
    finally:
        writer.end()


def test_an_alarm_never_stops_the_program_in_an_event() -> None:
    """Real signals, while a switch that is looked at is let go of: the next one gets through, and the thread ends."""

    class Watched:
        def look(self) -> None:
            pass

    def strike(number: int, frame: FrameType | None) -> None:
        raise Struck

    watcher, over, one = SwitchWatcher(), 0, Watched()
    before = signal.signal(signal.SIGALRM, strike)
    try:
        for at in range(300):
            try:
                signal.setitimer(signal.ITIMER_REAL, 0.0001 + at % 7 * 0.00003)
                while True:
                    watcher.discard(one)
            except Struck:
                over += 1
            assert in_time(lambda: watcher.discard(one))
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert over == 300
