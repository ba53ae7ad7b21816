"""Any exception of a call to an exchange, explained: a client's, one of ccxt alone, or the program's own."""

import asyncio
import time
from datetime import UTC, datetime

import ccxt
import pytest

from peak_observe import (
    CircuitOpenError,
    HeldBackError,
    OutcomeUnknown,
    ResilientExchangeClient,
    Verdict,
    exchange_client,
    outcome_of,
)
from peak_observe.errors import BulkheadFullError, RateLimitedError
from peak_observe.testing import FAULTS, FakeExchange

SENT = datetime(2026, 1, 1, tzinfo=UTC)
UNKNOWN = OutcomeUnknown("kraken", "create_order", "POST private/AddOrder", ("abc",), SENT, "HTTP 502")


def test_it_is_public() -> None:
    """In the package and in its room."""
    assert {"Verdict", "outcome_of"} <= set(exchange_client.__all__)


def test_an_order_of_unknown_fate() -> None:
    """Never to be made again without a look."""
    assert outcome_of(UNKNOWN) == Verdict("ambiguous", "HTTP 502")
    assert not outcome_of(UNKNOWN).retryable


def test_a_call_that_was_held_back() -> None:
    """It may be made when the time has come."""
    found = outcome_of(HeldBackError("kraken", 30.0, "EGeneral:Temporary lockout"))
    assert (found.outcome, found.reason, found.retryable) == ("rate_limited", "EGeneral:Temporary lockout", True)
    assert found.until == pytest.approx(time.time() + 30, abs=5)


def test_an_open_circuit() -> None:
    """The exchange is in trouble, until the next probe."""
    found = outcome_of(CircuitOpenError("kraken.public", 12.0))
    assert (found.outcome, found.retryable) == ("transient", True)
    assert found.until == pytest.approx(time.time() + 12, abs=5)


def test_the_errors_of_a_client_with_a_refused_key() -> None:
    """The exchange's refusal first, then the circuit that it opened for five minutes."""
    with FakeExchange() as exchange, ResilientExchangeClient("kraken", exchange.config(), health=None) as client:
        exchange.fail(FAULTS["kraken"]["bad_key"])
        with pytest.raises(ccxt.AuthenticationError) as refused:
            client.fetch_balance()
        with pytest.raises(CircuitOpenError) as opened:
            client.fetch_balance()
    assert outcome_of(refused.value) == Verdict("auth", "EAPI:Invalid key")
    assert outcome_of(opened.value).until == pytest.approx(time.time() + 300, abs=5)


def test_limits_of_ours() -> None:
    """They say nothing of the exchange, and pass."""
    assert outcome_of(RateLimitedError("bot", 2.0)).outcome == "rate_limited"
    assert outcome_of(BulkheadFullError("bot", 3)).retryable


@pytest.mark.parametrize(
    ("error", "outcome", "retryable"),
    [
        (ccxt.ExchangeError('okx {"code":"50004","data":[],"msg":"timeout"}'), "transient", True),
        (ccxt.AuthenticationError('okx {"code":"50112","data":[],"msg":"x"}'), "clock", False),
        (ccxt.InvalidNonce('kraken {"error":["EAPI:Invalid nonce"]}'), "clock", True),
        (ccxt.DDoSProtection('binance 418 Teapot {"code":-1003,"msg":"banned until 1767225900000"}'),
         "rate_limited", True),
        (ccxt.ExchangeNotAvailable("bybit GET https://api.bybit.com/v5 403 Forbidden access too frequent"),
         "rate_limited", True),
        (ccxt.ExchangeNotAvailable("bitfinex GET https://a/b?c=d 404 Not Found <html>"), "rejected", False),
        (ccxt.ExchangeNotAvailable("bitfinex GET https://a/b 502 Bad Gateway <html>"), "transient", True),
        (ccxt.RequestTimeout("bitfinex GET https://a/b"), "transient", True),
        (ccxt.InsufficientFunds("bitfinex no funds"), "rejected", False),
        (ccxt.ArgumentsRequired("bitfinex fetchOHLCV"), "bug", False),
        (TimeoutError(), "transient", True),
        (asyncio.CancelledError(), "cancelled", False),
        (KeyboardInterrupt(), "cancelled", False),
        (KeyError("x"), "bug", False),
    ],
)  # fmt: skip
def test_an_exception_without_a_client(error: BaseException, outcome: str, retryable: bool) -> None:
    """The exchange, the status and the body are in the text that ccxt makes."""
    assert (outcome_of(error).outcome, outcome_of(error).retryable) == (outcome, retryable)


def test_whether_it_was_a_write_is_told_by_the_caller() -> None:
    """A bare exception does not say so."""
    error = ccxt.RequestTimeout("bitfinex POST https://a/b")
    assert (outcome_of(error).outcome, outcome_of(error, write=True).outcome) == ("transient", "ambiguous")


def test_a_cause_explains_what_was_made_of_it() -> None:
    """A program's own exception is as good as the one it came from."""
    for cause, expected in ((UNKNOWN, "ambiguous"), (ccxt.BadSymbol("kraken x"), "rejected")):
        error = RuntimeError("the bot stopped")
        error.__cause__ = cause
        assert outcome_of(error).outcome == expected


def test_in_a_group_the_worst_counts() -> None:
    """One order of unknown fate among failed reads must not be made again."""
    group = ExceptionGroup("several", [HeldBackError("kraken", 1.0), UNKNOWN])
    assert outcome_of(group).outcome == "ambiguous"


def test_the_response_that_sync_ccxt_keeps_tells_until_when() -> None:
    """Its headers are not in the text."""
    with FakeExchange(dialect="binance") as exchange:
        bare = ccxt.binance(exchange.config())
        bare.load_markets()
        exchange.fail(FAULTS["binance"]["rate_limited"])
        with pytest.raises(ccxt.DDoSProtection) as limited:
            bare.fetch_ticker("BTC/USDT")
        bare.session.close()
    found = outcome_of(limited.value)
    assert found.outcome == "rate_limited"
    assert found.until > time.time()


def test_a_response_of_another_request_is_not_believed() -> None:
    """What was being handled when an exception was raised need not belong to it."""

    class Response:
        status_code, headers, text = 418, {"Retry-After": "999"}, "a teapot"

    other = ccxt.DDoSProtection("binance 418")
    other.response = Response()
    error = ccxt.RequestTimeout("binance GET https://a/b")
    error.__context__ = other
    assert outcome_of(error) == Verdict("transient", "RequestTimeout")


def test_a_broken_text_is_survived() -> None:
    """Somebody's `__str__` may raise."""

    class Mute(ccxt.NetworkError):
        def __str__(self) -> str:
            raise RuntimeError

    assert outcome_of(Mute()).outcome == "transient"
