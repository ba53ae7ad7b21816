"""The options of a breaker as type checkers see them; a program that runs does not need to load them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias, TypedDict

from peak_observe.resilience.arguments import ExceptionTypes

RecoveryTimeout: TypeAlias = float | Sequence[float] | Callable[[int], float]
Errors: TypeAlias = ExceptionTypes | Callable[[Exception], bool]


class Options(TypedDict, total=False):
    """The keyword arguments of a breaker beyond those of the simple form."""

    window: int | None
    window_seconds: float | None
    failure_ratio: float | None
    minimum_calls: int | None
    slow_call_seconds: float | None
    slow_call_ratio: float | None
    half_open_calls: int
    success_threshold: int
    probe_timeout: float
    jitter: float
    ignore: Errors
    failure_result: Callable[[Any], bool] | None


class Changes(Options, total=False):
    """What `CircuitBreaker.configure` takes."""

    failure_threshold: int
    recovery_timeout: RecoveryTimeout
    expected_exception: Errors
