"""What a retry can be told, as one frozen record; what makes no sense is one ValueError that names the argument."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypedDict

from peak_observe.resilience.common import validation, wrapping
from peak_observe.resilience.common.callbacks import Guarded
from peak_observe.resilience.common.predicates import Matcher
from peak_observe.resilience.retry import budget, idempotency, nesting
from peak_observe.resilience.retry.backoff import Schedule

if TYPE_CHECKING:
    from collections.abc import Callable

    from peak_observe.events import RetryScheduled
    from peak_observe.resilience.retry.backoff import Delays, Jitter, RetryAfter
    from peak_observe.resilience.retry.budget import RetryBudget


class Options(TypedDict, total=False):
    """The keyword arguments of a retry beyond those of the simple form; see `retry_with_backoff`."""

    delays: Delays | None
    jitter: Jitter | None
    retry_after: RetryAfter
    timeout: float | None
    attempt_timeout: float | None
    retry_result: Callable[[Any], bool] | None
    budget: RetryBudget | str | None
    on_retry: Callable[[RetryScheduled], object] | None
    nested: Literal["warn", "inner_only"]


class Settings(NamedTuple):
    """How a retry decides."""

    max_attempts: int
    expected: Matcher
    schedule: Schedule
    timeout: float | None
    attempt_timeout: float | None
    retry_result: Guarded | None
    budget: RetryBudget | None
    on_retry: Guarded | None
    inner_only: bool

    @property
    def simple(self) -> bool:
        """Whether a first attempt needs nothing around it."""
        return self.timeout is None and self.attempt_timeout is None and self.retry_result is None

    def check_use(self, func: Callable[..., Any], kind: str) -> None:
        """Raise an error if a function of this kind must not be repeated, or an option is of no use for it."""
        if self.max_attempts > 1:
            idempotency.refuse(func)
        if self.attempt_timeout is not None and kind in {wrapping.FUNCTION, wrapping.GENERATOR}:
            raise ValueError(
                f"attempt_timeout can interrupt coroutines only, not the plain {kind} {wrapping.name_of(func)}: "
                "give the socket or HTTP client that it uses a timeout"
            )
        if self.retry_result and kind in {wrapping.GENERATOR, wrapping.ASYNC_GENERATOR}:
            raise ValueError(f"retry_result needs a function with a result, not the {kind} {wrapping.name_of(func)}")


def build_settings(  # noqa: PLR0917 - the five of the contract in its order
    max_attempts: Any,
    base_delay: Any,
    max_delay: Any,
    exponential: bool,
    expected_exception: Any,
    options: Options,
) -> Settings:
    """Return the settings that arguments come to.

    Raises:
        ValueError: An argument makes no sense.
        TypeError: There is no such option.
    """
    unknown = sorted(options.keys() - Options.__annotations__.keys())
    if unknown:
        raise TypeError(f"a retry has no option {unknown[0]!r}; there are {', '.join(Options.__annotations__)}")
    validation.check_count("max_attempts", max_attempts)
    schedule = Schedule(
        base=base_delay,
        cap=max_delay,
        exponential=exponential,
        own=options.get("delays"),
        jitter=options.get("jitter"),
        retry_after=options.get("retry_after", True),
        limit=max_attempts - 1,
    )
    for name in ("timeout", "attempt_timeout"):
        if options.get(name) is not None:
            validation.check_period(name, options.get(name))
    nested = options.get("nested", nesting.WARN)
    if nested not in nesting.MODES:
        raise ValueError(f"nested must be 'warn' or 'inner_only', not {nested!r}")
    return Settings(
        max_attempts=max_attempts,
        expected=Matcher("expected_exception", expected_exception),
        schedule=schedule,
        timeout=options.get("timeout"),
        attempt_timeout=options.get("attempt_timeout"),
        retry_result=_function("retry_result", options.get("retry_result"), "the result"),
        budget=budget.find(options.get("budget")),
        on_retry=_function("on_retry", options.get("on_retry"), "the event"),
        inner_only=nested == nesting.INNER_ONLY,
    )


def _function(name: str, value: Any, of: str) -> Guarded | None:
    if value is None:
        return None
    if not callable(value) or wrapping.kind(value) != wrapping.FUNCTION:
        raise ValueError(f"{name} must be a plain function of {of}, not {value!r}")
    return Guarded(name, value)
