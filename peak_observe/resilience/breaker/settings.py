"""Settings of a circuit breaker as one frozen record; a value that makes no sense is a ValueError that names it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from peak_observe.resilience.common import validation, wrapping
from peak_observe.resilience.common.callbacks import check_function
from peak_observe.resilience.common.modes import ENFORCE, Mode, check_mode
from peak_observe.resilience.common.predicates import ExceptionMatcher, Expected
from peak_observe.resilience.common.wrapping import COROUTINE, FUNCTION
from peak_observe.support.shown import shown

if TYPE_CHECKING:
    from collections.abc import Mapping


RecoveryTimeout: TypeAlias = float | Sequence[float] | Callable[[int], float]
Errors: TypeAlias = Expected

LARGEST_WINDOW = 1_000_000
SHORTEST_WINDOW = 0.01
SHARE = 0.5
CALLS = 10


FOREIGN_NAMES = {
    "fail_max max_failures max_fails failures threshold error_threshold": "failure_threshold",
    "reset_timeout timeout_duration timeout open_timeout cooldown break_duration": "recovery_timeout",
    "ttl delay wait_duration_in_open_state": "recovery_timeout",
    "exceptions expected_exceptions exception on include handle record_exceptions": "expected_exception",
    "exclude excluded_exceptions ignore_exceptions ignored_exceptions": "ignore",
    "fallback_function": "fallback",
    "half_open_max_calls permitted_number_of_calls_in_half_open_state": "half_open_calls",
    "sliding_window_size": "window",
    "sampling_duration": "window_seconds",
    "failure_rate failure_rate_threshold": "failure_ratio",
    "min_calls minimum_number_of_calls minimum_throughput": "minimum_calls",
    "slow_call_duration slow_call_duration_threshold": "slow_call_seconds",
    "slow_call_rate slow_call_rate_threshold": "slow_call_ratio",
}
"""Names of arguments in pybreaker, circuitbreaker, aiobreaker, resilience4j and Polly, each with ours."""


class Settings(NamedTuple):
    """The rules for opening, probing and closing; see `CircuitBreaker` for what each means."""

    failure_threshold: int = 5
    recovery_timeout: RecoveryTimeout = 60.0
    expected_exception: Errors = Exception
    window: int | None = None
    window_seconds: float | None = None
    failure_ratio: float | None = None
    minimum_calls: int | None = None
    slow_call_seconds: float | None = None
    slow_call_ratio: float | None = None
    half_open_calls: int = 1
    success_threshold: int = 1
    probe_timeout: float = 60.0
    jitter: float = 0.0
    ignore: Errors = ()
    failure_result: Callable[[Any], bool] | None = None
    mode: Mode = ENFORCE

    @property
    def has_window(self) -> bool:
        """Whether ratios of a window open the circuit, not consecutive failures."""
        return self.window is not None or self.window_seconds is not None

    @property
    def failures_allowed(self) -> float:
        """The failure ratio that opens the circuit."""
        return SHARE if self.failure_ratio is None else self.failure_ratio

    @property
    def slowness_allowed(self) -> float:
        """The slow-call ratio that opens the circuit."""
        return SHARE if self.slow_call_ratio is None else self.slow_call_ratio

    @property
    def calls_needed(self) -> int:
        """Calls a window has to hold before its ratios count."""
        if self.minimum_calls is not None:
            return self.minimum_calls
        return CALLS if self.window is None else min(CALLS, self.window)

    @property
    def first_open_duration(self) -> float:
        """Seconds that the first opening lasts, before jitter."""
        timeout: Any = self.recovery_timeout
        return float(timeout(0) if callable(timeout) else timeout[0] if isinstance(timeout, list | tuple) else timeout)


def change_settings(before: Settings, changes: Mapping[str, Any]) -> Settings:
    """Return `before` with changes.

    Raises:
        ValueError: A value makes no sense, alone or beside the others.
    """
    settings = before._replace(**changes)
    _check_each(settings)
    if "failure_threshold" in changes:
        _check_threshold(settings)
    return settings


def check_settings(settings: Settings) -> None:
    """Raise ValueError where a value of new settings makes no sense, alone or beside the others."""
    _check_each(settings)
    _check_threshold(settings)


def _check_each(settings: Settings) -> None:
    _check_simple(settings)
    _check_window(settings)
    _check_probes(settings)


def _check_threshold(settings: Settings) -> None:
    if settings.has_window and settings.failure_threshold != Settings().failure_threshold:
        raise ValueError(
            "failure_threshold counts failures in a row and means nothing beside a window: "
            "use failure_ratio and minimum_calls"
        )


def _check_simple(settings: Settings) -> None:
    validation.check_count("failure_threshold", settings.failure_threshold)
    _check_recovery(settings.recovery_timeout)
    ExceptionMatcher("expected_exception", settings.expected_exception)
    if settings.ignore != ():
        ExceptionMatcher("ignore", settings.ignore)
    check_mode(settings.mode)
    judge = settings.failure_result
    if judge is not None and (not callable(judge) or wrapping.kind(judge) not in {FUNCTION, COROUTINE}):
        raise ValueError(f"failure_result must be a function of the result, not {shown(judge)}")


def _check_recovery(timeout: Any) -> None:
    if isinstance(timeout, list | tuple):
        if not timeout:
            raise ValueError("recovery_timeout must not be an empty sequence")
        for seconds in timeout:
            validation.check_seconds("each recovery_timeout", seconds)
        return
    if callable(timeout):
        check_function("recovery_timeout", timeout, "how often it reopened")
        try:
            timeout = timeout(0)
        except Exception as error:
            raise ValueError(f"recovery_timeout must be a function of how often it reopened: {error!r} at 0") from error
    validation.check_seconds("recovery_timeout", timeout)


def _check_window(settings: Settings) -> None:
    window, seconds = settings.window, settings.window_seconds
    if window is not None and seconds is not None:
        raise ValueError("window counts calls and window_seconds time: give one of them")
    if window is not None:
        validation.check_count("window", window)
        if window > LARGEST_WINDOW:
            raise ValueError(f"window must be at most {LARGEST_WINDOW} calls, not {shown(window)}")
    if seconds is not None:
        validation.check_period("window_seconds", seconds)
        if seconds < SHORTEST_WINDOW:
            raise ValueError(f"window_seconds must be at least {SHORTEST_WINDOW} seconds, not {shown(seconds)}")
    for name in ("failure_ratio", "minimum_calls", "slow_call_seconds"):
        if getattr(settings, name) is not None and not settings.has_window:
            raise ValueError(f"{name} needs a window: give window or window_seconds as well")
    _check_shares(settings)


def _check_shares(settings: Settings) -> None:
    for name in ("failure_ratio", "slow_call_ratio"):
        share = getattr(settings, name)
        if share is not None:
            validation.check_share(name, share)
            if share == 0:
                raise ValueError(f"{name} must be more than 0: at 0 the first call would open the circuit")
    if settings.slow_call_seconds is not None:
        validation.check_period("slow_call_seconds", settings.slow_call_seconds)
    elif settings.slow_call_ratio is not None:
        raise ValueError("slow_call_ratio needs slow_call_seconds, which says what is slow")
    if settings.minimum_calls is not None:
        validation.check_count("minimum_calls", settings.minimum_calls)
        if settings.window is not None and settings.minimum_calls > settings.window:
            raise ValueError(f"minimum_calls must be at most the window, {settings.window}: it could never be reached")


def _check_probes(settings: Settings) -> None:
    validation.check_count("half_open_calls", settings.half_open_calls)
    validation.check_count("success_threshold", settings.success_threshold)
    validation.check_period("probe_timeout", settings.probe_timeout)
    validation.check_share("jitter", settings.jitter)
