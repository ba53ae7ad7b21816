"""Fallback for the result of a call that failed or was rejected."""

from __future__ import annotations

from functools import wraps
from typing import TYPE_CHECKING, Any, Protocol

from peak_observe.resilience.common import wrapping
from peak_observe.resilience.common.unknown_outcome import unknown_outcome_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from peak_observe.resilience.common.call_keys import Key


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


class LastGood:
    """Fallback of the last good results; see `last_good` for the arguments.

    It is a description: each function that it is the fallback of has results of its own.
    """

    def __init__(self, max_age: float, key: Key | None, max_size: int) -> None:
        self.max_age = max_age
        self.key = key
        self.max_size = max_size

    def __repr__(self) -> str:
        return f"<last_good of {self.max_age:g} s>"


class LastResults(Protocol):
    """Protocol of the last good results of one function."""

    def keep(self, args: tuple[Any, ...], kwargs: dict[str, Any], result: Any) -> None:
        """Keep the result of a call."""


class StandIn(Protocol):
    """Protocol of what stands in for the results of one function."""

    @property
    def results(self) -> LastResults | None:
        """The last good results, if they were asked for."""

    def find(self, error: Exception, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Return what stands for the result of a call that failed, as `result`; None where nothing does."""

    def note(self, wrapper: Callable[..., Any]) -> None:
        """Mark the function's wrapper."""


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


def with_fallback(  # noqa: C901 - two wrappers that share what they ask
    protected: Callable[..., Any],
    applies_to: Callable[[Exception], bool],
    stand_in: StandIn,
    *,
    asynchronous: bool,
    is_good: Callable[[Any], Any] = lambda _: True,
) -> Callable[..., Any]:
    """Return a protected function that returns the fallback where its call was rejected or failed.

    None stands in for an order that may stand, or nobody would look for it.

    Args:
        protected: The protected function.
        applies_to: Returns whether an error is one of those.
        stand_in: The fallback of this function.
        asynchronous: Whether the protected function is a coroutine function.
        is_good: Returns whether a result may stand for later ones; an awaitable in coroutine functions, if it likes.
    """
    results = stand_in.results

    def find(error: Exception, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if unknown_outcome_of(error) is not None or not applies_to(error):
            return None
        return stand_in.find(error, args, kwargs)

    async def awaited(coroutine: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        try:
            result = await coroutine
        except Exception as error:
            found = find(error, args, kwargs)
            if found is None:
                raise
        else:
            if results is not None:
                good = is_good(result)
                if await good if is_awaitable(good) else good:
                    results.keep(args, kwargs, result)
            return result
        answer = found.result
        return await answer if results is None and is_awaitable(answer) else answer

    @wraps(protected)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        try:
            result = protected(*args, **kwargs)
        except Exception as error:
            found = find(error, args, kwargs)
            if found is None:
                raise
            return found.result
        if wrapping.is_deferred(result):
            return wrapping.finished_by(result, awaited(result, args, kwargs))
        if results is not None and is_good(result):
            results.keep(args, kwargs, result)
        return result

    @wraps(protected)
    async def async_wrapper(*args: Any, **kwargs: Any) -> Any:
        return await awaited(protected(*args, **kwargs), args, kwargs)

    chosen: Callable[..., Any] = async_wrapper if asynchronous else wrapper
    stand_in.note(chosen)
    return chosen
