"""Check of an API key: does it expire soon, and may it do more than a bot needs?"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Iterable
from datetime import UTC, datetime
from typing import Any

from peak_observe.clock import SYSTEM_CLOCK, Clock
from peak_observe.measures import EXCHANGE_KEYS, KeyReading
from peak_observe.resilience.common import validation
from peak_observe.resilience.health.checks.key_rights import PERMISSIONS, QUESTIONS, WITHDRAW, KeyRights
from peak_observe.resilience.health.formatting import CheckFunction, Outcome
from peak_observe.support.redact import describe
from peak_observe.support.shown import shown

DAY = 86_400.0


def api_key(
    client: Any,
    *,
    warn_days: float = 14,
    forbid: Iterable[str] = (WITHDRAW,),
    want_ip: bool = True,
    expires: datetime | str | None = None,
    name: str | None = None,
    clock: Clock = SYSTEM_CLOCK,
) -> CheckFunction | Callable[[], Awaitable[Outcome]]:
    """Return a check that an API key does not expire soon, and may not do what a bot has no need of.

    Binance, Bybit and Kraken tell a key its rights. Of others the check says that they cannot tell and passes, but for
    an expiry given by hand. With an async client it is a coroutine function, to be run on the client's loop. A check
    that is run every few hours is enough.

    Args:
        client: A `ResilientExchangeClient`, its async twin, or a ccxt object, sync or async.
        warn_days: Days before the expiry from which on the check fails.
        forbid: What the key may not be allowed: of `read`, `trade`, `transfer` and `withdraw`.
        want_ip: Whether the key has to be bound to IP addresses.
        expires: When the key expires, for exchanges that do not tell: a time, or `2027-03-01`, in UTC if it names no
            zone.
        name: The label value `exchange`; the client's name if not given.
        clock: Where the time comes from; for tests.

    Raises:
        ValueError: An argument makes no sense; the message names it.
        TypeError: The client is no ccxt exchange.
    """
    checked = KeyCheck(client, warn_days, frozenset(_permissions(forbid)), want_ip, _time(expires), name, clock)
    return checked.async_run if checked.asynchronous else checked.run


class KeyCheck:
    """Check of one key, whose last answer the metrics tell; see `api_key`."""

    def __init__(  # noqa: PLR0917 - `api_key` is the public way, where all but the client are named
        self,
        client: Any,
        warn_days: float,
        forbid: frozenset[str],
        want_ip: bool,
        expires: float | None,
        name: str | None,
        clock: Clock,
    ) -> None:
        validation.check_number("warn_days", warn_days)
        validation.check_flag("want_ip", want_ip)
        exchange = getattr(client, "exchange", client)
        if not callable(getattr(exchange, "fetch2", None)):
            raise TypeError(f"a client or a ccxt exchange object is wanted, not {shown(client)}")
        self._id = str(exchange.id)
        self._question = QUESTIONS.get(self._id)
        self._ask = getattr(client, self._question.method) if self._question else None
        self.asynchronous = inspect.iscoroutinefunction(inspect.unwrap(exchange.fetch2))
        self._warn, self._forbid, self._want_ip, self._by_hand = warn_days * DAY, forbid, want_ip, expires
        self._clock = clock
        self._rights: KeyRights | None = None
        label = self._id if exchange is client else client.name
        EXCHANGE_KEYS.series(label if name is None else name).join(self, self._read)

    def run(self) -> Outcome:
        """Ask a sync client, and judge the answer."""
        if self._ask is None:
            return self._judged()
        try:
            return self._learned(self._ask())
        except Exception as error:  # noqa: BLE001 - a key that is refused is what the check looks for
            return self._failed(error)

    async def async_run(self) -> Outcome:
        """Ask an async client, and judge the answer."""
        if self._ask is None:
            return self._judged()
        try:
            return self._learned(await self._ask())
        except Exception as error:  # noqa: BLE001 - the same
            return self._failed(error)

    @property
    def _expires(self) -> float | None:
        told = self._rights.expires if self._rights else None
        return min((at for at in (told, self._by_hand) if at is not None), default=None)

    def _read(self) -> KeyReading:
        return KeyReading(self._expires, dict(self._rights.permissions) if self._rights else {})

    def _learned(self, answer: Any) -> Outcome:
        assert self._question is not None  # noqa: S101 - for the type checker: there was an answer to it
        try:
            self._rights = self._question.read(answer)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            return False, f"{self._id} answered about its API key what cannot be read: {describe(error)}", {}
        return self._judged()

    def _failed(self, error: Exception) -> Outcome:
        return False, f"{self._id} does not answer what its API key may do: {describe(error)}", {}

    def _judged(self) -> Outcome:
        rights = self._rights
        problems = [*self._expiry(), *(self._excess(rights) if rights else ())]
        details: dict[str, Any] = {"expires": self._expires}
        if rights:
            details |= {"permissions": dict(rights.permissions), "ip_bound": rights.ip_bound}
        good = f"the key of {self._id} is as it should be" if rights else f"{self._id} cannot tell what its key may do"
        return not problems, f"the key of {self._id} {', and '.join(problems)}" if problems else good, details

    def _expiry(self) -> list[str]:
        if self._expires is None:
            return []
        days = (self._expires - self._clock.now().timestamp()) / DAY
        if days <= 0:
            return ["has expired"]
        return [f"expires in {days:.1f} days"] if days * DAY < self._warn else []

    def _excess(self, rights: KeyRights) -> list[str]:
        too_much = [f"may {right}" for right in PERMISSIONS if right in self._forbid and rights.permissions.get(right)]
        return [*too_much, *(["is bound to no IP address"] if self._want_ip and not rights.ip_bound else [])]


def _permissions(forbid: Iterable[str]) -> Iterable[str]:
    found = (forbid,) if isinstance(forbid, str) else tuple(forbid)
    for right in found:
        if right not in PERMISSIONS:
            raise ValueError(f"forbid must be of {', '.join(PERMISSIONS)}, not {shown(right)}")
    return found


def _time(expires: datetime | str | None) -> float | None:
    if expires is None:
        return None
    try:
        found = datetime.fromisoformat(expires) if isinstance(expires, str) else expires
        return found.replace(tzinfo=found.tzinfo or UTC).timestamp()
    except (AttributeError, TypeError, ValueError):
        raise ValueError(f"expires must be a time, or text such as '2027-03-01', not {shown(expires)}") from None
