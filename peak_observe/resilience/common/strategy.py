"""Decorator factories tagged with their strategy kind, so that policies can order them."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from peak_observe.resilience.common import wrapping
from peak_observe.support.shown import label

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


class Strategy:
    """Decorator factory tagged with its strategy kind, so that policies can order it.

    Args:
        kind: The kind.
        build: Returns what protects functions, for a name.
        name: The name, if one was given; the function's qualified name otherwise.
        shared: Whether all functions have one protection, as the name says.
        seconds: Of a timeout, how long a call may take.
    """

    def __init__(
        self,
        kind: str,
        build: Callable[[str], Callable[[Any], Any]],
        name: str | None = None,
        *,
        shared: bool = False,
        seconds: float | None = None,
    ) -> None:
        self.kind = kind
        self.name = name
        self.seconds = seconds
        self._build = build
        self._shared = shared
        self._built: Callable[[Any], Any] | None = None
        self._lock = threading.Lock()

    def build(self, name: str) -> Callable[[Any], Any]:
        """Return what protects a function: the one there is where it is shared, else a new one of this name."""
        if not self._shared:
            return self._build(name)
        with self._lock:
            if self._built is None:
                self._built = self._build(name)
            return self._built

    def __call__(self, func: Any) -> Any:
        """Return `func` protected."""
        return wrapping.decorate(func, self._protect)

    def _protect(self, func: Callable[..., Any]) -> Callable[..., Any]:
        protected: Callable[..., Any] = self.build(wrapping.name_of(func) if self.name is None else self.name)(func)
        return protected

    def __repr__(self) -> str:
        return f"<{self.kind}{'' if self.name is None else f' {label(self.name)!r}'}>"
