"""Reconciler: compare what a bot believes with what its exchange says, before the first order and every minute."""

from __future__ import annotations

import inspect
import os
import sys
import threading
from collections.abc import Callable, Generator, Iterable, Mapping
from contextlib import suppress
from functools import partial
from types import TracebackType
from typing import Any, NamedTuple, Self

from peak_observe.catalog import DIFFERENCE_KINDS, RECONCILE_OUTCOMES
from peak_observe.clock import SYSTEM_CLOCK, Clock
from peak_observe.measures import RECONCILERS, ReconcileReading, increased
from peak_observe.safety import books
from peak_observe.safety.books import Difference, Tolerance
from peak_observe.safety.exchange_calls import Caller, Client, exchange_of, name_of, symbol_names
from peak_observe.support.durations import LONGEST, seconds
from peak_observe.support.keywords import check_keywords
from peak_observe.support.redact import describe
from peak_observe.support.shown import shown
from peak_observe.telemetry.snapshot import writer

AGREED, DIFFERED, FAILED = range(len(RECONCILE_OUTCOMES))
MOST_NAMED = 3
"""Differences that `on_difference` and the log name."""

Steps = Generator[Callable[[], Any], Any, tuple["Difference", ...]]
"""A comparison: yields what is to be called, or awaited, and is sent its result."""


class _Side(NamedTuple):
    """One kind of book: what the program believes, and ccxt's feature and method that tell what is true."""

    believed: Callable[[], Any]
    feature: str
    method: str


class Reconciler:
    """Reconciler of a bot's books with its exchange: it counts and reports differences, and never trades.

    A difference counts when two looks, `settle` seconds apart, agree on it: orders and balances become visible late,
    and an order may fill between two questions. Call `run()` before the first order, and `start()` for a look every
    minute. As a context manager it starts and stops. After a fork it runs in the parent only.

    Args:
        client: A `ResilientExchangeClient`, its async twin, or a ccxt object, sync or async.
        balances: Returns the total amounts that the program believes to hold, by currency; others do not count.
        orders: Returns the orders that it takes for open: ids, client order ids, or orders of ccxt.
        positions: Returns the contracts that it believes to hold by market, below 0 for short; all markets count.
        symbols: The markets whose open orders are asked for, one by one; all at once if not given, which not every
            exchange allows.
        every: Seconds from one look to the next after `start()`.
        tolerance: The amount by which balances and positions may differ, or amounts by currency and market.
        settle: Seconds until the second look.
        on_difference: Called with a text that names the differences when there is a new one, such as `trading.halt`.
        name: The label value `exchange`; the client's name if not given.
        clock: Where time and sleep come from; for tests.

    Raises:
        ValueError: There is nothing to compare, the exchange does not tell it, or a number is invalid.
        TypeError: What is to be called is no function.
    """

    @check_keywords()
    def __init__(
        self,
        client: Client,
        *,
        balances: Callable[[], Any] | None = None,
        orders: Callable[[], Any] | None = None,
        positions: Callable[[], Any] | None = None,
        symbols: Iterable[str] = (),
        every: float | str = 60,
        tolerance: Tolerance = 1e-8,
        settle: float = 5,
        on_difference: Callable[[str], object] | None = None,
        name: str | None = None,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self._caller, self._client = Caller(client), client
        self._symbols = symbol_names(symbols)
        self._sides = _sides(exchange_of(client), balances, orders, positions)
        self._every, self._settle = _times(every, settle)
        self._tolerance = _tolerance(tolerance)
        if on_difference is not None and (not callable(on_difference) or inspect.iscoroutinefunction(on_difference)):
            raise TypeError(f"on_difference must be a plain function of one text, not {shown(on_difference)}")
        self._on_difference = on_difference
        self._clock = clock
        self._thread: threading.Thread | None = None
        self._renew()
        self._stopping = False
        self._runs = [0] * len(RECONCILE_OUTCOMES)
        self._found: tuple[Difference, ...] | None = None
        self._last_success = 0.0
        self._last_run: float | None = None
        self._told = ""
        series = RECONCILERS.series(name_of(client) if name is None else name)
        self.name = series.name
        series.join(self, self._read)

    @property
    def differences(self) -> tuple[Difference, ...]:
        """The differences that the last comparison found."""
        return self._found or ()

    def run(self) -> tuple[Difference, ...]:
        """Compare now, and return the differences; it takes `settle` seconds if the first look finds any.

        Raises:
            TypeError: The client is async: await `async_run()`.
            Exception: What the exchange, or the program's own functions, raised.
        """
        if self._caller.asynchronous:
            raise TypeError("the client is async: await async_run() on its event loop")
        with _Run(self) as run:
            steps, answer = self._steps(), None
            while True:
                try:
                    step = steps.send(answer)
                except StopIteration as end:
                    run.found = end.value
                    return run.found
                if step is _settle:
                    self._clock.sleep(self._settle)
                answer = step()

    async def async_run(self) -> tuple[Difference, ...]:
        """Compare now on the event loop of an async client; what the program believes may come from coroutines.

        Raises:
            Exception: What the exchange, or the program's own functions, raised.
        """
        with _Run(self) as run:
            steps, answer = self._steps(), None
            while True:
                try:
                    step = steps.send(answer)
                except StopIteration as end:
                    run.found = end.value
                    return run.found
                if step is _settle:
                    await self._clock.async_sleep(self._settle)
                answer = step()
                answer = await answer if inspect.isawaitable(answer) else answer

    def start(self) -> None:
        """Compare every `every` seconds in a thread of its own, or on the loop of an async client.

        The first time is now, unless `run()` was called before. A comparison that fails is logged
        and tried again next time.
        """
        if self._pid != os.getpid():
            self._renew()
        with self._lock:
            self._stopping = False
            if self._thread is None:
                thread = threading.Thread(target=self._keep_running, name="peak-observe-reconciler", daemon=True)
                self._thread = thread  # first: the thread ends where it is another's turn
                try:
                    thread.start()
                except BaseException:  # so that a second start is none in vain
                    self._thread = None
                    raise

    def _renew(self) -> None:
        # The lock is taken by itself: that of a condition is Python code, in which a handler of a signal may raise.
        self._lock = threading.RLock()
        self._condition = threading.Condition(self._lock)
        self._thread, self._pid = None, os.getpid()

    def stop(self) -> None:
        """End the thread; a comparison under way ends by itself. Twice is once."""
        if self._pid != os.getpid():
            return
        with self._lock:
            self._stopping, self._thread = True, None
            self._condition.notify_all()
        writer.soon()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    def __repr__(self) -> str:
        kinds = ", ".join(side.method.removeprefix("fetch_") for side in self._sides.values())
        return f"<Reconciler {self.name!r} of {kinds}: {len(self.differences)} differences>"

    def _read(self) -> ReconcileReading:
        if self._pid != os.getpid():  # what was found is the parent's to tell
            return ReconcileReading(self._runs, None, None, None)
        counts = None
        if self._found is not None:
            counts = [sum(found.kind == kind for found in self._found) for kind in DIFFERENCE_KINDS]
        return ReconcileReading(self._runs, counts, self._last_success, self._every if self._thread else None)

    def _steps(self) -> Steps:
        first = yield from self._look()
        if not first:
            return ()
        yield _settle
        return books.agreed(first, (yield from self._look()), self._tolerance)

    def _look(self) -> Steps:
        found: list[Difference] = []
        if side := self._sides.get("balances"):
            balance = yield getattr(self._client, side.method)
            found += books.compare_balances((yield side.believed), balance, self._tolerance)
        if side := self._sides.get("orders"):
            orders: list[Any] = []
            for symbol in self._symbols or (None,):
                orders += yield partial(getattr(self._client, side.method), symbol)
            found += books.compare_orders((yield side.believed), orders)
        if side := self._sides.get("positions"):
            positions = yield getattr(self._client, side.method)
            found += books.compare_positions((yield side.believed), positions, self._tolerance)
        return tuple(found)

    def ended(self, found: tuple[Difference, ...] | None, error: BaseException | None) -> None:
        """Record how a comparison ended, and report new differences."""
        self._last_run = self._clock.monotonic()
        if found is None:
            self._runs = increased(self._runs, FAILED)
            if error is not None and self._told != (text := describe(error)):
                _log("error", "books of %s could not be compared: %s", self.name, text)
                self._told = text
            return
        before, self._found, self._told = {(one.kind, one.what) for one in self.differences}, found, ""
        self._runs = increased(self._runs, DIFFERED if found else AGREED)
        self._last_success = self._clock.now().timestamp()
        if before and not found:
            _log("info", "books of %s agree again", self.name)
        if any((one.kind, one.what) not in before for one in found):
            self._tell(found)
        writer.soon()

    def _tell(self, found: tuple[Difference, ...]) -> None:
        more = f"; and {len(found) - MOST_NAMED} more" if len(found) > MOST_NAMED else ""
        text = f"books of {self.name} differ: {'; '.join(map(str, found[:MOST_NAMED]))}{more}"
        _log("error", "%s", text)
        if self._on_difference is not None:
            try:
                self._on_difference(text)
            except (Exception, SystemExit) as error:  # noqa: BLE001 - the comparison stands
                _log("error", "on_difference of the books of %s raised: %s", self.name, describe(error))

    def _keep_running(self) -> None:
        while self._goes_on_after(self._due_in()):
            self._last_run = self._clock.monotonic()
            with suppress(Exception, SystemExit):  # it is counted and logged by then, and tried again
                self._run_in_thread()

    def _run_in_thread(self) -> None:
        if not self._caller.asynchronous:
            self.run()
            return
        import asyncio

        loop = self._caller.loop
        if loop is None or not loop.is_running():
            with _Run(self):
                raise RuntimeError("the event loop of the client does not run")
        asyncio.run_coroutine_threadsafe(self.async_run(), loop).result()

    def _due_in(self) -> float:
        last = self._last_run
        return 0.0 if last is None else max(0.0, last + self._every - self._clock.monotonic())

    def _goes_on_after(self, pause: float) -> bool:
        me = threading.current_thread()
        with self._lock:
            self._condition.wait_for(lambda: self._stopping or self._thread is not me, pause)
            return not self._stopping and self._thread is me


class _Run:
    """Context manager around one comparison: however it ends, it is recorded."""

    def __init__(self, reconciler: Reconciler) -> None:
        self._reconciler = reconciler
        self.found: tuple[Difference, ...] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._reconciler.ended(self.found, error)


def _settle() -> None:
    """Stand for the pause between two looks."""


_METHODS = {
    "balances": ("fetchBalance", "fetch_balance"),
    "orders": ("fetchOpenOrders", "fetch_open_orders"),
    "positions": ("fetchPositions", "fetch_positions"),
}


def _sides(exchange: Any, *believed: Callable[[], Any] | None) -> dict[str, _Side]:
    found = {}
    for (name, (feature, method)), function in zip(_METHODS.items(), believed, strict=True):
        if function is None:
            continue
        if not callable(function):
            raise TypeError(f"{name} must be a function that returns what the program believes, not {shown(function)}")
        if not exchange.has.get(feature):
            raise ValueError(f"{name} cannot be compared, as ccxt has no {feature} for {exchange.id}")
        found[name] = _Side(function, feature, method)
    if not found:
        raise ValueError("there is nothing to compare: give balances=, orders= or positions=")
    return found


def _times(every: float | str, settle: float) -> tuple[float, float]:
    try:
        found = seconds(every)
    except ValueError as error:
        raise ValueError(f"every: {error}") from None
    if isinstance(settle, bool) or not isinstance(settle, int | float) or not 0 <= settle <= LONGEST:
        raise ValueError(f"settle must be a number of seconds, at least 0, not {shown(settle)}")
    return found, float(settle)


def _tolerance(tolerance: Tolerance) -> Tolerance:
    amounts = tolerance.values() if isinstance(tolerance, Mapping) else (tolerance,)
    for amount in amounts:
        if isinstance(amount, bool) or not isinstance(amount, int | float) or not 0 <= amount <= sys.float_info.max:
            raise ValueError(f"tolerance must be an amount of at least 0, or amounts by name, not {shown(amount)}")
    return tolerance


def _log(level: str, message: str, *values: object) -> None:
    from peak_observe.support.loggers import logger

    getattr(logger("peak_observe.safety"), level)(message, *values)
