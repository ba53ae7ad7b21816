"""Health check of a client: ask the exchange the cheapest question that it answers."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, Protocol
from weakref import finalize, ref

if TYPE_CHECKING:
    from collections.abc import Callable

    from peak_observe.resilience import HealthCheck

_PATIENCE = 0.1
_lock = threading.Lock()
_owners: dict[tuple[int, str], ref[Any]] = {}


class CheckedClient(Protocol):
    """The part of a client that its check needs; `loop` is the event loop of an async one."""

    loop: Any

    @property
    def exchange(self) -> Any:
        """The ccxt object."""

    @property
    def held_back(self) -> float:
        """Seconds until the exchange may be asked again."""


def register(
    client: object, health: HealthCheck, name: str, check: Callable[[], Any], *, prefix: str = "exchange"
) -> str:
    """Register a client's check under `<prefix>_<name>`, with a number where that is taken, and return its name.

    The check goes when the client is closed, and when it is collected as garbage without having been closed. A client
    takes over the name of one that is gone.
    """
    with _lock:
        taken, number = set(health.names()) - _abandoned(health), 1
        free = f"{prefix}_{name}"
        while free in taken:
            number += 1
            free = f"{prefix}_{name}_{number}"
        owner = _owners[id(health), free] = ref(client)
        health.register(free, check)
    finalize(client, _collected, health, free, owner).atexit = False
    return free


def unregister(client: object, health: HealthCheck, name: str) -> None:
    """Remove a client's check, unless another client has its name by now."""
    owner = _owners.get((id(health), name))
    if owner is not None and owner() is client:
        _remove(health, name, owner)


def _remove(health: HealthCheck, name: str, owner: ref[Any]) -> None:
    with _lock:
        if _owners.get((id(health), name)) is owner:
            del _owners[id(health), name]
            health.unregister(name)


def _collected(health: HealthCheck, name: str, owner: ref[Any]) -> None:
    if _owners.get((id(health), name)) is not owner:
        return
    # The collector comes at any time, also while this very thread holds one of the locks: another thread can wait.
    thread = threading.Thread(target=_remove, args=(health, name, owner), name="peak-observe-unregister", daemon=True)
    thread.start()
    thread.join(_PATIENCE)


def _abandoned(health: HealthCheck) -> set[str]:
    return {name for (registry, name), client in _owners.items() if registry == id(health) and client() is None}


def check(client: CheckedClient) -> Callable[[], tuple[bool, str]]:
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


def async_check(client: CheckedClient) -> Callable[[], Any]:
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
    return False, "the client is gone, and its check with it"


def _held(client: CheckedClient) -> str:
    seconds = client.held_back
    return f"rate limit or ban for another {seconds:.0f} s" if seconds else ""


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
