"""Controller of a limit that is built when its name is known: given by hand, or that of the first function."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable


class Controller(Protocol):
    """Named counts that join their series."""

    name: str
    series: Any

    def read(self) -> Any:
        """Return counts and gauges of this moment."""
        ...


C = TypeVar("C", bound=Controller)


class LateController(Generic[C]):
    """Builds a controller once; the gauges of its name live as long as this object.

    Args:
        name: The name, if one was given.
        build: Makes the controller of a name.
    """

    def __init__(self, name: str | None, build: Callable[[str], C]) -> None:
        self.name = name
        self.made: C | None = None
        self._build = build
        self._lock = threading.Lock()

    def get(self, name: str) -> C:
        """Return the controller; the first time under this name, if none was given."""
        if self.made is None:
            with self._lock:
                if self.made is None:
                    made = self._build(name if self.name is None else self.name)
                    made.series.join(self, made.read)
                    self.name, self.made = made.name, made
        return self.made
