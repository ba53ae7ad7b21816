"""`typing.get_type_hints` works on everything public."""

import inspect
import typing
from collections.abc import Iterator

import pytest

import peak_observe
import peak_observe.testing

SPECIAL = {"__init__", "__call__", "__enter__", "__exit__", "__aenter__", "__aexit__", "__iter__", "__aiter__"}


def functions(cls: type) -> Iterator[tuple[str, object]]:
    """Yield the public methods and properties of a class, those of its own bases too."""
    for base in cls.__mro__:
        if not base.__module__.startswith("peak_observe"):
            continue
        for name, member in vars(base).items():
            if name.startswith("_") and name not in SPECIAL:
                continue
            found = member.fget if isinstance(member, property) else getattr(member, "__func__", member)
            if inspect.isfunction(found):
                yield f"{base.__qualname__}.{name}", found


def public() -> Iterator[tuple[str, object]]:
    """Yield everything public that can have hints."""
    for package in (peak_observe, peak_observe.testing):
        for name in package.__all__:
            found = getattr(package, name)
            if inspect.isfunction(found):
                yield name, found
            elif name != "__version__":
                cls = found if isinstance(found, type) else type(found)
                yield name, cls
                yield from functions(cls)


@pytest.mark.parametrize("name", sorted(dict(public())))
def test_hints_can_be_read(name: str) -> None:
    """Of functions, classes, methods and properties; nothing they name is there for type checkers alone."""
    typing.get_type_hints(dict(public())[name])


def test_there_are_some() -> None:
    """The walk finds what it is meant for."""
    names = dict(public())
    assert {"circuit_breaker", "CircuitBreaker.configure", "CircuitBreaker.stats", "Policy.from_toml"} <= names.keys()
    assert len(names) > 150
