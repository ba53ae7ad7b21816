"""Log-based events for OpenTelemetry: name and attributes of each event."""

from __future__ import annotations

import logging
from typing import Any

from peak_observe.events import (
    BackupFinished,
    BackupVerified,
    CallTimedOut,
    Event,
    ExchangeEvent,
    GaveUp,
    GuardTripped,
    HealthChanged,
    HedgeFailed,
    KeyRefused,
    LimitReached,
    NamesOverflowed,
    OrderEvent,
    OrderSettled,
    OrderUnresolved,
    PolicyReloaded,
    RateLimited,
    Recovered,
    RestoreFinished,
    RetriesNested,
    RetryEvent,
    RetryScheduled,
    StreamBroken,
    StreamEvent,
    StreamResumed,
    TradingChanged,
    Transition,
    WriteUnanswered,
)
from peak_observe.support.loggers import one_line
from peak_observe.support.redact import describe, redact
from peak_observe.telemetry.log import line

_SEVERITIES = {logging.DEBUG: 5, logging.INFO: 9, logging.WARNING: 13, logging.ERROR: 17}
"""Levels of logging as OpenTelemetry's severity numbers."""

_PLAIN_RECORDS: dict[type, str] = {
    BackupFinished: "peak_observe.backup.finished",
    RestoreFinished: "peak_observe.restore.finished",
    BackupVerified: "peak_observe.backup.verified",
    LimitReached: "peak_observe.limit.reached",
    CallTimedOut: "peak_observe.timeout.timed_out",
    TradingChanged: "peak_observe.trading.changed",
    GuardTripped: "peak_observe.guard.tripped",
    StreamBroken: "peak_observe.stream.broken",
    StreamResumed: "peak_observe.stream.resumed",
}


def as_record(event: Event) -> tuple[str, dict[str, Any]]:
    """Return the name of an event and its attributes, without secrets."""
    facts: dict[str, Any]
    match event:
        case Transition():
            name = "peak_observe.breaker.transition"
            facts = {
                "breaker": event.name,
                "old": event.old,
                "new": event.new,
                "reason": event.reason,
                "mode": event.mode,
            }
        case RetryScheduled() | GaveUp() | Recovered() | RetriesNested():
            name, facts = _retry_record(event)
        case HealthChanged():
            name = "peak_observe.health.changed"
            facts = {"check": event.name, "healthy": event.healthy, "status": event.status, "message": event.message}
        case (
            BackupFinished()
            | RestoreFinished()
            | BackupVerified()
            | LimitReached()
            | CallTimedOut()
            | TradingChanged()
            | GuardTripped()
        ):
            name = _PLAIN_RECORDS[type(event)]
            facts = {key: value for key, value in event._asdict().items() if key != "at"}
        case (
            RateLimited()
            | KeyRefused()
            | WriteUnanswered()
            | OrderSettled()
            | OrderUnresolved()
            | StreamBroken()
            | StreamResumed()
        ):
            name, facts = _exchange_record(event)
        case HedgeFailed():
            name, facts = "peak_observe.hedge.failed", {"operation": event.operation, "request": event.request}
        case PolicyReloaded():
            name, facts = "peak_observe.policy.reloaded", event._asdict()
        case NamesOverflowed():
            name = "peak_observe.names.overflowed"
            facts = {"kind": event.kind, "name": event.name, "limit": event.limit}
    attributes = {f"peak_observe.{key}": _clean(value) for key, value in facts.items()}
    error = getattr(event, "error", None)
    if error is not None:
        attributes["error.type"] = type_name(error)
        attributes["error.message"] = describe(error)
    return name, attributes


def severity_of(event: Event) -> tuple[int, str, str]:
    """Return severity number and text of an event, as OpenTelemetry has them, and its line in the log as body."""
    _, level, message, values = line(event)
    text = one_line(message % values)
    return _SEVERITIES[level], logging.getLevelName(level), text


def _clean(value: Any) -> Any:
    if isinstance(value, tuple):
        return tuple(map(_clean, value))
    return redact(value) if isinstance(value, str) else value


def _retry_record(event: RetryEvent) -> tuple[str, dict[str, Any]]:
    facts: dict[str, Any] = {"operation": event.operation}
    match event:
        case RetryScheduled():
            return "peak_observe.retry.scheduled", facts | {"attempt": event.attempt, "delay": event.delay}
        case GaveUp():
            return "peak_observe.retry.gave_up", facts | {"attempts": event.attempts, "outcome": event.outcome}
        case Recovered():
            return "peak_observe.retry.recovered", facts | {"attempts": event.attempts}
        case RetriesNested():
            return "peak_observe.retry.nested", facts | {"inside": event.inside}


def _exchange_record(event: ExchangeEvent | OrderEvent | StreamEvent) -> tuple[str, dict[str, Any]]:
    if isinstance(event, OrderSettled | OrderUnresolved):
        name = "settled" if isinstance(event, OrderSettled) else "unresolved"
        named = {"exchange" if key == "name" else key: value for key, value in event._asdict().items()}
        return f"peak_observe.order.{name}", named
    if isinstance(event, StreamBroken | StreamResumed):
        told = {key: value for key, value in event._asdict().items() if key not in ("name", "at") and value is not None}
        return _PLAIN_RECORDS[type(event)], {"exchange": event.name, **told}
    facts: dict[str, Any] = {"exchange": event.name, "endpoint": event.endpoint, "reason": event.reason}
    match event:
        case RateLimited():
            return "peak_observe.exchange.rate_limited", facts | {"until": event.until}
        case KeyRefused():
            return "peak_observe.exchange.key_refused", facts
        case WriteUnanswered():
            told = {key: getattr(event, key) for key in ("method", "order") if getattr(event, key)}
            ids = {"client_order_ids": event.client_order_ids}
            return "peak_observe.exchange.write_unanswered", facts | ids | told


def type_name(error: BaseException) -> str:
    """Return the name of an exception's class as OpenTelemetry has it, with its module unless that is Python's own."""
    kind = type(error)
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
