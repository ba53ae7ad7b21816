"""Run user callbacks safely: log the first failure and return a default."""

from __future__ import annotations

from types import CoroutineType
from typing import TYPE_CHECKING, Any

from peak_observe.resilience.common import wrapping
from peak_observe.support.shown import shown

if TYPE_CHECKING:
    from collections.abc import Callable


def check_function(role: str, func: object, of: str = "") -> None:
    """Raise ValueError unless `func` is a plain function: a coroutine of it would never be awaited, and be true.

    Args:
        role: The argument that it was given as.
        func: The function.
        of: Its argument, in words.
    """
    if not callable(func) or wrapping.kind(func) != wrapping.FUNCTION:
        raise ValueError(f"{role} must be a plain function{f' of {of}' if of else ''}, not {shown(func)}")


class SafeCallback:
    """A function of the user's that is called in the middle of an operation, which its exceptions must not break.

    Args:
        role: The argument that it was given as.
        func: The function.
        owner: The name of the breaker, retry or limit that has it, for the log.
        logger: The logger, below `peak_observe`.
        awaitable: Whether it may be a coroutine function, which is for `async_call` and `async_is_true`.

    Attributes:
        awaits: Whether it is one.

    Raises:
        ValueError: It is a coroutine function, or a generator function, and must not be.
    """

    def __init__(
        self,
        role: str,
        func: Callable[..., Any],
        *,
        owner: str = "",
        logger: str = "retry",
        awaitable: bool = False,
    ) -> None:
        self.awaits = awaitable and wrapping.kind(func) == wrapping.COROUTINE
        if not self.awaits and callable(func):
            check_function(role, func)
        self._role = f"{role} of {owner!r}" if owner else role
        self._func = func
        self._logger = logger
        self._logged = False

    def call(self, *args: object, default: Any = None) -> Any:
        """Return the function's result, or `default` where it raises."""
        try:
            return _result(self._func(*args))
        except Exception as error:  # noqa: BLE001 - whatever it is, the caller waits for the operation, not for this
            self.log_once(error)
            return default

    def is_true(self, value: object, *, default: bool = False) -> bool:
        """Return the function's result as a bool, or `default` where it raises."""
        try:
            return bool(_result(self._func(value)))  # which may raise too, for a table of numbers
        except Exception as error:  # noqa: BLE001 - as above
            self.log_once(error)
            return default

    async def async_call(self, *args: object) -> Any:
        """Return the awaited result of a coroutine function, or None where it raises."""
        try:
            return await self._func(*args)
        except Exception as error:  # noqa: BLE001 - as above
            self.log_once(error)
            return None

    async def async_is_true(self, value: object) -> bool:
        """Return the awaited result of a coroutine function as a bool, or False where it raises."""
        try:
            return bool(await self._func(value))
        except Exception as error:  # noqa: BLE001 - as above
            self.log_once(error)
            return False

    async def async_is_false(self, value: object) -> bool:
        """Return whether the awaited result of a coroutine function is false, or True where it raises."""
        return not await self.async_is_true(value)

    def log_once(self, problem: object) -> None:
        """Log the first failure: an exception, with its traceback, or what is wrong with a result."""
        if self._logged:
            return
        from peak_observe.support.loggers import logger

        self._logged = True
        error = problem if isinstance(problem, BaseException) else None
        logger(f"peak_observe.{self._logger}").error(
            "%s: callback %r failed and a default is used, which is logged once: %r",
            self._role,
            self._func,
            problem,
            exc_info=error,
        )


def _result(value: Any) -> Any:
    """Return a result that is one; a lambda may return a coroutine, which would be true."""
    if type(value) is CoroutineType:
        value.close()
        raise TypeError("it returned a coroutine, which nobody awaits here: write a plain function")
    return value
