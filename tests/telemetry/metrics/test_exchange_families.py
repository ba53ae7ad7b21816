"""The families of exchanges: two labels from one name, gauges that age, and bytes as prometheus_client writes them."""

import math

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics

from peak_observe.catalog import BUCKETS, EXCHANGE_OUTCOMES
from peak_observe.measures import EndpointReading, ExchangeReading, Exemplar
from peak_observe.measures.exchange import SEPARATOR
from peak_observe.telemetry.metrics import exchange_families, primitive_families
from peak_observe.telemetry.metrics.collector import PeakCollector
from peak_observe.telemetry.metrics.renderer import Renderer
from tests.conftest import lint

NAN = math.nan


def endpoint(count: int, *, traced: bool = False) -> EndpointReading:
    """Return the reading of an endpoint."""
    reading = EndpointReading()
    reading.bounds = BUCKETS
    reading.requests = [count * number for number in range(len(EXCHANGE_OUTCOMES))]
    reading.buckets = [count] * (len(BUCKETS) + 1)
    reading.duration_sum = count / 3
    found = {3: Exemplar("ab" * 16, "cd" * 8, 1.0, 1.5)} if traced else {}
    reading.exemplars = reading.bucket_exemplars = found
    return reading


def quote(ages: list[float] | None, skew: float | None, used: float | None, banned: float) -> ExchangeReading:
    """Return the reading of an exchange."""
    reading = ExchangeReading()
    reading.data_age, reading.clock_skew, reading.used_ratio, reading.banned_until = ages, skew, used, banned
    reading.data_max_age = [300.0] * 4 if ages else None
    reading.candle_gaps = int(banned > 0) * 3
    reading.writes = [int(banned > 0) * number for number in range(len(EXCHANGE_OUTCOMES))]
    return reading


SCRAPES = [
    ([endpoint(0), endpoint(7)], [quote([NAN] * 4, 0.0, 0.0, 0.0)]),
    ([endpoint(1), endpoint(10**7, traced=True)], [quote([NAN, 5.0, 2e6, NAN], -2e6, 0.25, 1.8e9)]),
    ([endpoint(2), endpoint(10**7, traced=True)], [quote([1.0, 5.0, 7.0, 9.0], 2e6, 1.0, 1.8e9)]),
    ([endpoint(2), endpoint(10**7, traced=True)], [quote(None, None, None, 1.8e9)]),
]


@pytest.mark.parametrize("openmetrics", [False, True], ids=["text", "openmetrics"])
def test_the_bytes_are_the_librarys(monkeypatch, openmetrics: bool) -> None:
    """From scrape to scrape of one renderer, with NaN, large numbers, exemplars, and an exchange that goes."""
    renderer, registry = Renderer(), CollectorRegistry()
    registry.register(PeakCollector())
    names = [f"kraken{SEPARATOR}GET public/Ticker", "_overflow"]
    for endpoints, exchanges in SCRAPES:
        found = [
            (exchange_families.ENDPOINT_FAMILIES, list(zip(names, endpoints, strict=True))),
            (exchange_families.EXCHANGE_FAMILIES, list(zip(["kraken"], exchanges, strict=True))),
        ]
        monkeypatch.setattr(primitive_families, "read", lambda found=found: found)
        text = generate_openmetrics(registry).removesuffix(b"# EOF\n") if openmetrics else generate_latest(registry)
        assert renderer.render(openmetrics=openmetrics) == text


def test_an_endpoints_name_makes_two_labels(monkeypatch) -> None:
    """And promtool has nothing to say."""
    found = [
        (exchange_families.ENDPOINT_FAMILIES, [(f"kraken{SEPARATOR}GET public/Ticker", endpoint(1))]),
        (exchange_families.EXCHANGE_FAMILIES, [("kraken", SCRAPES[0][1][0])]),
    ]
    monkeypatch.setattr(primitive_families, "read", lambda: found)
    text = Renderer().render()
    line = b'peak_exchange_requests_total{endpoint="GET public/Ticker",exchange="kraken",outcome="transient"} 1.0\n'
    assert line in text
    assert b'peak_exchange_data_age_seconds{exchange="kraken",kind="ticker"} NaN\n' in text
    assert lint(text) == ""
