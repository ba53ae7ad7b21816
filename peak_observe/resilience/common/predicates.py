"""Match exceptions by type, by function, or by several of both."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from peak_observe.resilience.common.callbacks import SafeCallback
from peak_observe.support.shown import shown

Errors = type[BaseException] | Callable[[Exception], bool]
Expected = Errors | tuple[Errors, ...]


class ExceptionMatcher:
    """Matcher of exceptions.

    Args:
        name: The argument's name.
        expected: A type, a function of the exception, or a tuple of them.

    Raises:
        ValueError: It is something else, or nothing.
    """

    def __init__(self, name: str, expected: Any) -> None:
        found = expected if isinstance(expected, tuple) else (expected,)
        self.types = tuple(one for one in found if isinstance(one, type) and issubclass(one, BaseException))
        functions = tuple(one for one in found if callable(one) and not isinstance(one, type))
        if not found or len(self.types) + len(functions) < len(found):
            wanted = "an exception type, a function of the exception, or a tuple of them"
            raise ValueError(f"{name} must be {wanted}, not {shown(expected)}")
        self._functions = tuple(SafeCallback(name, function) for function in functions)

    def matches(self, error: Exception) -> bool:
        """Return whether the exception is meant; a function that raises does not mean it."""
        return isinstance(error, self.types) or any(function.is_true(error) for function in self._functions)
