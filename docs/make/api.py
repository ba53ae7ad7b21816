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

Made by `make docs` from the docstrings. `from peak_observe import NAME` gives every name but those of the last two
pages. Times are in seconds and sizes in bytes throughout; moments are aware and in UTC.

| page | names |
|---|---|
"""
WIDTH = 110
MODULES = re.compile(r"\b(?:[a-z_]+\.)+(?=[A-Z])")  # in annotations a class is known by its name
SECTIONS = ("Args", "Returns", "Raises", "Attributes")


PAGES = {
    "circuit-breaker": ("Circuit breaker", ("resilience.breaker", "resilience.common")),
    "retry": ("Retry", ("resilience.retry",)),
    "limits": ("Timeouts, bulkheads and rate limits", ("resilience.limits",)),
    "policy": ("Policies", ("resilience.policy",)),
    "shared-results": ("Shared results", ("resilience.results",)),
    "health": ("Health", ("resilience.health",)),
    "backups": ("Backups", ("backup_recovery",)),
    "exchange-client": ("Exchange client", ("exchange_client",)),
    "metrics": ("Metrics and processes", ("", "metrics_server", "telemetry", "otel", "jobs", "measures")),
    "events": ("Events", ("events", "observers", "clock")),
    "errors": ("Errors", ("errors",)),
}
"""Pages by file name: title, and the rooms whose public names it describes. Other rooms get pages of their own."""
MODULES_OF_THEIR_OWN = {"health-checks": checks, "testing": peak_observe.testing}


def pages() -> dict[str, str]:
    """Return the pages by file name, and the index."""
    found: dict[str, list[str]] = {name: [] for name in PAGES}
    for name in peak_observe.__all__:
        if not name.startswith("_"):
            found.setdefault(_page_of(getattr(peak_observe, name)), []).append(name)
    written, rows = {}, []
    for page, names in found.items():
        title = PAGES[page][0] if page in PAGES else page.replace("-", " ").capitalize()
        written[f"{page}.md"] = _text(title, "peak_observe", peak_observe, names)
        rows.append(_row(page, title, names))
    for page, module in MODULES_OF_THEIR_OWN.items():
        written[f"{page}.md"] = _text(module.__name__, module.__name__, module, module.__all__)
        rows.append(_row(page, module.__name__, module.__all__))
    written["README.md"] = HEAD + "\n".join(rows) + "\n"
    return {f"api/{name}": text for name, text in written.items()}


def _page_of(value: Any) -> str:
    """Return the page that describes an object, by the room that it comes from."""
    if isinstance(value, UnionType):
        value = get_args(value)[0]
    if isinstance(value, dict):
        return "metrics"
    module = getattr(value, "__module__", None) or type(value).__module__
    room = module.removeprefix("peak_observe").removeprefix(".")
    within = room.split(".")
    places = (".".join(within[:depth]) for depth in range(len(within), 0, -1))
    for place in places:
        for page, (_, rooms) in PAGES.items():
            if place in rooms:
                return page
    return within[0].replace("_", "-")


def _sorted(names: Iterable[str]) -> list[str]:
    return sorted(names, key=str.lower)


def _row(page: str, title: str, names: Iterable[str]) -> str:
    links = ", ".join(f"[`{name}`]({page}.md#{name.lower()})" for name in _sorted(names))
    return f"| [{title}]({page}.md) | {links} |"


def _text(title: str, source: str, module: ModuleType, names: Iterable[str]) -> str:
    lines = [f"# {title}", "", f"From `{source}`. Made by `make docs`; [all pages](README.md)."]
    for name in _sorted(names):
        lines += _described(name, getattr(module, name))
    return "\n".join(lines) + "\n"


def _described(name: str, value: Any) -> Iterator[str]:
    yield from ("", f"## {name}", "")
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
        yield from ("", f"### {kind.__name__}.{name}", "")
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
