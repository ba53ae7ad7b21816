"""Circuits, holds and rate limits shared by processes through a file, and by hosts through Redis or Valkey.

A circuit tells the others its transitions, never its calls; one process probes for all; a ban stops all; and turns of
a rate limit are reserved in one place. An engine that is dead, slow or hung costs one time limit, and each process goes
on alone until it is back.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from peak_observe.support.lazy_import import late

if TYPE_CHECKING:
    from peak_observe.coordination.shared import Shared

__all__ = ["Shared"]

__getattr__ = late(__name__, {"Shared": "shared"})
