"""Pages of the gateways in front of an exchange, which answer in its place: Cloudflare, CloudFront and the like.

What such a page refuses never reached the exchange. Sources:
https://developers.cloudflare.com/support/troubleshooting/http-status-codes/cloudflare-1xxx-errors/ and
https://developers.cloudflare.com/cloudflare-challenges/.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from peak_observe.exchange_client.dialects.dialect import REJECTED, Rule

if TYPE_CHECKING:
    from collections.abc import Mapping

_LIMITED = Rule("rate_limited", wait=120.0)
_SERVER_ERROR = 500
_READ = 20_000
"""Characters of a page that are looked at."""

_TAG = re.compile(r"<(?:style|script)\b.*?</(?:style|script)>|<[^>]*>", re.DOTALL | re.IGNORECASE)
_CODE = re.compile(r"\berror(?:[ _]code)?\W{1,6}(1[0-2]\d\d)\b", re.IGNORECASE)
_RATE_LIMIT = "1015"
_CHALLENGE = re.compile(
    r"just a moment|checking your browser|captcha|cf-challenge|enable javascript and cookies|"
    r"complete the security check|verify(?:ing)? (?:that )?you are (?:a )?human",
    re.IGNORECASE,
)
_BLOCKED = re.compile(r"you have been blocked|used cloudflare to restrict access|banned your ip", re.IGNORECASE)
_REGION = re.compile(
    r"block access from your country|restricted (?:location|region|countr)|"
    r"(?:your|this) (?:country|region|location|jurisdiction)",
    re.IGNORECASE,
)


def page(status: int, headers: Mapping[str, str], body: str) -> tuple[Rule, str] | None:
    """Return the meaning of a gateway's page; None if the answer is not one, or its HTTP status says as much.

    Args:
        status: The HTTP status.
        headers: The headers, with names in lower case.
        body: The text.
    """
    text = _TAG.sub(" ", body[:_READ])
    if _REGION.search(text):
        return REJECTED, "the region is refused"
    if not _is_gateway(headers, body):
        return None
    code = _CODE.search(text)
    if code and (code[1] == _RATE_LIMIT or status < _SERVER_ERROR):
        return _LIMITED if code[1] == _RATE_LIMIT else REJECTED, f"Cloudflare {code[1]}"
    if _BLOCKED.search(text):
        return REJECTED, "blocked by a gateway"
    if headers.get("cf-mitigated") == "challenge" or _CHALLENGE.search(body[:_READ]):
        return _LIMITED, "a challenge for browsers"
    return None


def _is_gateway(headers: Mapping[str, str], body: str) -> bool:
    start = body[:200].lstrip().lower()
    return start.startswith(("<", "error code:")) or "cf-mitigated" in headers or "cloudflare" in body[:_READ].lower()
