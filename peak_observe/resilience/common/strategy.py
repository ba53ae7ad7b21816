"""Decorator factories tagged with their strategy kind, so that policies can order them."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from peak_observe.resilience.common import wrapping
from peak_observe.support.shown import label

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

TIMED, DEADLINE, SHARE, BULKHEAD, BREAKER, RETRY, HEDGE, RATE_LIMIT, TIMEOUT, CHAOS = (
    "timed",
    "deadline",
    "share",
    "bulkhead",
    "circuit_breaker",
    "retry",
    "hedge",
    "rate_limit",
    "timeout",
    "chaos",
)


class Configured:
    """Base of what the decorator factories return: it remembers what it was given."""

    given: Mapping[str, Any] = {}
    """Arguments by name, with the defaults of the positional ones, without clock and what is None."""
    _settings: dict[str, Any]

    @property
    def settings(self) -> dict[str, Any]:
        """Settings of this moment that can change, by name, without those that are off; a limit has some."""
        return {
            key: value for key, value in getattr(self, "_settings", {}).items() if value not in (None, 0.0, "enforce")
        }


class Strategy(Configured):
    """Decorator factory tagged with its strategy kind, so that policies can order it.

    Args:
        kind: The kind.
        build: Returns what protects functions, for a name.
        name: The name, if one was given; that of the function with its module otherwise.
        shared: Whether all functions have one protection, as the name says.
        seconds: Of a timeout, how long a call may take.
        has_fallback: Whether something stands in for what failed, which those outside do not see then.
    """

    def __init__(
        self,
        kind: str,
        build: Callable[[str], Callable[[Any], Any]],
        name: str | None = None,
        *,
        shared: bool = False,
        seconds: float | None = None,
        has_fallback: bool = False,
    ) -> None:
        self.kind = kind
        self.name = name
        self.seconds = seconds
        self.has_fallback = has_fallback
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
        protected: Callable[..., Any] = self.build(wrapping.default_name(func) if self.name is None else self.name)(
            func
        )
        return protected

    def __repr__(self) -> str:
        return f"<{self.kind}{'' if self.name is None else f' {label(self.name)!r}'}>"
