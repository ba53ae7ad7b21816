"""Backoff: exponential, constant or custom delays with jitter, at least as long as a service asks for."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from itertools import islice
from typing import TYPE_CHECKING, Any, Literal

from peak_observe.resilience.common import validation
from peak_observe.resilience.common.callbacks import SafeCallback
from peak_observe.support.shown import shown

if TYPE_CHECKING:
    from peak_observe.clock import Clock

Delays = Iterable[float] | Callable[[int, Exception | None], float]
RetryAfter = bool | Callable[[Exception], float | None]
Jitter = Literal["full", "equal", "decorrelated"] | float
LONGEST_SEQUENCE = 1000
DOUBLING = 2.0


class BackoffSchedule:
    """Delays after failed attempts.

    Args:
        base: Seconds of the first delay.
        cap: Upper limit of growing delays, and of what a service may ask for, in seconds.
        exponential: Whether delays grow.
        multiplier: By how much each is longer than the one before.
        own: The user's delays: seconds in order, of which the last repeats, or a function of attempt and exception.
        jitter: What is left to chance: `full`, `equal`, `decorrelated`, or a share from 0 to 1.
        retry_after: Whether hints of exceptions count; or a function that finds them.
        limit: How many delays there can be.

    Raises:
        ValueError: An argument makes no sense.
    """

    def __init__(
        self,
        *,
        base: float,
        cap: float,
        exponential: bool,
        multiplier: float,
        own: Delays | None,
        jitter: Jitter | None,
        retry_after: RetryAfter,
        limit: float,
    ) -> None:
        validation.check_seconds("base_delay", base)
        validation.check_seconds("max_delay", cap)
        validation.check_flag("exponential", exponential)
        _check_multiplier(multiplier, exponential=exponential)
        self.base, self.cap, self.exponential, self.multiplier = float(base), float(cap), exponential, float(multiplier)
        self._function = SafeCallback("delays", own) if callable(own) else None
        self._sequence = () if own is None or callable(own) else _sequence(own, limit)
        self._decorrelated = jitter == "decorrelated"
        if self._decorrelated and (own is not None or not exponential or multiplier != DOUBLING):
            raise ValueError(
                "jitter 'decorrelated' makes delays that grow by chance: leave out delays, exponential and multiplier"
            )
        self._share = 0.0 if jitter is None or self._decorrelated else _share(jitter)
        self._listens = retry_after is True
        self._listener = SafeCallback("retry_after", retry_after) if callable(retry_after) else None
        if self._listener is None:
            validation.check_flag("retry_after", retry_after)

    def delay_after(self, attempt: int, error: Exception | None, *, previous: float, clock: Clock) -> float | None:
        """Return the seconds to wait after a failed attempt; None if more is asked for than `cap` allows.

        Args:
            attempt: Its number, from 1.
            error: What it raised; None where its result was not accepted.
            previous: The seconds of the delay before; 0 if there was none.
            clock: Where the wall-clock time comes from, for dates.
        """
        delay = self._delay(attempt, error, previous)
        asked = self._asked(error, clock)
        if asked is None:
            return delay
        if asked > self.cap:
            return None
        # Those who were told the same moment would come at the same moment: chance comes on top.
        return asked + delay if self._share or self._decorrelated else max(asked, delay)

    def _delay(self, attempt: int, error: Exception | None, previous: float) -> float:
        if self._decorrelated:
            return decorrelated(previous, base=self.base, cap=self.cap, chance=_chance())
        delay = self._regular(attempt, error)
        return jittered(delay, share=self._share, chance=_chance()) if self._share else delay

    def _regular(self, attempt: int, error: Exception | None) -> float:
        if self._sequence:
            return self._sequence[min(attempt, len(self._sequence)) - 1]
        if self._function:
            delay = self._function.call(attempt, error)
            if validation.is_duration(delay):
                return float(delay)
            if delay is not None:
                self._function.log_once(f"{delay!r} is no finite number of seconds, at least 0")
        return exponential_delay(
            attempt, base=self.base, cap=self.cap, exponential=self.exponential, multiplier=self.multiplier
        )

    def _asked(self, error: Exception | None, clock: Clock) -> float | None:
        if error is None:
            return None
        if self._listener:
            asked = self._listener.call(error)
            return float(asked) if validation.is_duration(asked) else None
        if not self._listens:
            return None
        from peak_observe.resilience.common import retry_after

        return retry_after.requested_delay(error, clock.now())


def _check_multiplier(multiplier: Any, *, exponential: bool) -> None:
    validation.check_number("multiplier", multiplier)
    if multiplier <= 1:
        raise ValueError(
            f"multiplier must be more than 1, not {shown(multiplier)}: for delays that stay as they are write "
            "exponential=False"
        )
    if multiplier != DOUBLING and not exponential:
        raise ValueError("multiplier says how delays grow and means nothing beside exponential=False: leave one out")


def _sequence(own: Any, limit: float) -> tuple[float, ...]:
    # Taken once and for all: an iterator would be used up by the first operation, or shared by several.
    if isinstance(own, str | bytes | bytearray | Mapping):
        own = (own,)
    try:
        found = tuple(islice(own, int(max(1, min(limit, LONGEST_SEQUENCE)))))
    except TypeError:
        found = ()
    if not found or not all(map(validation.is_duration, found)):
        raise ValueError(
            "delays must be finite numbers of seconds, at least 0, or a function of attempt and exception, "
            f"not {shown(own)}"
        )
    return tuple(map(float, found))


def _share(jitter: Any) -> float:
    share = SHARES.get(jitter, jitter) if isinstance(jitter, str) else jitter
    if isinstance(share, bool) or not isinstance(share, int | float) or not 0 <= share <= 1:
        raise ValueError(f"jitter must be 'full', 'equal', 'decorrelated' or a number from 0 to 1, not {shown(jitter)}")
    return float(share)


def _chance() -> float:
    import random  # late, as few retries need it and it is slow to load

    return random.random()  # noqa: S311 - to spread load, not to keep a secret


SHARES = {"full": 1.0, "equal": 0.5}
"""How much of a delay the named kinds of jitter leave to chance."""


def exponential_delay(
    attempt: int, *, base: float, cap: float, exponential: bool, multiplier: float = DOUBLING
) -> float:
    """Return the seconds to wait after failed attempt number `attempt` (from 1).

    Exponential delays are `base` times 1, 2, 4, 8 …, or the powers of another multiplier, and never more than `cap`;
    constant ones are `base` as it is.
    """
    if not exponential:
        return base
    # 2.0 ** 1024 is no float any more; long before that every cap is reached.
    exponent = min(attempt - 1, 1000) if multiplier >= DOUBLING else attempt - 1
    try:
        return min(base * multiplier**exponent, cap)
    except OverflowError:
        return cap if base else 0.0


def jittered(delay: float, *, share: float, chance: float) -> float:
    """Return a delay shortened by jitter.

    With a share of 1 this is the full jitter, with 0.5 the equal jitter of AWS's "Exponential Backoff And Jitter".

    Args:
        delay: Seconds.
        share: From 0 to 1.
        chance: From 0 to 1; at 0 the delay stays whole.
    """
    return delay * (1 - share * chance)


def decorrelated(previous: float, *, base: float, cap: float, chance: float) -> float:
    """Return a delay between `base` and three times the one before, and never more than `cap` (the same source).

    Args:
        previous: The seconds of the delay before; 0 if there was none.
        base: The least delay in seconds.
        cap: The most.
        chance: From 0 to 1.
    """
    return min(cap, base + (3 * max(previous, base) - base) * chance)
