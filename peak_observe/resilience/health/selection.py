"""Selection of the checks of a run by name or tag, with those they depend on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from peak_observe.resilience.common import validation

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from peak_observe.resilience.health.registered_check import Check


def selected(checks: Mapping[str, Check], only: Iterable[str] | None, tags: Iterable[str] | None) -> list[Check]:
    """Return the checks of these names and tags in the order of their registration.

    Raises:
        KeyError: A name or a tag is nobody's; the message lists what is near.
    """
    wanted = list(checks)
    if only is not None:
        wanted = list(validation.names("only", only))
        _refuse_unknown("no check is named", wanted, checks)
    if tags is not None:
        chosen = validation.names("tags", tags)
        known = {tag for check in checks.values() for tag in check.settings.tags}
        _refuse_unknown("no check has the tag", chosen, known)
        wanted = [name for name in wanted if set(chosen) & set(checks[name].settings.tags)]
    needed = with_dependencies(wanted, checks)
    return [check for name, check in checks.items() if name in needed]


def with_dependencies(names: Iterable[str], checks: Mapping[str, Check]) -> set[str]:
    """Return `names` and all that they depend on, whether it is registered or not."""
    found: set[str] = set()
    ahead = list(names)
    while ahead:
        name = ahead.pop()
        if name not in found:
            found.add(name)
            ahead.extend(checks[name].settings.depends_on if name in checks else ())
    return found


def _refuse_unknown(problem: str, words: Iterable[str], known: Collection[str]) -> None:
    import difflib

    for word in words:
        if word not in known:
            near = difflib.get_close_matches(word, known)
            raise KeyError(f"{problem} {word!r}" + (f"; near: {', '.join(near)}" if near else ""))
