"""Answers that say nothing: an error that ccxt sees in one is no refusal by the exchange."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_PLAIN_WORDS = frozenset(("", "0", "00000", "0.0", "none", "null", "true", "ok", "success"))


def says_nothing(body: str) -> bool:
    """Return whether an answer gives neither a code nor a word that may be an error's.

    Args:
        body: The answer's text.
    """
    try:
        answer = json.loads(body)
    except ValueError:
        return True
    return not isinstance(answer, dict | list) or all(_is_plain(leaf) for leaf in _leaves(answer))


def _leaves(node: object) -> Iterator[object]:
    if isinstance(node, dict | list):
        for item in node.values() if isinstance(node, dict) else node:
            yield from _leaves(item)
    else:
        yield node


def _is_plain(value: object) -> bool:
    return str(value).strip().lower() in _PLAIN_WORDS
