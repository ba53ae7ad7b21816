"""The exception that opened a circuit, as far as it may be kept: without traceback, frames and objects."""

from __future__ import annotations

from itertools import islice
from typing import Any

from peak_observe.errors import OutcomeUnknown, SummarizedError
from peak_observe.resilience.common.predicates import members

LONGEST = 1000
"""Characters of a text."""
MOST = 20
"""How many arguments, attributes and notes."""
MEMBERS = 3

_OURS = "_peak_observe"  # marks for the call that raised it
_PLAIN = frozenset({type(None), bool, int, float})


class LastError:
    """Copy of an exception: its class, and the plain values of its arguments, attributes and notes.

    An exception itself would keep its traceback alive, by that the frames of the call, and by those all that it had in
    hand. The text of the copy is the same; where it cannot be, a `SummarizedError` stands for it.

    Args:
        error: The exception, which stays as it is.
    """

    __slots__ = ("_args", "_attributes", "_kind", "_summary")

    def __init__(self, error: BaseException) -> None:
        text = _text(error)
        self._summary = _name(error), _shown(error, text)
        self._kind: type[BaseException] | None = type(error)
        try:
            self._args = tuple(map(_plain, error.args[:MOST]))
            self._attributes = _attributes(error)
            # Nobody may take an order of the past for one that is open now.
            copied = not isinstance(error, OutcomeUnknown) and str(self._copy(type(error))) == text
        except Exception:  # noqa: BLE001 - a class may want, and do, anything in its constructor or its text
            copied = False
        if not copied:
            self._kind, self._args, self._attributes = None, (), {}

    def build(self) -> BaseException:
        """Return a new copy: one that is raised by many would collect the tracebacks of all."""
        try:
            return SummarizedError(*self._summary) if self._kind is None else self._copy(self._kind)
        except Exception:  # noqa: BLE001 - as above
            return SummarizedError(*self._summary)

    def _copy(self, kind: type[BaseException]) -> BaseException:
        error = kind.__new__(kind, *self._args)
        error.args = self._args
        if self._attributes:  # an open circuit may have to make thousands a second
            facts = vars(error)
            facts.update(self._attributes)
            if "__notes__" in facts:
                facts["__notes__"] = facts["__notes__"].copy()
        return error


def _plain(value: object) -> Any:
    if type(value) in _PLAIN:
        return value
    return str(value)[:LONGEST]


def _attributes(error: BaseException) -> dict[str, Any]:
    texts_and_numbers = _PLAIN | {str}
    own = ((name, value) for name, value in vars(error).items() if type(value) in texts_and_numbers)
    own = ((name, value) for name, value in own if not name.startswith(_OURS))
    kept = {name: _plain(value) for name, value in islice(own, MOST)}
    notes = vars(error).get("__notes__")
    if isinstance(notes, list):
        kept["__notes__"] = [str(note)[:LONGEST] for note in notes[:MOST]]
    return kept


def _text(error: BaseException) -> str:
    try:
        return str(error)
    except Exception:  # noqa: BLE001 - as above
        return ""


def _name(error: BaseException) -> str:
    kind = type(error)
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


def _shown(error: BaseException, text: str) -> str:
    if isinstance(error, BaseExceptionGroup):
        inside = (f"{type(one).__name__}: {_text(one)}" for one in islice(members(error), MEMBERS))
        text = f"{text}: {'; '.join(inside)}"
    return text[:LONGEST]
