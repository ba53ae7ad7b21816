"""One request on its way: what was asked, what came back, and what is counted, told and hidden of it."""

from __future__ import annotations

import sys
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from peak_observe import catalog
from peak_observe.events import KeyRefused, RateLimited, WriteUnanswered
from peak_observe.exchange_client.answer_check import misshapen
from peak_observe.exchange_client.classify import AMBIGUOUS, AUTH, SUCCESS, Answer, Verdict, classify
from peak_observe.exchange_client.order_ids import ids_on_the_wire
from peak_observe.exchange_client.scrubbing import sent_secrets
from peak_observe.observers import emit
from peak_observe.telemetry.tracing.spans import API, CallSpan

if TYPE_CHECKING:
    from collections.abc import Iterable

    from peak_observe.exchange_client.exchange_state import Watch

OUTCOMES = {outcome: index for index, outcome in enumerate(catalog.EXCHANGE_OUTCOMES)}
_BAD_STATUS = 400
_JSON = (dict, list)
_VERDICT = "_peak_observe_verdict"


class Call:
    """A method of the client under way, which may make several requests.

    Args:
        method: The method's name.
        write: Whether it changes something.

    Attributes:
        last_write: The last request that may have changed something.
        last_outcome: How that ended.
        answered: Whether an answer has come, which ccxt may fail to read.
    """

    __slots__ = ("answered", "last_outcome", "last_write", "method", "write")

    def __init__(self, method: str, *, write: bool) -> None:
        self.method = method
        self.write = write
        self.last_write: Request | None = None
        self.last_outcome = ""
        self.answered = False


current_call: ContextVar[Call | None] = ContextVar("peak_observe_call", default=None)
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
    """One request, from ccxt's table to its end.

    Args:
        watch: What is kept about its exchange.
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
    _found: Verdict | None = None
    _span: CallSpan | None = None

    def __init__(
        self,
        watch: Watch,
        path: str,
        api: str | Iterable[str] = "public",
        method: str = "GET",
        *_: Any,
        **__: Any,
    ) -> None:
        self._watch = watch
        self._endpoint = endpoint = watch.endpoint(path, api, method)
        if endpoint.write:
            self._decide_write(current_call.get())
        if API in sys.modules:
            self._span = self._begin_span()

    def _decide_write(self, call: Call | None) -> None:
        # A read may send a change: some exchanges make a deposit address when they are asked for one. Nor is that
        # repeated; of an endpoint that nobody judged the method's name tells enough.
        self.write = call is None or call.write or self._endpoint.changes
        if call is not None and call.write:
            call.last_write, call.last_outcome = self, "unsent"

    def _begin_span(self) -> CallSpan:
        facts = {"peak_observe.exchange": self._watch.name, "peak_observe.endpoint": self.label}
        method = self.label.partition(" ")[0]
        span = CallSpan(f"{self._watch.name} {self.label}", facts | {"http.request.method": method})
        span.begin()
        return span

    def sends(self, url: str, headers: Any, body: Any) -> None:
        """Take in that the request goes out now."""
        watch = self._watch
        self.sent = (url, headers, body)
        if self.write:
            self.sent_at = watch.clock.now()
        self.start = watch.clock.monotonic()
        counter = watch.dialect.counter
        if counter is not None and not self._endpoint.public:
            cost = counter.cost(self._endpoint.section, self._endpoint.path)
            if cost:
                watch.tally.use(cost / counter.limit, counter.decay / counter.limit)

    def _check(self, result: Any) -> None:
        answer, exchange = self._plain_answer(), self._watch.exchange
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
        if problem and self._watch.strict:
            from ccxt.base.errors import BadResponse, ExchangeNotAvailable

            kind = ExchangeNotAvailable if answer.status >= _BAD_STATUS else BadResponse
            raise kind(f"{exchange} {self.label} {answer.status}: {problem}")

    def done(self, result: Any) -> None:
        """Count a request that ccxt is content with, after a look at the shape of the answer.

        Raises:
            ccxt.BadResponse: It is no answer, and the exchange object belongs to a client.
            ccxt.ExchangeNotAvailable: The same, with a status that async ccxt does not know.
        """
        watch, answer = self._watch, self.answer
        if answer is not None and (answer[0] >= _BAD_STATUS or self._looks_odd(result)):
            self._check(result)
        self.ended = ended = watch.clock.monotonic()
        if answer is not None and (watch.tells_limits or ended >= watch.learn_due):
            watch.learn(self, answer[1])
        if watch.key_refused and self._found is None and not self._endpoint.public:
            watch.key_refused = False
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
        container = self._watch.dialect.container
        return bool(container) and isinstance(result, dict) and not result.get(container)

    def failed(self, error: BaseException) -> None:
        """Find out what an exception means, take the secrets out of it, count it, and tell what is rare."""
        watch = self._watch
        self.ended = watch.clock.monotonic()
        if self.sent is None:
            self.start = self.ended
        answer = self._plain_answer()
        write = self.write and self.sent is not None
        verdict = self._found or classify(error, exchange=watch.exchange, write=write, answer=answer, now=self._now())
        watch.scrubber.error(error, sent_secrets(*self.sent) if self.sent else ())
        vars(error)[_VERDICT] = verdict
        if answer is not None:
            watch.learn(self, answer.headers)
        self._settle(verdict, error)

    def _settle(self, verdict: Verdict | None, error: BaseException | None) -> None:
        outcome = verdict.outcome if verdict else SUCCESS
        seconds = max(0.0, self.ended - self.start)
        exemplar = None
        if self._span:
            exemplar = self._span.exemplar(seconds, self._watch.clock)
            self._span.end(self._facts(outcome), error)
        self._endpoint.tally.add(OUTCOMES[outcome], seconds, exemplar)
        if self.write:
            call = current_call.get()
            if call is not None:
                call.last_outcome = outcome
        if verdict is not None:
            self._tell(verdict, error)

    def _facts(self, outcome: str) -> dict[str, str | int]:
        status = {"http.response.status_code": self.answer[0]} if self.answer else {}
        return {"peak_observe.outcome": outcome, **status}

    def _tell(self, verdict: Verdict, error: BaseException | None) -> None:
        watch = self._watch
        told = error if isinstance(error, Exception) else None
        if verdict.until is not None and watch.tally.ban(verdict.until):
            emit(RateLimited(watch.name, self.label, verdict.until, verdict.reason, told))
        if verdict.outcome == AUTH and not watch.key_refused:
            watch.key_refused = True
            emit(KeyRefused(watch.name, self.label, verdict.reason, told))
        if verdict.outcome == AMBIGUOUS:
            emit(WriteUnanswered(watch.name, self.label, self.order_ids, self.at, verdict.reason, told))

    @property
    def label(self) -> str:
        """What is asked, as the metrics name it."""
        return self._endpoint.label

    @property
    def section(self) -> str:
        """The part of the interface that is asked."""
        return self._endpoint.section

    @property
    def order_ids(self) -> tuple[str, ...]:
        """The client order ids that were sent."""
        if self.sent is None:
            return ()
        return ids_on_the_wire(*self.sent, exchange=self._watch.exchange, path=self._endpoint.path)

    @property
    def at(self) -> datetime:
        """When it was sent, in UTC."""
        return self.sent_at or datetime.fromtimestamp(self._now(), UTC)

    def _now(self) -> float:
        return self._watch.clock.now().timestamp()

    def _plain_answer(self) -> Answer | None:
        if self.answer is None:
            return None
        status, headers, body = self.answer
        return Answer(status, {name.lower(): value for name, value in headers.items()}, body or "")
