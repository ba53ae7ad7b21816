"""How a client calls one method: circuit outside, retries of reads inside, and one idea of what each failure means."""

from __future__ import annotations

from functools import wraps
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from peak_observe.errors import HeldBackError, OutcomeUnknown
from peak_observe.exchange_client import endpoints
from peak_observe.exchange_client.answer_check import check_of
from peak_observe.exchange_client.classify import AMBIGUOUS, AUTH, CLOCK, COUNTED, SUCCESS, Verdict
from peak_observe.exchange_client.request import Call, current_call, verdict_of
from peak_observe.resilience import CircuitBreaker, idempotent, retry_with_backoff

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from peak_observe.clock import Clock
    from peak_observe.exchange_client.backpressure import Hold
    from peak_observe.exchange_client.exchange_state import Watch

AUTH_PAUSE = 300.0
"""Seconds for which a circuit stays open after the key was refused: asking on gets an account locked out."""


class Settings(NamedTuple):
    """How a client protects its calls; see `ResilientExchangeClient`."""

    failure_threshold: int
    recovery_timeout: float
    max_attempts: int
    base_delay: float
    max_delay: float
    max_wait: float


class Protection:
    """The circuits of one client and what its calls have in common; it knows the exchange object, not the client."""

    def __init__(self, exchange: Any, watch: Watch, hold: Hold, settings: Settings, clock: Clock) -> None:
        self.exchange = exchange
        self.watch = watch
        self.hold = hold
        self._settings = settings
        self._clock = clock
        self.breakers = {group: self._breaker(f"{watch.name}.{group}") for group in endpoints.GROUPS}

    def _breaker(self, name: str) -> CircuitBreaker:
        chosen = self._settings
        return CircuitBreaker(
            chosen.failure_threshold,
            chosen.recovery_timeout,
            _counts,
            name,
            clock=self._clock,
        )

    def protect(self, name: str, *, write: bool, group: str, asynchronous: bool) -> Callable[..., Any]:
        """Return a method of the exchange with protection, of the same kind and signature.

        Args:
            name: The method's name in snake case.
            write: Whether it changes something, so that it is never sent twice.
            group: Whose breaker it passes.
            asynchronous: Whether it is a coroutine function.
        """
        method = getattr(self.exchange, name)
        step = Step(self, name, self.breakers[group], write=write)
        call = step.awaiting(method) if asynchronous else step.calling(method)
        call = wraps(method)(call)
        if write and not endpoints.cancels(name):
            call = idempotent(False)(call)  # noqa: FBT003 - as it reads
        elif not write:
            call = self._retried(f"{self.watch.name}.{group}", call)
        # A cancel must get through when all else fails; it still waits while the exchange wants to be left alone.
        return call if endpoints.cancels(name) else self.breakers[group].call(call)

    def _retried(self, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        chosen = self._settings
        return retry_with_backoff(
            chosen.max_attempts,
            chosen.base_delay,
            chosen.max_delay,
            expected_exception=self._worth_another,
            retry_after=False,  # the hold waits for what the exchange asked, with all calls of the client
            name=name,
            clock=self._clock,
        )(call)

    def _worth_another(self, error: Exception) -> bool:
        if isinstance(error, HeldBackError) or self.hold.remaining > self.hold.max_wait:
            return False
        return verdict_of(error, self.watch.exchange).retryable


def _counts(error: Exception) -> bool:
    if isinstance(error, HeldBackError):
        return False
    return isinstance(error, OutcomeUnknown) or verdict_of(error).outcome in COUNTED


class Step:
    """One method of one client: what happens around each single call of it."""

    def __init__(self, protection: Protection, name: str, breaker: CircuitBreaker, *, write: bool) -> None:
        self._protection = protection
        self._breaker = breaker
        self.name = name
        self.write = write
        self.check = check_of(name)

    def calling(self, method: Callable[..., Any]) -> Callable[..., Any]:
        """Return a plain function that makes the call."""
        hold, exchange = self._protection.hold, self._protection.exchange

        def once(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
            hold.wait()
            with _Attempt(self) as attempt:
                return attempt.checked(method(*args, **kwargs), args, kwargs)

        def call(*args: Any, **kwargs: Any) -> Any:
            try:
                return once(args, kwargs)
            except Exception as error:
                if not self.wants_sync(error):
                    raise
            exchange.load_time_difference()
            return once(args, kwargs)

        return call

    def awaiting(self, method: Callable[..., Any]) -> Callable[..., Any]:
        """Return a coroutine function that makes the call."""
        hold, exchange = self._protection.hold, self._protection.exchange

        async def once(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
            await hold.async_wait()
            with _Attempt(self) as attempt:
                return attempt.checked(await method(*args, **kwargs), args, kwargs)

        async def call(*args: Any, **kwargs: Any) -> Any:
            try:
                return await once(args, kwargs)
            except Exception as error:
                if not self.wants_sync(error):
                    raise
            await exchange.load_time_difference()
            return await once(args, kwargs)

        return call

    def wants_sync(self, error: Exception) -> bool:
        """Return whether our clock should be set by the exchange's, and the read made once more."""
        adjusts = self._protection.exchange.options.get("adjustForTimeDifference")
        verdict = verdict_of(error)
        return bool(adjusts) and not self.write and verdict.outcome == CLOCK and verdict.resync

    def failed(self, error: BaseException, call: Call) -> OutcomeUnknown | None:
        """Draw the consequences of a failed call; return what to raise in its place, if anything."""
        watch = self._protection.watch
        watch.scrubber.error(error)
        verdict = verdict_of(error, watch.exchange, call)
        if verdict.until is not None:
            self._protection.hold.set(verdict.until, verdict.reason)
        if verdict.outcome == AUTH and isinstance(error, Exception):
            self._breaker.trip(f"authentication failed: {verdict.reason}", pause=AUTH_PAUSE, error=error)
        return self._unknown(error, call, verdict) if isinstance(error, Exception) and self.write else None

    def _unknown(self, error: Exception, call: Call, verdict: Verdict) -> OutcomeUnknown | None:
        # An order that was answered and then could not be read, or looked up, stands all the same.
        unread = call.last_outcome == SUCCESS
        request = call.last_write
        if request is None or not (unread or verdict.outcome == AMBIGUOUS):
            return None
        reason = verdict.reason or type(error).__name__
        name = self._protection.watch.name
        return OutcomeUnknown(name, self.name, request.label, request.order_ids, request.at, reason)


class _Attempt:
    """The time of one call: what its requests came to decides what its failure means."""

    __slots__ = ("_call", "_step", "_token")

    def __init__(self, step: Step) -> None:
        self._step = step

    def __enter__(self) -> Self:
        self._call = Call(self._step.name, write=self._step.write)
        self._token = current_call.set(self._call)
        return self

    def checked(self, result: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Return a result that is an answer, and an order's client order id even where the exchange does not repeat it.

        Raises:
            ccxt.BadResponse: It is none, though it was not a rehearsal.
        """
        check = self._step.check
        if check is None:
            return result
        problem = check(result)
        if problem:
            params = kwargs.get("params") or next((arg for arg in reversed(args) if isinstance(arg, dict)), {})
            if not (self._step.write and (params.get("test") or params.get("validate"))):
                from ccxt.base.errors import BadResponse

                raise BadResponse(f"{self._step.name}: {problem}")
        if self._step.write and isinstance(result, dict) and result.get("clientOrderId") is None:
            self._repeat_id(result)
        return result

    def _repeat_id(self, result: dict[str, Any]) -> None:
        request = self._call.last_write
        if request is not None:
            result["clientOrderId"] = next(iter(request.order_ids), None)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            if error is not None:
                instead = self._step.failed(error, self._call)
                if instead is not None:
                    raise instead from error
        finally:
            current_call.reset(self._token)
