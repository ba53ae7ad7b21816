"""Wrappers that run a sync, async or generator function through a circuit breaker."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from peak_observe.errors import CircuitOpenError
from peak_observe.resilience.breaker import nested_calls
from peak_observe.resilience.breaker.guarded_call import GuardedCall, GuardedStream
from peak_observe.resilience.breaker.outcome import BAD_RESULT, SUCCESS
from peak_observe.resilience.breaker.state_machine import OPEN
from peak_observe.resilience.common import wrapping
from peak_observe.resilience.common.callbacks import check_function
from peak_observe.resilience.common.fallback import NO_FALLBACK, check_kind, with_fallback
from peak_observe.resilience.common.flow import CALL, DEFERRED, Awaited
from peak_observe.resilience.common.pipeline import Pipeline, retried
from peak_observe.telemetry.tracing.spans import API, attached, switch

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

    from peak_observe.resilience.breaker.controller import BreakerController
    from peak_observe.resilience.breaker.state_machine import StatePeriod
    from peak_observe.resilience.common.flow import Flow
    from peak_observe.resilience.common.scopes import Scope
    from peak_observe.telemetry.tracing.spans import TracingMode


class BreakerWrappers:
    """Wrappers of one breaker for functions and generators, and its guarded calls.

    Args:
        breaker: The breaker, which lives as long as what it protects.
        controller: Its circuit.
        tracing: When a call is a span.
        fallback: The result of a call that failed or was rejected.
    """

    def __init__(self, breaker: object, controller: BreakerController, tracing: TracingMode, fallback: object) -> None:
        self.breaker = breaker
        self.controller = controller
        self.tracing = tracing
        self._modules, self._recording = switch(tracing)
        self._around = attached(tracing)
        self._fallback = fallback
        self._asynchronous = False

    def guarded_call(self, generator: FrameType | None = None) -> GuardedCall:
        """Return the context manager of one call."""
        return GuardedCall(self.controller, traced=API in self._modules and self._recording(), generator=generator)

    def _guarded_stream(self) -> GuardedStream:
        return GuardedStream(self.controller, traced=API in self._modules and self._recording())

    def wrap(self, func: Callable[..., Any]) -> Callable[..., Any]:
        """Return a function protected, which stays of the kind it is.

        Raises:
            TypeError: It is a generator function and there is a fallback.
            ValueError: It is a plain function, and `failure_result` is a coroutine function.
        """
        kind = wrapping.kind(func)
        if kind in (wrapping.GENERATOR, wrapping.ASYNC_GENERATOR):
            protected = self._wrap_generator(func, kind)
        else:
            protected = self._wrap_function(func, asynchronous=kind == wrapping.COROUTINE)
        vars(protected)["breaker"] = self.breaker
        return protected

    def _wrap_generator(self, func: Callable[..., Any], kind: str) -> Callable[..., Any]:
        if self._fallback is not NO_FALLBACK:
            check_kind(func, kind)
        self.controller.add_entrance(nests=True)
        if kind == wrapping.GENERATOR:
            return wrapping.wrap_generator_steps(func, self._guarded_stream, GuardedStream.step)
        return wrapping.wrap_async_generator_steps(func, self._guarded_stream, GuardedStream.async_step)

    def _wrap_function(self, func: Callable[..., Any], *, asynchronous: bool) -> Callable[..., Any]:
        self._asynchronous = asynchronous
        if not asynchronous:
            self._check_plain(wrapping.name_of(func))
        self.controller.add_entrance(nests=nested_calls.may_call_itself(func))
        inner = retried(func)
        if inner is not None and inner.retry.clock is self.controller.clock:  # or one would count the other's seconds
            pipeline = Pipeline(inner.func, self, inner.retry)
        else:
            pipeline = Pipeline(func, self)
        protected = pipeline.wrap(func, asynchronous=asynchronous)
        if self._fallback is NO_FALLBACK:
            return protected
        return self._with_fallback(protected, asynchronous=asynchronous)

    def _with_fallback(self, protected: Callable[..., Any], *, asynchronous: bool) -> Callable[..., Any]:
        from peak_observe.resilience.common.last_result import StandIn  # late, as many programs have no fallback

        stand_in = StandIn(protected, self._fallback, self.controller.name, self.controller.clock)
        return with_fallback(protected, self._falls_back, stand_in, asynchronous=asynchronous, is_good=self._is_good)

    def _is_good(self, result: object) -> Any:
        classifier = self.controller.classifier
        return classifier.async_is_good(result) if classifier.judge else classifier.classify(None, result) == SUCCESS

    def _falls_back(self, error: Exception) -> bool:
        if self.controller.observes:
            return False  # a dry run changes nothing for the caller
        refused = isinstance(error, CircuitOpenError) and error.name == self.controller.name
        return refused or self.controller.counts_as_failure(error)

    def _check_plain(self, name: str) -> None:
        judge = self.controller.settings.failure_result
        if judge is not None:
            check_function("failure_result", judge, f"the result of the plain function {name}")

    def rejected_for(self, period: StatePeriod) -> float:
        """Count a rejection and return the seconds until the next probe; 0.0 where a guarded call has to decide."""
        if (
            period.state != OPEN
            or self.controller.observes
            or (nested_calls.entered() and self.controller.is_inside())
            or (API in self._modules and self._around[0]() and self._recording())
        ):
            return 0.0  # a rejection that is traced has a span
        wait = period.since + period.duration - self.controller.clock.monotonic()
        if not 0 < wait <= period.duration:
            return 0.0  # it is due, or the clock went back
        self.controller.rejected.tick()
        return wait

    def needs_flow(self) -> bool:
        """Return whether the present call belongs to one of this circuit, or its judge has to be awaited."""
        inside = nested_calls.entered() and self.controller.is_inside()
        return inside or self.controller.classifier.judge is not None

    def is_inside_unannounced(self, frame: FrameType) -> bool:
        """Return whether a call below the frame of a call is one of this circuit; from then on all are announced."""
        below = nested_calls.is_below(frame, self.controller)
        if below:
            self.controller.add_entrance(nests=True)
        return below

    def enter(self) -> Scope[object]:
        """Announce a call of a closed circuit to those inside; return what `leave` takes."""
        return nested_calls.enter(self.controller)

    leave = staticmethod(nested_calls.leave)

    def flow(self, inner: Flow | None) -> Flow:
        """Admit one call, make it or run `inner`, and record the outcome."""
        controller = self.controller
        if self._asynchronous and controller.needs_claim() and not controller.is_inside():
            yield Awaited(controller.shared.async_claim())  # type: ignore[union-attr] # or no claim would be needed
        with self.guarded_call() as call:
            result = (yield CALL) if inner is None else (yield from inner)
            judge = self.controller.classifier.judge
            if result is DEFERRED:
                call.defer()
            elif judge is None:
                call.result = result
            elif self._asynchronous and (yield Awaited(judge.async_is_true(result))):
                call.result = BAD_RESULT
        return result

    def resume(self, period: StatePeriod, started: float, inner: Flow) -> Flow:
        """Run the rest of a call that a closed circuit let through without a permit, and record the outcome."""
        try:
            result = yield from inner
        except BaseException as error:
            self.controller.record_outcome(period, started, error)
            raise
        if result is not DEFERRED:
            self.controller.record_success(period, self.controller.clock.monotonic() - started, result)
        return result
