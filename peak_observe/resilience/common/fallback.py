"""Fallback for the result of a call that failed or was rejected."""

from __future__ import annotations

from functools import wraps
from typing import TYPE_CHECKING, Any

from peak_observe.resilience.common import wrapping

if TYPE_CHECKING:
    from collections.abc import Callable


class Absent:
    """The type of values that stand for an absent one, as None may be present.

    Args:
        name: How it is shown.
    """

    def __init__(self, name: str) -> None:
        self._name = name

    def __repr__(self) -> str:
        return self._name


NO_FALLBACK = Absent("NO_FALLBACK")


def check_kind(func: Callable[..., Any], kind: str) -> None:
    """Raise TypeError for a generator function, half of which may be used when it fails."""
    if kind in {wrapping.GENERATOR, wrapping.ASYNC_GENERATOR}:
        raise TypeError(f"a fallback cannot stand in for the {kind} {wrapping.name_of(func)}, half of it may be used")


def result_instead_of(error: Exception | None, fallback: Any) -> Any:
    """Return the value, or what the function returns of the error."""
    return fallback(error) if callable(fallback) else fallback


def is_awaitable(result: object) -> bool:
    """Return whether the result of a fallback has to be awaited, as that of a coroutine function."""
    return hasattr(type(result), "__await__")


def with_fallback(
    protected: Callable[..., Any],
    applies_to: Callable[[Exception], bool],
    fallback: Any,
    *,
    asynchronous: bool,
) -> Callable[..., Any]:
    """Return a protected function that returns the fallback where its call was rejected or failed.

    Args:
        protected: The protected function.
        applies_to: Returns whether an error is one of those.
        fallback: A value, or a function of the error, which may be a coroutine function where the protected one is.
        asynchronous: Whether the protected function is a coroutine function.
    """

    async def awaited(coroutine: Any) -> Any:
        try:
            return await coroutine
        except Exception as error:
            if not applies_to(error):
                raise
            answer = result_instead_of(error, fallback)
        return await answer if is_awaitable(answer) else answer

    @wraps(protected)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        try:
            result = protected(*args, **kwargs)
        except Exception as error:
            if not applies_to(error):
                raise
            return result_instead_of(error, fallback)
        return wrapping.finished_by(result, awaited(result)) if wrapping.is_deferred(result) else result

    @wraps(protected)
    async def async_wrapper(*args: Any, **kwargs: Any) -> Any:
        return await awaited(protected(*args, **kwargs))

    return async_wrapper if asynchronous else wrapper
