"""Policy: several strategies around one function, in a checked order."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from os import PathLike
from typing import TYPE_CHECKING, Any, NoReturn, Self, TypeVar

from peak_observe.clock import SYSTEM_CLOCK, Clock
from peak_observe.resilience.breaker.breaker import CircuitBreaker
from peak_observe.resilience.common import strategy, validation, wrapping
from peak_observe.resilience.common.deadlines import Deadline
from peak_observe.resilience.limits import Bulkhead, RateLimiter
from peak_observe.resilience.policy.order import Place, check
from peak_observe.support.shown import label, shown

if TYPE_CHECKING:
    from collections.abc import Callable

    from peak_observe.clock import Clock

F = TypeVar("F", bound="Callable[..., Any]")


class Layer:
    """One strategy of a policy, shared by all functions where it limits a service.

    Args:
        kind: What it is.
        part: The part itself, or an object that is one already.
        name: The name if the part has none.
    """

    def __init__(self, kind: str, part: Any, name: str | None = None) -> None:
        self.kind = kind
        self.seconds: float = getattr(part, "seconds", None) or 0.0
        self._part = part
        self._name = name
        if name is not None and isinstance(part, Bulkhead | RateLimiter):
            part.core(name)
        self._shared: Any = None
        self._lock = threading.Lock()

    def of(self, function: str) -> Any:
        """Return what protects the function of this name."""
        if not isinstance(self._part, strategy.Strategy):
            return self._part
        with self._lock:
            made = self._shared or self._part.build(self._part.name or self._name or function)
            if self.kind == strategy.BREAKER:
                self._shared = made
        return made


class Policy:
    """Policy of several strategies, from the outside in; a decorator for every kind of function.

    What all functions of a policy share is what a service has once: the circuit, the places of a bulkhead, the rate. A
    retry or a timeout belongs to each function. A policy may be part of another one, which shares the same with it.

    Args:
        *policy_parts: `circuit_breaker(…)`, a `CircuitBreaker`, `retry_with_backoff(…)`, `timeout(…)`, `bulkhead(…)`,
            `rate_limit(…)` or another policy; the first is the outermost.
        name: The name of all parts that have none of their own. Without one a circuit, a bulkhead and a rate limit are
            named after the first function, a retry and a timeout after each.
        deadline: Seconds from the beginning of a call, at which all retries and waits inside end.
        order: `checked` refuses an order that makes no sense, `as_given` takes any.
        clock: Where the time of the deadline comes from; for tests.

    Raises:
        ValueError: An argument makes no sense, or the order does not; the message says why and shows the right one.
    """

    def __init__(
        self,
        *policy_parts: Any,
        name: str | None = None,
        deadline: float | None = None,
        order: str = "checked",
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        validation.check_name(name)
        if order not in ("checked", "as_given"):
            raise ValueError(f"order must be 'checked' or 'as_given', not {shown(order)}")
        self.name = name
        self._layers: list[Layer] = []
        if deadline is not None:
            validation.check_period("deadline", deadline)
            self._layers.append(Layer(strategy.DEADLINE, Deadline(deadline, clock)))
        self._layers += [layer for part in policy_parts for layer in _layers(part, name)]
        if not self._layers:
            raise ValueError("a policy needs a part, for instance Policy(circuit_breaker(), retry_with_backoff())")
        if order == "checked":
            check([Place(layer.kind, layer.seconds) for layer in self._layers])

    @classmethod
    def from_config(cls, config: Mapping[str, Any], *, name: str | None = None) -> Self:
        """Return the policy that a mapping describes, for instance a table of a configuration file.

        Args:
            config: A table for each part: `bulkhead`, `circuit_breaker`, `retry`, `rate_limit`, `timeout`, with the
                arguments of the function, exceptions and functions as `module.name`. Beside them `deadline` in
                seconds, `name`, and `order`, the kinds of all parts from the outside in.
            name: The policy's name, if the mapping has none.

        Raises:
            ConfigError: Something in it makes no sense; the message names the key and the mend.
        """
        from peak_observe.resilience.policy.config import build_policy

        return build_policy(cls, config, name)

    @classmethod
    def from_toml(cls, path: str | PathLike[str], name: str) -> Self:
        """Return the policy of the table `[policies.<name>]` of a TOML file; see `from_config`.

        Raises:
            ConfigError: The file, or something in it, makes no sense; the message names file, key and mend.
        """
        from peak_observe.resilience.policy.config import load_policy

        return load_policy(cls, path, name)

    def call(self, func: F) -> F:
        """Return `func` protected by all parts: use it as decorator or as `policy.call(func)(args)`.

        Raises:
            TypeError: What is decorated cannot be called, or has a timeout and is no coroutine function.
        """
        protected: F = wrapping.decorate(func, self._wrap)
        return protected

    __call__ = call

    def _wrap(self, func: Callable[..., Any]) -> Callable[..., Any]:
        original, name, timeouts = func, wrapping.name_of(func), set[str]()
        for layer in reversed(self._layers):
            part = layer.of(name)
            if layer.kind == strategy.TIMEOUT:
                timeouts.add(part.name)
            elif layer.kind in (strategy.RETRY, strategy.BREAKER):
                part._controller.timeouts |= timeouts  # noqa: SLF001 - what hangs is retried, whatever is expected
            func = part(func)
        vars(func)["__wrapped__"] = original  # as one decorator, not as a stack of them
        return func

    @property
    def layers(self) -> list[Layer]:
        """Its strategies, the outermost first."""
        return list(self._layers)

    def __reduce__(self) -> NoReturn:
        raise TypeError(f"{self!r} counts the calls of this process and cannot be sent to another: make one there")

    def __repr__(self) -> str:
        kinds = ", ".join(layer.kind for layer in self._layers)
        return f"<Policy {'' if self.name is None else f'{label(self.name)!r} '}({kinds})>"


def _layers(part: Any, name: str | None) -> list[Layer]:
    if isinstance(part, Policy):
        return part.layers
    if isinstance(part, strategy.Strategy | Bulkhead | RateLimiter):
        return [Layer(part.kind, part, name)]
    if isinstance(part, CircuitBreaker):
        return [Layer(strategy.BREAKER, part)]
    raise ValueError(
        f"{shown(part)} cannot be part of a policy: there are circuit_breaker(…), retry_with_backoff(…), timeout(…), "
        "bulkhead(…), rate_limit(…), a CircuitBreaker and a Policy, each with parentheses"
    )
