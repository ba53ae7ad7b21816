"""The process directory as a source that also remembers which processes serve themselves."""

from __future__ import annotations

from typing import TYPE_CHECKING

from peak_observe.exporter.sources.process_source import ProcessDirectory

if TYPE_CHECKING:
    from peak_observe.exporter.sources.metric_block import Block


class DiscoveredProcesses(ProcessDirectory):
    """Processes by their snapshots; their addresses are looked up when they are read, and not when somebody asks."""

    addresses: tuple[str, ...] = ()
    """Host and port of those that serve themselves."""

    def collect(self) -> list[Block]:
        """Return what they tell."""
        found = super().collect()
        self.addresses = tuple(self.targets())
        return found
