"""Streams of one exchange object: what is watched, in which groups, and how long it may be silent."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeAlias
from weakref import ref

from peak_observe.exchange_client.streams.connection import Connection, Connections, StreamTally, Subscription, moved
from peak_observe.exchange_client.streams.names import PRIVATE, STREAMS
from peak_observe.measures import CONNECTIONS
from peak_observe.measures import STREAMS as NAMES
from peak_observe.measures.streams import SEPARATOR
from peak_observe.resilience.common import validation
from peak_observe.support.shown import shown

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Iterable, Iterator

    from peak_observe.clock import Clock
    from peak_observe.resilience import HealthCheck

MaxSilence: TypeAlias = float | Mapping[str, float] | None
"""Seconds of silence that are allowed on all streams, or on those that are named."""

ALL, OTHER = "all", "_other"
GROUPS = 64
"""Groups of symbols that have series of their own; more share `_other`."""

_LOOKS = 5
"""Times within the allowed silence that it is looked for."""

_LONGEST_LOOK = 5.0


class StreamOptions:
    """Options of streams, checked.

    Args:
        max_silence: Seconds for which streams may be silent: for all, or by stream.
        group: Returns the group of a symbol; all are one group if not given.

    Raises:
        ValueError: A number of seconds is invalid, or there is no such stream.
        TypeError: The group is no function.
    """

    def __init__(self, max_silence: MaxSilence = None, group: Callable[[str], str] | None = None) -> None:
        self.max_silence = max_silence
        self.group = group
        if isinstance(max_silence, Mapping):
            for stream, seconds in max_silence.items():
                if stream not in STREAMS:
                    raise ValueError(f"stream_max_silence knows no stream {shown(stream)}: {', '.join(STREAMS)}")
                validation.check_period(f"stream_max_silence[{stream!r}]", seconds)
        elif max_silence is not None:
            validation.check_period("stream_max_silence", max_silence)
        if group is not None and not callable(group):
            raise TypeError(f"stream_group must be a function of a symbol that returns its group, not {shown(group)}")

    def limit(self, stream: str, keep_alive: float) -> float:
        """Return the seconds for which a stream may be silent; NaN where none are named.

        Args:
            stream: The kind of data.
            keep_alive: Seconds between two pings of ccxt.
        """
        if self.max_silence is None:
            return math.nan
        if isinstance(self.max_silence, Mapping):
            return float(self.max_silence.get(stream, math.nan))
        # Of an account nothing but pings can be expected, which no shorter silence would be fair to.
        return max(float(self.max_silence), 2 * keep_alive if stream in PRIVATE else 0.0)


class StreamState:
    """Streams of one exchange object.

    Args:
        name: The label value `exchange`.
        clock: Where the time comes from.
        options: How long streams may be silent, and how symbols are grouped.
    """

    def __init__(self, name: str, clock: Clock, options: StreamOptions) -> None:
        self.options = options
        self.connections = Connections(name, clock)
        self.keep_alive = 30.0
        self.registered: tuple[HealthCheck, str] | None = None
        self._tallies: dict[tuple[str, str], StreamTally] = {}
        self._groups: dict[str, str] = {}
        self._timer: asyncio.TimerHandle | None = None
        CONNECTIONS.series(name).join(self, self.connections.read)

    def __deepcopy__(self, memo: dict[int, Any]) -> StreamState:
        return self  # a copy of an exchange object counts for the same exchange

    def watch(self, url: str, message_hash: str, stream: str, args: Iterable[Any]) -> Subscription:
        """Note that a call waits for a market, or account, and return that.

        Args:
            url: The address of the websocket.
            message_hash: ccxt's name of what is waited for.
            stream: The kind of data.
            args: The arguments of the call, among which the symbols are.
        """
        connection = self.connections.at(url)
        found = connection.subscribed.get(message_hash)
        if found is None:
            found = self._subscribe(connection, message_hash, stream, args)
        # A look at all of a feed's markets is left to those that nobody has asked for lately.
        if not found.watched(connection.now()) and not found.feed.watched():
            found.feed.woken()
        found.waiting += 1
        if connection.broken:
            connection.asked(found.feed.tally.stream)
        return found

    def _subscribe(self, connection: Connection, message_hash: str, stream: str, args: Iterable[Any]) -> Subscription:
        for other in list(self.connections.by_url.values()):
            if other is not connection:
                moved(other, connection, message_hash)
        group = self._group(message_hash, args)
        feed = connection.feed(group, self._tally(stream, group))
        found = Subscription(feed)
        connection.subscribed[message_hash] = feed.subscribed[message_hash] = found
        return found

    def _tally(self, stream: str, group: str) -> StreamTally:
        found = self._tallies.get((stream, group))
        if found is None:
            limit = self.options.limit(stream, self.keep_alive)
            found = self._tallies[stream, group] = StreamTally(stream, group, self.connections, limit)
            name = SEPARATOR.join((self.connections.name, stream, group))
            NAMES.series(name).join(self, found.read)
        return found

    def _group(self, message_hash: str, args: Iterable[Any]) -> str:
        if self.options.group is None:
            return ALL
        symbols = list(_strings(args))
        named = [symbol for symbol in symbols if symbol in message_hash] or symbols
        if not named:
            return ALL
        symbol = max(named, key=len)
        if symbol not in self._groups:
            group = _asked(self.options.group, symbol)
            known = set(self._groups.values())
            self._groups[symbol] = group if group in known or len(known) < GROUPS else OTHER
        return self._groups[symbol]

    def release(self, watched: list[Subscription], *, given_up: bool) -> None:
        """Note that a call does not wait any longer.

        Args:
            watched: The markets that it waited for.
            given_up: Whether it was cancelled or the market is not watched any more.
        """
        now = self.connections.clock.monotonic()
        for found in watched:
            found.waiting -= 1
            found.ended, found.given_up = now, given_up

    def silent(self) -> list[tuple[str, float, float]]:
        """Return the streams that are silent for longer than they may, with the seconds of both."""
        found = [(tally.stream, feed.silence(), tally.limit) for tally, feed in self._feeds()]
        return [(stream, silence, limit) for stream, silence, limit in found if silence > limit]

    def refused(self) -> list[tuple[str, str]]:
        """Return the streams that are watched and that the exchange refused, with the symbol, and why."""
        return [
            (f"{stream} {symbol}".rstrip(), reason)
            for connection in list(self.connections.by_url.values())
            for (stream, symbol), reason in list(connection.refusals.items())
            if stream in connection.watched_streams()
        ]

    def health(self) -> tuple[bool, str]:
        """Return whether no stream is silent for too long or refused, with a sentence for a person."""
        told = [f"{name}: the exchange refused the subscription: {reason}" for name, reason in self.refused()]
        told += [f"{stream} is silent for {now:.1f} s, {limit:g} s are allowed" for stream, now, limit in self.silent()]
        if told:
            return False, "; ".join(told)
        streams = dict.fromkeys(tally.stream for tally, _ in self._feeds())
        return True, f"{', '.join(streams)}: no silence" if streams else "no stream is watched"

    def _feeds(self) -> list[tuple[StreamTally, Any]]:
        return [(tally, feed) for tally in list(self._tallies.values()) for feed in tally.feeds()]

    def look_for_silence(self, loop: asyncio.AbstractEventLoop) -> None:
        """Look for silence on an event loop from now on, for as long as anything is watched."""
        if self.options.max_silence is None or (self._timer is not None and _runs(self._timer, loop)):
            return
        limits = [tally.limit for tally in self._tallies.values() if not math.isnan(tally.limit)]
        if limits:
            pause = min(_LONGEST_LOOK, min(limits) / _LOOKS)
            self._timer = loop.call_later(pause, _look, ref(self), loop)

    def look(self, loop: asyncio.AbstractEventLoop) -> None:
        """Tell of streams that are silent for too long."""
        self._timer = None
        feeds = self._feeds()
        for tally, feed in feeds:
            if feed.silence() > tally.limit:
                feed.connection.silent(tally.stream, feed.silence())
        if feeds:
            self.look_for_silence(loop)

    def closed(self) -> None:
        """Note that the program closed the exchange: nobody watches anything any more."""
        self.stop()
        for connection in list(self.connections.by_url.values()):
            connection.closed()

    def stop(self) -> None:
        """Look no longer for silence."""
        timer, self._timer = self._timer, None
        if timer is not None:
            timer.cancel()


def _strings(found: Any) -> Iterator[str]:
    if isinstance(found, str):
        yield found
    elif isinstance(found, list | tuple):
        for part in found:
            yield from _strings(part)


def _look(weakly: ref[StreamState], loop: asyncio.AbstractEventLoop) -> None:
    state = weakly()
    if state is not None:
        state.look(loop)


def _runs(timer: asyncio.TimerHandle, loop: asyncio.AbstractEventLoop) -> bool:
    # A loop that was closed never calls the timer, and a program may have begun another.
    return not timer.cancelled() and getattr(timer, "_loop", loop) is loop


def _asked(group: Callable[[str], str], symbol: str) -> str:
    try:
        found = group(symbol)
    except Exception:  # noqa: BLE001 - a fault of the program's function must not end its stream
        return OTHER
    return found if isinstance(found, str) and found else OTHER
