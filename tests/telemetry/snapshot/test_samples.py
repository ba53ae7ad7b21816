"""Samples are packed and read back, and what no process of ours writes does not get through."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from peak_observe import CircuitBreaker, catalog
from peak_observe.telemetry.metrics.renderer import Renderer
from peak_observe.telemetry.snapshot import samples
from peak_observe.telemetry.snapshot.samples import EMPTY, packed, read

CALLS = 'peak_breaker_calls_total{breaker="x",outcome="success"}'
SECONDS = "peak_breaker_call_duration_seconds"


def histogram(*bounds: str, counts: tuple[str, ...] = (), count: str = "2.0", total: str = "1.5") -> str:
    """Return the lines of a histogram."""
    counts = counts or ("2.0",) * len(bounds)
    lines = [f'{SECONDS}_bucket{{breaker="x",le="{b}"}} {c}' for b, c in zip(bounds, counts, strict=True)]
    return "\n".join([*lines, f'{SECONDS}_count{{breaker="x"}} {count}', f'{SECONDS}_sum{{breaker="x"}} {total}'])


def test_what_is_rendered_is_read_back() -> None:
    """Every line of every family, whatever names hold."""
    kept = [
        CircuitBreaker(name=name) for name in ('samples "quoted"', "samples\nline", "samples\\", "samples } 1.0 ", "ü")
    ]
    text = Renderer(start_time=False).render()
    table = read(packed(text))
    lines = [line for line in text.decode().split("\n") if line and not line.startswith("#")]
    assert [f"{name} {value}" for name, value in zip(table.shape.lines, table.values, strict=True)] == lines
    assert {metric.kind for metric, _ in table.shape.families} == {"counter", "gauge", "histogram"}
    assert len(kept) == 5


def test_names_that_did_not_change_are_not_checked_again() -> None:
    """The shape is the same object."""
    before = read(packed(f"{CALLS} 1.0".encode()))
    after = read(packed(f"{CALLS} 2.0".encode()), before)
    assert after.shape is before.shape
    assert after.values == ["2.0"]


def test_nothing_is_nothing() -> None:
    """No samples, no table."""
    assert packed(b"# only a comment\n") == b""
    assert read(b"") is EMPTY


@pytest.mark.parametrize("value", ["0.0", "17.0", "1e-05", "1.5e+06", "123456.789"])
def test_numbers_as_we_write_them_are_good(value) -> None:
    """Counts among them."""
    assert read(packed(f"{CALLS} {value}".encode())).values == [value]


@pytest.mark.parametrize("value", ["NaN", "+Inf", "-1.0"])
def test_a_gauge_may_be_any_number(value) -> None:
    """Also none at all."""
    assert read(packed(f'peak_health_check_healthy{{check="x"}} {value}'.encode())).values == [value]


@pytest.mark.parametrize(
    "line",
    [
        f"{CALLS} -1.0",
        f"{CALLS} NaN",
        f"{CALLS} +Inf",
        f"{CALLS} 1_0",
        f"{CALLS} 1e999",
        f"{CALLS} 0x10",
        f"{CALLS} ١",  # noqa: RUF001 - a digit that float() would take
        f"{CALLS} ",
        f"{CALLS} 1.0 1700000000",
        f'{CALLS} 1.0 # {{trace_id="x"}} 1.0',
        f"{CALLS} 1.0\n{CALLS} 2.0",
        f'{CALLS} 1.0\npeak_retry_retries_total{{operation="x"}} 1.0\n{CALLS.replace("success", "failure")} 1.0',
        "peak_breaker_calls_total 1.0",
        'peak_breaker_calls_total{breaker="x"} 1.0',
        'peak_breaker_calls_total{outcome="success",breaker="x"} 1.0',
        'peak_breaker_calls_total{breaker="x",outcome="success",process="bot-b"} 1.0',
        'peak_breaker_calls_total{breaker="x",outcome="success"}{} 1.0',
        'peak_breaker_calls_total{breaker="x\\q",outcome="success"} 1.0',
        'peak_breaker_calls_total{breaker="x"y",outcome="success"} 1.0',
        'peak_process_up{process="bot-b"} 1.0',
        'up{job="x"} 1.0',
        "total nonsense",
        histogram("1.0", "+Inf", counts=("3.0", "2.0")),
        histogram("1.0", "+Inf", count="3.0"),
        histogram("1.0", "+Inf", total="NaN"),
        histogram("+Inf", "1.0"),
        histogram("2.0", "1.0", "+Inf"),
        histogram("1", "+Inf"),
        histogram("x", "+Inf"),
        histogram("1.0"),
        histogram(),
        histogram("1.0", "+Inf") + f'\n{SECONDS}_sum{{breaker="y"}} 1.0',
        histogram("1.0", "+Inf").replace('_sum{breaker="x"', '_sum{breaker="y"'),
    ],
)
def test_what_no_process_of_ours_writes_is_refused(line) -> None:
    """One bad line and the whole is not believed."""
    with pytest.raises(ValueError, match=r"."):
        read(packed(line.encode()))


@pytest.mark.parametrize("part", [b"x", b"\n\n", b"\n\n1.0", CALLS.encode() + b"\n\n1.0\n2.0", b"\xff\n\n1.0"])
def test_what_is_not_packed_is_refused(part) -> None:
    """Whatever it is."""
    with pytest.raises(ValueError, match=r"."):
        read(part)


def test_more_lines_than_a_process_can_have_are_refused(monkeypatch) -> None:
    """A million series would take the host's memory."""
    monkeypatch.setattr(samples, "MAX_LINES", 2)
    lines = [f'peak_retry_retries_total{{operation="{number}"}} 1.0' for number in range(6)]
    with pytest.raises(ValueError, match="too many lines"):
        read(packed("\n".join(lines).encode()))


@given(st.binary())
def test_bytes_are_read_or_refused(part) -> None:
    """With a ValueError, never anything else."""
    try:
        read(part)
    except ValueError:
        return


NAMES = st.sampled_from([metric.name for metric in catalog.METRICS]) | st.text(max_size=5)
PAIRS = st.tuples(st.sampled_from([*"abc", "breaker", "outcome", "le"]), st.text(max_size=5))


@settings(max_examples=min(40, settings().max_examples))
@given(st.lists(st.tuples(NAMES, st.lists(PAIRS, max_size=3), st.floats() | st.text(max_size=5)), max_size=8))
def test_lines_are_read_or_refused(lines) -> None:
    """Also those that look almost like ours."""
    text = "\n".join(f"{n}{{{','.join(f'{k}={v!r}' for k, v in pairs)}}} {value}" for n, pairs, value in lines)
    try:
        read(packed(text.encode(errors="replace")))
    except ValueError:
        return
