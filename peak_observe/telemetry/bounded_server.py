"""Threaded HTTP server that a trading program can carry: few connections, one deadline each, no idle wake-ups."""

from __future__ import annotations

import contextlib
import re
import selectors
import socket
import sys
import threading
import time
from collections import Counter
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import TCPServer
from typing import Any

from peak_observe.measures import forks
from peak_observe.support.loggers import logger
from peak_observe.telemetry.http_rules import peer_of

MAX_CONNECTIONS = 20
"""Connections at a time. Each holds a descriptor and a thread of the trading program."""
DEADLINE = 10.0
"""Seconds from the accept to the end of the answer, however slowly the client asks or reads."""
BACKLOG = 128
"""Connections that the system queues while the limit is reached or the accept loop is busy."""
_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # of a header


class _Connection:
    """An accepted connection: its socket, its peer, its deadline, and whether its request has been read."""

    __slots__ = ("deadline", "peer", "requested", "socket")

    def __init__(self, connection: socket.socket, peer: str) -> None:
        self.socket = connection
        self.peer = peer
        self.deadline = time.perf_counter() + DEADLINE
        self.requested = False

    def cut(self) -> None:
        """End the connection; the thread that serves it wakes up with an error or an end of file."""
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)


class BoundedServer(ThreadingHTTPServer):
    """HTTP server with a limit of connections and one deadline per connection.

    When the limit is reached, the oldest connection without a complete request makes room for the new one; where all
    have asked, the oldest of the peer that holds most makes room for others', or the new one is closed. A forked child
    closes its copies of all sockets, so that its parent's port is freed with the parent.

    Args:
        address: Host and port to bind.
        family: The socket's address family.
        handler: The class that answers one request.

    Raises:
        OSError: The address cannot be bound.
    """

    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = BACKLOG

    def __init__(self, address: tuple[str, int], family: int, handler: type[BoundedHandler]) -> None:
        self.address_family = family
        self._connections: dict[socket.socket, _Connection] = {}
        self._lock = threading.Lock()
        self._closing = False
        self._wake_receiver, self._wake_sender = socket.socketpair()
        try:
            super().__init__(address, handler)
        except BaseException:
            self._close_wakers()
            raise
        forks.renew(self)

    def serve_until_closed(self) -> None:
        """Accept connections until `stop`; sleeps while nothing happens and nobody is connected."""
        with selectors.DefaultSelector() as selector:
            selector.register(self.socket, selectors.EVENT_READ)
            selector.register(self._wake_receiver, selectors.EVENT_READ)
            while not self._closing:
                for key, _ in selector.select(self._next_deadline()):
                    if key.fileobj is self.socket:
                        self._handle_request_noblock()  # type: ignore[attr-defined] # socketserver's own, untyped
                self._cut_late_connections()

    def stop(self) -> None:
        """End `serve_until_closed`."""
        self._closing = True
        with contextlib.suppress(OSError):
            self._wake_sender.send(b"x")

    def server_close(self) -> None:
        """Close the listening socket."""
        super().server_close()
        self._close_wakers()

    def server_bind(self) -> None:
        """Bind without asking the resolver for the host's name, which can hang for seconds."""
        TCPServer.server_bind(self)

    def process_request(self, request: Any, client_address: Any) -> None:
        """Serve a connection in a thread of its own, if there is room for it."""
        peer = peer_of(client_address)
        if not self._make_room(peer):
            self.shutdown_request(request)
            return
        with self._lock:
            self._connections[request] = _Connection(request, peer)
        try:
            super().process_request(request, client_address)
        except RuntimeError:  # the system has no thread left
            self.shutdown_request(request)

    def shutdown_request(self, request: Any) -> None:
        """Close a connection and forget it."""
        with self._lock:
            self._connections.pop(request, None)
        super().shutdown_request(request)

    def note_request(self, request: socket.socket) -> None:
        """Record that a connection's request is complete, so that no other connection takes its place."""
        with self._lock:
            known = self._connections.get(request)
        if known is not None:
            known.requested = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Log a failed request; the base class would print a traceback into the program's output."""
        del request
        error = sys.exception()
        if not isinstance(error, OSError):  # a client that went away is no error of ours
            log = logger("peak_observe.exporter")
            log.error("a request of %s failed", client_address, exc_info=error)

    def after_fork(self) -> None:
        """Close this child's copies of the sockets: the parent serves, and a dead parent must refuse, not hang."""
        self._lock = threading.Lock()
        self._closing = True
        for connection in self._connections:
            connection.close()
        self._connections.clear()
        self.server_close()

    def _make_room(self, peer: str) -> bool:
        with self._lock:
            if len(self._connections) < MAX_CONNECTIONS:
                return True
            waiting = [known for known in self._connections.values() if not known.requested]
            if not waiting:
                held = Counter(known.peer for known in self._connections.values())
                most, count = held.most_common(1)[0]
                if count <= held[peer] + 1:
                    return False
                waiting = [known for known in self._connections.values() if known.peer == most]
            oldest = min(waiting, key=lambda known: known.deadline)
            del self._connections[oldest.socket]
        oldest.cut()
        return True

    def _next_deadline(self) -> float | None:
        with self._lock:
            deadlines = [known.deadline for known in self._connections.values()]
        return max(0.0, min(deadlines) - time.perf_counter()) if deadlines else None

    def _cut_late_connections(self) -> None:
        now = time.perf_counter()
        with self._lock:
            late = [known for known in self._connections.values() if known.deadline <= now]
            for known in late:
                del self._connections[known.socket]
        for known in late:
            known.cut()

    def _close_wakers(self) -> None:
        self._wake_receiver.close()
        self._wake_sender.close()


class BoundedHandler(BaseHTTPRequestHandler):
    """Base of the handlers of a `BoundedServer`: one request a connection."""

    server: BoundedServer
    raw_requestline: bytes
    timeout = DEADLINE
    default_request_version = "HTTP/1.0"  # or what is malformed got an error without a status line, as of HTTP/0.9

    def parse_request(self) -> bool:
        """Read the request's head, and tell the server that it is complete."""
        complete = super().parse_request()
        self.server.note_request(self.connection)
        if not self.raw_requestline.strip():
            self.send_error(HTTPStatus.BAD_REQUEST, "Bad request line")
        elif complete and (self.headers.defects or not all(map(_NAME.fullmatch, self.headers))):
            self.send_error(HTTPStatus.BAD_REQUEST, "Bad header line")
            return False
        return complete

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name is the base class's
        """Log nothing: a scrape every few seconds is no news."""
