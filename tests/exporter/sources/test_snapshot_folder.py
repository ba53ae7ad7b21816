"""A folder in which not all files are what they should be."""

import json
import os
import subprocess
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from peak_observe import CircuitBreaker, catalog
from peak_observe.exporter.sources import snapshot_folder as module
from peak_observe.exporter.sources.process_source import ProcessDirectory
from peak_observe.exporter.sources.snapshot_folder import Directory, Limits
from peak_observe.telemetry.metrics.renderer import Renderer
from peak_observe.telemetry.snapshot import process_identity, samples, snapshot_file

GOOD = b'peak_breaker_calls_total{breaker="x",outcome="success"} 3.0\n'


def content(process: str = "bot", text: bytes = GOOD, **header: object) -> bytes:
    """Return a snapshot of this process."""
    found = {
        "process": process,
        "state": "running",
        "identity": process_identity.mine(),
        "started": 1.0,
        "written": 2.0,
        "monotonic": 3.0,
        "interval": 5.0,
    }
    return snapshot_file.encode(found | header, samples.packed(text), b"", b"")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with one good file."""
    (tmp_path / "bot.snap").write_bytes(content())
    return tmp_path


def names(directory: Directory) -> list[str]:
    """Return whose files are good."""
    return [file.name for file in directory.look()]


def spoil(folder: Path, kind: str) -> None:
    """Put a bad file beside the good one."""
    path = folder / "bad.snap"
    match kind:
        case "torn":
            path.write_bytes(content("bad")[:-1])
        case "foreign":
            path.write_bytes(b"\x7fELF" * 100)
        case "of another name":
            path.write_bytes(content("bot"))
        case "huge":
            with path.open("wb") as file:
                file.truncate(snapshot_file.MAX_BYTES + 1)
        case "invalid":
            path.write_bytes(content("bad", b'up{process="bot"} 1.0\n'))
        case "pipe":
            os.mkfifo(path)
        case "link":
            path.symlink_to(folder / "bot.snap")
        case "folder":
            path.mkdir()
        case "written by all":
            path.write_bytes(content("bad"))
            path.chmod(0o666)


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("torn", "torn"),
        ("foreign", "foreign"),
        ("of another name", "foreign"),
        ("huge", "huge"),
        ("invalid", "invalid"),
        ("pipe", "unsafe"),
        ("link", "unsafe"),
        ("folder", "unsafe"),
        ("written by all", "unsafe"),
    ],
)
def test_a_bad_file_is_left_out_and_counted_once(folder, kind, reason) -> None:
    """However often it is looked at; the good one is told all the same."""
    spoil(folder, kind)
    directory = Directory(folder)
    for _ in range(3):
        assert names(directory) == ["bot"]
    assert directory.rejected == dict.fromkeys(catalog.REJECTIONS, 0) | {reason: 1}


def test_a_file_that_was_mended_is_told(folder) -> None:
    """The next state of it is another one."""
    spoil(folder, "torn")
    directory = Directory(folder)
    assert names(directory) == ["bot"]
    (folder / "bad.snap").write_bytes(content("bad"))
    assert names(directory) == ["bad", "bot"]
    (folder / "bad.snap").unlink()
    assert names(directory) == ["bot"]


def test_other_files_are_nobodys_business(folder) -> None:
    """A README, the lock, what is being written."""
    for name in ("README", ".bot.lock", ".bot.snap.tmp", ".hidden.snap", "x.snap.bak"):
        (folder / name).write_bytes(b"anything")
    directory = Directory(folder)
    assert names(directory) == ["bot"]
    assert not any(directory.rejected.values())


@pytest.mark.skipif(os.getuid() != 0, reason="only root can make a process of somebody else")
def test_a_file_about_somebody_elses_process_is_left_out(folder) -> None:
    """Who may write into the folder cannot speak for the processes of others."""
    with subprocess.Popen(["cat"], user=65534, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        other.stdin.write(b"\n")
        other.stdin.flush()
        other.stdout.readline()
        start, _ = process_identity._stat(other.pid)
        claimed = process_identity.mine()._replace(pid=other.pid, start=start)
        (folder / "bad.snap").write_bytes(content("bad", identity=claimed))
        directory = Directory(folder)
        assert names(directory) == ["bot"]
        assert directory.rejected["unsafe"] == 1
        os.chown(folder / "bad.snap", 65534, 65534)
        assert names(directory) == ["bad", "bot"]
        other.stdin.close()
        other.wait(60)


def test_a_folder_full_of_files_is_read_up_to_a_bound(folder, monkeypatch) -> None:
    """By number and by bytes."""
    for number in range(6):
        (folder / f"b{number}.snap").write_bytes(content(f"b{number}"))
    monkeypatch.setattr(module, "MAX_FILES", 4)
    assert len(names(Directory(folder))) == 4
    monkeypatch.setattr(module, "MAX_FILES", 100)
    monkeypatch.setattr(module, "MAX_TOTAL_BYTES", 3 * len(content("b0")))
    directory = Directory(folder)
    for _ in range(3):
        assert names(directory) == ["b0", "b1", "b2"]
    assert directory.rejected["huge"] == 4
    (folder / "b1.snap").unlink()
    assert "b3" in [*names(directory), *names(directory)]  # there is a place at the next look


def test_series_are_bounded_as_well_as_bytes(folder) -> None:
    """Short names are many series in few bytes; what is used is told before something is left out."""
    lines = b"".join(b'peak_breaker_calls_total{breaker="%d",outcome="success"} 1.0\n' % number for number in range(10))
    for number in range(6):
        (folder / f"b{number}.snap").write_bytes(content(f"b{number}", lines))
    directory = Directory(folder, Limits(bytes=1 << 20, series=25))
    assert names(directory) == ["b0", "b1", "b2"]
    assert directory.rejected["huge"] == 4
    assert directory.used["series"] == 30 / 25
    assert 0 < directory.used["bytes"] < 0.1
    assert directory.used["files"] == 7 / module.MAX_FILES
    roomy = Directory(folder, Limits(bytes=1 << 20, series=100))
    assert len(names(roomy)) == 7
    assert roomy.used["series"] == 0.61


def test_accounts_of_the_dead_make_room_for_the_living(folder) -> None:
    """Whatever their names are."""
    for number in range(3):
        (folder / f"a{number}.snap").write_bytes(content(f"a{number}", state="account"))
    directory = Directory(folder, Limits(bytes=1 << 20, series=3))
    assert names(directory) == ["a0", "a1", "a2"]  # it does not know yet whose they are
    (folder / "a0.snap").touch()
    assert names(directory) == ["a0", "a1", "bot"]


def test_processes_with_the_same_names_share_their_shape(folder) -> None:
    """Names are parsed and kept once, for however many bots of one program."""
    for number in range(5):
        (folder / f"b{number}.snap").write_bytes(content(f"b{number}", GOOD.replace(b"3.0", b"%d.0" % number)))
    found = Directory(folder).look()
    assert len({id(file.snapshot.own.shape) for file in found}) == 1
    assert [file.living()["peak_breaker_calls_total"][0] for file in found[:2]] == [
        'peak_breaker_calls_total{breaker="x",outcome="success",process="b0"} 0.0',
        'peak_breaker_calls_total{breaker="x",outcome="success",process="b1"} 1.0',
    ]


def test_a_sparse_giant_takes_nobody_elses_place(folder) -> None:
    """Only what is read counts towards the bound."""
    with (folder / "a.snap").open("wb") as file:
        file.truncate(2**40)
    directory = Directory(folder)
    assert names(directory) == ["bot"]
    assert directory.rejected["huge"] == 1


def test_a_file_that_cannot_be_read_for_now_stays_as_it_was(folder, monkeypatch) -> None:
    """No descriptor is left, say: what was known is told until it can be read."""
    directory = Directory(folder)
    assert names(directory) == ["bot"]
    (folder / "bot.snap").write_bytes(content(text=GOOD.replace(b"3.0", b"44.0")))
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    kept = os.open("/", os.O_RDONLY)
    states = directory._states()
    os.close(kept)
    monkeypatch.setattr(directory, "_states", lambda: states)
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, hard))
    try:
        (file,) = directory.look()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert file.snapshot.own.values == ["3.0"]
    (file,) = directory.look()
    assert file.snapshot.own.values == ["44.0"]
    assert not any(directory.rejected.values())


def test_a_process_that_lives_shows_what_only_its_earlier_lives_counted(folder) -> None:
    """Whether it has the family or not."""
    earlier = GOOD.replace(b'"x"', b'"old"') + b'peak_retry_retries_total{operation="old"} 2.0\n'
    header, _, body = content().partition(b"\n")
    own = body[: json.loads(header)["sizes"][0]]
    found = {**json.loads(header), "identity": process_identity.mine()}
    kept = {key: value for key, value in found.items() if key not in ("snapshot", "sizes", "checksum")}
    (folder / "bot.snap").write_bytes(snapshot_file.encode(kept, own, samples.packed(earlier), b""))
    (file,) = Directory(folder).look()
    assert file.living() == {
        "peak_breaker_calls_total": [
            'peak_breaker_calls_total{breaker="x",outcome="success",process="bot"} 3.0',
            'peak_breaker_calls_total{breaker="old",outcome="success",process="bot"} 3.0',
        ],
        "peak_retry_retries_total": ['peak_retry_retries_total{operation="old",process="bot"} 2.0'],
    }


def test_a_name_that_was_claimed_meanwhile_is_left_alone(folder) -> None:
    """What was read is not what is there any more."""
    directory = Directory(folder)
    (file,) = directory.look()
    claimed = content(text=GOOD.replace(b"3.0", b"44.0"))
    snapshot_file.write(folder / "bot.snap", claimed)
    directory.fold(file)
    directory.forget(file)
    assert (folder / "bot.snap").read_bytes() == claimed


def test_accounts_are_dropped_without_a_look_at_the_folder_for_each(folder, monkeypatch: pytest.MonkeyPatch) -> None:
    """With what killed writers of them left; thousands at once took minutes, in which nothing else was read."""
    kept = [".bot.snap.0123abcd.tmp", ".bad.snap.bak.tmp", "bot.snap", ".bot.lock"]
    (folder / kept[0]).touch()
    (folder / kept[1]).touch()
    for number in range(3):
        (folder / f"job{number}.snap").write_bytes(content(f"job{number}"))
        (folder / f".job{number}.snap.0123abcd.tmp").touch()
        (folder / f".job{number}.snap.tmp").touch()
    looks, scandir = [], os.scandir
    monkeypatch.setattr(os, "scandir", lambda path: looks.append(path) or scandir(path))
    directory = Directory(folder)
    for file in directory.look():
        if file.name != "bot":
            directory.forget(file)
    assert looks == [folder]
    assert {path.name for path in folder.iterdir()} <= set(kept)
    assert not list(folder.glob("*job*")), "a leftover stays"


@pytest.mark.parametrize("name", ['a"b', "a\\b", "ü", "a b", "x/../../y", ".hidden", "%2e", "{}", "#"])
def test_any_name_that_prints_is_told_as_it_is(tmp_path, name) -> None:
    """Quotes and backslashes escaped, as the format asks; all of what a process tells can be parsed."""
    kept = CircuitBreaker(name="snapshots.printed")
    path = snapshot_file.path_of(tmp_path, name)
    path.write_bytes(content(name, Renderer(start_time=False).render()))
    blocks = ProcessDirectory(tmp_path).collect()
    text = ""
    for block in blocks:
        family = block.name.removesuffix("_total") if block.kind == "counter" else block.name
        text += "\n".join([f"# HELP {family} {block.help}", f"# TYPE {family} {block.kind}", *block.lines, ""])
    families = list(text_string_to_metric_families(f"{text}# EOF\n"))
    found = {s.labels["process"] for family in families for s in family.samples if "reason" not in s.labels}
    assert found == {name}
    assert kept.name == "snapshots.printed"


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=200), st.integers(0, 400))
def test_no_content_brings_the_reader_down(tmp_path, garbage, place) -> None:
    """Whatever is written into a good snapshot, the good one beside it is told."""
    spoilt = content("bad")
    (tmp_path / "bad.snap").write_bytes(spoilt[:place] + garbage + spoilt[place + len(garbage) :])
    (tmp_path / "bot.snap").write_bytes(content())
    lines = [line for block in ProcessDirectory(tmp_path).collect() for line in block.lines]
    assert 'peak_breaker_calls_total{breaker="x",outcome="success",process="bot"} 3.0' in lines
