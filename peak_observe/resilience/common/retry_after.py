"""Time to come back that an exception names: seconds, an HTTP date, or an exchange's own text."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from peak_observe.resilience.common import validation
from peak_observe.resilience.common.predicates import members

if TYPE_CHECKING:
    from collections.abc import Iterator

_BANNED_UNTIL = re.compile(r"(?:banned until|Throttled:)\s*(\d{10,13})", re.IGNORECASE)
_MILLISECONDS = 1e12


def requested_delay(error: BaseException, now: datetime) -> float | None:
    """Return the retry delay that an exception asks for in seconds; None if it does not, or makes no sense.

    It looks at `retry_after` of the exception and of its `response`, at the header `Retry-After` in `headers` of both,
    and, in the exceptions of ccxt, for "banned until". What lies in the past is 0; of a group the longest counts.

    Args:
        error: The exception.
        now: The wall-clock time, aware.
    """
    try:
        values = (value for one in (error, *members(error)) for value in _values(one))
        found = [seconds for value in values if (seconds := _seconds(value, now)) is not None]
    except Exception:  # noqa: BLE001 - an attribute can be a property that raises
        return None
    return max(found, default=None)


def banned_until(text: str) -> float | None:
    """Return the Unix time at which a ban ends, where a text names it in seconds or milliseconds."""
    found = _BANNED_UNTIL.search(text)
    if found is None:
        return None
    value = float(found[1])
    return value / 1000 if value >= _MILLISECONDS else value


def _values(error: BaseException) -> Iterator[Any]:
    for holder in (error, getattr(error, "response", None)):
        yield getattr(holder, "retry_after", None)
        headers: Any = getattr(holder, "headers", None)
        if hasattr(headers, "get"):
            # Plain dictionaries know one spelling only.
            yield from (headers.get(name) for name in ("Retry-After", "retry-after"))
    if type(error).__module__.partition(".")[0] == "ccxt":
        until = banned_until(str(error))
        yield until and datetime.fromtimestamp(until, UTC)


def _seconds(value: Any, now: datetime) -> float | None:
    if isinstance(value, str | bytes):
        value = _parsed(value.decode("latin-1") if isinstance(value, bytes) else value)
    if isinstance(value, datetime):
        value = value if value.tzinfo else value.replace(tzinfo=UTC)
        return max(0.0, float((value - now).total_seconds()))
    if isinstance(value, timedelta):
        value = value.total_seconds()
    return float(value) if validation.is_duration(value) else None


def _parsed(text: str) -> float | datetime | None:
    try:
        return float(text)
    except ValueError:
        pass
    from email.utils import parsedate_to_datetime  # late, as it brings half of the mail library along

    try:
        return parsedate_to_datetime(text)
    except (ValueError, TypeError, OverflowError):
        return None
