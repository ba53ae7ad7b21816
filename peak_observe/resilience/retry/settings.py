"""Settings of a retry as one frozen record; a value that makes no sense is a ValueError that names it."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeAlias

from peak_observe.resilience.common import fallback as fallbacks
from peak_observe.resilience.common import idempotency, validation, wrapping
from peak_observe.resilience.common.callbacks import SafeCallback
from peak_observe.resilience.common.modes import ENFORCE, OBSERVE, Mode, check_mode
from peak_observe.resilience.common.predicates import ExceptionMatcher
from peak_observe.resilience.retry import switch
from peak_observe.resilience.retry.backoff import BackoffSchedule
from peak_observe.resilience.retry.budget import find_budget
from peak_observe.support.shown import shown

if TYPE_CHECKING:
    from peak_observe.events import GaveUp, RetryScheduled
    from peak_observe.resilience.retry.backoff import Delays, Jitter, RetryAfter
    from peak_observe.resilience.retry.budget import RetryBudget
else:
    GaveUp = RetryScheduled = tuple  # which they are; the records themselves are loaded with the first retry

OnGiveUp: TypeAlias = Callable[[GaveUp], object]
OnRetry: TypeAlias = Callable[[RetryScheduled], object]
Nested: TypeAlias = Literal["warn", "inner_only"]

WARN, INNER_ONLY = "warn", "inner_only"
NESTING_MODES = (WARN, INNER_ONLY)

FOREIGN_NAMES = {
    "tries max_tries attempts stop stop_after_attempt total": "max_attempts",
    "wait delay initial_delay wait_initial min_delay interval backoff backoff_factor base": "base_delay",
    "max_wait wait_max max_backoff backoff_max maximum": "max_delay",
    "exponential_backoff": "exponential",
    "factor exp_base wait_exp_base growth_factor backoff_multiplier exponent": "multiplier",
    "exceptions expected_exceptions exception on retry retry_on retry_on_exception": "expected_exception",
    "wait_jitter": "jitter",
    "max_time deadline stop_after_delay total_timeout": "timeout",
    "timeout_per_attempt per_attempt_timeout": "attempt_timeout",
    "retry_on_result retry_if_result": "retry_result",
    "retry_budget": "budget",
    "before_sleep on_backoff on_failure callback": "on_retry",
    "on_giveup retry_error_callback on_exhausted": "on_give_up",
    "default fallback_function fallback_value": "fallback",
    "max_retries retries": "max_attempts (it counts the first call too)",
    "exclude ignore giveup": "expected_exception with a function: lambda error: not isinstance(error, KeyError)",
}
"""Names of arguments in tenacity, stamina, backoff, retrying, urllib3 and resilience4j, each with ours."""

BLOCK_FOREIGN_NAMES = FOREIGN_NAMES | {
    "retry_result retry_on_result retry_if_result": "an exception in the block, as a block has no result",
    "fallback default fallback_function fallback_value": "an except clause around the loop, as a block has no result",
}


class Settings(NamedTuple):
    """The rules of a retry; see `retry_with_backoff` for what each means."""

    max_attempts: int | None
    expected: ExceptionMatcher
    schedule: BackoffSchedule
    timeout: float | None
    attempt_timeout: float | None
    retry_result: SafeCallback | None
    budget: RetryBudget | None
    on_retry: SafeCallback | None
    on_give_up: SafeCallback | None
    fallback: Any
    inner_only: bool
    mode: Mode
    options: Mapping[str, Any]
    """The arguments as they were given, from which changed settings are built."""

    @property
    def most_attempts(self) -> float:
        """Number of attempts allowed; infinitely many where only time ends them."""
        return math.inf if self.max_attempts is None else self.max_attempts

    @property
    def repeats(self) -> bool:
        """Whether there can be a second attempt."""
        return self.most_attempts > 1 and not self.observes

    @property
    def observes(self) -> bool:
        """Whether it is a dry run, which changes nothing for the caller."""
        return self.mode == OBSERVE

    @property
    def simple(self) -> bool:
        """Whether a first attempt needs no timeout and no look at its result."""
        return self.timeout is None and self.attempt_timeout is None and self.retry_result is None

    def check_use(self, func: Callable[..., Any], kind: str) -> None:
        """Raise an error if a function must not be retried, or an option is of no use for its kind."""
        if self.repeats:
            idempotency.refuse(func)
        if self.fallback is not fallbacks.NO_FALLBACK:
            fallbacks.check_kind(func, kind)
        if self.attempt_timeout is not None and kind in {wrapping.FUNCTION, wrapping.GENERATOR}:
            raise ValueError(
                f"attempt_timeout can interrupt coroutines only, not the plain {kind} {wrapping.name_of(func)}: "
                "give the socket or HTTP client that it uses a timeout"
            )
        callbacks = {"retry_result": self.retry_result, "on_retry": self.on_retry, "on_give_up": self.on_give_up}
        for name, callback in callbacks.items():
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
    multiplier: float,
    expected_exception: Any,
    delays: Delays | None,
    jitter: Jitter | None,
    retry_after: RetryAfter,
    timeout: float | None,
    attempt_timeout: float | None,
    retry_result: Callable[[Any], bool] | None,
    budget: RetryBudget | str | None,
    on_retry: OnRetry | None,
    on_give_up: OnGiveUp | None,
    fallback: Any,
    nested: str,
    mode: Any = ENFORCE,
) -> Settings:
    """Return the settings from checked arguments.

    Raises:
        ValueError: An argument makes no sense.
    """
    options = locals()
    switch.check_environment()
    most = _most_attempts(max_attempts, timeout)
    schedule = BackoffSchedule(
        base=base_delay,
        cap=max_delay,
        exponential=exponential,
        multiplier=multiplier,
        own=delays,
        jitter=jitter,
        retry_after=retry_after,
        limit=most - 1,
    )
    for name, seconds in (("timeout", timeout), ("attempt_timeout", attempt_timeout)):
        if seconds is not None:
            validation.check_period(name, seconds)
    check_mode(mode)
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
        on_give_up=_function("on_give_up", on_give_up, "the event"),
        fallback=fallback,
        inner_only=nested == INNER_ONLY,
        mode=mode,
        options=options,
    )


def change_settings(before: Settings, changes: Mapping[str, Any]) -> Settings:
    """Return settings with some arguments changed.

    Raises:
        ValueError: A value makes no sense, alone or beside the others.
    """
    return build_settings(**{**before.options, **changes})


def _most_attempts(max_attempts: Any, timeout: float | None) -> float:
    if max_attempts is not None:
        validation.check_count("max_attempts", max_attempts)
        return float(max_attempts)
    if timeout is None:
        raise ValueError(
            "max_attempts=None would retry for ever: give timeout as well, the seconds after which it ends"
        )
    return math.inf


def _function(name: str, value: Any, of: str) -> SafeCallback | None:
    if value is None:
        return None
    if not callable(value) or wrapping.kind(value) not in {wrapping.FUNCTION, wrapping.COROUTINE}:
        raise ValueError(f"{name} must be a function of {of}, not {shown(value)}")
    return SafeCallback(name, value, awaitable=True)
