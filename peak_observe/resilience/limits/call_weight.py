"""Weight of calls in a rate limit: a number, or a function of their arguments."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

from peak_observe.resilience.common import wrapping
from peak_observe.resilience.common.callbacks import SafeCallback
from peak_observe.resilience.limits.rate_settings import check_weight
from peak_observe.support.shown import shown

Weight: TypeAlias = float | Callable[..., float]


class CallWeight:
    """Weight of calls; a call of unknown weight counts as 1.

    Args:
        weight: A number, or a plain function of the arguments.

    Raises:
        ValueError: It is neither.
    """

    def __init__(self, weight: Weight) -> None:
        self.fixed: float | None = None
        if not callable(weight):
            check_weight(weight)
            self.fixed = weight
        elif wrapping.kind(weight) != wrapping.FUNCTION:
            raise ValueError(f"weight must be a number or a plain function of the arguments, not {shown(weight)}")
        function: Any = weight
        self._function = function
        self._callback = SafeCallback("weight", function, logger="limits")

    def of(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> float:
        """Return the weight of a call with these arguments."""
        if self.fixed is not None:
            return self.fixed
        try:
            weight: float = self._function(*args, **kwargs)
            check_weight(weight)
        except Exception as error:  # noqa: BLE001 - whatever it is, the caller waits for the call, not for this
            self._callback.log_once(error)
            return 1
        return weight
