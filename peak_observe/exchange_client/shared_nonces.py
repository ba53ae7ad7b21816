"""Nonces of an exchange's keys, each higher than all that any process sent."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from peak_observe.safety.single_instance import CREDENTIALS

if TYPE_CHECKING:
    from peak_observe.coordination.joinable import Joinable


class SharedNonces:
    """Nonces of the keys of one exchange.

    Args:
        shared: What the processes share.
        exchange: ccxt's id of the exchange.
    """

    def __init__(self, shared: Joinable, exchange: str) -> None:
        self._shared = shared
        self._exchange = exchange

    def __deepcopy__(self, memo: dict[int, Any]) -> SharedNonces:
        return self

    def after(self, exchange: Any, own: int) -> int:
        """Return the nonce of a request for which the exchange object alone would take `own`."""
        key = next((found for field in CREDENTIALS if (found := getattr(exchange, field, None))), "")
        return self._shared.nonce(f"{self._exchange} {key}", least=own)
