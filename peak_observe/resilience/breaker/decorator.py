"""Decorator that builds a circuit breaker: one of each function, or one of a name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast, overload

from peak_observe import catalog
from peak_observe.clock import SYSTEM_CLOCK, Clock
from peak_observe.coordination.joinable import Joinable
from peak_observe.resilience.breaker import registry
from peak_observe.resilience.breaker.breaker import CircuitBreaker
from peak_observe.resilience.breaker.settings import (
    FOREIGN_NAMES,
    Errors,
    RecoveryTimeout,
    Settings,
    check_settings,
)
from peak_observe.resilience.common import strategy, validation
from peak_observe.resilience.common.callbacks import check_function
from peak_observe.resilience.common.fallback import NO_FALLBACK
from peak_observe.resilience.common.keywords import check_keywords
from peak_observe.resilience.common.modes import ENFORCE, Mode
from peak_observe.telemetry.tracing.spans import TracingMode, switch

F = TypeVar("F", bound="Callable[..., Any]")


@overload
def circuit_breaker(failure_threshold: F, /) -> F: ...


@overload
def circuit_breaker(
    failure_threshold: int = 5,
    recovery_timeout: RecoveryTimeout = 60.0,
    expected_exception: Errors = Exception,
    name: str | Callable[..., str] | None = None,
    *,
    buckets: tuple[float, ...] = catalog.BUCKETS,
    tracing: TracingMode = "auto",
    clock: Clock = SYSTEM_CLOCK,
    fallback: object = NO_FALLBACK,
    window: int | None = None,
    window_seconds: float | None = None,
    failure_ratio: float | None = None,
    minimum_calls: int | None = None,
    slow_call_seconds: float | None = None,
    slow_call_ratio: float | None = None,
    half_open_calls: int = 1,
    success_threshold: int = 1,
    probe_timeout: float = 60.0,
    jitter: float = 0.0,
    ignore: Errors = (),
    failure_result: Callable[[Any], bool] | None = None,
    mode: Mode = ENFORCE,
    shared: Joinable | str | None = None,
) -> Callable[[F], F]: ...


@check_keywords(FOREIGN_NAMES)
def circuit_breaker(
    failure_threshold: int | Callable[..., Any] = 5,
    recovery_timeout: RecoveryTimeout = 60.0,
    expected_exception: Errors = Exception,
    name: str | Callable[..., str] | None = None,
    *,
    buckets: tuple[float, ...] = catalog.BUCKETS,
    tracing: TracingMode = "auto",
    clock: Clock = SYSTEM_CLOCK,
    fallback: object = NO_FALLBACK,
    window: int | None = None,
    window_seconds: float | None = None,
    failure_ratio: float | None = None,
    minimum_calls: int | None = None,
    slow_call_seconds: float | None = None,
    slow_call_ratio: float | None = None,
    half_open_calls: int = 1,
    success_threshold: int = 1,
    probe_timeout: float = 60.0,
    jitter: float = 0.0,
    ignore: Errors = (),
    failure_result: Callable[[Any], bool] | None = None,
    mode: Mode = ENFORCE,
    shared: Joinable | str | None = None,
) -> Callable[..., Any]:
    """Decorate a function with a circuit breaker; with or without parentheses.

    The decorated function has the breaker as its attribute `breaker`.

    Args:
        failure_threshold: Consecutive failures that open the circuit, at least 1.
        recovery_timeout: Seconds from opening to the probe, a sequence of them, or a function.
        expected_exception: Exceptions that count as failures: a type, a function, or a tuple of them.
        name: The breaker's name: all functions that the decorator is put on share one circuit. Without it each function
            has a circuit of its own, which has its module and qualified name. Or a function of a call's arguments that
            returns the name: a circuit for each, as `Breakers` keeps them.
        buckets: Upper bounds in seconds of the latency histogram.
        tracing: `auto`, `always` or `off`, as for `CircuitBreaker`.
        clock: Where the time comes from; for tests.
        fallback: The result where the call failed or was rejected: a value, or a function of the error.
        window: Judge by the last calls, so many of them.
        window_seconds: Judge by the calls of the last seconds, so many of them, to a tenth.
        failure_ratio: Share of failures in the window that opens, above 0 and at most 1; 0.5 if not given.
        minimum_calls: Calls a window has to hold before it is judged; 10, or all of a smaller window, if not given.
        slow_call_seconds: Seconds from which on a call is slow; without it no call is.
        slow_call_ratio: Share of slow calls in the window that opens; 0.5 if not given.
        half_open_calls: How many probes may be under way at a time.
        success_threshold: Successful probes that close the circuit; a failed or slow one reopens it.
        probe_timeout: Seconds after which the place of a probe that has not come back is given to another call.
        jitter: Share by which open times are made longer or shorter by chance, from 0 to 1.
        ignore: Expected exceptions that do not count: a type, a function of the exception, or a tuple of them.
        failure_result: A function of the result: whether it counts as failure; generators have none.
        mode: `enforce`, or `observe` to let all calls pass and count those that would have been refused.
        shared: A `Shared`, or `default`, to share the circuit with other processes, as for `CircuitBreaker`.

    Raises:
        ValueError: An argument makes no sense; the message names it.
        TypeError: The decorated object cannot be called, or there is no such option.
    """
    if validation.is_function(failure_threshold):
        return circuit_breaker()(cast("Callable[..., Any]", failure_threshold))
    settings = Settings(
        cast("int", failure_threshold),
        recovery_timeout,
        expected_exception,
        window,
        window_seconds,
        failure_ratio,
        minimum_calls,
        slow_call_seconds,
        slow_call_ratio,
        half_open_calls,
        success_threshold,
        probe_timeout,
        jitter,
        ignore,
        failure_result,
        mode,
    )
    check_settings(settings)
    if not callable(name):
        validation.check_name(name)
    bounds = validation.check_buckets(buckets)
    switch(tracing)

    def build(name: str) -> CircuitBreaker:
        options = settings._asdict()
        return CircuitBreaker(
            **options, name=name, buckets=bounds, tracing=tracing, clock=clock, fallback=fallback, shared=shared
        )

    if callable(name):
        return _by_call(name, build, clock)
    return strategy.Strategy(
        strategy.BREAKER,
        lambda name: _noted(build(name)),
        name,
        shared=name is not None,
        has_fallback=fallback is not NO_FALLBACK,
    )


def _noted(breaker: CircuitBreaker) -> CircuitBreaker:
    """Return a breaker, and say once if another decorator has made one of its name: they are two circuits."""
    living = registry.of_name(breaker.name)
    if len(living) > 1 and breaker.name not in _said:
        from peak_observe.support.loggers import logger

        _said.add(breaker.name)
        logger("peak_observe.breaker").warning(
            "two decorators of the name '%s' are two circuits, which share metrics and not their state: put one "
            "decorator on both functions, or give each a name of its own",
            breaker.name,
        )
    return breaker


_said: set[str] = set()  # bounded, as there are names of 1,000 series at most


def _by_call(key: Callable[..., str], build: Callable[[str], CircuitBreaker], clock: Clock) -> strategy.Strategy:
    """Return a decorator that takes the circuit of each call by a function of its arguments."""
    from peak_observe.resilience.breaker import keyed_circuits  # late, as many programs have no such circuits

    check_function("name", key, "the call's arguments")
    circuits = keyed_circuits.KeyedCircuits(build, clock=clock)
    return strategy.Strategy(
        strategy.BREAKER, lambda name: keyed_circuits.KeyedBreaker(circuits, key, name), shared=True
    )
