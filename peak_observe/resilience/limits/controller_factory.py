"""Controllers of rate limits by name: one of this process, or one that shares its turns with others."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from peak_observe.clock import Clock
from peak_observe.coordination.joinable import Joinable
from peak_observe.resilience.limits.rate_controller import RateLimitController
from peak_observe.resilience.limits.rate_settings import build_rate_settings


def controller_factory(
    settings: dict[str, Any], clock: Clock, shared: Joinable | str | None
) -> Callable[[str], RateLimitController]:
    """Return a function that makes the controller of a name.

    Args:
        settings: The arguments of `rate_limit`, as they are when it is called.
        clock: Source of time and sleep.
        shared: What the limit is shared by, if it is.
    """
    if shared is not None:
        from peak_observe.coordination.default import shared_of  # late, as most programs share nothing

        found = shared_of(shared)
        if found is not None:
            from peak_observe.resilience.limits import shared_controller

            spaced = build_rate_settings(**settings).spaced
            made = shared_controller.SharedRateLimitController if spaced else shared_controller.SharedWindowController
            turns = found.turns if spaced else found.window_turns
            return lambda name: made(
                name=name, settings=build_rate_settings(**settings), clock=clock, turns=turns(name)
            )
    return lambda name: RateLimitController(name=name, settings=build_rate_settings(**settings), clock=clock)
