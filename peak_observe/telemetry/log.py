"""Log of events: one line each, under `peak_observe.` and its room, such as `breaker`, with the facts as `extra`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

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
    OrderSettled,
    OrderUnresolved,
    PolicyReloaded,
    RateLimited,
    Recovered,
    RestoreFinished,
    RetriesNested,
    RetryEvent,
    RetryScheduled,
    SafetyEvent,
    StrategyEvent,
    StreamBroken,
    StreamEvent,
    StreamResumed,
    TradingChanged,
    Transition,
    WriteUnanswered,
)
from peak_observe.support.redact import describe, redact
from peak_observe.telemetry.log_throttle import LogThrottle

if TYPE_CHECKING:
    from collections.abc import Callable

# The numbers of the logging module, which is imported when there is something to say and not before.
DEBUG, INFO, WARNING, ERROR = 10, 20, 30, 40

throttle = LogThrottle()


_WHY = {"exhausted": "", "out_of_time": " (out of time)", "out_of_budget": " (out of budget)"}


def on_event(event: Event) -> None:
    """Write the line of one event, unless lines like it are written often enough."""
    repeated = throttle.admit(event)
    if repeated is None:
        return
    from peak_observe.support.loggers import logger

    room, level, message, values = line(event)
    extra = {f"peak_{key}": _plain(getattr(event, key)) for key in event._fields}
    if repeated.times:
        message, values = f"{message} (and %d times before, in %.0f s)", (*values, *repeated)
        extra["peak_repeated"] = repeated.times
    logger(f"peak_observe.{room}").log(
        level,
        message,
        *values,
        extra={"peak_event": type(event).__name__, **extra},
    )


def _plain(value: object) -> object:
    if isinstance(value, str):
        return redact(value)
    return describe(value) if isinstance(value, BaseException) else value


def line(event: Event) -> tuple[str, int, str, tuple[object, ...]]:
    """Return logger, level, message and its values for an event."""
    for kinds, name, told in _LINES:
        if isinstance(event, kinds):
            return name, *told(event)
    return _named(event)


def _named(event: Any) -> tuple[str, int, str, tuple[object, ...]]:
    """Return the line of an event whose logger depends on more than its class."""
    if isinstance(event, Transition | HealthChanged | NamesOverflowed):
        return _state(event)
    return _strategy(event) if isinstance(event, HedgeFailed | PolicyReloaded) else ("retry", *_retry(event))


def _state(event: Transition | HealthChanged | NamesOverflowed) -> tuple[str, int, str, tuple[object, ...]]:
    if isinstance(event, Transition):
        return _transition(event)
    if isinstance(event, HealthChanged):
        level, change = (INFO, "healthy") if event.healthy else (WARNING, "unhealthy")
        why = f": {event.message}" if event.message else ""
        return "health", level, f"check '%s' is {change}%s", (event.name, why)
    message = "more than %d names of kind %s (now '%s'): new ones share '_overflow'; is a name built from an id?"
    return event.kind, WARNING, message, (event.limit, event.kind, event.name)


def _order(event: OrderSettled | OrderUnresolved) -> tuple[int, str, tuple[object, ...]]:
    facts = (event.name, event.key, event.order, event.client_order_id)
    if isinstance(event, OrderSettled):
        return INFO, "order of '%s' '%s' (%s, client order id %s) is settled: %s", (*facts, event.outcome)
    message = "order of '%s' '%s' (%s, client order id %s) may or may not stand: %s; reconcile() asks again"
    return ERROR, message, (*facts, event.reason)


def _backup(event: BackupFinished | RestoreFinished | BackupVerified) -> tuple[int, str, tuple[object, ...]]:
    why = f": {event.message}" if event.message else ""
    worked = (event.backup_id, event.files, event.seconds)
    match event:
        case BackupFinished(outcome="success"):
            message = "'%s' has a new backup %s: %d files, %d bytes in %.1f s"
            return INFO, message, (event.repository, event.backup_id, event.files, event.size_bytes, event.seconds)
        case RestoreFinished(outcome="success"):
            return WARNING, "backup %s is restored: %d files changed in %.1f s", worked
        case BackupVerified(ok=True):
            return INFO, "backup %s is as it was stored: %d files in %.1f s", worked
        case BackupVerified():
            return ERROR, "backup %s is corrupt%s", (event.backup_id, why)
        case BackupFinished(outcome=outcome):
            level = WARNING if outcome == "partial" else ERROR
            return level, "backup %s of '%s' %s%s", (event.backup_id, event.repository, _ended(outcome), why)
    return ERROR, "restore of backup %s %s%s", (event.backup_id, _ended(event.outcome), why)


def _ended(outcome: str) -> str:
    return {"interrupted": "was interrupted", "partial": "is partial"}.get(outcome, outcome)


def _transition(event: Transition) -> tuple[str, int, str, tuple[object, ...]]:
    change, mode = ("is", "") if event.mode == "enforce" else ("would be", " (mode observe)")
    if event.new != "open":
        return "breaker", INFO, f"circuit '%s' {change} %s{mode}: %s", (event.name, event.new, event.reason)
    last = f"; last error: {describe(event.error)}" if event.error else ""
    message = f"circuit '%s' {change} open{mode}: %s; next probe in %.1f s%s"
    return "breaker", WARNING, message, (event.name, event.reason, event.retry_after, last)


def _retry(event: RetryEvent) -> tuple[int, str, tuple[object, ...]]:
    match event:
        case RetriesNested():
            message = "'%s' is retried inside the retry of '%s', so their attempts multiply: retry in one place"
            return WARNING, message, (event.operation, event.inside)
        case RetryScheduled():
            most = "any number" if event.max_attempts is None else event.max_attempts
            message = "'%s' failed (attempt %d of %s), retry in %.1f s: %s"
            return INFO, message, (event.operation, event.attempt, most, event.delay, _failure(event.error))
        case GaveUp(outcome="not_retryable"):
            message = "'%s' is not retried (attempt %d): %s"
            return DEBUG, message, (event.operation, event.attempts, _failure(event.error))
        case GaveUp():
            attempts = "attempt" if event.attempts == 1 else "attempts"
            message = f"'%s' gave up after %d {attempts} in %.1f s{_WHY[event.outcome]}: %s"
            return WARNING, message, (event.operation, event.attempts, event.elapsed, _failure(event.error))
        case Recovered():
            message = "'%s' succeeded at attempt %d after %.1f s"
            return INFO, message, (event.operation, event.attempts, event.elapsed)


def _failure(error: BaseException | None) -> str:
    return "its result was not accepted" if error is None else describe(error)


def _limit(event: LimitReached | CallTimedOut) -> tuple[int, str, tuple[object, ...]]:
    if isinstance(event, CallTimedOut):
        return WARNING, "'%s' took longer than %.3g s and was cancelled", (event.operation, event.seconds)
    end = "refused" if event.mode == "enforce" else "would have been refused (mode observe)"
    if event.kind == "bulkhead":
        message = f"bulkhead '%s' is full (%d under way): %d {end}"
    else:
        message = f"rate limit '%s' is used up (%.3g a second): %d {end}"
    return WARNING, message, (event.name, event.limit, event.refused)


def _strategy(event: StrategyEvent) -> tuple[str, int, str, tuple[object, ...]]:
    match event:
        case HedgeFailed():
            message = "'%s' was answered, but request %d of it failed: %s"
            return "hedge", INFO, message, (event.operation, event.request, describe(event.error))
        case PolicyReloaded(success=True):
            return "policy", INFO, "policy '%s' took over %s: %s", (event.policy, event.path, event.message)
        case PolicyReloaded():
            return "policy", ERROR, "policy '%s' keeps its settings, %s", (event.policy, event.message)


def _safety(event: SafetyEvent) -> tuple[int, str, tuple[object, ...]]:
    if isinstance(event, GuardTripped):
        message = "guard '%s' tripped (%s): %s; action: %s"
        return ERROR, message, (event.guard, event.reason, event.message, event.action)
    level = INFO if event.state == "trading" else ERROR
    return level, "trading '%s' is %s: %s; by %s", (event.name, event.state, event.reason, event.by or "unknown")


def _stream(event: StreamEvent) -> tuple[int, str, tuple[object, ...]]:
    if isinstance(event, StreamBroken):
        message = "stream '%s' of '%s' is broken: %s (%s)"
        return WARNING, message, (event.stream, event.name, event.reason, event.address)
    message = "stream '%s' of '%s' is back after %.1f s (%s): fetch what happened meanwhile"
    return INFO, message, (event.stream, event.name, event.seconds, event.reason)


def _exchange(event: ExchangeEvent) -> tuple[int, str, tuple[object, ...]]:
    match event:
        case RateLimited():
            from datetime import UTC, datetime

            until = datetime.fromtimestamp(event.until, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
            message = "'%s' is rate limited or banned until %s: %s at %s"
            return WARNING, message, (event.name, until, event.reason, event.endpoint)
        case KeyRefused():
            message = "'%s' does not accept the key: %s at %s"
            return ERROR, message, (event.name, event.reason, event.endpoint)
        case WriteUnanswered():
            message = "'%s' may or may not have carried out %s, sent %s UTC, client order id %s: %s; %s"
            what = f"{event.method} ({event.endpoint})" if event.method else event.endpoint
            what += f" of {event.order}" if event.order else ""
            ids = ", ".join(event.client_order_ids) or "unknown"
            again = "ask the exchange before it is sent again"
            advice = again if event.repeatable else "it is not sent again: ask the exchange whether it stands"
            facts = (event.name, what, f"{event.at:%Y-%m-%d %H:%M:%S.%f}", ids, event.reason)
            return ERROR, message, (*facts, advice)


_LINES: tuple[tuple[Any, str, Callable[[Any], tuple[int, str, tuple[object, ...]]]], ...] = (
    (BackupFinished | RestoreFinished | BackupVerified, "backup", _backup),
    (RateLimited | KeyRefused | WriteUnanswered, "exchange", _exchange),
    (OrderSettled | OrderUnresolved, "exchange", _order),
    (StreamBroken | StreamResumed, "stream", _stream),
    (TradingChanged | GuardTripped, "trading", _safety),
    (LimitReached | CallTimedOut, "limits", _limit),
)
"""Classes of events, the logger and the function that says level, message and values."""
