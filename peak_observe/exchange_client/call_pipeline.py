"""Call pipeline of a client: circuit outside, retries of reads inside, and one meaning of each failure."""

from __future__ import annotations

from functools import wraps
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from peak_observe.errors import CircuitOpenError, HeldBackError, OutcomeUnknown, RefusedError, TradingHaltedError
from peak_observe.exchange_client import endpoints
from peak_observe.exchange_client.answer_check import check_of, missing_orders
from peak_observe.exchange_client.ccxt_errors import also_ccxt
from peak_observe.exchange_client.classify import (
    AMBIGUOUS,
    AUTH,
    CLOCK,
    COUNTED,
    RATE_LIMITED,
    REJECTED,
    SUCCESS,
    Verdict,
)
from peak_observe.exchange_client.request import UNSENT, Call, before_write, current_call, found_verdict, verdict_of
from peak_observe.exchange_client.websocket_timeout import timed_out
from peak_observe.resilience import CircuitBreaker, idempotent, retry_with_backoff
from peak_observe.resilience.retry import nesting

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from peak_observe.clock import Clock
    from peak_observe.coordination.joinable import Joinable
    from peak_observe.exchange_client.backpressure import Backpressure
    from peak_observe.exchange_client.exchange_state import ExchangeState
    from peak_observe.exchange_client.request import SentWrite

AUTH_PAUSE = 300.0
"""Seconds for which a circuit stays open after the key was refused: asking on gets an account locked out."""

_REFUSALS = frozenset((REJECTED, AUTH, RATE_LIMITED, CLOCK))
"""Outcomes by which an exchange says that it did not carry out a write."""

_NOTHING_SENT = "_peak_observe_nothing_sent"


class Settings(NamedTuple):
    """Settings of circuits and retries; see `ResilientExchangeClient`."""

    failure_threshold: int
    recovery_timeout: float
    max_attempts: int
    base_delay: float
    max_delay: float


class Protection:
    """The circuits of one client and what its calls have in common; it knows the exchange object, not the client.

    Args:
        exchange: The ccxt object.
        state: Its state.
        backpressure: Delays calls while a rate limit or ban of the exchange lasts.
        settings: Those of circuits and retries.
        clock: Where time and sleep come from.
        shared: What its circuits are shared by, if they are.
    """

    def __init__(
        self,
        exchange: Any,
        state: ExchangeState,
        backpressure: Backpressure,
        settings: Settings,
        *,
        clock: Clock,
        shared: Joinable | None = None,
    ) -> None:
        self.exchange = exchange
        self.state = state
        self.backpressure = backpressure
        self._settings = settings
        self._clock = clock
        self._shared = shared
        self.breakers = {group: self._breaker(f"{state.name}.{group}") for group in endpoints.GROUPS}
        self._runners: dict[tuple[str, bool, bool], Callable[..., Any]] = {}

    def _breaker(self, name: str) -> CircuitBreaker:
        chosen = self._settings
        threshold, timeout = chosen.failure_threshold, chosen.recovery_timeout
        return CircuitBreaker(threshold, timeout, _counts, name, clock=self._clock, shared=self._shared)

    def protect(self, name: str, *, write: bool, group: str, asynchronous: bool) -> Callable[..., Any]:
        """Return a method of the exchange with protection, of the same kind and signature.

        Args:
            name: The method's name in snake case.
            write: Whether it changes something, so that it is never sent twice.
            group: Whose breaker it passes.
            asynchronous: Whether it is a coroutine function.
        """
        method = getattr(self.exchange, name)
        websocket = endpoints.over_websocket(name)
        # Trouble of a websocket says nothing about HTTP, and must not shut that way off. A cancel must get through when
        # all else fails; it still waits while a rate limit or ban lasts.
        circuit = not websocket and not endpoints.cancels(name)
        if websocket and asynchronous:
            method = timed_out(method, self.exchange)
        step = Step(self, name, method, None if websocket else self.breakers[group], write=write)
        run = self._runner(group, write=write, circuit=circuit, asynchronous=asynchronous)
        call = step.awaiting(run) if asynchronous else step.calling(run)
        return idempotent(False)(call) if write and not endpoints.cancels(name) else call  # noqa: FBT003 - as it reads

    def _runner(self, group: str, *, write: bool, circuit: bool, asynchronous: bool) -> Callable[..., Any]:
        """Return the function that runs the steps of a group.

        There is one for all methods: with one for each, the circuit would look in every call whether it is nested.
        """
        key = (group, write, circuit)
        if key not in self._runners:
            run = self._retried(
                f"{self.state.name}.{group}", (_awaiting if asynchronous else _calling)(self), write=write
            )
            self._runners[key] = self.breakers[group].call(run) if circuit else run
        return self._runners[key]

    def _retried(self, name: str, call: Callable[..., Any], *, write: bool) -> Callable[..., Any]:
        chosen = self._settings
        return retry_with_backoff(
            chosen.max_attempts,
            chosen.base_delay,
            chosen.max_delay,
            expected_exception=self._nothing_sent if write else self._worth_another,
            retry_after=False,  # the backpressure waits for what the exchange asked, with all calls of the client
            name=name,
            clock=self._clock,
        )(call)

    def _worth_another(self, error: Exception) -> bool:
        if isinstance(error, HeldBackError | RefusedError) or self.backpressure.remaining > self.backpressure.max_wait:
            return False
        return verdict_of(error, self.state.exchange).retryable

    def _nothing_sent(self, error: Exception) -> bool:
        # What a write reads before it is sent, such as the markets, may be read again.
        return _NOTHING_SENT in vars(error) and self._worth_another(error)


def _counts(error: Exception) -> bool:
    if isinstance(error, HeldBackError | RefusedError):
        return False
    return isinstance(error, OutcomeUnknown) or verdict_of(error).outcome in COUNTED


def _calling(protection: Protection) -> Callable[..., Any]:
    """Return a plain function that runs a step."""
    backpressure, exchange = protection.backpressure, protection.exchange

    def run(step: Step, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        synced = False
        while True:
            if backpressure.remaining:
                backpressure.wait()
            try:
                with _Attempt(step) as attempt:
                    return attempt.checked(step.method(*args, **kwargs), args, kwargs)
            except Exception as error:
                if synced or not step.wants_sync(error):
                    raise
            exchange.load_time_difference()
            synced = True

    return run


def _awaiting(protection: Protection) -> Callable[..., Any]:
    """Return a coroutine function that runs a step."""
    backpressure, exchange = protection.backpressure, protection.exchange

    async def run(step: Step, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        synced = False
        while True:
            if backpressure.remaining:
                await backpressure.async_wait()
            try:
                with _Attempt(step) as attempt:
                    return attempt.checked(await step.method(*args, **kwargs), args, kwargs)
            except Exception as error:
                if synced or not step.wants_sync(error):
                    raise
            await exchange.load_time_difference()
            synced = True

    return run


class Step:
    """Protection of one method of one client, around each single attempt.

    Args:
        protection: What the client's calls have in common.
        name: The method's name.
        method: The method of the exchange object.
        breaker: The circuit that a refused key opens, None for none.
        write: Whether it changes something.
    """

    def __init__(
        self,
        protection: Protection,
        name: str,
        method: Callable[..., Any],
        breaker: CircuitBreaker | None,
        *,
        write: bool,
    ) -> None:
        self._protection = protection
        self._breaker = breaker
        self.name = name
        self.method = method
        self.write = write
        self.check = check_of(name)

    def calling(self, run: Callable[..., Any]) -> Callable[..., Any]:
        """Return a plain function with the signature of the method, whose open circuit is also an error of ccxt."""

        @wraps(self.method)
        def call(*args: Any, **kwargs: Any) -> Any:
            try:
                return run(self, args, kwargs)
            except CircuitOpenError as error:
                raise also_ccxt(error) from error.last_error

        return call

    def awaiting(self, run: Callable[..., Any]) -> Callable[..., Any]:
        """Return a coroutine function with the signature of the method, whose open circuit is also an error of ccxt."""

        @wraps(self.method)
        async def call(*args: Any, **kwargs: Any) -> Any:
            try:
                return await run(self, args, kwargs)
            except CircuitOpenError as error:
                raise also_ccxt(error) from error.last_error

        return call

    def wants_sync(self, error: Exception) -> bool:
        """Return whether our clock should be set by the exchange's, and the read made once more."""
        adjusts = self._protection.exchange.options.get("adjustForTimeDifference")
        verdict = verdict_of(error)
        return bool(adjusts) and not self.write and verdict.outcome == CLOCK and verdict.resync

    def failed(self, error: BaseException, call: Call) -> OutcomeUnknown | None:
        """Draw the consequences of a failed call; return what to raise in its place, if anything."""
        state = self._protection.state
        if isinstance(error, TradingHaltedError):
            _settle_before(error, call)
            return None
        state.scrubber.error(error)
        unasked = found_verdict(error) is None
        verdict = verdict_of(error, state.exchange, call)
        if verdict.until is not None:
            self._protection.backpressure.set(verdict.until, verdict.reason)
        if verdict.outcome == AUTH and isinstance(error, Exception) and self._breaker is not None:
            self._breaker.trip(f"authentication failed: {verdict.reason}", pause=AUTH_PAUSE, error=error, share=False)
        if not self.write:
            return None
        request = call.last_write
        if request is None:
            vars(error)[_NOTHING_SENT] = True
            return None
        return self._settled(request, error, call, verdict, unasked=unasked)

    def _settled(
        self, request: SentWrite, error: BaseException, call: Call, verdict: Verdict, *, unasked: bool
    ) -> OutcomeUnknown | None:
        # An order that was answered and then could not be read, or looked up, stands all the same. So may one that
        # went over a websocket, whose answers are not told from their loss before they are read.
        unread = call.last_outcome == SUCCESS or (call.last_outcome == UNSENT and unasked)
        if unread and unasked and verdict.outcome in _REFUSALS and request.repeated_by(error):
            request.settle(verdict.outcome)
            _note_carried_out(error, call)
            return None
        request.settle(AMBIGUOUS)
        if not unread and AMBIGUOUS not in (verdict.outcome, call.last_outcome):
            _note_carried_out(error, call)
            return None
        unknown = self._unknown(request, verdict.reason or type(error).__name__)
        if unread:
            request.tell(unknown.reason, error if isinstance(error, Exception) else None)
        if isinstance(error, Exception):
            return unknown
        _attach(unknown, error)
        return None

    def returned(self, call: Call) -> None:
        """Settle the last write of a call that raised nothing.

        Raises:
            OutcomeUnknown: Its answer was lost, or that of a part, and ccxt kept that to itself.
        """
        request = call.last_write
        if request is None:
            return
        if call.last_outcome == AMBIGUOUS:
            raise self._unknown(request, call.last_reason)
        request.settle(SUCCESS)

    def _unknown(self, request: SentWrite, reason: str) -> OutcomeUnknown:
        if before_write.get() is None:  # a journal asks for its orders before it sends them again
            nesting.leave_open()
        name, order = self._protection.state.name, request.about.text
        return also_ccxt(OutcomeUnknown(name, self.name, request.label, request.order_ids, request.at, reason, order))


def _settle_before(error: TradingHaltedError, call: Call) -> None:
    """Settle what a call had sent before trading was halted in its midst, as the cancel of an edit."""
    if call.last_write is not None and call.last_outcome == SUCCESS:
        call.writes(call.last_write)
        _note_carried_out(error, call)


def _note_carried_out(error: BaseException, call: Call) -> None:
    """Let a refusal say what the call changed before it: an edit, for instance, may cancel and then order anew."""
    if call.carried_out:
        error.add_note(f"{call.method} had changed something before: {', '.join(call.carried_out)} was carried out")


def _attach(unknown: OutcomeUnknown, error: BaseException) -> None:
    """Let a cancellation or Ctrl-C, which goes its own way, carry what it left open."""
    error.__cause__ = error.__cause__ or unknown
    vars(error).update(client_order_ids=unknown.client_order_ids, client_order_id=unknown.client_order_id)
    error.add_note(str(unknown))


class _Attempt:
    """Context manager around one attempt of a call: the outcomes of its requests decide what a failure means."""

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
        if not problem and self._step.write:
            problem = missing_orders(self._step.name, result, kwargs.get("orders") or next(iter(args), None))
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
            if error is None:
                self._step.returned(self._call)
            elif instead := self._step.failed(error, self._call):
                raise instead from error
        finally:
            current_call.reset(self._token)
