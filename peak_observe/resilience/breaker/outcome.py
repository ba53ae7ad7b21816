"""Classify a call as success, failure or ignored."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from peak_observe import catalog
from peak_observe.errors import CallTimeoutError, CircuitOpenError, RefusedError
from peak_observe.resilience.common.callbacks import SafeCallback

if TYPE_CHECKING:
    from collections.abc import Callable
    from collections.abc import Set as AbstractSet
    from typing import TypeAlias

    from peak_observe.resilience.breaker.settings import Settings

    Predicate: TypeAlias = type[BaseException] | tuple[type[BaseException], ...] | SafeCallback

SUCCESS, FAILURE, IGNORED, REJECTED = range(len(catalog.CALL_OUTCOMES))


class _Absent:
    """The type of values that stand for an absent one, as None may be present."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __repr__(self) -> str:
        return self._name


NO_RESULT = _Absent("NO_RESULT")
"""The result of a block, or of a generator, which is not classified."""

BAD_RESULT = _Absent("BAD_RESULT")
"""Stands for a result that a coroutine function has judged to be a failure."""

NO_FALLBACK = _Absent("NO_FALLBACK")


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
        self._name = name
        self._timeouts = timeouts
        self._heeds_open_circuits = _names_open_circuits(settings.expected_exception)
        self._expected = self._predicate("expected_exception", settings.expected_exception)
        self._ignored = self._predicate("ignore", settings.ignore)
        self._bad = self._callback("failure_result", settings.failure_result) if settings.failure_result else None
        self.judge = self._bad if self._bad is not None and self._bad.awaits else None

    def classify(self, error: BaseException | None, result: object = NO_RESULT) -> int:
        """Return the index of the outcome in `catalog.CALL_OUTCOMES`."""
        if error is None:
            return FAILURE if self._is_bad(result) else SUCCESS
        # Cancellation, Ctrl-C, exit and our own limits say nothing about the service, whatever is expected.
        if not isinstance(error, Exception) or isinstance(error, RefusedError):
            return IGNORED
        if isinstance(error, CircuitOpenError) and not self._heeds_open_circuits:
            return IGNORED  # the call was not made: a circuit inside has counted what it is open for
        if _matches(self._ignored, error, default=False):
            return IGNORED
        hangs = isinstance(error, CallTimeoutError) and error.name in self._timeouts
        return FAILURE if hangs or _matches(self._expected, error, default=True) else IGNORED

    def _is_bad(self, result: object) -> bool:
        if self._bad is None or result is NO_RESULT:
            return False
        return result is BAD_RESULT if self.judge is not None else self._bad.is_true(result)

    def _callback(self, role: str, function: Callable[[Any], object]) -> SafeCallback:
        return SafeCallback(role, function, owner=self._name, logger="breaker", awaitable=role == "failure_result")

    def _predicate(self, role: str, wanted: Any) -> Predicate:
        return wanted if isinstance(wanted, type | tuple) else self._callback(role, wanted)


def _names_open_circuits(expected: Any) -> bool:
    kinds = expected if isinstance(expected, tuple) else (expected,)
    return any(isinstance(kind, type) and issubclass(kind, CircuitOpenError) for kind in kinds)


def _matches(wanted: Predicate, error: Exception, *, default: bool) -> bool:
    if isinstance(wanted, SafeCallback):
        return wanted.is_true(error, default=default)
    return isinstance(error, wanted)
