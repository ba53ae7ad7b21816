"""What a call's end means to its breaker: a success, a failure or nothing; the user's functions are asked unlocked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from peak_observe import catalog
from peak_observe.errors import RefusedError

if TYPE_CHECKING:
    from collections.abc import Callable

    from peak_observe.resilience.breaker.settings import Settings

SUCCESS, FAILURE, IGNORED, REJECTED = range(len(catalog.CALL_OUTCOMES))


class _Nothing:
    """Stands for what is not there, as None may be."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __repr__(self) -> str:
        return self._name


NO_RESULT = _Nothing("NO_RESULT")
"""Instead of a result that is not to be judged."""

NO_FALLBACK = _Nothing("NO_FALLBACK")


class OutcomeClassifier:
    """Says what the end of a call means.

    A function of the user's that raises is logged once; then its error counts as a failure and its result as a success.

    Args:
        settings: What is expected, ignored, and a bad result.
        name: The breaker's name, for the log.
    """

    def __init__(self, settings: Settings, name: str) -> None:
        self._expected: Any = settings.expected_exception
        self._ignored: Any = settings.ignore
        self._bad = settings.failure_result
        self._name = name
        self._complained: set[str] = set()

    def classify(self, error: BaseException | None, result: object = NO_RESULT) -> int:
        """Return the index of the outcome in `catalog.CALL_OUTCOMES`."""
        if error is None:
            if self._bad is None or result is NO_RESULT:
                return SUCCESS
            return FAILURE if self._ask("failure_result", self._bad, result, otherwise=False) else SUCCESS
        # Cancellation, Ctrl-C, exit and our own limits say nothing about the service, whatever is expected.
        if not isinstance(error, Exception) or isinstance(error, RefusedError):
            return IGNORED
        if self._matches("ignore", self._ignored, error, otherwise=False):
            return IGNORED
        expected = self._matches("expected_exception", self._expected, error, otherwise=True)
        return FAILURE if expected else IGNORED

    def _matches(self, name: str, wanted: Any, error: Exception, *, otherwise: bool) -> bool:
        if isinstance(wanted, type | tuple):
            return isinstance(error, wanted)
        return self._ask(name, wanted, error, otherwise=otherwise)

    def _ask(self, name: str, function: Callable[[Any], object], value: object, *, otherwise: bool) -> bool:
        try:
            return bool(function(value))
        except Exception:
            if name not in self._complained:
                import logging

                self._complained.add(name)
                logger = logging.getLogger("peak_observe.breaker")
                logger.exception("%s of '%s' raised, told once; from now on taken for %s", name, self._name, otherwise)
            return otherwise
