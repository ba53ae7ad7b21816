"""Shared states by what a program writes: an object, a URL, or `default` for that of the environment."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING

from peak_observe.support.shown import shown

if TYPE_CHECKING:
    from peak_observe.coordination.joinable import Joinable
    from peak_observe.coordination.shared import Shared

DEFAULT = "default"
VARIABLE = "PEAK_OBSERVE_SHARED"

_made: dict[str, Shared] = {}
_lock = threading.Lock()


def shared_of(shared: Joinable | str | None) -> Joinable | None:
    """Return the shared state that an argument `shared` means; None for none.

    Args:
        shared: A `Shared`; a URL, of which each is made once; or `default`: the URL of `PEAK_OBSERVE_SHARED`, and none
            where that is not set.

    Raises:
        ValueError: It is none of these.
    """
    if shared is None or (hasattr(shared, "join") and not isinstance(shared, str | bytes)):
        return shared
    if not isinstance(shared, str):
        raise ValueError(f"shared must be a Shared, a URL, 'default' or None, not {shown(shared)}")  # noqa: TRY004 - as for all settings
    if shared == DEFAULT and not os.environ.get(VARIABLE):
        return None
    url = os.environ[VARIABLE] if shared == DEFAULT else shared
    with _lock:
        found = _made.get(url)
        if found is None:
            from peak_observe.coordination.shared import Shared

            found = _made[url] = Shared(url)
    return found
