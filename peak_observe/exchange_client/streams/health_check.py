"""Health check of an exchange's streams: none may be silent for longer than is allowed."""

from __future__ import annotations

from typing import TYPE_CHECKING
from weakref import ref

from peak_observe.exchange_client import health_check

if TYPE_CHECKING:
    from peak_observe.exchange_client.streams.state import StreamState
    from peak_observe.resilience import HealthCheck


def register(state: StreamState, health: HealthCheck) -> None:
    """Register the check `stream_<name>` of an exchange's streams, for as long as they are observed."""
    weakly = ref(state)

    def check() -> tuple[bool, str]:
        alive = weakly()
        return (True, "the exchange is gone") if alive is None else alive.health()

    name = health_check.register(state, health, state.connections.name, check, prefix="stream")
    state.registered = (health, name)


def unregister(state: StreamState) -> None:
    """Remove the check, if there is one."""
    registered, state.registered = state.registered, None
    if registered is not None:
        health_check.unregister(state, *registered)
