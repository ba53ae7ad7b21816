"""Effects that the protocol asks for, and the two drivers that carry them out: one blocks, one awaits."""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from peak_observe.exchange_client.request import before_write

if TYPE_CHECKING:
    from peak_observe.clock import Clock

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Call:
    """Call of a method of the client.

    Args:
        method: Its name in snake case.
        args: Its arguments.
        recorded: Called before each request that changes something goes out.
    """

    method: str
    args: tuple[Any, ...] = ()
    recorded: Callable[[], None] | None = None


@dataclass(frozen=True, slots=True)
class Sleep:
    """Wait of some seconds."""

    seconds: float


Steps = Generator[Call | Sleep, Any, T]


def run(steps: Steps[T], client: Any, clock: Clock) -> T:
    """Return the result of steps of a sync client."""
    answer, error = None, None
    while True:
        try:
            effect = steps.send(answer) if error is None else steps.throw(error)
        except StopIteration as end:
            result: T = end.value
            return result
        answer, error = None, None
        try:
            answer = _done(effect, client, clock)
        except BaseException as raised:  # noqa: BLE001 - the steps decide, and raise what is not theirs
            error = raised


def _done(effect: Call | Sleep, client: Any, clock: Clock) -> Any:
    if isinstance(effect, Sleep):
        return clock.sleep(effect.seconds)
    token = before_write.set(effect.recorded)
    try:
        return getattr(client, effect.method)(*effect.args)
    finally:
        before_write.reset(token)


async def async_run(steps: Steps[T], client: Any, clock: Clock) -> T:
    """Return the result of steps of an async client."""
    answer, error = None, None
    while True:
        try:
            effect = steps.send(answer) if error is None else steps.throw(error)
        except StopIteration as end:
            result: T = end.value
            return result
        answer, error = None, None
        try:
            answer = await _async_done(effect, client, clock)
        except BaseException as raised:  # noqa: BLE001 - the steps decide, and raise what is not theirs
            error = raised


async def _async_done(effect: Call | Sleep, client: Any, clock: Clock) -> Any:
    if isinstance(effect, Sleep):
        return await clock.async_sleep(effect.seconds)
    token = before_write.set(effect.recorded)
    try:
        return await getattr(client, effect.method)(*effect.args)
    finally:
        before_write.reset(token)
