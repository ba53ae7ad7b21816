"""Metric families of trading switches, their guards and accounts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from peak_observe import catalog
from peak_observe.measures import ACCOUNTS, GUARDS, SWITCHES
from peak_observe.telemetry.metrics.family import CHANGES, Family, living

if TYPE_CHECKING:
    from collections.abc import Sequence

    from peak_observe.measures import TradingReading
    from peak_observe.telemetry.metrics.family import Readings


def _one_hot(reading: TradingReading) -> Sequence[float]:
    return [] if reading.state is None else [float(state == reading.state) for state in catalog.TRADING_STATES]


def _states(reading: TradingReading) -> Sequence[str]:
    return () if reading.state is None else catalog.TRADING_STATES


SWITCH_FAMILIES = (
    Family(catalog.TRADING_STATE, _one_hot, _states, follows=CHANGES),
    Family(
        catalog.TRADING_REASON,
        lambda r: [r.reasons[reason] for reason in sorted(r.reasons)],
        lambda r: sorted(r.reasons),
        follows=CHANGES,
    ),
    Family(catalog.TRADING_REFUSED_TOTAL, lambda r: (r.refused,)),
    Family(catalog.TRADING_CHANGED_TIMESTAMP_SECONDS, lambda r: (r.changed,), follows=CHANGES),
)
GUARD_FAMILIES = (
    Family(
        catalog.GUARD_TRIPS_TOTAL,
        lambda r: [r.trips[limit] for limit in sorted(r.trips)],
        lambda r: sorted(r.trips),
    ),
    Family(catalog.GUARD_HEADROOM_RATIO, lambda r: living(r.headroom), follows=None),
)
ACCOUNT_FAMILIES = (
    Family(catalog.ACCOUNT_EQUITY, lambda r: living(r.equity)),
    Family(catalog.ACCOUNT_DRAWDOWN_RATIO, lambda r: living(r.drawdown)),
)


def read() -> list[tuple[tuple[Family, ...], Readings]]:
    """Return the families of each kind with the readings of all names."""
    switches: Readings = SWITCHES.read()
    guards: Readings = GUARDS.read()
    accounts: Readings = ACCOUNTS.read()
    return [(SWITCH_FAMILIES, switches), (GUARD_FAMILIES, guards), (ACCOUNT_FAMILIES, accounts)]
