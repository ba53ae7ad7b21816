"""Nested scopes of a thread or task that end with their block, also for tasks that were started inside."""

from __future__ import annotations

import sys
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

T = TypeVar("T")

_CO_GENERATOR, _CO_ASYNC_GENERATOR = 0x20, 0x200


class Scope(Generic[T]):
    """One entered block: its value, the scope around it, and whether it has not ended.

    Args:
        value: What it was entered with.
        outer: The scope around it.
        generator: The frame of the generator that it belongs to; it holds while that runs, not for its consumer.
    """

    __slots__ = ("generator", "live", "outer", "value")

    def __init__(self, value: T, outer: Scope[T] | None, generator: FrameType | None = None) -> None:
        self.value = value
        self.outer = outer
        self.generator = generator
        self.live = True

    @property
    def holds(self) -> bool:
        """Whether it has not ended, and its generator is not suspended."""
        # A suspended generator has no frame below it; one that runs has that of its consumer.
        return self.live and (self.generator is None or self.generator.f_back is not None)


class Scopes(Generic[T]):
    """The scopes of one kind.

    A context variable alone is not enough: a task that is started inside a block keeps a copy of it for ever, and a
    generator may end in another context than it began in.

    Args:
        name: The name of the context variable.
    """

    def __init__(self, name: str) -> None:
        self._innermost: ContextVar[Scope[T] | None] = ContextVar(name, default=None)

    def enter(self, value: T, generator: FrameType | None = None) -> Scope[T]:
        """Enter a scope and return it for `leave`."""
        outer = self._innermost.get()
        while outer is not None and not outer.live:
            outer = outer.outer
        scope = Scope(value, outer, generator)
        self._innermost.set(scope)
        return scope

    def leave(self, scope: Scope[T]) -> None:
        """End a scope, wherever it was entered; a second time does nothing."""
        scope.live, scope.generator = False, None
        if self._innermost.get() is scope:
            self._innermost.set(scope.outer)

    def values(self) -> Iterator[T]:
        """Yield the values of the scopes that hold here, the innermost first."""
        scope = self._innermost.get()
        while scope is not None:
            if scope.holds:
                yield scope.value
            scope = scope.outer

    def innermost(self) -> T | None:
        """Return the value of the innermost scope that holds here."""
        return None if self._innermost.get() is None else next(self.values(), None)


def generator_of(frame: FrameType | None) -> FrameType | None:
    """Return the frame of the generator that a block in `frame` belongs to, or None if there is none.

    The generator of a context manager stands for the block that uses it.
    """
    while frame is not None and (_is_contextlib(frame) or (_is_generator(frame) and _is_contextlib(frame.f_back))):
        frame = frame.f_back
    return frame if frame is not None and _is_generator(frame) else None


def caller(depth: int) -> FrameType:
    """Return the frame of the caller's caller for a depth of 1, and so on."""
    return sys._getframe(depth + 1)  # noqa: SLF001 - documented, and the only way to know the block


def _is_generator(frame: FrameType) -> bool:
    return bool(frame.f_code.co_flags & (_CO_GENERATOR | _CO_ASYNC_GENERATOR))


def _is_contextlib(frame: Any) -> bool:
    return frame is not None and frame.f_globals.get("__name__") == "contextlib"
