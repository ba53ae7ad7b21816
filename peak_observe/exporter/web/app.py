"""Routes of the exporter as an ASGI application."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs
from weakref import WeakValueDictionary

from prometheus_client.exposition import choose_encoder
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from peak_observe.exporter.sources.process_source import DiscoveredProcesses
from peak_observe.exporter.threads import WorkerThread
from peak_observe.exporter.web.status_page import Page
from peak_observe.support.redact import printable
from peak_observe.support.toml import near
from peak_observe.telemetry import http_rules
from peak_observe.telemetry.http_rules import peer_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection, Iterator, Mapping

    from starlette.requests import Request
    from starlette.types import ASGIApp, Receive, Scope, Send

    from peak_observe.exporter.service import ExporterService
    from peak_observe.exporter.sources.merged_exposition import Body
    from peak_observe.telemetry.basic_auth import Passwords

FIELDS = 1_000  # of a query
NOSNIFF = {"X-Content-Type-Options": "nosniff"}
NO_SUCH_PATH = "there is no such path: / leads to all there are\n"


class Access:
    """Users and response headers, replaced when the web configuration is reloaded, and further names of this host."""

    def __init__(self, passwords: Passwords, headers: dict[str, str], hosts: Collection[str] | None = None) -> None:
        self.passwords = passwords
        self.headers = headers
        self.hosts = hosts


class AuthMiddleware:
    """Middleware that checks basic authentication and adds the response headers.

    Args:
        app: What answers.
        access: Who may ask.
    """

    def __init__(self, app: ASGIApp, access: Access) -> None:
        self._app = app
        self._access = access
        self._bcrypt = WorkerThread("passwords")  # one guess at a time keeps one core busy at most
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or refuse."""
        access, scope = self._access, _in_origin_form(scope)
        extra = {name.lower().encode(): value.encode() for name, value in {**NOSNIFF, **access.headers}.items()}

        async def sent(message: Any) -> None:
            if message["type"] == "http.response.start":
                # What an answer says itself, for instance the page's policy, is stricter.
                message["headers"] = [*(extra | dict(message["headers"])).items()]
            await send(message)

        refusal = self._malformed(access, scope) or await self._refusal(access.passwords, scope)
        await (refusal or self._app)(scope, receive, sent)

    def _malformed(self, access: Access, scope: Scope) -> Response | None:
        headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"]]
        lengths, encodings = (
            [value for name, value in headers if name == wanted] for wanted in ("content-length", "transfer-encoding")
        )
        problem = http_rules.framing_problem(lengths, encodings)
        if problem:  # whoever sent it may disagree where the next request begins
            return PlainTextResponse(f"bad request: {problem}\n", 400, {"Connection": "close"})
        foreign = http_rules.foreign_page(dict(headers), access.hosts)
        return PlainTextResponse(f"{foreign}\n", 403) if foreign else None

    async def _refusal(self, passwords: Passwords, scope: Scope) -> Response | None:
        given = [value for name, value in scope["headers"] if name == b"authorization"]
        header = given[0].decode("latin-1") if len(given) == 1 else ""
        known = passwords.remembered(header)
        if known is None:
            # Strangers queue, one of each peer at a time: a flood of guesses of one delays only its own.
            peer = peer_of(scope["client"] or ("",))
            async with self._turns.setdefault(peer, asyncio.Lock()):
                known = passwords.remembered(header)
                known = await self._bcrypt(lambda: passwords.check(header)) if known is None else known
        if known:
            return None
        return PlainTextResponse("Unauthorized\n", 401, {"WWW-Authenticate": 'Basic realm="peak-observe"'})


def _in_origin_form(scope: Scope) -> Scope:
    """Return a request by a whole URL as one by its path; its host is that of the URL (RFC 9112, 3.2.2)."""
    scheme, found, rest = scope["path"].partition("://")
    if not found or scheme.lower() not in ("http", "https"):
        return scope
    host, _, path = rest.partition("/")
    headers = [(name, value) for name, value in scope["headers"] if name != b"host"]
    return {**scope, "path": f"/{path}", "headers": [*headers, (b"host", host.encode("latin-1", "replace"))]}


class ChunkedResponse(Response):
    """Response sent piece by piece, as fast as the client reads; all responses share the pieces."""

    def __init__(self, body: Body, content_type: str) -> None:
        super().__init__()
        self._body = body
        encoding = {"Content-Encoding": "gzip"} if body.gzipped else {}
        headers = {"Content-Type": content_type, "Content-Length": str(body.length), "Vary": "Accept, Accept-Encoding"}
        self.init_headers({**headers, **encoding})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 - ASGI's form
        """Send it."""
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        for piece in self._body.pieces if scope["method"] != "HEAD" else ():
            await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body", "body": b""})


class Answers:
    """Handlers of all paths.

    Args:
        host: What is known.
        lifecycle: Whether a POST may reload the configuration.
        reload: Reloads it, and returns what is wrong with it.
    """

    def __init__(self, host: ExporterService, *, lifecycle: bool, reload: Callable[[], Awaitable[str]]) -> None:
        self._host = host
        self._lifecycle = lifecycle
        self._reload = reload
        self._page = Page(host)
        self.watch = self._page.watch

    def routes(self) -> list[Route]:
        """Return the paths."""
        health = [Route(path, self._health) for path in ("/livez", "/readyz", "/healthz", "/health", "/startupz")]
        return [
            Route("/metrics", self._metrics),
            Route("/", self._status),
            Route("/sd", self._discovered),
            Route("/-/healthy", _healthy),
            Route("/-/ready", self._ready),
            Route("/-/reload", self._reloaded, methods=["POST", "PUT"]),
            *health,
        ]

    async def _metrics(self, request: Request) -> Response:
        try:
            # Not by request.url, which is made of what the client says our name is.
            query = parse_qs(request.scope["query_string"].decode("latin-1"), max_num_fields=FIELDS)
        except ValueError:
            return PlainTextResponse(f"the query has more than {FIELDS} fields\n", 400)
        only, names = query.get("source[]", []), query.get("name[]", [])
        known = self._host.sources.abouts()
        for name in only:
            if name not in known:
                said = name[:100].encode(errors="replace").decode()
                found = f"there is no source {said!r}{near(said, known)}; there are {', '.join(known)}\n"
                return PlainTextResponse(found, 400)
        accept, encoding = (", ".join(request.headers.getlist(name)) for name in ("Accept", "Accept-Encoding"))
        _, content_type = choose_encoder(http_rules.accepted_exposition(accept))
        body = await self._host.metrics(
            openmetrics=content_type.startswith("application/openmetrics-text"),
            gzipped=http_rules.accepts_gzip(encoding),
            names=frozenset(names),
            only=frozenset(only),
        )
        return ChunkedResponse(body, content_type)

    async def _status(self, _: Request) -> Response:
        return await self._page.answer()

    async def _health(self, request: Request) -> Response:
        path, query = request.scope["path"], request.query_params
        if path == "/startupz" and not self._host.sources.ready:
            return PlainTextResponse("not every source has answered yet\n", 503)
        found = self._host.health(f"{path}?{query}")
        assert found is not None  # noqa: S101 - these paths are its own
        body = found.body
        if "verbose" in query and "tag" not in query and path not in ("/livez", "/startupz"):
            body = b"".join((*_told_by_processes(self._host.problems()), body))
        return Response(body, found.status, media_type=found.content_type)

    async def _ready(self, _: Request) -> Response:
        ready = self._host.sources.ready
        return PlainTextResponse("OK\n" if ready else "not every source has answered yet\n", 200 if ready else 503)

    async def _reloaded(self, _: Request) -> Response:
        if not self._lifecycle:
            return PlainTextResponse("reloading needs --web.enable-lifecycle, or SIGHUP\n", 403)
        problem = await self._reload()
        return PlainTextResponse(f"{problem}\n" if problem else "OK\n", 500 if problem else 200)

    async def _discovered(self, _: Request) -> Response:
        targets = [target for source in self._host.sources.of(DiscoveredProcesses) for target in source.addresses]
        found = [{"targets": targets, "labels": {}}] if targets else []
        return Response(json.dumps(found), media_type="application/json")


def _told_by_processes(problems: Mapping[tuple[str, str], str]) -> Iterator[bytes]:
    """Yield a line for each failing check of a process; the exporter itself is no less ready for it."""
    for (process, check), message in problems.items():
        yield f"[~]{printable(f'{check} in {process}')} failed: {message}\n".encode(errors="replace")


async def _healthy(_: Request) -> Response:
    return PlainTextResponse("OK\n")


async def _missing(_: Request, __: Exception) -> Response:
    return PlainTextResponse(NO_SUCH_PATH, 404)


def application(answers: Answers, access: Access) -> Starlette:
    """Return the whole."""
    app = Starlette(
        routes=answers.routes(),
        middleware=[Middleware(AuthMiddleware, access=access)],
        exception_handlers={404: _missing},
    )
    app.router.redirect_slashes = False  # a redirect would repeat what the client says our name is
    return app
