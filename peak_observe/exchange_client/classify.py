"""Classify the end of a request, alike for the sync and the async ccxt and for every version of an exchange.

Pure functions of what came back. ccxt is not imported; its exceptions are known by the names of their classes. In this
order, the first that knows decides: the exchange's own words, the page of a gateway, a class that ccxt would not choose
by the status alone, the HTTP status, the class.
"""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING, Any, NamedTuple

from peak_observe.exchange_client import dialects
from peak_observe.exchange_client.dialects import phrases
from peak_observe.exchange_client.dialects.dialect import CLOCK as _TIMESTAMP
from peak_observe.exchange_client.dialects.dialect import NONCE as _NONCE
from peak_observe.exchange_client.dialects.dialect import UNSURE as _UNCERTAIN
from peak_observe.exchange_client.dialects.dialect import Dialect, Rule
from peak_observe.exchange_client.dialects.pages import page
from peak_observe.exchange_client.empty_answers import says_nothing
from peak_observe.exchange_client.reset_time import reset_time

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

SUCCESS, TRANSIENT, RATE_LIMITED, MAINTENANCE = "success", "transient", "rate_limited", "maintenance"
CLOCK, AUTH, REJECTED, BAD_RESPONSE = "clock", "auth", "rejected", "bad_response"
AMBIGUOUS, BUG, CANCELLED = "ambiguous", "bug", "cancelled"

RETRYABLE = frozenset((TRANSIENT, RATE_LIMITED, MAINTENANCE, BAD_RESPONSE))
"""What may pass by waiting, so that a read is worth another attempt."""

COUNTED = frozenset((TRANSIENT, MAINTENANCE, BAD_RESPONSE, AMBIGUOUS))
"""What counts towards a breaker's threshold: the exchange did not do its part."""

_UNSURE = frozenset((TRANSIENT, MAINTENANCE, BAD_RESPONSE, CANCELLED))
"""What leaves open whether a write was carried out, unless a rule says that it was refused."""

# Classes that ccxt raises by what an exchange says, never by the HTTP status alone.
_SPECIFIC = {
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
    "RequestTimeout": TRANSIENT,
}
_UNKNOWN_FATE = ("OperationFailed", "NetworkError")
"""Classes that ccxt raises, and not one derived from them, where an exchange says that it failed inside."""

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
    """Answer of the exchange.

    Args:
        status: The HTTP status.
        headers: The headers, with names in lower case.
        body: The text.
    """

    status: int
    headers: Mapping[str, str]
    body: str


class Verdict(NamedTuple):
    """Meaning of the end of a request.

    Args:
        outcome: One of `catalog.EXCHANGE_OUTCOMES`.
        reason: Why, in a few words, without anything that was sent.
        until: The Unix time before which the exchange does not want to be asked again, if it said so.
        duplicate: Whether the client order id was refused as an order with it was taken in before: that one stands.
        resync: Whether setting the clock by the exchange's may help; False for a nonce that was used already.
    """

    outcome: str
    reason: str = ""
    until: float | None = None
    duplicate: bool = False
    resync: bool = False

    @property
    def retryable(self) -> bool:
        """Whether the same call, made again once `until` has passed, does no harm and may succeed."""
        return self.outcome in RETRYABLE or (self.outcome == CLOCK and not self.resync)


_SUCCESS = Verdict(SUCCESS)


def classify(
    error: BaseException | None,
    *,
    exchange: str = "",
    write: bool = False,
    answer: Answer | None = None,
    answered: bool = False,
    now: float | None = None,
) -> Verdict:
    """Return what the end of a request means.

    Args:
        error: The exception, by ccxt as a rule; None if nothing was raised.
        exchange: ccxt's id of the exchange, such as `kraken`; looked for in the exception's text if not given.
        write: Whether the request was to change something, so that not knowing its fate matters.
        answer: The exchange's answer, if there was any.
        answered: Whether ccxt had an answer when it failed, for an exception from outside of the request.
        now: The present Unix time; the machine's if not given.
    """
    if error is None and (answer is None or answer.status < _ERROR):
        return _SUCCESS
    text = _text(error)
    dialect = dialects.of(exchange or dialects.exchange_in(text))
    seen = _Seen(error, text, answer, dialect, unread=answered or answer is not None)
    rule, reason = seen.meaning()
    outcome = rule.outcome
    if write and outcome in _UNSURE and not rule.refused and not _never_sent(error):
        outcome = AMBIGUOUS
    elif write and dialect.partial and dialect.partial.search(seen.body):
        outcome, reason = AMBIGUOUS, f"a part was refused: {reason}"
    elif write and len(re.findall(_PART, seen.body)) > 1 and (part := dialect.unsure_part(seen.body)):
        outcome, reason = AMBIGUOUS, f"a part is of unknown fate: {part}"
    until = reset_time(
        rule,
        dialect=dialect,
        status=seen.status,
        headers=seen.headers,
        body=seen.body,
        now=time.time() if now is None else now,
    )
    return Verdict(outcome, reason, until, rule.duplicate, rule.resync)


_BY_STATUS = re.compile(r"\s*\S+ (?:(?:GET|POST|PUT|PATCH|DELETE|HEAD) \S+ )?([1-5]\d\d)\b")
"""Text of an exception whose class ccxt chose by the HTTP status alone."""


_BODY = re.compile(r"\s*[a-z0-9]+ [{\[]")
"""Beginning of the text of an exception that ccxt raised for the body of a successful answer."""

_PART = re.compile(r'"(?:sCode|errorCode)"')
"""Key of the error of a part, in the answer to a batch."""

_BODY_START = re.compile(r"[<{\[]|error code:")


def _body_in(text: str, by_status: re.Match[str] | None) -> str:
    if by_status is None:
        return text
    start = _BODY_START.search(text, by_status.end())
    return text[start.start() if start else by_status.end() :]


_UNSPECIFIC = (
    (phrases.MAINTENANCE, Rule(MAINTENANCE)),
    (phrases.LIMIT, Rule(RATE_LIMITED)),
    (phrases.UNSURE, _UNCERTAIN),
)


class _Seen:
    """Everything that is known of a failed request, and its meaning."""

    def __init__(
        self, error: BaseException | None, text: str, answer: Answer | None, dialect: Dialect, *, unread: bool
    ) -> None:
        by_status = _BY_STATUS.match(text)
        self._error = error
        self._names = [] if error is None else [kind.__name__ for kind in type(error).__mro__]
        self._dialect = dialect
        self._unread = unread
        self._whole = answer is not None
        self._answered = answer is not None or _BODY.match(text) is not None or by_status is not None
        self.status = answer.status if answer else int(by_status[1]) if by_status else 0
        self.headers = answer.headers if answer else {}
        self.body = answer.body if answer else _body_in(text, by_status)
        # ccxt repeats the body in what it raises for a reason that it found there.
        self._read = not by_status and bool(answer and answer.body and answer.body.strip() in text)

    def meaning(self) -> tuple[Rule, str]:
        """Return the rule that fits, and the reason in a few words."""
        found = self._by_words() or self._by_class() or self._by_status()
        rule, reason = found or self._by_general_class()
        if rule.outcome == REJECTED and (phrases.DUPLICATE_ID.search(self.body) or "DuplicateOrderId" in self._names):
            rule = rule._replace(duplicate=True)
        return rule, reason

    def _by_words(self) -> tuple[Rule, str] | None:
        failed = self.status >= _ERROR
        # The words of a page are the gateway's own, not the exchange's.
        found = page(self.status, self.headers, self.body) if failed and self.body.lstrip()[:1] == "<" else None
        found = found or self._dialect.spoken(self.body)
        if found is None and failed:
            found = page(self.status, self.headers, self.body)
            if found is None and self.status in self._dialect.statuses and not self._dialect.errors(self.body):
                found = self._dialect.statuses[self.status], f"HTTP {self.status}"
        return found

    def _by_class(self) -> tuple[Rule, str] | None:
        names = self._names
        if names and names[0] in _UNKNOWN_FATE:
            return _UNCERTAIN, names[0]
        if "OnMaintenance" in names:
            return Rule(MAINTENANCE, refused=True), names[0]
        if "ExchangeNotAvailable" in names and self._read:
            return _UNCERTAIN, names[0]
        for name, outcome in _SPECIFIC.items():
            # By the status alone ccxt chooses AuthenticationError, too, but for the same statuses as we do.
            if name in names:
                # Nothing but a limit has these statuses, whatever else an exchange makes of it.
                limited = outcome == REJECTED and _STATUSES.get(self.status) == RATE_LIMITED
                return Rule(RATE_LIMITED) if limited else self._refined(outcome), names[0]
        return None

    def _refined(self, outcome: str) -> Rule:
        if outcome == CLOCK:
            return _NONCE if "nonce" in self.body.lower() else _TIMESTAMP
        found = phrases.CLOCK.search(self.body) if outcome in (AUTH, REJECTED) else None
        if found is None and outcome == AUTH:
            found = phrases.TIMESTAMP.search(self.body)
        if found and "InvalidOrder" not in self._names:
            return _NONCE if "nonce" in found[0].lower() else _TIMESTAMP
        return Rule(outcome)

    def _by_status(self) -> tuple[Rule, str] | None:
        if self.status < _ERROR:
            return None
        return self._unspecific(self._of_status()), f"HTTP {self.status}"

    def _of_status(self) -> str:
        server = self.status >= _SERVER_ERROR
        if server and "maintenance" in self.body.lower():
            return _STATUSES.get(self.status, MAINTENANCE)
        return _STATUSES.get(self.status, TRANSIENT if server else REJECTED)

    def _unspecific(self, outcome: str) -> Rule:
        """Return what the words of an error mean that neither we nor ccxt know."""
        rule = self._refined(outcome)
        if rule.outcome != REJECTED or self.body.lstrip().startswith("<"):
            return rule
        return next((meant for pattern, meant in _UNSPECIFIC if pattern.search(self.body)), rule)

    def _by_general_class(self) -> tuple[Rule, str]:
        names, error = self._names, self._error
        for name, outcome in _GENERAL.items():
            if name in names:
                network = outcome == REJECTED and error is not None and _has(error, _NETWORK)
                if not network and self._says_nothing():
                    return Rule(BAD_RESPONSE), "an answer without a known error"
                return _UNCERTAIN if network else self._unspecific(outcome), names[0]
        if error is not None and not isinstance(error, Exception):
            return Rule(CANCELLED), names[0]
        if _NETWORK.intersection(names):
            return _UNCERTAIN, names[0]
        return Rule(BAD_RESPONSE if self._unread else BUG), names[0]

    def _says_nothing(self) -> bool:
        """Return whether ccxt took a successful answer for an error though there is no error in it."""
        if not self._answered or self.status >= _ERROR:
            return False
        if self._dialect.patterns and not self._dialect.errors(self.body):
            return True
        # Without the answer there is the exception's text, which names the exchange before it repeats the body.
        return says_nothing(self.body if self._whole else self.body.strip().partition(" ")[2])


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


def _text(error: BaseException | None) -> str:
    try:
        return str(error)
    except Exception:  # noqa: BLE001 - a broken __str__ must not break the caller
        return ""
