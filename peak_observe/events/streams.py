"""Events of websockets."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

from peak_observe.support.shown import record_repr


class StreamBroken(NamedTuple):
    """A stream that is watched lost messages, or may have: its websocket broke or went silent, or there was a gap.

    Args:
        name: The label value `exchange`.
        stream: The kind of data, such as `ticker`, `order_book` or `orders`.
        reason: What happened, such as `closed with code 1012`, `silent for 60.2 s` or `gap`.
        address: Host and path of the websocket, without listen keys.
        at: When, in UTC.
        code: The close code, if it was closed with one.
    """

    name: str
    stream: str
    reason: str
    address: str
    at: datetime
    code: int | None = None

    def __repr__(self) -> str:
        return record_repr(self)


class StreamResumed(NamedTuple):
    """A stream that was broken is there again: what happened meanwhile has to be fetched.

    Args:
        name: The label value `exchange`.
        stream: The kind of data.
        reason: Why it was broken.
        address: Host and path of the websocket, without listen keys.
        at: When, in UTC.
        seconds: How long it was broken.
    """

    name: str
    stream: str
    reason: str
    address: str
    at: datetime
    seconds: float

    def __repr__(self) -> str:
        return record_repr(self)
