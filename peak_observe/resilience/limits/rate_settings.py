"""Settings of a rate limit: what makes no sense is one ValueError that names the argument."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from peak_observe.measures.series import check_name
from peak_observe.resilience.common import validation
from peak_observe.resilience.common.modes import ENFORCE, Mode, check_mode
from peak_observe.resilience.limits.priorities import DEFAULT
from peak_observe.resilience.limits.sliding_log import SlidingLog, Window
from peak_observe.resilience.limits.token_bucket import TokenBucket
from peak_observe.support.shown import shown

SLOWEST, FASTEST = 1e-9, 1e12
"""Calls a second: one in thirty years, and more than a computer can make."""
LARGEST_LIMIT = 10**15
LARGEST_BURST = 10**9
SMALLEST_SHARE = 0.001
LARGEST_WINDOW = 1_000_000
"""Calls that a sliding window remembers at most, each for as long as the window is."""


class RateSettings(NamedTuple):
    """Validated settings of a rate limit.

    Args:
        windows: What may pass: weight, and the seconds in which it may.
        spaced: Whether calls are evenly spaced by a token bucket; else the windows slide.
        burst: Weight that may pass at once after a pause.
        wait: Seconds that a call waits at most.
        reserve: Shares that are reserved for priority classes.
        mode: `enforce` or `observe`.
    """

    windows: tuple[Window, ...]
    spaced: bool
    burst: float
    wait: float = 0.0
    reserve: Mapping[str, float] = {}
    mode: Mode = ENFORCE

    @property
    def rate(self) -> float:
        """Weight that may pass in a second in the long run."""
        return min(window.limit / window.per for window in self.windows)

    @property
    def shares(self) -> dict[str, float]:
        """Share of each priority class that has one, and what is left for all other calls."""
        return {**self.reserve, DEFAULT: 1 - sum(self.reserve.values())}

    def limiters(self) -> dict[str, TokenBucket | SlidingLog]:
        """Return a limiter for each priority class with its share, and one for what is left."""
        return {name: self._limiter(share) for name, share in self.shares.items()}

    def _limiter(self, share: float) -> TokenBucket | SlidingLog:
        if self.spaced:
            return TokenBucket(1 / (self.rate * share), max(1, self.burst * share))
        return SlidingLog([Window(window.limit * share, window.per) for window in self.windows])

    def __str__(self) -> str:
        if self.spaced:
            return f"{self.rate:g} a second"
        return " and ".join(f"{window.limit:g} in {window.per:g} s" for window in self.windows)


def build_rate_settings(
    limit: Any,
    per: Any = 1.0,
    *,
    burst: Any = None,
    wait: Any = 0.0,
    reserve: Any = None,
    mode: Any = ENFORCE,
) -> RateSettings:
    """Return the settings that the arguments of `rate_limit` come to.

    Raises:
        ValueError: An argument makes no sense; the message names it.
    """
    spaced = not isinstance(limit, Sequence) or isinstance(limit, str)
    windows = (_window(limit, per),) if spaced else _windows(limit, per, burst)
    if burst is not None:
        validation.check_count("burst", burst)
        if burst > LARGEST_BURST:
            raise ValueError(f"burst must be at most {LARGEST_BURST}")
    validation.check_seconds("wait", wait)
    check_mode(mode)
    at_once = (burst or 1) if spaced else min(window.limit for window in windows)
    settings = RateSettings(windows, spaced, at_once, float(wait), _reserve(reserve), mode)
    _check_shares(settings)
    return settings


def _window(limit: Any, per: Any) -> Window:
    if isinstance(limit, bool) or not isinstance(limit, int | float) or not 0 < limit <= LARGEST_LIMIT:
        raise ValueError(f"limit must be a finite number of calls above 0, not {shown(limit)}")
    validation.check_period("per", per)
    if not SLOWEST <= limit / per <= FASTEST:
        raise ValueError(f"limit / per must be between {SLOWEST:g} and {FASTEST:g} calls a second")
    return Window(limit, float(per))


def _windows(limit: Sequence[Any], per: Any, burst: Any) -> tuple[Window, ...]:
    if per != 1.0 or burst is not None:
        name = "burst" if per == 1.0 else "per"
        raise ValueError(
            f"{name} is for a single limit: windows have their own seconds, and allow what they hold at once"
        )
    pairs = [tuple(pair) if isinstance(pair, list | tuple) else () for pair in limit]
    if not pairs or any(len(pair) != 2 for pair in pairs):  # noqa: PLR2004 - a pair
        raise ValueError(f"limit must be a number of calls, or pairs of calls and seconds, not {shown(limit)}")
    found = tuple(_window(*pair) for pair in pairs)
    for window in found:
        if not 1 <= window.limit <= LARGEST_WINDOW:
            raise ValueError(f"limit of a window must be from 1 to {LARGEST_WINDOW} calls, not {window.limit:g}")
    return found


def _reserve(reserve: Any) -> dict[str, float]:
    if reserve is None:
        return {}
    if not isinstance(reserve, Mapping):
        raise ValueError(f"reserve must be a mapping of priority classes to shares, not {shown(reserve)}")  # noqa: TRY004 - as for all settings
    for name, share in reserve.items():
        check_name(name)
        if name == DEFAULT:
            raise ValueError(f"reserve cannot name {DEFAULT!r}: that is the class of all other calls")
        validation.check_share("reserve", share)
    if any(share < SMALLEST_SHARE for share in reserve.values()) or sum(reserve.values()) > 1 - SMALLEST_SHARE:
        rule = f"shares of at least {SMALLEST_SHARE:g}, which leave as much to all other calls"
        raise ValueError(f"reserve must be {rule}, not {shown(dict(reserve))}")
    return {name: float(share) for name, share in reserve.items()}


def _check_shares(settings: RateSettings) -> None:
    if settings.spaced or not settings.reserve:
        return
    for name, limiter in settings.limiters().items():
        if limiter.heaviest < 1:
            raise ValueError(f"reserve leaves class {name!r} less than one call in a window of {settings}")


def check_shareable(settings: RateSettings, before: RateSettings) -> None:
    """Raise ValueError unless a limit that processes share can change to these settings."""
    if settings.reserve != before.reserve:
        raise ValueError("reserve of a shared limit cannot change: give all processes the same when they start")


def check_weight(weight: Any) -> None:
    """Raise ValueError unless `weight` is a finite number of at least 0."""
    if isinstance(weight, bool) or not isinstance(weight, int | float) or not 0 <= weight <= LARGEST_BURST:
        raise ValueError(f"weight must be a number from 0 to {LARGEST_BURST}, not {shown(weight)}")
