"""Writes over a websocket of ccxt.pro, such as `create_order_ws`: their ids are read from the message that is sent."""

from __future__ import annotations

import inspect
from contextvars import ContextVar
from functools import wraps
from typing import TYPE_CHECKING, Any

from peak_observe.events import WriteUnanswered
from peak_observe.exchange_client.order_ids import ids_on_the_wire
from peak_observe.exchange_client.order_summary import OrderSummary, current_arguments
from peak_observe.exchange_client.request import OUTCOMES, current_call
from peak_observe.observers import emit

if TYPE_CHECKING:
    from peak_observe.exchange_client.exchange_state import ExchangeState

_NOTED = "_peak_observe_noted"
_signing_in: ContextVar[bool] = ContextVar("peak_observe_signing_in", default=False)


class WebsocketWrite:
    """One message that changes something.

    Args:
        state: The state of its exchange object.
        method: The method of ccxt that sends it.
        message: The message: a text, or what becomes JSON.
    """

    def __init__(self, state: ExchangeState, method: str, message: Any) -> None:
        self._state = state
        self._endpoint = state.endpoint(method, "private", "WS")
        self._start = state.clock.monotonic()
        self._counted = False
        arguments = current_arguments.get()
        self.about = arguments.summary() if arguments else OrderSummary()
        self.at = state.clock.now()
        self.label = self._endpoint.label
        self.order_ids = ids_on_the_wire("", None, message, exchange=state.exchange)

    def settle(self, outcome: str) -> None:
        """Count the message, if that was not done yet."""
        if not self._counted:
            self._counted = True
            self._state.tally.wrote(OUTCOMES[outcome])
            self._endpoint.tally.add(OUTCOMES[outcome], max(0.0, self._state.clock.monotonic() - self._start))

    def tell(self, reason: str, error: BaseException | None) -> None:
        """Emit that the message was sent and that its outcome is unknown."""
        if self._state.gate is not None:
            self._state.gate.unanswered()
        facts = (self.label, self.order_ids, self.at, reason, error, *self.about)
        emit(WriteUnanswered(self._state.name, *facts, repeatable=not self._state.strict))

    def repeated_by(self, _: BaseException) -> bool:
        """Return True: over a websocket ccxt raises what the exchange's message says."""
        return True


def overrides(original: Any) -> dict[str, Any]:
    """Return the methods that take note of messages; none for a class without websockets."""
    if not hasattr(original, "client") or not hasattr(original, "watch"):
        return {}
    signing_in = [name for name in dir(original) if name.startswith("authenticate")]
    return {
        "watch": _watch(original),
        "client": _client(original),
        **{name: _sign_in(getattr(original, name)) for name in signing_in},
    }


def _watch(original: Any) -> Any:
    send = original.watch

    @wraps(send)
    def watch(self: Any, url: str, message_hash: str, message: Any = None, *args: Any, **kwargs: Any) -> Any:
        call = current_call.get()
        if call is not None and call.write and message and not _signing_in.get():
            call.message, call.message_hash = message, message_hash
        return send(self, url, message_hash, message, *args, **kwargs)

    return watch


def _client(original: Any) -> Any:
    make = original.client

    @wraps(make)
    def client(self: Any, url: str) -> Any:
        found = make(self, url)
        if _NOTED not in vars(found):
            vars(found)[_NOTED] = True
            found.send = _noted(found, self._peak_observe_state)
        return found

    return client


def _noted(connection: Any, state: ExchangeState) -> Any:
    send = connection.send

    @wraps(send)
    async def noted(message: Any) -> Any:
        # ccxt sends from a task of its own, which has the context of the call; so have the pings of its connection.
        call = current_call.get()
        if call is not None and message is call.message:
            refused = None if state.gate is None else state.gate.refusal_now()
            if refused is not None:
                # It waited for the connection. To raise it here would end everything else that the connection carries.
                connection.reject(refused, call.message_hash)
                return None
            call.writes(WebsocketWrite(state, call.method, message))
        return await send(message)

    return noted


def _sign_in(method: Any) -> Any:
    @wraps(method)
    def signed_in(self: Any, *args: Any, **kwargs: Any) -> Any:
        token = _signing_in.set(True)
        try:
            return method(self, *args, **kwargs)
        finally:
            _signing_in.reset(token)

    @wraps(method)
    async def async_signed_in(self: Any, *args: Any, **kwargs: Any) -> Any:
        token = _signing_in.set(True)
        try:
            return await method(self, *args, **kwargs)
        finally:
            _signing_in.reset(token)

    return async_signed_in if inspect.iscoroutinefunction(method) else signed_in
