"""OpenTelemetry spans and log-based events; programs that do not trace pay one look into `sys.modules`.

`opentelemetry` is imported by nobody here until the program itself has done so (or asked for tracing "always"), so
this module is as light as a dictionary look-up. Own attributes are called `peak_observe.*`.
"""

from __future__ import annotations

import sys
import time
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Literal, Self, TypeAlias

from peak_observe._version import __version__
from peak_observe.measures import Exemplar
from peak_observe.support.shown import label

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Mapping
    from types import TracebackType

    from opentelemetry.trace import Span, SpanContext, Tracer

    from peak_observe.clock import Clock
    from peak_observe.events import Event

Attributes: TypeAlias = "Mapping[str, str | int | float]"
TracingMode = Literal["auto", "always", "off"]

API = "opentelemetry.trace"
CONTEXT = "opentelemetry.context"
SCOPE = "peak_observe"
SCHEMA_URL = "https://opentelemetry.io/schemas/1.36.0"

span_events = False
"""Whether changes of state are also added to the current span as span events; set by `configure()`."""


def _find() -> object:
    """Return what is attached to the current context, and leave the quickest way to it in the cell."""
    module = sys.modules.get(CONTEXT)
    # The variable itself costs a fraction of the public function, which asks it through two more.
    runtime = getattr(module, "_RUNTIME_CONTEXT", module)
    variable = getattr(runtime, "_current_context", None)
    if isinstance(variable, ContextVar):
        _CELL[0] = variable.get
    elif runtime is not None and hasattr(runtime, "get_current"):
        _CELL[0] = runtime.get_current
    else:  # another thread is importing it at this moment
        return None
    return _CELL[0]()


# A list, as its item is called without a look-up of attributes, which is what the whole would cost again.
_CELL: list[Callable[[], object]] = [_find]


def attached(mode: TracingMode) -> list[Callable[[], object]]:
    """Return a cell with what tells, at the price of one call into C, whether anything is attached to the context.

    Most calls of a program that traces are outside of any span, where nothing is; only else `recording` needs asking.
    """
    return [lambda: True] if mode == "always" else _CELL


def recording() -> bool:
    """Return whether a recording span is current."""
    if not _CELL[0]():
        return False
    span: Span = sys.modules[API].get_current_span()
    return span.is_recording()


def switch(mode: TracingMode) -> tuple[Container[str], Callable[[], bool]]:
    """Return `(modules, recording)`: a call is traced if `API in modules and recording()`.

    Raises:
        ValueError: The mode is not one of `auto`, `always`, `off`.
    """
    if mode == "auto":
        return sys.modules, recording
    if mode == "always":
        return {API}, lambda: True
    if mode == "off":
        return (), recording
    raise ValueError(f"tracing must be 'auto', 'always' or 'off', not {mode!r}")


def current_exemplar(value: float, clock: Clock) -> Exemplar | None:
    """Return the exemplar that ties `value` to the current span, if that is recording and sampled."""
    if API not in sys.modules or not recording():
        return None
    return _exemplar(sys.modules[API].get_current_span().get_span_context(), value, clock)


def _exemplar(context: SpanContext, value: float, clock: Clock) -> Exemplar | None:
    if not context.trace_flags.sampled:
        return None
    trace_id, span_id = f"{context.trace_id:032x}", f"{context.span_id:016x}"
    return Exemplar(trace_id, span_id, value, clock.now().timestamp())


_tracer: tuple[object, Tracer] | None = None


def _current_tracer() -> Tracer:
    global _tracer  # noqa: PLW0603 - one tracer for each provider, which tests replace
    from opentelemetry import trace

    provider = trace.get_tracer_provider()
    if _tracer is None or _tracer[0] is not provider:
        _tracer = (provider, trace.get_tracer(SCOPE, __version__, schema_url=SCHEMA_URL))
    return _tracer[1]


class CallSpan:
    """INTERNAL span around a protected call or an attempt.

    Args:
        name: The span's name, with few different values.
        attributes: What is known at the start.
        current: Whether the span is the current one while the call runs.
        parent: The span it belongs to; the current one if not given.
    """

    __slots__ = ("_attributes", "_current", "_name", "_parent", "_span", "_token")

    def __init__(
        self,
        name: str,
        attributes: Attributes,
        *,
        current: bool = True,
        parent: CallSpan | None = None,
    ) -> None:
        self._name = name
        self._attributes = attributes
        self._current = current
        self._parent = parent
        self._span: Span

    def begin(self) -> None:
        """Start the span."""
        from opentelemetry import context, trace

        around = trace.set_span_in_context(self._parent._span) if self._parent else None  # noqa: SLF001 - its own kind
        self._span = _current_tracer().start_span(label(self._name), around, attributes=_clean(self._attributes))
        self._token = context.attach(trace.set_span_in_context(self._span)) if self._current else None

    def end(self, attributes: Attributes, error: BaseException | None = None) -> None:
        """End the span; with an error that is an Exception its status is ERROR, otherwise it stays UNSET."""
        from opentelemetry import context
        from opentelemetry.trace import Status, StatusCode

        self._span.set_attributes(_clean(attributes))
        if isinstance(error, Exception):
            from peak_observe.telemetry.tracing.log_events import type_name  # late: most calls do not fail

            self._span.set_attribute("error.type", type_name(error))
            self._span.set_status(Status(StatusCode.ERROR, _described(error)))
        self._span.end()
        if self._token is not None:
            context.detach(self._token)

    def refuse(self, refusal: Exception, tripped_by: SpanContext | None) -> None:
        """End the span of a call that was not made, with a link to the span that opened the circuit."""
        if tripped_by is not None:
            self._span.add_link(tripped_by)
        self.end({"peak_observe.outcome": "rejected"}, refusal)

    @property
    def context(self) -> SpanContext:
        """The span's context, for links."""
        return self._span.get_span_context()

    def exemplar(self, value: float, clock: Clock) -> Exemplar | None:
        """Return the exemplar that ties `value` to this span, if the span is sampled."""
        return _exemplar(self.context, value, clock)


class Operation:
    """Current span around an operation that takes time, in programs that trace; a no-op elsewhere.

    Use it in a `with`, which ends the span; an exception that passes gives it the status ERROR.

    Args:
        name: The span's name, with few different values.
        attributes: What is known at the start.
    """

    __slots__ = ("_attributes", "_found", "_name", "_span")

    def __init__(self, name: str, attributes: Attributes) -> None:
        self._name = name
        self._attributes = attributes
        self._found: dict[str, str | int | float] = {}
        self._span: CallSpan | None = None

    def note(self, **found: str | float) -> None:
        """Keep what is known only at the end, as attributes `peak_observe.*`."""
        self._found |= {f"peak_observe.{key}": value for key, value in found.items()}

    def exemplar(self, value: float, clock: Clock) -> Exemplar | None:
        """Return the exemplar that ties `value` to the span, if there is one and it is sampled."""
        return self._span.exemplar(value, clock) if self._span else None

    def __enter__(self) -> Self:
        if API in sys.modules:
            self._span = CallSpan(self._name, self._attributes)
            self._span.begin()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._span is not None:
            self._span.end(self._found, error)


def on_event(event: Event) -> None:
    """Pass a rare fact on as a log-based event, and as a span event where that was asked for."""
    if API not in sys.modules:
        return
    from peak_observe.telemetry.tracing.log_events import as_record

    name, attributes = as_record(event)
    _emit(event, name, attributes)
    if span_events and recording():
        sys.modules[API].get_current_span().add_event(name, attributes)


def _emit(event: Event, name: str, attributes: Mapping[str, Any]) -> None:
    from opentelemetry._logs import LogRecord, SeverityNumber, get_logger

    from peak_observe.telemetry.tracing.log_events import severity_of

    severity, text, body = severity_of(event)
    now = time.time_ns()
    at = getattr(event, "at", None)
    # LogRecord takes no events before opentelemetry-api 1.35, which is why that is the oldest one supported.
    record = LogRecord(
        timestamp=now if at is None else int(at.timestamp() * 1_000_000) * 1000,
        observed_timestamp=now,
        severity_number=SeverityNumber(severity),
        severity_text=text,
        body=body,
        event_name=name,
        attributes=attributes,
    )
    get_logger(SCOPE, __version__, schema_url=SCHEMA_URL).emit(record)


def _clean(attributes: Attributes) -> Attributes:
    return {key: label(value) if isinstance(value, str) else value for key, value in attributes.items()}


def _described(error: BaseException) -> str:
    from peak_observe.support.redact import describe  # late, as its patterns take their time

    return describe(error)
