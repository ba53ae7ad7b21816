"""Reviewed facts about ccxt: the effect of each endpoint in its tables, and the kind of each of its methods.

The files under `reviewed/` hold what a person judged, one entry a line. They name reads, too: what a newer ccxt brings
is a write until somebody judged it. `tests/exchange_client/review_ccxt.py` lists it, and a test fails until then.
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

READ, WRITE = "read", "write"
PUBLIC, PRIVATE, CANCEL, STREAM, UNPROTECTED = "public", "private", "cancel", "stream", "unprotected"

FOLDER = Path(__file__).with_name("reviewed")
_MARKS = {"r": READ, "w": WRITE}
_HEADS = {
    "read public": PUBLIC,
    "read private": PRIVATE,
    WRITE: WRITE,
    CANCEL: CANCEL,
    STREAM: STREAM,
    UNPROTECTED: UNPROTECTED,
}

# What nobody judged goes by its first word. A read of it passes the private circuit: trouble there shuts no prices off.
_BY_NAME = (
    (CANCEL, re.compile(r"cancel_")),
    (STREAM, re.compile(r"(un_?)?(watch|subscribe)(_|$)|(fetch|load)_\w+_ws$")),
    (PRIVATE, re.compile(r"(fetch|load)_")),
    (
        WRITE,
        re.compile(
            r"(accept|add_margin|approve|bind|borrow|buy|change|claim|close_(all_)?position|convert_currency|create|deposit$|"
            r"edit|enable|disable|futures_transfer|liquidate|mint|modify|move|place|purchase|redeem|reduce|repay|replace|"
            r"reset|revoke|sell|send|set|sign_in|stake|submit|swap|switch|transfer|unstake|upgrade|withdraw)(_|$)",
        ),
    ),
)


@cache
def _reviewed(exchange: str) -> tuple[str, dict[str, str]]:
    """Return an exchange's parent, and the effects of its own endpoints."""
    try:
        lines = (FOLDER / "endpoints" / f"{exchange}.txt").read_text("utf-8").splitlines()
    except OSError:
        return "", {}
    parent, head = "", ""
    found: dict[str, str] = {}
    for line in lines:
        mark, _, rest = line.partition(" ")
        if mark in _MARKS:
            found[f"{head}/{rest}"] = _MARKS[mark]
        elif mark == "like":
            parent = rest
        elif line.startswith("["):
            head = line[1:-1]
    return parent, found


@cache
def lineage(exchange: str) -> tuple[str, ...]:
    """Return ccxt's id of an exchange and those of the exchanges whose tables it inherits."""
    parent, _ = _reviewed(exchange)
    return (exchange, *lineage(parent)) if parent else (exchange,)


@cache
def endpoint_effects(exchange: str) -> dict[str, str]:
    """Return `read` or `write` by the label of each judged endpoint of an exchange, its parent's included.

    Args:
        exchange: ccxt's id; an unknown one has no judged endpoints.
    """
    found: dict[str, str] = {}
    for name in reversed(lineage(exchange)):
        found |= _reviewed(name)[1]
    return found


@cache
def method_kinds() -> dict[str, str]:
    """Return the kind of each judged method of ccxt by its name in snake case."""
    found: dict[str, str] = {}
    kind = ""
    for line in (FOLDER / "methods.txt").read_text("utf-8").splitlines():
        if line.startswith("["):
            kind = _HEADS[line[1:-1]]
        elif line and not line.startswith(("#", "?")):
            found[line] = kind
    return found


def method_kind(name: str) -> str:
    """Return the kind of a method of ccxt: public, private, write, cancel, stream or unprotected.

    Args:
        name: Its name in snake case. One that nobody judged is judged by its first word.
    """
    judged = method_kinds().get(name)
    return judged or next((kind for kind, pattern in _BY_NAME if pattern.match(name)), UNPROTECTED)


@cache
def unified_writes() -> tuple[str, ...]:
    """Return the names in snake case of all judged methods that change something."""
    return tuple(name for name, kind in method_kinds().items() if kind in (WRITE, CANCEL))


def ccxt_id(kind: type) -> str:
    """Return ccxt's id of an exchange class, also for a class that somebody derived from it under another name."""
    for base in kind.__mro__:
        if (FOLDER / "endpoints" / f"{base.__name__}.txt").is_file():
            return base.__name__
    return next((base.__name__ for base in kind.__mro__ if base.__module__.startswith("ccxt.")), kind.__name__)
