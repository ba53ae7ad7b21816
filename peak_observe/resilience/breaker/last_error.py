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

_PLAIN = frozenset({type(None), bool, int, float})


class LastError:
    """What is kept of an exception: its class, and of arguments, attributes and notes the plain values.

    An exception itself would keep its traceback alive, by that the frames of the call, and by those all that it had in
    hand. The text of the copy is the same; where it cannot be, an `SummarizedError` stands for it.

    Args:
        error: The exception, which stays as it is.
    """

    __slots__ = ("_args", "_attributes", "_kind")

    def __init__(self, error: BaseException) -> None:
        self._kind: type[BaseException] = type(error)
        self._args: tuple[Any, ...] = ()
        self._attributes: dict[str, Any] = {}
        text = _text(error)
        try:
            self._args = tuple(map(_plain, error.args[:MOST]))
            self._attributes = _attributes(error)
            # Nobody may take an order of the past for one that is open now.
            copied = not isinstance(error, OutcomeUnknown) and str(self.build()) == text
        except Exception:  # noqa: BLE001 - a class may want, and do, anything in its constructor or its text
            copied = False
        if not copied:
            self._kind, self._args = SummarizedError, (_name(error), _shown(error, text))
            self._attributes = {"kind": self._args[0], "text": self._args[1]}

    def build(self) -> BaseException:
        """Return a new copy: one that is raised by many would collect the tracebacks of all."""
        error = self._kind.__new__(self._kind, *self._args)
        error.args = self._args
        vars(error).update(self._attributes)
        if "__notes__" in self._attributes:
            vars(error)["__notes__"] = list(self._attributes["__notes__"])
        return error


def _plain(value: object) -> Any:
    if type(value) in _PLAIN:
        return value
    return str(value)[:LONGEST]


def _attributes(error: BaseException) -> dict[str, Any]:
    own = ((name, value) for name, value in vars(error).items() if type(value) in _PLAIN or type(value) is str)
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
