"""Names of users and groups, which mean the same on another host where their numbers do not."""

from __future__ import annotations

from typing import TYPE_CHECKING

from peak_observe.support.posix import grp, pwd

if TYPE_CHECKING:
    from collections.abc import Iterable


def user_name(number: int) -> str:
    """Return the name of a user of this host; empty if the number has none."""
    try:
        name: str = pwd.getpwuid(number).pw_name
    except (KeyError, OverflowError):
        return ""
    return name


def group_name(number: int) -> str:
    """Return the name of a group of this host; empty if the number has none."""
    try:
        name: str = grp.getgrgid(number).gr_name
    except (KeyError, OverflowError):
        return ""
    return name


def user_names(numbers: Iterable[int]) -> dict[int, str]:
    """Return the names of users by number, without those that have none."""
    return {number: name for number in sorted(numbers) if (name := user_name(number))}


def group_names(numbers: Iterable[int]) -> dict[int, str]:
    """Return the names of groups by number, without those that have none."""
    return {number: name for number in sorted(numbers) if (name := group_name(number))}
