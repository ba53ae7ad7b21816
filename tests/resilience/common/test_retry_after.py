"""What an exception says about when to come back, and what of it is believed."""

from datetime import UTC, datetime, timedelta, timezone
from types import SimpleNamespace

import ccxt
import pytest

from peak_observe import CircuitOpenError
from peak_observe.resilience.common.retry_after import requested_delay

NOW = datetime(2026, 1, 1, 12, 0, 0, tzinfo=UTC)


def telling(**attributes: object) -> Exception:
    """Return an exception with attributes."""
    error = ConnectionError("busy")
    vars(error).update(attributes)
    return error


VALUES = [
    (30, 30.0),
    (1.5, 1.5),
    ("30", 30.0),
    (" 2.5 ", 2.5),
    (b"7", 7.0),
    (timedelta(minutes=2), 120.0),
    (NOW + timedelta(seconds=9), 9.0),
    (NOW.replace(tzinfo=None) + timedelta(seconds=9), 9.0),
    ((NOW + timedelta(seconds=9)).astimezone(timezone(timedelta(hours=5))), 9.0),
    ("Thu, 01 Jan 2026 12:00:45 GMT", 45.0),
    ("Thu, 01 Jan 2026 12:00:45 -0000", 45.0),
    ("Thu, 01 Jan 2026 11:00:00 GMT", 0.0),
    (0, 0.0),
    (1e300, 1e300),
    (-1, None),
    (timedelta(seconds=-5), None),
    (float("nan"), None),
    (float("inf"), None),
    ("nan", None),
    ("soon", None),
    ("", None),
    ("Thu, 99 Jan 2026 12:00:45 GMT", None),
    (True, None),
    (None, None),
    ([30], None),
]


@pytest.mark.parametrize(("value", "seconds"), VALUES, ids=[repr(value) for value, _ in VALUES])
def test_a_value_is_seconds_or_a_moment(value: object, seconds: float | None) -> None:
    """A moment of the past is no wait; what makes no sense is no hint."""
    assert requested_delay(telling(retry_after=value), NOW) == seconds


@pytest.mark.parametrize("spelling", ["Retry-After", "retry-after"])
@pytest.mark.parametrize("where", ["error", "response"])
def test_the_header_is_found_where_libraries_keep_it(spelling: str, where: str) -> None:
    """On the response as requests and httpx do, or on the exception as urllib and aiohttp do."""
    headers = SimpleNamespace(headers={spelling: "12"})
    error = telling(response=headers) if where == "response" else telling(headers=headers.headers)
    assert requested_delay(error, NOW) == 12.0


def test_the_longest_of_several_wishes_counts() -> None:
    """To come too early is what must not happen."""
    assert requested_delay(telling(retry_after=3, headers={"Retry-After": "8"}), NOW) == 8.0


def test_our_own_refusals_are_understood() -> None:
    """An open circuit says when it lets a probe through."""
    assert requested_delay(CircuitOpenError("kraken", 4.5), NOW) == 4.5


def test_ccxt_tells_of_bans_in_words() -> None:
    """With the moment in milliseconds; only its own exceptions are read."""
    until = int((NOW + timedelta(seconds=20)).timestamp() * 1000)
    text = f'binance {{"code":-1003,"msg":"Way too many requests; IP banned until {until}."}}'
    assert requested_delay(ccxt.DDoSProtection(text), NOW) == 20.0
    assert requested_delay(ConnectionError(text), NOW) is None
    assert requested_delay(ccxt.RateLimitExceeded("binance too many requests"), NOW) is None


def test_an_attribute_that_raises_is_no_hint() -> None:
    """The exception itself is what matters."""

    class OddError(Exception):
        @property
        def response(self) -> object:
            raise RuntimeError

    assert requested_delay(OddError(), NOW) is None
