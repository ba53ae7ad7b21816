"""Blocks of many sources become one text that Prometheus' own tools accept, whole, filtered and compressed."""

import gzip
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from peak_observe.exporter.sources import merged_exposition
from peak_observe.exporter.sources.merged_exposition import CHUNK, Family, Text, merged, rendered
from peak_observe.exporter.sources.metric_block import Block
from peak_observe.telemetry.metrics.text_format import sample_line
from tests.conftest import lint

HEALTHY = Block("peak_health_check_healthy", "gauge", "Whether.", ['peak_health_check_healthy{check="a"} 1.0'])
CALLS = Block("peak_breaker_calls_total", "counter", "Calls.", ['peak_breaker_calls_total{breaker="b"} 3.0'])
OTHER = Block("orders_total", "counter", 'Say "\\" or\nnot.', ['orders_total{process="x"} 5.0'])
ODD = Block("odd", "counter", "A counter that is not called so.", ["odd 1.0"])
PLAIN = Block("plain", "untyped", "Whatever.", ["plain 2.0"])
HISTOGRAM = Block(
    "latency_seconds",
    "histogram",
    "Latency.",
    [
        'latency_seconds_bucket{le="1.0"} 1.0',
        'latency_seconds_bucket{le="+Inf"} 2.0',
        "latency_seconds_count 2.0",
        "latency_seconds_sum 3.5",
    ],
)
ALL = {"one": rendered([HEALTHY, CALLS, OTHER]), "two": rendered([ODD, PLAIN, HISTOGRAM])}


def text(families: list[Family], tail: bytes = b"", *, openmetrics: bool = False) -> str:
    """Return the text of families."""
    body = Text(families, openmetrics=openmetrics).whole(tail)
    assert body.length == sum(map(len, body.pieces))
    return b"".join(body.pieces).decode()


def test_both_formats_are_what_the_parsers_read() -> None:
    """The same values, with the kinds that each format knows."""
    plain = {family.name: family for family in parse_text(text(merged(ALL)))}
    open_ = {family.name: family for family in parse_openmetrics(text(merged(ALL), b"# EOF\n", openmetrics=True))}
    assert {name: family.type for name, family in open_.items()} == {
        "peak_breaker_calls": "counter",
        "peak_health_check_healthy": "gauge",
        "latency_seconds": "histogram",
        "odd": "unknown",
        "orders": "counter",
        "plain": "unknown",
    }
    open_.pop("odd")  # whose sample the parser of the older format calls odd_total
    for name, family in open_.items():
        found = {(one.name, tuple(one.labels.items())): one.value for one in plain[name].samples}
        assert {(one.name, tuple(one.labels.items())): one.value for one in family.samples} == found
    assert open_["orders"].documentation == plain["orders"].documentation == OTHER.help


def test_promtool_has_nothing_to_say() -> None:
    """About families in the catalogue's order, and the others by name."""
    families = merged(ALL)
    assert [family.name for family in families] == [
        "peak_breaker_calls_total",
        "peak_health_check_healthy",
        "latency_seconds",
        "odd",
        "orders_total",
        "plain",
    ]
    shown = text([family for family in families if family.name not in ("odd", "plain")])
    assert lint(shown.encode()) == ""


def test_a_family_of_several_sources_is_one() -> None:
    """One header, and the lines of all."""
    more = HEALTHY._replace(lines=['peak_health_check_healthy{check="a",process="bot"} 0.0'])
    shown = text(merged({"one": rendered([HEALTHY]), "two": rendered([more])}))
    assert shown.splitlines() == [
        "# HELP peak_health_check_healthy Whether.",
        "# TYPE peak_health_check_healthy gauge",
        *HEALTHY.lines,
        *more.lines,
    ]


def test_what_another_source_knows_as_another_kind_is_left_out() -> None:
    """Half a family would make the whole scrape invalid."""
    liar = HEALTHY._replace(kind="counter", lines=["peak_health_check_healthy 7.0"])
    assert "7.0" not in text(merged({"one": rendered([HEALTHY]), "two": rendered([liar])}))


def test_nobody_speaks_for_the_exporter() -> None:
    """What it says of its sources is its own."""
    liar = Block("peak_exporter_source_up", "gauge", "A lie.", ["peak_exporter_source_up 1.0"])
    assert merged({"one": rendered([liar])}) == []


def test_families_without_samples_are_left_out() -> None:
    """A header alone tells nothing."""
    assert merged({"one": rendered([HEALTHY._replace(lines=[])])}) == []


@pytest.mark.parametrize(
    "name", ["latency_seconds", "latency_seconds_bucket", "latency_seconds_count", "latency_seconds_sum"]
)
def test_a_histogram_is_chosen_by_any_of_its_names(name: str) -> None:
    """As a query would name it."""
    assert [family.name for family in merged_exposition.chosen(merged(ALL), {name})] == ["latency_seconds"]


def test_choosing_by_name() -> None:
    """A counter with and without its suffix, several at once, and nothing by a name that nobody has."""
    families = merged(ALL)
    assert [family.name for family in merged_exposition.chosen(families, {"orders"})] == ["orders_total"]
    assert len(list(merged_exposition.chosen(families, {"orders_total", "plain"}))) == 2
    assert list(merged_exposition.chosen(families, {"nonsense", "plain_sum"})) == []
    assert list(merged_exposition.chosen(families, ())) == families


def test_compressed_is_the_same() -> None:
    """One gzip stream each time, though what did not change is compressed once."""
    lines = [f'many{{number="{number}"}} {number}.0' for number in range(10_000)]
    kept = Text(merged({"one": rendered([Block("many", "gauge", "Many.", lines)])}), openmetrics=False)
    assert not kept.packed
    for tail in (b"first 1.0\n", b"second 2.0\n", b""):
        body = kept.compressed(tail)
        assert body.gzipped
        whole = b"".join(kept.whole(tail).pieces)
        packed = b"".join(body.pieces)
        assert gzip.decompress(packed) == whole
        stream = zlib.decompressobj(16 + zlib.MAX_WBITS)
        assert (stream.decompress(packed), stream.eof, stream.unused_data) == (whole, True, b"")
    assert kept.packed
    assert kept.compressed(b"x").pieces[0] is kept.compressed(b"y").pieces[0]
    assert max(map(len, kept.whole(b"").pieces)) <= CHUNK


@given(st.dictionaries(st.from_regex("[a-z]{1,5}", fullmatch=True), st.text(max_size=20), max_size=3), st.floats())
def test_any_label_survives(labels: dict[str, str], value: float) -> None:
    """Also quotes, backslashes and newlines, in both formats."""
    try:
        families = merged(
            {"one": rendered([Block("any", "gauge", "Any.", [sample_line("any", labels.items(), value)])])}
        )
    except UnicodeEncodeError:
        return  # a lone surrogate, which is the source's error
    for parse, shown in (
        (parse_text, text(families)),
        (parse_openmetrics, text(families, b"# EOF\n", openmetrics=True)),
    ):
        ((one,),) = [family.samples for family in parse(shown)]
        assert one.labels == labels
        assert one.value == value or value != value  # noqa: PLR0124 - NaN
