"""The guard of losses, on a clock that stands still."""

import json
from pathlib import Path

import pytest

from peak_observe import GuardTripped, LossGuard, TradingHaltedError, TradingSwitch
from peak_observe.measures import ACCOUNTS, GUARDS
from peak_observe.safety.switch_file import locked
from peak_observe.testing import ManualClock, RecordingObserver

DAY = 86_400


def reported(guard: LossGuard, *equities: float) -> None:
    """Report a series of equities."""
    for equity in equities:
        guard.report(equity)


def test_a_drawdown_from_the_peak_halts(switch: TradingSwitch, clock: ManualClock) -> None:
    """The highest equity counts, not the first one."""
    guard = LossGuard(switch, max_drawdown=0.1, clock=clock)
    reported(guard, 1000, 1200, 1081)
    switch.check()
    guard.report(1080)
    assert switch.state.reason == "guard main.losses: drawdown of 10.0% reached the limit of 10.0%"


def test_a_restart_in_the_drawdown_knows_the_peak(switch: TradingSwitch, tmp_path: Path, clock: ManualClock) -> None:
    """A bot that is killed while it loses does not begin anew."""
    reported(LossGuard(switch, max_drawdown=0.1, clock=clock), 1000, 1200, 1100)
    again = TradingSwitch("main", folder=tmp_path, clock=clock)
    guard = LossGuard(again, max_drawdown=0.1, clock=clock)
    guard.report(1085)
    again.check()
    guard.report(1079)
    assert again.state.state == "halted"
    again.close()


def test_a_restart_after_the_trip_is_still_halted(switch: TradingSwitch, tmp_path: Path, clock: ManualClock) -> None:
    """And no second trip."""
    reported(LossGuard(switch, max_drawdown=0.1, clock=clock), 1000, 900)
    again = TradingSwitch("main", folder=tmp_path, clock=clock)
    guard = LossGuard(again, max_drawdown=0.1, name="again", clock=clock)
    guard.report(890)
    assert dict(GUARDS.read())["again"].trips["drawdown"] == 0
    assert again.state.state == "halted"
    again.close()


def test_resuming_makes_the_next_report_the_peak(switch: TradingSwitch, clock: ManualClock) -> None:
    """Whoever resumes has seen the loss; a further one halts again."""
    guard = LossGuard(switch, max_drawdown=0.1, clock=clock)
    reported(guard, 1000, 900)
    switch.resume("seen")
    reported(guard, 900, 811)
    switch.check()
    guard.report(810)
    assert switch.state.state == "halted"


def test_money_that_is_moved_is_no_loss(switch: TradingSwitch, clock: ManualClock) -> None:
    """Nor a gain."""
    guard = LossGuard(switch, max_drawdown=0.1, max_daily_loss=50, clock=clock)
    guard.report(1000)
    guard.report(500, flow=-500)
    switch.check()
    guard.report(449)
    assert "drawdown" in switch.state.reason


def test_the_loss_of_a_day_halts(switch: TradingSwitch, clock: ManualClock) -> None:
    """Of the UTC day: the next one begins at the last equity of this one."""
    guard = LossGuard(switch, max_daily_loss=100, clock=clock)
    reported(guard, 1000, 901)
    clock.advance(DAY)
    reported(guard, 830)
    switch.check()
    guard.report(800)
    assert "loss of 101 today reached the limit of 100" in switch.state.reason


def test_a_clock_that_is_set_back_past_midnight_forgets_no_loss(switch: TradingSwitch, clock: ManualClock) -> None:
    """The day before is no new one; a date that was wrong by more is."""
    guard = LossGuard(switch, max_daily_loss=100, clock=clock)
    guard.report(1000)
    clock.advance(600)
    guard.report(950)
    clock.jump(-3600)
    guard.report(901)
    switch.check()
    guard.report(900)
    with pytest.raises(TradingHaltedError):
        switch.check()
    switch.resume("seen")
    reported(guard, 900, 850)
    clock.jump(-400 * DAY)
    guard.report(760)
    switch.check()


def test_closed_trades_alone_are_enough(switch: TradingSwitch, clock: ManualClock) -> None:
    """For a bot that knows no equity."""
    guard = LossGuard(switch, max_daily_loss=100, clock=clock)
    for pnl in (-60, 20, -59):
        guard.closed(pnl)
    switch.check()
    guard.closed(-1)
    assert switch.state.state == "halted"


def test_a_losing_streak_halts(switch: TradingSwitch, clock: ManualClock) -> None:
    """A gain ends it."""
    guard = LossGuard(switch, max_losing_streak=3, clock=clock)
    for pnl in (-1, -1, 1, -1, -1):
        guard.closed(pnl)
    switch.check()
    guard.closed(-1)
    assert "3 losing trades in a row" in switch.state.reason


def test_silence_halts(switch: TradingSwitch, clock: ManualClock) -> None:
    """A bot that reports no more may be losing; it trips again if it is resumed and stays silent."""
    guard = LossGuard(switch, max_age="5min", clock=clock)
    clock.advance(299)
    switch.look()
    switch.check()
    clock.advance(1)
    switch.look()
    assert "no equity was reported for 300 s" in switch.state.reason
    switch.resume()
    guard.report(1000)
    clock.advance(299)
    guard.admit([])
    clock.advance(1)
    with pytest.raises(TradingHaltedError, match="no equity"):
        guard.admit([])


def test_telling_stops_nothing(switch: TradingSwitch, clock: ManualClock) -> None:
    """It is told once an excess, and again after a recovery."""
    guard = LossGuard(switch, max_drawdown=0.1, on_trip="tell", clock=clock)
    with RecordingObserver() as seen:
        reported(guard, 1000, 890, 880, 950, 890)
    assert [event.reason for event in seen.of(GuardTripped)] == ["drawdown", "drawdown"]
    switch.check()


@pytest.mark.parametrize("value", [float("nan"), float("inf"), None, "1000", True])
def test_what_is_no_number_is_refused(switch: TradingSwitch, clock: ManualClock, value: object) -> None:
    """Rather than taken for an equity."""
    guard = LossGuard(switch, max_drawdown=0.1, clock=clock)
    for report in (guard.report, guard.closed):
        with pytest.raises(ValueError, match="must be a number"):
            report(value)


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"max_drawdown": 10},
        {"max_drawdown": 0},
        {"max_daily_loss": -5},
        {"max_losing_streak": 2.5},
        {"max_age": "soon"},
        {"max_drawdown": 0.1, "on_trip": "explode"},
    ],
)
def test_settings_make_sense_or_are_refused(switch: TradingSwitch, settings: dict) -> None:
    """In one line that names the setting."""
    with pytest.raises(ValueError, match=r"limit|must be|share|max_age"):
        LossGuard(switch, **settings)


@pytest.mark.parametrize("text", ["{", "[]", '{"peak": "high", "equity": 1}'])
def test_a_file_that_cannot_be_read_trips(switch: TradingSwitch, clock: ManualClock, text: str) -> None:
    """The peak is lost, so somebody has to look."""
    guard = LossGuard(switch, max_drawdown=0.1, clock=clock)
    (switch.folder / "main.losses").write_text(text)
    guard.report(1000)
    assert switch.state.state == "halted"
    switch.resume()
    guard.report(1000)
    switch.check()


def test_its_metrics_tell_equity_drawdown_and_headroom(switch: TradingSwitch, clock: ManualClock) -> None:
    """NaN before the first report."""
    guard = LossGuard(switch, max_drawdown=0.1, account="savings", name="losses", clock=clock)
    assert repr(dict(ACCOUNTS.read())["savings"].equity) == "nan"
    reported(guard, 1000, 950)
    account = dict(ACCOUNTS.read())["savings"]
    assert (account.equity, account.drawdown) == (950, 0.05)
    assert dict(GUARDS.read())["losses"].headroom == pytest.approx(0.5)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 10**400, True, "5", None])
def test_amounts_are_numbers(switch: TradingSwitch, clock: ManualClock, value: object) -> None:
    """Of each way in."""
    guard = LossGuard(switch, max_drawdown=0.5, clock=clock)
    for name, take in (
        ("equity", lambda: guard.report(equity=value)),
        ("flow", lambda: guard.report(equity=1, flow=value)),
        ("pnl", lambda: guard.closed(pnl=value)),
    ):
        with pytest.raises(ValueError, match=f"{name} must be a number"):
            take()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"for_seconds": "soon"}, "for_seconds: it has to be"),
        ({"max_age": "9" * 400}, "max_age: it has to be at most a hundred years"),
        ({"account": ""}, "account must be text"),
        ({"max_daily_loss": 10**400}, "max_daily_loss must be a number"),
    ],
)
def test_settings_are_checked_when_it_is_made(switch: TradingSwitch, options: dict, said: str) -> None:
    """Not when it trips: then it has to halt."""
    with pytest.raises(ValueError, match=said):
        LossGuard(switch, **{"max_drawdown": 0.5, **options})


def test_a_file_that_is_locked_keeps_its_peak(switch: TradingSwitch, clock: ManualClock) -> None:
    """The guard trips, but what is kept is not lost."""
    guard = LossGuard(switch, max_drawdown=0.5, on_trip="tell", clock=clock)
    guard.report(equity=100)
    with locked(switch.folder / ".main.losses.lock"):
        guard.report(equity=90)
    assert guard._tally.trips["unreadable"] == 1
    assert json.loads((switch.folder / "main.losses").read_text())["peak"] == 100
