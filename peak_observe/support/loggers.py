"""Loggers of the package, whose lines hold no secret and cannot steer a terminal, whoever wrote what they repeat."""

from __future__ import annotations

import logging
from typing import Any

from peak_observe.support.redact import clean, printable, printable_lines

LOOKED_AT = 4_000
LONGEST = 2_000
"""Characters of an argument that a line shows."""

_FORMATTER = logging.Formatter()


def logger(name: str) -> logging.Logger:
    """Return the logger of a name, with the filter that cleans its records."""
    found = logging.getLogger(name)
    found.addFilter(_FILTER)
    return found


class RedactionFilter(logging.Filter):
    """Filter that takes secrets and control characters out of a record's arguments and traceback; all pass."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Clean the record."""
        if isinstance(record.args, tuple):
            record.args = tuple(map(_cleaned, record.args))
        else:
            record.msg, record.args = one_line(record.getMessage()), None
        if not record.args:
            record.msg = one_line(str(record.msg))
        if record.exc_info and not record.exc_text:
            record.exc_text = traceback_text(_FORMATTER.formatException(record.exc_info))
        return True


_FILTER = RedactionFilter()


def one_line(text: str) -> str:
    """Return a text without secrets on one line that prints."""
    found = printable(clean(text[:LOOKED_AT]))
    return found if len(found) <= LONGEST else f"{found[: LONGEST - 1]}…"


def traceback_text(text: str) -> str:
    """Return a traceback without secrets, each of its lines as it prints."""
    return printable_lines(clean(text))


class _Shown:
    """Argument of a log line that is cleaned when it is written, as `%s` or as `%r`."""

    __slots__ = ("_value",)

    def __init__(self, value: object) -> None:
        self._value = value

    def __str__(self) -> str:
        return one_line(str(self._value))

    def __repr__(self) -> str:
        return one_line(repr(self._value))


def _cleaned(value: object) -> Any:
    if value is None or isinstance(value, bool | int | float):
        return value
    return one_line(value) if isinstance(value, str) else _Shown(value)
