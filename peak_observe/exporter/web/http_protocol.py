"""HTTP/1.1 protocol with time limits and a connection limit, against slow, silent and hostile clients."""

from __future__ import annotations

import logging
import ssl
from typing import TYPE_CHECKING, Any

from uvicorn.protocols.http.h11_impl import H11Protocol

from peak_observe.support.loggers import logger

if TYPE_CHECKING:
    import asyncio

PATIENCE = 30.0  # seconds for a whole request and its answer, from the connection or the first byte on
BUFFER = 32_768  # bytes of an answer that wait for a slow reader, of each connection
MOST = 512  # connections; a file descriptor each, of which a process has 1,024 by default


class TimeLimitedProtocol(H11Protocol):
    """Protocol that closes connections that are too slow in asking or reading, and those past the limit."""

    sans: tuple[str, ...] = ()
    """Names of which a client's certificate has to carry one; any is right if there are none."""

    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as uvicorn has it
        """Take a connection in, or end it at once."""
        super().connection_made(transport)
        if len(self.connections) >= MOST or not self._welcome(transport):
            transport.abort()
        else:
            transport.set_write_buffer_limits(high=BUFFER)
            self._watch()

    def data_received(self, data: bytes) -> None:
        """Read on; the first byte of the next request starts its time."""
        self._watch()
        super().data_received(data)

    def on_response_complete(self) -> None:
        """Let the time of this request end; one that was sent along already begins."""
        self._unwatch()
        super().on_response_complete()
        if self.timeout_keep_alive_task is None:
            self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        self._unwatch()
        super().connection_lost(exc)

    def _watch(self) -> None:
        if self._deadline is None:
            self._deadline = self.loop.call_later(PATIENCE, self.transport.abort)

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
    """Log on one line what asyncio would log as a traceback: lost connections and used up descriptors are weather."""
    error = context.get("exception")
    level = logging.DEBUG if isinstance(error, ConnectionError | ssl.SSLError) else logging.WARNING
    logger("peak_observe.exporter").log(level, "%s: %s", context["message"], error)
