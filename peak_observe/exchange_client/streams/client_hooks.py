"""Hooks on the websocket clients of ccxt, which count and change nothing."""

from __future__ import annotations

from functools import wraps
from typing import TYPE_CHECKING, Any

from peak_observe.exchange_client.streams.connection import Life
from peak_observe.exchange_client.streams.refusals import REFUSALS
from peak_observe.exchange_client.streams.sequences import SEQUENCES

if TYPE_CHECKING:
    from collections.abc import Callable

    from peak_observe.exchange_client.streams.connection import Connection
    from peak_observe.exchange_client.streams.refusals import KrakenRefusals

HOOKED = "_peak_observe_hooked"
_BY_PROGRAM = 1000
_NO_CODE = 1006


def hook(client: Any, connection: Connection, exchange: str) -> None:
    """Observe one websocket client of ccxt; twice is once.

    Args:
        client: ccxt's client.
        connection: Which counts what it does.
        exchange: ccxt's id of the exchange.
    """
    own = vars(client)
    if HOOKED in own:
        return
    life, refusals = Life(client.asyncio_loop), _refusals_of(connection, exchange)
    connection.over = False
    if client.isConnected and not client.closed():
        connection.adopt(life)
    hooks: dict[str, Any] = {
        "open": _open(client, connection),
        "close": _close(client, connection, life),
        "send": _send(client, connection, refusals),
        "resolve": _resolve(client, connection),
        "reject": _reject(client, connection),
        "handle_message": _handle_message(client, connection),
        "on_connected_callback": _before(client.on_connected_callback, lambda *_: connection.opened(life)),
        "on_error_callback": _before(client.on_error_callback, lambda _, error=None: _error(connection, life, error)),
        "on_close_callback": _before(client.on_close_callback, lambda _, code=None: _closed(connection, life, code)),
    }
    checks = [sequence(connection)] if (sequence := SEQUENCES.get(exchange)) is not None else []
    checks += [refusals.received] if refusals is not None else []
    if checks:
        hooks["on_message_callback"] = _on_message(client.on_message_callback, checks)
    own[HOOKED] = {name: own.get(name) for name in hooks}
    own.update(hooks)


def unhook(client: Any) -> None:
    """Leave a client as it was before."""
    own = vars(client)
    for name, before in own.pop(HOOKED, {}).items():
        if before is None:
            own.pop(name, None)
        else:
            own[name] = before


def _before(callback: Callable[..., Any], note: Callable[..., object]) -> Callable[..., Any]:
    @wraps(callback)
    def noted(*args: Any, **kwargs: Any) -> Any:
        note(*args, **kwargs)
        return callback(*args, **kwargs)

    return noted


def _refusals_of(connection: Connection, exchange: str) -> KrakenRefusals | None:
    made = REFUSALS.get(exchange)
    return None if made is None else made(connection)


def _on_message(callback: Callable[[Any, Any], Any], checks: list[Callable[[Any], None]]) -> Callable[[Any, Any], Any]:
    @wraps(callback)
    def checked(client: Any, message: Any) -> Any:
        for check in checks:
            check(message)
        return callback(client, message)

    return checked


def _open(client: Any, connection: Connection) -> Any:
    connect = client.open

    @wraps(connect)
    async def observed(session: Any, backoff_delay: float = 0) -> Any:
        connection.delayed(backoff_delay)
        result = await connect(session, backoff_delay)
        if not client.isConnected:
            connection.failed("timeout" if type(client.error).__name__ == "RequestTimeout" else "failed")
        return result

    return observed


def _close(client: Any, connection: Connection, life: Life) -> Any:
    close = client.close

    @wraps(close)
    async def observed(code: int = _BY_PROGRAM) -> Any:
        if code == _BY_PROGRAM and client.error is None:
            connection.closed()
        elif client.error is not None:
            _error(connection, life, client.error)
        return await close(code)

    return observed


def _send(client: Any, connection: Connection, refusals: KrakenRefusals | None) -> Any:
    send = client.send

    @wraps(send)
    async def observed(message: Any) -> Any:
        if refusals is not None:
            refusals.sent(message)
        result = await send(message)
        if connection.broken:
            connection.sent()
        return result

    return observed


def _resolve(client: Any, connection: Connection) -> Any:
    # The path of each message: a look into a dict and two numbers; the time was taken when its frame came.
    resolve, subscribed, broken = client.resolve, connection.subscribed, connection.broken

    @wraps(resolve)
    def observed(result: Any, message_hash: Any) -> Any:
        found = subscribed.get(message_hash)
        if found is not None:
            feed = found.feed
            feed.last = connection.heard
            feed.tally.messages += 1
            if broken:
                connection.resume(feed.tally.stream)
        return resolve(result, message_hash)

    return observed


def _reject(client: Any, connection: Connection) -> Any:
    from ccxt.base.errors import InvalidNonce

    reject = client.reject

    @wraps(reject)
    def observed(result: Any, message_hash: Any = None) -> Any:
        if isinstance(result, InvalidNonce):  # ChecksumError is one
            found = connection.subscribed.get(message_hash)
            if found is not None:
                connection.gap(found.feed)
        return reject(result, message_hash)

    return observed


def _handle_message(client: Any, connection: Connection) -> Any:
    handle, broken, now = client.handle_message, connection.broken, connection.now

    @wraps(handle)
    def observed(message: Any) -> Any:
        connection.heard = now()
        if broken:
            connection.woke()
        try:
            return handle(message)
        except Exception:
            connection.deafened()
            raise

    return observed


def _error(connection: Connection, life: Life, error: object) -> None:
    no_pong = type(error).__name__ == "RequestTimeout"
    connection.broke(life, *(("no_pong", "no answer to a ping") if no_pong else ("error", type(error).__name__)))


def _closed(connection: Connection, life: Life, code: object) -> None:
    if not isinstance(code, int) or code == _NO_CODE:
        connection.broke(life, str(_NO_CODE), "closed without a code")
    else:
        connection.broke(life, str(code), f"closed with code {code}", code)
