"""Nested scopes of a thread or task that end with their block, also for tasks that were started inside."""

from __future__ import annotations

import sys
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Generic, TypeVar
from weakref import ref

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

T = TypeVar("T")

_ENTRIES = frozenset({"__enter__", "__aenter__", "__exit__", "__aexit__"})
_CO_GENERATOR, _CO_ASYNC_GENERATOR = 0x20, 0x200


class Scope(Generic[T]):
    """One entered block, held by the block alone: if Ctrl-C comes before it is left, it ends with its frame.

    Args:
        value: What it was entered with.
        generator: The frame of the generator that it belongs to; it holds while that runs, not for its consumer.
    """

    __slots__ = ("__weakref__", "generator", "live", "value")

    def __init__(self, value: T, generator: FrameType | None = None) -> None:
        self.value = value
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
        self._entered: ContextVar[tuple[ref[Scope[T]], ...]] = ContextVar(name, default=())
        self.entered = self._entered.get  # one call into C: where it is empty, nothing holds

    def enter(self, value: T, generator: FrameType | None = None) -> Scope[T]:
        """Enter a scope and return it for `leave`."""
        scope, entered = Scope(value, generator), self._entered.get()
        if entered:
            entered = tuple(one for one in entered if (found := one()) is not None and found.live)
        self._entered.set((*entered, ref(scope)))
        return scope

    def leave(self, scope: Scope[T]) -> None:
        """End a scope, wherever it was entered; a second time does nothing."""
        scope.live, scope.generator = False, None
        entered = self._entered.get()
        if entered and entered[-1]() is scope:
            self._entered.set(entered[:-1])

    def values(self) -> Iterator[T]:
        """Yield the values of the scopes that hold here, the innermost first."""
        for one in reversed(self._entered.get()):
            scope = one()
            if scope is not None and scope.holds:
                yield scope.value

    def innermost(self) -> T | None:
        """Return the value of the innermost scope that holds here."""
        return next(self.values(), None) if self._entered.get() else None


def generator_of(frame: FrameType | None) -> FrameType | None:
    """Return the frame of the generator that a block in `frame` belongs to, or None if there is none.

    The generator of a context manager, or its `__enter__`, stands for the block that uses it.
    """
    while frame is not None and (_is_entry(frame) or (_is_generator(frame) and _is_contextlib(frame.f_back))):
        frame = frame.f_back
    return frame if frame is not None and _is_generator(frame) else None


def caller(depth: int) -> FrameType:
    """Return the frame of the caller's caller for a depth of 1, and so on."""
    return sys._getframe(depth + 1)  # noqa: SLF001 - documented, and the only way to know the block


def _is_generator(frame: FrameType) -> bool:
    return bool(frame.f_code.co_flags & (_CO_GENERATOR | _CO_ASYNC_GENERATOR))


def _is_entry(frame: FrameType) -> bool:
    return frame.f_code.co_name in _ENTRIES or _is_contextlib(frame)


def _is_contextlib(frame: Any) -> bool:
    return frame is not None and frame.f_globals.get("__name__") == "contextlib"
