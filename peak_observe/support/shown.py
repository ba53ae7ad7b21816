"""Values as error messages show them."""

from __future__ import annotations

LONGEST = 100


def shown(value: object) -> str:
    """Return the `repr` of a value on one short line, also of a number of 5,000 digits, which `repr` refuses."""
    try:
        text = repr(value)
    except Exception:  # noqa: BLE001 - that of a huge number raises ValueError, that of somebody's class anything
        return f"a value of type {type(value).__name__} that cannot be written"
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}…"
