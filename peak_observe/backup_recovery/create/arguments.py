"""Arguments of `create_backup`: check them, and choose the parts of the backup."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from peak_observe.backup_recovery.repository.metadata import CONFIG, DATA, KINDS, STATE
from peak_observe.support.shown import shown, shown_time

MEND = "Use config_backup.add_config(), data_backup.add_data_path() or state_snapshot.register_provider() first."


def checked_flag(name: str, value: Any) -> bool:
    """Return whether an argument is true.

    Raises:
        TypeError: It is None or a text, also one such as "no", which would count as true.
    """
    if value is None or isinstance(value, str | bytes):
        hint = f": write create_backup(description={shown(value)})" if name == "include_config" else ""
        raise TypeError(f"{name} is true or false, not {shown(value)}{hint}")
    return bool(value)


def check_flags(**flags: Any) -> None:
    """Look at arguments that are true or false, by their names.

    Raises:
        TypeError: One of them is neither.
    """
    for name, value in flags.items():
        checked_flag(name, value)


def wanted_parts(*, config: Any, state: Any, data: Any) -> dict[str, bool]:
    """Return which parts are included; None for the data is whatever is named.

    Raises:
        TypeError: One is neither true nor false.
    """
    return {
        CONFIG: checked_flag("include_config", config),
        STATE: checked_flag("include_state", state),
        DATA: data is None or checked_flag("include_data", data),
    }


def checked_patterns(name: str, value: Any) -> tuple[str, ...]:
    """Return paths or patterns that were given as one text or as several.

    Raises:
        TypeError: They are something else.
    """
    found = (value,) if isinstance(value, str | os.PathLike) or not isinstance(value, Iterable) else tuple(value)
    for item in found:
        if not isinstance(item, str | os.PathLike):
            raise TypeError(f"{name} must be paths or patterns, not {shown(item)}")
    return tuple(map(str, found))


def checked_text(name: str, value: Any) -> str:
    """Return a text that metadata can hold.

    Raises:
        ValueError: It is none.
    """
    try:
        if isinstance(value, str):
            value.encode()
            return value
    except UnicodeEncodeError:
        pass
    raise ValueError(f"{name} must be text that UTF-8 can hold, not {value!r}")


def checked_tags(tags: Any) -> list[str]:
    """Return tags that metadata can hold.

    Raises:
        TypeError: It is one text, whose letters would each become a tag.
        ValueError: One of them cannot be written.
    """
    if isinstance(tags, str | bytes):
        raise TypeError(f"tags must be a list of texts: write tags=[{tags!r}]")
    return [checked_text("tags", tag) for tag in tags or []]


def chosen_kinds(named: Sequence[str], wanted: Mapping[str, bool]) -> list[str]:
    """Return the parts that are wanted and named.

    Raises:
        ValueError: There are none.
    """
    if not any(wanted.values()):
        raise ValueError("include_config, include_state or include_data must be True")
    kinds = [kind for kind in named if wanted[kind]]
    if not kinds:
        parts = " or ".join(kind for kind in KINDS if wanted[kind])
        raise ValueError(f"there is nothing to back up: nothing is named for {parts}. {MEND}")
    return kinds


def check_period(name: str, value: Any) -> None:
    """Check a time in seconds that may be missing.

    Raises:
        ValueError: It is no number above 0.
    """
    period = isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < float("inf")
    if value is not None and not period:
        raise ValueError(f"{name} must be a number of seconds above 0, not {shown_time(value)}")
