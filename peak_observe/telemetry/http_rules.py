"""Rules of HTTP that both servers share: content negotiation, framing, and requests that a foreign web page makes."""

from __future__ import annotations

import ipaddress
import os
import re
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

OPENMETRICS, TEXT = "application/openmetrics-text", "text/plain"
VERSIONS = {OPENMETRICS: ("", "1.0.0"), TEXT: ("", "0.0.4", "1.0.0")}
ANYTHING = {"*/*", "text/*"}
# Names that no stranger can register: DNS of a house, a company or a cluster.
PRIVATE = (
    "localhost",
    "local",
    "localdomain",
    "lan",
    "home",
    "home.arpa",
    "internal",
    "intranet",
    "private",
    "corp",
    "svc",
)
ALLOW = "--web.allowed-host (exporter) or start_exporter(allowed_hosts=…)"
_NAME = re.compile(r"[a-z0-9_-]+(\.[a-z0-9_-]+)*\.?")


class _Choice(NamedTuple):
    """Element of a header that lists choices: its value, its parameters and its weight."""

    value: str
    parameters: dict[str, str]
    weight: float


def accepted_exposition(accept: str) -> str:
    """Return the exposition format that a client prefers of those that are served, as one media type.

    Args:
        accept: The `Accept` header. A version that is not served is none that can be chosen (RFC 9110, 12.5.1).
    """
    best, heaviest = TEXT, 0.0
    for value, parameters, weight in _choices(accept):
        served = parameters.get("version", "") in VERSIONS.get(value, ())
        if (served or value in ANYTHING) and weight > heaviest:
            best, heaviest = _media_type(value, parameters) if served else TEXT, weight
    return best


def _media_type(value: str, parameters: dict[str, str]) -> str:
    return ";".join([value, *(f"{name}={parameters[name]}" for name in ("version", "escaping") if name in parameters)])


def accepts_gzip(accept_encoding: str) -> bool:
    """Return whether a client takes gzip: named or by `*`, and not with a weight of 0 (RFC 9110, 12.5.3)."""
    weights = {choice.value: choice.weight for choice in _choices(accept_encoding)}
    return weights.get("gzip", weights.get("x-gzip", weights.get("*", 0.0))) > 0


def _choices(header: str) -> Iterator[_Choice]:
    for element in header.split(","):
        value, *rest = (part.strip() for part in element.split(";"))
        pairs = (part.partition("=") for part in rest)
        parameters = {name.strip().lower(): found.strip().strip('"') for name, _, found in pairs}
        yield _Choice(value.lower(), parameters, _weight(parameters.pop("q", "1")))


def _weight(text: str) -> float:
    return float(text) if re.fullmatch(r"0(\.[0-9]{0,3})?|1(\.0{0,3})?", text) else 0.0


def framing_problem(lengths: list[str], encodings: list[str]) -> str:
    """Return what is wrong with the length of a request's body; empty if nothing is (RFC 9112, 6.3).

    Args:
        lengths: All `Content-Length` headers.
        encodings: All `Transfer-Encoding` headers.
    """
    if lengths and encodings:
        return "Content-Length beside Transfer-Encoding"
    if len(lengths) > 1 or not all(text.isascii() and text.isdigit() for text in lengths):
        return "Content-Length is no number"
    if encodings and [text.strip().lower() for text in encodings] != ["chunked"]:
        return "Transfer-Encoding is not chunked"
    return ""


def foreign_page(headers: Mapping[str, str], allowed: Collection[str] | None = ()) -> str:
    """Return why a request is refused that a web page of somebody else may have caused; empty if it is not.

    A browser tells by `Sec-Fetch-Site`; where it does not, a page may have given its own name our address (DNS
    rebinding), which shows in `Host`.

    Args:
        headers: The headers, with names in lower case.
        allowed: Further names of this host; None where certificate or password keep such pages out already.
    """
    link = headers.get("sec-fetch-mode") == "navigate" and headers.get("sec-fetch-dest") == "document"
    if headers.get("sec-fetch-site", "").lower() == "cross-site" and not link:
        return "a web page of another site may not ask here"
    name = headers.get("host", "").lower()
    if ":" in name and not name.endswith("]"):
        name = name.rpartition(":")[0]
    if allowed is not None and _NAME.fullmatch(name) and not _is_own(name.removesuffix("."), allowed):
        return f"{name[:100]} is no name of this host: ask by its address, or allow the name by {ALLOW}"
    return ""


def _is_own(name: str, allowed: Collection[str]) -> bool:
    if "." not in name or name == os.uname().nodename.lower() or name in {one.lower() for one in allowed}:
        return True
    try:
        return bool(ipaddress.ip_address(name))
    except ValueError:
        return name.endswith(tuple(f".{suffix}" for suffix in PRIVATE))


def peer_of(address: tuple[object, ...]) -> str:
    """Return whom a connection counts for: an address of IPv4, or the /64 that an IPv6 host may choose from."""
    try:
        found = ipaddress.ip_address(str(address[0]).partition("%")[0])
    except ValueError:
        return ""
    if isinstance(found, ipaddress.IPv6Address):
        mapped = found.ipv4_mapped
        return str(mapped) if mapped else str(ipaddress.ip_network((found, 64), strict=False))
    return str(found)
