"""Classify a call as success, failure or ignored."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from peak_observe import catalog
from peak_observe.errors import RefusedError
from peak_observe.resilience.common.callbacks import SafeCallback

if TYPE_CHECKING:
    from collections.abc import Callable
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

NO_FALLBACK = _Absent("NO_FALLBACK")


class OutcomeClassifier:
    """Classify a call as success, failure or ignored.

    The user's functions are called without the lock. One that raises is logged once; then its error counts as a failure
    and its result as a success.

    Args:
        settings: The rules: what is expected, what is ignored, and a bad result.
        name: The breaker's name, for the log.
    """

    def __init__(self, settings: Settings, name: str) -> None:
        self._name = name
        self._expected = self._predicate("expected_exception", settings.expected_exception)
        self._ignored = self._predicate("ignore", settings.ignore)
        self._bad = self._callback("failure_result", settings.failure_result) if settings.failure_result else None

    def classify(self, error: BaseException | None, result: object = NO_RESULT) -> int:
        """Return the index of the outcome in `catalog.CALL_OUTCOMES`."""
        if error is None:
            bad = self._bad is not None and result is not NO_RESULT and self._bad.is_true(result)
            return FAILURE if bad else SUCCESS
        # Cancellation, Ctrl-C, exit and our own limits say nothing about the service, whatever is expected.
        if not isinstance(error, Exception) or isinstance(error, RefusedError):
            return IGNORED
        if _matches(self._ignored, error, default=False):
            return IGNORED
        return FAILURE if _matches(self._expected, error, default=True) else IGNORED

    def _callback(self, role: str, function: Callable[[Any], object]) -> SafeCallback:
        return SafeCallback(role, function, owner=self._name, logger="breaker")

    def _predicate(self, role: str, wanted: Any) -> Predicate:
        return wanted if isinstance(wanted, type | tuple) else self._callback(role, wanted)


def _matches(wanted: Predicate, error: Exception, *, default: bool) -> bool:
    if isinstance(wanted, SafeCallback):
        return wanted.is_true(error, default=default)
    return isinstance(error, wanted)
