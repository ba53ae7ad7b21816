"""Names of circuits, limits and exchanges as engines store them."""

from __future__ import annotations

from peak_observe.support.shown import shown

LONGEST_NAME = 120
"""Bytes of a name; of a longer one the end is replaced by a checksum."""


def key_of(name: str) -> str:
    """Return the name of a circuit, limit or exchange as engines store it: short, without secrets.

    Raises:
        ValueError: It is no text, or empty.
    """
    from peak_observe.support.redact import clean, printable

    if not isinstance(name, str) or not name:
        raise ValueError(f"name must be text that is not empty, not {shown(name)}")
    plain = printable(clean(name)).replace('"', "'").replace("\\", "/")
    data = plain.encode()
    if len(data) <= LONGEST_NAME:
        return plain
    import hashlib

    return data[: LONGEST_NAME - 17].decode(errors="ignore") + "~" + hashlib.blake2b(data, digest_size=8).hexdigest()
