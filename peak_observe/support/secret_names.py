"""Names of secrets: what a field, header, option or part of a path is called that holds one.

A name is judged by its words, however it is written (`apiKey`, `API-SIGN`, `x_access_token`, `dbpassword`): a part of a
word is no word, so a keyboard, a monkey and a design hold no secret.
"""

from __future__ import annotations

import re
from functools import lru_cache

LONGEST = 80
"""Characters at the end of a name that are looked at."""

# Found anywhere in a name, as no other word contains them but for those of _OTHERS.
_ANYWHERE = re.compile(
    r"secret|token|passw|passphrase|passcode|passkey|credential|cookie|signature|mnemonic|authoriz|bearer|session"
    r"|twofa|2fa|apikey|privatekey|privkey|seedphrase"
)
_OTHERS = re.compile(r"secretar(?:y|ies)|tokeni[sz]\w*|tokenomics?|(?:ob|pos)session|unauthorized")
_AMOUNT = re.compile(r"(?:max|min|num|total|prompt|completion|input|output)\w*tokens")
_SECRETS = frozenset(
    (
        "auth", "authentication", "cookie", "cred", "creds", "csrf", "dsn", "hmac", "jwt", "key", "keys", "mfa",
        "nonce", "otp", "pass", "passwd", "phrase", "pin", "psw", "pw", "pwd", "pwds", "secret", "secrets", "sessid",
        "session", "sid", "sig", "sign", "signing", "sigs", "tfa", "token", "tokens", "totp", "verifier", "xsrf",
    )
)  # fmt: skip
_NEUTRAL = frozenset(
    (
        "acc", "access", "account", "admin", "aes", "api", "app", "aws", "azure", "b64", "bapi", "base", "bfx",
        "binance", "bot", "bybit", "cb", "client", "coinbase", "crypto", "current", "data", "db", "deploy", "dev",
        "device", "discord", "ecdsa", "email", "enc", "encoded", "encrypt", "encryption", "exchange", "ftx", "full",
        "gate", "gcp", "git", "gpg", "hash", "hex", "hook", "host", "http", "https", "hub", "id", "kc", "kraken",
        "licence", "license", "listen", "live", "log", "login", "mail", "main", "master", "mbx", "mongo", "my",
        "mysql", "net", "new", "ok", "okx", "old", "only", "pem", "pg", "pgp", "postgres", "private", "prod", "pub",
        "public", "raw", "read", "redis", "refresh", "require", "root", "rsa", "s3", "server", "service", "shared",
        "signer", "signing", "slack", "smtp", "ssh", "ssl", "storage", "str", "stream", "string", "sub", "telegram",
        "test", "tg", "tls", "trade", "trading", "user", "usr", "val", "value", "wallet", "web", "write", "ws", "x",
    )
)  # fmt: skip
_ABOUT = re.compile(
    r"(?:type|method|version|count|length|len|size|time|timestamp|timeout|expiry|expires|expired|expiration|age|ttl|errors?"
    r"|exceptions?|status|state|files?|path|dir|folder|urls?|uri|format|algorithm|algo|alg|index|limit|window|policy"
    r"|usage|denied|required|mode)"
)
_WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")
_HEADER = re.compile(r"(?:^|-|_)(?:cookie|authorization)$")
_NUMBERED = re.compile(r"(?:nonce|seed)s?$")
_PHRASE = re.compile(r"pass|pwd|phrase|mnemonic|seed")


@lru_cache(maxsize=1024)
def is_secret(name: str) -> bool:
    """Return whether a name says that its value is secret."""
    words = [word.lower() for word in _WORDS.findall(name[-LONGEST:])]
    if not words or _ABOUT.fullmatch(words[-1]):
        return False
    plain = re.sub(r"[^a-z0-9]", "", name[-LONGEST:].lower())
    if _AMOUNT.fullmatch(plain):
        return False
    if _ANYWHERE.search(_OTHERS.sub("", plain)):
        return True
    return words[-1] == "seed" or any(word in _SECRETS or _is_composed(word) for word in words)


def is_header(name: str) -> bool:
    """Return whether a name is that of a header whose whole line is secret, with several words or pairs."""
    return _HEADER.search(name.lower()) is not None


def may_be_phrase(name: str) -> bool:
    """Return whether the secret of a name may consist of several words."""
    return _PHRASE.search(name.lower()) is not None


def may_be_number(name: str) -> bool:
    """Return whether a plain number under a name is no secret: a nonce is a time, a seed starts a simulation."""
    return _NUMBERED.search(name.lower()) is not None


def _is_composed(word: str) -> bool:
    """Return whether a word such as `accesskey` consists of known words, one of them that of a secret."""
    if len(word) > LONGEST // 2:
        return False
    # For each end: whether known words reach it, and whether one of them was secret.
    reached: list[bool | None] = [False] + [None] * len(word)
    for end in range(1, len(word) + 1):
        for start in range(max(0, end - 14), end):
            part, before = word[start:end], reached[start]
            if before is not None and (part in _SECRETS or part in _NEUTRAL):
                reached[end] = bool(reached[end]) or before or part in _SECRETS
    return bool(reached[-1])
