"""The API reference, from the docstrings of everything that `from peak_observe import …` gives."""

from __future__ import annotations

import inspect
import re
from enum import Enum
from types import UnionType
from typing import TYPE_CHECKING, Any, get_args

import peak_observe
import peak_observe.testing
from peak_observe.resilience.health import checks

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from types import ModuleType

HEAD = """# API

Made by `make docs` from the docstrings. Times are in seconds and sizes in bytes throughout; moments are aware and in
UTC."""
WIDTH = 110
MODULES = re.compile(r"\b(?:[a-z_]+\.)+(?=[A-Z])")  # in annotations a class is known by its name
SECTIONS = ("Args", "Returns", "Raises", "Attributes")


def page() -> str:
    """Return the page."""
    return "\n".join([HEAD, *_public(), *_module(checks, checks.__all__), *_module(peak_observe.testing, None)]) + "\n"


def _public() -> Iterator[str]:
    names = [name for name in peak_observe.__all__ if not name.startswith("_")]
    yield from _module(peak_observe, names)


def _module(module: ModuleType, names: Iterable[str] | None) -> Iterator[str]:
    yield from ("", f"## {module.__name__}")
    for name in sorted(module.__all__ if names is None else names, key=str.lower):
        yield from _described(name, getattr(module, name))


def _described(name: str, value: Any) -> Iterator[str]:
    yield from ("", f"### {name}", "")
    if inspect.isclass(value) or inspect.isroutine(value):
        yield from _code(_signature(name, value))
        yield from _markdown(inspect.getdoc(value) or "")
    elif isinstance(value, UnionType):
        yield f"One of {', '.join(f'`{kind.__name__}`' for kind in get_args(value))}."
    elif type(value).__module__.startswith("peak_observe"):
        yield f"A `{type(value).__name__}` for the whole process."
    elif isinstance(value, dict):
        yield f"For each of {', '.join(f'`{key}`' for key in value)}: " + ", ".join(
            f"`{key}`" for key in next(iter(value.values()))
        )
    if inspect.isclass(value):
        yield from _members(value)


def _code(text: str) -> Iterator[str]:
    yield from ("```text", text, "```", "")


def _members(kind: type) -> Iterator[str]:
    if issubclass(kind, tuple):
        return  # a record: its docstring tells of its fields
    for name, member in sorted(vars(kind).items()):
        if name.startswith("_") or not (inspect.isroutine(member) or isinstance(member, property)):
            continue
        if inspect.isbuiltin(getattr(kind, name)):
            continue  # Python's own function, whose words change with its version
        documented = member.fget if isinstance(member, property) else member
        text = inspect.getdoc(documented)
        if not text:
            continue
        yield from ("", f"#### {kind.__name__}.{name}", "")
        yield from _code(name if isinstance(member, property) else _signature(name, getattr(kind, name)))
        yield from _markdown(text)


def _signature(name: str, value: Any) -> str:
    if inspect.isclass(value) and issubclass(value, Enum):
        return f"{name}: " + ", ".join(f"{member.name} = {member.value!r}" for member in value)
    try:
        found = inspect.signature(value)
    except ValueError:
        return name
    if getattr(value, "_is_protocol", False):
        return name
    parameters = [_parameter(each) for each in found.parameters.values() if each.name != "self"]
    kinds = [each.kind for each in found.parameters.values() if each.name != "self"]
    if inspect.Parameter.KEYWORD_ONLY in kinds and inspect.Parameter.VAR_POSITIONAL not in kinds:
        parameters.insert(kinds.index(inspect.Parameter.KEYWORD_ONLY), "*")
    returns = "" if inspect.isclass(value) or found.return_annotation is found.empty else " -> "
    end = returns and returns + _annotation(found.return_annotation)
    line = f"{name}({', '.join(parameters)}){end}"
    if len(line) <= WIDTH:
        return line
    return "\n".join([f"{name}(", *(f"    {parameter}," for parameter in parameters), f"){end}"])


def _parameter(found: inspect.Parameter) -> str:
    stars = {found.VAR_POSITIONAL: "*", found.VAR_KEYWORD: "**"}.get(found.kind, "")
    text = stars + found.name + ("" if found.annotation is found.empty else f": {_annotation(found.annotation)}")
    return text if found.default is found.empty else f"{text} = {_default(found.default)}"


def _annotation(value: Any) -> str:
    named = value if isinstance(value, str) else getattr(value, "__forward_arg__", None)
    return MODULES.sub("", named or inspect.formatannotation(value))


def _default(value: Any) -> str:
    if inspect.isclass(value):
        return value.__name__
    text = repr(value)
    return "..." if text.startswith("<") else text


def _markdown(text: str) -> Iterator[str]:
    """Yield a docstring as Markdown: its sections become lists."""
    within = False
    for line in text.splitlines():
        title = line.removesuffix(":")
        if line.endswith(":") and title in SECTIONS:
            within = True
            yield from (f"**{title}**", "")
        elif not line:
            within = False
            yield ""
        elif within and line.startswith("    ") and not line.startswith("     "):
            yield f"- {line.strip()}"
        else:
            yield f"  {line.strip()}" if within else line
