"""Priority class of the calls in a block, for rate limits that reserve a share for one."""

from __future__ import annotations

from contextvars import ContextVar

from peak_observe.measures.series import check_name
from peak_observe.resilience.common.context import SyncAsyncContext
from peak_observe.support.shown import label

DEFAULT = "default"
"""The class of calls outside of any block, and of those whose class has no share of its own."""


class priority(SyncAsyncContext):  # noqa: N801 - it is written like the functions it stands beside
    """Give all calls in a block a priority class; use `with` or `async with`.

    A rate limit with `reserve={"trade": 0.2}` keeps a fifth of its rate for the calls of class `trade`. Threads that
    are started inside do not inherit the class; tasks do, until the block ends. Of nested blocks the innermost counts.

    Args:
        name: The class.

    Raises:
        ValueError: The name is not a string, or is empty.
    """

    __slots__ = ("_blocks", "name")

    def __init__(self, name: str) -> None:
        check_name(name)
        self.name = name
        self._blocks: list[_Block] = []

    def _enter(self) -> None:
        block = _Block(self.name)
        self._blocks.append(block)
        # Blocks that have ended are dropped, or a task that starts its successor for ever would collect them.
        _entered.set((*(outer for outer in _entered.get() if outer.open), block))

    def _exit(self, error: BaseException | None) -> None:  # noqa: ARG002 - however the block ends
        here = _entered.get()
        block = next((block for block in reversed(here) if block in self._blocks), self._blocks[-1])
        block.open = False
        self._blocks.remove(block)
        if block in here:
            _entered.set(tuple(other for other in here if other is not block))

    def __repr__(self) -> str:
        return f"priority({label(self.name)!r})"


class _Block:
    """Entered block of a priority class; tasks that it started see whether it is still open."""

    __slots__ = ("name", "open")

    def __init__(self, name: str) -> None:
        self.name = name
        self.open = True


_entered: ContextVar[tuple[_Block, ...]] = ContextVar("peak_observe_priority", default=())


def current_priority() -> str:
    """Return the priority class of this thread or task; `default` outside of any block."""
    return next((block.name for block in reversed(_entered.get()) if block.open), DEFAULT)
