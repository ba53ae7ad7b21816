"""Context manager that admits one call, traces it and records its outcome."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from peak_observe.errors import CircuitOpenError
from peak_observe.resilience.breaker.outcome import NO_RESULT
from peak_observe.telemetry.tracing.spans import CallSpan

if TYPE_CHECKING:
    from types import TracebackType

    from peak_observe.resilience.breaker.controller import BreakerController
    from peak_observe.resilience.breaker.state_machine import Permit


class GuardedCall:
    """Context manager around one call: admitted on entry, recorded however the block is left.

    The permit is held here alone: if Ctrl-C comes where nobody can settle the call any more, it goes with the guard.

    Args:
        controller: The circuit to ask.
        traced: Whether the call is a span.
        current: Whether the span becomes the current one; a generator's may not, as it is left and re-entered.

    Attributes:
        result: What the call returned, for a circuit that judges results.
    """

    __slots__ = ("_controller", "_deferred", "_permit", "_span", "_start", "result")

    def __init__(self, controller: BreakerController, *, traced: bool, current: bool = True) -> None:
        self._controller = controller
        self._deferred = False
        self._permit: Permit
        self._start: float
        self.result: object = NO_RESULT
        facts = {"peak_observe.breaker": controller.name}
        self._span = CallSpan(f"call {controller.name}", facts, current=current) if traced else None

    def __enter__(self) -> Self:
        controller = self._controller
        if self._span:
            self._span.begin()
        try:
            self._permit = controller.admit()
        except CircuitOpenError as refusal:
            if self._span:
                self._span.refuse(refusal, controller.tripped_by)
            raise
        self._start = controller.clock.monotonic()
        return self

    def defer(self) -> None:
        """Release the permit without an outcome, as the call is made later."""
        self._deferred = True

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        controller, permit, span = self._controller, self._permit, self._span
        if self._deferred and error is None:
            controller.release(permit)
            outcome = "deferred"
        else:
            judged = controller.classifier.classify(error, self.result)
            outcome = controller.record_outcome(permit.period, self._start, error, judged, permit=permit, span=span)
        if span:
            span.end({"peak_observe.outcome": outcome}, error)
