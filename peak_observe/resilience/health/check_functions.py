"""Functions of a registry of health checks, by name."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, MutableMapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from peak_observe.resilience.health.registered_check import Check


class CheckFunctions(MutableMapping[str, Callable[[], Any]]):
    """View of the registered functions by name: to set one registers it, to delete one unregisters it.

    Args:
        checks: The checks of the registry by name.
        register: Its method that adds one.
        unregister: Its method that removes one.
    """

    def __init__(
        self,
        checks: Mapping[str, Check],
        register: Callable[[str, Callable[[], Any]], None],
        unregister: Callable[[str], bool],
    ) -> None:
        self._checks = checks
        self._register = register
        self._unregister = unregister

    def __getitem__(self, name: str) -> Callable[[], Any]:
        return self._checks[name].func

    def __setitem__(self, name: str, check_func: Callable[[], Any]) -> None:
        self._register(name, check_func)

    def __delitem__(self, name: str) -> None:
        if not self._unregister(name):
            raise KeyError(name)

    def __iter__(self) -> Iterator[str]:
        return iter(list(self._checks))

    def __len__(self) -> int:
        return len(self._checks)

    def __repr__(self) -> str:
        return repr(dict(self))
