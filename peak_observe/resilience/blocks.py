"""Blocks of code as calls: `with` and `async with`."""

from __future__ import annotations

from contextvars import ContextVar
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from types import TracebackType

    from peak_observe.resilience.guard import Guard

# The guards of the blocks that this thread or task is inside of, the innermost last.
_entered: ContextVar[tuple[tuple[Blocks, Guard], ...]] = ContextVar("peak_observe_entered", default=())


class Blocks:
    """What makes each `with` block of a breaker one call, also where blocks of one breaker nest or run side by side."""

    def _guard(self) -> Guard:
        raise NotImplementedError

    def __enter__(self) -> Self:
        guard = self._guard()
        guard.__enter__()
        _entered.set((*_entered.get(), (self, guard)))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        entered = list(_entered.get())
        last = max(index for index, (breaker, _) in enumerate(entered) if breaker is self)
        _, guard = entered.pop(last)
        _entered.set(tuple(entered))
        guard.__exit__(kind, error, traceback)

    async def __aenter__(self) -> Self:
        return self.__enter__()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.__exit__(kind, error, traceback)
