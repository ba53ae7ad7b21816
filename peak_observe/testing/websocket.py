"""Server side of the WebSocket protocol (RFC 6455) on one connection: handshake, frames and close codes."""

from __future__ import annotations

import base64
import hashlib
import select
import struct
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import socket

TEXT, CLOSE, PING, PONG = 0x1, 0x8, 0x9, 0xA
_KEY_SUFFIX = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # of section 1.3
_SHORT, _LONG = 126, 127
"""Lengths in the second byte of a frame that say that the length follows, in 2 or in 8 bytes."""


def accept_header(key: str) -> str:
    """Return the header `Sec-WebSocket-Accept` for the key of a client."""
    return base64.b64encode(hashlib.sha1(key.encode() + _KEY_SUFFIX, usedforsecurity=False).digest()).decode()


class WebSocket:
    """Frames of one connection whose handshake is done.

    Args:
        connection: The socket, which stays the caller's to close.
    """

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._received = b""

    def receive(self, timeout: float) -> tuple[int, bytes] | None:
        """Return opcode and payload of the next frame; None if there is none within `timeout` seconds.

        Raises:
            ConnectionError: The client is gone.
        """
        while (frame := self._next_frame()) is None:
            if not select.select([self._connection], [], [], timeout)[0]:
                return None
            if not (received := self._connection.recv(1 << 16)):
                raise ConnectionResetError("the client closed the connection")
            self._received += received
        return frame

    def send(self, payload: str) -> None:
        """Send one text message."""
        self.send_frame(TEXT, payload.encode())

    def send_frame(self, opcode: int, payload: bytes = b"") -> None:
        """Send one frame; a server's frames have no mask."""
        size = len(payload)
        if size < _SHORT:
            head = struct.pack("!BB", 0x80 | opcode, size)
        elif size < 1 << 16:
            head = struct.pack("!BBH", 0x80 | opcode, _SHORT, size)
        else:
            head = struct.pack("!BBQ", 0x80 | opcode, _LONG, size)
        self._connection.sendall(head + payload)

    def close(self, code: int, reason: str = "") -> None:
        """Send a close frame with a code."""
        self.send_frame(CLOSE, struct.pack("!H", code) + reason.encode())

    def _next_frame(self) -> tuple[int, bytes] | None:
        data = self._received
        if len(data) < 2:  # noqa: PLR2004 - the smallest head
            return None
        size, start = data[1] & 0x7F, 2
        if size >= _SHORT:
            layout, start = ("!H", 4) if size == _SHORT else ("!Q", 10)
            if len(data) < start:
                return None
            (size,) = struct.unpack(layout, data[2:start])
        end = start + 4 + size
        if len(data) < end:
            return None
        mask, payload = data[start : start + 4], data[start + 4 : end]
        self._received = data[end:]
        return data[0] & 0x0F, bytes(byte ^ mask[place % 4] for place, byte in enumerate(payload))
