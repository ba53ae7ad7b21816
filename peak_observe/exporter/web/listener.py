"""Accept loop with a limit of connections, which are counted from the accept on: before TLS, before the first byte.

At the limit a newcomer takes the place of a connection that asks for nothing, first of the peer that holds the most. No
peer keeps others out, and descriptors stay in reserve for files, programs and other sockets.
"""

from __future__ import annotations

import asyncio
import errno
import socket
import traceback
from asyncio import sslproto
from collections import Counter
from contextlib import suppress
from typing import TYPE_CHECKING

from peak_observe.clock import SYSTEM_CLOCK
from peak_observe.exporter.logs import Repeats
from peak_observe.support.loggers import logger
from peak_observe.support.posix import resource
from peak_observe.telemetry.http_rules import peer_of

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Iterable

    from peak_observe.exporter.web.http_protocol import TimeLimitedProtocol

MOST = 512  # connections; a descriptor each
LEAST = 8
RESERVE = 64  # descriptors that no connection takes
HANDSHAKE = 5.0  # seconds for TLS to begin
SHUTDOWN = 2.0  # seconds for TLS to end
OVERDUE = 10.0  # seconds after which an answer under way makes room too: Prometheus has given up on it
BURST = 64  # connections accepted before others get a turn
PAUSE = 0.2  # seconds until the next try after the system had nothing to give
TLS_BUFFER = 32_768  # bytes; asyncio's own are 256 KiB for each connection, 128 MiB for all
_GONE = {errno.ECONNABORTED, errno.EPROTO, errno.ENETDOWN, errno.EHOSTUNREACH, errno.ENETUNREACH}
_log = logger("peak_observe.exporter")


def limit() -> int:
    """Return how many connections may be open at a time in this process."""
    if resource is None:  # Windows, where sockets are no descriptors
        return MOST
    descriptors = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return MOST if descriptors == resource.RLIM_INFINITY else max(LEAST, min(MOST, descriptors - RESERVE))


class Connection:
    """Accepted connection: its socket, its peer, its protocol, and the task that lets TLS begin."""

    __slots__ = ("peer", "protocol", "since", "socket", "task")

    def __init__(self, client: socket.socket, peer: str, protocol: TimeLimitedProtocol) -> None:
        self.socket = client
        self.peer = peer
        self.protocol = protocol
        self.since = SYSTEM_CLOCK.monotonic()
        self.task: asyncio.Task[None] | None = None

    @property
    def idle_since(self) -> float | None:
        """Time of its last request; None while an answer is under way that somebody may still wait for."""
        began = self.protocol.answering_since
        if began is not None and SYSTEM_CLOCK.monotonic() - began < OVERDUE:
            return None
        return self.protocol.answered_at or self.since

    def cut(self) -> None:
        """End it at once."""
        if self.protocol.begun:
            self.protocol.transport.abort()
        else:
            with suppress(OSError):
                self.socket.shutdown(socket.SHUT_RDWR)  # its handshake fails, and what it holds is freed


class Listener:
    """Listening sockets of a server.

    Args:
        sockets: They.
        make: Returns the protocol of a new connection.
        tls: How to speak TLS; None for plain HTTP.
    """

    def __init__(
        self,
        sockets: Iterable[socket.socket],
        make: Callable[[], TimeLimitedProtocol],
        tls: ssl.SSLContext | None,
    ) -> None:
        self._sockets = list(sockets)
        self._make = make
        self._tls = tls
        self._limit = limit()
        self._connections: set[Connection] = set()
        self._loop = asyncio.get_running_loop()
        self._repeats = Repeats()
        sslproto.SSLProtocol.max_size = TLS_BUFFER

    def start(self) -> None:
        """Begin to accept."""
        for listener in self._sockets:
            listener.settimeout(0)
            self._loop.add_reader(listener, self._accept, listener)

    def close(self) -> None:
        """Accept no more; who has not even begun is not waited for."""
        for listener in self._sockets:
            self._loop.remove_reader(listener)
        self._sockets.clear()
        for connection in list(self._connections):
            if not connection.protocol.begun:
                connection.cut()

    async def wait_closed(self) -> None:
        """Return: connections are waited for by the server."""

    def _accept(self, listener: socket.socket) -> None:
        for _ in range(BURST):
            try:
                client, address = listener.accept()
            except (BlockingIOError, InterruptedError):
                return
            except OSError as error:
                if error.errno not in _GONE:  # else the client went away while it waited
                    self._out_of_resources(listener, error)
                    return
                continue
            client.settimeout(0)
            # Asyncio does it for sockets of its own making alone; without it each answer waits 40 ms for an ACK.
            with suppress(OSError):  # it is gone already
                client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._take(client, peer_of(address))

    def _take(self, client: socket.socket, peer: str) -> None:
        if len(self._connections) >= self._limit and not self._make_room(peer):
            client.close()
            return
        connection = Connection(client, peer, self._make())
        self._connections.add(connection)
        connection.protocol.on_lost = lambda: self._connections.discard(connection)
        connection.task = self._loop.create_task(self._begin(connection))

    async def _begin(self, connection: Connection) -> None:
        handshake = {"ssl_handshake_timeout": HANDSHAKE, "ssl_shutdown_timeout": SHUTDOWN} if self._tls else {}
        try:
            await self._loop.connect_accepted_socket(
                lambda: connection.protocol, connection.socket, ssl=self._tls, **handshake
            )
        except OSError as error:  # it was silent, garbled or reset, or had to make room
            _log.debug("a connection of %s did not begin: %r", connection.peer, error)
            # Its frames hold the future that holds it: a circle, which would keep 160 KB of TLS buffers for long.
            traceback.clear_frames(error.__traceback__)
        finally:
            connection.task = None
            if not connection.protocol.begun:
                self._connections.discard(connection)
                connection.socket.close()

    def _make_room(self, peer: str) -> bool:
        held = Counter(connection.peer for connection in self._connections)
        idle = [
            (held[one.peer], not one.protocol.answered_at, -since, one)
            for one in self._connections
            if (since := one.idle_since) is not None
        ]
        if idle:
            victim = max(idle, key=lambda found: found[:3])[3]
        else:
            most, count = held.most_common(1)[0]
            if count <= held[peer] + 1:
                self._tell("refused", "%d connections are being answered: new ones are refused", self._limit)
                return False
            victim = min((one for one in self._connections if one.peer == most), key=lambda one: one.since)
        self._connections.discard(victim)
        victim.cut()
        return True

    def _out_of_resources(self, listener: socket.socket, error: OSError) -> None:
        """Wait a moment, and let go of a connection that asks for nothing; epoll would wake up at once for ever."""
        self._tell("accept", "no connection can be accepted: %s", error.strerror)
        if self._connections:
            self._make_room("")
        self._loop.remove_reader(listener)
        self._loop.call_later(PAUSE, self._resume, listener)

    def _resume(self, listener: socket.socket) -> None:
        if listener in self._sockets:
            self._loop.add_reader(listener, self._accept, listener)

    def _tell(self, kind: str, text: str, *arguments: object) -> None:
        left_out = self._repeats.admit(kind)
        if left_out is not None:
            _log.warning(f"{text}%s", *arguments, f" ({left_out} times in the last minutes)" if left_out else "")
