"""One switch that turns all retries of the process off: for emergencies, and for tests."""

from __future__ import annotations

import os
from contextlib import suppress
from types import TracebackType
from typing import Self

VARIABLE = "PEAK_OBSERVE_RETRIES"
"""The variable of the environment that turns retries off, or on."""

OFF, ON = ("off", "0", "false", "no"), ("on", "1", "true", "yes", "")

_said = os.environ.get(VARIABLE, "")
# Who turned them off; no lock is needed, and none could be held by a fork, as lists change in one step.
_blocks: list[object] = [VARIABLE] if _said.strip().lower() in OFF else []
_logged: list[object] = []


class disable_retries:  # noqa: N801 - it reads as the verb that it is, like `contextlib.suppress`
    """Turn all retries of this process off, at once and for all threads; `with` turns them on again after a block.

    Each operation is tried once. One that sleeps between two attempts makes no other: it ends with its last error when
    it wakes up. `peak_retry_max_attempts` is 1 for all of them, and the log says so once. Called without `with`, it
    holds until `enable_retries()`. `PEAK_OBSERVE_RETRIES=off` in the environment does the same from the start.
    """

    def __init__(self) -> None:
        _blocks.append(self)
        log_once()

    def __enter__(self) -> Self:
        if self not in _blocks:  # a second block of the same object
            _blocks.append(self)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        with suppress(ValueError):  # `enable_retries` came first
            _blocks.remove(self)


def enable_retries() -> None:
    """Turn retries on again, whoever turned them off, also the environment."""
    _blocks.clear()


def are_off() -> bool:
    """Return whether every operation is tried once."""
    return bool(_blocks)


def check_environment() -> None:
    """Raise ValueError if the environment says something else than on or off.

    A typing error must not leave retries on in an emergency.
    """
    if _said.strip().lower() not in OFF + ON:
        raise ValueError(f"{VARIABLE} must be on or off, not {_said!r}")


def log_once() -> None:
    """Log that retries are off, once for each time that somebody turns them off."""
    reason = _blocks[-1] if _blocks else None
    if reason is None or reason in _logged:
        return
    _logged[:] = [reason]
    from peak_observe.support.loggers import logger

    why = f"{VARIABLE}=off" if reason is VARIABLE else "disable_retries()"
    logger("peak_observe.retry").warning("retries are turned off by %s: each call is made once", why)
