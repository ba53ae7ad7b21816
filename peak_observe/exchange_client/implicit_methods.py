"""Implicit methods of ccxt, which it makes of its table of endpoints: `private_post_addorder`."""

from __future__ import annotations

from typing import Any


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
