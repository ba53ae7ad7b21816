"""The trading switch: one file that every process obeys, and that means halted where it cannot be read."""

import asyncio
import json
import os
import re
import stat
import sys
import threading
from pathlib import Path

import pytest

from peak_observe import (
    RefusedError,
    TradingChanged,
    TradingHaltedError,
    TradingSwitch,
    circuit_breaker,
    retry_with_backoff,
)
from peak_observe.errors import ConfigError
from peak_observe.measures import SWITCHES
from peak_observe.measures.safety import REASON_LIMIT
from peak_observe.safety.switch_file import SwitchFile
from peak_observe.telemetry.metrics.collector import PeakCollector
from peak_observe.telemetry.metrics.renderer import Renderer
from peak_observe.testing import ManualClock, RecordingObserver
from tests.safety.conftest import until


def log_of(folder: Path) -> list[dict]:
    """Return the lines of the log of `main`."""
    return [json.loads(line) for line in (folder / "trading" / "main.log").read_text().splitlines()]


def refused(switch: TradingSwitch, **how: bool) -> TradingHaltedError:
    """Return what a check raises."""
    with pytest.raises(TradingHaltedError) as raised:
        switch.check(**how)
    return raised.value


def scraped_text() -> object:
    """Return what gives the reasons that hold, as the text of `/metrics` has them."""
    renderer = Renderer()
    line = re.compile(r'peak_trading_reason\{reason="(.*)",switch="scraped"\} 1\.0')
    return lambda: set(line.findall(renderer.render().decode()))


def scraped_collector() -> object:
    """Return what gives them by the collector of prometheus_client."""
    collector = PeakCollector()

    def reasons() -> set[str]:
        (family,) = [found for found in collector.collect() if found.name == "peak_trading_reason"]
        held = [sample.labels for sample in family.samples if sample.value == 1]
        return {labels["reason"] for labels in held if labels["switch"] == "scraped"}

    return reasons


def test_a_new_switch_lets_everything_through(switch: TradingSwitch) -> None:
    """And says so."""
    switch.check()
    assert switch.allows()
    assert switch.state.state == "trading"


def test_a_halt_refuses_with_its_reason(switch: TradingSwitch) -> None:
    """The error is a refusal of ours, which says nothing of the exchange."""
    switch.halt("fat finger")
    error = refused(switch)
    assert isinstance(error, RefusedError)
    assert (error.name, error.state, error.reason, error.until) == ("main", "halted", "fat finger", None)
    assert str(error) == "trading 'main' is halted: fat finger"


def test_a_halt_needs_a_reason(switch: TradingSwitch) -> None:
    """Whoever is woken wants to know why."""
    for reason in ("", "  ", None, 3):
        with pytest.raises(ValueError, match="reason must be text"):
            switch.halt(reason)


@pytest.mark.parametrize("seconds", [0, -1, "soon", float("nan"), None])
def test_a_time_makes_sense_or_is_refused(switch: TradingSwitch, seconds: object) -> None:
    """None is for ever."""
    if seconds is None:
        assert switch.halt("x", for_seconds=None).until is None
    else:
        with pytest.raises(ValueError, match="for_seconds"):
            switch.halt("x", for_seconds=seconds)


def test_reduce_only_lets_reductions_through(switch: TradingSwitch) -> None:
    """And refuses the rest."""
    switch.reduce_only("volatile")
    switch.check(reducing=True)
    assert refused(switch).state == "reduce_only"
    switch.halt("worse")
    assert refused(switch, reducing=True).state == "halted"


def test_resuming_lets_everything_through_again(switch: TradingSwitch) -> None:
    """As if nothing had been."""
    switch.halt("x")
    switch.resume("mended")
    switch.check()
    assert switch.state.reason == "mended"


def test_a_halt_for_a_time_ends_by_itself(switch: TradingSwitch, clock: ManualClock) -> None:
    """Not a second before."""
    switch.halt("news", for_seconds="15min")
    clock.advance(899)
    refused(switch)
    clock.advance(1)
    switch.check()


def test_a_jump_of_the_wall_clock_ends_no_halt(switch: TradingSwitch, clock: ManualClock) -> None:
    """Both clocks have to agree that its time is over."""
    switch.halt("news", for_seconds=900)
    clock.jump(3600)
    refused(switch)
    clock.advance(900)
    switch.check()


def test_a_shorter_halt_does_not_shorten_a_longer_one(switch: TradingSwitch, clock: ManualClock) -> None:
    """A guard that halts for a minute must not end what a person halted for good."""
    switch.halt("a person says so")
    switch.halt("a guard says so", for_seconds=60)
    clock.advance(61)
    assert refused(switch).reason == "a person says so"


def test_a_guard_does_not_weaken_a_halt(switch: TradingSwitch) -> None:
    """Reduce-only is what it asks for; halted is what holds."""
    switch.halt("a person says so")
    switch.reduce_only("a guard says so", unless_halted=True)
    assert switch.state.state == "halted"
    switch.reduce_only("a person says so")
    assert switch.state.state == "reduce_only"


def test_it_survives_a_restart(switch: TradingSwitch, tmp_path: Path, clock: ManualClock) -> None:
    """The next process reads the same file."""
    switch.halt("x")
    again = TradingSwitch("main", folder=tmp_path, clock=clock)
    assert refused(again).reason == "x"
    again.close()


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "null", '{"version": 2, "state": "trading"}', '{"version": 1}', "x" * 20_000]
)
def test_a_file_that_makes_no_sense_means_halted(switch: TradingSwitch, text: str) -> None:
    """Until somebody resumes, which writes it anew."""
    path = switch.folder / "main.json"
    path.write_text(text)
    until(lambda: not switch.allows())
    assert "cannot be read" in refused(switch, reducing=True).reason
    switch.resume()
    switch.check()


def test_a_file_that_is_gone_means_halted(switch: TradingSwitch, tmp_path: Path) -> None:
    """It was there when the switch was made, so somebody took it away."""
    (tmp_path / "trading" / "main.json").unlink()
    until(lambda: not switch.allows())
    switch.resume()
    switch.check()


def test_a_folder_in_the_place_of_the_file_means_halted(switch: TradingSwitch, tmp_path: Path) -> None:
    """And a halt that cannot be written holds in this process all the same."""
    path = tmp_path / "trading" / "main.json"
    path.unlink()
    path.mkdir()
    until(lambda: not switch.allows())
    with pytest.raises(ConfigError, match="this process alone obeys"):
        switch.halt("x")
    path.rmdir()
    assert refused(switch).reason == "x"
    switch.resume()
    switch.check()


def test_others_may_read_the_file(switch: TradingSwitch) -> None:
    """A halt by root reaches the bots of other users."""
    switch.halt("x")
    assert stat.S_IMODE((switch.folder / "main.json").stat().st_mode) & 0o444


def test_the_log_tells_who_did_what_and_why(switch: TradingSwitch, tmp_path: Path) -> None:
    """One line a change, also where it changed nothing."""
    switch.halt("fat finger", by="anna")
    switch.halt("again", for_seconds=5, by="ben")
    switch.resume("mended", by="anna")
    lines = log_of(tmp_path)
    assert [(line["state"], line["reason"], line["by"]) for line in lines] == [
        ("halted", "fat finger", "anna"),
        ("halted", "again", "ben"),
        ("trading", "mended", "anna"),
    ]
    assert "nothing changed" in lines[1]["note"]


def test_the_log_knows_user_host_program_and_process(switch: TradingSwitch, tmp_path: Path) -> None:
    """Where nobody says who halts."""
    switch.halt("x")
    assert f"(pid {os.getpid()})" in log_of(tmp_path)[0]["by"]


def test_a_reason_holds_no_secret_and_no_second_line(switch: TradingSwitch, tmp_path: Path) -> None:
    """It is shown in logs, labels and on terminals."""
    switch.halt("bad\nkey https://user:hunter2@example.org/ \x1b[31m")
    text = (tmp_path / "trading" / "main.json").read_text()
    assert "hunter2" not in text
    assert "\n" not in json.loads(text)["reason"]
    assert "\x1b" not in json.loads(text)["reason"]


def test_hooks_run_once_a_halt(switch: TradingSwitch) -> None:
    """A halt that is made longer is the same halt; the next one is another."""
    ran = []
    switch.on_halt(lambda: ran.append(1))
    switch.halt("x", for_seconds=60)
    until(lambda: ran)
    switch.halt("longer", for_seconds=600)
    switch.look()
    switch.resume()
    assert ran == [1]
    switch.halt("again")
    until(lambda: len(ran) == 2)


def test_hooks_run_when_another_process_halts(switch: TradingSwitch, tmp_path: Path, clock: ManualClock) -> None:
    """Without a call: the switch looks by itself."""
    ran = threading.Event()
    switch.on_halt(ran.set)
    other = TradingSwitch("main", folder=tmp_path, clock=clock)
    other.halt("x")
    assert ran.wait(60)
    other.close()


def test_a_hook_that_is_added_in_a_halt_runs_once(switch: TradingSwitch, tmp_path: Path, clock: ManualClock) -> None:
    """A process that starts while trading is halted: its orders may stand since before."""
    switch.halt("x")
    again = TradingSwitch("main", folder=tmp_path, clock=clock)
    ran = []
    again.on_halt(lambda: ran.append(1))
    until(lambda: ran)
    again.halt("longer than for ever is nothing")
    again.look()
    again.resume()
    assert ran == [1]
    again.on_halt(lambda: ran.append(2))
    again.look()
    assert ran == [1]
    again.close()


def test_a_hook_that_raises_does_not_stop_the_next(switch: TradingSwitch, caplog: pytest.LogCaptureFixture) -> None:
    """It is logged."""
    ran = threading.Event()

    @switch.on_halt
    def broken() -> None:
        raise RuntimeError("no connection")

    switch.on_halt(ran.set)
    switch.halt("x")
    assert ran.wait(60)
    assert "no connection" in caplog.text


def test_a_coroutine_hook_runs_on_its_loop(switch: TradingSwitch) -> None:
    """That on which it was added."""

    async def main() -> bool:
        ran, here = asyncio.Event(), asyncio.get_running_loop()

        @switch.on_halt
        async def cancel() -> None:
            assert asyncio.get_running_loop() is here
            ran.set()

        switch.halt("x")
        return await asyncio.wait_for(ran.wait(), 60)

    assert asyncio.run(main())


def test_a_coroutine_hook_that_exits_does_not_end_its_loop(
    switch: TradingSwitch, caplog: pytest.LogCaptureFixture
) -> None:
    """As a plain hook it is named in the log, and the program goes on."""

    async def main() -> bool:
        ran = asyncio.Event()

        @switch.on_halt
        async def exits() -> None:
            sys.exit(3)

        @switch.on_halt
        async def cancel() -> None:
            ran.set()

        switch.halt("x")
        return await asyncio.wait_for(ran.wait(), 10)

    assert asyncio.run(main())
    assert "SystemExit: 3" in caplog.text


def test_functions_are_guarded(switch: TradingSwitch) -> None:
    """Plain and async ones."""

    @switch.guards
    def order(amount: int) -> int:
        return amount

    @switch.guards
    async def async_order(amount: int) -> int:
        return amount

    assert order(2) == 2
    assert asyncio.run(async_order(3)) == 3
    switch.halt("x")
    with pytest.raises(TradingHaltedError):
        order(2)
    with pytest.raises(TradingHaltedError):
        asyncio.run(async_order(3))


def test_no_retry_repeats_a_refusal(switch: TradingSwitch) -> None:
    """Unless it names the error itself; and no circuit counts it."""
    calls = []

    def order() -> None:
        calls.append(1)
        switch.check()

    switch.halt("x")
    for retry in (retry_with_backoff(3, 0.0), circuit_breaker(1)):
        with pytest.raises(TradingHaltedError):
            retry(order)()
    assert len(calls) == 2
    with pytest.raises(TradingHaltedError):
        retry_with_backoff(3, 0.001, expected_exception=TradingHaltedError)(order)()
    assert len(calls) == 5


def test_what_a_process_obeys_alone_ends_when_somebody_resumes(
    switch: TradingSwitch, tmp_path: Path, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The disk was full at the halt, and is not any more."""
    with monkeypatch.context() as patched:
        patched.setattr(SwitchFile, "write", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left on device")))
        with pytest.raises(ConfigError, match="No space left on device; this process alone obeys"):
            switch.halt("x")
    refused(switch)
    clock.advance(1)
    other = TradingSwitch("main", folder=tmp_path, clock=clock)
    other.resume("there is space again")
    until(switch.allows)
    other.close()


def test_what_a_process_obeys_alone_goes_on_when_its_file_was_away(
    switch: TradingSwitch, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk that fails may be full first and then away; nobody has resumed when it comes back."""
    with monkeypatch.context() as patched:
        patched.setattr(SwitchFile, "write", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left on device")))
        with pytest.raises(ConfigError, match="this process alone obeys"):
            switch.halt("x")
    clock.advance(1)
    away = switch._file.path.with_suffix(".away")
    switch._file.path.rename(away)
    refused(switch)
    assert switch.state.reason == "x"
    away.rename(switch._file.path)
    refused(switch)
    assert switch.state.reason == "x"


def test_only_functions_can_be_guarded(switch: TradingSwitch) -> None:
    """A generator's call does not do the work."""

    def many() -> object:
        yield 1

    for wrong in (many, 3):
        with pytest.raises(TypeError, match="guards"):
            switch.guards(wrong)


@pytest.mark.parametrize("name", ["", ".hidden", "a/b", "a b", "x" * 65, "é", None, 3])
def test_a_name_is_that_of_a_file(tmp_path: Path, name: object) -> None:
    """And of a label."""
    with pytest.raises(ValueError, match="name of a switch"):
        TradingSwitch(name, folder=tmp_path)


def test_without_a_folder_there_is_no_switch(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that nobody else sees would be none."""
    monkeypatch.delenv("PEAK_OBSERVE_DIR", raising=False)
    with pytest.raises(ConfigError, match="PEAK_OBSERVE_DIR"):
        TradingSwitch("main")


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    """With the mend."""
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match=r"file/trading: the trading switch 'main' cannot be made"):
        TradingSwitch("main", folder=tmp_path / "file")


def test_its_metrics_tell_state_reason_and_refusals(tmp_path: Path, clock: ManualClock) -> None:
    """Reasons that hold no more stay at 0, so that an alert on them resolves at once; past 20 they share a series."""
    switch = TradingSwitch("measured", folder=tmp_path, clock=clock)
    before = dict(SWITCHES.read())["measured"].refused
    switch.halt("one")
    refused(switch)
    reading = dict(SWITCHES.read())["measured"]
    assert (reading.state, reading.refused - before) == ("halted", 1)
    assert reading.reasons == {"halted: one": 1}
    assert reading.changed == clock.now().timestamp()
    for number in range(30):
        switch.resume()
        switch.halt(f"reason {number}")
    assert dict(SWITCHES.read())["measured"].reasons["halted: _other"] == 1
    switch.resume()
    assert set(dict(SWITCHES.read())["measured"].reasons.values()) == {0}
    assert len(dict(SWITCHES.read())["measured"].reasons) == REASON_LIMIT + 1
    switch.close()


@pytest.mark.parametrize("scraped", [scraped_text, scraped_collector])
def test_each_scrape_names_the_reason_that_holds(tmp_path: Path, scraped: object) -> None:
    """Also one that comes back, and the strictest of two switches of a name."""
    switch = TradingSwitch("scraped", folder=tmp_path / "one")
    other = TradingSwitch("scraped", folder=tmp_path / "two")
    scrape = scraped()
    for reason in ("b", "a", "b"):
        switch.halt(reason)
        assert scrape() == {f"halted: {reason}"}
        switch.resume()
        assert scrape() == set()
    other.reduce_only("c")
    other.resume()
    other.reduce_only("a")
    assert scrape() == {"reduce_only: a"}
    switch.halt("a")
    assert scrape() == {"reduce_only: a", "halted: a"}
    switch.close()
    other.close()


def test_a_change_is_an_event(switch: TradingSwitch) -> None:
    """For the log, the trace and the observers."""
    with RecordingObserver() as seen:
        switch.halt("x", by="anna")
        switch.resume(by="ben")
    found = [(event.state, event.reason, event.by) for event in seen.events if isinstance(event, TradingChanged)]
    assert found == [("halted", "x", "anna"), ("trading", "resumed", "ben")]


def test_a_child_of_a_fork_obeys(switch: TradingSwitch) -> None:
    """Its own thread looks at the file."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.read(reader, 1)
            until(lambda: not switch.allows())
            os._exit(7)
        finally:
            os._exit(1)
    switch.halt("x")
    os.write(writer, b"x")
    os.close(writer)
    os.close(reader)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
