"""Functions of the user's that are asked in the middle of an operation, which their faults must not lose."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable


class SafeCallback:
    """Calls a function; where it raises, the first time is logged, and every time the answer is another one.

    Args:
        role: What the function is for: the argument's name.
        func: The function.
    """

    def __init__(self, role: str, func: Callable[..., Any]) -> None:
        self._role = role
        self._func = func
        self._told = False

    def ask(self, *args: object, otherwise: Any = None) -> Any:
        """Return what the function says, or `otherwise` where it raises."""
        try:
            return self._func(*args)
        except Exception as error:  # noqa: BLE001 - whatever it is, the caller waits for the operation, not for this
            self.complain(error)
            return otherwise

    def says(self, value: object) -> bool:
        """Return whether the function answers yes; one that raises does not."""
        try:
            return bool(self._func(value))  # which may raise too, for a table of numbers
        except Exception as error:  # noqa: BLE001 - as above
            self.complain(error)
            return False

    def complain(self, problem: object) -> None:
        """Log what is wrong with the function, once."""
        if self._told:
            return
        import logging

        self._told = True
        logger = logging.getLogger("peak_observe.retry")
        logger.error("%s %r failed and is passed over where it does: %r", self._role, self._func, problem)
