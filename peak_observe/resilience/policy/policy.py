"""Policy: several strategies around one function, in a checked order."""

from __future__ import annotations

from collections.abc import Mapping
from os import PathLike
from typing import TYPE_CHECKING, Any, NoReturn, Self, TypeVar

from peak_observe.clock import SYSTEM_CLOCK, Clock
from peak_observe.resilience.breaker.breaker import CircuitBreaker
from peak_observe.resilience.common import strategy, validation, wrapping
from peak_observe.resilience.common.deadlines import Deadline
from peak_observe.resilience.common.fallback import NO_FALLBACK
from peak_observe.resilience.limits import Bulkhead, RateLimiter
from peak_observe.resilience.policy.layers import Layer, Layers, Stack
from peak_observe.resilience.policy.order import check
from peak_observe.support.keywords import check_keywords
from peak_observe.support.shown import label, shown

if TYPE_CHECKING:
    from collections.abc import Callable

    from peak_observe.resilience.policy.reload import Watch

F = TypeVar("F", bound="Callable[..., Any]")


class Policy:
    """Policy of several strategies, from the outside in; a decorator for every kind of function.

    Its functions share the things that a service has once: the circuit, the places of a bulkhead, the rate. A
    retry or a timeout belongs to each function. A policy may be part of another one, which shares the same with it.

    Args:
        *policy_parts: `circuit_breaker(…)`, a `CircuitBreaker`, `retry_with_backoff(…)`, `timeout(…)`, `hedge(…)`,
            `bulkhead(…)`, `rate_limit(…)`, `timed(…)`, `chaos(…)`, `part(…)` with a decorator of your own, or another
            policy; the first is the outermost.
        name: The name of all parts that have none of their own. Without one a circuit, a bulkhead and a rate limit are
            named after the first function, a retry and a timeout after each.
        deadline: Seconds from the beginning of a call, at which all retries and waits inside end.
        order: `checked` refuses an order that makes no sense, `as_given` takes any.
        fallback: The result where a call was refused, timed out, or failed with what its circuit counts
            or its retry repeats (without both, with anything): a value, or a function of the error (of coroutine
            functions also a coroutine function).
        clock: Where the time of the deadline comes from; for tests.

    Raises:
        ValueError: An argument makes no sense, or the order does not; the message says why and shows the right one.
    """

    @check_keywords({"timeout total_timeout": "deadline"}, mapping=True)
    def __init__(
        self,
        *policy_parts: Any,
        name: str | None = None,
        deadline: float | None = None,
        order: str = "checked",
        fallback: object = NO_FALLBACK,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        validation.check_name(name)
        if order not in ("checked", "as_given"):
            raise ValueError(f"order must be 'checked' or 'as_given', not {shown(order)}")
        self.name = name
        self._watch: Watch | None = None
        layers: list[Layer] = []
        if deadline is not None:
            validation.check_period("deadline", deadline)
            layers.append(Layer(strategy.DEADLINE, Deadline(deadline, clock), settings={"seconds": deadline}))
        layers += [layer for part in policy_parts for layer in _layers(part, name)]
        if not layers:
            raise ValueError("a policy needs a part, for instance Policy(circuit_breaker(), retry_with_backoff())")
        if order == "checked":
            check([place for layer in layers for place in layer.places])
        self._own = Stack(Layers(layers), fallback, name, clock)

    @classmethod
    def from_config(cls, config: Mapping[str, Any], *, name: str | None = None) -> Self:
        """Return the policy that a mapping describes, for instance a table of a configuration file.

        Args:
            config: A table for each part: `bulkhead`, `circuit_breaker`, `retry`, `rate_limit`, `timeout`, with the
                arguments of the function, exceptions and functions as `module.name`. Beside them `deadline` in
                seconds, `name`, `fallback`, and `order`, the kinds of all parts from the outside in.
            name: The policy's name, if the mapping has none.

        Raises:
            ConfigError: Something in it makes no sense; the message names the key and the mend.
        """
        from peak_observe.resilience.policy.config import build_policy

        return build_policy(cls, config, name)

    @classmethod
    def from_toml(cls, path: str | PathLike[str], name: str, *, watch: bool = False) -> Self:
        """Return the policy of the table `[policies.<name>]` of a TOML file; see `from_config`.

        Args:
            path: The file.
            name: The name of the table, and of the policy where the table gives no other.
            watch: Whether changes of the file are taken over while the program runs, within two seconds, by all
                functions that the policy protects already: all of a new file, or nothing if something in it makes no
                sense. Circuits, bulkheads and rate limits keep their state. It ends with `close()`, and with the last
                of these functions.

        Raises:
            ConfigError: The file, or something in it, makes no sense; the message names file, key and mend.
        """
        from peak_observe.resilience.policy.config import load_policy

        validation.check_flag("watch", watch)
        if not watch:
            return load_policy(cls, path, name)
        from peak_observe.resilience.policy.reload import watch_policy

        return watch_policy(cls, path, name)

    def call(self, func: F) -> F:
        """Return `func` protected by all parts: use it as decorator or as `policy.call(func)(args)`.

        Raises:
            TypeError: The object cannot be called, has a timeout and is no coroutine function, or has a fallback
                and is a generator function.
        """
        protected: F = wrapping.decorate(func, self._wrap)
        return protected

    __call__ = call

    def _wrap(self, func: Callable[..., Any]) -> Callable[..., Any]:
        return self._stack.protect(func) if self._watch is None else self._watch.wrap(func)

    @property
    def _stack(self) -> Stack:
        return self._own if self._watch is None else self._watch.stack

    @property
    def layers(self) -> Layers:
        """Its strategies with their settings, the outermost first."""
        return self._stack.layers

    def reload(self) -> bool:
        """Read the file of `from_toml(…, watch=True)` now; return whether anything changed.

        Raises:
            ConfigError: The file, or something in it, makes no sense; nothing is changed then.
            ValueError: The policy does not watch a file.
        """
        if self._watch is None:
            raise ValueError(f"{self!r} watches no file: make it by Policy.from_toml(path, name, watch=True)")
        return self._watch.reload()

    def close(self) -> None:
        """Watch the file no longer; the policy stays as it is. Without a file nothing happens."""
        if self._watch is not None:
            self._watch.close()

    def __reduce__(self) -> NoReturn:
        raise TypeError(f"{self!r} counts the calls of this process and cannot be sent to another: make one there")

    def __repr__(self) -> str:
        kinds = ", ".join(layer.kind for layer in self.layers)
        return f"<Policy {'' if self.name is None else f'{label(self.name)!r} '}({kinds})>"


def _layers(part: Any, name: str | None) -> list[Layer]:
    if isinstance(part, Policy):
        if part._stack.fallback is not NO_FALLBACK:  # noqa: SLF001 - it is one of ours
            raise ValueError(f"fallback belongs to the outer policy, not to {part!r} inside of it")
        return list(part.layers) if part._watch is None else [part._watch.as_layer(part)]  # noqa: SLF001 - as above
    if isinstance(part, strategy.Strategy | Bulkhead | RateLimiter):
        return [Layer(part.kind, part, name)]
    if isinstance(part, CircuitBreaker):
        return [Layer(strategy.BREAKER, part)]
    raise ValueError(
        f"{shown(part)} cannot be part of a policy: there are circuit_breaker(…), retry_with_backoff(…), timeout(…), "
        "hedge(…), bulkhead(…), rate_limit(…), timed(…), chaos(…), a CircuitBreaker and a Policy, each with "
        "parentheses; a decorator of your own is one as part(decorator)"
    )
