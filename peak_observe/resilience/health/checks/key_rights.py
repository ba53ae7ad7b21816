"""Rights of an API key as exchanges tell them: permissions, expiry, and whether it is bound to addresses."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

READ, TRADE, TRANSFER, WITHDRAW = PERMISSIONS = ("read", "trade", "transfer", "withdraw")
"""What a key may do: look, send orders, move funds within the exchange, and move them out of it."""


@dataclass(frozen=True, slots=True)
class KeyRights:
    """Rights of an API key.

    Args:
        permissions: True or False for each of `PERMISSIONS`.
        ip_bound: Whether it works from named addresses only.
        expires: Unix time when it, or its right to trade, expires; None for never.
    """

    permissions: Mapping[str, bool]
    ip_bound: bool
    expires: float | None


class Question(NamedTuple):
    """Question to an exchange about the key that asks: ccxt's method, and what reads the answer."""

    method: str
    read: Callable[[Mapping[str, Any]], KeyRights]


_BINANCE_TRADES = (
    *("enableSpotAndMarginTrading", "enableMargin", "enableFutures", "enableVanillaOptions"),
    *("enablePortfolioMarginTrading", "enableFixApiTrade"),
)


def binance(answer: Mapping[str, Any]) -> KeyRights:
    """Read the answer to `account/apiRestrictions`.

    https://developers.binance.com/docs/wallet/account/api-key-permission
    """
    expires = float(answer.get("tradingAuthorityExpirationTime") or 0)
    permissions = {
        READ: bool(answer["enableReading"]),
        TRADE: any(answer.get(right) for right in _BINANCE_TRADES),
        TRANSFER: bool(answer.get("enableInternalTransfer") or answer.get("permitsUniversalTransfer")),
        WITHDRAW: bool(answer["enableWithdrawals"]),
    }
    return KeyRights(permissions, bool(answer["ipRestrict"]), expires / 1000 or None)


_BYBIT_TRADES = ("Spot", "ContractTrade", "Options", "Derivatives", "CopyTrading", "BlockTrade", "FiatP2P")


def bybit(answer: Mapping[str, Any]) -> KeyRights:
    """Read the answer to `v5/user/query-api`: `readOnly` outweighs all groups of permissions.

    https://bybit-exchange.github.io/docs/v5/user/apikey-info
    """
    key = answer["result"]
    writes = int(key["readOnly"]) == 0
    groups: Mapping[str, list[str]] = key["permissions"]
    wallet = groups.get("Wallet") or []
    permissions = {
        READ: True,
        TRADE: writes and any(groups.get(group) for group in _BYBIT_TRADES),
        TRANSFER: writes and any("Transfer" in right for right in wallet),
        WITHDRAW: writes and "Withdraw" in wallet,
    }
    expires = datetime.fromisoformat(key["expiredAt"]).timestamp() if key.get("expiredAt") else 0.0
    # A key that is bound to addresses does not expire; what stands there then is the epoch, or its creation.
    bound = bool(key.get("ips")) and "*" not in key["ips"]
    return KeyRights(permissions, bound, None if expires <= 0 or (bound and not key.get("deadlineDay")) else expires)


_KRAKEN_WITHDRAWS = {"withdraw-funds", "add-withdraw-address", "update-withdraw-address"}


def kraken(answer: Mapping[str, Any]) -> KeyRights:
    """Read the answer to `GetApiKeyInfo`.

    https://docs.kraken.com/api-reference/account-data/get-api-key-info
    """
    key = answer["result"]
    rights = set(key["permissions"])
    permissions = {
        READ: any(right.startswith("query-") for right in rights),
        TRADE: "modify-trades" in rights,
        TRANSFER: "earn-funds" in rights,
        WITHDRAW: bool(rights & _KRAKEN_WITHDRAWS),
    }
    return KeyRights(permissions, bool(key.get("ipAllowlist")), float(key.get("validUntil") or 0) or None)


_BINANCE = Question("sapiGetAccountApiRestrictions", binance)
_BYBIT = Question("privateGetV5UserQueryApi", bybit)

QUESTIONS = {
    "binance": _BINANCE,
    "binancecoinm": _BINANCE,
    "binanceusdm": _BINANCE,
    "bybit": _BYBIT,
    "bybiteu": _BYBIT,
    "bybitid": _BYBIT,
    "kraken": Question("privatePostGetApiKeyInfo", kraken),
}
"""By ccxt's id; other exchanges do not tell a key what it may do."""
