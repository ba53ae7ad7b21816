"""What the end of a request means: one answer for the sync and the async ccxt, and for every version of an exchange.

Nothing here does anything: it is handed what came back and says what that means. ccxt is not imported; its exceptions
are known by the names of their classes. In this order, the first that knows decides: the exchange's own words, a
class that ccxt would not choose by the status alone, the HTTP status, the class.
"""

from __future__ import annotations

import time
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from peak_observe.exchange_client import dialects
from peak_observe.resilience.common.retry_after import banned_until

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

SUCCESS, TRANSIENT, RATE_LIMITED, MAINTENANCE = "success", "transient", "rate_limited", "maintenance"
CLOCK, AUTH, REJECTED, BAD_RESPONSE = "clock", "auth", "rejected", "bad_response"
AMBIGUOUS, BUG, CANCELLED = "ambiguous", "bug", "cancelled"

RETRYABLE = frozenset((TRANSIENT, RATE_LIMITED, MAINTENANCE, BAD_RESPONSE))
"""What may pass by waiting, so that a read is worth another attempt."""

COUNTED = frozenset((TRANSIENT, MAINTENANCE, BAD_RESPONSE, AMBIGUOUS))
"""What counts towards a breaker's threshold: the exchange did not do its part."""

_UNSURE = frozenset((TRANSIENT, BAD_RESPONSE, CANCELLED))
"""What leaves open whether a write was carried out."""

LIMIT_WAIT = 5.0
BAN_WAIT = 120.0
"""Seconds to hold back after a limit and after a ban (HTTP 418) that name no time."""

_LONGEST_WAIT = 7 * 86_400.0

# Classes that ccxt raises by what an exchange says, never by the HTTP status alone.
_SPECIFIC = {
    "OnMaintenance": MAINTENANCE,
    "ChecksumError": TRANSIENT,
    "InvalidNonce": CLOCK,
    "RestrictedLocation": REJECTED,
    "BadResponse": BAD_RESPONSE,
    "CancelPending": REJECTED,
    "NotSupported": BUG,
    "ArgumentsRequired": BUG,
    "InvalidProxySettings": BUG,
    "ExchangeClosedByUser": BUG,
    "InsufficientFunds": REJECTED,
    "InvalidOrder": REJECTED,
    "InvalidAddress": REJECTED,
    "BadRequest": REJECTED,
    "OperationRejected": REJECTED,
    "AuthenticationError": AUTH,
    "RateLimitExceeded": RATE_LIMITED,
    "DDoSProtection": RATE_LIMITED,
}
_GENERAL = {"OperationFailed": TRANSIENT, "ExchangeError": REJECTED, "BaseError": REJECTED}
_STATUSES = {418: RATE_LIMITED, 429: RATE_LIMITED, 401: AUTH, 407: AUTH, 511: AUTH, 408: TRANSIENT, 425: TRANSIENT}
_ERROR, _SERVER_ERROR, _NO_CONTENT = 400, 500, (204, 205)

# What libraries raise when no connection came about; the rest of the network's faults may come after the request.
_NEVER_SENT = frozenset((
    "NewConnectionError", "NameResolutionError", "ConnectTimeoutError", "ConnectTimeout", "SSLCertVerificationError",
    "ClientConnectorError", "ConnectionTimeoutError", "gaierror", "ConnectionRefusedError",
))  # fmt: skip
_NETWORK = frozenset(("OSError", "ClientError", "RequestException", "HTTPError", "HTTPException"))


class Answer(NamedTuple):
    """What the exchange sent back.

    Args:
        status: The HTTP status.
        headers: The headers, with names in lower case.
        body: The text.
    """

    status: int
    headers: Mapping[str, str]
    body: str


class Verdict(NamedTuple):
    """What the end of a request means.

    Args:
        outcome: One of `catalog.EXCHANGE_OUTCOMES`.
        reason: Why, in a few words, without anything that was sent.
        until: The Unix time before which the exchange does not want to be asked again, if it said so.
    """

    outcome: str
    reason: str = ""
    until: float | None = None


_SUCCESS = Verdict(SUCCESS)


def classify(
    error: BaseException | None,
    *,
    exchange: str = "",
    write: bool = False,
    answer: Answer | None = None,
    now: float | None = None,
) -> Verdict:
    """Return what the end of a request means.

    Args:
        error: What was raised, by ccxt as a rule; None if nothing was.
        exchange: ccxt's id of the exchange, such as `kraken`, whose own words are known then.
        write: Whether the request was to change something, so that not knowing its fate matters.
        answer: What the exchange sent back, if anything.
        now: The present Unix time; the machine's if not given.
    """
    if error is None and (answer is None or answer.status < _ERROR):
        return _SUCCESS
    spoken = dialects.rule(exchange, answer.body if answer else _text(error))
    rule, reason = spoken or _by_status_and_class(error, answer)
    outcome = rule.outcome
    if write and outcome in _UNSURE and not rule.refused and not _never_sent(error):
        outcome = AMBIGUOUS
    now = time.time() if now is None else now
    return Verdict(outcome, reason, _until(rule, answer, _text(error), now))


def misshapen(parsed: object, *, answer: Answer, exchange: str = "", path: str = "", method: str = "GET") -> str:
    """Return what is wrong with the shape of an answer that ccxt took for good; nothing if it is sound.

    Args:
        parsed: What ccxt made of the body: a dictionary or a list if it was JSON.
        answer: The answer itself.
        exchange: ccxt's id of the exchange.
        path: The endpoint's path in ccxt's table.
        method: The HTTP method.
    """
    if isinstance(parsed, list) or (isinstance(parsed, dict) and parsed):
        return ""
    if isinstance(parsed, dict):
        return "" if _may_be_empty(exchange, path, method) else "an empty object"
    body = answer.body.strip()
    if not body:
        return "" if answer.status in _NO_CONTENT else "an empty body"
    return {"<": "a page of HTML", "{": "cut off JSON", "[": "cut off JSON"}.get(body[0], "")


def _may_be_empty(exchange: str, path: str, method: str) -> bool:
    ends = path.rpartition("/")[2].lower() in ("ping", "userdatastream", "listenkey", "test")
    return ends or (method != "GET" and exchange in ("blockchaincom", "hibachi"))


def _by_status_and_class(error: BaseException | None, answer: Answer | None) -> tuple[dialects.Rule, str]:
    names = [] if error is None else [kind.__name__ for kind in type(error).__mro__]
    for name, outcome in _SPECIFIC.items():
        # By the status alone ccxt chooses AuthenticationError, too, but for the same statuses as we do.
        if name in names:
            return dialects.Rule(outcome), names[0]
    if answer is not None and answer.status >= _ERROR:
        return dialects.Rule(_of_status(answer)), f"HTTP {answer.status}"
    for name, outcome in _GENERAL.items():
        if name in names:
            network = outcome == REJECTED and error is not None and _has(error, _NETWORK)
            return dialects.Rule(TRANSIENT if network else outcome), names[0]
    if error is not None and not isinstance(error, Exception):
        return dialects.Rule(CANCELLED), names[0]
    return dialects.Rule(TRANSIENT if _NETWORK.intersection(names) else BUG), names[0]


def _of_status(answer: Answer) -> str:
    if answer.status >= _SERVER_ERROR and "maintenance" in answer.body.lower():
        return _STATUSES.get(answer.status, MAINTENANCE)
    return _STATUSES.get(answer.status, TRANSIENT if answer.status >= _SERVER_ERROR else REJECTED)


def _never_sent(error: BaseException | None) -> bool:
    return error is not None and _has(error, _NEVER_SENT)


def _has(error: BaseException, names: frozenset[str]) -> bool:
    return any(names.intersection(kind.__name__ for kind in type(found).__mro__) for found in related(error))


def related(error: BaseException, *, contexts: bool = False) -> Iterator[BaseException]:
    """Yield an error and everything it came from: causes, members, and errors among its arguments and attributes.

    Args:
        error: Where to begin.
        contexts: Whether also what was being handled when it was raised, which may be somebody else's trouble.
    """
    seen: set[int] = set()
    ahead: list[Any] = [error]
    while ahead:
        found = ahead.pop()
        if isinstance(found, BaseException) and id(found) not in seen:
            seen.add(id(found))
            yield found
            members = found.exceptions if isinstance(found, BaseExceptionGroup) else ()
            ahead += [*members, *found.args, *vars(found).values(), found.__cause__]
            ahead += [found.__context__] if contexts else []


def _until(rule: dialects.Rule, answer: Answer | None, text: str, now: float) -> float | None:
    named = _retry_after(answer, now) or banned_until(answer.body if answer else text)
    if named is None and rule.outcome == RATE_LIMITED:
        ban = answer is not None and answer.status == 418  # noqa: PLR2004 - what Binance answers after many a 429
        named = now + (rule.wait or (BAN_WAIT if ban else LIMIT_WAIT))
    return None if named is None else min(max(named, now), now + _LONGEST_WAIT)


def _retry_after(answer: Answer | None, now: float) -> float | None:
    value = answer.headers.get("retry-after", "").strip() if answer else ""
    if value.isdigit():
        return now + min(int(value), _LONGEST_WAIT)
    try:
        return parsedate_to_datetime(value).timestamp() if value else None
    except ValueError:
        return None


def _text(error: BaseException | None) -> str:
    try:
        return str(error)
    except Exception:  # noqa: BLE001 - a broken __str__ must not break the caller
        return ""
