"""An observer that keeps what it is told."""

from __future__ import annotations

from types import TracebackType
from typing import Self, TypeVar

from peak_observe.events import Event
from peak_observe.observers import observe

E = TypeVar("E")


class RecordingObserver:
    """Observer that keeps every event while its `with` block lasts.

    Attributes:
        events: All events so far, oldest first.
    """

    def __init__(self) -> None:
        self.events: list[Event] = []

    def of(self, kind: type[E]) -> list[E]:
        """Return the events of one kind, oldest first."""
        return [event for event in self.events if isinstance(event, kind)]

    def __call__(self, event: Event) -> None:
        """Keep one event."""
        self.events.append(event)

    def __enter__(self) -> Self:
        self._end = observe(self)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._end()
