"""An HTTP server on the loopback interface that can also refuse, reset and hang up."""

from __future__ import annotations

import contextlib
import json
import socket
import struct
import sys
import threading
import time
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import TCPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlsplit

from peak_observe.testing.websocket import WebSocket, accept_header

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from peak_observe.testing.faults import Fault

HOST = "127.0.0.1"
_LINGER_0 = struct.pack("ii", 1, 0)


@dataclass(frozen=True, slots=True)
class Call:
    """One request: method, path, parameters of the query and the body, and headers.

    `text` is all of it; `websocket` is whether it asks for a websocket.
    """

    method: str
    path: str
    params: dict[str, str]
    headers: Mapping[str, str]
    text: str
    websocket: bool = False


@dataclass(frozen=True, slots=True)
class Reply:
    """Answer of the exchange itself: something for JSON, and the HTTP status and headers that go with it."""

    payload: Any
    status: int = 200
    headers: tuple[tuple[str, str], ...] = ()


class LoopbackServer(ThreadingHTTPServer):
    """Hold a port of 127.0.0.1 from the beginning, and answer on it between `start` and `stop`.

    Args:
        handle: Decides what to do with a request and what its answer says.
        port: The port to bind; 0 picks a free one.
        serve: Serves a websocket after its handshake, by its path and the fault that hit that; true resets it.
        now: Returns the Unix time that the answers are dated with.
    """

    daemon_threads = True
    request_queue_size = 128

    def __init__(
        self,
        handle: Callable[[Call], tuple[Fault, bytes]],
        port: int,
        serve: Callable[[WebSocket, str, Fault], bool],
        now: Callable[[], float] = time.time,
    ) -> None:
        super().__init__((HOST, port), _Handler, bind_and_activate=False)
        self.handle = handle
        self.serve = serve
        self.now = now
        self._clients: dict[socket.socket, threading.Thread] = {}
        self._acceptor: threading.Thread | None = None
        self.server_bind()

    @property
    def listening(self) -> bool:
        """Tell whether connections are accepted rather than refused."""
        return self._acceptor is not None

    def start(self) -> None:
        """Listen, and answer each connection in a thread of its own."""
        self.server_activate()
        self._acceptor = threading.Thread(target=self.serve_forever, args=(0.02,), name="fake-exchange", daemon=True)
        self._acceptor.start()

    def stop(self) -> None:
        """Give up the port, close every connection, and join every thread."""
        if self._acceptor is not None:
            self.shutdown()
            self._acceptor.join()
        self.server_close()
        for client in self._clients:
            with contextlib.suppress(OSError):
                client.shutdown(socket.SHUT_RDWR)
        for thread in self._clients.values():
            thread.join(1.0)
        self._clients.clear()

    def server_bind(self) -> None:
        """Bind without looking up the host's name, which can take seconds."""
        TCPServer.server_bind(self)
        self.server_name, self.server_port = HOST, self.socket.getsockname()[1]

    def process_request(self, request: Any, client_address: Any) -> None:
        """Answer a new connection in a thread that `stop` can find."""
        thread = threading.Thread(target=self.process_request_thread, args=(request, client_address), daemon=True)
        self._clients = {client: kept for client, kept in self._clients.items() if kept.is_alive()}
        self._clients[request] = thread
        thread.start()

    def shutdown_request(self, request: Any) -> None:
        """Close a connection, without the orderly FIN if it is to be reset."""
        if request.getsockopt(socket.SOL_SOCKET, socket.SO_LINGER):
            self.close_request(request)
        else:
            super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Report what went wrong, unless it is a client that has gone away."""
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    server: LoopbackServer
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = 1 << 18  # one write a response: two would wait for the client's delayed ACK

    def do_GET(self) -> None:
        """Answer a request, or end its connection, as the server decides."""
        fault, body = self.server.handle(self._call())
        if self._upgrades() and fault.accepts_websocket:
            self._switch(fault)
            return
        if fault.ending in ("reset", "close"):
            self.close_connection = True
            if fault.ending == "reset":
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_0)
            return
        self.send_response(fault.code)
        for header, value in fault.headers:
            self.send_header(header, value)
        self.send_header("Content-Type", "text/html" if body.startswith(b"<") else "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _upgrades(self) -> bool:
        return self.headers.get("Upgrade", "").lower() == "websocket"

    def _switch(self, fault: Fault) -> None:
        self.close_connection = True
        self.send_response(HTTPStatus.SWITCHING_PROTOCOLS)
        self.send_header("Upgrade", "websocket")
        self.send_header("Connection", "Upgrade")
        self.send_header("Sec-WebSocket-Accept", accept_header(self.headers.get("Sec-WebSocket-Key", "")))
        self.end_headers()
        self.wfile.flush()
        if self.server.serve(WebSocket(self.connection), urlsplit(self.path).path, fault):
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_0)

    def do_POST(self) -> None:
        """Answer as to GET: the parameters are in the body."""
        self.do_GET()

    do_DELETE = do_PUT = do_POST  # noqa: N815 - the base class looks for these names

    def date_time_string(self, timestamp: float | None = None) -> str:
        """Date the answer by the exchange's own clock."""
        return super().date_time_string(self.server.now() if timestamp is None else timestamp)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class names it
        """Say nothing: the counts are in `requests`."""

    def _call(self) -> Call:
        url = urlsplit(self.path)
        sent = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
        params = dict(parse_qsl(url.query))
        if sent.startswith("{"):
            params |= {name: str(value) for name, value in json.loads(sent).items()}
        else:
            params |= parse_qsl(sent)
        text = f"{self.requestline}\n{self.headers}\n{sent}"
        return Call(self.command, url.path, params, dict(self.headers.items()), text, websocket=self._upgrades())
