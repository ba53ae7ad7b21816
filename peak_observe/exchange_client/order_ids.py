"""Client order ids in the form that each exchange takes, so that an order can be asked for whose answer got lost."""

from __future__ import annotations

import secrets
import uuid
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

# 32 hexadecimal digits suit most exchanges, Kraken and Binance among them; these want something else.
_FORMS: dict[str, Callable[[], str | int]] = {
    "bitfinex": lambda: secrets.randbelow(2**45),
    "bitvavo": lambda: str(uuid.uuid4()),
    "gate": lambda: uuid.uuid4().hex[:26],
    "gateio": lambda: uuid.uuid4().hex[:26],
    "hyperliquid": lambda: f"0x{uuid.uuid4().hex}",
}


def new(exchange: str) -> str | int:
    """Return a new client order id for an exchange by ccxt's id."""
    return _FORMS.get(exchange, lambda: uuid.uuid4().hex)()
