"""Decorator that retries a function with backoff."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast, overload

from peak_observe.clock import SYSTEM_CLOCK, Clock
from peak_observe.resilience.common import strategy, validation
from peak_observe.resilience.common.fallback import NO_FALLBACK
from peak_observe.resilience.common.keywords import check_keywords
from peak_observe.resilience.common.modes import ENFORCE, Mode
from peak_observe.resilience.common.predicates import Expected
from peak_observe.resilience.retry.backoff import Delays, Jitter, RetryAfter
from peak_observe.resilience.retry.budget import RetryBudget
from peak_observe.resilience.retry.control import Retry
from peak_observe.resilience.retry.controller import RetryController
from peak_observe.resilience.retry.settings import FOREIGN_NAMES, Nested, OnGiveUp, OnRetry, build_settings
from peak_observe.telemetry.tracing.spans import TracingMode, switch

F = TypeVar("F", bound="Callable[..., Any]")


@overload
def retry_with_backoff(max_attempts: F, /) -> F: ...


@overload
def retry_with_backoff(
    max_attempts: int | None = 3,
    base_delay: float = 1.0,
    max_delay: float = 60.0,
    exponential: bool = True,
    expected_exception: Expected = Exception,
    *,
    name: str | None = None,
    tracing: TracingMode = "auto",
    clock: Clock = SYSTEM_CLOCK,
    multiplier: float = 2.0,
    delays: Delays | None = None,
    jitter: Jitter | None = None,
    retry_after: RetryAfter = True,
    timeout: float | None = None,
    attempt_timeout: float | None = None,
    retry_result: Callable[[Any], bool] | None = None,
    budget: RetryBudget | str | None = None,
    on_retry: OnRetry | None = None,
    on_give_up: OnGiveUp | None = None,
    fallback: object = NO_FALLBACK,
    nested: Nested = "warn",
    mode: Mode = ENFORCE,
) -> Callable[[F], F]: ...


@check_keywords(FOREIGN_NAMES)
def retry_with_backoff(
    max_attempts: int | Callable[..., Any] | None = 3,
    base_delay: float = 1.0,
    max_delay: float = 60.0,
    exponential: bool = True,
    expected_exception: Expected = Exception,
    *,
    name: str | None = None,
    tracing: TracingMode = "auto",
    clock: Clock = SYSTEM_CLOCK,
    multiplier: float = 2.0,
    delays: Delays | None = None,
    jitter: Jitter | None = None,
    retry_after: RetryAfter = True,
    timeout: float | None = None,
    attempt_timeout: float | None = None,
    retry_result: Callable[[Any], bool] | None = None,
    budget: RetryBudget | str | None = None,
    on_retry: OnRetry | None = None,
    on_give_up: OnGiveUp | None = None,
    fallback: object = NO_FALLBACK,
    nested: Nested = "warn",
    mode: Mode = ENFORCE,
) -> Callable[..., Any]:
    """Retry a function when it fails, after 1, 2, 4, 8 … times `base_delay`; with or without parentheses.

    The last exception comes through unchanged, with a note that says how many attempts were made and how long they
    took. An open circuit is not retried: put the breaker outside, the retry inside. Generators are retried until their
    first item. A function marked `@idempotent(False)` is refused. The decorated function has its statistics as `retry`.

    Args:
        max_attempts: How often the function is called at most, at least 1; None, beside a `timeout`, for as often as
            time allows.
        base_delay: Seconds before the second attempt.
        max_delay: Upper limit in seconds of the growing delay, and of what a service may ask for.
        exponential: Whether the delay grows; otherwise it is always `base_delay`.
        expected_exception: Exceptions that are retried: a type, a function of the exception, or a tuple of them.
            Cancellation, Ctrl-C and exit never are, and `CircuitOpenError`, `TradingHaltedError`, `ShuttingDownError`
            and `OutcomeUnknown`, or what was raised from it or in its handler, only if they are named themselves. An
            `ExceptionGroup` is if all exceptions inside are.
        name: The label value of the metrics; the function's module and name by default.
        tracing: `auto` traces inside a recording span, `always` begins a trace if there is none, `off` never traces.
        clock: Where time and sleep come from; for tests.
        multiplier: By how much each delay is longer than the one before, more than 1.
        delays: The delays in seconds, of which the last repeats, or a function of attempt and exception.
        jitter: The share of a delay that is left to chance: `full`, `equal`, `decorrelated`, or a number from 0 to 1.
        retry_after: Whether an exception's `retry_after` or `Retry-After` is waited for, or a function of the exception
            that returns the seconds; one that asks for more than `max_delay` is not retried.
        timeout: Seconds from the first attempt within which the last one begins; below it is the deadline.
        attempt_timeout: Seconds after which the attempt of a coroutine is cancelled and counts as failed.
        retry_result: A function of the result: whether it is retried; the last one is returned as it is.
        budget: A `RetryBudget`, or its name, that limits the retries of several operations together.
        on_retry: A function that is called with each `RetryScheduled`; of coroutine functions also a coroutine
            function, which is awaited.
        on_give_up: The same with each `GaveUp`, before the error comes through; not after cancellation or Ctrl-C.
        fallback: The result where the retry gave up, or a circuit refused the call: a value,
            or a function of the error, which is None for a result (of coroutine functions also a coroutine function).
        nested: Where a retry stands inside this one, `warn`, or `inner_only` to leave alone what it has given up on.
        mode: `enforce`, or `observe` to call each function once and count what would have been retried.

    Raises:
        ValueError: An argument makes no sense, or not for this kind of function; the message names it.
        TypeError: The decorated object cannot be called or must not be repeated, or there is no such option.
    """
    if validation.is_function(max_attempts):
        return retry_with_backoff()(cast("Callable[..., Any]", max_attempts))
    settings = build_settings(
        max_attempts=cast("int | None", max_attempts),
        base_delay=base_delay,
        max_delay=max_delay,
        exponential=exponential,
        multiplier=multiplier,
        expected_exception=expected_exception,
        delays=delays,
        jitter=jitter,
        retry_after=retry_after,
        timeout=timeout,
        attempt_timeout=attempt_timeout,
        retry_result=retry_result,
        budget=budget,
        on_retry=on_retry,
        on_give_up=on_give_up,
        fallback=fallback,
        nested=nested,
        mode=mode,
    )
    validation.check_name(name)
    switch(tracing)

    def build(name: str) -> Retry:
        return Retry(RetryController(name, settings, clock), tracing)

    return strategy.Strategy(strategy.RETRY, build, name, has_fallback=fallback is not NO_FALLBACK)
