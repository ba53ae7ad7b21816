"""Circuit breaker: decorator, context manager, and manual control."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NoReturn, Self, TypeVar
from weakref import ref

from peak_observe import catalog
from peak_observe.clock import SYSTEM_CLOCK, Clock
from peak_observe.coordination.joinable import Joinable
from peak_observe.observers import Observer, Observers
from peak_observe.resilience.breaker import snapshot
from peak_observe.resilience.breaker.blocks import Blocks
from peak_observe.resilience.breaker.controller import BreakerController
from peak_observe.resilience.breaker.settings import (
    FOREIGN_NAMES,
    Errors,
    RecoveryTimeout,
    Settings,
    change_settings,
    check_settings,
)
from peak_observe.resilience.breaker.snapshot import BreakerSnapshot
from peak_observe.resilience.breaker.state_machine import CLOSED, DISABLED, FORCED_OPEN
from peak_observe.resilience.breaker.wrappers import BreakerWrappers
from peak_observe.resilience.common import scopes, validation, wrapping
from peak_observe.resilience.common.context import SyncAsyncContext
from peak_observe.resilience.common.fallback import NO_FALLBACK
from peak_observe.resilience.common.keywords import UNCHANGED, Unchanged, changes, check_keywords
from peak_observe.resilience.common.modes import ENFORCE, Mode
from peak_observe.support.shown import label
from peak_observe.telemetry.tracing.spans import TracingMode, switch

if TYPE_CHECKING:
    from types import FrameType

    from peak_observe.resilience.breaker.guarded_call import GuardedCall

F = TypeVar("F", bound="Callable[..., Any]")


class CircuitBreaker(SyncAsyncContext):
    """Circuit breaker: stops calling a service that keeps failing, and probes it after a while.

    CLOSED        every call is admitted; `failure_threshold` consecutive failures open the circuit, or, with a window,
                  a share of failed or slow calls.
    OPEN          every call is rejected at once with `CircuitOpenError`, for `recovery_timeout` seconds.
    HALF_OPEN     `half_open_calls` probes at a time are admitted, all others rejected: `success_threshold` successes
                  close the circuit, one failure opens it again.
    FORCED_OPEN   by `force_open()`: every call is rejected, until `reset()` or for some seconds.
    DISABLED      by `disable()`: every call is admitted and counted, until `reset()` or for some seconds; also in
                  mode `observe`, a dry run that counts what would have been refused.

    An exception outside `expected_exception` counts as ignored and changes no state; nor does a call that ends after
    the state has changed. Safe for any number of threads and tasks. Breakers of one name share metrics, not state.

    Args:
        failure_threshold: Consecutive failures that open the circuit, at least 1; not beside a window.
        recovery_timeout: Seconds from opening to the probe; or a sequence of them, of which each reopening takes the
            next and the last repeats; or a function of how often it has reopened. An error whose `retry_after` is a
            number of seconds has its way instead, up to a day.
        expected_exception: Exceptions that count as failures: a type, a function, or a tuple of them; others
            pass through and count as ignored. Cancellation, Ctrl-C and exit never count. Of an `ExceptionGroup` the
            exceptions inside are asked, and one is enough.
        name: The label value of its metrics.
        buckets: Upper bounds in seconds of the latency histogram.
        tracing: `auto` traces inside a recording span, `always` begins a trace if there is none, `off` never traces.
        clock: Where the time comes from; for tests.
        fallback: The result where the call failed or was refused: a value, or a function of the
            error (of coroutine functions also a coroutine function).
        window: Judge by the last calls, so many of them.
        window_seconds: Judge by the calls of the last seconds, so many of them, to a tenth.
        failure_ratio: Share of failures in the window that opens, above 0 and at most 1; 0.5 if not given.
        minimum_calls: Calls a window has to hold before it is judged; 10, or all of a smaller window, if not given.
        slow_call_seconds: Seconds from which on a call is slow; without it no call is.
        slow_call_ratio: Share of slow calls in the window that opens; 0.5 if not given.
        half_open_calls: How many probes may be under way at a time.
        success_threshold: Successful probes that close the circuit; a failed or slow one reopens it.
        probe_timeout: Seconds after which the place of a probe that has not come back is given to another call.
        jitter: Share by which open times are made longer or shorter by chance, from 0 to 1.
        ignore: Expected exceptions that do not count: a type, a function of the exception, or a tuple of them.
        failure_result: A function of the result: whether it counts as failure; generators and blocks have none.
        mode: `enforce`, or `observe` to let all calls pass and count those that would have been refused.
        shared: A `Shared`, through which the circuits of this name in all its processes open, probe once and close
            together; `default` for that of `PEAK_OBSERVE_SHARED`, if it is set.

    Raises:
        ValueError: An argument makes no sense; the message names it.
        TypeError: There is no such argument; the message says which one was meant.
    """

    @check_keywords(FOREIGN_NAMES)
    def __init__(
        self,
        failure_threshold: int = 5,
        recovery_timeout: RecoveryTimeout = 60.0,
        expected_exception: Errors = Exception,
        name: str = "circuit_breaker",
        *,
        buckets: tuple[float, ...] = catalog.BUCKETS,
        tracing: TracingMode = "auto",
        clock: Clock = SYSTEM_CLOCK,
        fallback: object = NO_FALLBACK,
        window: int | None = None,
        window_seconds: float | None = None,
        failure_ratio: float | None = None,
        minimum_calls: int | None = None,
        slow_call_seconds: float | None = None,
        slow_call_ratio: float | None = None,
        half_open_calls: int = 1,
        success_threshold: int = 1,
        probe_timeout: float = 60.0,
        jitter: float = 0.0,
        ignore: Errors = (),
        failure_result: Callable[[Any], bool] | None = None,
        mode: Mode = ENFORCE,
        shared: Joinable | str | None = None,
    ) -> None:
        settings = Settings(
            failure_threshold,
            recovery_timeout,
            expected_exception,
            window,
            window_seconds,
            failure_ratio,
            minimum_calls,
            slow_call_seconds,
            slow_call_ratio,
            half_open_calls,
            success_threshold,
            probe_timeout,
            jitter,
            ignore,
            failure_result,
            mode,
        )
        check_settings(settings)
        self._observers = Observers()
        self._controller = BreakerController(
            name, settings, validation.check_buckets(buckets), clock, ref(self._observers)
        )
        switch(tracing)
        self._tracing = tracing
        self._fallback = fallback
        self._blocks = Blocks()
        self._controller.series.join(self, self._controller.read)
        if shared is not None:
            from peak_observe.coordination.default import shared_of  # late, as most programs share nothing

            found = shared_of(shared)
            self._controller.shared = None if found is None else found.join(name, self._controller)

    @property
    def name(self) -> str:
        """The label value of its metrics."""
        return self._controller.name

    @property
    def state(self) -> snapshot.CircuitState:
        """The state at this moment; an open circuit that is due for a probe is HALF_OPEN.

        In mode `observe` it is DISABLED, as every call passes; `snapshot().would_be` is the state that it would have.
        """
        return snapshot.state_of(self._controller)

    @property
    def stats(self) -> snapshot.CircuitBreakerStats:
        """The counts of this breaker, as a frozen record."""
        return snapshot.stats_of(self._controller)

    def snapshot(self) -> BreakerSnapshot:
        """Return state and counters of this moment, as a frozen record."""
        return snapshot.snapshot_of(self._controller)

    def reset(self) -> None:
        """Close the circuit and clear its failures; the counts stay, and results of calls under way are ignored."""
        self._controller.override(CLOSED, 0.0, "reset", self._controller.circuit.reset)

    def trip(
        self, reason: str, *, pause: float | None = None, error: BaseException | None = None, share: bool = True
    ) -> None:
        """Open the circuit at once, if it is closed or half-open.

        Args:
            reason: Why, in words, for the event.
            pause: Seconds until the probe; as long as a failure would have opened it if not given.
            error: The exception, for the event.
            share: Whether a shared circuit opens in all processes; else in this one alone.

        Raises:
            ValueError: `pause` is not a finite number of seconds, at least 0.
        """
        if pause is not None:
            validation.check_seconds("pause", pause)
        controller = self._controller
        seconds = controller.open_duration(error) if pause is None else float(pause)
        if not share and controller.shared is not None:
            controller.shared.keep_private()
        controller.change(lambda now: controller.circuit.trip(now, reason, seconds), error, share=share)

    def force_open(self, *, for_seconds: float | None = None) -> None:
        """Reject all calls until `reset()`, or for some seconds, after which the circuit probes.

        Args:
            for_seconds: How long; given once more it counts from now.

        Raises:
            ValueError: `for_seconds` is not a finite number above 0.
        """
        self._override(FORCED_OPEN, for_seconds)

    def disable(self, *, for_seconds: float | None = None) -> None:
        """Admit all calls, and count them, until `reset()`, or for some seconds, after which it is closed.

        Args:
            for_seconds: How long; given once more it counts from now.

        Raises:
            ValueError: `for_seconds` is not a finite number above 0.
        """
        self._override(DISABLED, for_seconds)

    @check_keywords(FOREIGN_NAMES)
    def configure(
        self,
        *,
        failure_threshold: int | Unchanged = UNCHANGED,
        recovery_timeout: RecoveryTimeout | Unchanged = UNCHANGED,
        expected_exception: Errors | Unchanged = UNCHANGED,
        window: int | Unchanged | None = UNCHANGED,
        window_seconds: float | Unchanged | None = UNCHANGED,
        failure_ratio: float | Unchanged | None = UNCHANGED,
        minimum_calls: int | Unchanged | None = UNCHANGED,
        slow_call_seconds: float | Unchanged | None = UNCHANGED,
        slow_call_ratio: float | Unchanged | None = UNCHANGED,
        half_open_calls: int | Unchanged = UNCHANGED,
        success_threshold: int | Unchanged = UNCHANGED,
        probe_timeout: float | Unchanged = UNCHANGED,
        jitter: float | Unchanged = UNCHANGED,
        ignore: Errors | Unchanged = UNCHANGED,
        failure_result: Callable[[Any], bool] | Unchanged | None = UNCHANGED,
        mode: Mode | Unchanged = UNCHANGED,
    ) -> None:
        """Change settings while calls go on; state, counts and what the window holds stay.

        A circuit that is open stays so for as long as it was going to. A window that shrinks keeps the newest calls.

        Args:
            failure_threshold: Consecutive failures that open the circuit, at least 1; not beside a window.
            recovery_timeout: Seconds from opening to the probe, a sequence of them, or a function.
            expected_exception: Exceptions that count as failures: a type, a function, or a tuple of them.
            window: Judge by the last calls, so many of them; None judges consecutive failures again.
            window_seconds: Judge by the calls of the last seconds, so many of them, to a tenth.
            failure_ratio: Share of failures in the window that opens, above 0 and at most 1; 0.5 if not given.
            minimum_calls: Calls a window has to hold before it is judged; 10, or all of a smaller window, if not given.
            slow_call_seconds: Seconds from which on a call is slow; without it no call is.
            slow_call_ratio: Share of slow calls in the window that opens; 0.5 if not given.
            half_open_calls: How many probes may be under way at a time.
            success_threshold: Successful probes that close the circuit; a failed or slow one reopens it.
            probe_timeout: Seconds after which the place of a probe that has not come back is given to another call.
            jitter: Share by which open times are made longer or shorter by chance, from 0 to 1.
            ignore: Expected exceptions that do not count: a type, a function of the exception, or a tuple of them.
            failure_result: A function of the result: whether it counts as failure; generators and blocks have none.
            mode: `enforce`, or `observe` to let all calls pass and count those that would have been refused.

        Raises:
            TypeError: There is no such setting; the message says which one was meant.
            ValueError: A value makes no sense; nothing is changed then.
        """
        given = changes(
            failure_threshold=failure_threshold,
            recovery_timeout=recovery_timeout,
            expected_exception=expected_exception,
            window=window,
            window_seconds=window_seconds,
            failure_ratio=failure_ratio,
            minimum_calls=minimum_calls,
            slow_call_seconds=slow_call_seconds,
            slow_call_ratio=slow_call_ratio,
            half_open_calls=half_open_calls,
            success_threshold=success_threshold,
            probe_timeout=probe_timeout,
            jitter=jitter,
            ignore=ignore,
            failure_result=failure_result,
            mode=mode,
        )
        self._controller.reconfigure(change_settings(self._controller.settings, given))

    @property
    def settings(self) -> Settings:
        """The settings of this moment, as a frozen record."""
        return self._controller.settings

    @property
    def has_fallback(self) -> bool:
        """Whether something stands in for what failed or was refused."""
        return self._fallback is not NO_FALLBACK

    @property
    def failure_threshold(self) -> int:
        """Consecutive failures that open the circuit."""
        return self._controller.settings.failure_threshold

    @property
    def recovery_timeout(self) -> RecoveryTimeout:
        """Seconds from opening to the probe, as they were given."""
        return self._controller.settings.recovery_timeout

    @property
    def expected_exception(self) -> Errors:
        """The exceptions that count as failure, as they were given."""
        return self._controller.settings.expected_exception

    def observe(self, observer: Observer) -> Callable[[], None]:
        """Call `observer` with each state transition of this breaker; see `peak_observe.observe`.

        Args:
            observer: Called with one `Transition` at a time, from whichever thread noticed it, after its lock is
                released; one that raises is logged once and not called again.

        Returns:
            A function that ends the observation.
        """
        return self._observers.add(observer)

    @check_keywords(surplus="a breaker protects a function, which is then called: write breaker.call(func)(arguments)")
    def call(self, func: F) -> F:
        """Return `func` protected by this breaker: use it as decorator or as `breaker.call(func)(args)`.

        Plain functions, coroutine functions, generators of both kinds, methods, partials and callable objects stay
        what they are. A method's breaker is shared by all instances of the class.

        Raises:
            TypeError: It cannot be called, or is a generator function and there is a fallback.
        """
        protected: F = wrapping.decorate(func, self._wrappers().wrap)
        return protected

    __call__ = call

    def _override(self, state: int, seconds: float | None) -> None:
        if seconds is not None:
            validation.check_period("for_seconds", seconds)
        pause = math.inf if seconds is None else float(seconds)
        reason = "by hand" if seconds is None else f"by hand, for {seconds:g} s"
        circuit = self._controller.circuit
        self._controller.override(state, pause, reason, lambda now: circuit.override(state, now, pause, reason))

    def _wrappers(self) -> BreakerWrappers:
        return BreakerWrappers(self, self._controller, self._tracing, self._fallback)

    def _guarded_call(self, generator: FrameType | None = None) -> GuardedCall:
        return self._wrappers().guarded_call(generator)

    def __enter__(self) -> Self:
        self._begin(scopes.generator_of(scopes.caller(1)))
        return self

    async def __aenter__(self) -> Self:
        self._begin(scopes.generator_of(scopes.caller(1)))
        return self

    def _begin(self, generator: FrameType | None) -> None:
        self._controller.add_entrance(nests=True)
        call = self._guarded_call(generator)
        call.__enter__()
        self._blocks.begin(call, generator)

    def _exit(self, error: BaseException | None) -> None:
        self._end(scopes.generator_of(scopes.caller(2)), error)

    async def _async_exit(self, error: BaseException | None) -> None:
        self._end(scopes.generator_of(scopes.caller(2)), error)

    def _end(self, generator: FrameType | None, error: BaseException | None) -> None:
        call = self._blocks.end(generator)
        call.__exit__(None if error is None else type(error), error, None)

    def __copy__(self) -> Self:
        """Return the breaker itself, as the protected service exists once."""
        return self

    def __deepcopy__(self, _: dict[int, Any]) -> Self:
        return self

    def __reduce__(self) -> NoReturn:
        raise TypeError(
            f"CircuitBreaker {label(self.name)!r} cannot be pickled, as its state belongs to this process: "
            "make one in the other process, or send its name and call get_breaker() there"
        )

    def __repr__(self) -> str:
        return f"<CircuitBreaker {label(self.name)!r} {self.state.value}>"
