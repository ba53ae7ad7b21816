"""Validation of latency budgets: seconds that a request may take, by its group."""

from __future__ import annotations

from collections.abc import Mapping

from peak_observe.exchange_client import endpoints
from peak_observe.resilience.common import validation
from peak_observe.support.shown import shown


def checked(given: Mapping[str, float] | None) -> dict[str, float]:
    """Return a latency budget as a dictionary of its own, empty where none is given.

    Raises:
        TypeError: It is no mapping.
        ValueError: It names a group that there is not, or what is no time above 0.
    """
    if given is None:
        return {}
    if not isinstance(given, Mapping):
        raise TypeError(f'latency_budget must be seconds by group, such as {{"trade": 0.5}}, not {shown(given)}')
    for group, seconds in given.items():
        if group not in endpoints.GROUPS:
            groups = ", ".join(map(repr, endpoints.GROUPS))
            raise ValueError(f"latency_budget has the groups {groups}, not {shown(group)}")
        validation.check_period(f"latency_budget[{group!r}]", seconds)
    return dict(given)
