"""Guard of losses: drawdown, daily loss, losing streak, and an equity that nobody reports any more."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from typing import TYPE_CHECKING, Any

from peak_observe.catalog import LOSS_LIMITS
from peak_observe.clock import SYSTEM_CLOCK, Clock
from peak_observe.measures import ACCOUNTS, AccountTally
from peak_observe.safety.guard_base import Action, BaseGuard, checked_number, checked_seconds, is_finite, least
from peak_observe.safety.guard_file import GuardFileCorruptError, GuardFileError
from peak_observe.safety.switch_file import TRADING
from peak_observe.safety.trading_switch import TradingSwitch
from peak_observe.support.keywords import check_keywords
from peak_observe.support.shown import shown

if TYPE_CHECKING:
    from collections.abc import Iterator


class LossGuard(BaseGuard):
    """Guard that trips a switch when an account loses more than it should, kept across restarts.

    A limit trips when it is reached. When somebody resumes, the next report is the new peak and the new start of the
    day: whoever resumes has seen the loss.

    Args:
        trading: The switch.
        max_drawdown: Share of its highest equity that the account may lose, such as 0.1.
        max_daily_loss: Amount that it may lose in a UTC day, in its currency: of equity, or of closed trades.
        max_losing_streak: Trades closed with a loss one after the other.
        max_age: Seconds, or as `5min`, that may pass without a report.
        account: The label of the account; the name of the switch if not given.
        on_trip: `halt`, `reduce_only`, or `tell`, which stops nothing.
        for_seconds: How long that lasts, in seconds or as `15min`; until somebody resumes if not given.
        name: The label `guard`; `SWITCH.losses` if not given.
        clock: Where time comes from; for tests.

    Raises:
        ValueError: There is no limit, or one is invalid.
    """

    @check_keywords()
    def __init__(
        self,
        trading: TradingSwitch,
        *,
        max_drawdown: float | None = None,
        max_daily_loss: float | None = None,
        max_losing_streak: int | None = None,
        max_age: float | str | None = None,
        account: str | None = None,
        on_trip: Action = "halt",
        for_seconds: float | str | None = None,
        name: str | None = None,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        checked_number("max_drawdown", max_drawdown)
        checked_number("max_daily_loss", max_daily_loss)
        checked_number("max_losing_streak", max_losing_streak, whole=True)
        if max_drawdown is not None and max_drawdown > 1:
            raise ValueError(f"max_drawdown is a share of the equity, such as 0.1, not {max_drawdown!r}")
        self._max_age = None if max_age is None else checked_seconds("max_age", max_age)
        if not (max_drawdown or max_daily_loss or max_losing_streak or self._max_age):
            raise ValueError("give a limit: max_drawdown, max_daily_loss, max_losing_streak or max_age")
        self._limits = {"drawdown": max_drawdown, "daily_loss": max_daily_loss, "losing_streak": max_losing_streak}
        self._account = AccountTally()
        self._heard = clock.monotonic()
        if account is not None and (not isinstance(account, str) or not account):
            raise ValueError(f"account must be text that is not empty, not {shown(account)}")
        super().__init__(
            trading, "losses", LOSS_LIMITS, on_trip=on_trip, for_seconds=for_seconds, name=name, clock=clock
        )
        ACCOUNTS.series(account or trading.name).join(self, self._account.read)
        trading.join(self)

    def report(self, equity: float, *, flow: float = 0.0) -> None:
        """Take in what the account is worth now.

        Args:
            equity: Its value with open positions, in its currency.
            flow: What was paid in since the last report, or, below 0, out: neither is a gain nor a loss.

        Raises:
            ValueError: One is no number.
        """
        _check_amount("equity", equity)
        _check_amount("flow", flow)
        self._heard = self._clock.monotonic()
        self._take({"equity": float(equity)}, flow=float(flow))

    def closed(self, pnl: float) -> None:
        """Take in that a trade was closed.

        Args:
            pnl: What it brought, after fees; below 0 for a loss.

        Raises:
            ValueError: It is no number.
        """
        _check_amount("pnl", pnl)
        self._take({}, pnl=float(pnl))

    def look(self) -> None:
        """Trip, if no report came for `max_age`."""
        silent = self._clock.monotonic() - self._heard
        if self._max_age is None or silent < self._max_age:
            return
        if self._action == "tell" or self._switch.current.state == TRADING:
            self._heard += silent  # so that it trips again if it is resumed and still nothing comes
            self._trip("stale", f"no equity was reported for {silent:.0f} s")
            self._tell()

    def admit(self, _: Sequence[Mapping[str, Any]]) -> None:
        """Let orders pass while the equity is fresh.

        Raises:
            TradingHaltedError: It is not.
        """
        self.look()
        self._refuse_if_stopped()

    def unanswered(self) -> None:
        """Do nothing: an order of unknown outcome is no loss yet."""

    def _take(self, news: dict[str, Any], *, flow: float = 0.0, pnl: float | None = None) -> None:
        try:
            with self._file.changed() as kept:
                self._update(kept, news, flow, pnl)
                self._judge(kept)
        except GuardFileError as error:
            self._broken(error)
        finally:
            self._tell()

    def _update(self, kept: dict[str, Any], news: dict[str, Any], flow: float, pnl: float | None) -> None:
        try:
            stopped = self._action != "tell" and self._switch.refresh().state != TRADING
            if kept.get("tripped") and self._action != "tell" and not stopped:
                equity = news.get("equity", kept.get("equity"))
                kept.clear()
                kept.update({"equity": equity, "peak": equity, "day_equity": equity, "streak": 0})
            day = self._clock.now().date()
            if _begins(day, kept.get("day")):
                kept.update(day=day.isoformat(), day_equity=kept.get("equity"), day_pnl=0.0)
            for key in ("peak", "day_equity"):
                kept[key] = None if kept.get(key) is None else kept[key] + flow
            kept.update(news)
            _begin(kept)
            if pnl is not None:
                kept["day_pnl"] += pnl
                kept["streak"] = kept.get("streak", 0) + 1 if pnl < 0 else 0
        except (TypeError, KeyError, ValueError):
            raise GuardFileCorruptError(f"{self._file.path} does not hold what a guard keeps") from None

    def _judge(self, kept: dict[str, Any]) -> None:
        used = _used(kept)
        if kept.get("equity") is not None:
            self._account.now(kept["equity"], used["drawdown"])
        exceeded = [key for key, limit in self._limits.items() if limit is not None and not used[key] < limit]
        self._tally.headroom = least(self._left(used))
        if exceeded and not kept.get("tripped"):
            self._trip(exceeded[0], self._message(exceeded[0], used[exceeded[0]]))
        # As long as nobody resumes, or it gets no better, it is the same trip.
        kept["tripped"] = bool(exceeded) or (bool(kept.get("tripped")) and self._action != "tell")

    def _left(self, used: Mapping[str, float]) -> Iterator[float]:
        return (1 - used[key] / limit for key, limit in self._limits.items() if limit is not None)

    def _message(self, key: str, used: float) -> str:
        limit = self._limits[key]
        match key:
            case "drawdown":
                return f"drawdown of {used:.1%} reached the limit of {limit:.1%}"
            case "daily_loss":
                return f"loss of {used:g} today reached the limit of {limit:g}"
            case _:
                return f"{used:g} losing trades in a row reached the limit of {limit:g}"


def _begins(day: date, kept: str | None) -> bool:
    """Return whether a day is a new one; a clock that is set back by hours, past midnight, forgets no loss."""
    return kept is None or not 0 <= (date.fromisoformat(kept) - day).days <= 1


def _begin(kept: dict[str, Any]) -> None:
    equity = kept.get("equity")
    if equity is not None:
        kept["peak"] = equity if kept.get("peak") is None else max(kept["peak"], equity)
        kept["day_equity"] = equity if kept.get("day_equity") is None else kept["day_equity"]


def _used(kept: Mapping[str, Any]) -> dict[str, float]:
    equity, peak, day = kept.get("equity"), kept.get("peak"), kept.get("day_equity")
    drawdown = 0.0 if equity is None or peak is None or peak <= 0 else (peak - equity) / peak
    fallen = 0.0 if equity is None or day is None else day - equity
    daily = max(0.0, fallen, -kept.get("day_pnl", 0.0))
    return {"drawdown": drawdown, "daily_loss": daily, "losing_streak": float(kept.get("streak", 0))}


def _check_amount(name: str, value: object) -> None:
    if not is_finite(value):
        raise ValueError(f"{name} must be a number, not {shown(value)}")
