"""The circuit breaker as a decorator that makes a breaker for each function."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar, overload

from peak_observe import catalog
from peak_observe.clock import SYSTEM_CLOCK, Clock
from peak_observe.resilience.breaker.breaker import CircuitBreaker
from peak_observe.resilience.breaker.outcome import NO_FALLBACK
from peak_observe.resilience.breaker.settings import constructed
from peak_observe.resilience.common import strategy, validation
from peak_observe.telemetry.tracing.spans import TracingMode, switch

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Unpack

    from peak_observe.resilience.breaker.settings import Errors, Options, RecoveryTimeout

F = TypeVar("F", bound="Callable[..., Any]")


@overload
def circuit_breaker(failure_threshold: F, /) -> F: ...


@overload
def circuit_breaker(
    failure_threshold: int = 5,
    recovery_timeout: RecoveryTimeout = 60.0,
    expected_exception: Errors = Exception,
    name: str | None = None,
    *,
    buckets: tuple[float, ...] = catalog.BUCKETS,
    tracing: TracingMode = "auto",
    clock: Clock = SYSTEM_CLOCK,
    fallback: object = NO_FALLBACK,
    **options: Unpack[Options],
) -> Callable[[F], F]: ...


def circuit_breaker(
    failure_threshold: Any = 5,
    recovery_timeout: RecoveryTimeout = 60.0,
    expected_exception: Errors = Exception,
    name: str | None = None,
    *,
    buckets: tuple[float, ...] = catalog.BUCKETS,
    tracing: TracingMode = "auto",
    clock: Clock = SYSTEM_CLOCK,
    fallback: object = NO_FALLBACK,
    **options: Unpack[Options],
) -> Any:
    """Protect a function by a circuit breaker of its own; with or without parentheses.

    Args:
        failure_threshold: Consecutive failures that open the circuit, at least 1.
        recovery_timeout: Seconds from opening to the probe, a sequence of them, or a function.
        expected_exception: What counts as failure: a type, a tuple of types or a function of the exception.
        name: The breaker's name; the function's qualified name by default.
        buckets: Upper bounds in seconds of the latency histogram.
        tracing: `auto`, `always` or `off`, as for `CircuitBreaker`.
        clock: Where the time comes from; for tests.
        fallback: What the function returns where its call failed or was refused.
        options: All that `CircuitBreaker` takes besides.

    Raises:
        ValueError: An argument makes no sense; the message names it.
        TypeError: What is decorated cannot be called, or there is no such option.
    """
    if validation.is_function(failure_threshold):
        return circuit_breaker()(failure_threshold)
    constructed(failure_threshold, recovery_timeout, expected_exception, options)
    bounds = validation.check_buckets(buckets)
    switch(tracing)

    def build(name: str) -> CircuitBreaker:
        return CircuitBreaker(
            failure_threshold,
            recovery_timeout,
            expected_exception,
            name,
            buckets=bounds,
            tracing=tracing,
            clock=clock,
            fallback=fallback,
            **options,
        )

    return strategy.Part(strategy.BREAKER, build, name)
