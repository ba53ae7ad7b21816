"""Wrappers that run a sync, async or generator function with retries."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from weakref import ref

from peak_observe.resilience.common.event_loop import BlockingWarning
from peak_observe.resilience.common.fallback import is_awaitable, result_instead_of
from peak_observe.resilience.common.flow import CALL, DEFERRED, Awaited, TimedCall
from peak_observe.resilience.retry import execution as executions
from peak_observe.resilience.retry.execution import Execution
from peak_observe.support import shutdown_state
from peak_observe.telemetry.tracing.spans import API, TracingMode, switch

if TYPE_CHECKING:
    from peak_observe.resilience.common.flow import Flow
    from peak_observe.resilience.retry.controller import RetryController


class Gate:
    """Circuit of a pipeline that has no breaker: closed, or not where first attempts need the slow path.

    Attributes:
        period: The present period of a circuit, which is the gate itself.
        state: Its state; 0 is closed.
    """

    __slots__ = ("period", "state")

    def __init__(self) -> None:
        self.period = self
        self.state = 0


class RetryWrappers:
    """Strategy of one retried function: its attempts and sleeps as a flow for the pipeline.

    Args:
        controller: Settings and counts.
        tracing: When an operation and its attempts are spans.
        asked: Whether what the function calls may ask for its attempts, which the fast path announces to nobody.
        current: Whether the span of an operation becomes the current one.
    """

    def __init__(
        self, controller: RetryController, tracing: TracingMode, *, asked: bool = False, current: bool = True
    ) -> None:
        self.controller = controller
        self._modules, self._recording = switch(tracing)
        self._current = current
        self.tracing = tracing
        self.clock = controller.clock
        self.count_first_try = controller.first_tries.tick
        mend = "decorate a coroutine function, or use `async for`"
        self._blocking = BlockingWarning("retry", f"retry {controller.name!r} sleeps on a running event loop: {mend}")
        self._asked = asked
        self._circuits: list[list[None]] = []
        self.gate = Gate()
        _living.add(ref(self, _living.discard))
        self.refresh()

    @property
    def simple(self) -> bool:
        """Whether a first attempt that succeeds is only counted."""
        return self.controller.settings.simple and not self._asked

    def refresh(self) -> None:
        """Send first attempts on the slow path, or on the fast one, as the present settings need it."""
        self.gate.state = int(not self.simple)
        for announced in self._circuits:
            if self.gate.state and not announced:
                announced.append(None)

    def join(self, announced: list[None]) -> None:
        """Take the fast path of a circuit around it.

        Args:
            announced: The circuit's list, which is not empty where a call has to be announced first.
        """
        self._circuits.append(announced)
        self.refresh()

    def failed_first(self, started: float, error: BaseException) -> Execution | None:
        """Record that a first attempt failed; return the execution if there is more to do, else None."""
        execution = Execution(self.controller, started)
        return execution if execution.failed_first(error) or execution.unfinished else None

    def flow(self, execution: Execution | None = None) -> Flow:
        """Make attempts and sleep between them; those after the first where an execution is given."""
        if execution is None:
            execution = self.begin()
        elif not execution.over:
            yield from self._pause(execution)
        result: Any = None
        while not execution.over:
            seconds = execution.begin()
            step = CALL if seconds is None else TimedCall(seconds)
            try:
                result = yield step
                accepted = result is DEFERRED or (yield from execution.accepts(result))
            except BaseException as error:
                if not execution.end(error, timed_out=isinstance(step, TimedCall) and step.expired):
                    if execution.unfinished:
                        return (yield from self._conclude(execution, None))
                    execution.error = None
                    raise
            else:
                if result is DEFERRED:
                    execution.defer()
                    return result
                if not execution.end(accepted=accepted):
                    break
            yield from self._pause(execution)
        return (yield from self._conclude(execution, result))

    @staticmethod
    def _conclude(execution: Execution, result: Any) -> Flow:
        """Return the result of an operation that is over, its fallback, or raise its last error."""
        hook = execution.farewell()
        if hook is not None:
            yield Awaited(hook)
        if execution.falls_back:
            error = execution.take_error()
            failure = error if isinstance(error, Exception) else None
            result = result_instead_of(failure, execution.controller.settings.fallback)
            if is_awaitable(result):
                # A plain function hands it on to its caller, who may await it.
                result = yield Awaited(result)
                result = result.coroutine if type(result) is Awaited else result
            return result
        execution.raise_error()
        return result

    def begin(self) -> Execution:
        """Return a new execution."""
        traced = API in self._modules and self._recording()
        return Execution(self.controller, self.clock.monotonic(), traced=traced, current=self._current)

    @staticmethod
    def _pause(execution: Execution) -> Flow:
        with execution.pause():
            hook = execution.notify()
            if hook is not None:
                yield Awaited(hook)
            yield execution.delay
        execution.is_late()

    def sleep(self, seconds: float | Awaited) -> Awaited | None:
        """Sleep between two attempts; what only a coroutine function could await is returned as it is."""
        if isinstance(seconds, Awaited):
            return seconds
        if not executions.delays_off:
            self._blocking.check()
            shutdown_state.sleep(self.clock, seconds, f"retry {self.controller.name!r}")
        return None

    async def async_sleep(self, seconds: float) -> None:
        """Sleep between two attempts and let other tasks run."""
        wanted = 0.0 if executions.delays_off else seconds
        await shutdown_state.async_sleep(self.clock, wanted, f"retry {self.controller.name!r}")


_living: set[ref[RetryWrappers]] = set()


def refresh(controller: RetryController) -> None:
    """Let new settings of a retry hold for what it protects already."""
    for one in list(_living):
        wrappers = one()
        if wrappers is not None and wrappers.controller is controller:
            wrappers.refresh()
