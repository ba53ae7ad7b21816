"""Notes on exceptions of any shape."""

from __future__ import annotations

from contextlib import suppress


def add_note(error: BaseException, text: str) -> None:
    """Add a note to an exception once, also to a frozen one; one of a shape of its own goes without."""
    with suppress(Exception):
        if text in vars(error).get("__notes__", ()):
            return
        try:
            error.add_note(text)
        except AttributeError:  # a frozen dataclass
            vars(error)["__notes__"] = [*vars(error).get("__notes__", ()), text]
