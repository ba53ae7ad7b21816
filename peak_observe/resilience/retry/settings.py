"""Settings of a retry as one frozen record; a value that makes no sense is a ValueError that names it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeAlias

from peak_observe.resilience.common import idempotency, validation, wrapping
from peak_observe.resilience.common.callbacks import SafeCallback
from peak_observe.resilience.common.predicates import ExceptionMatcher
from peak_observe.resilience.retry.backoff import BackoffSchedule
from peak_observe.resilience.retry.budget import find_budget
from peak_observe.support.shown import shown

if TYPE_CHECKING:
    from peak_observe.events import RetryScheduled
    from peak_observe.resilience.retry.backoff import Delays, Jitter, RetryAfter
    from peak_observe.resilience.retry.budget import RetryBudget
else:
    RetryScheduled = tuple  # which it is; the record itself is loaded with the first retry

OnRetry: TypeAlias = Callable[[RetryScheduled], object]
Nested: TypeAlias = Literal["warn", "inner_only"]

WARN, INNER_ONLY = "warn", "inner_only"
NESTING_MODES = (WARN, INNER_ONLY)

FOREIGN_NAMES = {
    "tries max_tries attempts stop stop_after_attempt total": "max_attempts",
    "wait delay initial_delay wait_initial min_delay interval backoff backoff_factor multiplier base": "base_delay",
    "max_wait wait_max max_backoff backoff_max maximum": "max_delay",
    "exponential_backoff": "exponential",
    "exceptions expected_exceptions exception on retry retry_on retry_on_exception": "expected_exception",
    "wait_jitter": "jitter",
    "max_time deadline stop_after_delay total_timeout": "timeout",
    "timeout_per_attempt per_attempt_timeout": "attempt_timeout",
    "retry_on_result retry_if_result": "retry_result",
    "retry_budget": "budget",
    "before_sleep on_backoff on_failure callback": "on_retry",
    "max_retries retries": "max_attempts (it counts the first call too)",
    "exclude ignore giveup": "expected_exception with a function: lambda error: not isinstance(error, KeyError)",
}
"""Names of arguments in tenacity, stamina, backoff, retrying, urllib3 and resilience4j, each with ours."""

BLOCK_FOREIGN_NAMES = FOREIGN_NAMES | {
    "retry_result retry_on_result retry_if_result": "an exception in the block, as a block has no result",
}


class Settings(NamedTuple):
    """The rules of a retry; see `retry_with_backoff` for what each means."""

    max_attempts: int
    expected: ExceptionMatcher
    schedule: BackoffSchedule
    timeout: float | None
    attempt_timeout: float | None
    retry_result: SafeCallback | None
    budget: RetryBudget | None
    on_retry: SafeCallback | None
    inner_only: bool

    @property
    def simple(self) -> bool:
        """Whether a first attempt needs no timeout and no look at its result."""
        return self.timeout is None and self.attempt_timeout is None and self.retry_result is None

    def check_use(self, func: Callable[..., Any], kind: str) -> None:
        """Raise an error if a function must not be retried, or an option is of no use for its kind."""
        if self.max_attempts > 1:
            idempotency.refuse(func)
        if self.attempt_timeout is not None and kind in {wrapping.FUNCTION, wrapping.GENERATOR}:
            raise ValueError(
                f"attempt_timeout can interrupt coroutines only, not the plain {kind} {wrapping.name_of(func)}: "
                "give the socket or HTTP client that it uses a timeout"
            )
        for name, callback in (("retry_result", self.retry_result), ("on_retry", self.on_retry)):
            if callback and callback.awaits and kind in {wrapping.FUNCTION, wrapping.GENERATOR}:
                raise ValueError(
                    f"{name} must be a plain function for the {kind} {wrapping.name_of(func)}, which awaits nothing"
                )
        if self.retry_result and kind in {wrapping.GENERATOR, wrapping.ASYNC_GENERATOR}:
            raise ValueError(f"retry_result needs a function with a result, not the {kind} {wrapping.name_of(func)}")


def build_settings(
    *,
    max_attempts: Any,
    base_delay: Any,
    max_delay: Any,
    exponential: bool,
    expected_exception: Any,
    delays: Delays | None,
    jitter: Jitter | None,
    retry_after: RetryAfter,
    timeout: float | None,
    attempt_timeout: float | None,
    retry_result: Callable[[Any], bool] | None,
    budget: RetryBudget | str | None,
    on_retry: OnRetry | None,
    nested: str,
) -> Settings:
    """Return the settings from checked arguments.

    Raises:
        ValueError: An argument makes no sense.
    """
    validation.check_count("max_attempts", max_attempts)
    schedule = BackoffSchedule(
        base=base_delay,
        cap=max_delay,
        exponential=exponential,
        own=delays,
        jitter=jitter,
        retry_after=retry_after,
        limit=max_attempts - 1,
    )
    for name, seconds in (("timeout", timeout), ("attempt_timeout", attempt_timeout)):
        if seconds is not None:
            validation.check_period(name, seconds)
    if nested not in NESTING_MODES:
        raise ValueError(f"nested must be 'warn' or 'inner_only', not {shown(nested)}")
    return Settings(
        max_attempts=max_attempts,
        expected=ExceptionMatcher("expected_exception", expected_exception),
        schedule=schedule,
        timeout=timeout,
        attempt_timeout=attempt_timeout,
        retry_result=_function("retry_result", retry_result, "the result"),
        budget=find_budget(budget),
        on_retry=_function("on_retry", on_retry, "the event"),
        inner_only=nested == INNER_ONLY,
    )


def _function(name: str, value: Any, of: str) -> SafeCallback | None:
    if value is None:
        return None
    if not callable(value) or wrapping.kind(value) not in {wrapping.FUNCTION, wrapping.COROUTINE}:
        raise ValueError(f"{name} must be a function of {of}, not {shown(value)}")
    return SafeCallback(name, value, awaitable=True)
