"""Methods that a client replaces in its ccxt object: no hidden re-sending, errors for odd statuses, one throttle."""

from __future__ import annotations

import warnings
from functools import wraps
from typing import TYPE_CHECKING, Any

from peak_observe.exchange_client.throttle import Throttle

if TYPE_CHECKING:
    from peak_observe.clock import Clock
    from peak_observe.coordination.joinable import Joinable
    from peak_observe.exchange_client.shared_throttle import SharedThrottle

RESEND = "maxRetriesOnFailure"
_DEFAULT_RESEND = "defaultMaxRetriesOnFailure"
_THROTTLE = "_peak_observe_throttle"
_NONCES = "_peak_observe_nonces"
_SERVER_ERROR = 500


def prepare(exchange: Any, clock: Clock) -> None:
    """Prepare an exchange object for a client, and forbid it to send orders again by itself."""
    vars(exchange)[_THROTTLE] = Throttle(clock)
    options = getattr(exchange, "options", None) or {}
    for found in (options, *(value for value in options.values() if isinstance(value, dict))):
        if found.get(RESEND):
            found[RESEND] = 0
            warnings.warn(
                f"{RESEND} is set to 0: ccxt would send orders again whose answer got lost; the client retries reads",
                RuntimeWarning,
                stacklevel=5,
            )


def release(exchange: Any) -> None:
    """Forget what `prepare` prepared."""
    vars(exchange).pop(_THROTTLE, None)
    vars(exchange).pop(_NONCES, None)


def share(exchange: Any, shared: Joinable, exchange_id: str, clock: Clock) -> None:
    """Have an exchange object take turns and nonces that processes share."""
    from peak_observe.exchange_client.shared_nonces import SharedNonces  # late: few clients share
    from peak_observe.exchange_client.shared_throttle import SharedThrottle

    vars(exchange)[_THROTTLE] = SharedThrottle(shared.exchange_turns(exchange_id), clock)
    vars(exchange)[_NONCES] = SharedNonces(shared, exchange_id)


def overrides(original: Any, *, asynchronous: bool) -> dict[str, Any]:
    """Return the methods that a client's exchange object has in place of its own."""
    return {
        "handle_http_status_code": _status(original),
        "handle_option_and_params": _options(original),
        **({"incrementing_nonce": _nonce(original)} if hasattr(original, "incrementing_nonce") else {}),
        **({"open": _open(original), "throttle": _async_throttle(original)} if asynchronous else {}),
        **({} if asynchronous else {"throttle": _throttle(original)}),
    }


def _nonce(original: Any) -> Any:
    increment = original.incrementing_nonce

    @wraps(increment)
    def nonce(self: Any) -> int:
        found, nonces = increment(self), vars(self).get(_NONCES)
        return int(found if nonces is None else nonces.after(self, int(found)))

    return nonce


def _throttle(original: Any) -> Any:
    @wraps(original.throttle)
    def throttle(self: Any, cost: float | None = None) -> None:
        vars(self)[_THROTTLE].wait(self.rateLimit * (1.0 if cost is None else cost) / 1000)

    return throttle


def _async_throttle(original: Any) -> Any:
    own = original.throttle

    @wraps(own)
    async def throttle(self: Any, cost: float | None = None) -> Any:
        found = vars(self)[_THROTTLE]
        if not isinstance(found, Throttle):
            return await found.async_wait(self.rateLimit * (1.0 if cost is None else cost) / 1000)
        return await own(self, cost)

    return throttle


def shared_limit(exchange: Any) -> SharedThrottle | None:
    """Return the rate limit that an exchange object shares with other processes, if it does."""
    found = vars(exchange)[_THROTTLE]
    return None if isinstance(found, Throttle) else found


def _open(original: Any) -> Any:
    connect = original.open

    @wraps(connect)
    def opened(self: Any, *args: Any, **kwargs: Any) -> Any:
        result = connect(self, *args, **kwargs)
        if hasattr(self.session, "_retry_connection"):
            # On a connection that breaks, aiohttp would send DELETE and PUT a second time without a word.
            self.session._retry_connection = False  # noqa: SLF001 - there is no other switch
        return result

    return opened


def _status(original: Any) -> Any:
    check = original.handle_http_status_code

    @wraps(check)
    def checked(self: Any, code: int, *answer: Any) -> None:
        check(self, code, *answer)
        if code >= _SERVER_ERROR:
            # ccxt has no entry for 507, 524, 527 …: sync it raises ExchangeError, async nothing.
            from ccxt.base.errors import ExchangeNotAvailable

            raise ExchangeNotAvailable(f"{self.id} {code} {' '.join(map(str, answer))}")

    return checked


def _options(original: Any) -> Any:
    handle = original.handle_option_and_params

    @wraps(handle)
    def handled(self: Any, params: Any, method: Any, option: str, default: Any = None) -> Any:
        if option == RESEND and not (params and (option in params or _DEFAULT_RESEND in params)):
            return [0, params]  # as with each request, where ccxt's search for the option would cost more
        value, rest = handle(self, params, method, option, default)
        return [0 if option == RESEND else value, rest]

    return handled
