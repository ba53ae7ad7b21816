"""What methods and requests are for."""

import ccxt
import ccxt.base.types
import pytest

from peak_observe.exchange_client import dialects, endpoints, order_ids
from peak_observe.exchange_client.dialects import kraken


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("fetch_ticker", "public"), ("fetch_tickers", "public"), ("fetch_ohlcv", "public"),
        ("fetch_order_book", "public"), ("fetch_order_books", "public"), ("fetch_trades", "public"),
        ("load_markets", "public"), ("fetch_funding_rate", "public"), ("fetch_status", "public"),
        ("fetch_balance", "private"), ("fetch_order", "private"), ("fetch_orders", "private"),
        ("fetch_open_orders", "private"), ("fetch_open_order", "private"), ("fetch_closed_orders", "private"),
        ("fetch_my_trades", "private"), ("fetch_positions", "private"), ("fetch_position", "private"),
        ("fetch_ledger", "private"), ("fetch_deposits", "private"), ("fetch_deposit_address", "private"),
        ("fetch_withdrawals", "private"), ("fetch_accounts", "private"), ("fetch_trading_fees", "private"),
        ("fetch_order_trades", "private"), ("fetch_transfers", "private"), ("fetch_open_interest", "public"),
    ],
)  # fmt: skip
def test_groups_of_reads(name: str, expected: str) -> None:
    """Market data is public, what belongs to the account is private."""
    assert endpoints.group(name) == expected
    assert endpoints.unified(name)
    assert not endpoints.writes(name)


@pytest.mark.parametrize(
    "name",
    [
        "create_order", "create_orders", "create_market_buy_order_with_cost", "edit_order", "cancel_order",
        "cancel_all_orders", "cancel_all_orders_after", "withdraw", "transfer", "set_leverage", "set_margin_mode",
        "add_margin", "reduce_margin", "borrow_cross_margin", "repay_cross_margin", "close_position",
        "close_all_positions", "create_deposit_address", "create_convert_trade", "sign_in",
    ],
)  # fmt: skip
def test_writes(name: str) -> None:
    """What changes something at the exchange."""
    assert endpoints.writes(name)
    assert endpoints.cancels(name) == name.startswith("cancel")


def test_every_method_of_ccxt_has_a_place() -> None:
    """Of its list of unified methods none is unknown but those of no exchange's own."""
    has = ccxt.Exchange().has
    methods = {endpoints.snake(name) for name in has} - {"public_api", "private_api"}
    methods = {name for name in methods if callable(getattr(ccxt.Exchange, name, None))}
    assert {name for name in methods if not endpoints.unified(name)} <= {"sign", "ws"}
    assert len(methods) > 100


@pytest.mark.parametrize(
    ("camel", "expected"),
    [
        ("fetchOHLCV", "fetch_ohlcv"), ("fetchOrderBook", "fetch_order_book"), ("fetch_ticker", "fetch_ticker"),
        ("publicGetTicker", "public_get_ticker"), ("createOrder", "create_order"),
    ],
)  # fmt: skip
def test_camel_case_is_understood(camel: str, expected: str) -> None:
    """Ccxt's documents write methods so."""
    assert endpoints.snake(camel) == expected


def test_labels_are_of_the_table() -> None:
    """Also for sections that nest, and for the plain strings of older versions."""
    assert endpoints.label("orders/{id}", ["private"], "GET") == "GET private/orders/{id}"
    assert endpoints.label("order", ["spot", "private"], "POST") == "POST spot/private/order"
    assert endpoints.label("Ticker", "public", "GET") == "GET public/Ticker"


def test_reads_of_kraken_are_no_writes() -> None:
    """Kraken takes everything private by POST; what its table lists besides orders, funds and keys only reads."""
    table = ccxt.kraken().describe()["api"]["private"]["post"]
    writes = {path for path in table if endpoints.is_write(path, ["private"], "POST")}
    assert {"AddOrder", "AmendOrder", "EditOrder", "CancelOrder", "CancelAll", "Withdraw", "WalletTransfer"} <= writes
    reads = {
        "Balance", "BalanceEx", "TradeBalance", "OpenOrders", "ClosedOrders", "QueryOrders", "TradesHistory",
        "QueryTrades", "OpenPositions", "Ledgers", "QueryLedgers", "TradeVolume", "DepositStatus", "WithdrawStatus",
        "WithdrawInfo", "DepositMethods",
    }  # fmt: skip
    assert not writes & reads


def test_what_is_not_known_to_read_is_a_write() -> None:
    """So that nothing is taken for sure that is not."""
    assert endpoints.is_write("order", ["private"], "DELETE")
    assert endpoints.is_write("v5/something/new", ["private"], "POST")
    assert not endpoints.is_write("order", ["private"], "GET")
    assert not endpoints.is_write("info", ["public"], "POST")


@pytest.mark.parametrize(
    ("params", "expected"),
    [
        ({"cl_ord_id": "a"}, ("a",)),
        ({"newClientOrderId": "b", "symbol": "X"}, ("b",)),
        ({"orders": [{"clOrdId": "c"}, {"clOrdId": "d"}]}, ("c", "d")),
        ([{"params": {"clientOrderId": "e"}}, {}], ("e",)),
        ({"symbol": "X"}, ()),
        ({"userref": 7}, ("7",)),
        ("nonsense", ()),
    ],
)
def test_client_order_ids_are_found(params: object, expected: tuple[str, ...]) -> None:
    """Under the names that exchanges give them."""
    assert endpoints.client_order_ids(params) == expected


@pytest.mark.parametrize(
    ("exchange", "form"),
    [
        ("kraken", r"[0-9a-f]{32}"),
        ("binance", r"[\w-]{1,36}"), ("gate", r"\w{1,28}"), ("hyperliquid", r"0x[0-9a-f]{32}"),
     ("bitvavo", r"[0-9a-f]{8}-([0-9a-f]{4}-){3}[0-9a-f]{12}"), ("bitfinex", r"\d{1,14}")],
)  # fmt: skip
def test_client_order_ids_have_the_exchanges_form(exchange: str, form: str) -> None:
    """And no two are the same."""
    import re

    first, second = order_ids.new(exchange), order_ids.new(exchange)
    assert re.fullmatch(form, str(first))
    assert first != second


@pytest.mark.parametrize(
    ("exchange", "section", "headers", "expected"),
    [
        ("binance", "private", {"x-mbx-used-weight-1m": "3000"}, 0.5),
        ("binance", "fapiPublic", {"x-mbx-used-weight-1m": "1200"}, 0.5),
        ("binance", "dapiPrivate", {"x-mbx-used-weight-1m": "2400"}, 1.0),
        ("binance", "sapi", {"x-sapi-used-ip-weight-1m": "1200"}, 0.1),
        ("bybit", "private", {"x-bapi-limit": "100", "x-bapi-limit-status": "25"}, 0.75),
        ("bitmex", "private", {"x-ratelimit-limit": "60", "x-ratelimit-remaining": "60"}, 0.0),
        ("kraken", "private", {"date": "x"}, None),
        ("binance", "public", {"x-mbx-used-weight-1m": "much"}, None),
        ("bybit", "private", {"x-bapi-limit": "0", "x-bapi-limit-status": "0"}, None),
    ],
)
def test_what_is_used_of_the_limit(exchange: str, section: str, headers: dict, expected: float | None) -> None:
    """From the headers of those that tell."""
    assert dialects.used_ratio(exchange, section, headers) == expected


def test_krakens_counter() -> None:
    """Private requests count, history twice, orders have a counter of their own, public ones are free."""
    cost = kraken.DIALECT.counter.cost
    assert (cost("private", "BalanceEx"), cost("private", "Ledgers"), cost("private", "AddOrder")) == (1.0, 2.0, 0.0)
    assert cost("public", "Ticker") == 0.0
