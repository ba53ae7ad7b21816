"""The health check of a client: it asks the exchange the cheapest question that it answers."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any
from weakref import ref

if TYPE_CHECKING:
    from collections.abc import Callable

    from peak_observe.exchange_client.base import ExchangeClient
    from peak_observe.exchange_client.client import AsyncResilientExchangeClient, ResilientExchangeClient
    from peak_observe.resilience import HealthCheck

_lock = threading.Lock()
_clients: dict[tuple[int, str], ref[Any]] = {}


def register(client: ExchangeClient, health: HealthCheck, name: str, check: Callable[[], Any]) -> str:
    """Register a client's check under `exchange_<name>`, with a number where that is taken, and return its name."""
    with _lock:
        taken, number = set(health.names()) - _abandoned(health), 1
        free = f"exchange_{name}"
        while free in taken:
            number += 1
            free = f"exchange_{name}_{number}"
        _clients[id(health), free] = ref(client)
        health.register(free, check)
    return free


def unregister(health: HealthCheck, name: str) -> None:
    """Take a client's check away."""
    with _lock:
        if _clients.pop((id(health), name), None) is not None:
            health.unregister(name)


def _abandoned(health: HealthCheck) -> set[str]:
    return {name for (owner, name), client in _clients.items() if owner == id(health) and client() is None}


def check(client: ResilientExchangeClient) -> Callable[[], tuple[bool, str]]:
    """Return the check of a sync client, which it does not keep alive."""
    weakly = ref(client)

    def ask() -> tuple[bool, str]:
        alive = weakly()
        if alive is None:
            return _gone()
        refusal = _held(alive)
        if refusal:
            return False, refusal
        method, args = _question(alive.exchange)
        return _verdict(method, getattr(alive.exchange, method)(*args))

    return ask


def async_check(client: AsyncResilientExchangeClient) -> Callable[[], Any]:
    """Return the check of an async client, which asks on the client's own event loop."""
    weakly = ref(client)

    async def ask() -> tuple[bool, str]:
        import asyncio

        alive = weakly()
        if alive is None:
            return _gone()
        refusal = _held(alive)
        if refusal:
            return False, refusal
        loop = alive.loop
        if loop is None or not loop.is_running():
            return False, "the event loop of the client does not run"
        method, args = _question(alive.exchange)
        question = getattr(alive.exchange, method)(*args)
        if loop is asyncio.get_running_loop():
            return _verdict(method, await question)
        return _verdict(method, await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(question, loop)))

    return ask


def _gone() -> tuple[bool, str]:
    return True, "the client is gone, and its check goes with the next one of the name"


def _held(client: ExchangeClient) -> str:
    seconds = client.held_back
    return f"the exchange wants to be left alone for another {seconds:.0f} s" if seconds else ""


def _question(exchange: Any) -> tuple[str, tuple[str, ...]]:
    for method, feature in (("fetch_status", "fetchStatus"), ("fetch_time", "fetchTime")):
        if exchange.has.get(feature) is True:
            return method, ()
    symbols = exchange.symbols or ["BTC/USDT"]
    return "fetch_ticker", (symbols[0],)


def _verdict(method: str, answer: Any) -> tuple[bool, str]:
    if method == "fetch_status":
        status = answer.get("status")
        return status == "ok", f"the exchange says that it is {status}"
    return True, f"the exchange answers {method}"
