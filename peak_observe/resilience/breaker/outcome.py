"""Classify a call as success, failure or ignored."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from peak_observe import catalog
from peak_observe.errors import CallTimeoutError, CircuitOpenError, RefusedError
from peak_observe.resilience.common.callbacks import SafeCallback
from peak_observe.resilience.common.fallback import Absent
from peak_observe.resilience.common.predicates import ExceptionMatcher, members

if TYPE_CHECKING:
    from collections.abc import Callable
    from collections.abc import Set as AbstractSet

    from peak_observe.resilience.breaker.settings import Settings

SUCCESS, FAILURE, IGNORED, REJECTED, WOULD_REFUSE = range(len(catalog.OBSERVED_CALL_OUTCOMES))


NO_RESULT = Absent("NO_RESULT")
"""The result of a block, or of a generator, which is not classified."""

BAD_RESULT = Absent("BAD_RESULT")
"""Stands for a result that a coroutine function has judged to be a failure."""


class OutcomeClassifier:
    """Classify a call as success, failure or ignored.

    The user's functions are called without the lock. One that raises is logged once; then its error counts as a failure
    and its result as a success.

    Args:
        settings: The rules: what is expected, what is ignored, and a bad result.
        name: The breaker's name, for the log.
        timeouts: The names of timeouts whose errors count as failures whatever is expected.

    Attributes:
        judge: `failure_result`, if it is a coroutine function, which the caller of `classify` awaits.
    """

    def __init__(self, settings: Settings, name: str, timeouts: AbstractSet[str] = frozenset()) -> None:
        self._timeouts = timeouts
        # A function that raises has not said that an error is no failure.
        self._expected = _matcher("expected_exception", settings.expected_exception, name, default=True)
        self._ignored = _matcher("ignore", settings.ignore, name) if settings.ignore != () else None
        self._bad = _judge(settings.failure_result, name) if settings.failure_result else None
        self.judge = self._bad if self._bad is not None and self._bad.awaits else None

    def classify(self, error: BaseException | None, result: object = NO_RESULT) -> int:
        """Return the index of the outcome in `catalog.CALL_OUTCOMES`.

        A group counts as failure if one of its exceptions does: the others say nothing for the service.
        """
        if error is None:
            return FAILURE if self._is_bad(result) else SUCCESS
        # Cancellation, Ctrl-C, exit and our own limits say nothing about the service, whatever is expected.
        if not isinstance(error, Exception) or isinstance(error, RefusedError):
            return IGNORED
        if not isinstance(error, ExceptionGroup):
            return self._classify_one(error)
        if self._ignored is not None and self._ignored.names_group(error):
            return IGNORED
        if self._expected.names_group(error):
            return FAILURE
        failed = any(isinstance(one, Exception) and self._classify_one(one) == FAILURE for one in members(error))
        return FAILURE if failed else IGNORED

    def _classify_one(self, error: Exception) -> int:
        if isinstance(error, RefusedError):
            return IGNORED
        if isinstance(error, CircuitOpenError) and not self._expected.names(CircuitOpenError):
            return IGNORED  # the call was not made: a circuit inside has counted what it is open for
        if self._ignored is not None and self._ignored.matches(error):
            return IGNORED
        hangs = isinstance(error, CallTimeoutError) and error.name in self._timeouts
        return FAILURE if hangs or self._expected.matches(error) else IGNORED

    async def async_is_good(self, result: object) -> bool:
        """Return whether a result is one of a success, where `failure_result` is a coroutine function."""
        return self.judge is None or not await self.judge.async_is_true(result)

    def _is_bad(self, result: object) -> bool:
        if self._bad is None or result is NO_RESULT:
            return False
        return result is BAD_RESULT if self.judge is not None else self._bad.is_true(result)


def _matcher(role: str, wanted: Any, owner: str, *, default: bool = False) -> ExceptionMatcher:
    return ExceptionMatcher(role, wanted, owner=owner, logger="breaker", default=default)


def _judge(function: Callable[[Any], object], owner: str) -> SafeCallback:
    return SafeCallback("failure_result", function, owner=owner, logger="breaker", awaitable=True)
