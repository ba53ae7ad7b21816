"""Retry of one function or block as an object: name, settings, statistics, and changes while calls go on."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

from peak_observe.measures import RetryReading
from peak_observe.resilience.common import idempotency, wrapping
from peak_observe.resilience.common.fallback import LastGood, with_fallback
from peak_observe.resilience.common.keywords import UNCHANGED, Unchanged, changes, check_keywords
from peak_observe.resilience.common.modes import Mode
from peak_observe.resilience.common.pipeline import Pipeline
from peak_observe.resilience.common.predicates import Expected
from peak_observe.resilience.retry import nesting, statistics
from peak_observe.resilience.retry.backoff import Delays, Jitter, RetryAfter
from peak_observe.resilience.retry.controller import RetryController
from peak_observe.resilience.retry.settings import (
    FOREIGN_NAMES,
    Nested,
    OnGiveUp,
    OnRetry,
    Settings,
    change_settings,
)
from peak_observe.resilience.retry.wrappers import RetryWrappers, refresh
from peak_observe.support.shown import label
from peak_observe.telemetry.tracing.spans import TracingMode


class RetryControl:
    """Name, settings and statistics of a retry.

    Args:
        controller: Settings and counts.
    """

    def __init__(self, controller: RetryController) -> None:
        self._controller = controller
        self._before: RetryReading | None = None
        controller.series.join(self, controller.read)

    @property
    def name(self) -> str:
        """The name by which its metrics are known."""
        return self._controller.name

    @property
    def stats(self) -> statistics.RetryStats:
        """The operations so far, or since `reset()`, as a frozen record."""
        return statistics.stats_between(self._before, self._controller.read())

    def reset(self) -> None:
        """Reset the statistics; the metrics go on, as counters never fall."""
        self._before = self._controller.read()

    def snapshot(self) -> statistics.RetrySnapshot:
        """Return settings and counts of this moment, as a frozen record."""
        return statistics.snapshot_of(self._controller, self._before)

    @check_keywords(FOREIGN_NAMES)
    def configure(
        self,
        *,
        max_attempts: int | Unchanged | None = UNCHANGED,
        base_delay: float | Unchanged = UNCHANGED,
        max_delay: float | Unchanged = UNCHANGED,
        exponential: bool | Unchanged = UNCHANGED,
        expected_exception: Expected | Unchanged = UNCHANGED,
        multiplier: float | Unchanged = UNCHANGED,
        delays: Delays | Unchanged | None = UNCHANGED,
        jitter: Jitter | Unchanged | None = UNCHANGED,
        retry_after: RetryAfter | Unchanged = UNCHANGED,
        timeout: float | Unchanged | None = UNCHANGED,
        attempt_timeout: float | Unchanged | None = UNCHANGED,
        retry_result: Callable[[Any], bool] | Unchanged | None = UNCHANGED,
        on_retry: OnRetry | Unchanged | None = UNCHANGED,
        on_give_up: OnGiveUp | Unchanged | None = UNCHANGED,
        fallback: object = UNCHANGED,
        nested: Nested | Unchanged = UNCHANGED,
        mode: Mode | Unchanged = UNCHANGED,
    ) -> None:
        """Change settings while calls go on; what is not given stays as it is, and so do the counts.

        Operations under way decide by the new settings from their next decision on; one that sleeps sleeps on. The
        budget is changed by its own `configure`.

        Args:
            max_attempts: How often the function is called at most, at least 1; None with a `timeout` for no limit.
            base_delay: Seconds before the second attempt.
            max_delay: Upper limit in seconds of the growing delay, and of what a service may ask for.
            exponential: Whether the delay grows.
            expected_exception: Exceptions that are retried: a type, a function of the exception, or a tuple of them.
            multiplier: By how much each delay is longer than the one before.
            delays: The delays in seconds, of which the last repeats, or a function of attempt and exception.
            jitter: The share of a delay that is left to chance.
            retry_after: Whether what an exception asks for is waited for, or a function of the exception.
            timeout: Seconds from the first attempt within which the last one begins.
            attempt_timeout: Seconds after which the attempt of a coroutine is cancelled and counts as failed.
            retry_result: A function of the result: whether it is retried.
            on_retry: A function that is called with each `RetryScheduled`.
            on_give_up: A function that is called with each `GaveUp`.
            fallback: The result where the retry gave up: a value, or a function of the error.
            nested: `warn` or `inner_only`.
            mode: `enforce` or `observe`.

        Raises:
            TypeError: There is no such setting, or what it protects must not be repeated; nothing is changed then.
            ValueError: A value makes no sense, alone, beside the others, or for what it protects already.
        """
        given = changes(
            max_attempts=max_attempts,
            base_delay=base_delay,
            max_delay=max_delay,
            exponential=exponential,
            expected_exception=expected_exception,
            multiplier=multiplier,
            delays=delays,
            jitter=jitter,
            retry_after=retry_after,
            timeout=timeout,
            attempt_timeout=attempt_timeout,
            retry_result=retry_result,
            on_retry=on_retry,
            on_give_up=on_give_up,
            fallback=fallback,
            nested=nested,
            mode=mode,
        )
        while not self._changed(given):
            pass  # somebody else has changed them meanwhile
        refresh(self._controller)

    def _changed(self, given: dict[str, Any]) -> bool:
        before = self._controller.settings
        after = change_settings(before, given)
        self._check_use(after)
        return self._controller.replace(before, after)

    def _check_use(self, settings: Settings) -> None:
        """Raise an error if settings make no sense for what it protects."""

    def __repr__(self) -> str:
        most = self._controller.settings.max_attempts
        return f"<Retry {label(self.name)!r} of {'any number of' if most is None else most} attempts>"


class Retry(RetryControl):
    """Retry of one decorated function, as its attribute `retry`.

    Args:
        controller: Settings and counts.
        tracing: When an operation and its attempts are spans.
    """

    def __init__(self, controller: RetryController, tracing: TracingMode) -> None:
        super().__init__(controller)
        self._tracing = tracing
        self._functions: list[tuple[Callable[..., Any], str]] = []

    def wrap(self, func: Callable[..., Any]) -> Callable[..., Any]:
        """Return `func` with retries, of the same kind.

        Raises:
            ValueError: An option is of no use for a function of this kind.
            TypeError: The function must not be repeated, or is a generator function and there is a fallback.
        """
        kind = wrapping.kind(func)
        self._controller.settings.check_use(func, kind)
        self._functions.append((func, kind))
        wrapper = self._wrapped(func, kind)
        idempotency.note_retried(wrapper, self._controller.name)
        vars(wrapper)["retry"] = self
        return wrapper

    __call__ = wrap

    def _with_last_good(self, wrapper: Callable[..., Any], *, asynchronous: bool) -> Callable[..., Any]:
        from peak_observe.resilience.common.last_result import StandIn  # late, as many programs have no such fallback

        controller = self._controller
        stand_in = StandIn(wrapper, controller.settings.fallback, controller.name, controller.clock)
        return with_fallback(
            wrapper, controller.last_good_applies, stand_in, asynchronous=asynchronous, is_good=controller.is_good
        )

    def _check_use(self, settings: Settings) -> None:
        before = self._controller.settings.fallback
        if isinstance(settings.fallback, LastGood) and settings.fallback is not before and self._functions:
            raise ValueError(
                "fallback=last_good(…) is given where a function is decorated: it has no results to give yet"
            )
        for func, kind in self._functions:
            settings.check_use(func, kind)

    def _wrapped(self, func: Callable[..., Any], kind: str) -> Callable[..., Any]:
        controller, tracing = self._controller, self._tracing
        asked = idempotency.is_retried(func) or nesting.asks_for_attempts(func)
        if kind in {wrapping.FUNCTION, wrapping.COROUTINE}:
            wrappers = RetryWrappers(controller, tracing, asked=asked)
            asynchronous = kind == wrapping.COROUTINE
            wrapper = Pipeline(func, retry=wrappers).wrap(func, asynchronous=asynchronous)
            if isinstance(controller.settings.fallback, LastGood):
                return self._with_last_good(wrapper, asynchronous=asynchronous)
            return wrapper
        # What is repeated of a generator is its way to the first item. A span that is current would stay so where the
        # generator is left.
        wrappers = RetryWrappers(controller, tracing, current=False)
        if kind == wrapping.GENERATOR:
            pipeline = Pipeline(wrapping.first_item(func), retry=wrappers)
            return wrapping.wrap_generator(func, nullcontext, lambda a, k: pipeline.run(wrappers.flow(), a, k))
        pipeline = Pipeline(wrapping.async_first_item(func), retry=wrappers)
        return wrapping.wrap_async_generator(func, nullcontext, lambda a, k: pipeline.run_async(wrappers.flow(), a, k))
