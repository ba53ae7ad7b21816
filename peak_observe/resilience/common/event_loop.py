"""Event loop of this thread, and one warning for calls that hold it up."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import asyncio


def running_loop() -> asyncio.AbstractEventLoop | None:
    """Return the event loop that runs on this thread, without importing asyncio for it."""
    if "asyncio" not in sys.modules:
        return None
    import asyncio

    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


class BlockingWarning:
    """Warning that a call is about to hold up a running event loop; it is logged once.

    Args:
        logger: The logger, below `peak_observe`.
        message: The problem and the mend.
    """

    def __init__(self, logger: str, message: str) -> None:
        self._logger = logger
        self._message = message
        self._logged = False

    def check(self) -> None:
        """Log the warning, if an event loop runs on this thread and it was not logged yet."""
        if self._logged or running_loop() is None:
            return
        from peak_observe.support.loggers import logger

        self._logged = True
        logger(f"peak_observe.{self._logger}").warning("%s", self._message)
