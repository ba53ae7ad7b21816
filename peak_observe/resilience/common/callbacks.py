"""Run user callbacks safely: log the first failure and return a default."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


class SafeCallback:
    """A function of the user's that is called in the middle of an operation, which its exceptions must not break.

    Args:
        role: The argument that it was given as.
        func: The function.
        owner: The name of the breaker, retry or limit that has it, for the log.
        logger: The logger, below `peak_observe`.
    """

    def __init__(self, role: str, func: Callable[..., Any], *, owner: str = "", logger: str = "retry") -> None:
        self._role = f"{role} of {owner!r}" if owner else role
        self._func = func
        self._logger = logger
        self._logged = False

    def call(self, *args: object, default: Any = None) -> Any:
        """Return the function's result, or `default` where it raises."""
        try:
            return self._func(*args)
        except Exception as error:  # noqa: BLE001 - whatever it is, the caller waits for the operation, not for this
            self.log_once(error)
            return default

    def is_true(self, value: object, *, default: bool = False) -> bool:
        """Return the function's result as a bool, or `default` where it raises."""
        try:
            return bool(self._func(value))  # which may raise too, for a table of numbers
        except Exception as error:  # noqa: BLE001 - as above
            self.log_once(error)
            return default

    def log_once(self, problem: object) -> None:
        """Log the first failure: an exception, with its traceback, or what is wrong with a result."""
        if self._logged:
            return
        import logging

        self._logged = True
        error = problem if isinstance(problem, BaseException) else None
        logging.getLogger(f"peak_observe.{self._logger}").error(
            "%s: callback %r failed and a default is used, which is logged once: %r",
            self._role,
            self._func,
            problem,
            exc_info=error,
        )
