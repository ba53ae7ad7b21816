"""Methods of ccxt.pro classes that take note of what is watched, and pass everything on."""

from __future__ import annotations

import inspect
from contextvars import ContextVar
from functools import wraps
from typing import TYPE_CHECKING, Any

from peak_observe.exchange_client.streams import health_check
from peak_observe.exchange_client.streams.client_hooks import HOOKED, hook, unhook
from peak_observe.exchange_client.streams.names import METHODS, stream_of
from peak_observe.exchange_client.streams.state import MaxSilence, StreamOptions, StreamState

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from peak_observe.clock import Clock
    from peak_observe.exchange_client.streams.connection import Subscription
    from peak_observe.resilience import HealthCheck

STREAMS = "_peak_observe_streams"
_SIGN_IN = "\x00sign-in"
_GIVEN_UP = ("CancelledError", "UnsubscribeError")

current_watch: ContextVar[WatchCall | None] = ContextVar("peak_observe_watch", default=None)


def is_pro(kind: type) -> bool:
    """Return whether a class of ccxt has websockets."""
    # The base of all async classes has the same methods, of which most raise NotSupported.
    return any(base.__module__.split(".")[:2] == ["ccxt", "pro"] for base in kind.__mro__)


class WatchCall:
    """One call of a method such as `watch_ticker`.

    Attributes:
        signing_in: How many methods that sign in are under way.

    Args:
        state: The streams of its exchange.
        stream: The kind of data.
        args: What it was called with.
    """

    __slots__ = ("_state", "_stream", "_symbols", "_waited_for", "signing_in")

    def __init__(self, state: StreamState, stream: str, args: Iterable[Any]) -> None:
        self._state: StreamState | None = state
        self._stream = stream
        self._symbols = args
        self._waited_for: list[tuple[str, str, Subscription]] = []
        self.signing_in = 0

    @property
    def ended(self) -> bool:
        """Whether it has ended; tasks of ccxt that it started keep it in their context for longer."""
        return self._state is None

    def waits(self, exchange: Any, url: str, hashes: Iterable[str]) -> None:
        """Note what it waits for from now on: of several steps, such as signing in, the last one counts."""
        state = self._state
        if state is None:
            return
        before, self._waited_for = self._waited_for, []
        for name in hashes:
            # The answer to a sign-in is no message of the stream, so it has a name by which nothing comes.
            message_hash = f"{name}{_SIGN_IN}" if self.signing_in else name
            found = state.watch(url, message_hash, self._stream, self._symbols)
            self._waited_for.append((url, message_hash, found))
        if before:
            state.release([found for _, _, found in before], given_up=True)
            for earlier_url, message_hash, found in before:
                if not found.waiting:
                    state.connections.at(earlier_url).forget(message_hash)
        state.look_for_silence(exchange.asyncio_loop)

    def end(self, *, given_up: bool) -> None:
        """Note that it has ended, and whether it was cancelled or nothing more will come."""
        state, self._state = self._state, None
        watched, self._waited_for = [found for _, _, found in self._waited_for], []
        if state is not None:
            state.release(watched, given_up=given_up)


def overrides(original: Any) -> dict[str, Any]:
    """Return the methods that take note; none for a class without websockets."""
    if not is_pro(original):
        return {}
    members = {
        "client": _client(original),
        "watch": _watch(original.watch),
        "watch_multiple": _watch_multiple(original.watch_multiple),
        "clean_unsubscription": _clean_unsubscription(original),
        "close": _close(original),
    }
    for name in METHODS:
        method = getattr(original, f"watch_{name}", None)
        if method is not None:
            members[f"watch_{name}"] = _observed(method, stream_of(name))
    signing_in = [name for name in dir(original) if name.startswith("authenticate")]
    return members | {name: _signing_in(getattr(original, name)) for name in signing_in}


def options_for(exchange: Any, max_silence: MaxSilence, group: Callable[[str], str] | None) -> StreamOptions | None:
    """Return options of streams, checked; None where there are none.

    Raises:
        ValueError: They make no sense, or the exchange has no websockets.
        TypeError: The group is no function.
    """
    if max_silence is None and group is None:
        return None
    kind = type(exchange)
    if not is_pro(kind):
        option = "stream_group" if max_silence is None else "stream_max_silence"
        raise ValueError(
            f"{option} is for websockets, which {kind.__module__} does not have: pass ccxt.pro.{kind.__name__}(config)"
        )
    return StreamOptions(max_silence, group)


def begin(exchange: Any, name: str, clock: Clock, options: StreamOptions, health: HealthCheck | None) -> None:
    """Observe the streams of an exchange object, if it has any, also those that are open already.

    Args:
        exchange: The object.
        name: The label value `exchange`.
        clock: Where the time comes from.
        options: How long streams may be silent, and how symbols are grouped.
        health: Where the check is registered, if their silence is limited.
    """
    if not is_pro(type(exchange)):
        return
    state = vars(exchange)[STREAMS] = StreamState(name, clock, options)
    if health is not None and options.max_silence is not None:
        health_check.register(state, health)
    for url, client in (getattr(exchange, "clients", None) or {}).items():
        hook(client, state.connections.at(url), exchange.id)


def end(exchange: Any) -> None:
    """Observe them no longer."""
    state = vars(exchange).pop(STREAMS, None)
    if state is not None:
        health_check.unregister(state)
        for client in (getattr(exchange, "clients", None) or {}).values():
            unhook(client)
        state.closed()


def state_of(exchange: Any) -> StreamState | None:
    """Return the streams of an exchange object; None where they are not observed."""
    found: StreamState | None = vars(exchange).get(STREAMS)
    return found


def _client(original: Any) -> Any:
    make = original.client

    @wraps(make)
    def client(self: Any, url: str) -> Any:
        found = make(self, url)
        state = vars(self).get(STREAMS)
        if state is not None and HOOKED not in vars(found):
            state.keep_alive = (found.keepAlive or 0) / 1000
            hook(found, state.connections.at(url), self.id)
        return found

    return client


def _watch(send: Any) -> Any:
    @wraps(send)
    def watch(self: Any, url: str, message_hash: str, *args: Any, **kwargs: Any) -> Any:
        future = send(self, url, message_hash, *args, **kwargs)
        call = current_watch.get()
        if call is not None:
            call.waits(self, url, (message_hash,))
        return future

    return watch


def _watch_multiple(send: Any) -> Any:
    @wraps(send)
    def watch_multiple(self: Any, url: str, message_hashes: list[str], *args: Any, **kwargs: Any) -> Any:
        future = send(self, url, message_hashes, *args, **kwargs)
        call = current_watch.get()
        if call is not None:
            call.waits(self, url, message_hashes)
        return future

    return watch_multiple


def _signing_in(method: Any) -> Any:
    if not inspect.iscoroutinefunction(inspect.unwrap(method)):
        return method

    @wraps(method)
    async def signed_in(self: Any, *args: Any, **kwargs: Any) -> Any:
        call = current_watch.get()
        if call is None:
            return await method(self, *args, **kwargs)
        call.signing_in += 1
        try:
            return await method(self, *args, **kwargs)
        finally:
            call.signing_in -= 1

    return signed_in


def _clean_unsubscription(original: Any) -> Any:
    clean = original.clean_unsubscription

    @wraps(clean)
    def cleaned(
        self: Any,
        client: Any,
        subHash: str,  # noqa: N803 - ccxt's names
        unsubHash: str,  # noqa: N803 - by name, as ccxt calls it
        subHashIsPrefix: bool = False,  # noqa: N803 - by name, as ccxt calls it
    ) -> Any:
        result = clean(self, client, subHash, unsubHash, subHashIsPrefix)
        state = vars(self).get(STREAMS)
        if state is not None:
            state.connections.at(client.url).unsubscribed(subHash, prefix=subHashIsPrefix)
        return result

    return cleaned


def _close(original: Any) -> Any:
    close = original.close

    @wraps(close)
    async def closed(self: Any, *args: Any, **kwargs: Any) -> Any:
        try:
            return await close(self, *args, **kwargs)
        finally:
            state = vars(self).get(STREAMS)
            if state is not None:
                state.closed()

    return closed


def _observed(method: Any, stream: str) -> Any:
    @wraps(method)
    async def watched(self: Any, *args: Any, **kwargs: Any) -> Any:
        call = _begun(self, stream, args, kwargs)
        if call is None:
            return await method(self, *args, **kwargs)
        token, given_up = current_watch.set(call), False
        try:
            return await method(self, *args, **kwargs)
        except BaseException as error:
            # Its name alone is kept: the exception holds this frame, which would hold it.
            given_up = type(error).__name__ in _GIVEN_UP
            raise
        finally:
            current_watch.reset(token)
            call.end(given_up=given_up)

    if inspect.iscoroutinefunction(inspect.unwrap(method)):
        return watched

    @wraps(method)
    def handed_on(self: Any, *args: Any, **kwargs: Any) -> Any:
        # Some of ccxt's methods are plain functions that return the coroutine of another one.
        return watched(self, *args, **kwargs)

    return handed_on


def _begun(exchange: Any, stream: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> WatchCall | None:
    """Return a new call; None within another one, and where streams are not observed."""
    outer = current_watch.get()
    if outer is not None and not outer.ended:
        return None
    state = vars(exchange).get(STREAMS)
    return None if state is None else WatchCall(state, stream, (*args, *kwargs.values()))
