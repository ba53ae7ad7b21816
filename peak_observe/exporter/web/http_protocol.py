"""HTTP/1.1 protocol with time limits, against slow, silent and hostile clients."""

from __future__ import annotations

import asyncio
import logging
import ssl
from typing import TYPE_CHECKING, Any

from uvicorn.protocols.http.h11_impl import H11Protocol

from peak_observe.clock import SYSTEM_CLOCK
from peak_observe.exporter.logs import Repeats
from peak_observe.support.loggers import logger

if TYPE_CHECKING:
    from collections.abc import Callable

PATIENCE = 30.0  # seconds for a whole request and its answer, from the connection or the first byte on
FAREWELL = 5.0  # seconds for the answers to a client that ended its side: it may have gone altogether
BUFFER = 32_768  # bytes of an answer that wait for a slow reader, of each connection
_repeats = Repeats()


class TimeLimitedProtocol(H11Protocol):
    """Protocol that closes connections that are too slow in asking or reading.

    `begun` is set once TLS is spoken. `answering_since` is when the answer under way began, `answered_at` when the last
    one ended; None without one.
    """

    sans: tuple[str, ...] = ()
    """Names of which a client's certificate has to carry one; any is right if there are none."""

    begun = False
    answering_since: float | None = None
    answered_at: float | None = None
    _deadline: asyncio.TimerHandle | None = None
    _answer: asyncio.Task[Any] | None = None
    _at_end = False

    def __init__(self, *arguments: Any, **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        self.on_lost: Callable[[], None] = lambda: None
        self._app, self.app = self.app, self._run

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as uvicorn has it
        """Take a connection in, or end it at once."""
        self.begun = True
        super().connection_made(transport)
        if not self._welcome(transport):
            transport.abort()
        else:
            transport.set_write_buffer_limits(high=BUFFER)
            self._watch()

    def data_received(self, data: bytes) -> None:
        """Read on; the first byte of the next request starts its time."""
        self._watch()
        super().data_received(data)

    def eof_received(self) -> bool:  # type: ignore[override] # as asyncio has it
        """Keep the connection of a client that asks no more, but reads, until it has its answers; TLS cannot."""
        self._at_end = True
        is_kept = self._is_answering and self.transport.get_extra_info("ssl_object") is None
        if is_kept:
            self._unwatch()
            self._watch(FAREWELL)
        return is_kept

    def on_response_complete(self) -> None:
        """Let the time of this request end; one that was sent along already begins."""
        self._unwatch()
        self.answering_since, self.answered_at = None, SYSTEM_CLOCK.monotonic()
        super().on_response_complete()
        if self._at_end and not self._is_answering:
            self.transport.close()
        elif self.timeout_keep_alive_task is None:
            self._watch(FAREWELL if self._at_end else PATIENCE)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection, and make no answer that nobody reads."""
        self._unwatch()
        super().connection_lost(exc)
        if self._answer is not None:
            self._answer.cancel()
        self.on_lost()

    async def _run(self, scope: Any, receive: Any, send: Any) -> None:
        self.answering_since, self._answer = SYSTEM_CLOCK.monotonic(), asyncio.current_task()

        async def sent(message: Any) -> None:
            if not self.transport.is_closing():  # asyncio would log each piece for a client that is gone
                await send(message)

        try:
            await self._app(scope, receive, sent)
            if self.cycle is not None and self.transport.is_closing():
                self.cycle.disconnected = True  # uvicorn would log each such answer as one that was not completed
        except asyncio.CancelledError:
            if self.cycle is None or not self.cycle.disconnected:
                raise
        finally:
            self._answer = None

    @property
    def _is_answering(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _watch(self, seconds: float = PATIENCE) -> None:
        if self._deadline is None:
            self._deadline = self.loop.call_later(seconds, self.transport.abort)

    def _unwatch(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _welcome(self, transport: asyncio.Transport) -> bool:
        tls: ssl.SSLObject | None = transport.get_extra_info("ssl_object")
        if not self.sans or tls is None:
            return True
        certificate: Any = tls.getpeercert() or {}
        return not {value for _, value in certificate.get("subjectAltName", ())}.isdisjoint(self.sans)


def on_loop_trouble(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:  # noqa: ARG001 - asyncio's form
    """Log on one line, once a minute, what asyncio would log as a traceback: lost connections are weather."""
    error = context.get("exception")
    quiet = isinstance(error, ConnectionError | ssl.SSLError)
    if quiet or _repeats.admit(context["message"]) is not None:
        level = logging.DEBUG if quiet else logging.WARNING
        logger("peak_observe.exporter").log(level, "%s: %s", context["message"], error)
