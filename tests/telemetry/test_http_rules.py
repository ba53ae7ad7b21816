"""Rules of HTTP: what a client takes, how long a request is, and whose web page sent it."""

import os

import pytest
from prometheus_client.exposition import choose_encoder

from peak_observe.telemetry.http_rules import accepted_exposition, accepts_gzip, foreign_page, framing_problem

OM = "application/openmetrics-text"
PROMETHEUS = f"{OM};version=1.0.0;escaping=allow-utf-8;q=0.5,text/plain;version=0.0.4;q=0.3,*/*;q=0.1"


@pytest.mark.parametrize(
    ("accept", "chosen"),
    [
        ("", "text/plain"),
        ("*/*", "text/plain"),
        ("text/html, image/png", "text/plain"),
        (OM, OM),
        (f"{OM};version=1.0.0", f"{OM};version=1.0.0"),
        (f'{OM}; version="1.0.0"', f"{OM};version=1.0.0"),
        (f"{OM};version=2.0.0", "text/plain"),
        (f"{OM};version=2.0.0,{OM};version=1.0.0;q=0.5", f"{OM};version=1.0.0"),
        (f"{OM};version=0.0.1", "text/plain"),
        (f"{OM};version=x", "text/plain"),
        (f"{OM};q=0", "text/plain"),
        (f"{OM};q=0.000, text/plain;q=0.1", "text/plain"),
        (f"text/plain;version=0.0.4,{OM};q=0.9", "text/plain;version=0.0.4"),
        (f"text/plain;q=0.2,{OM};q=0.9", OM),
        ("text/plain;version=9.0.0", "text/plain"),
        (f"{OM.upper()};Version=1.0.0", f"{OM};version=1.0.0"),
        (f"{OM};q=zzz", "text/plain"),
        (PROMETHEUS, f"{OM};version=1.0.0;escaping=allow-utf-8"),
    ],
)
def test_the_exposition_is_one_that_is_served(accept: str, chosen: str) -> None:
    """The preferred one; no version is promised that nobody writes."""
    assert accepted_exposition(accept) == chosen
    assert "2.0.0" not in choose_encoder(accepted_exposition(accept))[1]


@pytest.mark.parametrize(
    ("header", "taken"),
    [
        ("", False),
        ("gzip", True),
        ("GZIP", True),
        ("gzip;q=0", False),
        ("gzip; q=0.000", False),
        ("gzip;q=0.001", True),
        ("gzip;q=0, *", False),
        ("*", True),
        ("*;q=0", False),
        ("identity", False),
        ("br, gzip;q=0.5", True),
        ("x-gzip", True),
        ("gzip;q=-1", False),
        ("gzip;q=nan", False),
    ],
)
def test_gzip_is_for_those_who_take_it(header: str, taken: bool) -> None:
    """A weight of 0 means no."""
    assert accepts_gzip(header) is taken


@pytest.mark.parametrize(
    ("lengths", "encodings", "problem"),
    [
        ([], [], ""),
        (["0"], [], ""),
        ([], ["chunked"], ""),
        ([], ["Chunked "], ""),
        (["5"], ["chunked"], "Content-Length beside Transfer-Encoding"),
        (["5"], ["identity"], "Content-Length beside Transfer-Encoding"),
        (["5", "5"], [], "Content-Length is no number"),
        (["-1"], [], "Content-Length is no number"),
        (["٣"], [], "Content-Length is no number"),
        (["+1"], [], "Content-Length is no number"),
        ([], ["gzip, chunked"], "Transfer-Encoding is not chunked"),
        ([], ["chunked", "chunked"], "Transfer-Encoding is not chunked"),
    ],
)
def test_a_request_whose_length_is_in_doubt_is_malformed(lengths: list, encodings: list, problem: str) -> None:
    """Two readers of it would disagree where the next one begins."""
    assert framing_problem(lengths, encodings) == problem


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:17325",
        "EVIL.Example.",
        "127.0.0.1.evil.example",
        "localhost.evil.example",
        "rebind.network:80",
        "local.evil.com",
    ],
)
def test_a_name_of_somebody_else_is_refused(host: str) -> None:
    """A web page that gave its name our address would read what is served."""
    assert "is no name of this host" in foreign_page({"host": host})
    assert foreign_page({"host": host}, [host.partition(":")[0].removesuffix(".").upper()]) == ""
    assert foreign_page({"host": host}, None) == ""


@pytest.mark.parametrize(
    "host",
    ["", "localhost", "localhost:1", "127.0.0.1:17325", "10.1.2.3", "[::1]:17325", "[::1]", "exporter:17325", "nas.lan",
     "bot.local:1", "exporter.monitoring.svc", "bot.svc.cluster.local", os.uname().nodename, "[", "a/b?c"],
)  # fmt: skip
def test_addresses_and_private_names_are_ours(host: str) -> None:
    """No stranger can have them; what is no name comes from no browser."""
    assert foreign_page({"host": host}) == ""


@pytest.mark.parametrize(
    ("headers", "refused"),
    [
        ({"sec-fetch-site": "cross-site"}, True),
        ({"sec-fetch-site": "cross-site", "sec-fetch-mode": "no-cors", "sec-fetch-dest": "image"}, True),
        ({"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate", "sec-fetch-dest": "iframe"}, True),
        ({"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate", "sec-fetch-dest": "document"}, False),
        ({"sec-fetch-site": "same-origin"}, False),
        ({"sec-fetch-site": "none"}, False),
        ({}, False),
    ],
)
def test_another_site_may_lead_here_but_not_ask(headers: dict, refused: bool) -> None:
    """A link of a dashboard is followed; a script, an image or a frame of somebody's page is not."""
    assert bool(foreign_page(headers)) is refused
