"""Errors of a client that are also ccxt's, so that loops which know ccxt's alone survive them.

The classes are made when the first one is raised, as ccxt is loaded by then: neither needs the other to be imported.
"""

from __future__ import annotations

import sys
from functools import cache
from typing import Any, TypeVar

from peak_observe.errors import CircuitOpenError, HeldBackError, OutcomeUnknown, TradingHaltedError

E = TypeVar("E", CircuitOpenError, HeldBackError, OutcomeUnknown, TradingHaltedError)

# Loops repeat what is a NetworkError of ccxt, as the first two are, and an unknown outcome must not be repeated.
_COUNTERPARTS: dict[type[Exception], str] = {
    CircuitOpenError: "ExchangeNotAvailable",
    HeldBackError: "RateLimitExceeded",
    OutcomeUnknown: "ExchangeError",
    TradingHaltedError: "OperationRejected",
}


def also_ccxt(error: E) -> E:
    """Return an error with the same facts whose class is also its counterpart in ccxt.

    Without ccxt in the process, and for an error that is one already, it is the error itself.

    Args:
        error: An error of a class that has a counterpart.
    """
    kind = type(error)
    return _restored(kind, error.args, {}) if kind in _COUNTERPARTS else error


@cache
def _combined(kind: type[Exception], counterpart: type[Exception]) -> type[Exception]:
    def __reduce__(self: Exception) -> tuple[Any, ...]:  # noqa: N807 - it becomes the method of this name
        return _restored, (kind, self.args, vars(self))

    # Under the name of ours it is found in logs, metrics and documents.
    named = {"__module__": kind.__module__, "__qualname__": kind.__qualname__, "__doc__": kind.__doc__}
    return type(kind.__name__, (kind, counterpart), {**named, "__reduce__": __reduce__})


def _restored(kind: Any, args: tuple[Any, ...], facts: dict[str, Any]) -> Any:
    errors = sys.modules.get("ccxt.base.errors")
    made = _combined(kind, getattr(errors, _COUNTERPARTS[kind])) if errors else kind
    error = made(*args)
    vars(error).update(facts)
    return error
