"""What the end of a request means, as a pure function of what came back."""

import asyncio
import socket

import ccxt
import pytest

from peak_observe import catalog
from peak_observe.exchange_client import classify as module
from peak_observe.exchange_client import reset_time
from peak_observe.exchange_client.classify import Answer, Verdict, classify

NOW = 1_800_000_000.0


def answer(status: int = 200, body: str = "", **headers: str) -> Answer:
    """Return an answer; underscores in the names of headers are hyphens."""
    return Answer(status, {name.replace("_", "-"): value for name, value in headers.items()}, body)


def outcome(error: BaseException | None, **facts) -> str:
    """Return the class."""
    return classify(error, now=NOW, **facts).outcome


def kraken(message: str, **facts) -> Verdict:
    """Return what one of Kraken's own errors means."""
    return classify(ccxt.ExchangeError(f'kraken {{"error":["{message}"]}}'), exchange="kraken", now=NOW, **facts)


def binance(code: int, kind: type[Exception] = ccxt.ExchangeError, **facts) -> Verdict:
    """Return what one of Binance's codes means."""
    return classify(kind(f'binance {{"code":{code},"msg":"x"}}'), exchange="binance", now=NOW, **facts)


def caused(error: Exception, cause: BaseException) -> Exception:
    """Return an error that came from another."""
    error.__cause__ = cause
    return error


def test_every_class_is_a_label_value() -> None:
    """What can come out is what the metrics count."""
    found = {value for name, value in vars(module).items() if name.isupper() and isinstance(value, str)}
    assert found == set(catalog.EXCHANGE_OUTCOMES)


def test_nothing_raised_and_nothing_wrong_is_success() -> None:
    """With an answer or without."""
    assert outcome(None) == outcome(None, answer=answer()) == "success"


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("EAPI:Invalid key", "auth"),
        ("EAPI:Invalid signature", "auth"),
        ("EGeneral:Permission denied", "auth"),
        ("EAuth:Account temporary disabled", "auth"),
        ("ETrade:User Locked", "auth"),
        ("EAPI:Invalid nonce", "clock"),
        ("EAPI:Rate limit exceeded", "rate_limited"),
        ("EOrder:Rate limit exceeded", "rate_limited"),
        ("EGeneral:Too many requests", "rate_limited"),
        ("EGeneral:Temporary lockout", "rate_limited"),
        ("EService:Throttled: 1800000030", "rate_limited"),
        ("EService:Unavailable", "maintenance"),
        ("EService:Market in cancel_only mode", "maintenance"),
        ("EService:Timeout", "transient"),
        ("EService:Busy", "transient"),
        ("EGeneral:Internal error", "transient"),
        ("EService:Deadline elapsed", "rejected"),
        ("EOrder:Insufficient funds", "rejected"),
        ("EQuery:Unknown asset pair", "rejected"),
        ("EGeneral:Unknown method", "rejected"),
        ("EAccount:Invalid permissions:BTC trading restricted", "rejected"),
        ("EAPI:Feature disabled", "rejected"),
    ],
)
def test_krakens_own_words(message: str, expected: str) -> None:
    """They decide, whatever class ccxt chose."""
    assert kraken(message).outcome == expected


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (-1000, "transient"), (-1001, "transient"), (-1003, "rate_limited"), (-1006, "transient"),
        (-1007, "transient"), (-1008, "transient"), (-1015, "rate_limited"), (-1016, "maintenance"),
        (-1021, "clock"), (-1022, "auth"), (-1099, "auth"), (-1121, "rejected"), (-2010, "rejected"),
        (-2011, "rejected"),
        (-2014, "auth"), (-2015, "auth"),
    ],
)  # fmt: skip
def test_binances_codes(code: int, expected: str) -> None:
    """They decide also where ccxt does not know them, as behind a proxy."""
    assert binance(code).outcome == expected


def test_codes_that_only_ccxt_knows_are_as_it_says() -> None:
    """There are hundreds of them."""
    assert binance(-4036, ccxt.PermissionDenied).outcome == "auth"
    assert binance(-4164, ccxt.InvalidOrder, write=True).outcome == "rejected"


def test_a_dead_key_is_no_ban() -> None:
    """After one success ccxt calls Binance's -2015 a DDoSProtection."""
    assert binance(-2015, ccxt.DDoSProtection).outcome == "auth"


def test_codes_of_other_exchanges_are_not_binances() -> None:
    """-1021 may mean anything there."""
    error = ccxt.ExchangeError('bitmart {"code":-1021}')
    assert outcome(error, exchange="bitmart") == "rejected"


@pytest.mark.parametrize("code", [-1000, -1001, -1006, -1007])
def test_a_write_with_an_unclear_answer_is_ambiguous(code: int) -> None:
    """Binance says itself that the execution status is unknown."""
    assert binance(code, write=True).outcome == "ambiguous"


def test_a_write_that_was_surely_refused_is_not_ambiguous() -> None:
    """Overload protection refuses before anything is done."""
    assert binance(-1008, write=True).outcome == "transient"
    assert kraken("EOrder:Insufficient funds", write=True).outcome == "rejected"
    assert kraken("EAPI:Rate limit exceeded", write=True).outcome == "rate_limited"


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        (ccxt.OnMaintenance, "maintenance"), (ccxt.RequestTimeout, "transient"), (ccxt.NetworkError, "transient"),
        (ccxt.ExchangeNotAvailable, "transient"), (ccxt.OperationFailed, "transient"),
        (ccxt.DDoSProtection, "rate_limited"), (ccxt.RateLimitExceeded, "rate_limited"),
        (ccxt.InvalidNonce, "clock"), (ccxt.ChecksumError, "transient"), (ccxt.BadResponse, "bad_response"),
        (ccxt.NullResponse, "bad_response"), (ccxt.AuthenticationError, "auth"), (ccxt.PermissionDenied, "auth"),
        (ccxt.AccountSuspended, "auth"), (ccxt.InsufficientFunds, "rejected"), (ccxt.InvalidOrder, "rejected"),
        (ccxt.OrderNotFound, "rejected"), (ccxt.BadSymbol, "rejected"), (ccxt.BadRequest, "rejected"),
        (ccxt.MarketClosed, "rejected"), (ccxt.RestrictedLocation, "rejected"), (ccxt.CancelPending, "rejected"),
        (ccxt.ExchangeError, "rejected"), (ccxt.NotSupported, "bug"), (ccxt.ArgumentsRequired, "bug"),
        (TypeError, "bug"), (KeyError, "bug"), (ConnectionResetError, "transient"), (TimeoutError, "transient"),
        (asyncio.CancelledError, "cancelled"), (KeyboardInterrupt, "cancelled"),
    ],
)  # fmt: skip
def test_classes_of_exceptions(kind: type[BaseException], expected: str) -> None:
    """Where there is nothing but the exception."""
    assert outcome(kind("x")) == expected


def test_a_cancelled_write_is_ambiguous() -> None:
    """It may have been sent."""
    assert outcome(asyncio.CancelledError(), write=True) == "ambiguous"


@pytest.mark.parametrize("status", [400, 403, 404, 405, 409, 410, 422, 451])
def test_what_does_not_pass_by_waiting(status: int) -> None:
    """Ccxt calls it ExchangeNotAvailable; retrying does not help, and a write was refused."""
    for write in (False, True):
        assert outcome(ccxt.ExchangeNotAvailable("x"), answer=answer(status), write=write) == "rejected"


@pytest.mark.parametrize("error", [None, ccxt.ExchangeError("x"), ccxt.ExchangeNotAvailable("x")])
@pytest.mark.parametrize("status", [500, 502, 503, 504, 507, 520, 524, 527, 599])
def test_server_errors_are_the_same_however_ccxt_takes_them(status: int, error: Exception | None) -> None:
    """It raises ExchangeError in sync and nothing in async for those that it has no entry for."""
    assert outcome(error, answer=answer(status)) == "transient"
    assert outcome(error, answer=answer(status), write=True) == "ambiguous"


def test_a_gateway_may_speak_of_maintenance() -> None:
    """Then the exchange refuses everything."""
    assert outcome(ccxt.ExchangeNotAvailable("x"), answer=answer(503, "Scheduled Maintenance")) == "maintenance"


@pytest.mark.parametrize(("status", "expected"), [(401, "auth"), (407, "auth"), (418, "rate_limited"), (511, "auth")])
def test_statuses_with_a_meaning_of_their_own(status: int, expected: str) -> None:
    """Whatever class comes with them."""
    assert outcome(ccxt.ExchangeError("x"), answer=answer(status)) == expected


def test_a_specific_class_beats_the_status() -> None:
    """Ccxt read the body: too little money is no bad gateway."""
    assert outcome(ccxt.InsufficientFunds("x"), answer=answer(500), write=True) == "rejected"


NewConnectionError = type("NewConnectionError", (OSError,), {})
ClientPayloadError = type("ClientPayloadError", (type("ClientError", (Exception,), {}),), {})


@pytest.mark.parametrize(
    "cause",
    [
        NewConnectionError("refused"),
        socket.gaierror("no such host"),
        ConnectionRefusedError(111, "refused"),
        OSError(NewConnectionError("refused")),
    ],
)
def test_a_write_that_was_never_sent_is_not_ambiguous(cause: BaseException) -> None:
    """No connection, no order: sync it is a NetworkError, async an ExchangeNotAvailable."""
    for kind in (ccxt.NetworkError, ccxt.ExchangeNotAvailable):
        assert outcome(caused(kind("x"), cause), write=True) == "transient"


def test_what_was_handled_meanwhile_says_nothing_about_a_write() -> None:
    """An earlier refused connection, in whose handler the order is sent, is another request's."""
    error = caused(ccxt.NetworkError("x"), ConnectionResetError("reset"))
    error.__context__ = NewConnectionError("of another request")
    assert outcome(error, write=True) == "ambiguous"


def test_a_transfer_that_broke_off_is_the_networks_fault() -> None:
    """Async ccxt calls it an ExchangeError."""
    error = caused(ccxt.ExchangeError("x"), ClientPayloadError("broken"))
    assert outcome(error) == "transient"
    assert outcome(error, write=True) == "ambiguous"


# Until when -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (answer(429, retry_after="7"), NOW + 7),
        (answer(429, retry_after="Fri, 15 Jan 2027 08:00:30 GMT"), NOW + 30),
        (answer(429, "IP banned until 1800000060000. Stop."), NOW + 60),
        (answer(429), NOW + reset_time.LIMIT_WAIT),
        (answer(418), NOW + reset_time.BAN_WAIT),
        (answer(429, retry_after="soon"), NOW + reset_time.LIMIT_WAIT),
        (answer(429, retry_after="99999999"), NOW + 7 * 86_400),
        (answer(429, "banned until 1700000000000"), NOW),
    ],
)
def test_until_when_the_exchange_wants_to_be_left_alone(given: Answer, expected: float) -> None:
    """From the header, the words, or by the rules; nonsense is not believed."""
    assert classify(ccxt.RateLimitExceeded("x"), answer=given, now=NOW).until == expected


def test_krakens_own_times() -> None:
    """A throttle names its end, the lockout lasts a quarter of an hour."""
    assert kraken("EService:Throttled: 1800000030").until == NOW + 30
    assert kraken("EGeneral:Temporary lockout").until == NOW + 900


def test_a_hint_counts_with_any_error() -> None:
    """Also maintenance may say when it is over."""
    assert classify(ccxt.ExchangeNotAvailable("x"), answer=answer(503, retry_after="9"), now=NOW).until == NOW + 9
    assert classify(ccxt.ExchangeNotAvailable("x"), answer=answer(503), now=NOW).until is None


def test_the_machines_clock_is_used_if_none_is_given() -> None:
    """For use by hand."""
    assert classify(ccxt.RateLimitExceeded("x")).until > NOW - 10 * 365 * 86_400


def test_an_error_that_cannot_say_itself_is_still_classified() -> None:
    """Somebody's broken __str__ must not hide the fault."""

    class Mute(ccxt.NetworkError):
        def __str__(self) -> str:
            raise RuntimeError

    assert outcome(Mute()) == "transient"


def test_members_of_groups_are_looked_at() -> None:
    """A group of failed connections was sent no more than each of them."""
    group = ExceptionGroup("x", [NewConnectionError("a")])
    assert outcome(caused(ccxt.NetworkError("x"), group), write=True) == "transient"
