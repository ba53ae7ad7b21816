"""Fallback for the result of a call that failed or was rejected."""

from __future__ import annotations

from functools import wraps
from typing import TYPE_CHECKING, Any

from peak_observe.errors import CircuitOpenError
from peak_observe.resilience.breaker.outcome import FAILURE
from peak_observe.resilience.common import wrapping

if TYPE_CHECKING:
    from collections.abc import Callable

    from peak_observe.resilience.breaker.controller import BreakerController


def with_fallback(
    protected: Callable[..., Any],
    controller: BreakerController,
    fallback: Any,
    *,
    asynchronous: bool,
) -> Callable[..., Any]:
    """Return a protected function that returns the fallback where its call was rejected or counts as failed.

    Args:
        protected: The protected function.
        controller: Its circuit.
        fallback: A value, or a function of the error, which may be a coroutine function where the protected one is.
        asynchronous: Whether the protected function is a coroutine function.
    """

    def instead_of(error: Exception) -> Any:
        return fallback(error) if callable(fallback) else fallback

    def applies_to(error: Exception) -> bool:
        refused = isinstance(error, CircuitOpenError) and error.name == controller.name
        return refused or controller.classifier.classify(error) == FAILURE

    async def awaited(coroutine: Any) -> Any:
        try:
            return await coroutine
        except Exception as error:
            if not applies_to(error):
                raise
            answer = instead_of(error)
        return await answer if hasattr(answer, "__await__") else answer

    @wraps(protected)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        try:
            result = protected(*args, **kwargs)
        except Exception as error:
            if not applies_to(error):
                raise
            return instead_of(error)
        return wrapping.finished_by(result, awaited(result)) if wrapping.is_deferred(result) else result

    @wraps(protected)
    async def async_wrapper(*args: Any, **kwargs: Any) -> Any:
        return await awaited(protected(*args, **kwargs))

    return async_wrapper if asynchronous else wrapper
