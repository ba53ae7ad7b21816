"""One websocket connection of a fake exchange: subscriptions, updates in real time, and the faults that hit them."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from peak_observe.testing.websocket import CLOSE, PING, PONG, TEXT, WebSocket

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from peak_observe.testing.faults import Fault

PREFIX = "WS"
"""Name of the handshake as faults are aimed at it; that of a channel's messages is `WS <channel>`."""


@dataclass(frozen=True, slots=True)
class Message:
    """A message of the exchange, and the channel that it belongs to; empty for answers to what the client sent."""

    payload: Any
    channel: str = ""


@dataclass(slots=True)
class Subscriptions:
    """Subscriptions of one connection.

    Attributes:
        path: The path of its address.
        channels: Channel and market or interval of each subscription, with the last update that was sent of it.
        seen: How many changes of orders were looked at.
        sequence: Number of the last message of the private channel.
        signed_in: Whether the client may see its orders here.
    """

    path: str
    channels: dict[tuple[str, ...], int] = field(default_factory=dict)
    seen: int = 0
    sequence: int = 0
    signed_in: bool = False


class StreamDialect(Protocol):
    """The websocket interface of an exchange."""

    def greeting(self) -> Iterable[Message]:
        """Return what the exchange says first."""

    def answer(self, connection: Subscriptions, message: Any, number: int) -> Iterable[Message]:
        """Carry out a message of the client and return the answers.

        Args:
            connection: What the connection has subscribed to.
            message: The message.
            number: The number of the present update of all markets.
        """

    def updates(self, connection: Subscriptions, number: int) -> Iterable[Message]:
        """Return the messages that are due, by the number of the present update."""

    def heartbeat(self) -> Message | None:
        """Return what the exchange says each second in which it says nothing else."""


class _Ended(Exception):  # noqa: N818 - the orderly end of a session
    """The connection is over."""


class StreamSession:
    """Serve one connection until it ends.

    Args:
        socket: The connection after its handshake.
        dialect: Whose interface it is.
        path: The path of the address.
        number: Returns the number of the present update of all markets.
        interval: Seconds between two updates.
        fault: Returns how to treat a message of a channel, by the name of that.
        subscribed: Is told the names of channels that are subscribed to.
        wait: Waits for some seconds, or until faults are healed for None; true if the exchange is closed.
    """

    def __init__(
        self,
        socket: WebSocket,
        dialect: StreamDialect,
        path: str,
        *,
        number: Callable[[], int],
        interval: float,
        fault: Callable[[str], Fault],
        subscribed: Callable[[str], None],
        wait: Callable[[float | None], bool],
    ) -> None:
        self._socket = socket
        self._dialect = dialect
        self._number = number
        self._interval = interval
        self._fault = fault
        self._subscribed = subscribed
        self._wait = wait
        self._connection = Subscriptions(path)
        self._spoke = time.monotonic()

    def run(self) -> bool:
        """Serve the connection; return whether it is to be reset rather than closed."""
        try:
            self._send(self._dialect.greeting())
            while True:
                self._receive()
                self._send(self._dialect.updates(self._connection, self._number()))
                self._beat()
        except _Ended as end:
            return bool(end.args)
        except OSError:
            return False

    def _receive(self) -> None:
        frame = self._socket.receive(self._interval)
        if frame is None:
            return
        opcode, payload = frame
        if opcode == CLOSE:
            self._socket.send_frame(CLOSE, payload)
            raise _Ended
        if opcode == PING:
            fault = self._fault(f"{PREFIX} pong")
            self._pass(fault)
            if fault.ending != "drop":
                self._socket.send_frame(PONG, payload)
        elif opcode == TEXT:
            known = set(self._connection.channels)
            answers = list(self._dialect.answer(self._connection, json.loads(payload), self._number()))
            for channel in sorted({key[0] for key in self._connection.channels if key not in known}):
                self._subscribed(f"{PREFIX} {channel}")
            self._send(answers)

    def _beat(self) -> None:
        heartbeat = self._dialect.heartbeat()
        if heartbeat is not None and time.monotonic() - self._spoke >= 1:
            self._send([heartbeat])

    def _send(self, messages: Iterable[Message]) -> None:
        for message in messages:
            self._spoke = time.monotonic()
            text = json.dumps(message.payload, separators=(",", ":"))
            if not message.channel:
                self._socket.send(text)
                continue
            fault = self._fault(f"{PREFIX} {message.channel}")
            self._pass(fault)
            if fault.ending == "truncate":
                self._socket.send(text[: len(text) // 2])
            elif fault.ending != "drop":
                self._socket.send(text if fault.body is None else fault.body)

    def _pass(self, fault: Fault) -> None:
        """Wait as long as a fault wants, and end the connection if it does."""
        if fault.delay != 0 and self._wait(fault.delay):
            raise _Ended
        if fault.ending == "reset":
            raise _Ended("reset")
        if fault.ending == "close":
            if fault.closes_websocket:
                self._socket.close(fault.code)
            raise _Ended
