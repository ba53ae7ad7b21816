"""The error vocabulary of one exchange as data: what its codes, words, statuses and headers mean."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping


class Rule(NamedTuple):
    """Meaning of one error of an exchange.

    Args:
        outcome: One of `catalog.EXCHANGE_OUTCOMES`.
        refused: Whether the request was surely not carried out, though the outcome alone would leave that open.
        wait: Seconds to hold back if the answer names no time; None for the default.
        duplicate: Whether the client order id is taken: an order sent earlier under this id stands.
        resync: Whether setting the clock by the exchange's may help.
    """

    outcome: str
    refused: bool = False
    wait: float | None = None
    duplicate: bool = False
    resync: bool = False


UNSURE = Rule("transient")
"""Timeouts and internal errors: a read may be repeated, the fate of a write is unknown."""

NOT_DONE = Rule("transient", refused=True)
"""A passing obstacle that surely stopped the request."""

MAINTENANCE = Rule("maintenance", refused=True)
LIMITED = Rule("rate_limited")
AUTH = Rule("auth")
REJECTED = Rule("rejected")
DUPLICATE = Rule("rejected", duplicate=True)

CLOCK = Rule("clock", resync=True)
"""A timestamp outside of the window that the exchange allows."""

NONCE = Rule("clock")
"""A nonce that was used already or is too small: another process signs with the same key, and no clock helps."""

UNIX = "unix"
"""Unit of a reset header that holds a Unix time in seconds, milliseconds or microseconds."""


def codes(rule: Rule, listed: str) -> dict[str, Rule]:
    """Return a table that gives each of the codes, separated by white space, the same meaning."""
    return dict.fromkeys(listed.split(), rule)


def phrase(words: str, rule: Rule) -> tuple[re.Pattern[str], Rule]:
    """Return a pattern of words, without regard to case, and its meaning."""
    return re.compile(words, re.IGNORECASE), rule


class RequestCounter(NamedTuple):
    """Limit on requests that no header tells of.

    Args:
        limit: Height of the counter at which requests are refused.
        decay: Amount that is taken off each second.
        cost: Returns by how much a request raises it, from the section and the path in ccxt's table.
    """

    limit: float
    decay: float
    cost: Callable[[str, str], float]


@dataclass(frozen=True, slots=True)
class Dialect:
    """Error codes and texts of one exchange, with all its ids in ccxt.

    Args:
        sources: Addresses of what the exchange publishes about it.
        patterns: Where a body has its error codes, the most telling pattern first; group 1 is the code.
        rules: Meaning of the codes.
        prefixes: Whether a code means what the longest key means that it begins with.
        fine: Codes that are no errors.
        phrases: Words in the body that say more than the code does; group 1, if there is one, is the reason.
        statuses: HTTP statuses with a meaning of their own, where the body has no code that is known.
        resets: Response headers that tell when a limit ends: `UNIX`, or the length of their unit in seconds.
        usage: Pairs of response headers: the limit, and what is left of it.
        container: Key that holds what was asked for in the answer to each read; empty if there is no such key.
        partial: Body of a batch that was refused in part only.
        plain: Ends of the paths whose answers are no JSON.
        empty: Ends of the paths that are answered by an empty object.
        counter: How it counts requests, where no header tells.
    """

    sources: tuple[str, ...] = ()
    patterns: tuple[re.Pattern[str], ...] = ()
    rules: Mapping[str, Rule] = field(default_factory=dict)
    prefixes: bool = False
    fine: frozenset[str] = frozenset(("0",))
    phrases: tuple[tuple[re.Pattern[str], Rule], ...] = ()
    statuses: Mapping[int, Rule] = field(default_factory=dict)
    resets: Mapping[str, float | str] = field(default_factory=dict)
    usage: tuple[tuple[str, str], ...] = ()
    container: str = ""
    partial: re.Pattern[str] | None = None
    plain: tuple[str, ...] = ()
    empty: tuple[str, ...] = ()
    counter: RequestCounter | None = None

    def spoken(self, body: str) -> tuple[Rule, str] | None:
        """Return the meaning of the error in a body and its name; None if it has none that is known."""
        for pattern, rule in self.phrases:
            found = pattern.search(body)
            if found:
                return rule, found[pattern.groups and 1]
        return next(self._known(self.errors(body)), None)

    def unsure_part(self, body: str) -> str:
        """Return the name of an error that leaves the fate of a part of a batch open; empty if there is none.

        Args:
            body: The answer to the batch, which has an error for each of its parts that failed.
        """
        return next((name for rule, name in self._known(self.errors(body)) if rule == UNSURE), "")

    def _known(self, errors: Iterable[str]) -> Iterator[tuple[Rule, str]]:
        for code in errors:
            key = max(filter(code.startswith, self.rules), key=len, default=None) if self.prefixes else code
            known = self.rules.get(key) if key is not None else None
            if known is not None and key is not None:
                yield known, self._name(code, key)

    def errors(self, body: str) -> list[str]:
        """Return the error codes in a body, the most telling first."""
        found = (match[1] for pattern in self.patterns for match in pattern.finditer(body))
        return [code for code in found if code not in self.fine]

    @staticmethod
    def _name(code: str, key: str) -> str:
        if code.lstrip("-").isdigit():
            return f"code {code}"
        return code if key.endswith(":") else key


def json_codes(*keys: str) -> re.Pattern[str]:
    """Return a pattern of the value, text or number, that one of the keys has in JSON."""
    return re.compile(rf'"(?:{"|".join(keys)})\\?"\s*:\s*\\?"?((?<=")[^"\\]+|-?\d+)')
