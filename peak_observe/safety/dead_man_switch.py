"""Dead man's switch: the exchange cancels all orders when a bot hangs, is stopped or dies.

A thread of its own sends a beat every few seconds, for as long as the bot's heartbeat is fresh. Each beat sets the
exchange's cancel-all timer anew. Without beats it runs out, and the exchange cancels the orders by itself.
"""

from __future__ import annotations

import inspect
import os
import threading
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, Protocol, Self

from peak_observe.catalog import BEAT_OUTCOMES
from peak_observe.clock import SYSTEM_CLOCK, Clock
from peak_observe.measures import DEAD_MAN_SWITCHES, DeadManReading, increased
from peak_observe.safety.exchange_calls import Caller, Client, exchange_of, name_of
from peak_observe.safety.exchange_timers import ExchangeTimer, Symbols
from peak_observe.support.durations import seconds
from peak_observe.support.keywords import check_keywords
from peak_observe.support.redact import describe
from peak_observe.support.shown import shown
from peak_observe.telemetry.snapshot import writer

SUCCESS, FAILED, WITHHELD = range(len(BEAT_OUTCOMES))
LOOK_AGAIN = 1.0
"""Seconds after which health is looked at again, so that a bot that recovers is armed again at once."""


class Health(Protocol):
    """Protocol of what tells whether the bot is alive, such as `checks.Heartbeat`."""

    def __call__(self) -> bool | tuple[Any, ...]:
        """Return True, or a tuple that begins with it."""
        ...


class DeadManSwitch:
    """Dead man's switch: have the exchange cancel all orders unless this program says every few seconds that it lives.

    It beats from a thread of its own from the moment it is made. It counts for the whole account (at Binance and
    WhiteBIT for each symbol given): orders of other bots and those placed by hand are cancelled too, and two switches
    of one account set the same timer. An order placed after the timer ran out stands until the next beat arms it again.

    As a context manager it closes itself; a block left by an exception stays armed, so that its orders are cancelled.
    After a fork it works in the parent only.

    Args:
        client: A `ResilientExchangeClient`, its async twin, or a ccxt object, sync or async.
        timeout: Seconds from the last beat to the cancelling, whole ones; within the limits of the exchange.
        every: Seconds from one beat to the next, at most half of `timeout`, so that one lost beat cancels nothing.
        while_healthy: Returns whether the bot is alive, as `checks.Heartbeat` does; while it is not, beats are
            withheld. Without it only a process that stops or dies is noticed, and no loop that hangs.
        symbols: The markets whose orders are to be cancelled, at exchanges whose timer counts for one symbol; or a
            function that returns them, which is called for each beat.
        params: Further parameters of ccxt's `cancelAllOrdersAfter`.
        on_expired: Called once with the Unix time when the timer ran out although this process lives, as after a pause
            of the machine: the orders are gone. A clock that is set ahead looks the same, so fetch the open orders.
        name: The label value `exchange`; the client's name if not given.
        clock: Where the time comes from; for tests.

    Raises:
        ValueError: The exchange has no such timer, or an argument is invalid; the message names it.
    """

    @check_keywords()
    def __init__(
        self,
        client: Client,
        *,
        timeout: float | str = 60,
        every: float | str = 20,
        while_healthy: Health | None = None,
        symbols: Symbols = (),
        params: Mapping[str, Any] | None = None,
        on_expired: Callable[[float], object] | None = None,
        name: str | None = None,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self._timer = ExchangeTimer(exchange_of(client), symbols=symbols, params=params)
        self._timeout, self._every = _times(timeout, every)
        self._timer.check(self._timeout)
        _check_callable("while_healthy", while_healthy)
        _check_callable("on_expired", on_expired)
        self._caller = Caller(client)
        self._healthy = while_healthy
        self._on_expired = on_expired
        self._clock = clock
        self._pid = os.getpid()
        self._lock = threading.RLock()  # taken by itself: in that of a condition, a signal's handler may raise
        self._condition = threading.Condition(self._lock)
        self._stopping = False
        self._beats = [0] * len(BEAT_OUTCOMES)
        self._expires: float | None = 0.0
        self._armed_at: tuple[float, float] | None = None
        self._due = 0.0
        self._sent = False
        self._outcome: int | None = None
        series = DEAD_MAN_SWITCHES.series(name_of(client) if name is None else name)
        self.name = series.name
        series.join(self, self._read)
        self._thread = threading.Thread(target=self._keep_beating, name="peak-observe-dead-man-switch", daemon=True)
        self._thread.start()

    @property
    def armed(self) -> bool:
        """Whether the exchange would cancel the orders if this program died now."""
        return bool(self._expires) and self._mine() and not self._ran_out()

    @property
    def expires_at(self) -> float:
        """Unix time at which the exchange cancels the orders unless a beat comes before; 0.0 while not armed."""
        return self._expires or 0.0

    def wait_armed(self, timeout: float = 10.0) -> bool:
        """Wait until the first beat arrived, before the first order is placed.

        Args:
            timeout: Seconds to wait at most.

        Returns:
            Whether it is armed.
        """
        if self._mine():
            with self._lock:
                self._condition.wait_for(lambda: self.armed or self._stopping, timeout)
        return self.armed

    def close(self, *, disarm: bool = True) -> None:
        """Stop beating and switch the timer of the exchange off; twice is once. In a forked child nothing happens.

        Args:
            disarm: Whether the orders shall stay; without, the exchange cancels them when the timer runs out.

        Raises:
            RuntimeError: The client is async and this is its event loop, which would wait for itself.
        """
        own_loop = self._caller.on_own_loop()
        if disarm and own_loop:
            raise RuntimeError("close() waits for the event loop that it is called on: await async_close() there")
        if not self._stop():
            return
        if not own_loop and self._thread is not threading.current_thread():  # which it is in on_expired
            self._thread.join()
        if disarm and self._sent:
            self._disarmed(self._attempt(0))
        self._ended()

    async def async_close(self, *, disarm: bool = True) -> None:
        """`close()` for the event loop of an async client.

        Args:
            disarm: Whether the orders shall stay; without, the exchange cancels them when the timer runs out.
        """
        if not self._caller.asynchronous:
            return self.close(disarm=disarm)
        if not self._stop():
            return None
        from peak_observe.support.async_library import async_sleep

        while self._thread.is_alive():  # a beat under way needs this loop
            await async_sleep(0.01)
        if disarm and self._sent:
            self._disarmed(await self._caller.async_error(self._timer.requests(0)))
        return self._ended()

    def __enter__(self) -> Self:
        if self._stopping:
            raise RuntimeError(f"this dead man's switch of {self.name!r} is closed and beats no more: make another one")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close(disarm=error is None)

    async def __aenter__(self) -> Self:
        return self.__enter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.async_close(disarm=error is None)

    def __repr__(self) -> str:
        state = "closed" if self._expires is None else "armed" if self.armed else "not armed"
        return f"<DeadManSwitch {self.name!r} {state}, cancels {self._timer.rules.scope} after {self._timeout} s>"

    def _read(self) -> DeadManReading:
        return DeadManReading(self._beats, self._expires if self._mine() else None)

    def _mine(self) -> bool:
        # In a forked child the thread, the timer and the state of the lock are the parent's.
        return self._pid == os.getpid()

    def _stop(self) -> bool:
        if not self._mine():
            return False
        with self._lock:
            first, self._stopping = not self._stopping, True
            self._condition.notify_all()
        return first

    def _ended(self) -> None:
        self._expires = None
        writer.soon()

    def _disarmed(self, error: Exception | None) -> None:
        if error is not None:
            scope = self._timer.rules.scope
            _log("error", "%s is not disarmed and cancels %s: %s", self.name, scope, describe(error))

    def _keep_beating(self) -> None:
        pause = 0.0
        while self._goes_on_after(pause):
            self._note_expiry()
            pause = self._turn()

    def _goes_on_after(self, pause: float) -> bool:
        with self._lock:
            self._condition.wait_for(lambda: self._stopping, pause)
            return not self._stopping

    def _turn(self) -> float:
        """Beat if one is due and the bot is healthy; return the seconds until the next look."""
        now = self._clock.monotonic()
        if now < self._due and self._outcome != WITHHELD:
            return self._due - now
        sickness = self._sickness()
        if not sickness:
            self._due = now + (self._every if self._beat() else self._every / 4)
            return max(0.0, self._due - self._clock.monotonic())
        if now >= self._due:
            self._due = now + self._every
            self._count(WITHHELD, f"beats are withheld: {sickness}")
        return min(LOOK_AGAIN, self._every / 4)

    def _sickness(self) -> str:
        """Return why the bot counts as not healthy, empty if it is."""
        if self._healthy is None:
            return ""
        try:
            answer: Any = self._healthy()
        except (Exception, SystemExit) as error:  # noqa: BLE001 - what cannot tell that the bot lives holds beats back
            return describe(error)
        if inspect.iscoroutine(answer):
            answer.close()
            return "while_healthy returned a coroutine, which nobody awaits here"
        ok, *message = answer[:2] if isinstance(answer, tuple) and answer else (answer,)
        return "" if ok else str(*message) or "the bot is not healthy"

    def _beat(self) -> bool:
        wall, monotonic = self._clock.now().timestamp(), self._clock.monotonic()
        self._sent = True  # one whose answer is lost may have armed it all the same
        error = self._attempt(self._timeout)
        if error is not None:
            self._count(FAILED, f"a beat failed: {describe(error)}")
            return False
        with self._lock:
            if self._expires is not None:  # else it was closed meanwhile
                self._expires, self._armed_at = wall + self._timeout, (wall, monotonic)
            self._condition.notify_all()
        self._count(SUCCESS, "")
        return True

    def _attempt(self, timeout: int) -> Exception | None:
        return self._caller.error(self._timer.requests(timeout))

    def _count(self, outcome: int, problem: str) -> None:
        self._beats = increased(self._beats, outcome)
        before, self._outcome = self._outcome, outcome
        if before == outcome:
            return
        scope, left = self._timer.rules.scope, self.expires_at - self._clock.now().timestamp()
        if outcome == SUCCESS:
            _log("info", "%s cancels %s %d s after the last beat", self.name, scope, self._timeout)
        else:
            when = f"in {left:.0f} s" if left > 0 else "never, as it is not armed"
            _log("warning", "%s: %s; it cancels %s %s", self.name, problem, scope, when)
        writer.soon()

    def _ran_out(self) -> bool:
        # A machine that slept did not count it as time passed; a clock that was set knows nothing of a process stopped.
        at = self._armed_at
        return at is not None and (self._clock.now().timestamp() - at[0] > self._timeout or self._surely_ran_out(at))

    def _surely_ran_out(self, armed_at: tuple[float, float]) -> bool:
        """Return whether so much time has passed by the monotonic clock, which nobody sets."""
        return self._clock.monotonic() - armed_at[1] > self._timeout

    def _note_expiry(self) -> None:
        armed_at = self._armed_at
        if armed_at is None or not self._ran_out():
            return
        self._armed_at = None
        at, sure = self._expires or 0.0, self._surely_ran_out(armed_at)
        what = "it has cancelled" if sure else "if the machine slept and its clock was not set ahead, it has cancelled"
        _log("error", "%s had no beat for %d s: %s %s", self.name, self._timeout, what, self._timer.rules.scope)
        try:
            if self._on_expired is not None:
                self._on_expired(at)
        except (Exception, SystemExit) as error:  # noqa: BLE001 - the beats go on
            _log("error", "on_expired of the dead man's switch raised: %s", describe(error))


def _times(timeout: float | str, every: float | str) -> tuple[int, float]:
    found = {}
    for name, value in (("timeout", timeout), ("every", every)):
        try:
            found[name] = seconds(value)
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from None
    if found["timeout"] % 1:
        raise ValueError(f"timeout must be a number of whole seconds, as exchanges count them, not {shown(timeout)}")
    if found["every"] > found["timeout"] / 2:
        raise ValueError(
            f"every must be at most half of timeout ({found['timeout'] / 2:g} s), so that one lost beat cancels "
            f"nothing, not {shown(every)}"
        )
    return int(found["timeout"]), found["every"]


def _check_callable(name: str, value: object) -> None:
    if value is not None and (not callable(value) or inspect.iscoroutinefunction(value)):
        raise ValueError(f"{name} must be a plain function, not {shown(value)}")


def _log(level: str, message: str, *values: object) -> None:
    from peak_observe.support.loggers import logger

    getattr(logger("peak_observe.safety"), level)(message, *values)
