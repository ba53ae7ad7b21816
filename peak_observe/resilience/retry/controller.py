"""Retry controller: settings, decisions and counters of all executions of one retry."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from peak_observe.errors import (
    CallTimeoutError,
    CircuitOpenError,
    OutcomeUnknown,
    ShuttingDownError,
    TradingHaltedError,
)
from peak_observe.measures import RETRIES, Exemplar, RetryCounts, RetryReading, Ticker, forks, increased
from peak_observe.resilience.common import deadlines
from peak_observe.resilience.common.fallback import NO_FALLBACK, LastGood
from peak_observe.resilience.common.predicates import members
from peak_observe.resilience.common.unknown_outcome import unknown_outcome_of
from peak_observe.resilience.retry import switch

if TYPE_CHECKING:
    from collections.abc import Callable

    from peak_observe.clock import Clock
    from peak_observe.resilience.common.unknown_outcome import HandledBefore
    from peak_observe.resilience.retry.settings import Settings

FIRST_TRY, AFTER_RETRY, EXHAUSTED, NOT_RETRYABLE, OUT_OF_TIME, OUT_OF_BUDGET, WOULD_RETRY = range(7)
UNACCEPTED = "_result"
REFUSALS = (CircuitOpenError, TradingHaltedError, ShuttingDownError)
"""Refusals of ours that another attempt meets again."""
"""What a result that was not accepted counts as among the classes of exceptions."""


class RetryController:
    """Settings and counters of a retry, thread-safe.

    Args:
        name: The label value.
        settings: The rules.
        clock: Where time and sleep come from.
    """

    def __init__(self, name: str, settings: Settings, clock: Clock) -> None:
        self.name = name
        self.settings = settings
        self.clock = clock
        self.lock = threading.Lock()
        self.first_tries: Ticker = Ticker() if settings.budget is None else _BudgetedTicker(settings.budget.count)
        self.counts = RetryCounts()
        self._observe_if_asked()
        self.timeouts: set[str] = set()  # the names of those inside the same policy
        self.series = RETRIES.series(name)
        forks.renew(self)

    @property
    def label(self) -> str:
        """The label value of its metrics."""
        return self.series.name

    @property
    def multiplies(self) -> bool:
        """Whether its attempts multiply those of a retry inside."""
        return self.max_attempts > 1 and not self.settings.inner_only and not self.settings.observes

    @property
    def max_attempts(self) -> float:
        """Number of attempts allowed at this moment; 1 while retries are turned off."""
        return 1 if switch.are_off() else self.settings.most_attempts

    def replace(self, before: Settings, after: Settings) -> bool:
        """Replace the settings, unless they are others than `before` by now; return whether they were replaced."""
        with self.lock:
            if self.settings is not before:
                return False
            self.settings = after
            self._observe_if_asked()
            return True

    def _observe_if_asked(self) -> None:
        """Count one more outcome from the first time on that it only observes."""
        if self.settings.observes and len(self.counts.calls) == WOULD_RETRY:
            self.counts.calls.append(0)

    def after_fork(self) -> None:
        """Renew the lock in a forked child."""
        self.lock = threading.Lock()

    def retryable(self, error: BaseException, handled_before: HandledBefore | None = None) -> bool:
        """Return whether an error is retried; cancellation, Ctrl-C and exit never are.

        A group is if all its exceptions are: another attempt would not cure the others.

        Args:
            error: What an attempt raised.
            handled_before: As for `leaves_open`.
        """
        if not isinstance(error, Exception) or self.leaves_open(error, handled_before):
            return False
        if not isinstance(error, ExceptionGroup):
            return self._retryable_one(error)
        if self.settings.expected.names_group(error):
            return True
        return all(isinstance(one, Exception) and self._retryable_one(one) for one in members(error))

    def leaves_open(self, error: BaseException, handled_before: HandledBefore | None = None) -> bool:
        """Return whether an order may stand behind an error, so that another attempt may place it twice.

        Args:
            error: What an attempt raised.
            handled_before: As for `unknown_outcome_of`.
        """
        return unknown_outcome_of(error, handled_before) is not None and not self.repeats_unknown_outcomes

    @property
    def repeats_unknown_outcomes(self) -> bool:
        """Whether an order that may stand is repeated, as for a journal's `submit`, which looks for it first."""
        return self.settings.expected.names(OutcomeUnknown)

    def _retryable_one(self, error: Exception) -> bool:
        expected = self.settings.expected
        # They would only refuse again; who names such a class itself gets it retried all the same.
        refusal = next((kind for kind in REFUSALS if isinstance(error, kind)), None)
        if refusal is not None and not expected.names(refusal):
            return False
        ours = isinstance(error, CallTimeoutError) and error.name in self.timeouts
        return ours or expected.matches(error)

    def counts_as_failure(self, error: Exception) -> bool:
        """Return whether an operation failed with what is retried, its timeout of attempts included."""
        cut_off = isinstance(error, TimeoutError) and self.settings.attempt_timeout is not None
        return (cut_off and not self.leaves_open(error)) or self.retryable(error)

    def falls_back(self, error: BaseException | None, *, timed_out: bool) -> bool:
        """Return whether the fallback stands in for what an operation ended with: what is retried, or was refused.

        Args:
            error: What it raised; None where its result was not accepted.
            timed_out: Whether that was the timeout of attempts.
        """
        if self.settings.observes or self.settings.fallback is NO_FALLBACK:
            return False
        if isinstance(self.settings.fallback, LastGood):
            return False  # the last good result of a function is that of its wrapper
        if unknown_outcome_of(error) is not None:
            return False  # whatever is expected: nobody would look for the order
        if error is None or timed_out:
            return True
        return self._was_retried_or_refused(error)

    def last_good_applies(self, error: Exception) -> bool:
        """Return whether the last good result stands in for what an operation ended with."""
        wanted = isinstance(self.settings.fallback, LastGood) and not self.settings.observes
        return wanted and (self.counts_as_failure(error) or self._was_retried_or_refused(error))

    def _was_retried_or_refused(self, error: BaseException) -> bool:
        if self.retryable(error):
            return True
        return all(isinstance(one, CircuitOpenError) or self.retryable(one) for one in members(error))

    def is_good(self, result: object) -> Any:
        """Return whether a result is accepted; an awaitable where `retry_result` is a coroutine function."""
        unacceptable = self.settings.retry_result
        if unacceptable is None:
            return True
        return unacceptable.async_is_false(result) if unacceptable.awaits else not unacceptable.is_true(result)

    def left(self, until: float | None) -> float | None:
        """Return the seconds until `until` or the caller's deadline, whichever is earlier; None without either."""
        ambient = deadlines.remaining()
        if until is None:
            return ambient
        own = until - self.clock.monotonic()
        return own if ambient is None else min(own, ambient)

    def count_error(self, kind: str) -> None:
        """Count a failed attempt by the class of its exception."""
        label = self.series.exception_label(kind)
        with self.lock:
            errors = self.counts.errors
            self.counts.errors = {**errors, label: errors.get(label, 0) + 1}

    def count_retry(self) -> None:
        """Count an attempt after the first."""
        with self.lock:
            self.counts.retries += 1

    def count_nested(self) -> None:
        """Count an operation that was retried inside an attempt of this one."""
        with self.lock:
            self.counts.nested += 1

    def count_wait(self, seconds: float) -> None:
        """Count the time between two attempts."""
        with self.lock:
            self.counts.backoff_seconds += max(0.0, seconds)

    def count_end(self, outcome: int, exemplar: Exemplar | None) -> None:
        """Count an operation that ended."""
        counts = self.counts
        with self.lock:
            if outcome == len(counts.calls):
                counts.calls.append(0)
            counts.calls[outcome] += 1
            if exemplar:
                counts.exemplars = {**counts.exemplars, outcome: exemplar}

    def read(self) -> RetryReading:
        """Return the counts of one moment."""
        reading, counts = RetryReading(), self.counts
        with self.lock:
            reading.calls = increased(counts.calls, FIRST_TRY, self.first_tries.value())
            reading.retries = counts.retries
            reading.backoff_seconds = counts.backoff_seconds
            reading.errors = counts.errors
            reading.exemplars = counts.exemplars
            reading.nested = counts.nested
        reading.max_attempts = self.max_attempts
        return reading


class _BudgetedTicker(Ticker):
    """Counter of first tries, each of which adds to the retry budget."""

    __slots__ = ("_own",)

    def __init__(self, pay: Callable[[], object]) -> None:
        super().__init__()
        self._own = own = Ticker()

        def tick() -> int:
            pay()
            return own.tick()

        self.tick = tick

    def value(self) -> int:
        """Return how often `tick()` was called."""
        return self._own.value()
