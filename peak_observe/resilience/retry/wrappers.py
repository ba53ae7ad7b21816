"""Wrappers that run a sync, async or generator function with retries."""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

from peak_observe.resilience.common import wrapping
from peak_observe.resilience.common.event_loop import BlockingWarning
from peak_observe.resilience.common.flow import CALL, DEFERRED, Awaited, TimedCall
from peak_observe.resilience.common.pipeline import Pipeline
from peak_observe.resilience.retry import execution as executions
from peak_observe.resilience.retry import idempotency
from peak_observe.resilience.retry.execution import Execution
from peak_observe.support.shown import label
from peak_observe.telemetry.tracing.spans import API, TracingMode, switch

if TYPE_CHECKING:
    from collections.abc import Callable

    from peak_observe.measures import RetryReading
    from peak_observe.resilience.common.flow import Flow
    from peak_observe.resilience.retry.controller import RetryController
    from peak_observe.resilience.retry.statistics import RetryStats


class RetryWrappers:
    """Strategy of one retried function: its attempts and sleeps as a flow for the pipeline.

    Args:
        controller: Settings and counts.
        tracing: When an operation and its attempts are spans.
        nested: Whether the function inside is retried itself.
        current: Whether the span of an operation becomes the current one.
    """

    def __init__(
        self, controller: RetryController, tracing: TracingMode, *, nested: bool = False, current: bool = True
    ) -> None:
        self._controller = controller
        self._modules, self._recording = switch(tracing)
        self._current = current
        self.tracing = tracing
        self.clock = controller.clock
        self.count_first_try = controller.first_tries.tick
        mend = "decorate a coroutine function, or use `async for`"
        self._blocking = BlockingWarning("retry", f"retry {controller.name!r} sleeps on a running event loop: {mend}")
        # A retry inside would not know of an attempt on the fast path.
        self.simple = controller.settings.simple and not nested

    def failed_first(self, started: float, error: BaseException) -> Execution | None:
        """Record that a first attempt failed; return the execution if there is another attempt, else None."""
        execution = Execution(self._controller, started)
        return execution if execution.failed_first(error) else None

    def flow(self, execution: Execution | None = None) -> Flow:
        """Make attempts and sleep between them; those after the first where an execution is given."""
        if execution is None:
            execution = self.begin()
        else:
            yield from self._pause(execution)
        result: Any = None
        while True:
            seconds = execution.begin()
            step = CALL if seconds is None else TimedCall(seconds)
            try:
                result = yield step
                accepted = result is DEFERRED or (yield from execution.accepts(result))
            except BaseException as error:
                if not execution.end(error, timed_out=isinstance(step, TimedCall) and step.expired):
                    raise
            else:
                if result is DEFERRED:
                    execution.defer()
                    return result
                if not execution.end(accepted=accepted):
                    return result
            yield from self._pause(execution)
            if execution.over:  # the sleep lasted too long, and there is no error to raise
                return result

    def begin(self) -> Execution:
        """Return a new execution."""
        traced = API in self._modules and self._recording()
        return Execution(self._controller, self.clock.monotonic(), traced=traced, current=self._current)

    @staticmethod
    def _pause(execution: Execution) -> Flow:
        with execution.pause():
            hook = execution.notify()
            if hook is not None:
                yield Awaited(hook)
            yield execution.delay
        execution.check_time()

    def sleep(self, seconds: float) -> None:
        """Sleep between two attempts."""
        if not executions.delays_off:
            self._blocking.check()
            self.clock.sleep(seconds)

    async def async_sleep(self, seconds: float) -> None:
        """Sleep between two attempts and let other tasks run."""
        await self.clock.async_sleep(0.0 if executions.delays_off else seconds)


class Retry:
    """Retry of one decorated function: name and statistics, as its attribute `retry`.

    Args:
        controller: Settings and counts.
        tracing: When an operation and its attempts are spans.
    """

    def __init__(self, controller: RetryController, tracing: TracingMode) -> None:
        self._controller = controller
        self._tracing = tracing
        self._before: RetryReading | None = None
        controller.series.join(self, controller.read)

    @property
    def name(self) -> str:
        """The name by which its metrics are known."""
        return self._controller.name

    @property
    def stats(self) -> RetryStats:
        """The operations so far, or since `reset()`, as a frozen record."""
        from peak_observe.resilience.retry.statistics import stats_between

        return stats_between(self._before, self._controller.read())

    def reset(self) -> None:
        """Reset the statistics; the metrics go on, as counters never fall."""
        self._before = self._controller.read()

    def __repr__(self) -> str:
        return f"<Retry {label(self.name)!r} of {self._controller.settings.max_attempts} attempts>"

    def wrap(self, func: Callable[..., Any]) -> Callable[..., Any]:
        """Return `func` with retries, of the same kind.

        Raises:
            ValueError: An option is of no use for a function of this kind.
            TypeError: The function must not be repeated.
        """
        kind = wrapping.kind(func)
        self._controller.settings.check_use(func, kind)
        wrapper = self._wrapped(func, kind)
        idempotency.note_retried(wrapper, self._controller.name)
        vars(wrapper)["retry"] = self
        return wrapper

    __call__ = wrap

    def _wrapped(self, func: Callable[..., Any], kind: str) -> Callable[..., Any]:
        controller, tracing, nested = self._controller, self._tracing, idempotency.is_retried(func)
        if kind in {wrapping.FUNCTION, wrapping.COROUTINE}:
            wrappers = RetryWrappers(controller, tracing, nested=nested)
            return Pipeline(func, retry=wrappers).wrap(func, asynchronous=kind == wrapping.COROUTINE)
        # What is repeated of a generator is its way to the first item. A span that is current would stay so where the
        # generator is left.
        wrappers = RetryWrappers(controller, tracing, current=False)
        if kind == wrapping.GENERATOR:
            pipeline = Pipeline(wrapping.first_item(func), retry=wrappers)
            return wrapping.wrap_generator(func, nullcontext, lambda a, k: pipeline.run(wrappers.flow(), a, k))
        pipeline = Pipeline(wrapping.async_first_item(func), retry=wrappers)
        return wrapping.wrap_async_generator(func, nullcontext, lambda a, k: pipeline.run_async(wrappers.flow(), a, k))
