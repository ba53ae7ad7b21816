"""The real OpenTelemetry SDK, once for the process, as a program would set it up."""

from collections.abc import Iterator

import pytest
from opentelemetry import _logs, trace
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import InMemoryLogRecordExporter, SimpleLogRecordProcessor
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import Decision, Sampler, SamplingResult


class Switch(Sampler):
    """A sampler whose decision a test can change."""

    decision = Decision.RECORD_AND_SAMPLE

    def should_sample(
        self,
        parent_context: object,
        trace_id: int,
        name: str,
        kind: object = None,
        attributes: dict | None = None,
        *_: object,
        **__: object,
    ) -> SamplingResult:
        """Decide the same for every span."""
        return SamplingResult(self.decision, attributes)

    def get_description(self) -> str:
        """Say what this is."""
        return "Switch"


class Telemetry:
    """What the SDK was given."""

    def __init__(self) -> None:
        self.sampler = Switch()
        self._spans, self._logs = InMemorySpanExporter(), InMemoryLogRecordExporter()
        tracer_provider, logger_provider = TracerProvider(sampler=self.sampler), LoggerProvider()
        tracer_provider.add_span_processor(SimpleSpanProcessor(self._spans))
        logger_provider.add_log_record_processor(SimpleLogRecordProcessor(self._logs))
        trace.set_tracer_provider(tracer_provider)
        _logs.set_logger_provider(logger_provider)

    def clear(self) -> None:
        """Forget everything."""
        self.sampler.decision = Decision.RECORD_AND_SAMPLE
        self._spans.clear()
        self._logs.clear()

    @property
    def spans(self) -> list[ReadableSpan]:
        """All ended spans in the order of their start."""
        return sorted(self._spans.get_finished_spans(), key=lambda span: span.start_time)

    def named(self, name: str) -> list[ReadableSpan]:
        """The spans of one name."""
        return [span for span in self.spans if span.name == name]

    @property
    def events(self) -> list:
        """The log-based events."""
        return [data.log_record for data in self._logs.get_finished_logs()]


@pytest.fixture(scope="session")
def _sdk() -> Telemetry:
    return Telemetry()


@pytest.fixture
def otel(_sdk: Telemetry) -> Iterator[Telemetry]:
    """The SDK with nothing in it."""
    _sdk.clear()
    yield _sdk
    _sdk.clear()
