"""Websockets of an exchange by address: what each carries, when it was last heard, and whether it is broken."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from peak_observe import catalog
from peak_observe.events import StreamBroken, StreamResumed
from peak_observe.exchange_client.streams.names import PRIVATE, address
from peak_observe.measures import ConnectionReading, StreamReading
from peak_observe.observers import emit

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from peak_observe.clock import Clock

WATCHED = 900.0
"""Seconds after which a market that nobody has asked for again no longer counts as watched."""

BETWEEN_CALLS = 30.0
"""Seconds between a call that was cancelled, as by a timeout, and the next one."""

_DIALS = {name: place for place, name in enumerate(catalog.DIAL_OUTCOMES)}
_BREAKS = {name: place for place, name in enumerate(catalog.CLOSE_CODES)}


class Connections:
    """All websockets of one exchange object, and their counts.

    Args:
        name: The label value `exchange`.
        clock: Where the time comes from.
    """

    def __init__(self, name: str, clock: Clock) -> None:
        self.name = name
        self.clock = clock
        self.by_url: dict[str, Connection] = {}
        self.counts = ConnectionReading()

    def dialed(self, outcome: str) -> None:
        """Count one attempt to open a websocket."""
        self.counts.dials[_DIALS[outcome]] += 1

    def broke(self, code: str) -> None:
        """Count one websocket that was open and broke."""
        self.counts.breaks[_BREAKS.get(code, _BREAKS["other"])] += 1

    def at(self, url: str) -> Connection:
        """Return the connection of an address, made when it is new; those that nobody watches any more go."""
        found = self.by_url.get(url)
        if found is None:
            for old, connection in list(self.by_url.items()):
                if connection.over and not connection.watched():
                    del self.by_url[old]
            found = self.by_url[url] = Connection(self, url)
        return found

    def read(self) -> ConnectionReading:
        """Return the counts of this moment."""
        reading = ConnectionReading()
        reading.add(self.counts)
        reading.connections = sum(connection.alive() for connection in list(self.by_url.values()))
        return reading


class StreamTally:
    """Counts of one stream and group of symbols over all websockets of an exchange object.

    Args:
        stream: The kind of data.
        group: The group of symbols.
        connections: The websockets.
        limit: Seconds of silence that are allowed; NaN where none are named.
    """

    def __init__(self, stream: str, group: str, connections: Connections, limit: float) -> None:
        self.stream = stream
        self.private = stream in PRIVATE
        self.limit = limit
        self.messages = 0
        self.gaps = 0
        self._key = (stream, group)
        self._connections = connections

    def feeds(self) -> list[Feed]:
        """Return the watched parts of it, by websocket."""
        found = (connection.feeds.get(self._key) for connection in list(self._connections.by_url.values()))
        return [feed for feed in found if feed is not None and feed.watched()]

    def read(self) -> StreamReading:
        """Return counts and ages of this moment; of several websockets the worst counts."""
        reading = StreamReading()
        for feed in self.feeds():
            found, now = StreamReading(), feed.connection.now()
            found.subscriptions = feed.subscriptions()
            found.connected = float(feed.connection.alive())
            found.message_age = max(0.0, now - feed.last)
            found.ping_age = max(0.0, now - feed.heard())
            found.silence = feed.silence()
            reading.add(found)
        reading.messages, reading.gaps, reading.max_silence = self.messages, self.gaps, self.limit
        return reading


@dataclass(slots=True)
class Subscription:
    """One market, or account, of a feed: how many calls wait for it, and how the last one ended.

    Attributes:
        feed: Which counts its messages.
        waiting: Calls that wait for its next message.
        ended: When the last call ended.
        given_up: Whether that was cancelled, so that nobody waits for the next message.
    """

    feed: Feed
    waiting: int = 0
    ended: float = -math.inf
    given_up: bool = False

    def watched(self, now: float) -> bool:
        """Return whether anybody waits for it, or is between two calls."""
        return self.waiting > 0 or now - self.ended < (BETWEEN_CALLS if self.given_up else WATCHED)


class Feed:
    """One stream and group of symbols on one websocket.

    Args:
        connection: The websocket.
        tally: Its counts, which all websockets share.
    """

    __slots__ = ("connection", "last", "since", "subscribed", "tally")

    def __init__(self, connection: Connection, tally: StreamTally) -> None:
        self.connection = connection
        self.tally = tally
        self.last = self.since = connection.now()
        self.subscribed: dict[str, Subscription] = {}

    def subscriptions(self) -> int:
        """Return how many markets, or accounts, are watched."""
        now = self.connection.now()
        found = list(self.subscribed.values())  # a copy, as the event loop adds to it in another thread
        return sum(subscription.watched(now) for subscription in found)

    def watched(self) -> bool:
        """Return whether anybody watches it."""
        return self.subscriptions() > 0

    def heard(self) -> float:
        """Return when a frame came last on its websocket, or since when it is watched."""
        return max(self.connection.heard, self.since)

    def silence(self) -> float:
        """Return the seconds of silence that count: an account says nothing by nature, but pings go on."""
        return max(0.0, self.connection.now() - (self.heard() if self.tally.private else self.last))

    def woken(self) -> None:
        """Begin to watch it, or again."""
        self.last = self.since = self.connection.now()


@dataclass(slots=True)
class Break:
    """Time in which a stream is broken.

    Attributes:
        reason: What happened.
        since: When that was.
        closed: Whether its websocket has to be opened and the stream subscribed to again.
        asked: Whether it was watched again.
        sent: Whether the subscription was sent again.
    """

    reason: str
    since: float
    closed: bool
    asked: bool = False
    sent: bool = False


class Life:
    """One life of a websocket, from its opening to its end.

    Args:
        loop: The event loop that it runs on.
    """

    __slots__ = ("_loop",)

    def __init__(self, loop: Any) -> None:
        self._loop = loop

    def loop_runs(self) -> bool:
        """Return whether the event loop is not closed."""
        return self._loop is None or not self._loop.is_closed()


class Connection:
    """The websocket of one address over all its lives.

    Args:
        connections: Those of its exchange.
        url: The address as ccxt has it, which is told to nobody.
    """

    def __init__(self, connections: Connections, url: str) -> None:
        self._all = connections
        self.address = address(url)
        self.now = connections.clock.monotonic
        self._life: Life | None = None
        self.over = False  # it was open, and no client of ccxt opens it again
        self.heard = -math.inf
        self.feeds: dict[tuple[str, str], Feed] = {}
        self.subscribed: dict[str, Subscription] = {}
        self.broken: dict[str, Break] = {}
        self.refusals: dict[tuple[str, str], str] = {}

    @property
    def open(self) -> bool:
        """Whether it is open."""
        return self._life is not None

    def alive(self) -> bool:
        """Return whether it is open on an event loop that is not closed."""
        life = self._life
        return life is not None and life.loop_runs()

    def watched(self) -> bool:
        """Return whether anybody watches any of its streams."""
        return any(feed.watched() for feed in list(self.feeds.values()))

    def feed(self, group: str, tally: StreamTally) -> Feed:
        """Return the feed of a stream and group, made when it is new."""
        key = (tally.stream, group)
        found = self.feeds.get(key)
        if found is None:
            found = self.feeds[key] = Feed(self, tally)
        return found

    def opened(self, life: Life) -> None:
        """Note that it is open."""
        self.adopt(life)
        self._all.dialed("opened")

    def adopt(self, life: Life) -> None:
        """Note that it is open since before anybody counted."""
        self._life, self.heard = life, self.now()
        self.refusals.clear()

    def failed(self, outcome: str) -> None:
        """Note that it could not be opened."""
        self._all.dialed(outcome)

    def delayed(self, seconds: float) -> None:
        """Note for how long ccxt delays an attempt to open it."""
        self._all.counts.backoff_seconds += seconds

    def broke(self, life: Life, label: str, reason: str, code: int | None = None) -> None:
        """Note that it is no longer open; ccxt says so twice, and once counts."""
        if self._life is life:
            self._life, self.over = None, True
            self._all.broke(label)
            self._lose(self.watched_streams(), reason, code, closed=True)

    def deafened(self) -> None:
        """Note that ccxt stopped to listen, as it does after a message that it cannot read."""
        self._all.counts.malformed += 1
        self._lose(self.watched_streams(), "unreadable message, after which ccxt does not listen", closed=True)

    def watched_streams(self) -> list[str]:
        """Return the streams that are watched."""
        found = list(self.feeds.values())
        return list(dict.fromkeys(feed.tally.stream for feed in found if feed.watched()))

    def silent(self, stream: str, seconds: float) -> None:
        """Note that a stream is silent for longer than is allowed."""
        self._lose([stream], f"silent for {seconds:.1f} s")

    def gap(self, feed: Feed) -> None:
        """Note that messages of a stream were lost."""
        feed.tally.gaps += 1
        self._lose([feed.tally.stream], "gap")

    def refused(self, stream: str, symbols: Iterable[str], reason: str) -> None:
        """Note that the exchange refused to send a stream of some symbols, or of the account: `""`."""
        if any(feed.tally.stream == stream and feed.watched() for feed in list(self.feeds.values())):
            self.refusals.update({(stream, symbol): reason for symbol in symbols})
            self._lose([stream], f"subscription refused: {reason}", closed=True)

    def accepted(self, stream: str, symbols: Iterable[str]) -> None:
        """Note that the exchange sends a stream of some symbols, or of the account."""
        for symbol in symbols:
            self.refusals.pop((stream, symbol), None)

    def closed(self) -> None:
        """Note that the program closed it: nobody watches its streams any more."""
        self._life, self.over = None, True
        for feed in self.feeds.values():
            feed.subscribed.clear()
        self.subscribed.clear()
        self.broken.clear()
        self.refusals.clear()

    def unsubscribed(self, message_hash: str, *, prefix: bool) -> None:
        """Note that a market is unsubscribed from, or all whose hash begins so."""
        gone = [known for known in self.subscribed if prefix and known.startswith(message_hash)]
        for known in gone or [message_hash]:
            self.forget(known)

    def forget(self, message_hash: str) -> None:
        """Note that a market is not watched any more."""
        found = self.subscribed.pop(message_hash, None)
        if found is not None:
            found.feed.subscribed.pop(message_hash, None)

    def asked(self, stream: str) -> None:
        """Note that a stream is watched, perhaps again."""
        found = self.broken.get(stream)
        if found is not None:
            found.asked = True

    def sent(self) -> None:
        """Note that a message was sent, which subscribes to what was asked for."""
        for found in self.broken.values():
            found.sent = found.asked

    def woke(self) -> None:
        """End the breaks of streams of the account, where a frame is as good as a message."""
        for stream, found in list(self.broken.items()):
            if stream in PRIVATE and (found.sent or not found.closed):
                self.resume(stream)

    def resume(self, stream: str) -> None:
        """End the break of a stream, if there is one."""
        found = self.broken.pop(stream, None)
        if found is not None:
            seconds = max(0.0, self.now() - found.since)
            emit(StreamResumed(*self._about(stream, found.reason), seconds))

    def _lose(self, streams: list[str], reason: str, code: int | None = None, *, closed: bool = False) -> None:
        for stream in streams:
            if stream in self.broken:
                self.broken[stream].closed |= closed
                self.broken[stream].sent = False
            else:
                self.broken[stream] = Break(reason, self.now(), closed)
                emit(StreamBroken(*self._about(stream, reason), code))

    def _about(self, stream: str, reason: str) -> tuple[str, str, str, str, datetime]:
        return self._all.name, stream, reason, self.address, self._all.clock.now()


def moved(old: Connection, new: Connection, message_hash: str) -> None:
    """Let a market go on at a new address, as with a new listen key, together with its break."""
    found = old.subscribed.get(message_hash)
    if found is None or found.waiting:
        return
    stream = found.feed.tally.stream
    old.forget(message_hash)
    if stream in old.broken and not any(feed.subscribed for feed in old.feeds.values() if feed.tally.stream == stream):
        new.broken[stream] = old.broken.pop(stream)
