"""The file of a snapshot: whole or refused, safe to open, held by one at a time."""

import json
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from peak_observe import catalog
from peak_observe.telemetry.snapshot import process_identity, samples, snapshot_file
from peak_observe.telemetry.snapshot.snapshot_file import RejectedError, decode, encode, path_of, read, write

TEXT = b'peak_breaker_calls_total{breaker="x",outcome="success"} 3.0\n'
HEADER = {
    "process": "bot",
    "state": "running",
    "identity": process_identity.mine(),
    "started": 1.0,
    "written": 2.0,
    "monotonic": 3.0,
    "interval": 5.0,
}
GOOD = encode(HEADER, samples.packed(TEXT), b"", b"")


def changed(**values: object) -> bytes:
    """Return a snapshot with other values in its header, which no process of ours would write."""
    line, _, body = GOOD.partition(b"\n")
    return json.dumps(json.loads(line) | values, separators=(",", ":")).encode() + b"\n" + body


def verdict(content: bytes) -> str:
    """Return why a content is refused, if it is."""
    try:
        decode(content)
    except RejectedError as error:
        return error.reason
    return "good"


def rejected(content: bytes) -> str:
    """Return why a content is refused."""
    with pytest.raises(RejectedError) as caught:
        decode(content)
    return caught.value.reason


def test_what_is_encoded_is_decoded() -> None:
    """Header and all three parts."""
    found = decode(encode(HEADER | {"address": "[::1]:17326", "outcome": "failed"}, *[samples.packed(TEXT)] * 3))
    assert found.header.process == "bot"
    assert found.header.identity == process_identity.mine()
    assert (found.header.address, found.header.outcome) == ("[::1]:17326", "failed")
    assert found.own == found.earlier == found.inherited != samples.EMPTY or found.own.values == ["3.0"]


def test_what_did_not_change_is_not_read_again() -> None:
    """Part by part."""
    before = decode(encode(HEADER, samples.packed(TEXT), samples.packed(TEXT), b""))
    after = decode(encode(HEADER, samples.packed(TEXT.replace(b"3", b"4")), samples.packed(TEXT), b""), before)
    assert after.own.values == ["4.0"]
    assert after.own.shape is before.own.shape
    assert after.earlier is before.earlier


@pytest.mark.parametrize("length", range(0, len(GOOD), 7))
def test_a_part_of_a_file_is_refused(length) -> None:
    """Wherever it was torn."""
    assert rejected(GOOD[:length]) in ("torn", "foreign")


def test_a_changed_byte_is_noticed() -> None:
    """By the checksum."""
    assert rejected(GOOD.replace(b"success", b"failure")) == "torn"
    assert rejected(GOOD + b"x") == "torn"


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"snapshot": 2}, "foreign"),
        ({"process": ""}, "foreign"),
        ({"process": "x" * 141}, "foreign"),
        ({"process": "ü" * 71}, "invalid"),
        ({"process": 'a"} 1\nup{x="'}, "invalid"),
        ({"process": "a\u2028b"}, "invalid"),
        ({"state": "alive"}, "foreign"),
        ({"identity": [1]}, "foreign"),
        ({"identity": [0, 1, "b", 1, 1]}, "invalid"),
        ({"identity": ["../../etc", 1, "b", 1, 1]}, "foreign"),
        ({"written": "now"}, "foreign"),
        ({"monotonic": 1e300}, "foreign"),
        ({"interval": 0}, "foreign"),
        ({"sizes": [-1, 0, 0]}, "foreign"),
        ({"sizes": [0, 0, 0]}, "torn"),
        ({"address": "evil.example/path?x=:80"}, "foreign"),
        ({"address": "<script>:80"}, "foreign"),
        ({"outcome": "fine"}, "foreign"),
    ],
)
def test_a_header_that_makes_no_sense_is_refused(values, reason) -> None:
    """A name that would break a line or an address that is none among them."""
    assert rejected(changed(**values)) == reason


def test_a_sample_that_makes_no_sense_is_refused() -> None:
    """Though length and checksum are right."""
    assert rejected(encode(HEADER, samples.packed(b"up 1\n"), b"", b"")) == "invalid"
    assert rejected(encode(HEADER, b"\xff\n\n1", b"", b"")) == "invalid"


@given(st.binary(max_size=300))
def test_bytes_are_decoded_or_refused(content) -> None:
    """For one of the reasons that are counted, and with nothing else."""
    for attempt in (content, GOOD[:20] + content, GOOD.partition(b"\n")[0] + b"\n" + content):
        assert verdict(attempt) in {"good", *catalog.REJECTIONS}


@given(st.lists(st.tuples(st.integers(0, len(GOOD) - 1), st.integers(0, 255)), max_size=4))
def test_a_spoilt_file_is_decoded_or_refused(changes) -> None:
    """Wherever its bytes were changed."""
    content = bytearray(GOOD)
    for place, byte in changes:
        content[place] = byte
    assert verdict(bytes(content)) in {"good", *catalog.REJECTIONS}


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=16))
def test_a_name_stays_in_the_folder(tmp_path_factory, name) -> None:
    """Whatever it holds, and no two names share a file."""
    folder = tmp_path_factory.getbasetemp()
    path = path_of(folder, name)
    assert path.parent == folder
    assert path.name.endswith(".snap")
    assert not path.name.startswith(".")
    assert path != path_of(folder, name + "x")


@pytest.mark.parametrize(("umask", "mode"), [(0, 0o644), (0o077, 0o600)])
def test_a_file_is_written_and_read(tmp_path, umask, mode) -> None:
    """By one rename; nobody else may ever write it, and the umask says who may read it."""
    before = os.umask(umask)
    try:
        found = write(tmp_path / "bot.snap", GOOD)
    finally:
        os.umask(before)
    content, seen = read(tmp_path / "bot.snap")
    assert content == GOOD
    assert (seen.st_ino, seen.st_mtime_ns, seen.st_mode & 0o777) == (found.st_ino, found.st_mtime_ns, mode)
    assert [path.name for path in tmp_path.iterdir()] == ["bot.snap"]


def test_what_is_no_plain_file_is_refused_at_once(tmp_path) -> None:
    """A pipe would never end, a link leads anywhere, a folder and a file that all may write prove nothing."""
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("/dev/zero")
    (tmp_path / "folder").mkdir()
    (tmp_path / "open").write_bytes(GOOD)
    (tmp_path / "open").chmod(0o666)
    for name in ("pipe", "link", "folder", "open"):
        with pytest.raises(RejectedError) as caught:
            read(tmp_path / name)
        assert caught.value.reason == "unsafe"
    with pytest.raises(FileNotFoundError):
        read(tmp_path / "nothing")


def test_a_huge_file_is_not_read(tmp_path) -> None:
    """A sparse one costs its maker nothing."""
    with (tmp_path / "huge").open("wb") as file:
        file.truncate(snapshot_file.MAX_BYTES + 1)
    with pytest.raises(RejectedError) as caught:
        read(tmp_path / "huge")
    assert caught.value.reason == "huge"


EXEMPLAR = '{span_id="00f067aa0ba902b7",trace_id="4bf92f3577b34da6a3ce929d0e0e4736"} 0.5 1767225600.25'


def test_exemplars_come_back_by_their_lines() -> None:
    """As they stood behind the samples in the OpenMetrics format."""
    line = 'peak_breaker_calls_total{breaker="x # {span_id=",outcome="success"}'
    text, exemplars = samples.without_exemplars(f"# HELP x y\n{line} 3.0 # {EXEMPLAR}\n".encode())
    found = decode(encode(HEADER, samples.packed(text), b"", b"", exemplars))
    assert found.own.shape.lines == [line]
    assert found.own.values == ["3.0"]
    assert found.exemplars == {line: EXEMPLAR}


@pytest.mark.parametrize(
    "exemplars",
    [
        f"1 {EXEMPLAR}",
        f"0 {EXEMPLAR}\n# EOF",
        f"-1 {EXEMPLAR}",
        '0 {trace_id="x\n"} 1 1',
        f"0 {EXEMPLAR} 7",
        "0 " + EXEMPLAR.replace("4bf9", "ab\n9"),
        "é",
    ],
)
def test_exemplars_that_no_process_writes_are_refused(exemplars: str) -> None:
    """They would be served as they are."""
    assert rejected(encode(HEADER, samples.packed(TEXT), b"", b"", exemplars.encode())) == "invalid"


def test_a_gauge_has_no_exemplars() -> None:
    """OpenMetrics allows them at counters and buckets only."""
    gauge = samples.packed(b'peak_breaker_failure_threshold{breaker="x"} 3.0\n')
    assert rejected(encode(HEADER, gauge, b"", b"", f"0 {EXEMPLAR}".encode())) == "invalid"


@pytest.mark.parametrize("problems", [{"x": "y" * 201}, {"": "y"}, {str(number): "y" for number in range(21)}, ["x"]])
def test_problems_beyond_what_a_process_writes_are_refused(problems: object) -> None:
    """A page must not grow by what somebody puts into the folder."""
    assert rejected(changed(problems=problems)) == "foreign"
