"""Match exceptions by type, by function, or by several of both, also inside exception groups."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from peak_observe.resilience.common.callbacks import SafeCallback, check_function
from peak_observe.support.shown import shown

if TYPE_CHECKING:
    from collections.abc import Iterator

Errors = type[BaseException] | Callable[[Exception], bool]
Expected = Errors | tuple[Errors, ...]


def members(error: BaseException) -> Iterator[BaseException]:
    """Yield the exceptions of a group, also of groups inside; an exception that is no group is its only member."""
    ahead = [error]
    while ahead:  # no recursion, as groups may be nested deeper than the stack is
        found = ahead.pop()
        if isinstance(found, BaseExceptionGroup):
            ahead += reversed(found.exceptions)
        else:
            yield found


class ExceptionMatcher:
    """Matcher of single exceptions, with the one form that all arguments of this kind take.

    Args:
        name: The argument's name.
        expected: A type, a function of the exception, or a tuple of them.
        owner: The name of the breaker or retry that has it, for the log.
        logger: The logger, below `peak_observe`.
        default: What a function that raises is taken to say.

    Raises:
        ValueError: It is something else, or nothing.
    """

    def __init__(
        self, name: str, expected: Any, *, owner: str = "", logger: str = "retry", default: bool = False
    ) -> None:
        found = expected if isinstance(expected, tuple) else (expected,)
        self.types = tuple(one for one in found if isinstance(one, type) and issubclass(one, BaseException))
        functions = tuple(one for one in found if callable(one) and not isinstance(one, type))
        if not found or len(self.types) + len(functions) < len(found):
            raise ValueError(
                f"{name} must be an exception type, a function of the exception, or a tuple of them, "
                f"not {shown(expected)}"
            )
        for function in functions:
            check_function(name, function, "the exception")
        self._groups = tuple(kind for kind in self.types if issubclass(kind, BaseExceptionGroup))
        self._functions = tuple(SafeCallback(name, function, owner=owner, logger=logger) for function in functions)
        self._default = default

    def matches(self, error: Exception) -> bool:
        """Return whether an exception is meant."""
        return isinstance(error, self.types) or any(
            function.is_true(error, default=self._default) for function in self._functions
        )

    def names(self, kind: type[BaseException]) -> bool:
        """Return whether a type, or one below it, is named itself."""
        return any(issubclass(one, kind) for one in self.types)

    def names_group(self, error: BaseException) -> bool:
        """Return whether an exception is a group whose type is named itself, whatever is in it."""
        return isinstance(error, self._groups)
