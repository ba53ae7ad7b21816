"""Names of users and groups, which mean the same on another host where their numbers do not."""

from __future__ import annotations

import grp
import pwd
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


def user_name(number: int) -> str:
    """Return the name of a user of this host; empty if the number has none."""
    try:
        return pwd.getpwuid(number).pw_name
    except (KeyError, OverflowError):
        return ""


def group_name(number: int) -> str:
    """Return the name of a group of this host; empty if the number has none."""
    try:
        return grp.getgrgid(number).gr_name
    except (KeyError, OverflowError):
        return ""


def user_names(numbers: Iterable[int]) -> dict[int, str]:
    """Return the names of users by number, without those that have none."""
    return {number: name for number in sorted(numbers) if (name := user_name(number))}


def group_names(numbers: Iterable[int]) -> dict[int, str]:
    """Return the names of groups by number, without those that have none."""
    return {number: name for number in sorted(numbers) if (name := group_name(number))}
