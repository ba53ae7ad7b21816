"""Keep secrets out of what we say about an error: log lines and span descriptions."""

from __future__ import annotations

import re

MAX_LENGTH = 300

# A query string may carry a signature, a user part a password; the host and path are what helps at night.
_URL = re.compile(r"(\b[a-z][a-z0-9+.-]*://)(?:[^\s/@]*@)?([^\s?#\"']*)(?:[?#][^\s\"']*)?", re.IGNORECASE)
_SECRET = re.compile(
    r"(?i)([\w-]*(?:api[_-]?key|secret|signature|api[_-]?sign|passw(?:or)?d|passphrase|token|authorization|nonce)"
    r"[\"']?\s*[:=]\s*(?:bearer\s+|basic\s+)?)(\"[^\"]*\"|'[^']*'|[^\s,;&}\"']+)",
)


def redact(text: str) -> str:
    """Return `text` without query strings, credentials and values of secret-looking fields, cut to 300 characters.

    It is a net under the exchange client's own redaction, not a proof: what matches no pattern passes.
    """
    text = _SECRET.sub(r"\1***", _URL.sub(r"\1\2", text[: 10 * MAX_LENGTH]))
    return text if len(text) <= MAX_LENGTH else text[: MAX_LENGTH - 1] + "…"


def describe(error: BaseException) -> str:
    """Return `Class: message` of an error on one line, redacted; an error that cannot say itself is named only."""
    try:
        message = " ".join(redact(str(error)).split())
    except Exception:  # noqa: BLE001 - a broken __str__ of somebody's exception must not break the caller
        message = ""
    return f"{type(error).__name__}: {message}" if message else type(error).__name__
