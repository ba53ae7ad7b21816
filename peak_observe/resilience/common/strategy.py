"""A decorator that says what it is, so that a policy can put it in its place."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from peak_observe.resilience.common import wrapping

if TYPE_CHECKING:
    from collections.abc import Callable

DEADLINE, BULKHEAD, BREAKER, RETRY, RATE_LIMIT, TIMEOUT = (
    "deadline",
    "bulkhead",
    "circuit_breaker",
    "retry",
    "rate_limit",
    "timeout",
)


class Part:
    """Decorates functions, each with a protection of its own.

    Args:
        kind: What it is.
        build: Makes a protection of a name, which decorates one function or several.
        name: The name, if one was given; the function's qualified name otherwise.
        seconds: Of a timeout, how long a call may take.
    """

    def __init__(
        self,
        kind: str,
        build: Callable[[str], Callable[[Any], Any]],
        name: str | None = None,
        *,
        seconds: float | None = None,
    ) -> None:
        self.kind = kind
        self.build = build
        self.name = name
        self.seconds = seconds

    def __call__(self, func: Any) -> Any:
        """Return `func` protected."""
        return wrapping.decorate(func, self._protect)

    def _protect(self, func: Callable[..., Any]) -> Callable[..., Any]:
        protected: Callable[..., Any] = self.build(wrapping.name_of(func) if self.name is None else self.name)(func)
        return protected

    def __repr__(self) -> str:
        return f"<{self.kind}{'' if self.name is None else f' {self.name!r}'}>"
