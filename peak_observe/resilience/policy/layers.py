"""Layers of a policy: its parts, each with its kind and settings, and how they protect a function."""

from __future__ import annotations

import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple

from peak_observe.clock import SYSTEM_CLOCK, Clock
from peak_observe.errors import CallTimeoutError, CircuitOpenError, RefusedError
from peak_observe.resilience.breaker.breaker import CircuitBreaker
from peak_observe.resilience.breaker.settings import Settings
from peak_observe.resilience.common import strategy, wrapping
from peak_observe.resilience.common.fallback import NO_FALLBACK, check_kind, with_fallback
from peak_observe.resilience.common.predicates import members
from peak_observe.resilience.limits import Bulkhead, RateLimiter
from peak_observe.resilience.policy.order import Place
from peak_observe.support.shown import label, shown

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from peak_observe.resilience.breaker.controller import BreakerController
    from peak_observe.resilience.retry.controller import RetryController


_REFUSALS = (CircuitOpenError, RefusedError, CallTimeoutError)
_SHOWN_ELSEWHERE = {"decorator", "kind"}
"""Arguments of a custom part that its name tells."""


class Layer:
    """One strategy of a policy, shared by all functions where it limits a service.

    Args:
        kind: What it is.
        part: The part itself, or an object that is one already.
        name: The name if the part has none.
        settings: What it was configured with, to be shown; that of the part by default.
    """

    def __init__(
        self,
        kind: str,
        part: Any,
        name: str | None = None,
        settings: Mapping[str, Any] | None = None,
    ) -> None:
        self.kind = kind
        self.part = part
        self._name = name
        self._settings = settings
        if name is not None and isinstance(part, Bulkhead | RateLimiter):
            part.core(name)
        self._shared: Any = None
        self._lock = threading.Lock()

    @property
    def place(self) -> Place:
        """Its place in the order of the policy."""
        part = self.part
        seconds: float = getattr(part, "seconds", None) or 0.0
        has_fallback: bool = getattr(part, "has_fallback", False)
        return Place(self.kind, seconds, has_fallback, getattr(part, "outside", ()), getattr(part, "inside", ()))

    @property
    def settings(self) -> dict[str, Any]:
        """Settings that differ from the defaults."""
        if self._settings is not None:
            return dict(self._settings)
        if self.shared is not None:
            return _of_breaker(self.shared)
        # What `configure` has changed since counts, not what was given.
        given = {key: value for key, value in self.part.given.items() if key not in _SHOWN_ELSEWHERE and value != ()}
        return {**given, **self.part.settings}

    @property
    def places(self) -> list[Place]:
        """Its places in the order of the policy: one, or those of a policy inside."""
        inner: Any = getattr(self.part, "layers", None)
        return [self.place] if inner is None else [place for layer in inner for place in layer.places]

    @property
    def shared(self) -> Any:
        """The circuit that all functions have, once there is a function."""
        return self._shared or (self.part if isinstance(self.part, CircuitBreaker) else None)

    def of(self, function: str) -> Any:
        """Return what protects the function of this name."""
        if not isinstance(self.part, strategy.Strategy):
            return self.part
        with self._lock:
            made = self._shared or self.part.build(self.part.name or self._name or function)
            if self.kind == strategy.BREAKER:
                self._shared = made
        return made

    def __repr__(self) -> str:
        return f"{self.kind}({', '.join(f'{key}={_text(value)}' for key, value in self.settings.items())})"


class Layers(tuple[Layer, ...]):
    """The layers of a policy, from the outermost to the innermost; `print` shows one a line."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "\n".join(f"{number}. {layer!r}" for number, layer in enumerate(self, 1))


class Stack(NamedTuple):
    """Layers of a policy and its fallback: all that protects a function."""

    layers: Layers
    fallback: object = NO_FALLBACK
    name: str | None = None
    clock: Clock = SYSTEM_CLOCK

    def protect(self, func: Callable[..., Any]) -> Callable[..., Any]:
        """Return `func` inside of the layers, the first of which is the outermost."""
        original, name, timeouts = func, wrapping.default_name(func), set[str]()
        judges: list[BreakerController | RetryController] = []
        for layer in reversed(self.layers):
            part = layer.of(name)
            if layer.kind == strategy.TIMEOUT:
                timeouts.add(part.name)
            elif layer.kind in {strategy.RETRY, strategy.BREAKER}:
                judges.append(part._controller)  # noqa: SLF001 - of our own parts
                judges[-1].timeouts |= timeouts  # what hangs is retried, whatever is expected
            func = part(func)
        if self.fallback is not NO_FALLBACK:
            func = self._with_fallback(func, judges)
        if func is not original:
            with suppress(AttributeError):  # of somebody's decorator, which may return what it likes
                func.__wrapped__ = original  # type: ignore[attr-defined] # as one decorator, not as a stack of them
        return func

    def _with_fallback(
        self, func: Callable[..., Any], judges: list[BreakerController | RetryController]
    ) -> Callable[..., Any]:
        kind = wrapping.kind(func)
        check_kind(func, kind)

        def counts(error: BaseException) -> bool:
            return isinstance(error, Exception) and any(judge.counts_as_failure(error) for judge in judges)

        def applies_to(error: Exception) -> bool:
            if not judges or counts(error):
                return True
            return all(isinstance(one, _REFUSALS) or counts(one) for one in members(error))

        from peak_observe.resilience.common.last_result import StandIn  # late, as many policies have no fallback

        stand_in = StandIn(func, self.fallback, self.name or wrapping.default_name(func), self.clock)
        return with_fallback(func, applies_to, stand_in, asynchronous=kind == wrapping.COROUTINE)


_ALWAYS = ("failure_threshold", "recovery_timeout", "expected_exception")


def _of_breaker(breaker: CircuitBreaker) -> dict[str, Any]:
    """Return the settings of a circuit: its name, the first three, and what differs from the defaults."""
    settings, defaults = breaker.settings._asdict(), Settings()._asdict()
    own = {key: value for key, value in settings.items() if key in _ALWAYS or value != defaults[key]}
    if breaker.settings.has_window:
        own.pop("failure_threshold", None)
    return {"name": breaker.name, **own}


def _text(value: Any) -> str:
    """Return a setting as somebody would write it."""
    if isinstance(value, tuple | list):
        return f"({', '.join(map(_text, value))}{',' * (len(value) == 1)})"
    name: str | None = getattr(value, "__qualname__", None)
    if isinstance(value, str):
        return repr(label(value))  # without secrets, as names may hold some
    return name or (f"{value:g}" if isinstance(value, float) else shown(value))
