"""The error vocabularies of exchanges as data, and the words and headers that mean the same on all of them."""

import inspect
import subprocess
import sys

import ccxt
import pytest

from peak_observe import catalog
from peak_observe.exchange_client import dialects
from peak_observe.exchange_client.classify import Answer, Verdict, classify

NOW = 1_800_000_000.0


def verdict(
    exchange: str, body: str, kind: type[Exception] = ccxt.ExchangeError, status: int = 200, **facts
) -> Verdict:
    """Return the verdict on an exception that ccxt raised for a body."""
    headers = {name.replace("_", "-"): value for name, value in facts.pop("headers", {}).items()}
    return classify(
        kind(f"{exchange} {body}"), exchange=exchange, answer=Answer(status, headers, body), now=NOW, **facts
    )


@pytest.mark.parametrize(
    ("exchange", "house"),
    [
        ("binanceusdm", "binance"), ("binancecoinm", "binance"), ("binanceus", "binance"), ("bybiteu", "bybit"),
        ("okxus", "okx"), ("myokx", "okx"), ("okex", "okx"), ("coinbaseexchange", "coinbase"),
        ("coinbaseadvanced", "coinbase"), ("kucoinfutures", "kucoin"), ("gateio", "gate"), ("gateeu", "gate"),
        ("bitgetus", "bitget"), ("mexc3", "mexc"), ("hyperliquid", "hyperliquid"), ("kraken", "kraken"),
    ],
)  # fmt: skip
def test_an_id_of_the_same_house_has_its_vocabulary(exchange: str, house: str) -> None:
    """Ccxt has several ids for one exchange, which answer alike."""
    assert dialects.of(exchange) is dialects.of(house)
    assert dialects.of(house) is not dialects.GENERAL


@pytest.mark.parametrize("exchange", ["", "bitfinex", "deribit", "okcoin", "krak"])
def test_any_other_exchange_has_the_general_vocabulary(exchange: str) -> None:
    """It is understood by rules."""
    assert dialects.of(exchange) is dialects.GENERAL


def test_a_vocabulary_is_loaded_when_its_exchange_is_used() -> None:
    """A program with one exchange does not load the other nine."""
    code = (
        "import sys; from peak_observe.exchange_client import dialects; dialects.of('okx'); "
        "print(sorted(m for m in sys.modules if m.rpartition('.')[2] in dialects.HOUSES and 'dialects' in m))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "['peak_observe.exchange_client.dialects.okx']"


@pytest.mark.parametrize("house", dialects.HOUSES)
def test_each_vocabulary_names_its_sources_and_knows_only_outcomes(house: str) -> None:
    """Codes, words and statuses lead to what the metrics count."""
    dialect = dialects.of(house)
    rules = [*dialect.rules.values(), *dialect.statuses.values(), *(rule for _, rule in dialect.phrases)]
    assert {rule.outcome for rule in rules} <= set(catalog.EXCHANGE_OUTCOMES) - {"success", "ambiguous"}
    assert dialect.sources
    assert all(source.startswith("https://") for source in dialect.sources)


# Codes that ccxt has for passing failures and that we, by the published meaning, have for something else.
JUDGED = {
    "binance": {
        "-1004", "-1010", "-1112", "-2018", "-2019", "-2020", "-2021", "-2022", "-2023", "-5041",
        "-1008", "-10001", "-1099", "-3007", "-5028",
    },
    "okx": {"50005", "60016", "4005"},
    "kraken": {"EService:Unavailable"},
    "gate": {"API_WITHDRAW_DISABLED"},
    "bitget": {"30008", "30019", "30037"},
    "kucoin": {"503"},
}  # fmt: skip
UNSURE = ("RequestTimeout", "OperationFailed", "ExchangeNotAvailable", "NetworkError")


def flat(tables: dict) -> list[tuple[str, type[Exception]]]:
    """Return the codes of ccxt's table, however deep it is."""
    found = []
    for code, meaning in tables.items():
        found += [(code, meaning)] if inspect.isclass(meaning) else flat(meaning)
    return found


@pytest.mark.parametrize("house", dialects.HOUSES)
def test_a_passing_failure_of_ccxts_table_leaves_the_fate_of_an_order_open(house: str) -> None:
    """Unless it was judged by the exchange's own list; a newer ccxt may bring codes that nobody has judged."""
    rules = dialects.of(house).rules
    listed = [code for code, kind in flat(getattr(ccxt, house)().exceptions) if kind.__name__ in UNSURE]
    other = {code for code in listed if code in rules and (rules[code].outcome != "transient" or rules[code].refused)}
    assert other - JUDGED.get(house, set()) == set()


@pytest.mark.parametrize("house", dialects.HOUSES)
def test_a_wrong_clock_of_ccxts_table_is_a_wrong_clock(house: str) -> None:
    """Only MEXC's window that is too long is no matter of the clock."""
    rules = dialects.of(house).rules
    listed = [code for code, kind in flat(getattr(ccxt, house)().exceptions) if kind is ccxt.InvalidNonce]
    assert {code for code in listed if code in rules and rules[code].outcome != "clock"} <= {"700005"}


@pytest.mark.parametrize(
    ("error", "outcome", "write"),
    [
        ("apiLimitExceeded", "rate_limited", "rate_limited"), ("nonceBelowThreshold", "clock", "clock"),
        ("nonceDuplicate", "clock", "clock"), ("authenticationError", "auth", "auth"),
        ("Server Error", "transient", "ambiguous"), ("unknownError", "transient", "ambiguous"),
        ("Unavailable", "transient", "ambiguous"), ("invalidArgument: size", "rejected", "rejected"),
    ],
)  # fmt: skip
def test_krakens_futures(error: str, outcome: str, write: str) -> None:
    """They have words of their own."""
    body = f'{{"result":"error","error":"{error}","serverTime":"2026-01-01T00:00:00.000Z"}}'
    assert verdict("krakenfutures", body).outcome == outcome
    assert verdict("krakenfutures", body, write=True).outcome == write


@pytest.mark.parametrize(
    ("message", "status", "outcome"),
    [
        ("request timestamp expired", 401, "clock"), ("invalid signature", 401, "auth"),
        ("Invalid API Key", 401, "auth"),
        ("Public rate limit exceeded", 429, "rate_limited"), ("Insufficient funds", 400, "rejected"),
        ("Internal server error", 500, "transient"), ("Under maintenance", 503, "maintenance"),
    ],
)  # fmt: skip
def test_coinbase_exchange(message: str, status: int, outcome: str) -> None:
    """The exchange that ccxt calls `coinbaseexchange` has a message and no code."""
    assert verdict("coinbaseexchange", f'{{"message":"{message}"}}', status=status).outcome == outcome


@pytest.mark.parametrize(
    ("exchange", "body"),
    [
        ("kraken", '{"error":[],"result":{"orders":[{"txid":"O1","descr":{}},{"error":"EOrder:Insufficient funds"}]}}'),
        (
            "hyperliquid",
            '{"status":"ok","response":{"type":"order","data":{"statuses":[{"filled":{"oid":1}},{"error":"Margin"}]}}}',
        ),
    ],
)
def test_a_batch_that_was_refused_in_part_is_no_refusal(exchange: str, body: str) -> None:
    """Ccxt raises for the first order that was refused, and the others stand."""
    assert verdict(exchange, body, ccxt.InsufficientFunds, write=True).outcome == "ambiguous"
    assert verdict(exchange, body, ccxt.InsufficientFunds).outcome == "rejected"


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"ratelimit_reset": "12"}, 12.0),
        ({"x_ratelimit_reset": "12.5"}, 12.5),
        ({"x_ratelimit_reset": str(int(NOW) + 40)}, 40.0),
        ({"x_ratelimit_reset": str((int(NOW) + 40) * 1000)}, 40.0),
        ({"x_ratelimit_reset": str((int(NOW) + 40) * 1_000_000)}, 40.0),
        ({"x_ratelimit_reset": str(int(NOW) - 40)}, 5.0),
        ({"x_ratelimit_reset": "0"}, 5.0),
        ({"x_ratelimit_reset": "soon"}, 5.0),
        ({"x_ratelimit_reset": "-3"}, 5.0),
        ({"x_ratelimit_reset": "9" * 60}, 5.0),
        ({"x_ratelimit_reset": "999999999"}, 7 * 86_400.0),
        ({"retry_after": "3", "ratelimit_reset": "9"}, 9.0),
        ({"retry_after": "30", "ratelimit_reset": "9"}, 30.0),
    ],
)
def test_when_a_limit_ends_by_headers_that_any_exchange_may_send(headers: dict[str, str], seconds: float) -> None:
    """Seconds that are left or a Unix time, told apart by their size; the past and nonsense are not believed."""
    found = verdict("bitfinex", "{}", ccxt.RateLimitExceeded, 429, headers=headers)
    assert found.until == pytest.approx(NOW + seconds)


@pytest.mark.parametrize("exchange", ["bybit", "kucoin", "gate", "bitfinex"])
def test_reset_headers_hold_nothing_back_without_a_limit(exchange: str) -> None:
    """They come with each answer, also with a refusal for another reason and with a success."""
    headers = dict.fromkeys(
        ("x_bapi_limit_reset_timestamp", "gw_ratelimit_reset", "x_gate_ratelimit_reset_timestamp", "ratelimit_reset"),
        str(int(NOW) + 500),
    )
    assert verdict(exchange, "{}", ccxt.InsufficientFunds, 400, headers=headers).until is None
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    assert classify(None, exchange=exchange, answer=Answer(200, sent, "{}"), now=NOW) == Verdict("success")


@pytest.mark.parametrize(
    ("kind", "words", "outcome", "resync"),
    [
        (ccxt.AuthenticationError, "Timestamp is too old", "clock", True),
        (ccxt.AuthenticationError, "invalid timestamp", "clock", True),
        (ccxt.PermissionDenied, "request expired", "clock", True),
        (ccxt.ExchangeError, "Timestamp for this request is outside of the recvWindow", "clock", True),
        (ccxt.BadRequest, "recv_window exceeded", "clock", True),
        (ccxt.ExchangeError, "the request has expired", "clock", True),
        (ccxt.ExchangeError, "nonce must be greater than 17", "clock", False),
        (ccxt.AuthenticationError, "nonce already used", "clock", False),
        (ccxt.InvalidNonce, "nonce", "clock", False),
        (ccxt.InvalidNonce, "bad time", "clock", True),
        (ccxt.AuthenticationError, "the API key has expired", "auth", False),
        (ccxt.AuthenticationError, "session expired", "auth", False),
        (ccxt.BadRequest, "goodTillDate timestamp must be greater than now", "rejected", False),
        (ccxt.ExchangeError, "startTime is invalid", "rejected", False),
        (ccxt.InvalidOrder, "order expired: server time exceeded", "rejected", False),
    ],
)
def test_a_wrong_clock_on_any_exchange(kind: type[Exception], words: str, outcome: str, resync: bool) -> None:
    """Words say it where the class says that the key was refused."""
    found = verdict("bitfinex", f'{{"message":"{words}"}}', kind, 400)
    assert (found.outcome, found.resync) == (outcome, resync)


@pytest.mark.parametrize(
    "words",
    [
        "Internal error", "internal server error", "system error", "System busy", "timed out", "Timeout waiting",
        "server is busy", "service temporarily unavailable", "unknown error", "execution status unknown",
        "please try again later", "the request is being processed",
    ],
)  # fmt: skip
@pytest.mark.parametrize("status", [200, 400, 409])
def test_an_unknown_code_that_tells_of_trouble_leaves_the_fate_of_an_order_open(words: str, status: int) -> None:
    """On any exchange, where ccxt knows no class for it."""
    body = f'{{"code":12345,"message":"{words}"}}'
    for exchange in ("bitfinex", "bybit"):
        body = body.replace("code", "retCode") if exchange == "bybit" else body
        assert verdict(exchange, body, status=status, write=True).outcome == "ambiguous"
        assert verdict(exchange, body, status=status).outcome == "transient"


@pytest.mark.parametrize(
    ("words", "read", "write"),
    [
        ("Too many requests", "rate_limited", "rate_limited"), ("rate limit exceeded", "rate_limited", "rate_limited"),
        ("Request too frequent", "rate_limited", "rate_limited"), ("Too many open orders", "rejected", "rejected"),
        ("System is currently upgrading", "maintenance", "ambiguous"),
        ("under maintenance", "maintenance", "ambiguous"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("status", [200, 400])
def test_an_unknown_code_that_tells_of_a_limit_or_of_maintenance(
    words: str, read: str, write: str, status: int
) -> None:
    """It passes by waiting; maintenance in mere words is no proof that an order was refused."""
    body = f'{{"code":12345,"message":"{words}"}}'
    assert verdict("bitfinex", body, status=status).outcome == read
    assert verdict("bitfinex", body, status=status, write=True).outcome == write


def test_a_status_that_means_a_limit_is_one_whatever_class_comes_with_it() -> None:
    """Some exchanges answer 429 with a code that ccxt has for a bad request."""
    assert verdict("bitget", '{"code":"30007","msg":"x"}', ccxt.BadRequest, 429).outcome == "rate_limited"


@pytest.mark.parametrize("status", [400, 403, 404, 200])
@pytest.mark.parametrize(
    "kind", [ccxt.RequestTimeout, ccxt.OperationFailed, ccxt.NetworkError, ccxt.ExchangeNotAvailable]
)
def test_what_ccxt_read_in_the_body_beats_the_status(status: int, kind: type[Exception]) -> None:
    """A timeout of an inner service may come with any status."""
    assert verdict("bitfinex", '{"code":7}', kind, status, write=True).outcome == "ambiguous"
    assert verdict("bitfinex", '{"code":7}', kind, status).outcome == "transient"


@pytest.mark.parametrize(
    ("words", "duplicate"),
    [
        ("Duplicate client order id", True), ("duplicated clientOid", True), ("cl_ord_id is not unique", True),
        ("clientOrderId already exists", True), ("Order with this cloid already used", True),
        ("client order id does not exist", False), ("clientTranId is duplicated", False),
        ("Duplicate withdrawal", False),
    ],
)  # fmt: skip
def test_a_duplicate_on_any_exchange(words: str, duplicate: bool) -> None:
    """After an order of unknown fate it proves that the order stands."""
    assert verdict("bitfinex", f'{{"message":"{words}"}}', ccxt.InvalidOrder, 400).duplicate is duplicate


@pytest.mark.parametrize(
    "error", [AttributeError("x"), KeyError("x"), TypeError("x"), IndexError("x"), ValueError("x")]
)
def test_an_answer_that_ccxt_cannot_read_is_a_bad_response(error: Exception) -> None:
    """After a write its fate is unknown; without an answer the fault is the caller's or ccxt's own."""
    assert classify(error, answered=True).outcome == "bad_response"
    assert classify(error, answer=Answer(200, {}, "[]"), write=True).outcome == "ambiguous"
    assert classify(error).outcome == "bug"
