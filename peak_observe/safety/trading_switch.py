"""Trading switch: one file says whether the bots of an account may trade, and every process obeys within a second."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, cast

from peak_observe.clock import SYSTEM_CLOCK, Clock
from peak_observe.coordination.default import shared_of
from peak_observe.coordination.joinable import Joinable
from peak_observe.errors import ConfigError, SharedStateError, TradingHaltedError
from peak_observe.events import TradingChanged
from peak_observe.measures import SWITCHES, TradingTally, forks
from peak_observe.observers import emit
from peak_observe.safety import halt_hooks, switch_file
from peak_observe.safety.shared_switch import UNHEARD, SharedSwitch
from peak_observe.safety.switch_byte import SHUT
from peak_observe.safety.switch_file import HALTED, REDUCE_ONLY, TRADING, UNREADABLE, SwitchFile, TradingState
from peak_observe.safety.switch_watcher import INTERVAL, WATCHER
from peak_observe.support.keywords import check_keywords
from peak_observe.support.shown import shown
from peak_observe.telemetry.snapshot import writer

if TYPE_CHECKING:
    from mmap import mmap

F = TypeVar("F", bound="Callable[..., Any]")
_stopwatch = SYSTEM_CLOCK._stopwatch  # noqa: SLF001 - files change in real time, whatever clock a test gives


class Guard(Protocol):
    """Protocol of what a switch asks before each order of its clients."""

    def look(self) -> object:
        """Trip, if time alone has exceeded a limit."""

    def admit(self, orders: Sequence[Mapping[str, Any]]) -> None:
        """Count orders that are about to be sent.

        Raises:
            TradingHaltedError: They exceed a limit.
        """

    def unanswered(self) -> None:
        """Count an order of unknown outcome."""


class TradingSwitch:
    """Switch that halts trading, reduces it to closing positions, or resumes it, for all processes that name it.

    It is kept in a file, which survives restarts; a file that is missing or cannot be read means halted.

    Args:
        name: The switch's name, as of an account; also the label `switch`.
        folder: Where the files are; the folder of the snapshots, `PEAK_OBSERVE_DIR`, if not given. All processes have
            to give the same.
        shared: A `Shared`, or its URL, through which the hosts of an account have one switch; `default` for that of
            `PEAK_OBSERVE_SHARED`. A process that has not heard it since its start is halted; what is known stays where
            it is away.
        clock: Where time comes from; for tests.

    Raises:
        ValueError: The name cannot be that of a file.
        ConfigError: There is no folder, or it cannot be written.
        SharedStateError: The server or file of `shared` refuses: a wrong password, a missing right.
    """

    @check_keywords()
    def __init__(
        self,
        name: str = "main",
        *,
        folder: str | os.PathLike[str] | None = None,
        shared: Joinable | str | None = None,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self.name = switch_file.checked_name(name)
        self._clock = clock
        self._folder = switch_file.folder_of(folder)
        self._file = SwitchFile(self._folder, name)
        joined = shared_of(shared)
        self._shared = None if joined is None else SharedSwitch(name, joined.records(), self._file, clock=clock)
        self._file.create()
        self._lock = threading.RLock()
        self._key: tuple[int, ...] | None = None
        self._forced: TradingState | None = None
        self._written = self._state = TradingState(TRADING)
        self._ends = self._due = 0.0
        self._gate: mmap | bytes = SHUT
        self._tally = TradingTally()
        self._hooks: list[halt_hooks.Hook] = []
        self._guards: list[Guard] = []
        self._began = self._wall()
        forks.renew(self)
        if self._shared is not None:
            self._shared.begin()
            WATCHER.add(self._shared)
        with self._lock:
            self._read(first=True)
        SWITCHES.series(name).join(self, self._tally.read)
        WATCHER.add(self)
        self.look()

    @property
    def folder(self) -> Any:
        """The folder of the files of all switches."""
        return self._folder

    @property
    def state(self) -> TradingState:
        """Current state, with its reason, author, start and end."""
        return self.look()

    def allows(self, *, reducing: bool = False) -> bool:
        """Return whether orders may be sent.

        Args:
            reducing: Whether they only reduce positions, which reduce-only lets through.
        """
        if self._gate[0]:
            return True
        state = self._state
        # Guards look at the file where they count an order: one that was counted must not be refused while another
        # thread's halt, which they made, is on its way to the disk.
        shut = not self._guards and not self._file.byte.cell[0]
        if shut or state.until is not None or _stopwatch() >= self._due:
            state = self.look()
        return state.state == TRADING or (reducing and state.state == REDUCE_ONLY)

    def check(self, *, reducing: bool = False) -> None:
        """Return if orders may be sent.

        Args:
            reducing: Whether they only reduce positions, which reduce-only lets through.

        Raises:
            TradingHaltedError: They may not.
        """
        if self._gate[0]:  # one read of a mapped byte, which a halt by any process sets to 0
            return
        if not self.allows(reducing=reducing):
            raise self.refusal(self._state)

    def refusal(self, state: TradingState) -> TradingHaltedError:
        """Count a call that is not made, and return the error to raise."""
        with self._lock:
            self._tally.refused += 1
        return TradingHaltedError(self.name, state.reason, state.state, state.until)

    def guards(self, func: F) -> F:
        """Return a function, plain or `async def`, that is called only while trading is neither halted nor reduced."""
        import inspect

        if not callable(func):
            raise TypeError(f"guards() decorates functions, not {shown(func)}")
        if inspect.isasyncgenfunction(func) or inspect.isgeneratorfunction(func):
            raise TypeError(f"guards() decorates functions that place orders, not generators such as {shown(func)}")

        @wraps(func)
        def checked(*args: Any, **kwargs: Any) -> Any:
            self.check()
            return func(*args, **kwargs)

        @wraps(func)
        async def async_checked(*args: Any, **kwargs: Any) -> Any:
            self.check()
            return await func(*args, **kwargs)

        return cast("F", async_checked if inspect.iscoroutinefunction(func) else checked)

    def on_halt(self, hook: Callable[[], object]) -> Callable[[], object]:
        """Call a function once in each halt, that of now included, in a thread of its own; also a decorator.

        Args:
            hook: A function without arguments, as `client.cancel_all_orders`; a coroutine is run on the event loop that
                runs here now. One that raises is logged, and the others still run.
        """
        added = halt_hooks.Hook(hook)
        with self._lock:
            self._hooks.append(added)
        state = self.refresh()
        if _runs_hooks(state):
            halt_hooks.run([added], self.name, state.id)
        return hook

    def halt(self, reason: str, *, for_seconds: float | str | None = None, by: str = "") -> TradingState:
        """Halt trading: nothing but cancels is sent from now on, by any process. A longer halt is not shortened.

        Args:
            reason: Why, for whoever reads it at 3 a.m.
            for_seconds: Time after which trading goes on by itself, in seconds or as `90min`; never if not given.
            by: Who halts; user, host and program if not given.

        Raises:
            ValueError: There is no reason, or the time is invalid.
            ConfigError: The file cannot be written; this process is halted all the same.
        """
        return self._change(HALTED, reason, for_seconds, by, never_weaker=True)

    def reduce_only(
        self, reason: str, *, for_seconds: float | str | None = None, by: str = "", unless_halted: bool = False
    ) -> TradingState:
        """Let only orders through that carry `reduceOnly`, and cancels; on spot markets that equals a halt.

        Args:
            reason: Why.
            for_seconds: Time after which trading goes on by itself, in seconds or as `90min`; never if not given.
            by: Who does it; user, host and program if not given.
            unless_halted: Whether a halt stays as it is, which this would weaken.

        Raises:
            ValueError: There is no reason, or the time is invalid.
            ConfigError: The file cannot be written; this process obeys all the same.
        """
        return self._change(REDUCE_ONLY, reason, for_seconds, by, never_weaker=unless_halted)

    def resume(self, reason: str = "resumed", *, by: str = "") -> TradingState:
        """Let trading go on, also after a file that could not be read.

        Args:
            reason: Why.
            by: Who resumes; user, host and program if not given.

        Raises:
            ConfigError: The file cannot be written, or another process changes it at this moment: nothing is changed.
        """
        return self._change(TRADING, reason, None, by, never_weaker=False)

    def join(self, guard: Guard) -> None:
        """Ask a guard before each order of the clients of this switch; it lives as long as the switch."""
        with self._lock:
            self._guards.append(guard)
            self._gate = SHUT

    @property
    def joined(self) -> tuple[Guard, ...]:
        """The guards that trip this switch."""
        return tuple(self._guards)

    @property
    def current(self) -> TradingState:
        """State at the last look at the file, a quarter of a second ago at most."""
        return self._state

    def look(self) -> TradingState:
        """Read the file if it has changed, let guards trip for which time is over, and return what holds now."""
        self._file.byte.look()
        self.refresh()
        for guard in self.joined:
            guard.look()
        if self._written.state == TRADING and not self._file.byte.cell[0]:
            self._file.open_byte()
        return self._state

    def refresh(self) -> TradingState:
        """Read the file if it has changed, and return what holds now."""
        with self._lock:
            before = self._state
            self._read()
            state = self._state
        if state != before:
            self._tell(before, state)
        return state

    def close(self) -> None:
        """Stop watching the file in the background; calls still read it."""
        WATCHER.discard(self)
        self._gate = SHUT
        if self._shared is not None:
            WATCHER.discard(self._shared)

    def after_fork(self) -> None:
        """Make the lock anew in a forked child, and look at the file at the next call."""
        self._lock = threading.RLock()
        self._due, self._gate = 0.0, SHUT

    def _read(self, *, first: bool = False) -> None:
        key = self._file.key()
        if first or key is None or key != self._key:
            written = self._file.read()
            if written.id == UNREADABLE:
                written = written._replace(at=self._state.at if self._state.id == UNREADABLE else self._wall())
            if written != self._written or first:
                self._written = written
                if self._forced is not None and written.at > self._forced.at and written.id != UNREADABLE:
                    self._forced = None  # somebody has changed the file since, and knows better
                self._ends = self._clock.monotonic() + (written.until or 0.0) - self._wall()
            self._key = key
        self._settle(self._forced or self._unheard() or self._written)
        self._due = _stopwatch() + INTERVAL

    def _unheard(self) -> TradingState | None:
        shared = self._shared
        waits = shared is not None and not shared.heard and self._written.state != HALTED
        return shared.unheard(self._began) if shared is not None and waits else None

    def _settle(self, state: TradingState) -> None:
        # Both clocks have to agree that the time is over: a wall clock that jumps ahead must not end a halt.
        if self._clock.monotonic() >= self._ends:
            state = state.settled(self._wall())
        self._state = state
        # Guards trip by time alone, too, and a file that was edited by hand is seen by the watcher only.
        passes = state.state == TRADING and not self._guards and WATCHER.watches(self)
        self._gate = self._file.byte.cell if passes else SHUT
        self._tally.now(state.state, state.reason, state.at)

    def _change(
        self, kind: str, reason: str, for_seconds: float | str | None, by: str, *, never_weaker: bool
    ) -> TradingState:
        wanted = switch_file.new_state(kind, reason, for_seconds, at=self._wall(), by=by)
        with self._lock:
            before, problem = self._state, None
            try:
                self._write(wanted, never_weaker=never_weaker)
            except OSError as error:
                problem = self._obey(wanted, error)
            self._read()
            state = self._state
        self._tell(before, state)
        if self._shared is not None and kind != TRADING:
            self._tell_hosts(self._shared, wanted, failed=problem is not None)
        if problem is not None:
            raise problem
        return state

    def _tell_hosts(self, shared: SharedSwitch, wanted: TradingState, *, failed: bool) -> None:
        try:
            if failed:
                shared.publish(wanted, never_weaker=True)
            else:
                shared.join_files()
        except SharedStateError as error:
            why = f"{error.reason}; this host alone obeys, and tells the others when it is back"
            raise SharedStateError(error.address, why) from None

    def _write(self, wanted: TradingState, *, never_weaker: bool) -> None:
        with self._file.locked() as alone:
            if not alone and wanted.state == TRADING:
                raise OSError(None, "another process changes it at this moment: try again")
            self._read()
            now = self._state
            if now.id in (UNREADABLE, UNHEARD) and never_weaker:
                now = TradingState(TRADING)  # which a halt replaces by one that can be read, and of which all hear
            if never_weaker and not wanted.outlasts(now):
                self._note(wanted, f"nothing changed: it is {now.state} already")
                return
            if never_weaker and now.state == wanted.state:
                wanted = wanted._replace(id=now.id)  # the same halt, which lasts longer: hooks have run
            if self._shared is not None and not wanted.outlasts(now):
                wanted = self._shared.publish(wanted, least=self._written.revision)  # first: else nothing is changed
            self._file.write(wanted)
            self._forced = None
            self._note(wanted)

    def _note(self, state: TradingState, note: str = "") -> None:
        try:
            self._file.log(state, note=note)
        except OSError as error:
            from peak_observe.support.loggers import logger

            logger("peak_observe.trading").error("no line in %s: %s", self._file.log_path, error)

    def _obey(self, wanted: TradingState, error: OSError) -> ConfigError:
        """Obey in this process what could not be written, and return what to raise."""
        if wanted.state != TRADING:
            self._forced = wanted
        done = "" if wanted.state == TRADING else "; this process alone obeys"
        path, why = str(self._file.path), error.strerror or str(error)
        return ConfigError(path, "", f"the trading switch {self.name!r} is not changed: {why}{done}")

    def _tell(self, before: TradingState, state: TradingState) -> None:
        if _runs_hooks(state) and (before.state != HALTED or state.id != before.id):
            halt_hooks.run(self._hooks, self.name, state.id)
        if (state.state, state.reason, state.id) != (before.state, before.reason, before.id):
            emit(TradingChanged(self.name, state.state, state.reason, state.by, self._clock.now()))
            writer.soon()

    def _wall(self) -> float:
        return self._clock.now().timestamp()

    def __repr__(self) -> str:
        return f"<TradingSwitch {self.name!r} {self._state.state}>"


def _runs_hooks(state: TradingState) -> bool:
    return state.state == HALTED and state.id != UNHEARD
