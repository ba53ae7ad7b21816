"""What methods and requests are for."""

import pytest

from peak_observe.exchange_client import dialects, endpoints
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
        ("sign_in", "private"),
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
        "create_order", "create_orders", "create_market_buy_order_with_cost", "create_order_ws", "create_orders_ws",
        "edit_order", "edit_order_ws", "edit_orders", "withdraw", "withdraw_ws", "transfer", "transfer_in",
        "transfer_out",
        "futures_transfer", "set_leverage", "set_margin_mode", "add_margin", "reduce_margin", "modify_margin_helper",
        "borrow_cross_margin", "repay_cross_margin", "close_position", "close_all_positions", "create_deposit_address",
        "create_convert_trade", "create_vault", "create_sub_account", "enable_user_dex_abstraction", "redeem_gift_code",
        "mint_tokenized_asset", "redeem_tokenized_asset", "approve_builder_fee", "deposit", "onboarding",
        "convert_currency_network",
        "revoke_api_key", "upgrade_unified_trade_account", "accept_rfq_quote",
    ],
)  # fmt: skip
def test_writes(name: str) -> None:
    """What changes something at the exchange passes the circuit for trading, and cancels nothing."""
    assert endpoints.writes(name)
    assert endpoints.unified(name)
    assert endpoints.judged(name)
    assert not endpoints.cancels(name)
    assert endpoints.group(name) == "trade"


@pytest.mark.parametrize(
    "name",
    [
        "cancel_order",
        "cancel_orders",
        "cancel_all_orders",
        "cancel_all_orders_after",
        "cancel_order_ws",
        "cancel_twap_order",
    ],
)
def test_cancels(name: str) -> None:
    """They change something, too."""
    assert endpoints.cancels(name)
    assert endpoints.writes(name)


@pytest.mark.parametrize(
    "name",
    [
        "watch_ticker",
        "un_watch_ticker",
        "watch_balance",
        "fetch_ticker_ws",
        "fetch_balance_ws",
        "subscribe",
        "authenticate",
    ],
)
def test_streams(name: str) -> None:
    """What reads over a websocket passes no circuit and is not retried."""
    assert endpoints.streams(name)
    assert not endpoints.unified(name)
    assert not endpoints.writes(name)


@pytest.mark.parametrize(
    "name",
    [
        "set_sandbox_mode", "set_markets", "enable_demo_trading", "create_expired_option_market",
        "create_order_request",
        "edit_orders_request", "fetch_order_request", "set_take_profit_and_stop_loss_params", "parse_order",
        "describe", "fetch",
        "fetch2", "request", "close", "sign", "market", "price_to_precision",
    ],
)  # fmt: skip
def test_what_sends_nothing_is_not_protected(name: str) -> None:
    """Though its name may begin like a write's; nor is the step on which all requests go."""
    assert not endpoints.unified(name)
    assert not endpoints.writes(name)
    assert not endpoints.streams(name)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("stake_all", "trade"), ("place_bracket", "trade"), ("set_something_new", "trade"), ("cancel_everything",
        "trade"),
        ("fetch_something_new", "private"),
    ],
)  # fmt: skip
def test_methods_that_nobody_judged_go_by_their_first_word(name: str, expected: str) -> None:
    """A newer ccxt's, and those of a class that somebody derived."""
    assert not endpoints.judged(name)
    assert endpoints.unified(name)
    assert endpoints.group(name) == expected
    assert endpoints.writes(name) == (expected == "trade")


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


@pytest.mark.parametrize(
    ("exchange", "label"),
    [
        ("deribit", "GET private/buy"), ("deribit", "GET private/sell"), ("deribit", "GET private/withdraw"),
        ("deribit", "GET private/edit"), ("deribit", "GET private/close_position"), ("deribit",
        "GET private/mass_quote"),
        ("deribit", "GET private/submit_transfer_to_user"), ("deribit", "GET private/toggle_subaccount_login"),
        ("coinbaseinternational", "GET private/buy"), ("dydx", "GET nodeRpc/broadcast_tx_sync"),
        ("lighter", "POST public/sendTx"), ("lighter", "POST public/sendTxBatch"), ("hyperliquid",
        "POST private/exchange"),
        ("bybit", "POST private/v5/position/add-margin"), ("bybit", "POST private/v5/order/create"),
        ("bybiteu", "POST private/v5/order/create"), ("okx", "POST private/account/position/margin-balance"),
        ("okx", "POST private/trade/close-position"), ("okx", "GET private/asset/deposit-lightning"),
        ("myokx", "POST private/trade/order"), ("bitget", "POST private/mix/v2/mix/order/close-positions"),
        ("phemex", "GET private/exchange/wallets/confirm/withdraw"), ("ndax", "GET public/ConfirmWithdraw"),
        ("kraken", "POST private/AddOrder"), ("kraken", "POST private/WalletTransfer"), ("kraken",
        "POST private/CancelAll"),
        ("kraken", "POST private/DepositAddresses"), ("binance", "DELETE private/order"),
        ("binanceusdm", "POST fapiPrivate/order"), ("binanceus", "POST sapi/otc/orders"),
        ("gate", "POST private/futures/{settle}/dual_comp/positions/{contract}/margin"),
        ("bitget", "POST private/spot/spot/v1/trade/orders"), ("bithumb", "POST private/trade/place"),
        ("whitebit", "POST v4/private/main-account/codes"), ("coinone", "POST private/transaction/btc"),
    ],
)  # fmt: skip
def test_what_changes_something_is_a_write(exchange: str, label: str) -> None:
    """By any HTTP method, in any section, and where a read's words are in its path."""
    assert endpoints.effect(label, exchange=exchange) == endpoints.WRITE
    assert endpoints.is_write(label, exchange=exchange)


@pytest.mark.parametrize(
    ("exchange", "label"),
    [
        ("kraken", "POST private/Balance"), ("kraken", "POST private/OpenOrders"), ("kraken", "POST private/Ledgers"),
        ("kraken", "POST private/WithdrawStatus"), ("kraken", "POST private/TradesHistory"), ("kraken",
        "GET public/Ticker"),
        ("hyperliquid", "POST public/info"), ("bitfinex", "POST private/auth/r/wallets"), ("deribit",
        "GET private/get_positions"),
        ("deribit", "GET public/ticker"), ("binance", "GET private/order"), ("binanceusdm",
        "GET fapiPrivate/openOrders"),
        ("binance", "GET sapi/asset/transfer"), ("okxus", "GET private/trade/orders-pending"), ("kucoin",
        "POST public/bullet-public"),
        ("htx", "POST contract/private/swap-api/v1/swap_position_info"), ("cryptocom",
        "POST v1/private/private/get-open-orders"),
    ],
)  # fmt: skip
def test_what_only_reads_is_none(exchange: str, label: str) -> None:
    """Though some exchanges take questions by POST."""
    assert endpoints.effect(label, exchange=exchange) == "read"
    assert not endpoints.is_write(label, exchange=exchange)


@pytest.mark.parametrize("label", ["GET public/v9/ticker", "POST private/v9/query", "DELETE order"])
@pytest.mark.parametrize("exchange", ["binance", "nowhere"])
def test_what_nobody_judged_is_a_write(exchange: str, label: str) -> None:
    """So that nothing is taken for sure that is not."""
    assert endpoints.effect(label, exchange=exchange) is None
    assert endpoints.is_write(label, exchange=exchange)


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
