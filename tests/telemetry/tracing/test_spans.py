"""Protected calls as spans of the real OpenTelemetry SDK."""

import asyncio
import sys
import threading
from datetime import UTC, datetime
from types import SimpleNamespace

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace.sampling import Decision
from opentelemetry.trace import SpanKind, StatusCode
from prometheus_client import CollectorRegistry

import peak_observe
from peak_observe import CircuitBreaker, CircuitOpenError, circuit_breaker, retry_with_backoff, retrying
from peak_observe._version import __version__
from peak_observe.events import Transition
from peak_observe.observers import emit
from peak_observe.telemetry.tracing import spans
from peak_observe.telemetry.tracing.spans import SCHEMA_URL
from peak_observe.testing import ManualClock

TRACER = trace.get_tracer("tests")


def fail(message: str = "no answer") -> None:
    """Fail like an exchange that is away."""
    raise ConnectionError(message)


def parent_of(span: object, among: list) -> str | None:
    """Return the name of a span's parent."""
    return next((other.name for other in among if span.parent and other.context.span_id == span.parent.span_id), None)


def tree(spans: list) -> dict[str, str | None]:
    """Return the parent of each span by name."""
    return {span.name: parent_of(span, spans) for span in spans}


def current_name() -> str:
    """Return the name of the span that is current where this is called."""
    return trace.get_current_span().name


def test_a_call_is_a_child_of_the_callers_span(otel) -> None:
    """The caller's trace shows the call, who made it and how it ended."""

    @circuit_breaker(name="trace.child")
    def fetch() -> str:
        return current_name()

    with TRACER.start_as_current_span("caller"):
        assert fetch() == "call trace.child"
    (span,) = otel.named("call trace.child")
    assert parent_of(span, otel.spans) == "caller"
    assert span.kind is SpanKind.INTERNAL
    assert span.status.status_code is StatusCode.UNSET
    assert dict(span.attributes) == {"peak_observe.breaker": "trace.child", "peak_observe.outcome": "success"}
    scope = span.instrumentation_scope
    assert (scope.name, scope.version, scope.schema_url) == ("peak_observe", __version__, SCHEMA_URL)


def test_a_result_that_is_a_failure_shows_in_the_span_and_trips_the_circuit(otel) -> None:
    """Without an error there is none to show; the refusal is linked to the call that was too much."""
    breaker = CircuitBreaker(1, name="trace.result", failure_result=lambda reply: reply == "error")
    ask = breaker.call(lambda: "error")
    with TRACER.start_as_current_span("caller"):
        assert ask() == "error"
        with pytest.raises(CircuitOpenError):
            ask()
    failed, refused = otel.named("call trace.result")
    assert (failed.attributes["peak_observe.outcome"], failed.status.status_code) == ("failure", StatusCode.UNSET)
    assert refused.attributes["peak_observe.outcome"] == "rejected"
    assert [link.context.span_id for link in refused.links] == [failed.context.span_id]


def test_a_coroutine_is_a_child_too(otel) -> None:
    """Also across an await, and each task in its own caller's span."""

    @circuit_breaker(name="trace.async")
    async def fetch() -> str:
        await asyncio.sleep(0)
        return current_name()

    async def caller(number: int) -> str:
        with TRACER.start_as_current_span(f"caller {number}"):
            return await fetch()

    async def main() -> list[str]:
        return await asyncio.gather(caller(1), caller(2))

    assert asyncio.run(main()) == ["call trace.async"] * 2
    parents = {parent_of(span, otel.spans) for span in otel.named("call trace.async")}
    assert parents == {"caller 1", "caller 2"}


def test_a_plain_function_that_returns_a_coroutine_ends_its_span_with_it(otel) -> None:
    """The span that counts is the awaited one."""

    async def fetch(_: str) -> str:
        return current_name()

    protected = circuit_breaker(name="trace.lambda")(lambda: fetch("BTC/USD"))

    async def main() -> str:
        with TRACER.start_as_current_span("caller"):
            return await protected()

    assert asyncio.run(main()) == "call trace.lambda"
    assert [span.attributes["peak_observe.outcome"] for span in otel.named("call trace.lambda")] == [
        "deferred",
        "success",
    ]


def test_the_with_block_is_a_span(otel) -> None:
    """As context manager the breaker traces like the decorator."""
    with TRACER.start_as_current_span("caller"), CircuitBreaker(name="trace.with"):
        assert current_name() == "call trace.with"
    assert tree(otel.spans)["call trace.with"] == "caller"


def test_attempts_are_current_children(otel) -> None:
    """What the HTTP client traces nests under the attempt that made it."""
    clock, seen = ManualClock(), []

    @retry_with_backoff(3, clock=clock, name="trace.attempts")
    def fetch() -> str:
        seen.append(current_name())
        with TRACER.start_as_current_span("GET"):
            if len(seen) < 3:
                fail()
        return "answer"

    with TRACER.start_as_current_span("caller"):
        fetch()
    assert seen == ["attempt trace.attempts"] * 3
    assert tree(otel.spans) == {
        "caller": None,
        "call trace.attempts": "caller",
        "attempt trace.attempts": "call trace.attempts",
        "GET": "attempt trace.attempts",
    }
    attempts = otel.named("attempt trace.attempts")
    assert [span.attributes["peak_observe.attempt"] for span in attempts] == [1, 2, 3]
    assert [span.attributes["peak_observe.delay"] for span in attempts] == [0.0, 1.0, 2.0]
    assert [span.status.status_code for span in attempts] == [StatusCode.ERROR, StatusCode.ERROR, StatusCode.UNSET]
    assert [span.attributes.get("error.type") for span in attempts] == ["ConnectionError", "ConnectionError", None]
    (call,) = otel.named("call trace.attempts")
    assert call.status.status_code is StatusCode.UNSET
    assert call.attributes["peak_observe.outcome"] == "after_retry"
    assert call.attributes["peak_observe.attempts"] == 3


def test_attempts_of_a_coroutine_are_current_children(otel) -> None:
    """The same for async."""
    clock, seen = ManualClock(), []

    @retry_with_backoff(2, clock=clock, name="trace.async_attempts")
    async def fetch() -> None:
        await asyncio.sleep(0)
        seen.append(current_name())
        fail()

    async def main() -> None:
        with TRACER.start_as_current_span("caller"), pytest.raises(ConnectionError):
            await fetch()

    asyncio.run(main())
    assert seen == ["attempt trace.async_attempts"] * 2
    (call,) = otel.named("call trace.async_attempts")
    assert call.status.status_code is StatusCode.ERROR
    assert call.attributes["peak_observe.outcome"] == "exhausted"
    assert parent_of(call, otel.spans) == "caller"


@pytest.mark.parametrize("asynchronous", [False, True])
def test_attempts_of_a_loop_are_current_children(otel, asynchronous: bool) -> None:
    """And between them nothing is current that is not the caller's."""
    seen = []

    def body(attempt: object) -> None:
        with attempt:
            seen.append(current_name())
            if attempt.number < 2:
                fail()

    def use() -> None:
        for attempt in retrying(2, 0, name="trace.loop"):
            seen.append(current_name())
            body(attempt)

    async def use_async() -> None:
        async for attempt in retrying(2, 0, name="trace.loop"):
            seen.append(current_name())
            body(attempt)

    with TRACER.start_as_current_span("caller"):
        asyncio.run(use_async()) if asynchronous else use()
        seen.append(current_name())
    assert seen == ["caller", "attempt trace.loop"] * 2 + ["caller"]
    assert tree(otel.spans) == {
        "caller": None,
        "call trace.loop": "caller",
        "attempt trace.loop": "call trace.loop",
    }


def test_a_span_says_why_there_was_no_other_attempt(otel) -> None:
    """Whatever the reason; a result that was not accepted is no error of the span."""
    protect = retry_with_backoff(2, clock=ManualClock(), name="trace.result", retry_result=lambda _: True)
    with TRACER.start_as_current_span("caller"):
        protect(lambda: "busy")()
        with pytest.raises(ConnectionError):
            retry_with_backoff(timeout=0.5, clock=ManualClock(), name="trace.late")(fail)()
        assert current_name() == "caller"
    (busy,), (late,) = otel.named("call trace.result"), otel.named("call trace.late")
    assert (busy.attributes["peak_observe.outcome"], busy.status.status_code) == ("exhausted", StatusCode.UNSET)
    assert (late.attributes["peak_observe.outcome"], late.status.status_code) == ("out_of_time", StatusCode.ERROR)
    assert len(otel.named("attempt trace.result")) == 2


def test_breaker_outside_retry_inside_nest(otel) -> None:
    """The documented order shows as call, operation, attempt."""

    @circuit_breaker(name="trace.outer")
    @retry_with_backoff(name="trace.inner")
    def fetch() -> None:
        pass

    with TRACER.start_as_current_span("caller"):
        fetch()
    assert tree(otel.spans) == {
        "caller": None,
        "call trace.outer": "caller",
        "call trace.inner": "call trace.outer",
        "attempt trace.inner": "call trace.inner",
    }


def test_a_refusal_links_to_the_call_that_opened_the_circuit(otel) -> None:
    """One click leads from the refused call to the error that caused it."""
    breaker = CircuitBreaker(1, name="trace.refusal")
    with TRACER.start_as_current_span("caller"):
        with pytest.raises(ConnectionError):
            breaker.call(fail)()
        with pytest.raises(CircuitOpenError):
            breaker.call(fail)()
    tripping, refused = otel.named("call trace.refusal")
    assert [link.context.span_id for link in refused.links] == [tripping.context.span_id]
    assert refused.status.status_code is StatusCode.ERROR
    assert refused.attributes["peak_observe.outcome"] == "rejected"
    assert refused.attributes["error.type"] == "peak_observe.errors.CircuitOpenError"


def test_a_refusal_links_to_the_latest_cause_only(otel) -> None:
    """A circuit that was opened by an untraced call has no stale link."""
    clock = ManualClock()
    breaker = CircuitBreaker(1, 60, name="trace.stale", clock=clock)
    with TRACER.start_as_current_span("caller"), pytest.raises(ConnectionError):
        breaker.call(fail)()
    clock.advance(60)
    with pytest.raises(ConnectionError):
        breaker.call(fail)()
    with TRACER.start_as_current_span("caller"), pytest.raises(CircuitOpenError):
        breaker.call(fail)()
    assert otel.named("call trace.stale")[-1].links == ()


def test_cancellation_is_no_error(otel) -> None:
    """A task that is cancelled leaves an ended span with status UNSET."""

    @circuit_breaker(name="trace.cancelled")
    async def fetch() -> None:
        await asyncio.sleep(60)

    async def main() -> None:
        with TRACER.start_as_current_span("caller"):
            task = asyncio.create_task(fetch())
            await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

    asyncio.run(main())
    (span,) = otel.named("call trace.cancelled")
    assert span.status.status_code is StatusCode.UNSET
    assert span.attributes["peak_observe.outcome"] == "ignored"


def test_a_generator_has_a_span_that_is_not_current(otel) -> None:
    """Its consumer's own spans do not become its children by accident."""

    @circuit_breaker(name="trace.generator")
    def pages() -> object:
        yield current_name()
        yield 2

    with TRACER.start_as_current_span("caller"):
        found = pages()
        assert next(found) == "caller"
        assert current_name() == "caller"
        assert list(found) == [2]
    assert tree(otel.spans)["call trace.generator"] == "caller"


def test_the_context_is_the_callers_again_afterwards(otel) -> None:
    """Also after a failure and a refusal."""
    breaker = CircuitBreaker(1, name="trace.context")
    with TRACER.start_as_current_span("caller"):
        for error in (ConnectionError, CircuitOpenError):
            with pytest.raises(error):
                breaker.call(fail)()
            assert current_name() == "caller"


def test_nothing_is_traced_outside_a_span(otel) -> None:
    """`auto` begins no trace of its own."""
    circuit_breaker(name="trace.alone")(lambda: None)()
    retry_with_backoff(name="trace.alone")(lambda: None)()
    assert otel.spans == []


def test_nothing_is_traced_in_a_span_that_is_not_recorded(otel) -> None:
    """A trace that the sampler dropped costs nothing."""
    otel.sampler.decision = Decision.DROP
    with TRACER.start_as_current_span("caller"):
        circuit_breaker(name="trace.dropped")(lambda: None)()
    assert otel.spans == []


def test_always_begins_a_trace(otel) -> None:
    """For programs without spans of their own."""

    @circuit_breaker(name="trace.always", tracing="always")
    @retry_with_backoff(name="trace.always", tracing="always")
    def fetch() -> None:
        pass

    fetch()
    assert [span.name for span in otel.spans] == ["call trace.always", "call trace.always", "attempt trace.always"]
    assert otel.spans[0].parent is None


def test_off_never_traces(otel) -> None:
    """Not even inside a recording span."""

    @circuit_breaker(name="trace.off", tracing="off")
    @retry_with_backoff(name="trace.off", tracing="off")
    def fetch() -> None:
        pass

    with TRACER.start_as_current_span("caller"):
        fetch()
    assert [span.name for span in otel.spans] == ["caller"]


def samples(name: str) -> list:
    """Return our samples of one primitive."""
    registry = CollectorRegistry()
    peak_observe.register(registry)
    return [s for family in registry.collect() for s in family.samples if name in s.labels.values()]


def test_counters_carry_the_span_as_exemplar(otel) -> None:
    """From a spike on the dashboard to one of its traces."""
    breaker = CircuitBreaker(name="trace.exemplar")
    retried = retry_with_backoff(name="trace.exemplar")(lambda: None)
    with TRACER.start_as_current_span("caller"):
        breaker.call(lambda: None)()
        retried()
    call = {span.attributes.get("peak_observe.breaker") or "retry": span for span in otel.named("call trace.exemplar")}
    found = {(s.name, s.labels.get("outcome") or s.labels.get("le")): s for s in samples("trace.exemplar")}
    for key, span in {
        ("peak_breaker_calls_total", "success"): call["trace.exemplar"],
        ("peak_breaker_call_duration_seconds_bucket", "0.005"): call["trace.exemplar"],
        ("peak_retry_calls_total", "first_try"): call["retry"],
    }.items():
        exemplar = found[key].exemplar
        assert exemplar.labels["trace_id"] == f"{span.context.trace_id:032x}"
        assert exemplar.labels["span_id"] == f"{span.context.span_id:016x}"
        assert exemplar.timestamp * 1e9 == pytest.approx(span.end_time, abs=1e9)
    assert found["peak_breaker_calls_total", "success"].exemplar.value == 1.0


def test_no_exemplar_leads_to_a_trace_that_is_not_kept(otel) -> None:
    """Recorded but not sampled: the trace would not be found."""
    otel.sampler.decision = Decision.RECORD_ONLY
    breaker = CircuitBreaker(name="trace.unsampled")
    with TRACER.start_as_current_span("caller"):
        breaker.call(lambda: None)()
    assert sum(s.value for s in samples("trace.unsampled") if s.name == "peak_breaker_calls_total") == 1
    assert all(s.exemplar is None for s in samples("trace.unsampled"))


def test_changes_of_state_are_log_based_events(otel) -> None:
    """They carry the names and the reason, and the trace they happened in."""
    breaker = CircuitBreaker(1, name="trace.event")
    with TRACER.start_as_current_span("caller"), pytest.raises(ConnectionError):
        breaker.call(fail)()
    (event,) = otel.events
    (span,) = otel.named("call trace.event")
    assert event.event_name == "peak_observe.breaker.transition"
    assert event.trace_id == span.context.trace_id
    assert dict(event.attributes) == {
        "peak_observe.breaker": "trace.event",
        "peak_observe.old": "closed",
        "peak_observe.new": "open",
        "peak_observe.reason": "1 failure",
        "peak_observe.mode": "enforce",
        "error.type": "ConnectionError",
        "error.message": "ConnectionError: no answer",
    }


def test_retries_are_log_based_events(otel) -> None:
    """Scheduled, recovered, gave up."""
    clock = ManualClock()
    failures = iter([True, False])
    retry_with_backoff(2, clock=clock, name="trace.recovers")(lambda: fail() if next(failures) else None)()
    with pytest.raises(ConnectionError):
        retry_with_backoff(2, clock=clock, name="trace.gives_up")(fail)()
    assert [event.event_name for event in otel.events] == [
        "peak_observe.retry.scheduled",
        "peak_observe.retry.recovered",
        "peak_observe.retry.scheduled",
        "peak_observe.retry.gave_up",
    ]
    assert otel.events[0].attributes["peak_observe.delay"] == 1.0
    assert otel.events[3].attributes["peak_observe.outcome"] == "exhausted"


def test_retries_inside_retries_are_a_log_based_event(otel) -> None:
    """With the names of both."""
    inner = retry_with_backoff(2, clock=ManualClock(), name="trace.nested_inner")(fail)
    with pytest.raises(ConnectionError):
        retry_with_backoff(2, clock=ManualClock(), name="trace.nested_outer")(inner)()
    (event,) = (event for event in otel.events if event.event_name == "peak_observe.retry.nested")
    assert dict(event.attributes) == {
        "peak_observe.operation": "trace.nested_inner",
        "peak_observe.inside": "trace.nested_outer",
    }


def test_span_events_are_an_opt_in(otel) -> None:
    """They are being deprecated, so nobody gets them without asking."""
    breaker = CircuitBreaker(1, name="trace.span_events")

    def trip() -> None:
        breaker.reset()
        with TRACER.start_as_current_span("caller"), pytest.raises(ConnectionError):
            breaker.call(fail)()

    trip()
    peak_observe.configure(span_events=True)
    try:
        trip()
    finally:
        peak_observe.configure()
    without, with_events = otel.named("call trace.span_events")
    assert without.events == ()
    assert [event.name for event in with_events.events] == ["peak_observe.breaker.transition"]


def test_no_secret_reaches_a_span_or_an_event(otel) -> None:
    """Neither a signed address nor a key, in status, attributes or events."""
    message = "GET https://api.example/0/private?signature=hunter2 {'apiKey': 'hunter2'}"
    clock = ManualClock()

    @circuit_breaker(1, name="trace.secret")
    @retry_with_backoff(2, clock=clock, name="trace.secret")
    def fetch() -> None:
        fail(message)

    with TRACER.start_as_current_span("caller"):
        with pytest.raises(ConnectionError):
            fetch()
        with pytest.raises(CircuitOpenError):
            fetch()
    ours = [span for span in otel.spans if span.instrumentation_scope.name == "peak_observe"]
    text = " ".join(span.to_json() for span in ours) + " ".join(str(event.attributes) for event in otel.events)
    assert "hunter2" not in text
    assert text.count("https://api.example/0/private") >= 4


def test_spans_of_threads_do_not_mix(otel) -> None:
    """Each thread's call nests in its own caller."""
    protected = circuit_breaker(name="trace.threads")(lambda: None)

    def work(number: int) -> None:
        with TRACER.start_as_current_span(f"caller {number}"):
            protected()

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    parents = {parent_of(span, otel.spans) for span in otel.named("call trace.threads")}
    assert parents == {f"caller {number}" for number in range(8)}


def test_an_unknown_mode_is_refused() -> None:
    """At decoration, with the choices named."""
    for make in (circuit_breaker, retry_with_backoff, CircuitBreaker):
        with pytest.raises(ValueError, match="tracing must be 'auto', 'always' or 'off', not 'on'"):
            make(tracing="on")


def test_what_is_attached_is_asked_of_the_nearest_place(monkeypatch: pytest.MonkeyPatch) -> None:
    """The variable itself, else the public function, and nobody while the API is only half imported."""
    from opentelemetry import context

    def ask() -> object:
        monkeypatch.setattr(spans, "_CELL", [spans._find])
        return spans.attached("auto")[0]()

    assert not ask()
    token = context.attach(context.set_value("key", "value"))
    try:
        assert ask() == context.get_current()
        with monkeypatch.context() as patch:
            patch.setattr(context, "_RUNTIME_CONTEXT", SimpleNamespace(get_current=lambda: {"other": "runtime"}))
            assert ask() == {"other": "runtime"}
            patch.delattr(context, "_RUNTIME_CONTEXT")
            patch.setattr(context, "get_current", lambda: {"public": "function"})
            assert ask() == {"public": "function"}
            patch.delitem(sys.modules, spans.CONTEXT)
            assert not ask()
        assert spans.attached("auto")[0]() == context.get_current(), "it looks again"
    finally:
        context.detach(token)


def test_log_based_events_carry_time_severity_and_body(otel) -> None:
    """The body is the line of the log; the time is that of the event."""
    at = datetime(2026, 1, 5, tzinfo=UTC)
    emit(Transition("feed", "closed", "open", at, "5 failures", 3.0))
    emit(Transition("feed", "open", "closed", at, "probe"))
    opened, closed = otel.events
    assert opened.timestamp == 1_767_571_200_000_000_000
    assert opened.observed_timestamp > opened.timestamp
    assert (opened.severity_number.value, opened.severity_text) == (13, "WARNING")
    assert opened.body == "circuit 'feed' is open: 5 failures; next probe in 3.0 s"
    assert (closed.severity_number.value, closed.severity_text) == (9, "INFO")
    assert closed.event_name == "peak_observe.breaker.transition"
