"""Answers that any exchange may give: from the gateways before it, from a proxy on the way, cut off or empty."""

from tests.exchange_client.answers.answer import LIMITED, REJECTED, TICKER, UNKNOWN_FATE, UNREADABLE, Case

_HTML = {"Content-Type": "text/html; charset=UTF-8"}
_CLOUDFLARE = {**_HTML, "Server": "cloudflare", "CF-RAY": "8f00"}


def cloudflare(code: int, words: str) -> str:
    """Return Cloudflare's page of an error."""
    return (
        f"<!DOCTYPE html><html><head><title>{words} | api.example.com | Cloudflare</title></head><body>"
        f'<h1><span class="cf-error-type">Error</span> <span class="cf-error-code">{code}</span></h1>'
        f"<h2>{words}</h2><p>Cloudflare Ray ID: 8f00</p></body></html>"
    )


CHALLENGE = (
    "<!DOCTYPE html><html><head><title>Just a moment...</title></head><body>"
    "Enable JavaScript and cookies to continue<script>window._cf_chl_opt={}</script></body></html>"
)

ANSWERS = [
    Case("Cloudflare 1015: you are being rate limited", cloudflare(1015, "You are being rate limited"), LIMITED, 429,
         _CLOUDFLARE, wait=120.0),
    Case("Cloudflare 1015 with 403", cloudflare(1015, "You are being rate limited"), LIMITED, 403, _CLOUDFLARE,
         wait=120.0),
    Case("Cloudflare 1015 as plain text", "error code: 1015", LIMITED, 429, {"Content-Type": "text/plain"}, wait=120.0),
    Case("Cloudflare 1015 that names its end", cloudflare(1015, "You are being rate limited"), LIMITED, 429,
         {**_CLOUDFLARE, "Retry-After": "37"}, wait=37.0),
    Case("Cloudflare 1006: your address is banned", cloudflare(1006, "Access denied"), REJECTED, 403, _CLOUDFLARE),
    Case("Cloudflare 1009: your country is banned", cloudflare(1009, "Access denied"), REJECTED, 403, _CLOUDFLARE),
    Case("Cloudflare 1010: your browser's signature is banned", cloudflare(1010, "Access denied"), REJECTED, 403,
         _CLOUDFLARE),
    Case("Cloudflare 1020: a firewall rule", cloudflare(1020, "Access denied"), REJECTED, 403, _CLOUDFLARE),
    Case("Cloudflare's challenge for browsers", CHALLENGE, LIMITED, 403, {**_CLOUDFLARE, "cf-mitigated": "challenge"},
         wait=120.0),
    Case("Cloudflare: you have been blocked",
         "<html><title>Attention Required! | Cloudflare</title><h1>Sorry, you have been blocked</h1></html>",
         REJECTED, 403, _CLOUDFLARE),
    Case("Cloudflare 520: the server returned an unknown error", cloudflare(520, "Web server is returning an error"),
         UNKNOWN_FATE, 520, _CLOUDFLARE),
    Case("Cloudflare 522: connection timed out", cloudflare(522, "Connection timed out"), UNKNOWN_FATE, 522,
         _CLOUDFLARE),
    Case("Cloudflare 524: a timeout occurred", cloudflare(524, "A timeout occurred"), UNKNOWN_FATE, 524, _CLOUDFLARE),
    Case("CloudFront: the region is blocked",
         "<HTML><H1>403 ERROR</H1>The Amazon CloudFront distribution is configured to block access from your country."
         "</HTML>", REJECTED, 403, _HTML),
    Case("Bad gateway", "<html><center><h1>502 Bad Gateway</h1></center></html>", UNKNOWN_FATE, 502, _HTML),
    Case("Service unavailable", "", UNKNOWN_FATE, 503, _HTML),
    Case("Gateway time-out", "<html><h1>504 Gateway Time-out</h1></html>", UNKNOWN_FATE, 504, _HTML),
    Case("A page for people", "<html><body>Welcome</body></html>", UNREADABLE, 200, _HTML),
    Case("Cut off JSON", '{"code":"0","da', UNREADABLE),
    Case("Nothing at all", "", UNREADABLE),
    Case("null", "null", UNREADABLE),
    Case("An empty text", '""', UNREADABLE),
    Case("A word", '"ok"', UNREADABLE),
    Case("true", "true", UNREADABLE),
    Case("A number", "0", UNREADABLE),
    Case("An empty object for a ticker", "{}", UNREADABLE, read=TICKER),
]  # fmt: skip
