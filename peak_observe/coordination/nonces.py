"""Nonces that one process took: each is higher than all before it, also while the engine is away."""

from __future__ import annotations

import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from peak_observe.coordination import records
from peak_observe.coordination.engine import EngineError
from peak_observe.measures import forks

if TYPE_CHECKING:
    from collections.abc import Callable


class Nonces:
    """Nonces by the name of their key.

    Args:
        ask: Has the engine make a step.
    """

    def __init__(self, ask: Callable[..., Any]) -> None:
        self._ask = ask
        self._last: dict[str, int] = {}
        self._lock = threading.RLock()
        forks.renew(self)

    def after(self, name: str, least: int) -> int:
        """Return the next nonce of a key; while the engine is away, one above all that this process knows of."""
        with self._lock:  # two threads take two, also where the engine goes away between them
            found = records.next_nonce(self._last.get(name), least)
            with suppress(EngineError):
                found = self._ask("nonce", name, least=found)
            self._last[name] = found
            return found

    def bring_back(self) -> None:
        """Tell an engine that was away, or lost its data, of the last nonces that this process took."""
        with self._lock:
            known = self._last.copy()
        for name, last in known.items():
            self._ask("nonce", name, least=last)

    def after_fork(self) -> None:
        """Make the lock anew in a forked child."""
        self._lock = threading.RLock()
