"""Values, records and names as messages show them: short, printable, without secrets."""

from __future__ import annotations

import sys

LONGEST = 100
LOOKED_AT = 10_000
PLAIN = 24
"""Characters of a name with digits that cannot hold a secret of a known form."""


def shown(value: object) -> str:
    """Return the `repr` of a value on one short line without secrets, also of a number too long for `repr`."""
    from peak_observe.support.redact import clean, printable  # late, as its patterns take their time

    try:
        text = printable(clean(repr(value)[:LOOKED_AT]))
    except Exception:  # noqa: BLE001 - that of a huge number raises ValueError, that of somebody's class anything
        return f"a value of type {type(value).__name__} that cannot be written"
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}…"


def shown_time(value: object) -> str:
    """Return a value that is no number of seconds as a message shows it, with the mend for a `timedelta`."""
    return (
        f"{shown(value)}: write .total_seconds()" if callable(getattr(value, "total_seconds", None)) else shown(value)
    )


def label(name: str) -> str:
    """Return a name as labels, spans and messages carry it: without secrets.

    Names of functions, which nearly all are, pay a look at their characters; only others load the redactor.
    """
    known = sys.modules.get("peak_observe.support.secret_values")
    letters = name.translate(_BETWEEN)
    plain = letters.isascii() and (letters.isalpha() or (letters.isalnum() and len(name) <= PLAIN))
    if plain and (known is None or not known.KNOWN):
        return name
    from peak_observe.support.redact import clean

    return clean(name)


_BETWEEN = dict.fromkeys(map(ord, "_.<> -"))


def record_repr(self: tuple[object, ...]) -> str:
    """Return the `repr` of a named tuple without secrets, for the class body of a record that may hold an exception."""
    from peak_observe.support.redact import clean, printable

    names: tuple[str, ...] = getattr(type(self), "_fields", ())
    text = f"{type(self).__name__}({', '.join(f'{name}={_repr(getattr(self, name))}' for name in names)})"
    return printable(clean(text))


def _repr(value: object) -> str:
    try:
        return repr(value)
    except Exception:  # noqa: BLE001 - somebody's exception that cannot be written must not break a log line
        return f"<{type(value).__name__}>"
