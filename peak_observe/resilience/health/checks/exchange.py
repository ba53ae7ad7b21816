"""Check of an exchange through its ccxt client."""

from __future__ import annotations

import inspect
import time
from typing import TYPE_CHECKING, Any, Protocol

from peak_observe.support.redact import describe

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from peak_observe.resilience.health.formatting import CheckFunction, Outcome

OPEN = "ok"
QUESTIONS = {"fetchStatus": "fetch_status", "fetchTime": "fetch_time"}


class _Client(Protocol):
    """Members of a plain or async ccxt client that the check uses."""

    id: str
    has: Mapping[str, Any]


def exchange(client: _Client) -> CheckFunction | Callable[[], Awaitable[Outcome]]:
    """Return a check that an exchange answers and does not say that it is in maintenance.

    It asks for the exchange's status, or for its time where there is no status; neither needs a key. With a client of
    `ccxt.async_support` it is a coroutine function, and has to run on the client's loop: by `async_run_all()`, or in
    the background by a `start()` on that loop.

    Args:
        client: A ccxt client.

    Raises:
        ValueError: The exchange tells neither its status nor its time.
    """
    name = next((QUESTIONS[question] for question in QUESTIONS if client.has.get(question) is True), None)
    if name is None:
        raise ValueError(f"{client.id} has neither {' nor '.join(QUESTIONS)}")
    ask = getattr(client, name)

    def check() -> Outcome:
        started = time.perf_counter()
        try:
            return _judged(client.id, ask(), started)
        except Exception as error:  # noqa: BLE001 - an exchange that does not answer is what the check looks for
            return _failed(client.id, error)

    async def async_check() -> Outcome:
        started = time.perf_counter()
        try:
            return _judged(client.id, await ask(), started)
        except Exception as error:  # noqa: BLE001 - the same
            return _failed(client.id, error)

    return async_check if inspect.iscoroutinefunction(ask) else check


def _judged(exchange_id: str, answer: object, started: float) -> Outcome:
    took = time.perf_counter() - started
    status = answer.get("status") if isinstance(answer, dict) else OPEN
    details = {"status": status, "seconds": round(took, 3)}
    return status == OPEN, f"{exchange_id} says it is {status} ({details['seconds']:.3f} s)", details


def _failed(exchange_id: str, error: Exception) -> Outcome:
    return False, f"{exchange_id} does not answer: {describe(error)}", {}
