"""Checks of answers that ccxt takes for good: whether they hold what was asked for.

`misshapen` looks at the answer itself and knows the exchange's envelope, `unanswered` at the unified result that ccxt
made of it. Both return the problem in a few words, or nothing.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from peak_observe.exchange_client import dialects

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from peak_observe.exchange_client.classify import Answer
    from peak_observe.exchange_client.dialects import Dialect

_NO_CONTENT = (204, 205)
_OFTEN_EMPTY = ("ping", "userdatastream", "listenkey", "test")
_EMPTY_CONFIRMATIONS = ("blockchaincom", "hibachi")
_BEGINNINGS = {"<": "a page of HTML", "{": "cut off JSON", "[": "cut off JSON"}


def misshapen(
    parsed: object,
    *,
    answer: Answer,
    exchange: str = "",
    path: str = "",
    method: str = "GET",
    write: bool | None = None,
    public: bool = False,
) -> str:
    """Return what is wrong with the shape of an answer that ccxt took for good; nothing if it is sound.

    Args:
        parsed: What ccxt made of the body: a dictionary or a list if it was JSON.
        answer: The answer itself.
        exchange: ccxt's id of the exchange.
        path: The endpoint's path in ccxt's table.
        method: The HTTP method.
        write: Whether the request was to change something; by the method if not given.
        public: Whether it asked for what everybody may know, so that there is always something to answer.
    """
    dialect = dialects.of(exchange)
    if isinstance(parsed, list):
        return ""
    if isinstance(parsed, dict):
        if not parsed:
            return "" if _may_be_empty(dialect, exchange, path, method) else "an empty object"
        reads = method == "GET" if write is None else not write
        return _lacking(dialect, parsed, public=public) if reads else ""
    return _textual(dialect, answer, path)


def _lacking(dialect: Dialect, parsed: Mapping[str, Any], *, public: bool) -> str:
    key = dialect.container
    if key and key not in parsed:
        return f"an answer without {key!r}"
    # An empty list is an answer, and so is an empty account.
    return f"an empty {key!r}" if key and public and parsed[key] in (None, {}) else ""


def _textual(dialect: Dialect, answer: Answer, path: str) -> str:
    body = answer.body.strip()
    if not body:
        return "" if answer.status in _NO_CONTENT else "an empty body"
    if body == "null":
        return "nothing but null"
    if body[0] in _BEGINNINGS:
        return _BEGINNINGS[body[0]]
    if dialect is dialects.GENERAL or _end(path).startswith(dialect.plain or "\n"):
        return ""
    return "no JSON"


def _may_be_empty(dialect: Dialect, exchange: str, path: str, method: str) -> bool:
    end = _end(path)
    if end in _OFTEN_EMPTY or (dialect.empty and end.endswith(dialect.empty)):
        return True
    return method != "GET" and exchange in _EMPTY_CONFIRMATIONS


def _end(path: str) -> str:
    return path.rpartition("/")[2].lower()


_NEW_ORDER = re.compile(r"(?:create|edit)_(?:\w+_)?order(?:_with_\w+|_ws)?")
_NEW_ORDERS = re.compile(r"(?:create|edit)_(?:\w+_)?orders(?:_ws)?")
_NO_IDS = frozenset(("null", "none", "undefined", "true", "false", "ok", "success", "nan", "0"))
_ID = re.compile(r"[A-Za-z0-9][\w:.\-/+=]*")
_PRICES = ("last", "close", "bid", "ask", "open", "high", "low", "markPrice", "indexPrice", "vwap")
_NO_ORDER = "the answer names no order"
_MOVES = ("withdraw", "withdraw_ws", "transfer")


def check_of(method: str) -> Callable[[object], str] | None:
    """Return the check of a unified method's results, None if any result may be an answer.

    The check returns what a result lacks of what was asked for, and nothing if it is an answer. After a write the
    problem means that its fate is unknown, after a read that the answer is bad. A rehearsal of an order (`test` or
    `validate` in its params) has no id and is not to be checked.

    Args:
        method: The unified method in snake case.
    """
    if _NEW_ORDER.fullmatch(method) or method == "fetch_order":
        return _check_order
    if _NEW_ORDERS.fullmatch(method):
        return _check_orders
    if method in _MOVES:
        return _check_move
    return _check_ticker if method == "fetch_ticker" else None


def unanswered(method: str, result: object) -> str:
    """Return what a unified result lacks of what was asked for; see `check_of`."""
    check = check_of(method)
    return check(result) if check else ""


def missing_orders(method: str, result: object, asked: object) -> str:
    """Return the problem if an answer to a batch names fewer orders than were sent, nothing otherwise.

    Args:
        method: The unified method in snake case.
        result: What ccxt made of the answer.
        asked: The orders.
    """
    if not _NEW_ORDERS.fullmatch(method) or not isinstance(asked, list | tuple) or not isinstance(result, list):
        return ""
    return f"the answer names {len(result)} of {len(asked)} orders" if len(result) < len(asked) else ""


def _check_order(result: object) -> str:
    return "" if isinstance(result, dict) and is_order_id(result.get("id")) else _NO_ORDER


def _check_orders(result: object) -> str:
    return "" if isinstance(result, list) and result and all(map(_is_settled, result)) else _NO_ORDER


def _check_move(result: object) -> str:
    # Many exchanges confirm a withdrawal or transfer without an id, none by a single word.
    if isinstance(result, dict) and (is_order_id(result.get("id")) or _is_confirmation(result.get("info", result))):
        return ""
    return "the answer confirms nothing"


def _is_confirmation(answer: object) -> bool:
    return isinstance(answer, dict | list) and bool(answer)


def _check_ticker(result: object) -> str:
    return "" if isinstance(result, dict) and _tells_a_price(result) else "a ticker without a price"


def is_order_id(value: object) -> bool:
    """Return whether a value may be the id of an order, and not a word that got into its place."""
    if isinstance(value, bool) or not isinstance(value, str | int):
        return False
    text = str(value)
    return text.lower() not in _NO_IDS and _ID.fullmatch(text) is not None


def _is_settled(order: object) -> bool:
    # A batch names the orders that it refused, which have no id.
    return isinstance(order, dict) and (is_order_id(order.get("id")) or order.get("status") in ("rejected", "canceled"))


def _tells_a_price(ticker: Mapping[str, Any]) -> bool:
    # A market in which nobody trades has no prices either, but the exchange says something of it.
    return bool(ticker.get("info")) or any(ticker.get(price) is not None for price in _PRICES)
