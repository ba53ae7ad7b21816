"""Protocol of a shared state as circuits and limits see it, light enough for every start."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol


class Joinable(Protocol):
    """Protocol of `Shared`: what joins a circuit, a rate limit or a client to those of other processes."""

    def join(self, name: str, controller: Any) -> Any:
        """Let the circuit of a name take part."""
        ...

    def turns(self, name: str) -> Any:
        """Return the reservations of the rate limit of a name."""
        ...

    def window_turns(self, name: str) -> Any:
        """Return the reservations in windows of the rate limit of a name."""
        ...

    def exchange_turns(self, exchange: str) -> Any:
        """Return the reservations of the rate limit of an exchange."""
        ...

    def nonce(self, name: str, *, least: int) -> int:
        """Return a number that is higher than all that any process got for a name."""
        ...

    def hold(self, name: str, seconds: float, reason: str = "") -> None:
        """Have nobody ask an exchange for some seconds."""
        ...

    def watch_hold(self, watcher: Any, name: str, told: Callable[[Any, float, str], object]) -> None:
        """Call `told` for each hold of a name."""
        ...

    def records(self) -> Any:
        """Return the records by name."""
        ...
