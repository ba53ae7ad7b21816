"""Bulkhead as decorator and context manager: it bounds how many calls are under way at a time."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from types import CoroutineType
from typing import Any, NoReturn, TypeVar

from peak_observe.clock import SYSTEM_CLOCK, Clock
from peak_observe.resilience.common import strategy, validation, wrapping
from peak_observe.resilience.common.context import SyncAsyncContext
from peak_observe.resilience.common.keywords import check_keywords
from peak_observe.resilience.common.modes import ENFORCE, Mode, check_mode
from peak_observe.resilience.limits import snapshots
from peak_observe.resilience.limits.late_controller import LateController
from peak_observe.resilience.limits.semaphore import FairSemaphore, GeneratorPermit, Permit
from peak_observe.support.shown import label

F = TypeVar("F", bound=Callable[..., Any])

FOREIGN_NAMES = {"max_calls max_concurrent max_concurrent_calls": "limit", "max_wait timeout": "wait"}
"""Names of arguments in resilience4j and Polly, each with ours."""


class Bulkhead(strategy.Configured, SyncAsyncContext):
    """Bounds how many calls are under way; see `bulkhead` for the arguments.

    All functions that it decorates, and all `with` blocks, share its places. A call inside a call of the same bulkhead
    belongs to it: it takes no place of its own and is not counted.
    """

    kind = strategy.BULKHEAD

    def __init__(self, limit: int, wait: float, name: str | None, clock: Clock, mode: Mode = ENFORCE) -> None:
        settings: dict[str, Any] = {"limit": limit, "wait": wait, "mode": mode}
        self._settings = settings
        # Without `self`, as with a circle of references its gauges would outlive it.
        self._late = LateController(name, lambda name: FairSemaphore(name=name, clock=clock, **settings))
        self._blocks: dict[Permit, None] = {}  # of `with` blocks: weak references would not keep them
        if name is not None:
            self.core(name)

    @property
    def name(self) -> str | None:
        """The name by which it is known; None until it is used, if it was given none."""
        return self._late.name

    @property
    def in_flight(self) -> int:
        """Number of calls under way."""
        return 0 if self._late.made is None else len(self._late.made.holders)

    @property
    def stats(self) -> snapshots.LimitStats:
        """Calls by outcome so far, as a frozen record."""
        return self.snapshot().stats

    def snapshot(self) -> snapshots.BulkheadSnapshot:
        """Return settings, counts and state of this moment, as a frozen record."""
        return snapshots.bulkhead_snapshot(self.core())

    @check_keywords(FOREIGN_NAMES)
    def configure(
        self,
        *,
        limit: int | None = None,
        wait: float | None = None,
        mode: Mode | None = None,
    ) -> None:
        """Change settings while calls go on; what is not given stays as it is.

        A larger limit lets waiting calls in at once. A smaller one ends no call: new ones enter when there is room.

        Args:
            limit: How many calls may be under way, at least 1.
            wait: Seconds that a call waits at most.
            mode: `enforce`, or `observe` to count only and let all pass.

        Raises:
            TypeError: There is no such setting; the message says which one was meant.
            ValueError: An argument makes no sense; nothing is changed then.
        """
        changes = {"limit": limit, "wait": wait, "mode": mode}
        settings = {**self._settings, **{key: value for key, value in changes.items() if value is not None}}
        _check(**settings)
        self._settings.update(settings)
        self.core().adopt(**settings)

    def adopt(self, other: Bulkhead) -> None:
        """Take over the settings of another one; calls under way stay."""
        self.configure(**other._settings)

    def core(self, name: str = strategy.BULKHEAD) -> FairSemaphore:
        """Return its semaphore; the first time under this name, if it was given none."""
        return self._late.get(name)

    def call(self, func: F) -> F:
        """Return `func` with a place in the bulkhead while it runs; every kind of function stays what it is."""
        protected: F = wrapping.decorate(func, self._wrap)
        return protected

    __call__ = call

    def _wrap(self, func: Callable[..., Any]) -> Callable[..., Any]:
        wrapper = self._wrapper(func, self.core(wrapping.default_name(func)))
        wrapper._peak_bulkhead = self  # type: ignore[attr-defined] # noqa: SLF001 - what is decorated keeps it alive
        return wrapper

    def _wrapper(self, func: Callable[..., Any], semaphore: FairSemaphore) -> Callable[..., Any]:
        kind = wrapping.kind(func)
        if kind == wrapping.GENERATOR:
            return wrapping.wrap_generator_steps(func, lambda: GeneratorPermit(semaphore), _step)
        if kind == wrapping.ASYNC_GENERATOR:
            return wrapping.wrap_async_generator_steps(func, lambda: GeneratorPermit(semaphore), _async_step)
        return _coroutine(func, semaphore) if kind == wrapping.COROUTINE else _function(func, semaphore)

    def _enter(self) -> None:
        if not self._nest():
            permit = Permit(self.core())
            permit.__enter__()
            self._blocks[permit] = None

    async def _async_enter(self) -> None:
        if not self._nest():
            permit = Permit(self.core())
            await permit.__aenter__()
            self._blocks[permit] = None

    def _exit(self, error: BaseException | None) -> None:  # noqa: ARG002 - however the block ends
        permit = self._current() or self._any_block()
        if permit is None:
            return
        if permit.blocks:
            permit.blocks -= 1
        else:
            self._blocks.pop(permit, None)
            permit.release()

    def _nest(self) -> bool:
        """Return whether a block that begins belongs to the call or block around it, and count it there."""
        permit = self._current()
        if permit is None:
            return False
        permit.blocks += 1
        return True

    def _current(self) -> Permit | None:
        held = self.core().held()
        return None if held is None else held()

    def _any_block(self) -> Permit | None:
        # A block that ends in another thread or task than it began in: places are alike, so any of them will do.
        holders = self.core().holders
        return next((permit for permit in list(self._blocks) if permit.ref in holders), None)

    def __reduce__(self) -> NoReturn:
        raise TypeError(f"{self!r} counts the calls of this process and cannot be sent to another: make one there")

    def __repr__(self) -> str:
        name = None if self.name is None else label(self.name)
        return f"<Bulkhead {name!r} {self.in_flight} of {self._settings['limit']}>"


def _function(func: Callable[..., Any], semaphore: FairSemaphore) -> Callable[..., Any]:
    @wraps(func)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        with Permit(semaphore) as permit:
            result = func(*args, **kwargs)
            if type(result) is CoroutineType:
                permit.keep()
                return _finish(result, permit)
            return result

    return wrapper


async def _finish(coroutine: Any, permit: Permit) -> Any:
    # A plain function that returns a coroutine, a lambda mostly: it is under way until that has ended.
    try:
        permit.enter()
        return await coroutine
    finally:
        permit.release()


def _coroutine(func: Callable[..., Any], semaphore: FairSemaphore) -> Callable[..., Any]:
    @wraps(func)
    async def wrapper(*args: Any, **kwargs: Any) -> Any:
        async with Permit(semaphore):
            return await func(*args, **kwargs)

    return wrapper


def _step(permit: Permit, resume: Callable[[Any], Any], value: Any) -> Any:
    if not permit.holds:
        permit.__enter__()  # it began inside a call, which may have ended since
    permit.enter()
    try:
        return resume(value)
    finally:
        permit.leave()


async def _async_step(permit: Permit, resume: Callable[[Any], Any], value: Any) -> Any:
    if not permit.holds:
        await permit.__aenter__()
    permit.enter()
    try:
        return await resume(value)
    finally:
        permit.leave()


def _check(limit: int, wait: float, mode: str) -> None:
    validation.check_count("limit", limit)
    validation.check_seconds("wait", wait)
    check_mode(mode)


@check_keywords(FOREIGN_NAMES)
def bulkhead(
    limit: int,
    wait: float = 0.0,
    *,
    mode: Mode = ENFORCE,
    name: str | None = None,
    clock: Clock = SYSTEM_CLOCK,
) -> Bulkhead:
    """Let at most `limit` calls be under way at a time; a decorator, also `with` and `async with`.

    Waiting calls enter in the order in which they came, threads and tasks of any number of event loops alike. All
    that it decorates shares its places. A call inside a call of the same bulkhead, in the same thread or task or in a
    task that it starts, belongs to it as long as it is under way: it passes, and is counted once.

    Args:
        limit: How many calls may be under way, at least 1.
        wait: Seconds that a call waits at most; the deadline of the caller may end it earlier.
        mode: `enforce`, or `observe` to let all calls pass and count those that would have waited or been refused.
        name: The label value of the metrics; by default module and name of the first function that it decorates.
        clock: Source of the time in which waits are counted; for tests.

    Raises:
        ValueError: An argument makes no sense; the message names it.
    """
    if validation.is_function(limit):
        raise ValueError("bulkhead needs a limit: write @bulkhead(8)")
    _check(limit, wait, mode)
    return Bulkhead(limit, float(wait), name, clock, mode)
