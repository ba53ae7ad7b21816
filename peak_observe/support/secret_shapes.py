"""Secrets known by their form alone: PEM blocks, tokens with a prefix, private keys, recovery phrases."""

from __future__ import annotations

import re

from peak_observe.support.secret_urls import is_random
from peak_observe.support.secret_values import HIDDEN

_PEM = re.compile(
    r"-----BEGIN(?: |%20|\+)(?:[A-Z0-9]+(?: |%20|\+))*PRIVATE(?: |%20|\+)KEY(?:(?: |%20|\+)BLOCK)?-----.*?"
    r"(?:-----END[A-Z0-9 %+]*-----|\Z)",
    re.DOTALL,
)
_PREFIXED = re.compile(
    r"(?<![A-Za-z0-9])(?:"
    r"eyJ[\w-]{8,}+(?:\.[\w-]*+){1,4}"  # a JSON web token
    r"|(?:AKIA|ASIA|ABIA|ACCA)[A-Z0-9]{16}(?![A-Z0-9])"
    r"|(?:gh[opusr]_|github_pat_|glpat-|npm_|hvs\.|dop_v1_|glsa_|glc_|pypi-|lin_api_|shpat_)[\w-]{16,}+"
    r"|xox[abeoprs]-[\w-]{8,}+|xapp-[\w-]{8,}+"
    r"|(?:sk|rk|pk)[-_](?:[a-z]{2,8}[-_])?[A-Za-z0-9_-]{16,}+"
    r"|SG\.[\w-]{16,}+\.[\w-]{16,}+|AIza[\w-]{30,}+|ya29\.[\w-]{16,}+"
    r"|[MNO][\w-]{22,27}\.[\w-]{6}\.[\w-]{25,}+"  # a bot of Discord
    r"|AGE-SECRET-KEY-1[A-Z0-9]{20,}+|[xyz]prv[1-9A-HJ-NP-Za-km-z]{40,}+"
    r"|[5KL][1-9A-HJ-NP-Za-km-z]{50,51}(?![A-Za-z0-9])"
    r")"
)
_SCHEME = re.compile(r"\b((?:bearer|basic)[ \t]++)([A-Za-z0-9._~+/-]{6,}+={0,2})", re.IGNORECASE)
_PLAIN = re.compile(r"[A-Za-z][a-z]*(?:[_-][a-z]+)*[.=]?")
# 64 hexadecimal digits are a private key as well as a hash; what is called a hash, or follows `tx/`, stays.
_HEX_KEY = re.compile(r"(?<![0-9A-Za-z])(?:0x)?[0-9a-fA-F]{64}(?:[0-9a-fA-F]{64})?(?![0-9A-Za-z])")
_HASH = re.compile(
    r"(?:hash|tx|txn|txid|\bid|sha-?\d+|sha\w*|digest|blake\w*|checksum|block|root|transaction|commit)\W{0,4}$",
    re.IGNORECASE,
)
_LONG = re.compile(r"(?<![\w/+.-])[A-Za-z0-9+/_-]{44,}+={0,2}(?![\w.])")
_PHRASE = re.compile(r"(?<![\w'-])(?:[a-z]{3,8}[ ,]{1,2}){11,23}[a-z]{3,8}(?![\w'-])")
_NO_PHRASE = frozenset(
    (
        "and", "are", "been", "but", "did", "for", "from", "had", "has", "into", "its", "not", "our", "per", "the",
        "was", "were", "which", "your",
    )
)  # fmt: skip


def without_shapes(text: str) -> str:
    """Return a text in which what has the form of a secret is hidden."""
    if "-----BEGIN" in text:
        text = _PEM.sub(HIDDEN, text)
    text = _PREFIXED.sub(HIDDEN, text)
    text = _SCHEME.sub(_credentials, text)
    text = _HEX_KEY.sub(_unless_hash, text)
    text = _LONG.sub(_unless_words, text)
    return _PHRASE.sub(_unless_sentence, text)


def _credentials(found: re.Match[str]) -> str:
    return found[0] if _PLAIN.fullmatch(found[2]) else f"{found[1]}{HIDDEN}"


def _unless_hash(found: re.Match[str]) -> str:
    before = found.string[max(0, found.start() - 24) : found.start()]
    return found[0] if _HASH.search(before) else HIDDEN


def _unless_words(found: re.Match[str]) -> str:
    word = found[0]
    mixed = any(map(str.isupper, word)) and any(map(str.islower, word)) and any(map(str.isdigit, word))
    return HIDDEN if mixed and is_random(word.replace("/", "").rstrip("=")) else word


def _unless_sentence(found: re.Match[str]) -> str:
    return found[0] if _NO_PHRASE.intersection(found[0].replace(",", "").split()) else HIDDEN
