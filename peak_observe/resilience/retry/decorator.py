"""Retry with backoff: the same operation again, after a growing delay, a bounded number of times."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar, overload

from peak_observe.clock import SYSTEM_CLOCK, Clock
from peak_observe.resilience.common import strategy, validation
from peak_observe.resilience.retry.controller import RetryCore
from peak_observe.resilience.retry.settings import Options, build_settings
from peak_observe.resilience.retry.wrappers import Retry
from peak_observe.telemetry.tracing.spans import TracingMode, switch

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Unpack

    from peak_observe.resilience.common.predicates import Expected

F = TypeVar("F", bound="Callable[..., Any]")


@overload
def retry_with_backoff(max_attempts: F, /) -> F: ...


@overload
def retry_with_backoff(
    max_attempts: int = 3,
    base_delay: float = 1.0,
    max_delay: float = 60.0,
    exponential: bool = True,
    expected_exception: Expected = Exception,
    *,
    name: str | None = None,
    tracing: TracingMode = "auto",
    clock: Clock = SYSTEM_CLOCK,
    **more: Unpack[Options],
) -> Callable[[F], F]: ...


def retry_with_backoff(
    max_attempts: Any = 3,
    base_delay: float = 1.0,
    max_delay: float = 60.0,
    exponential: bool = True,
    expected_exception: Expected = Exception,
    *,
    name: str | None = None,
    tracing: TracingMode = "auto",
    clock: Clock = SYSTEM_CLOCK,
    **more: Unpack[Options],
) -> Any:
    """Call a function again when it fails, after 1, 2, 4, 8 … times `base_delay`; with or without parentheses.

    The last exception comes through unchanged, with a note that says how many attempts were made and how long they
    took. An open circuit is not retried: put the breaker outside, the retry inside. Generators are retried until their
    first item. A function marked `@idempotent(False)` is refused.

    Args:
        max_attempts: How often the function is called at most, at least 1.
        base_delay: Seconds before the second attempt.
        max_delay: Upper limit in seconds of the growing delay, and of what a service may ask for.
        exponential: Whether the delay doubles; otherwise it is always `base_delay`.
        expected_exception: What is retried: a type, a function of the exception, or a tuple of them. Cancellation,
            Ctrl-C and exit never are, and `CircuitOpenError` only if it is named itself.
        name: The label value of the metrics; the function's qualified name by default.
        tracing: `auto` traces inside a recording span, `always` begins a trace if there is none, `off` never traces.
        clock: Where time and sleep come from; for tests.
        more: `delays`, the delays themselves (the last one repeats), or a function of attempt and exception.
            `jitter`, what of a delay is left to chance: `"full"`, `"equal"`, `"decorrelated"` or a share from 0 to 1.
            `retry_after`, whether an exception's `retry_after` or `Retry-After` is waited for, or a function of the
            exception that finds the seconds; who asks for more than `max_delay` is not asked again. `timeout`, seconds
            from the first attempt within which the last one begins; below it is the deadline. `attempt_timeout`,
            seconds after which the attempt of a coroutine is cancelled and counts as failed. `retry_result`, a function
            that says of a result whether it is retried; the last one is returned as it is. `budget`, a `RetryBudget` or
            its name. `on_retry`, a function that is told of each `RetryScheduled`. `nested`, what is done about a retry
            inside: `"warn"`, or `"inner_only"` to retry nothing on which it has given up.

    Raises:
        ValueError: An argument makes no sense, or not for this kind of function; the message names it.
        TypeError: What is decorated cannot be called or must not be repeated, or there is no such option.
    """
    if validation.is_function(max_attempts):
        return retry_with_backoff()(max_attempts)
    settings = build_settings(max_attempts, base_delay, max_delay, exponential, expected_exception, more)
    switch(tracing)

    def build(name: str) -> Retry:
        return Retry(RetryCore(name, settings, clock), tracing)

    return strategy.Part(strategy.RETRY, build, name)
