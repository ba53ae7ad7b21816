"""Log of the exporter on standard error, one logfmt or JSON line an event, as other Prometheus tools write it."""

from __future__ import annotations

import json
import logging
import re
from datetime import UTC, datetime

from peak_observe.clock import SYSTEM_CLOCK, Clock
from peak_observe.support.loggers import traceback_text
from peak_observe.support.redact import describe, printable_lines, redact

LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warn": logging.WARNING, "error": logging.ERROR}
FORMATS = ("logfmt", "json")
_PLAIN = re.compile(r"[\w./:@+-]+")


QUIET = 60.0  # seconds between two lines of one kind
MOST_KINDS = 64


class Repeats:
    """Throttle of what clients can cause as often as they like: one line of a kind in a minute.

    Args:
        clock: Source of the time.
    """

    def __init__(self, clock: Clock = SYSTEM_CLOCK) -> None:
        self._clock = clock
        self._kinds: dict[str, tuple[float, int]] = {}

    def admit(self, kind: str) -> int | None:
        """Return how many lines were left out before this one; None if it is left out too."""
        now = self._clock.monotonic()
        at, count = self._kinds.get(kind, (now - QUIET, 0))
        if kind not in self._kinds and len(self._kinds) >= MOST_KINDS:
            return None
        if now - at < QUIET:
            self._kinds[kind] = (at, count + 1)
            return None
        self._kinds[kind] = (now, 0)
        return count


class OncePerMinute(logging.Filter):
    """Filter that lets a message of a library pass once a minute."""

    def __init__(self) -> None:
        super().__init__()
        self._repeats = Repeats()

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether it is written."""
        return self._repeats.admit(str(record.msg)) is not None


class LineFormatter(logging.Formatter):
    """Formatter that writes a record as one line with its error; tracebacks only at level debug.

    Args:
        form: One of `FORMATS`.
    """

    def __init__(self, form: str) -> None:
        super().__init__()
        self._form = form

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        facts = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": {"WARNING": "warn", "CRITICAL": "error"}.get(record.levelname, record.levelname.lower()),
            "logger": record.name,
            "msg": printable_lines(redact(record.getMessage().strip())),
        }
        if record.exc_info and record.exc_info[1]:
            facts["error"] = describe(record.exc_info[1])
            if logging.getLogger("peak_observe").isEnabledFor(logging.DEBUG):
                facts["trace"] = traceback_text(self.formatException(record.exc_info))
        if self._form == "json":
            return json.dumps(facts, ensure_ascii=False)
        return " ".join(f"{key}={_value(value)}" for key, value in facts.items())


def _value(text: str) -> str:
    return text if _PLAIN.fullmatch(text) else json.dumps(text, ensure_ascii=False)


def set_up(level: str, form: str) -> None:
    """Let the loggers of the exporter, and of the server under it, write to standard error."""
    handler = logging.StreamHandler()
    handler.setFormatter(LineFormatter(form))
    # The server under it would warn of each garbled request, by which anybody could fill the disk.
    quiet = logging.ERROR if level != "debug" else logging.WARNING
    for name, least in (("peak_observe", logging.DEBUG), ("uvicorn", quiet), ("asyncio", logging.WARNING)):
        logger = logging.getLogger(name)
        logger.handlers, logger.propagate = [handler], False
        logger.setLevel(max(LEVELS[level], least))
    logging.getLogger("asyncio").addFilter(OncePerMinute())
