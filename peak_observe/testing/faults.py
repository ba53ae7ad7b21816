"""Faults of exchanges and of the network before them."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from http import HTTPStatus
from typing import Literal

_FIRST_CLOSE_CODE = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One way in which an exchange lets its clients down; made by the class methods.

    Args:
        code: The HTTP status; the close code of a websocket if it is 1000 or more.
        body: The answer instead of the true one; with `None` the request is carried out.
        headers: Headers added to the answer.
        delay: Seconds before the answer, counted after the request was carried out; `None` is for ever.
        ending: The event instead of an answer, if any; `drop` leaves a message of a websocket out.
        system_status: The answer of the endpoint `SystemStatus` meanwhile.
        behind: How many seconds old the data is that is answered with.
        late: Seconds after which the request is carried out, though its connection ended at once; None for not at all.
        again: Seconds after which it is carried out once more, as by a proxy that repeats it; None for not at all.
        echoes: Whether the body is followed by the request with all its headers, as a debugging page does.
    """

    code: int = 200
    body: str | None = None
    headers: tuple[tuple[str, str], ...] = ()
    delay: float | None = 0.0
    ending: Literal["answer", "truncate", "reset", "close", "refuse", "drop"] = "answer"
    system_status: str | None = None
    behind: float = 0.0
    late: float | None = None
    again: float | None = None
    echoes: bool = False

    @property
    def closes_websocket(self) -> bool:
        """Whether it closes a websocket in an orderly way."""
        return self.code >= _FIRST_CLOSE_CODE

    @property
    def accepts_websocket(self) -> bool:
        """Whether the handshake of a websocket succeeds."""
        return self.closes_websocket or (self.code == HTTPStatus.OK and self.ending in ("answer", "drop"))

    def after(self, seconds: float) -> Fault:
        """Return this fault with a delay of `seconds` before it."""
        return replace(self, delay=seconds)

    def with_headers(self, *headers: tuple[str, str]) -> Fault:
        """Return this fault with further headers in its answer."""
        return replace(self, headers=(*self.headers, *headers))

    @classmethod
    def latency(cls, seconds: float) -> Fault:
        """Answer truly, but late: the request is carried out at once."""
        return cls(delay=seconds)

    @classmethod
    def refused(cls) -> Fault:
        """Close the listening socket and all connections; healing reopens the same port."""
        return cls(ending="refuse")

    @classmethod
    def reset(cls) -> Fault:
        """Reset the connection instead of carrying out the request."""
        return cls(body="", ending="reset")

    @classmethod
    def lost_reply(cls) -> Fault:
        """Carry out the request, then reset the connection: the client cannot know."""
        return cls(ending="reset")

    @classmethod
    def arrives_late(cls, seconds: float) -> Fault:
        """Reset the connection and carry the request out `seconds` later, by the exchange's clock, if it is valid then.

        It is carried out before the first request that comes after that time, and before the orders are looked at.
        """
        return cls(body="", ending="reset", late=seconds)

    @classmethod
    def repeated(cls, seconds: float = 0.0) -> Fault:
        """Answer truly, and carry the same request out again `seconds` later, as a proxy does that repeats requests."""
        return cls(again=seconds)

    @classmethod
    def closed(cls, code: int = 1012) -> Fault:
        """Close a websocket with a code; aimed at `WS` right after its handshake, which makes a reconnect storm."""
        return cls(code=code, ending="close")

    @classmethod
    def dropped(cls) -> Fault:
        """Leave out messages of a websocket: once is a gap, until healed it is silence."""
        return cls(ending="drop")

    @classmethod
    def hang(cls) -> Fault:
        """Accept the request and do nothing; when healed the connection closes without an answer."""
        return cls(body="", delay=None, ending="close")

    @classmethod
    def rate_limited(cls, retry_after: int = 1) -> Fault:
        """Answer 429 with `Retry-After` in seconds, as the proxy before Kraken does."""
        return cls(code=429, body="error code: 1015", headers=(("Retry-After", str(retry_after)),))

    @classmethod
    def api_rate_limited(cls) -> Fault:
        """Answer 200 with `EAPI:Rate limit exceeded` in the body, as Kraken itself does."""
        return cls.api_error("EAPI:Rate limit exceeded")

    @classmethod
    def api_error(cls, message: str) -> Fault:
        """Answer 200 with one of Kraken's own errors in the body."""
        return cls(body=json.dumps({"error": [message]}))

    @classmethod
    def status(cls, code: int) -> Fault:
        """Answer with an HTTP status and a page in HTML, as a gateway does."""
        return cls(code=code, body=f"<html><body><h1>{code}</h1></body></html>")

    @classmethod
    def maintenance(cls, code: int = 200) -> Fault:
        """Answer `EService:Unavailable`, while `SystemStatus` truly says so."""
        return replace(cls.api_error("EService:Unavailable"), code=code, system_status="maintenance")

    @classmethod
    def truncated(cls) -> Fault:
        """Carry out the request and answer with the first half of the JSON, well framed."""
        return cls(ending="truncate")

    @classmethod
    def html(cls) -> Fault:
        """Answer 200 with a page in HTML, as a captive portal or a challenge does."""
        return cls.status(200)

    @classmethod
    def empty_object(cls) -> Fault:
        """Answer 200 with `{}`."""
        return cls(body="{}")

    @classmethod
    def stale(cls, seconds: float) -> Fault:
        """Answer truly, but as the exchange was: candles end `seconds` ago, and newer orders are not visible yet."""
        return cls(behind=seconds)

    @classmethod
    def banned(cls, until: float) -> Fault:
        """Answer 418 with the Unix time of the end of the ban, as Binance does after too many a 429."""
        words = f"Way too much request weight used; IP banned until {int(until * 1000)}. Please use WebSocket Streams."
        return cls.coded(-1003, words, code=418)

    @classmethod
    def coded(cls, error: int, message: str, *, code: int = 400) -> Fault:
        """Answer with one of Binance's own errors in the body."""
        return cls(code=code, body=json.dumps({"code": error, "msg": message}))

    @classmethod
    def bybit_error(cls, code: int, message: str, *, status: int = 200) -> Fault:
        """Answer with one of Bybit's own errors in the body."""
        return cls(code=status, body=json.dumps({"retCode": code, "retMsg": message, "result": {}, "retExtInfo": {}}))

    @classmethod
    def okx_error(cls, code: str, message: str, *, status: int = 200) -> Fault:
        """Answer with one of OKX's own errors in the body."""
        return cls(code=status, body=json.dumps({"code": code, "msg": message, "data": []}))

    @classmethod
    def echo(cls, code: int = 502) -> Fault:
        """Answer with a page that repeats the request with its headers, key and signature among them."""
        return replace(cls.status(code), echoes=True)

    @classmethod
    def empty(cls) -> Fault:
        """Answer 200 with no body."""
        return cls(body="")
