"""Series of the endpoints by which orders go, made before the first order so that `increase` sees the first lost one.

The endpoints are read from the code of ccxt's own methods: `create_order` of Kraken names `private_post_addorder`.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

from peak_observe.exchange_client import endpoints
from peak_observe.exchange_client.reviews import ccxt_id

if TYPE_CHECKING:
    from collections.abc import Iterator

    from peak_observe.exchange_client.exchange_state import ExchangeState

METHODS = ("create_order", "create_orders", "edit_order", "cancel_order", "cancel_all_orders", "withdraw", "transfer")


def make_series(state: ExchangeState, kind: type) -> None:
    """Make the series of a ccxt class's orders, cancels and withdrawals at 0, in all outcomes."""
    for entry in write_entries(kind):
        state.endpoint(entry.path, entry.api, entry.method)


@cache
def write_entries(kind: type) -> tuple[Any, ...]:
    """Return the entries of ccxt's table that change something and that its methods for orders may use."""
    exchange, found = ccxt_id(kind), {}
    for entry in _entries(kind):
        label = endpoints.label(entry.path, entry.api, entry.method)
        if endpoints.is_write(label, exchange=exchange):
            found[label] = entry
    return tuple(found.values())


def _entries(kind: type) -> Iterator[Any]:
    seen: set[str] = set()
    ahead = list(METHODS)
    while ahead:
        name = ahead.pop()
        if name in seen:
            continue
        seen.add(name)
        entry = entry_of(kind, name)
        if entry is not None:
            yield entry
        else:
            ahead += _names_in(kind, name)


def _names_in(kind: type, method: str) -> Iterator[str]:
    # A class derived by somebody else may call the method of ccxt's own class.
    for base in kind.__mro__:
        code = getattr(vars(base).get(method), "__code__", None)
        yield from code.co_names if code else ()


def entry_of(kind: type, name: str) -> Any:
    """Return the entry of ccxt's table behind a method such as `public_get_ticker`, None for any other."""
    for base in kind.__mro__:
        found = vars(base).get(name)
        if all(hasattr(found, part) for part in ("path", "api", "method")):
            return found
        # In front of an entry ccxt itself puts the entry's function, when it makes aliases in camel case.
        if found is not None and getattr(found, "__name__", "") != "unbound_method":
            return None
    return None
