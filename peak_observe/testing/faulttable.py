"""Table of faults by dialect, each under a name that is the same for all of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from peak_observe.testing.faults import Fault

if TYPE_CHECKING:
    from collections.abc import Mapping

BAN_ENDS = 4_102_444_800.0
"""The Unix time until which the fault `banned` bans, in the year 2100."""

_STATUSES = (400, 403, 404, 408, 451, 500, 502, 503, 504, 507, 520, 524, 527)
_COMMON: dict[str, Fault] = {
    "slow": Fault.latency(0.02),
    "stale": Fault.stale(3600),
    "hang": Fault.hang(),
    "refused": Fault.refused(),
    "reset": Fault.reset(),
    "lost_reply": Fault.lost_reply(),
    "truncated": Fault.truncated(),
    "html": Fault.html(),
    "empty": Fault.empty(),
    "empty_object": Fault.empty_object(),
    "echo": Fault.echo(),
    **{f"http_{code}": Fault.status(code) for code in _STATUSES},
}
_KRAKEN = {
    "maintenance": Fault.maintenance(),
    "rate_limited": Fault.rate_limited(1),
    "rate_limited_in_words": Fault.api_rate_limited(),
    "lockout": Fault.api_error("EGeneral:Temporary lockout"),
    "bad_key": Fault.api_error("EAPI:Invalid key"),
    "bad_signature": Fault.api_error("EAPI:Invalid signature"),
    "denied": Fault.api_error("EGeneral:Permission denied"),
    "clock": Fault.api_error("EAPI:Invalid nonce"),
    "no_funds": Fault.api_error("EOrder:Insufficient funds"),
    "bad_symbol": Fault.api_error("EQuery:Unknown asset pair"),
    "service_timeout": Fault.api_error("EService:Timeout"),
    "internal": Fault.api_error("EGeneral:Internal error"),
    "busy": Fault.api_error("EService:Busy"),
}
_BINANCE = {
    "maintenance": Fault.coded(-1016, "This service is no longer available.", code=503),
    "rate_limited": Fault.coded(-1003, "Too many requests.", code=429).with_headers(("Retry-After", "1")),
    "rate_limited_in_words": Fault.coded(-1015, "Too many new orders."),
    "banned": Fault.banned(BAN_ENDS),
    "bad_key": Fault.coded(-2015, "Invalid API-key, IP, or permissions for action.", code=401),
    "bad_signature": Fault.coded(-1022, "Signature for this request is not valid."),
    "clock": Fault.coded(-1021, "Timestamp for this request is outside of the recvWindow."),
    "no_funds": Fault.coded(-2010, "Account has insufficient balance for requested action."),
    "bad_symbol": Fault.coded(-1121, "Invalid symbol."),
    "service_timeout": Fault.coded(-1007, "Timeout waiting for response from backend server.", code=408),
    "internal": Fault.coded(-1000, "An unknown error occurred while processing the request.", code=500),
    "busy": Fault.coded(-1008, "Server is currently overloaded with other requests.", code=503),
}

_BYBIT = {
    "maintenance": Fault.bybit_error(10019, "The service is under maintenance."),
    "rate_limited": Fault.bybit_error(10006, "Too many visits!", status=429).with_headers(("Retry-After", "1")),
    "rate_limited_in_words": Fault.bybit_error(10006, "Too many visits. Exceeded the API Rate Limit."),
    "ip_banned": Fault.bybit_error(10009, "IP has been banned.", status=403),
    "too_frequent": Fault(code=403, body="403, access too frequent"),
    "bad_key": Fault.bybit_error(10003, "API key is invalid."),
    "bad_signature": Fault.bybit_error(10004, "Error sign, please check your signature generation algorithm."),
    "denied": Fault.bybit_error(10005, "Permission denied, please check your API key permissions."),
    "clock": Fault.bybit_error(10002, "invalid request, please check your server timestamp or recv_window param."),
    "no_funds": Fault.bybit_error(170131, "Insufficient balance."),
    "bad_symbol": Fault.bybit_error(170121, "Invalid symbol."),
    "service_timeout": Fault.bybit_error(10000, "Server Timeout"),
    "internal": Fault.bybit_error(10016, "Server error."),
    "busy": Fault.bybit_error(170146, "Order creation timeout"),
}
_OKX = {
    "maintenance": Fault.okx_error("50001", "Service temporarily unavailable. Try again later", status=503),
    "rate_limited": Fault.okx_error("50011", "Too Many Requests", status=429).with_headers(("Retry-After", "1")),
    "rate_limited_in_words": Fault.okx_error("50061", "Too many requests of this sub-account"),
    "bad_key": Fault.okx_error("50111", "Invalid OK-ACCESS-KEY", status=401),
    "bad_signature": Fault.okx_error("50113", "Invalid Sign", status=401),
    "denied": Fault.okx_error("50120", "This API key doesn't have permission to use this function", status=401),
    "clock": Fault.okx_error("50102", "Timestamp request expired", status=401),
    "no_funds": Fault.okx_error("51008", "Order failed. Insufficient balance."),
    "bad_symbol": Fault.okx_error("51001", "Instrument ID does not exist", status=400),
    "service_timeout": Fault.okx_error("50004", "API endpoint request timeout", status=400),
    "internal": Fault.okx_error("50026", "System error. Try again later", status=500),
    "busy": Fault.okx_error("50013", "Systems are busy. Please try again later.", status=503),
}

FAULTS: Mapping[str, Mapping[str, Fault]] = {
    "kraken": _COMMON | _KRAKEN,
    "binance": _COMMON | _BINANCE,
    "bybit": _COMMON | _BYBIT,
    "okx": _COMMON | _OKX,
}
"""The faults of each dialect, for `FakeExchange.fail`."""
