"""Exporter process: sockets, signals and the server until it ends."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

import uvicorn

from peak_observe._version import __version__
from peak_observe.errors import ConfigError, ListenError, UsageError
from peak_observe.exporter.service import ExporterService
from peak_observe.exporter.threads import apart
from peak_observe.exporter.web import systemd, web_config
from peak_observe.exporter.web.app import Access, Answers, application
from peak_observe.exporter.web.http_protocol import TimeLimitedProtocol, on_loop_trouble
from peak_observe.exporter.web.listener import Listener
from peak_observe.support.loggers import logger
from peak_observe.support.redact import printable
from peak_observe.support.shown import shown
from peak_observe.telemetry import server_tls
from peak_observe.telemetry.basic_auth import Passwords

if TYPE_CHECKING:
    import ssl
    from collections.abc import Iterator
    from pathlib import Path

    from peak_observe.telemetry.server_tls import Tls

LAST_WORDS = 5  # seconds in which scrapes under way are finished
IDLE = 60  # seconds for which a connection is kept between two scrapes
HEADER_BYTES = 32_768
MAX_PORT = 65_535
TICK = 1.0
_log = logger("peak_observe.exporter")


class Options(NamedTuple):
    """Command line options of the exporter; see README."""

    config_file: Path | None = None
    listen: tuple[str, ...] = ("127.0.0.1:17325",)
    web_config_file: Path | None = None
    lifecycle: bool = False
    hosts: tuple[str, ...] = ()
    sum_processes: bool = False


class Exporter:
    """Exporter process: service, server and reload.

    Args:
        options: How it is started.

    Raises:
        ConfigError: A configuration file makes no sense.
        ListenError: An address cannot be had.
        UsageError: An address is none.
    """

    def __init__(self, options: Options) -> None:
        self._options = options
        self.web = web_config.load(options.web_config_file)
        self.host = ExporterService(options.config_file, sum_processes=options.sum_processes)
        self._stamp = self.web.stamp()
        self._tls = None if self.web.tls is None else server_tls.context(self.web.tls)
        self._access = Access(Passwords(self.web.users), dict(self.web.headers), self._hosts(self.web))
        self._reloads: set[asyncio.Task[str]] = set()
        self.sockets = _listeners(options.listen)

    def _hosts(self, web: web_config.WebConfig) -> tuple[str, ...] | None:
        # A page that gave its own name our address has neither the certificate of that name nor the password.
        return self._options.hosts if web.tls is None and not web.users else None

    def run(self) -> None:
        """Serve until SIGTERM or SIGINT."""
        self.host.start()
        try:
            asyncio.run(self._serve())
        finally:
            self.host.stop()
            for listener in self.sockets:
                listener.close()

    async def _serve(self) -> None:
        answers = Answers(self.host, lifecycle=self._options.lifecycle, reload=self.reload)
        server = _Server(_uvicorn_config(application(answers, self._access), self.web, self._tls))
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(on_loop_trouble)
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, server.end)
        loop.add_signal_handler(signal.SIGHUP, self._reload_soon)
        ticking = asyncio.create_task(self._tick(server))
        watching = asyncio.create_task(answers.watch())
        await server.serve(self.sockets)
        ticking.cancel()
        watching.cancel()

    async def _tick(self, server: _Server) -> None:
        told = False
        while True:
            if server.started and not told:
                told = True
                self._tell_where()
                systemd.notify(systemd.READY)
            systemd.notify(systemd.ALIVE)
            self.host.sources.tick()
            if self.web.stamp() != self._stamp:
                self._renew_web()
            await asyncio.sleep(TICK if told else 0.02)

    def _tell_where(self) -> None:
        scheme = "http" if self.web.tls is None else "https"
        for listener in self.sockets:
            host, port = listener.getsockname()[:2]
            _log.info("listening on %s://%s:%d", scheme, f"[{host}]" if ":" in host else host, port)

    def _reload_soon(self) -> None:
        task = asyncio.ensure_future(self.reload())
        self._reloads.add(task)
        task.add_done_callback(self._reloads.discard)

    async def reload(self) -> str:
        """Read both configurations anew, and return what is wrong with them."""
        systemd.notify(systemd.reloading())
        # Apart: a module of the user's checks may take its time, or forever, to be imported.
        problem = await apart(self.host.reload) or self._renew_web()
        systemd.notify(systemd.READY)
        return problem

    def _renew_web(self) -> str:
        """Take over users, headers and certificates as the files have them now, and return what is wrong with them."""
        self._stamp = self.web.stamp()
        try:
            found = web_config.load(self._options.web_config_file)
            _refuse_switch(self.web, found)
            if self._tls is not None and found.tls is not None:
                server_tls.refresh(self._tls, found.tls)
        except ConfigError as error:
            self.host.reload_success = False
            problem = printable(str(error))
            _log.error("web configuration reload failed, the old one stays in force: %s", problem)
            return problem
        self.web, self._stamp = found, found.stamp()
        self._access.passwords.renew(found.users)
        self._access.headers, self._access.hosts = dict(found.headers), self._hosts(found)
        return ""


def _refuse_switch(before: web_config.WebConfig, after: web_config.WebConfig) -> None:
    if _rules(before.tls) != _rules(after.tls):
        # Python can add a trusted certificate to what listens already, but take none away.
        problem = "TLS, and who may come in by it, changes by a restart only; certificate and key do without"
        raise ConfigError(str(after.path), "tls_server_config", problem)


def _rules(tls: Tls | None) -> tuple[object, ...] | None:
    return None if tls is None else (tls.client_ca, tls.client_auth, tls.allowed_sans, tls.minimum, tls.maximum)


class _Server(uvicorn.Server):
    """Uvicorn server with an accept loop of ours, and without signal handlers: the exporter handles signals."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to accept."""
        config = self.config

        def protocol() -> TimeLimitedProtocol:
            made: TimeLimitedProtocol = config.http_protocol_class(  # type: ignore[call-arg,assignment] # of any kind
                config=config, server_state=self.server_state, app_state={}
            )
            return made

        listener = Listener(sockets or (), protocol, config.ssl)
        listener.start()
        self.servers = [listener]  # type: ignore[list-item] # it is closed and waited for like one of asyncio's
        self.started = True

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Capture none."""
        yield

    def end(self) -> None:
        """Finish what is under way; told twice, end at once."""
        systemd.notify(systemd.STOPPING)
        _log.info("stopping: requests in flight get %d s to finish", LAST_WORDS)
        self.force_exit = self.should_exit
        self.should_exit = True


def _uvicorn_config(app: Any, web: web_config.WebConfig, tls: ssl.SSLContext | None) -> uvicorn.Config:
    sans = web.tls.allowed_sans if web.tls else ()
    found = uvicorn.Config(
        app,
        http=type("Protocol", (TimeLimitedProtocol,), {"sans": sans}),
        loop="asyncio",
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        headers=[("Server", f"peak_observe/{__version__}")],
        timeout_keep_alive=IDLE,
        timeout_graceful_shutdown=LAST_WORDS,
        h11_max_incomplete_event_size=HEADER_BYTES,
    )
    found.load()
    found.ssl = tls
    return found


def _listeners(addresses: tuple[str, ...]) -> list[socket.socket]:
    listeners: list[socket.socket] = []
    try:
        for address in addresses:
            listeners += _bound(*_parsed(address))
    except BaseException:
        for listener in listeners:
            listener.close()
        raise
    return listeners


def _parsed(address: str) -> tuple[str, int]:
    host, colon, port = address.rpartition(":")
    if not colon or not port.isdecimal() or not port.isascii() or int(port) > MAX_PORT:
        raise UsageError(f"--web.listen-address must be host:port, for instance 127.0.0.1:17325, not {shown(address)}")
    return host.removeprefix("[").removesuffix("]"), int(port)


def _bound(host: str, port: int) -> list[socket.socket]:
    try:
        found = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        # Without a host this is everywhere, by IPv6 and IPv4 on one socket where the system has both.
        family, _, _, _, where = min(found, key=lambda item: item[0] != socket.AF_INET6) if not host else found[0]
        dual = not host and family == socket.AF_INET6 and socket.has_dualstack_ipv6()
        return [socket.create_server(where[:2], family=family, backlog=256, dualstack_ipv6=dual)]
    except (OSError, UnicodeError) as error:
        raise ListenError(host, port, getattr(error, "errno", None), _reason(error)) from None


def _reason(error: OSError | UnicodeError) -> str:
    if isinstance(error, UnicodeError):
        return "there is no such host"
    # Of system errors Python adds the address, which is said already; those of the resolver have negative numbers.
    return os.strerror(error.errno) if error.errno and error.errno > 0 else error.strerror or str(error)
