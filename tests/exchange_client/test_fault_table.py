"""Every fault, met by every kind of call, in each dialect, sync and async: what it means, and that no secret shows."""

import contextlib
from typing import NamedTuple

import ccxt
import pytest

from peak_observe import CircuitOpenError, OutcomeUnknown
from peak_observe.exchange_client.classify import RETRYABLE
from peak_observe.testing import FAULTS
from peak_observe.testing.okx import PASSPHRASE
from peak_observe.testing.spot_exchange import API_KEY, SECRET

SIGNATURES = ("API-Sign", "X-BAPI-SIGN", "OK-ACCESS-SIGN")

CALLS = ("ticker", "balance", "order", "cancel")

# What each of CALLS comes to.
UNSURE = ("transient", "transient", "ambiguous", "ambiguous")
MISSHAPEN = ("bad_response", "bad_response", "ambiguous", "ambiguous")
COMMON = {
    "slow": ("success", "success", "success", "success"),
    "stale": ("success", "success", "success", "success"),
    "hang": UNSURE,
    "refused": ("transient", "transient", "transient", "transient"),
    "reset": UNSURE,
    "lost_reply": UNSURE,
    "truncated": MISSHAPEN,
    "html": MISSHAPEN,
    "empty": MISSHAPEN,
    "empty_object": MISSHAPEN,
    "echo": UNSURE,
    "http_400": ("rejected", "rejected", "rejected", "rejected"),
    "http_403": ("rejected", "rejected", "rejected", "rejected"),
    "http_404": ("rejected", "rejected", "rejected", "rejected"),
    "http_408": UNSURE,
    "http_451": ("rejected", "rejected", "rejected", "rejected"),
    "http_500": UNSURE,
    "http_502": UNSURE,
    "http_503": UNSURE,
    "http_504": UNSURE,
    "http_507": UNSURE,
    "http_520": UNSURE,
    "http_524": UNSURE,
    "http_527": UNSURE,
    "maintenance": ("maintenance", "maintenance", "maintenance", "maintenance"),
    "rate_limited": ("rate_limited", "rate_limited", "rate_limited", "rate_limited"),
    "rate_limited_in_words": ("rate_limited", "rate_limited", "rate_limited", "rate_limited"),
    "bad_key": ("auth", "auth", "auth", "auth"),
    "bad_signature": ("auth", "auth", "auth", "auth"),
    "clock": ("clock", "clock", "clock", "clock"),
    "no_funds": ("rejected", "rejected", "rejected", "rejected"),
    "bad_symbol": ("rejected", "rejected", "rejected", "rejected"),
    "service_timeout": UNSURE,
    "internal": UNSURE,
}
EXPECTED = {
    "kraken": {
        **COMMON,
        "lockout": ("rate_limited", "rate_limited", "rate_limited", "rate_limited"),
        "denied": ("auth", "auth", "auth", "auth"),
        "busy": UNSURE,
    },
    "binance": {
        **COMMON,
        "banned": ("rate_limited", "rate_limited", "rate_limited", "rate_limited"),
        # Binance's web firewall answers so when an address has asked too often.
        "http_403": ("rate_limited", "rate_limited", "rate_limited", "rate_limited"),
        # -1008 says that the request was refused, so that also a write has surely not been carried out.
        "busy": ("transient", "transient", "transient", "transient"),
    },
    "bybit": {
        **COMMON,
        # Bybit answers so when an address has asked too often.
        "http_403": ("rate_limited", "rate_limited", "rate_limited", "rate_limited"),
        "ip_banned": ("rate_limited", "rate_limited", "rate_limited", "rate_limited"),
        "too_frequent": ("rate_limited", "rate_limited", "rate_limited", "rate_limited"),
        "denied": ("auth", "auth", "auth", "auth"),
        "busy": UNSURE,
    },
    "okx": {
        **COMMON,
        "denied": ("auth", "auth", "auth", "auth"),
        "busy": UNSURE,
    },
}
ENDPOINTS = {
    "kraken": ("GET public/Ticker", "POST private/BalanceEx", "POST private/AddOrder", "POST private/CancelOrder"),
    "binance": ("GET public/ticker/24hr", "GET private/account", "POST private/order", "DELETE private/order"),
    "bybit": (
        "GET public/v5/market/tickers",
        "GET private/v5/account/wallet-balance",
        "POST private/v5/order/create",
        "POST private/v5/order/cancel",
    ),
    "okx": (
        "GET public/market/ticker",
        "GET private/account/balance",
        "POST private/trade/batch-orders",
        "POST private/trade/cancel-order",
    ),
}
LONG = (
    ("kraken", "lockout"),
    ("binance", "banned"),
    ("binance", "http_403"),
    *(("bybit", name) for name in ("ip_banned", "too_frequent", "http_403")),
)
"""What asks to be left alone for longer than a call waits, so that also a read is made once."""


class Case(NamedTuple):
    """One cell of the table."""

    dialect: str
    mode: str
    fault: str
    call: str
    expected: str


CASES = [
    Case(dialect, mode, fault, call, expected[CALLS.index(call)])
    for dialect, faults in EXPECTED.items()
    for mode in ("sync", "async")
    for fault, expected in faults.items()
    for call in CALLS
]


def use(client, rig, call: str):
    """Make one call."""
    if call == "ticker":
        return client.fetch_ticker(rig.symbol)
    if call == "balance":
        return client.fetch_balance()
    if call == "order":
        return client.create_order(rig.symbol, "limit", "buy", 0.1, 50_000)
    return client.cancel_order(rig.to_cancel, rig.symbol)


def secrets_of(rig) -> set[str]:
    """Return what must not come out: the credentials, and the signatures that reached the exchange."""
    headers = [{name.lower(): value for name, value in call.headers.items()} for call in rig.calls]
    signatures = {found[name.lower()] for found in headers for name in SIGNATURES if name.lower() in found}
    signatures |= {call.params["signature"] for call in rig.calls if "signature" in call.params}
    assert all(len(signature) >= 44 for signature in signatures)
    return {API_KEY, SECRET, PASSPHRASE, rig.sync.secret} | signatures


def test_the_table_is_complete() -> None:
    """Every fault that the loopback exchange knows has its expected classes."""
    assert {dialect: set(faults) for dialect, faults in FAULTS.items()} == {
        dialect: set(expected) for dialect, expected in EXPECTED.items()
    }


@pytest.mark.parametrize("case", CASES, ids="-".join)
def test_fault(case, rig, counted, everything) -> None:
    """The request counts as its class, the caller gets what that class means, and nothing is sent once too often."""
    dialect, mode, fault, call, expected = case
    rig = rig(dialect)
    with rig.using(mode, name="table") as client:
        if call == "cancel":
            rig.to_cancel = rig.run(mode, lambda: use(client, rig, "order"))["id"]
        rig.calls.clear()
        before, orders = counted("table"), len(rig.fake.orders)
        rig.fake.fail(FAULTS[dialect][fault])
        client.exchange.timeout = 250 if fault == "hang" else client.exchange.timeout
        error = None
        try:
            with everything.tracer.start_as_current_span("bot"):
                rig.run(mode, lambda: use(client, rig, call))
        except Exception as raised:
            error = raised
            everything.raised(raised)
        state = client.breakers[{"ticker": "public", "balance": "private"}.get(call, "trade")].state.value
        everything.texts.append(repr(client))
    # Kraken refuses a nonce, which the next request has anew; Binance a timestamp, which only a set clock mends.
    passing = expected in RETRYABLE or (dialect, fault) == ("kraken", "clock")
    again = 2 if passing and call in ("ticker", "balance") and (dialect, fault) not in LONG else 1
    endpoint = ENDPOINTS[dialect][CALLS.index(call)]
    after = counted("table")
    new = {key: count - before.get(key, 0) for key, count in after.items() if count != before.get(key, 0)}
    assert new == {(endpoint, expected): again}
    assert len(rig.calls) == (0 if fault == "refused" else again)
    assert len(rig.fake.orders) - orders <= (call == "order")
    assert state == ("open" if expected == "auth" else "closed")
    check_raised(error, expected, endpoint)
    found = everything.text()
    assert not {secret for secret in secrets_of(rig) if secret in found}


def check_raised(error, expected: str, endpoint: str) -> None:
    """The caller gets ccxt's own exception, or `OutcomeUnknown` with what it takes to ask."""
    if expected == "success":
        assert error is None
    elif expected == "ambiguous":
        assert isinstance(error, OutcomeUnknown)
        assert error.endpoint == endpoint
        assert error.at.utcoffset().total_seconds() == 0
        assert len(error.client_order_ids) == (error.method == "create_order")
        assert isinstance(error.__cause__, ccxt.BaseError)
    else:
        assert isinstance(error, ccxt.BaseError)


@pytest.mark.parametrize("mode", ["sync", "async"])
@pytest.mark.parametrize("dialect", list(EXPECTED))
def test_no_secret_in_verbose_output(dialect, mode, rig, capsys) -> None:
    """Also ccxt's own printing of requests and answers is clean."""
    rig = rig(dialect)
    rig.calls.clear()
    with rig.using(mode) as client:
        client.exchange.verbose = True
        try:
            rig.run(mode, client.fetch_balance)
            rig.fake.fail(FAULTS[dialect]["echo"])
            with contextlib.suppress(ccxt.BaseError, CircuitOpenError):
                rig.run(mode, client.fetch_balance)
        finally:
            client.exchange.verbose = False
    printed = capsys.readouterr().out
    assert "fetch Request" in printed
    assert not {secret for secret in secrets_of(rig) if secret in printed}
