"""Client order ids: which exchanges take one, in which parameter and form, and which ids a signed request carries.

The table was found by experiment with ccxt's own signers and is held by tests. Two names matter for each exchange: the
parameter that ccxt reads from `params`, and the fields in which ids travel.
"""

from __future__ import annotations

import base64
import json
import re
import secrets
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, unquote, urlsplit

from peak_observe.exchange_client.reviews import lineage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

UNIFIED = "clientOrderId"
"""The parameter's name in ccxt's documents, which not every class of it reads."""


def _hex() -> str:
    return uuid.uuid4().hex


def _uuid() -> str:
    return str(uuid.uuid4())


def _cloid() -> str:
    return f"0x{uuid.uuid4().hex}"


def _short() -> str:
    return uuid.uuid4().hex[:20]


def _gate() -> str:
    return f"t-{uuid.uuid4().hex[:26]}"  # 28 characters at most; ccxt would put the prefix before it otherwise


def _below(bits: int, *, least: int = 1) -> Callable[[], int]:
    return lambda: least + secrets.randbelow(2**bits - 1)


_int31, _int45, _int53 = _below(31), _below(45), _below(53)
_upper64 = _below(63, least=2**63)  # the lower half belongs to the exchange's own pages


@dataclass(frozen=True, slots=True)
class OrderIdFormat:
    """Format of an exchange's client order ids.

    Attributes:
        parameter: The key of `params` under which ccxt's class sends one.
        make: Makes a new one that the exchange accepts.
        fields: The names under which ids travel in its requests.
    """

    parameter: str
    make: Callable[[], str | int]
    fields: frozenset[str]


# Exchange: parameter, form, fields on the wire. Those which are not here take no client id, or (dydx) hide it in bytes.
_TABLE: dict[str, tuple[str, Callable[[], str | int], str]] = {
    "alpaca": (UNIFIED, _hex, "client_order_id"),
    "apex": (UNIFIED, _hex, "clientId clientOrderId"),
    "ascendex": (UNIFIED, _hex, "id"),
    "aster": (UNIFIED, _hex, "newClientOrderId origClientOrderId"),
    "backpack": (UNIFIED, _int31, "clientId"),
    "bigone": (UNIFIED, _hex, "client_order_id"),
    "binance": (
        UNIFIED,
        _hex,
        (
            "newClientOrderId newClientStrategyId clientAlgoId clientOrderId origClientOrderId cancelOrigClientOrderId "
            "origClientOrderIdList"
        ),
    ),
    "bingx": (UNIFIED, _hex, "newClientOrderId clientOrderID clientOrderId clientOrderIDs"),
    "bitfinex": (UNIFIED, _int45, "cid"),
    "bitget": (UNIFIED, _hex, "clientOid"),
    "bithumb": (UNIFIED, _hex, "client_order_id"),
    "bitmart": (UNIFIED, _hex, "client_order_id clientOrderId"),
    "bitmex": (UNIFIED, _hex, "clOrdID origClOrdID"),
    "bitopro": ("clientId", _int31, "clientId"),
    "bitrue": (UNIFIED, _hex, "newClientOrderId clientOrderId"),
    "bitso": ("origin_id", _hex, "origin_id origin_ids"),
    "bitstamp": (UNIFIED, _hex, "client_order_id"),
    "bittrade": (UNIFIED, _hex, "client-order-id"),
    "bitvavo": (UNIFIED, _uuid, "clientOrderId"),
    "blockchaincom": (UNIFIED, _short, "clOrdId"),
    "blofin": (UNIFIED, _hex, "clientOrderId"),
    "btcmarkets": (UNIFIED, _hex, "clientOrderId"),
    "btcturk": (UNIFIED, _hex, "newClientOrderId"),
    "btse": (UNIFIED, _hex, "clOrderId clOrderID"),
    "bullish": (UNIFIED, _int53, "clientOrderId"),
    "bybit": (UNIFIED, _hex, "orderLinkId"),
    "bydfi": (UNIFIED, _hex, "clientOrderId"),
    "cex": (UNIFIED, _hex, "clientOrderId"),
    "coinbase": ("client_order_id", _uuid, "client_order_id"),
    "coinbaseexchange": (UNIFIED, _uuid, "client_oid"),
    "coinbaseinternational": (UNIFIED, _hex, "label"),
    "coincatch": (UNIFIED, _hex, "clientOid"),
    "coinex": (UNIFIED, _hex, "client_id"),
    "coinmate": (UNIFIED, _int53, "clientOrderId"),
    "coinone": ("user_order_id", _hex, "user_order_id"),
    "coinsph": ("newClientOrderId", _hex, "newClientOrderId origClientOrderId"),
    "cryptocom": ("client_oid", _hex, "client_oid"),
    "cryptomus": (UNIFIED, _hex, "client_order_id"),
    "deepcoin": (UNIFIED, _short, "clOrdId"),
    "defx": (UNIFIED, _hex, "newClientOrderId"),
    "delta": (UNIFIED, _hex, "client_order_id"),
    "deribit": ("label", _hex, "label"),
    "derive": (UNIFIED, _hex, "label"),
    "exmo": (UNIFIED, _int31, "client_id"),
    "extended": (UNIFIED, _hex, "id"),
    "foxbit": (UNIFIED, _int53, "client_order_id"),
    "gate": (UNIFIED, _gate, "text"),
    "gemini": (UNIFIED, _hex, "client_order_id"),
    "grvt": (UNIFIED, _upper64, "client_order_id"),
    "hashkey": (UNIFIED, _hex, "newClientOrderId clientOrderId"),
    "hitbtc": ("client_order_id", _hex, "client_order_id"),
    "htx": (UNIFIED, _int53, "client-order-id client_order_id algo_client_order_id clientOrderId"),
    "hyperliquid": (UNIFIED, _cloid, "c cloid"),
    "independentreserve": ("clientId", _hex, "clientId"),
    "indodax": ("client_order_id", _hex, "client_order_id"),
    "kraken": (UNIFIED, _hex, "cl_ord_id userref"),
    "krakenfutures": (UNIFIED, _uuid, "cliOrdId"),
    "kucoin": (UNIFIED, _hex, "clientOid cancelClientOids"),
    "latoken": (UNIFIED, _hex, "clientOrderId"),
    "lbank": (UNIFIED, _hex, "custom_id"),
    "lighter": (UNIFIED, _below(48), "ClientOrderIndex client_order_index"),
    "luno": ("client_order_id", _hex, "client_order_id"),
    "mexc": (UNIFIED, _hex, "newClientOrderId origClientOrderId externalOid clientOrderId"),
    "modetrade": (UNIFIED, _hex, "client_order_id"),
    "ndax": (UNIFIED, _int53, "ClientOrderId"),
    "okcoin": (UNIFIED, _hex, "clOrdId"),
    "okx": (UNIFIED, _hex, "clOrdId algoClOrdId"),
    "onetrading": (UNIFIED, _uuid, "client_id"),
    "pacifica": (UNIFIED, _uuid, "client_order_id"),
    "paradex": (UNIFIED, _hex, "client_id"),
    "phemex": (UNIFIED, _hex, "clOrdID"),
    "poloniex": (UNIFIED, _hex, "clientOrderId clOrdId clientOrderIds"),
    "polymarket": (UNIFIED, _hex, "c coid coids"),
    "probit": (UNIFIED, _hex, "client_order_id"),
    "revolutx": (UNIFIED, _uuid, "client_order_id"),
    "timex": (UNIFIED, _hex, "clientOrderId"),
    "tokocrypto": (UNIFIED, _hex, "clientId"),
    "toobit": ("newClientOrderId", _hex, "newClientOrderId origClientOrderId clientOrderId"),
    "upbit": (UNIFIED, _hex, "identifier"),
    "weex": (UNIFIED, _hex, "newClientOrderId clientAlgoId origClientOrderId"),
    "whitebit": (UNIFIED, _hex, "clientOrderId"),
    "woo": (UNIFIED, _int53, "clientOrderId clientAlgoOrderId client_order_id"),
    "woofipro": (UNIFIED, _hex, "client_order_id"),
    "xt": (UNIFIED, _hex, "clientOrderId"),
    "zebpay": (UNIFIED, _uuid, "clientOrderId"),
}


def order_id_format(exchange: str) -> OrderIdFormat | None:
    """Return how an exchange takes client order ids, None if it takes none.

    Args:
        exchange: ccxt's id; `reviews.ccxt_id` finds that of a class.
    """
    for name in lineage(exchange):
        if name in _TABLE:
            parameter, make_id, fields = _TABLE[name]
            return OrderIdFormat(parameter, make_id, frozenset(fields.split()))
    return None


def supported(exchange: str) -> bool:
    """Return whether an order at an exchange can carry a client order id."""
    return order_id_format(exchange) is not None


def parameter(exchange: str) -> str | None:
    """Return the key of `params` under which ccxt sends a client order id, None where there is none."""
    found = order_id_format(exchange)
    return found.parameter if found else None


def make(exchange: str) -> str | int:
    """Return a new client order id that fits an exchange.

    Raises:
        ValueError: It takes none.
    """
    found = order_id_format(exchange)
    if found is None:
        raise ValueError(f"{exchange} takes no client order ids")
    return found.make()


def identified(
    params: Mapping[str, Any] | None, *, exchange: str, new_id: Callable[[], str | int] | None = None
) -> dict[str, Any]:
    """Return the parameters of an order with a client order id that will reach the exchange.

    An id under any name that the exchange knows stays as it is. One under `clientOrderId`, which ccxt drops for some
    exchanges, moves to the name that is sent. The parameters given are not changed.

    Args:
        params: What the caller gave.
        exchange: ccxt's id. One that takes no ids gets the parameters back as they were.
        new_id: Makes an id where there is none; by the exchange's rules if not given.
    """
    found = order_id_format(exchange)
    kept = dict(params or {})
    if found is None:
        return kept
    heard = {found.parameter, *found.fields} - ({UNIFIED} - {found.parameter})
    if any(_is_id(kept.get(name)) for name in heard):
        return kept
    if not _is_id(kept.get(UNIFIED)):
        return {**kept, found.parameter: (new_id or found.make)()}
    kept[found.parameter] = kept.pop(UNIFIED) if found.parameter != UNIFIED else kept[UNIFIED]
    return kept


# Where ccxt sends an id under one name, by which it cannot be looked up, and the exchange takes it under another.
_REPEATED = {"okx": {"trade/order-algo": ("clOrdId", "algoClOrdId")}}


def repeated_names(exchange: str) -> dict[str, tuple[str, str]]:
    """Return the name that ccxt sends a client order id under, and the one to repeat it under, by the path.

    Args:
        exchange: ccxt's id.
    """
    return next((_REPEATED[name] for name in lineage(exchange) if name in _REPEATED), {})


def ids_on_the_wire(url: str, headers: Any, body: Any, *, exchange: str, path: str = "") -> tuple[str, ...]:
    """Return the client order ids that a signed request carries, each once, in their order.

    They are looked for in the path, the query string, the body (form or JSON, nested and batched) and payload headers.

    Args:
        url: What ccxt's `sign` returned, as the two that follow.
        headers: Its headers.
        body: Its body.
        exchange: ccxt's id, whose names count.
        path: The path in ccxt's table with names in braces, for ids that are part of the URL.
    """
    known = order_id_format(exchange)
    if known is None:
        return ()
    found: dict[str, None] = dict.fromkeys(_in_path(url, path, known.fields))
    for part in (parse_qsl(urlsplit(url).query), _content(body), *_payloads(headers)):
        found |= dict.fromkeys(_ids(part, known.fields))
    return tuple(found)


def _is_id(value: Any) -> bool:
    return isinstance(value, str | int) and not isinstance(value, bool) and value not in ("", 0, "0")


def _in_path(url: str, path: str, fields: frozenset[str]) -> Iterator[str]:
    parts = re.split(r"{([\w-]+)}", path)
    if fields.isdisjoint(parts[1::2]):
        return
    match = re.search(f"/{'([^/?]+)'.join(map(re.escape, parts[::2]))}(?:[?]|$)", url)
    values = match.groups() if match else ()
    yield from (unquote(value) for name, value in zip(parts[1::2], values, strict=False) if name in fields)


def _content(body: Any) -> Any:
    text = body.decode("utf-8", "replace") if isinstance(body, bytes) else body
    if not isinstance(text, str):
        return text
    parsed = _json(text)
    return parse_qsl(text) if parsed is None else parsed


def _json(text: str) -> Any:
    text = unquote(text) if text[:3].upper() in ("%5B", "%7B") else text
    if text[:1] not in ("{", "["):
        return None
    try:
        return json.loads(text)
    except ValueError:
        return None


def _payloads(headers: Any) -> Iterator[Any]:
    """Yield what Gemini and Coinone send as base64 in a header."""
    for name, value in headers.items() if isinstance(headers, dict) else ():
        if str(name).lower().endswith("payload"):
            try:
                yield _content(base64.b64decode(value))
            except ValueError:
                continue


def _ids(node: Any, fields: frozenset[str]) -> Iterator[str]:
    if isinstance(node, dict):
        for name, value in node.items():
            yield from _of_field(str(name), value, fields)
    elif isinstance(node, tuple):  # a pair of a query string, whose name may be that of a list: orders[0][clOrdId]
        yield from _of_field((re.findall(r"[\w-]+", node[0]) or [""])[-1], node[1], fields)
    elif isinstance(node, list):
        for item in node:
            yield from _ids(item, fields)


def _of_field(name: str, value: Any, fields: frozenset[str]) -> Iterator[str]:
    parsed = _json(value) if isinstance(value, str) else value
    if name in fields and _is_id(value) and parsed in (None, value):
        yield str(value)
    elif name in fields and isinstance(parsed, list):
        yield from (str(item) for item in parsed if _is_id(item))
        yield from _ids([item for item in parsed if not _is_id(item)], fields)
    else:
        yield from _ids(parsed, fields)
