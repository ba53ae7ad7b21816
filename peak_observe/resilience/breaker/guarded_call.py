"""Context managers that admit one call or one generator, trace it and record its outcome."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

from peak_observe.errors import CircuitOpenError
from peak_observe.resilience.breaker import nested_calls
from peak_observe.resilience.breaker.outcome import FAILURE, IGNORED, NO_RESULT, SUCCESS
from peak_observe.resilience.breaker.state_machine import HALF_OPEN
from peak_observe.telemetry.tracing.spans import CallSpan

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from types import FrameType, TracebackType

    from peak_observe.resilience.breaker.controller import BreakerController
    from peak_observe.resilience.breaker.state_machine import Permit
    from peak_observe.resilience.common.scopes import Scope


class GuardedCall:
    """Context manager around one call: admitted on entry, recorded however the block is left.

    The permit is held here alone: if Ctrl-C comes where nobody can settle the call any more, it goes with the guard. A
    call inside one of the same circuit has none and is not recorded.

    Args:
        controller: The circuit to ask.
        traced: Whether the call is a span.
        generator: The frame of the generator that has the block, if one has.

    Attributes:
        result: What the call returned, for a circuit that judges results.
    """

    __slots__ = ("_controller", "_deferred", "_generator", "_permit", "_scope", "_span", "_start", "result")
    current = True
    """Whether the span becomes the current one; a generator's may not, as it is left and re-entered."""

    def __init__(self, controller: BreakerController, *, traced: bool, generator: FrameType | None = None) -> None:
        self._controller = controller
        self._deferred = False
        self._generator = generator
        self._permit: Permit | None = None
        self._scope: Scope[object] | None = None
        self._start: float
        self.result: object = NO_RESULT
        facts = {"peak_observe.breaker": controller.name}
        self._span = CallSpan(f"call {controller.name}", facts, current=self.current) if traced else None

    def __enter__(self) -> Self:
        controller = self._controller
        if controller.is_inside():
            return self
        if self._span:
            self._span.begin()
        try:
            self._permit = controller.admit()
        except CircuitOpenError as refusal:
            if self._span:
                self._span.refuse(refusal, controller.tripped_by)
            raise
        self._begin()
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
        permit = self._permit
        if permit is None:
            return
        if self._scope is not None:
            nested_calls.leave(self._scope)
        if self._deferred and error is None:
            self._controller.release(permit)
            outcome = "deferred"
        else:
            outcome = self._record(permit, error)
        if self._span:
            self._span.end({"peak_observe.outcome": outcome}, error)

    def _begin(self) -> None:
        self._start = self._controller.clock.monotonic()
        self._scope = nested_calls.enter(self._controller, self._generator)

    def _record(self, permit: Permit, error: BaseException | None) -> str:
        controller = self._controller
        judged = controller.classifier.classify(error, self.result)
        return controller.record_outcome(permit.period, self._start, error, judged, permit=permit, span=self._span)


class GuardedStream(GuardedCall):
    """Context manager around one generator: it is judged by what happens inside, not by its consumer.

    Only the time inside counts. An error that the consumer throws in says nothing of the service. As a probe it has
    succeeded with its first item, as an endless one would never do so; if it fails later, that counts as well.
    """

    __slots__ = ("_begun", "_blamed", "_period", "_recorded", "_seconds")
    current = False

    def _begin(self) -> None:
        self._seconds = 0.0
        self._begun = False
        self._blamed: object = None
        self._recorded = False
        assert self._permit is not None  # noqa: S101 - for type checkers
        self._period = self._permit.period

    async def __aenter__(self) -> Self:
        return self.__enter__()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.__exit__(kind, error, traceback)

    def step(self, resume: Callable[[Any], Any], value: Any) -> Any:
        """Return the next item."""
        if self._permit is None:
            return resume(value)
        with _Step(self, value):
            item = resume(value)
        self._count(self._permit)
        return item

    async def async_step(self, resume: Callable[[Any], Awaitable[Any]], value: Any) -> Any:
        """Return the next item of an async generator."""
        if self._permit is None:
            return await resume(value)
        with _Step(self, value):
            item = await resume(value)
        self._count(self._permit)
        return item

    def enter_step(self) -> tuple[float, Scope[object]]:
        """Begin a step: from here on, calls of this circuit are inside."""
        return self._controller.clock.monotonic(), nested_calls.enter(self._controller)

    def leave_step(self, entered: tuple[float, Scope[object]], thrown: object, error: BaseException | None) -> None:
        """End a step.

        Args:
            entered: What `enter_step` returned.
            thrown: The error that the consumer threw in, if it did.
            error: What the step raised.
        """
        start, scope = entered
        nested_calls.leave(scope)
        self._seconds += max(0.0, self._controller.clock.monotonic() - start)
        if error is not None and isinstance(thrown, BaseException):
            self._blamed = error

    def _count(self, permit: Permit) -> None:
        first, self._begun = not self._begun, True
        if first and self._period.state == HALF_OPEN:
            self._recorded = True
            self._settle(permit, None, SUCCESS)
            self._period = self._controller.circuit.period

    def _record(self, permit: Permit, error: BaseException | None) -> str:
        # What is raised while the consumer's error is handled is the consumer's, and so is a close before the end.
        left = error is not None and (error is self._blamed or isinstance(error, GeneratorExit))
        judged = IGNORED if left else self._controller.classifier.classify(error)
        return "success" if self._recorded and judged != FAILURE else self._settle(permit, error, judged)

    def _settle(self, permit: Permit, error: BaseException | None, outcome: int) -> str:
        controller = self._controller
        start = controller.clock.monotonic() - self._seconds
        return controller.record_outcome(self._period, start, error, outcome, permit=permit, span=self._span)


class _Step:
    """Context manager of one step of a stream."""

    __slots__ = ("_entered", "_stream", "_thrown")

    def __init__(self, stream: GuardedStream, thrown: object) -> None:
        self._stream = stream
        self._thrown = thrown

    def __enter__(self) -> None:
        self._entered = self._stream.enter_step()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stream.leave_step(self._entered, self._thrown, error)
