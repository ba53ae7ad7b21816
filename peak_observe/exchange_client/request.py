"""Requests and the calls they belong to: classify, count and tell how each ended, and scrub what it raised."""

from __future__ import annotations

import sys
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Protocol

from peak_observe import catalog
from peak_observe.events import KeyRefused, RateLimited, WriteUnanswered
from peak_observe.exchange_client.answer_check import misshapen
from peak_observe.exchange_client.classify import AMBIGUOUS, AUTH, SUCCESS, Answer, Verdict, classify
from peak_observe.exchange_client.empty_answers import says_nothing
from peak_observe.exchange_client.order_ids import ids_on_the_wire
from peak_observe.exchange_client.order_summary import CallArguments, OrderSummary, current_arguments
from peak_observe.exchange_client.scrubbing import sent_secrets
from peak_observe.observers import emit
from peak_observe.telemetry.tracing.spans import API, CallSpan

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from peak_observe.exchange_client.exchange_state import ExchangeState
    from peak_observe.measures.counts import Exemplar

OUTCOMES = {outcome: index for index, outcome in enumerate(catalog.EXCHANGE_OUTCOMES)}
UNSENT = "unsent"
_BAD_STATUS = 400
_JSON = (dict, list)
_VERDICT = "_peak_observe_verdict"


class SentWrite(Protocol):
    """A write that went out, over HTTP or a websocket."""

    @property
    def label(self) -> str:
        """The endpoint, as the metrics name it."""

    @property
    def about(self) -> OrderSummary:
        """The summary of the arguments it was made of."""

    @property
    def order_ids(self) -> tuple[str, ...]:
        """The client order ids that were sent."""

    @property
    def at(self) -> datetime:
        """Time at which it was sent, in UTC."""

    def settle(self, outcome: str) -> None:
        """Count it, if that was not done yet."""

    def tell(self, reason: str, error: BaseException | None) -> None:
        """Emit that its outcome is unknown."""

    def repeated_by(self, error: BaseException) -> bool:
        """Return whether an exception says what the answer says."""


class Call:
    """A method of the client under way, which may make several requests.

    Args:
        method: The method's name.
        write: Whether it changes something.

    Attributes:
        last_write: The last request that may have changed something; what comes before it only prepares it.
        last_outcome: How that ended.
        last_reason: Why, in a few words.
        carried_out: The endpoints of the writes before it that were carried out.
        answered: Whether an answer has come, which ccxt may fail to read.
        message: The message that goes out over a websocket, which is a write once it is sent.
        message_hash: ccxt's name of what waits for the answer to that message.
    """

    __slots__ = (
        "answered",
        "carried_out",
        "last_outcome",
        "last_reason",
        "last_write",
        "message",
        "message_hash",
        "method",
        "write",
    )

    def __init__(self, method: str, *, write: bool) -> None:
        self.method = method
        self.write = write
        self.last_write: SentWrite | None = None
        self.last_outcome = self.last_reason = ""
        self.carried_out: tuple[str, ...] = ()
        self.answered = False
        self.message: Any = None
        self.message_hash = ""

    def writes(self, request: SentWrite) -> None:
        """Take in that a request is made that may change something."""
        if self.last_write is not None:
            self.last_write.settle(SUCCESS)
            if self.last_outcome == SUCCESS:
                self.carried_out += (self.last_write.label,)
        self.last_write, self.last_outcome = request, UNSENT


current_call: ContextVar[Call | None] = ContextVar("peak_observe_call", default=None)
before_write: ContextVar[Callable[[], None] | None] = ContextVar("peak_observe_before_write", default=None)
"""Called before a request that may change something goes out; what it raises keeps the request from being sent."""

current_request: ContextVar[Request | None] = ContextVar("peak_observe_request", default=None)


def verdict_of(error: BaseException, exchange: str = "", call: Call | None = None) -> Verdict:
    """Return what an exception means: as it was found when the request ended, or by the exception alone.

    With the call in which it was raised it is kept in the exception.
    """
    verdict = found_verdict(error) or classify(error, exchange=exchange, answered=bool(call and call.answered))
    if call is not None:
        vars(error)[_VERDICT] = verdict
    return verdict


def found_verdict(error: BaseException) -> Verdict | None:
    """Return what was found of an exception when its request ended, None if it came from no request."""
    found = getattr(error, _VERDICT, None)
    return found if isinstance(found, Verdict) else None


class Request:
    """One request over HTTP, from ccxt's table to its end.

    Args:
        state: The state of its exchange object.
        path: The path in ccxt's table.
        api: The section of the interface, or several that nest.
        method: The HTTP method.
    """

    # What most requests never set stands here: a request is made for each call, and each assignment costs.
    start = ended = 0.0
    write = False
    sent: tuple[str, Any, Any] | None = None
    sent_at: datetime | None = None
    answer: tuple[int, Any, str] | None = None
    _journaled = False
    _found: Verdict | None = None
    _span: CallSpan | None = None
    _arguments: CallArguments | None = None
    _uncounted: tuple[float, Exemplar | None] | None = None

    def __init__(
        self,
        state: ExchangeState,
        path: str,
        api: str | Iterable[str] = "public",
        method: str = "GET",
        *_: Any,
        **__: Any,
    ) -> None:
        self._state = state
        self._endpoint = endpoint = state.endpoint(path, api, method)
        if endpoint.write:
            self._decide_write(current_call.get())
        if API in sys.modules:
            self._span = self._begin_span()

    def _decide_write(self, call: Call | None) -> None:
        # A read may send a change: some exchanges make a deposit address when they are asked for one. Nor is that
        # repeated; of an endpoint that nobody judged the method's name tells enough.
        self.write = call is None or call.write or self._endpoint.changes
        self._arguments = current_arguments.get()
        if call is not None and call.write:
            call.writes(self)

    def _begin_span(self) -> CallSpan:
        facts = {"peak_observe.exchange": self._state.name, "peak_observe.endpoint": self.label}
        method = self.label.partition(" ")[0]
        span = CallSpan(f"{self._state.name} {self.label}", facts | {"http.request.method": method})
        span.begin()
        return span

    def sends(self, url: str, headers: Any, body: Any) -> None:
        """Take in that the request goes out now."""
        state = self._state
        recorded = before_write.get() if self.write else None
        if recorded is not None:
            recorded()
            self._journaled = True
        self.sent = (url, headers, body)
        if self.write:
            self.sent_at = state.clock.now()
        self.start = state.clock.monotonic()
        counter = state.dialect.counter
        if counter is not None and not self._endpoint.public:
            cost = counter.cost(self._endpoint.section, self._endpoint.path)
            if cost:
                state.tally.use(cost / counter.limit, counter.decay / counter.limit)

    def _check(self, result: Any) -> None:
        answer, exchange = self._plain_answer(), self._state.exchange
        if answer is None:
            return
        if answer.status >= _BAD_STATUS:
            self._found = classify(None, exchange=exchange, write=self.write, answer=answer, now=self._now())
            problem = f"HTTP {answer.status}"
        else:
            method = self.label.partition(" ")[0]
            problem = misshapen(
                result,
                answer=answer,
                exchange=exchange,
                path=self._endpoint.path,
                method=method,
                write=self.write,
                public=self._endpoint.public,
            )
            self._found = Verdict(AMBIGUOUS if self.write else "bad_response", problem) if problem else None
        if problem and self._state.strict:
            from ccxt.base.errors import BadResponse, ExchangeNotAvailable

            kind = ExchangeNotAvailable if answer.status >= _BAD_STATUS else BadResponse
            raise kind(f"{exchange} {self.label} {answer.status}: {problem}")

    def done(self, result: Any) -> None:
        """Count a request that ccxt is content with, after a look at the shape of the answer.

        Raises:
            ccxt.BadResponse: It is no answer, and the exchange object belongs to a client.
            ccxt.ExchangeNotAvailable: The same, with a status that async ccxt does not know.
        """
        state, answer = self._state, self.answer
        if answer is not None and (answer[0] >= _BAD_STATUS or self._looks_odd(result)):
            self._check(result)
        elif self._arguments is not None and answer is not None and self._arguments.is_batch:
            # Each part that has an error is refused to ccxt, also the one that timed out.
            part = state.dialect.unsure_part(answer[2] or "")
            self._found = Verdict(AMBIGUOUS, f"a part is of unknown fate: {part}") if part else None
        self.ended = ended = state.clock.monotonic()
        if answer is not None and (state.tells_limits or ended >= state.learn_due):
            state.learn(self._endpoint.section, answer[1], self.start, ended)
        if state.key_refused and self._found is None and not self._endpoint.public:
            state.key_refused = False
        call = current_call.get()
        if call is not None:
            call.answered = True
        if self._found is None and self._span is None and not self.write:
            self._endpoint.tally.succeeded(ended - self.start)
        else:
            self._settle(self._found, None)

    def _looks_odd(self, result: Any) -> bool:
        if not result or not isinstance(result, _JSON):
            return True
        container = self._state.dialect.container
        return bool(container) and isinstance(result, dict) and not result.get(container)

    def failed(self, error: BaseException) -> None:
        """Find out what an exception means, take the secrets out of it, count it, and tell what is rare."""
        state = self._state
        self.ended = state.clock.monotonic()
        if self.sent is None:
            self.start = self.ended
        answer = self._plain_answer()
        write = self.write and self.sent is not None
        verdict = self._found or classify(error, exchange=state.exchange, write=write, answer=answer, now=self._now())
        state.scrubber.error(error, sent_secrets(*self.sent) if self.sent else ())
        vars(error)[_VERDICT] = verdict
        if answer is not None:
            state.learn(self._endpoint.section, answer.headers, self.start, self.ended)
        self._settle(verdict, error)

    def _settle(self, verdict: Verdict | None, error: BaseException | None) -> None:
        outcome = verdict.outcome if verdict else SUCCESS
        seconds = max(0.0, self.ended - self.start)
        exemplar = None
        if self._span:
            exemplar = self._span.exemplar(seconds, self._state.clock)
            self._span.end(self._facts(outcome), error)
        self._uncounted = (seconds, exemplar)
        call = current_call.get() if self.write else None
        if call is not None:
            call.last_outcome, call.last_reason = outcome, verdict.reason if verdict else ""
        # Whether an answered write was a success is known when ccxt has read the answer: the call counts it then.
        if verdict is not None or call is None or call.last_write is not self:
            self.settle(outcome)
        if verdict is not None:
            self._tell(verdict, error)

    def settle(self, outcome: str) -> None:
        """Count the request, if that was not done yet."""
        uncounted, self._uncounted = self._uncounted, None
        if uncounted is not None:
            # What became of an order of the journal is counted when its look-up tells.
            if self.write and not (self._journaled and outcome == AMBIGUOUS):
                self._state.tally.wrote(OUTCOMES[outcome])
            self._endpoint.tally.add(OUTCOMES[outcome], *uncounted)

    def _facts(self, outcome: str) -> dict[str, str | int]:
        status = {"http.response.status_code": self.answer[0]} if self.answer else {}
        return {"peak_observe.outcome": outcome, **status}

    def _tell(self, verdict: Verdict, error: BaseException | None) -> None:
        state = self._state
        told = error if isinstance(error, Exception) else None
        if verdict.until is not None:
            if state.backpressure is not None:
                state.backpressure.set(verdict.until, verdict.reason)
            if state.tally.ban(verdict.until):
                emit(RateLimited(state.name, self.label, verdict.until, verdict.reason, told))
        if verdict.outcome == AUTH and not state.key_refused:
            state.key_refused = True
            emit(KeyRefused(state.name, self.label, verdict.reason, told))
        if verdict.outcome == AMBIGUOUS:
            self.tell(verdict.reason, told)

    def tell(self, reason: str, error: BaseException | None) -> None:
        """Emit that the request was sent and that its outcome is unknown."""
        about = self.about
        state = self._state
        if state.gate is not None:
            state.gate.unanswered()
        facts = (self.label, self.order_ids, self.at, reason, error, *about)
        emit(WriteUnanswered(state.name, *facts, repeatable=not state.strict))

    @property
    def about(self) -> OrderSummary:
        """The summary of the arguments it was made of."""
        return self._arguments.summary() if self._arguments else OrderSummary()

    def repeated_by(self, error: BaseException) -> bool:
        """Return whether an exception says what the answer says, so that ccxt found a refusal in it."""
        body, text = (self.answer[2] or "").strip() if self.answer else "", str(error).strip()
        return bool(text) and not says_nothing(body) and (body in text or text in body)

    @property
    def label(self) -> str:
        """The endpoint, as the metrics name it."""
        return self._endpoint.label

    @property
    def order_ids(self) -> tuple[str, ...]:
        """The client order ids that were sent."""
        if self.sent is None:
            return ()
        return ids_on_the_wire(*self.sent, exchange=self._state.exchange, path=self._endpoint.path)

    @property
    def at(self) -> datetime:
        """Time at which it was sent, in UTC."""
        return self.sent_at or datetime.fromtimestamp(self._now(), UTC)

    def _now(self) -> float:
        return self._state.clock.now().timestamp()

    def _plain_answer(self) -> Answer | None:
        if self.answer is None:
            return None
        status, headers, body = self.answer
        return Answer(status, {name.lower(): value for name, value in headers.items()}, body or "")
