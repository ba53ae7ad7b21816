"""`peak-observe trading`: what somebody types at 3 a.m."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from peak_observe import Shared, TradingSwitch
from peak_observe.__main__ import main
from peak_observe.safety import shared_switch
from peak_observe.telemetry.snapshot import writer
from tests.coordination.conftest import Server
from tests.safety.conftest import until


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> object:
    """Return what runs the command and gives exit code, output and errors."""
    monkeypatch.setattr(writer, "disarm", lambda: None)

    def run(*args: str, dir: bool = True) -> tuple[int, str, str]:  # noqa: A002 - as the option is called
        folder = ("--dir", str(tmp_path)) if dir else ()
        monkeypatch.setattr("sys.argv", ["peak-observe", "trading", *args, *folder])
        with pytest.raises(SystemExit) as ended:
            main()
        return (ended.value.code or 0, *capsys.readouterr())

    return run


@pytest.fixture(autouse=True)
def switches(tmp_path: Path) -> object:
    """Make two switches, as bots do."""
    made = [TradingSwitch(name, folder=tmp_path) for name in ("main", "other")]
    yield made
    for switch in made:
        switch.close()


def test_without_a_name_it_means_all(command, switches: list[TradingSwitch]) -> None:
    """One command stops all bots of an account."""
    code, told, _ = command("halt", "--reason", "fat finger")
    assert (code, told.count("halted"), told.count(": fat finger")) == (0, 2, 2)
    assert not any(switch.look().state == "trading" for switch in switches)
    assert command("resume")[0] == 0
    assert all(switch.look().state == "trading" for switch in switches)


def test_the_status_is_also_an_exit_code(command) -> None:
    """For scripts: 1 where anything is stopped."""
    assert command("status") == (0, "main: trading\nother: trading\n", "")
    command("reduce", "other", "--reason", "volatile")
    code, told, _ = command("status", "other")
    assert code == 1
    assert told.startswith("other: reduce_only, since ")
    assert command("status", "main")[0] == 0


def test_the_status_can_be_read_by_programs(command) -> None:
    """As JSON."""
    command("halt", "main", "--reason", "x", "--for", "30min")
    found = json.loads(command("status", "--json")[1])
    assert (found["main"]["state"], found["other"]["state"]) == ("halted", "trading")
    assert found["main"]["until"] - found["main"]["at"] == pytest.approx(1800)


def test_a_misspelt_name_halts_nothing_and_says_so(command, tmp_path: Path) -> None:
    """It must not look as if it had."""
    code, told, error = command("halt", "mian", "--reason", "x")
    assert (code, told) == (2, "")
    assert "there is no switch 'mian'" in error
    assert "main, other" in error
    assert not (tmp_path / "trading" / "mian.json").exists()


@pytest.mark.parametrize("args", [("halt", "main"), ("halt", "main", "--reason", " "), ("reduce", "main")])
def test_a_halt_without_a_reason_is_refused(command, args: tuple[str, ...]) -> None:
    """Whoever is woken wants to know why."""
    code, _, error = command(*args)
    assert code == 2
    assert "reason" in error


def test_a_time_that_is_none_is_refused(command) -> None:
    """With the forms that are understood."""
    code, _, error = command("halt", "main", "--reason", "x", "--for", "soon")
    assert (code, "--for" in error) == (2, True)


def test_a_file_that_cannot_be_read_is_mended_by_resuming(command, tmp_path: Path) -> None:
    """And shown as halted before."""
    (tmp_path / "trading" / "main.json").write_text("{")
    assert command("status", "main")[0] == 1
    assert command("resume", "main")[0] == 0
    assert command("status", "main")[0] == 0


def test_with_a_shared_state_it_means_all_hosts(command, url: str, tmp_path: Path, monkeypatch) -> None:
    """From a machine that has no bot itself; resuming one host of them alone is refused."""
    monkeypatch.setattr(shared_switch, "GRACE", 0.1)
    with Shared(url, timeout=5.0) as shared:
        hosts = [TradingSwitch("bots", folder=tmp_path / name, shared=shared) for name in ("one", "two")]
        code, told, _ = command("halt", "bots", "--reason", "fat finger", "--shared", url)
        assert (code, "bots: halted" in told) == (0, True)
        until(lambda: not any(switch.allows() for switch in hosts))
        assert command("status", "--shared", url)[0] == 1
        code, _, error = command("resume", "bots", "--dir", str(tmp_path / "one"), dir=False)
        assert (code, "--shared URL" in error) == (2, True)
        assert command("resume", "--shared", url)[0] == 0
        until(lambda: all(switch.allows() for switch in hosts))
        assert "there is no switch 'bats'" in command("halt", "bats", "--reason", "x", "--shared", url)[2]
        for switch in hosts:
            switch.close()


def test_a_server_that_is_gone_for_good_does_not_keep_a_host_halted(
    command, tmp_path: Path, server: Server, monkeypatch
) -> None:
    """`--this-host` resumes a bot that has heard it."""
    monkeypatch.setattr(shared_switch, "GRACE", 0.1)
    with Shared(server.url, timeout=5.0) as shared:
        switch = TradingSwitch("bots", folder=tmp_path, shared=shared)
        until(switch.allows)  # it has heard it
        switch.halt("x")
        server.kill()
        code, _, error = command("resume", "bots", "--shared", server.url)
        assert (code, "cannot be reached" in error) == (3, True)
        assert command("resume", "bots", "--this-host")[0] == 0
        until(switch.allows)
        switch.close()


@pytest.mark.parametrize("url", ["ftp://x", "redis://127.0.0.1:bad"])
def test_an_address_that_makes_no_sense_is_named(command, url: str) -> None:
    """Before anything is asked."""
    code, _, error = command("status", "--shared", url)
    assert (code, "--shared" in error) == (2, True)


def test_a_folder_without_switches_is_named(command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is the wrong one, or no bot has started yet."""
    for path in (tmp_path / "trading").iterdir():
        path.unlink()
    code, _, error = command("halt", "--reason", "x")
    assert (code, str(tmp_path) in error) == (2, True)


def test_one_that_fails_does_not_keep_the_others_trading(
    command, switches: list[TradingSwitch], tmp_path: Path
) -> None:
    """All that can be halted are, and the rest is named."""
    file = tmp_path / "trading/main.json"
    file.unlink()
    file.mkdir()
    code, told, said = command("halt", "--reason", "fat finger")
    assert (code, told) == (2, "")
    assert "the trading switch 'main' is not changed: Is a directory" in said
    assert said.endswith("; 1 others are changed\n")
    assert switches[1].look().state == "halted"


@pytest.mark.parametrize("end", ["| true", "> /dev/full", ">&-"])
def test_output_that_nobody_takes_does_not_keep_the_others_trading(
    switches: list[TradingSwitch], tmp_path: Path, end: str
) -> None:
    """All are halted before the first line is printed, and no traceback is."""
    line = f"{sys.executable} -m peak_observe trading halt --reason x --dir {tmp_path} {end}"
    done = subprocess.run(["sh", "-c", line], capture_output=True, text=True, check=False, timeout=60)
    assert [switch.look().state for switch in switches] == ["halted", "halted"]
    expected = "peak-observe: the output cannot be written: No space left on device\n" if "full" in end else ""
    assert done.stderr == expected


def test_a_file_of_another_name_is_passed_over(command, tmp_path: Path) -> None:
    """As somebody's copy is, which must not keep the others trading."""
    (tmp_path / "trading/main (copy).json").write_text("{}")
    code, told, _ = command("halt", "--reason", "x")
    assert (code, told.count("halted")) == (0, 2)
