"""Compute the end of a rate limit or ban: from its headers, its words, or by rule."""

from __future__ import annotations

import re
from contextlib import suppress
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

from peak_observe.exchange_client import dialects
from peak_observe.resilience.common.retry_after import banned_until

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from peak_observe.exchange_client.dialects import Dialect, Rule

LIMIT_WAIT = 5.0
BAN_WAIT = 120.0
"""Seconds to hold back after a limit and after a ban (HTTP 418) that name no time."""

LONGEST_WAIT = 7 * 86_400.0
"""Seconds to hold back at most; a longer wait is taken for nonsense."""

_BAN = 418  # Binance answers it to clients that go on after 429
_NUMBER = re.compile(r"\d{1,20}(?:\.\d+)?")
_RETRY_AFTER_IN_JSON = re.compile(r'"retry_?after(?:_?seconds)?"\s*:\s*"?(\d{1,9})\b', re.IGNORECASE)
_LEAST_UNIX, _MOST_UNIX = 1e9, 1e11
"""Between them a number is a Unix time in seconds; below a length of time, above a smaller unit."""


def reset_time(
    rule: Rule, *, dialect: Dialect, status: int, headers: Mapping[str, str], body: str, now: float
) -> float | None:
    """Return the Unix time before which the exchange does not want to be asked again, None if it said nothing of it.

    Args:
        rule: Meaning of the answer.
        dialect: Vocabulary of the exchange.
        status: The HTTP status, 0 if there is none.
        headers: The headers, with names in lower case.
        body: The text.
        now: The present Unix time.
    """
    limited = rule.outcome == "rate_limited"
    named = [*_asked(headers, body, now)]
    if limited:
        # Other answers carry these headers as well, and then they ask for nothing.
        named += [moment for moment in _resets(dialect, headers, now) if moment > now]
    if not named and limited:
        named = [now + (rule.wait or (BAN_WAIT if status == _BAN else LIMIT_WAIT))]
    return min(max(*named, now), now + LONGEST_WAIT) if named else None


def _asked(headers: Mapping[str, str], body: str, now: float) -> Iterator[float]:
    value = headers.get("retry-after", "").strip()
    if _NUMBER.fullmatch(value):
        yield now + min(float(value), LONGEST_WAIT)
    elif value:
        with suppress(ValueError, OverflowError):
            yield parsedate_to_datetime(value).timestamp()
    moment = banned_until(body)
    if moment is not None:
        yield moment
    seconds = _RETRY_AFTER_IN_JSON.search(body)
    if seconds:
        yield now + float(seconds[1])


def _resets(dialect: Dialect, headers: Mapping[str, str], now: float) -> Iterator[float]:
    for header, unit in {**dialects.GENERAL.resets, **dialect.resets}.items():
        found = _NUMBER.match(headers.get(header, "").strip())
        if found is None:
            continue
        value = float(found[0])
        if value >= _LEAST_UNIX:
            while value >= _MOST_UNIX:
                value /= 1000
            yield value
        elif not isinstance(unit, str):
            yield now + value * unit
