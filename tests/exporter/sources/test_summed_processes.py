"""What the exporter tells of all processes as one: real ones that are killed, end and are forgotten."""

from collections.abc import Callable
from pathlib import Path

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from peak_observe.exporter.sources import process_source, summed_processes
from peak_observe.exporter.sources.summed_processes import SummedProcesses
from peak_observe.telemetry.snapshot import snapshot_file
from peak_observe.testing import ManualClock
from tests.conftest import lint
from tests.exporter.sources.test_process_source import BOT, Written, calls, samples, up

ALL = calls("_all")
TOLD = b'peak_breaker_calls_total{breaker="feed",outcome="success"} %.1f\n'
WATCHED = """
    import peak_observe
    peak_observe.health_check.register("disk", lambda: (False, "full"))
    peak_observe.health_check.run_all()
    print("ready", flush=True)
    input()
"""


@pytest.fixture
def clock() -> ManualClock:
    """Time by hand."""
    return ManualClock()


@pytest.fixture
def written(snapshots: Path, clock: ManualClock) -> Written:
    """A function that writes a snapshot."""
    return Written(snapshots, clock)


@pytest.fixture
def look(snapshots: Path, clock: ManualClock) -> Callable[..., float]:
    """A function that looks with an exporter, of its own each time, and returns the sum of the calls."""

    def told(source: SummedProcesses | None = None) -> float:
        return samples((source or SummedProcesses(snapshots, clock=clock)).collect())[ALL]

    return told


def test_an_empty_folder_tells_of_no_process(snapshots) -> None:
    """Nor is anything written there."""
    found = samples(SummedProcesses(snapshots).collect())
    assert {line.partition("{")[0] for line in found} == {
        "peak_process_snapshots_rejected_total",
        "peak_process_snapshots_used_ratio",
    }
    assert not snapshots.exists()


def test_accounts_that_are_dropped_stay_in_the_sum(written, look, snapshots, clock, monkeypatch) -> None:
    """More than are kept, over exporters that begin anew."""
    monkeypatch.setattr(process_source, "MAX_ACCOUNTS", 3)
    monkeypatch.setattr(summed_processes, "MOST_GONE", 2)
    for number in range(8):
        written(f"run-{number}", TOLD % 10)
        clock.advance(1)
        for _ in range(3):
            source = SummedProcesses(snapshots, clock=clock, retain=0.5)
            assert look(source) == 10.0 * (number + 1)
    assert len(list(snapshots.glob("*.snap"))) < 5
    assert look() == 80.0


def test_a_snapshot_that_is_removed_by_hand_stays_in_the_sum(written, look, snapshots, clock) -> None:
    """If it was seen, and its process counts on from 0."""
    source = SummedProcesses(snapshots, clock=clock)
    path = written("a", TOLD % 5)
    written("b", TOLD % 2)
    assert look(source) == 7.0
    path.unlink()
    assert look(source) == 7.0
    assert look() == 7.0
    written("a", TOLD % 3)
    assert look(source) == 10.0
    assert look() == 10.0


def test_an_exporter_that_is_killed_before_it_drops_an_account_counts_once(
    written, look, snapshots, clock, monkeypatch
) -> None:
    """What it noted of the account, and the account itself, are the same."""
    written("a", TOLD % 5)
    clock.advance(31 * 86_400)
    source = SummedProcesses(snapshots, clock=clock)
    look(source)  # which leaves the account

    def killed(_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(source._directory, "forget", killed)
    clock.advance(31 * 86_400)
    with pytest.raises(KeyboardInterrupt):
        look(source)
    assert list(snapshots.glob("*.snap"))
    assert [look() for _ in range(3)] == [5.0] * 3
    assert not list(snapshots.glob("*.snap"))


def test_one_beyond_a_limit_is_not_added_again_when_it_is_read_anew(
    written, look, snapshots, clock, monkeypatch
) -> None:
    """However often that happens."""
    monkeypatch.setattr(summed_processes, "MOST_GONE", 0)
    for name in ("a", "b"):
        written(name, TOLD % 5)
    source = SummedProcesses(snapshots, clock=clock)
    assert look(source) == 10.0
    whole = source._directory.limits
    for _ in range(3):
        source._directory.limits = whole._replace(series=1)
        assert look(source) == 10.0
        assert list(source.totals.gone) == ["b"]
        source._directory.limits = whole
        assert look(source) == 10.0


@pytest.mark.parametrize("content", [b"", b"{}", b'{"ended": "peak_x 1\\n\\n1", "gone": {}}', b"\xff"])
def test_a_file_that_makes_no_sense_is_left_out(written, look, snapshots, caplog, content: bytes) -> None:
    """And said so once."""
    written("a", TOLD % 5)
    (snapshots / summed_processes.FILE).write_bytes(content)
    assert look() == 5.0
    assert "counts of processes that are gone begin anew" in caplog.text


def test_a_file_that_anybody_may_write_is_left_out(written, look, snapshots, caplog) -> None:
    """As a snapshot is."""
    path = written("a", TOLD % 5)
    source_file = snapshots / summed_processes.FILE
    source_file.write_text('{"ended": "", "gone": {}}')
    source_file.chmod(0o666)
    assert look() == 5.0
    assert "anybody may write it" in caplog.text
    assert path.exists()


def test_a_folder_that_may_not_be_written_is_said_once(written, look, snapshots, clock, caplog, monkeypatch) -> None:
    """The sum holds as long as the exporter runs, and is saved when that works again."""
    path = written("a", TOLD % 5)
    source = SummedProcesses(snapshots, clock=clock)
    look(source)
    path.unlink()
    write = snapshot_file.write

    def refused(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(snapshot_file, "write", refused)
    assert [look(source) for _ in range(3)] == [5.0] * 3
    assert caplog.text.count("cannot be written") == 1
    monkeypatch.setattr(snapshot_file, "write", write)
    assert (look(source), look()) == (5.0, 5.0)


def test_messages_of_failing_checks_name_their_process(program, snapshots, until) -> None:
    """One for each check."""
    for name in ("bot-a", "bot-b"):
        program(name, WATCHED).expect("ready")
    source = SummedProcesses(snapshots)

    def both() -> bool:
        source.collect()
        return len(source.processes()) == 2 and bool(source.problems())

    until(both)
    assert source.problems() == {("_all", "disk"): "in bot-a: full"}


def test_a_process_that_gives_itself_a_name_is_counted_once(program, snapshots, until) -> None:
    """Whether a look falls between the two names or not, and whether there were lives before under the former."""
    source = SummedProcesses(snapshots)

    def shown(value: float) -> None:
        until(lambda: samples(source.collect()).get(ALL) == value)

    first = program("script", BOT)
    shown(3.0)
    first.kill()
    code = BOT.replace("while input()", "input(); peak_observe.configure(process='bot-a')\n    while input()")
    bot = program("script", code)
    shown(6.0)
    bot.go_on()
    seen = {6.0}

    def renamed() -> bool:
        seen.add(samples(source.collect())[ALL])
        return "bot-a" in {process.name for process in source.processes()}

    until(renamed)
    assert seen == {6.0}
    bot.go_on()
    shown(7.0)


def test_workers_that_are_killed_end_and_begin_anew_are_one_series(
    program, serving, snapshots, tmp_path, until
) -> None:
    """The real exporter, through a restart of its own; its counts never fall, and Prometheus has nothing to say."""
    seen: list[float] = []

    def counted(exporter, value: float) -> str:
        def shown() -> str:
            text = exporter.get().text
            found = [float(line.rpartition(" ")[2]) for line in text.splitlines() if line.startswith(ALL)]
            seen.extend(found)
            return text if found == [value] else ""

        return until(shown)

    config = f'[processes]\ndirectory = "{snapshots}"\ninterval = 0.1\n'
    with serving(tmp_path, config, "--processes.sum") as exporter:
        workers = []
        for _ in range(3):  # app, app-2, app-3
            workers.append(program("app", BOT))
            workers[-1].expect("ready")
        text = counted(exporter, 9.0)
        assert {line for line in text.splitlines() if line.startswith("peak_process_up")} == {f"{up('_all')} 1.0"}
        assert "app" not in exporter.get("/metrics?source[]=processes").text
        workers[0].kill()
        text = exporter.eventually(f"{up('_all')} 0.0")
        assert f"{ALL} 9.0" in text
        workers[1].process.stdin.write("enough\n")
        assert workers[1].finish() == 0
        program("app", BOT)
        counted(exporter, 12.0)
        (snapshots / "app-2.snap").unlink()
        until((snapshots / ".sum.json").exists)
        counted(exporter, 12.0)
        text = exporter.eventually(f"{up('_all')} 1.0")
        assert lint(text.encode()) == ""
        series = [line.rpartition(" ")[0] for line in text.splitlines() if not line.startswith("#")]
        assert len(series) == len(set(series))  # the exporter's own are beside them
        openmetrics = exporter.get(Accept="application/openmetrics-text; version=1.0.0").text
        assert [family for family in text_string_to_metric_families(openmetrics) if "breaker_calls" in family.name]
        page = exporter.get("/").text
        assert "_all" in page
    with serving(tmp_path, config, "--processes.sum") as exporter:
        counted(exporter, 12.0)
        workers[2].go_on()
        counted(exporter, 13.0)
    assert seen == sorted(seen)
