"""Explain any exception of a call to an exchange: raised by a client, by ccxt alone, or by the program around them."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from peak_observe.errors import (
    CircuitOpenError,
    HeldBackError,
    OutcomeUnknown,
    RateLimitedError,
    RefusedError,
    TradingHaltedError,
)
from peak_observe.exchange_client.classify import (
    AMBIGUOUS,
    RATE_LIMITED,
    REJECTED,
    TRANSIENT,
    Answer,
    Verdict,
    classify,
    related,
)
from peak_observe.exchange_client.request import found_verdict

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


def outcome_of(error: BaseException, *, write: bool = False) -> Verdict:
    """Return the outcome of a failed call, its reason, until when to wait, and whether it may be made again.

    For exceptions that come from `instrument`ed objects and clients it is the outcome that was counted. For others it
    is found from the exception alone: from its class, from the text in which ccxt repeats the exchange's id, the HTTP
    status and the body, and from the response where the sync ccxt keeps it.

    Args:
        error: The exception.
        write: Whether the call was to change something, so that not knowing its fate matters; what a client or an
            `instrument`ed object raises knows that itself.
    """
    chain = list(related(error))
    known = [verdict for found in chain if (verdict := found_verdict(found) or _of_ours(found, time.time()))]
    if known:
        # Of several, as in a group, the one that forbids a repetition counts.
        return next((verdict for verdict in known if verdict.outcome == AMBIGUOUS), known[0])
    told = next((found for found in chain if type(found).__module__.partition(".")[0] == "ccxt"), error)
    return classify(told, write=write, answer=_answer_of(told))


def _of_ours(error: BaseException, now: float) -> Verdict | None:
    if isinstance(error, OutcomeUnknown):
        return Verdict(AMBIGUOUS, error.reason)
    if isinstance(error, HeldBackError):
        return Verdict(RATE_LIMITED, error.reason or str(error), now + error.retry_after)
    if isinstance(error, CircuitOpenError):
        return Verdict(TRANSIENT, str(error), now + error.retry_after)
    if isinstance(error, RateLimitedError):
        return Verdict(RATE_LIMITED, str(error), now + error.retry_after)
    if isinstance(error, TradingHaltedError):
        return Verdict(REJECTED, error.reason)
    return Verdict(TRANSIENT, str(error)) if isinstance(error, RefusedError) else None


def _answer_of(error: BaseException) -> Answer | None:
    text = _text(error)
    for response in _responses(error):
        status, body = getattr(response, "status_code", None), getattr(response, "text", None)
        # What was handled meanwhile may be another request's: only its own body is repeated in the text.
        if isinstance(status, int) and isinstance(body, str) and body.strip() and body.strip() in text:
            return Answer(status, _lower(getattr(response, "headers", None)), body)
    return None


def _responses(error: BaseException) -> Iterator[Any]:
    for found in (error, error.__cause__, error.__context__):
        if found is not None:
            yield getattr(found, "response", None)


def _lower(headers: Any) -> Mapping[str, str]:
    items = getattr(headers, "items", None)
    return {str(name).lower(): str(value) for name, value in items()} if callable(items) else {}


def _text(error: BaseException) -> str:
    try:
        return str(error)
    except Exception:  # noqa: BLE001 - a broken __str__ must not break the caller
        return ""
