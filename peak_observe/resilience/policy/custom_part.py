"""A decorator of the user's as part of a policy, in a place that the check of the order knows."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from peak_observe.resilience.common import strategy, validation, wrapping
from peak_observe.resilience.common.keywords import check_keywords
from peak_observe.resilience.policy.order import RECOMMENDED
from peak_observe.support.shown import shown

MINE = "mine"


class CustomPart(strategy.Strategy):
    """Decorator of the user's with the name of its kind and its place; see `part`."""

    def __init__(
        self,
        decorator: Callable[[Any], Any],
        kind: str,
        outside: tuple[str, ...],
        inside: tuple[str, ...],
    ) -> None:
        super().__init__(kind, self._adapted)
        self.outside = outside
        self.inside = inside
        self._decorator = decorator

    def _adapted(self, _: str) -> Callable[[Any], Any]:
        return self._applied

    def _applied(self, func: Callable[..., Any]) -> Callable[..., Any]:
        result: Any = self._decorator(func)
        if not callable(result):
            raise TypeError(
                f"part {self.kind!r} made {shown(result)} of {wrapping.name_of(func)}: its decorator "
                f"{wrapping.name_of(self._decorator)} has to return a function"
            )
        return result  # type: ignore[no-any-return] # whatever it is, it can be called


@check_keywords({"name": "kind", "before outer": "outside", "after inner": "inside"})
def part(
    decorator: Callable[[Any], Any],
    *,
    kind: str = MINE,
    outside: str | Iterable[str] = (),
    inside: str | Iterable[str] = (),
) -> CustomPart:
    """Make a part of a policy from a decorator of your own.

    `Policy(circuit_breaker(), part(audited, kind="audit"))`: it stands where it is written among the other parts, the
    first of which is the outermost. With `outside` and `inside` it says where that has to be, which each policy checks.

    Args:
        decorator: A function that takes a function and returns one; each decorated function is handed to it once.
        kind: Its name in `Policy.layers`, and in `outside` and `inside` of other parts.
        outside: The kinds of parts that must be inside of it, such as `retry`.
        inside: The kinds of parts that must be outside of it.

    Raises:
        ValueError: An argument makes no sense; the message names it.
    """
    if not callable(decorator):
        raise ValueError(  # noqa: TRY004 - as for every argument that makes no sense
            f"decorator must be a function that takes and returns a function, not {shown(decorator)}"
        )
    if isinstance(decorator, strategy.Strategy):
        raise ValueError(  # noqa: TRY004 - as above
            f"{decorator!r} is a part of a policy already: write it without part(…)"
        )
    if wrapping.kind(decorator) != wrapping.FUNCTION:
        raise ValueError(f"decorator must be a plain function, not the {wrapping.kind(decorator)} {shown(decorator)}")
    if not isinstance(kind, str) or not kind.isidentifier():
        raise ValueError(f"kind must be a name such as {MINE!r}, not {shown(kind)}")
    if kind in RECOMMENDED:
        raise ValueError(f"kind {kind!r} is that of a part of peak_observe: give yours another name")
    places = {key: validation.names(key, value) for key, value in (("outside", outside), ("inside", inside))}
    for key, kinds in places.items():
        if kind in kinds:
            raise ValueError(f"{key} must not name the part itself, {kind!r}")
    return CustomPart(decorator, kind, places["outside"], places["inside"])
