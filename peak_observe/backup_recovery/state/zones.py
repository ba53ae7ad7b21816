"""Time zones by their names, as `Europe/Berlin`; which of them a host knows can differ."""

from __future__ import annotations

from datetime import datetime, tzinfo
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError


def name_of(zone: tzinfo | None) -> str | None:
    """Return the name of a time zone of `zoneinfo`, or None if it is another one or was read from a file."""
    return zone.key if isinstance(zone, ZoneInfo) else None


def known(name: str) -> ZoneInfo | None:
    """Return the time zone of that name, or None where this host does not know it."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return None


def moved(moment: datetime, name: str) -> datetime:
    """Return a moment in the zone of that name, with the clock and the fold that it has; as it is without the zone."""
    zone = known(name)
    if zone is None:
        return moment
    same = moment.replace(tzinfo=zone)
    # Where the zone's rules have changed meanwhile, the moment counts.
    return same if same.utcoffset() == moment.utcoffset() else moment.astimezone(zone)
