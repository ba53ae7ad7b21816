"""One log line an event, under `peak_observe.breaker` and `peak_observe.retry`, with the facts as `extra`."""

from __future__ import annotations

from peak_observe.events import Event, GaveUp, NamesOverflowed, Recovered, RetryScheduled, Transition
from peak_observe.redact import describe

# The numbers of the logging module, which is imported when there is something to say and not before.
DEBUG, INFO, WARNING = 10, 20, 30


def on_event(event: Event) -> None:
    """Write the line of one event."""
    import logging

    room, level, message, values = _line(event)
    extra = {f"peak_{key}": _plain(getattr(event, key)) for key in event.__slots__}
    logging.getLogger(f"peak_observe.{room}").log(
        level,
        message,
        *values,
        extra={"peak_event": type(event).__name__, **extra},
    )


def _plain(value: object) -> object:
    return describe(value) if isinstance(value, BaseException) else value


def _line(event: Event) -> tuple[str, int, str, tuple[object, ...]]:
    match event:
        case Transition(new="open", error=None):
            return "breaker", WARNING, "circuit '%s' is open: %s", (event.name, event.reason)
        case Transition(new="open", error=BaseException() as error):
            message = "circuit '%s' is open: %s; next probe in %.1f s; last error: %s"
            return "breaker", WARNING, message, (event.name, event.reason, event.retry_after, describe(error))
        case Transition():
            return "breaker", INFO, "circuit '%s' is %s: %s", (event.name, event.new, event.reason)
        case RetryScheduled():
            message = "'%s' failed (attempt %d of %d), again in %.1f s: %s"
            values = (event.operation, event.attempt, event.max_attempts, event.delay, describe(event.error))
            return "retry", INFO, message, values
        case GaveUp(outcome="exhausted"):
            message = "'%s' gave up after %d attempts in %.1f s: %s"
            return "retry", WARNING, message, (event.operation, event.attempts, event.elapsed, describe(event.error))
        case GaveUp():
            message = "'%s' is not retried (attempt %d): %s"
            return "retry", DEBUG, message, (event.operation, event.attempts, describe(event.error))
        case Recovered():
            message = "'%s' succeeded at attempt %d after %.1f s"
            return "retry", INFO, message, (event.operation, event.attempts, event.elapsed)
        case NamesOverflowed():
            message = "more than %d names of kind %s (now '%s'): new ones share the series '_overflow'; is a name built from an id?"
            return event.kind, WARNING, message, (event.limit, event.kind, event.name)
