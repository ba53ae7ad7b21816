"""What a request or a method of ccxt is for: its label, its group, and whether it changes something."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

PUBLIC, PRIVATE, TRADE = "public", "private", "trade"
GROUPS = (PUBLIC, PRIVATE, TRADE)
"""Each has a breaker of its own: prices may fail while orders still go through, and the other way round."""

_CANCEL = re.compile(r"cancel_")
_WRITE = re.compile(
    r"(add_margin|borrow_|cancel_|close_(all_)?position|create_|edit_|reduce_margin|repay_|set_|sign_in|transfer|"
    r"withdraw|deposit$|enable_|redeem_|subscribe_|upgrade_)",
)
_READ = re.compile(r"(fetch_|load_|watch_|un_watch_)")
_PRIVATE = re.compile(
    r"(fetch|watch)_(accounts?|adl_rank|balance|borrow_(interest|rate)|bor?rowing|canceled_|cancel_all|closed_|"
    r"conversion|convert_trade|cross_borrow|crypto_loan|deposit|free_balance|funding_history|isolated_borrow|ledger|"
    r"leverage(s)?$|margin_(adjustment|mode)|my_|open_orders?|order(?!_?book)|orders|partial_balance|portfolio|"
    r"position(?!s?_a)|positions?_(risk|mode|history)|total_balance|trading_fees?|transactions?|transfers?|"
    r"underlying_assets|used_balance|withdrawals?)",
)
_LOCAL_CREATE = frozenset(("create_expired_option_market", "create_safe_dictionary", "set_markets", "set_sandbox_mode"))

_READ_PATH = re.compile(
    r"(?i)(^|[/_-])(balances?|get|query|list|fetch|info|history|status|search|open|closed|positions?|ledgers?)"
    r"([/_-]|$)|^(get|query|open|closed|list|retrieve)[A-Z]|"
    r"(history|status|info|methods|addresses|strategies|allocations|amends)$|^(balance|ledgers|trade(balance|volume))",
)
_CLIENT_ORDER_IDS = (
    "clientOrderId", "cl_ord_id", "newClientOrderId", "clOrdId", "clOrdID", "clOrdid", "clientOid", "client_oid",
    "client_order_id", "client-order-id", "client_id", "orderLinkId", "origClientOrderId", "customerOrderId",
    "custom_id", "cloid", "cid", "text", "label", "userref",
)  # fmt: skip


def snake(name: str) -> str:
    """Return a method's name as Python writes it: `fetchOrderBook` is `fetch_order_book`."""
    name = name.replace("OHLCV", "Ohlcv")
    return re.sub(r"(?<=[a-z0-9])([A-Z])", r"_\1", name).lower()


def label(path: str, api: str | Iterable[str], method: str) -> str:
    """Return the endpoint of a request by ccxt's table: `GET public/Ticker`; ids are still names in braces there."""
    sections = api if isinstance(api, str) else "/".join(map(str, api))
    return f"{method} {sections}/{path}"


def section(api: str | Iterable[str]) -> str:
    """Return the part of the interface that a request belongs to."""
    return api if isinstance(api, str) else next(iter(api), "")


def is_write(path: str, api: str | Iterable[str], method: str) -> bool:
    """Return whether a request may change something; what is not known to read does."""
    return method != "GET" and "ublic" not in section(api) and not _READ_PATH.search(path)


def group(name: str) -> str:
    """Return the group of a method that is no write: whose breaker it passes."""
    return PRIVATE if _PRIVATE.match(name) else PUBLIC


def writes(name: str) -> bool:
    """Return whether a unified method changes something."""
    return bool(_WRITE.match(name)) and name not in _LOCAL_CREATE


def cancels(name: str) -> bool:
    """Return whether a unified method cancels orders, which no open circuit may prevent."""
    return bool(_CANCEL.match(name))


def unified(name: str) -> bool:
    """Return whether a method asks the exchange, by its name."""
    return bool(_READ.match(name)) or writes(name)


def client_order_ids(params: Any) -> tuple[str, ...]:
    """Return the client order ids of a request: its own, or those of a list of orders in it."""
    if isinstance(params, list | tuple):
        return tuple(found for item in params for found in client_order_ids(item))
    if not isinstance(params, dict):
        return ()
    own = _own(params)
    nested = params.get("params")
    return own or client_order_ids(nested) or client_order_ids(params.get("orders"))


def _own(params: Mapping[str, Any]) -> tuple[str, ...]:
    return next(((str(params[key]),) for key in _CLIENT_ORDER_IDS if params.get(key) not in (None, "")), ())
