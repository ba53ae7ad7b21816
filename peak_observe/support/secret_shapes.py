"""Secrets known by their form alone: PEM blocks, tokens with a prefix, private keys, recovery phrases."""

from __future__ import annotations

import re

from peak_observe.support.recovery_words import without_phrases
from peak_observe.support.secret_urls import is_random
from peak_observe.support.secret_values import HIDDEN

_PEM = re.compile(
    r"----[- ]{0,2}BEGIN(?: |%20|\+)(?:[A-Z0-9]+(?: |%20|\+))*PRIVATE(?: |%20|\+)KEY(?:(?: |%20|\+)BLOCK)?[ -]{0,2}----"
    r".*?(?:----[- ]{0,2}END[A-Z0-9 %+]*-----?|\Z)"
    r"|(?<=Private-Lines: ).*?(?:Private-MAC: \w++|\Z)",  # a file of PuTTY
    re.DOTALL,
)
_PREFIXED = re.compile(
    r"(?<![A-Za-z0-9])(?:"
    r"eyJ[\w-]{8,}+(?:\.[\w-]*+){1,4}"  # a JSON web token
    r"|(?:AKIA|ASIA|ABIA|ACCA)[A-Z0-9]{16}(?![A-Z0-9])"
    r"|(?:gh[opusr]_|github_pat_|gl[a-z]{2,6}-|npm_|hvs\.|dop_v1_|glsa_|glc_|pypi-|lin_api_|shp[a-z]{2}_|GOCSPX-|sq0[a-z]{3}-|NRAK-|PMAK-)[\w-]{16,}+"
    r"|(?:key-|dapi|(?:AC|SK)[0-9a-f]{32}:|SK)[0-9a-f]{32}(?![0-9A-Za-z])|pul-[0-9a-f]{40}|1//0[\w-]{20,}+"
    r"|(?<!\w)\$(?:argon2[a-z]{1,2}|apr1|[1567y]|2[abxy]?|scrypt|pbkdf2[\w-]*+)\$[\w./+=,$-]{16,}+"
    r"|\{S?SHA[0-9]*\}[\w+/]{20,}+"  # hashes of passwords
    r"|xox[abeoprs]-[\w-]{8,}+|xapp-[\w-]{8,}+"
    r"|(?:sk|rk|pk)[-_](?:[a-z]{2,8}[-_])?[A-Za-z0-9_-]{16,}+"
    r"|SG\.[\w-]{16,}+\.[\w-]{16,}+|AIza[\w-]{30,}+|ya29\.[\w-]{16,}+"
    r"|[MNO][\w-]{22,27}\.[\w-]{6}\.[\w-]{25,}+"  # a bot of Discord
    r"|S[A-Z2-7]{55}(?![A-Za-z0-9])|nsec1[a-z0-9]{50,}+|edsk[1-9A-HJ-NP-Za-km-z]{40,}+"  # Stellar, Nostr, Tezos
    r"|AGE-SECRET-KEY-1[A-Z0-9]{20,}+|[xyz]prv[1-9A-HJ-NP-Za-km-z]{40,}+"
    r"|[5KL][1-9A-HJ-NP-Za-km-z]{50,51}(?![A-Za-z0-9])"
    r")"
)
# A prefix that names the issuer, then what is drawn by lot from letters of both cases and digits.
_TAGGED = re.compile(r"(?<![\w-])(?:[a-z]{2,8}_){1,3}[A-Za-z0-9]{20,}+(?!\w)")
_SCHEME = re.compile(r"\b((?:bearer|basic)[ \t]++)([A-Za-z0-9._~+/-]{6,}+={0,2})", re.IGNORECASE)
_PLAIN = re.compile(r"[A-Za-z][a-z]*(?:[_-][a-z]+)*[.=]?")
# 64 hexadecimal digits, or a few more or less by mistake, are a private key as well as a hash.
# What is called a hash, or follows `tx/`, stays.
_HEX_KEY = re.compile(r"(?<![0-9A-Za-z])(?:0[xX])?(?:[0-9a-fA-F]{62,66}|[0-9a-fA-F]{128})(?![0-9A-Za-z])")
_HASH = re.compile(
    r"(?:hash|tx|txn|txid|\bid|sha-?\d+|sha\w*|digest|blake\w*|checksum|block|root|transaction|commit)\W{0,4}$",
    re.IGNORECASE,
)
# A private key as numbers: 32 or 64 bytes.
_NUMBERS = re.compile(r"\[(?:[0-9]{1,3}, ?){31}(?:(?:[0-9]{1,3}, ?){32})?[0-9]{1,3}\]")
_FAMILY_SEED = re.compile(r"(?<!\w)s[1-9A-HJ-NP-Za-km-z]{28}(?!\w)")  # XRP Ledger
_LONG = re.compile(r"(?<![\w/+.-])[A-Za-z0-9+/_-]{44,}+={0,2}(?![\w.])")


def without_shapes(text: str) -> str:
    """Return a text in which what has the form of a secret is hidden."""
    if "----" in text or "Private-Lines" in text:
        text = _PEM.sub(HIDDEN, text)
    text = _PREFIXED.sub(HIDDEN, text)
    text = _FAMILY_SEED.sub(_unless_words, _TAGGED.sub(_unless_words, text))
    if "[" in text:
        text = _NUMBERS.sub(f"[{HIDDEN}]", text)
    text = _SCHEME.sub(_credentials, text)
    text = _HEX_KEY.sub(_unless_hash, text)
    text = _LONG.sub(_unless_words, text)
    return without_phrases(text, HIDDEN)


def _credentials(found: re.Match[str]) -> str:
    return found[0] if _PLAIN.fullmatch(found[2]) else f"{found[1]}{HIDDEN}"


def _unless_hash(found: re.Match[str]) -> str:
    before = found.string[max(0, found.start() - 24) : found.start()]
    return found[0] if _HASH.search(before) else HIDDEN


def _unless_words(found: re.Match[str]) -> str:
    word = found[0]
    mixed = any(map(str.isupper, word)) and any(map(str.islower, word)) and any(map(str.isdigit, word))
    return HIDDEN if mixed and is_random(word.replace("/", "").rstrip("=")) else word
