"""Addresses without what is secret in them: user part, query, fragment, and tokens in the path.

The host and the words of the path are what helps at night. Ids of orders stay: the part after a word such as `orders`.
"""

from __future__ import annotations

import itertools
import re

from peak_observe.support.secret_names import is_secret
from peak_observe.support.secret_values import HIDDEN

_URL = re.compile(r"(?<![A-Za-z0-9+.-])([A-Za-z0-9+.-]++://)([^\s\"'<>`]++)")
_HOST_AND_PATH = re.compile(
    r"(?<![\w@/.%:\\-])([A-Za-z0-9-]++(?>(?:\.[A-Za-z0-9-]++)+)(?::[0-9]{1,5})?)(/[^\s\"'<>`?#]++)(?:[?#][^\s\"'<>`]*+)?"
)
_PATH = re.compile(r"(\burl: |\b(?:GET|POST|PUT|DELETE|PATCH|HEAD|OPTIONS) )(/[^\s\"'<>`?#]++)")
_QUERY = re.compile(r"(?<=[\w/.}-])\?(?=[\w.%\[\]-]{1,80}+=)[^\s\"'<>)]*+")
_USER = re.compile(
    r"(?:(?<=//)|(?<![\w/@.%+-]))([\w.%+-]++):([^\s\"'/:@]++(?:@[^\s\"'/:@]++)*)@(?=\[|[A-Za-z][\w.-]*|[0-9]+\.[0-9]+\.)(?!sha\d)"
)
# A password in quotes or with blanks, which nobody quoted for an address.
_LOOSE_USER = re.compile(
    r"(?<=://)([\w.%+-]*+):(?:[\"'<`][^\s/@]*+|(?![0-9]+[^\w@])[^\s/@\"'<>`]++(?:[ \t][^\s/@\"'<>`]++){1,3})@(?=[\w\[])"
)
_BOT = re.compile(r"\b(bot|/)?[0-9]{5,16}:[A-Za-z0-9_-]{3,}+(?![A-Za-z0-9_:-])")

_WEB = ("http", "https", "ws", "wss")
_MANY = ("+sentinel", "+cluster")
_HOST = re.compile(r"(?:[\w.-]*|\[[0-9A-Fa-f:.%]*\])(?::[0-9]{0,5}(?=$|[,;.)\]'\"]))?[,;.)\]'\"]{0,3}")
# Several, as of Sentinels: each has its port, so that no password with a comma looks like them.
_HOSTS = re.compile(r"(?:(?:[\w.-]+|\[[0-9A-Fa-f:.%]+\]):[0-9]{1,5}(?:,(?!$)|(?=$|[;:)\]'\"]))){2,}[,;:.)\]'\"]{0,3}")
_HOOK_HOST = re.compile(
    r"(?:^|[.-])(?:hooks?|webhooks?|hc-ping|ntfy|healthchecks|ifttt|cronitor|deadmanssnitch|nosnch)\b"
)
_HOOK = re.compile(r"(?:incoming)?web-?hook[sb]?\d*(?:-test|-waiting)?|hooks?|functions|catch", re.IGNORECASE)
_CALLED = re.compile(r"integrations?|ping|push|heartbeats?|trigger|notify|alert|bot", re.IGNORECASE)
_SLACK = re.compile(r"T[A-Z0-9]{2,}")
_NOUN = re.compile(
    r"(?:[a-z]*orders?|trades?|fills?|accounts?|positions?|deposits?|withdrawals?|transfers?|transactions?|txs?|txids?"
    r"|blocks?|hash(?:es)?|address(?:es)?|commits?|contracts?|snapshots?|backups?|blobs?|trees?|runs?|jobs?|issues?"
    r"|traces?|spans?|requests?|objects?|clients?|markets?|events?|instruments?|products?|quotes?|invoices?|payments?"
    r"|loans?|plans?)"
)
_WORD = re.compile(r"[a-z]{1,12}|v\d{1,2}")
_UUID = re.compile(r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}", re.IGNORECASE)
_UNITS = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|[A-Z]|[0-9]+")
_LETTERS_AND_DIGITS = re.compile(r"(?=[^0-9]*[0-9])(?=[^A-Za-z]*[A-Za-z])|(?=[^a-z]*[a-z])(?=[^A-Z]*[A-Z])")
_RANDOM, _LONG = 16, 24
_LONGEST_PATH = 200
_SHORT_UNITS, _LONGER_UNITS = 3.0, 4.0


def without_secrets(text: str) -> str:
    """Return a text whose addresses, with and without a scheme, have lost what is secret in them."""
    if "://" in text:
        text = _LOOSE_USER.sub(rf"\1:{HIDDEN}@", text)
        text = _URL.sub(lambda found: found[1] + _address(found[2], found[1][:-3].lower()), text)
    if "/" in text:
        text = _HOST_AND_PATH.sub(lambda found: found[1] + path(found[2], found[1]), text)
        text = _PATH.sub(lambda found: found[1] + path(found[2]), text)
    if "?" in text:
        text = _QUERY.sub(_query, text)
    if "@" in text:
        text = _USER.sub(rf"\1:{HIDDEN}@", text)
    return _BOT.sub(lambda found: f"{found[1] or ''}{HIDDEN}", text) if ":" in text else text


def _query(found: re.Match[str]) -> str:
    # Without a path before it this may be a sentence; its fields are looked at by their names.
    before = found.string[max(0, found.start() - _LONGEST_PATH) : found.start()].split()
    return "" if before and "/" in before[-1] else found[0]


def origin(text: str) -> str:
    """Return scheme and host of an address alone, such as `rest:https://nas` of `rest:https://bob:p@ss@nas/x`.

    A text without a scheme is a path of this machine and stays, but for the user part of `bob:pass@nas:/x`.
    """
    scheme, slashes, rest = text.partition("://")
    if not slashes:
        return without_secrets(text)
    return f"{scheme}://{_without_user(rest, scheme.rpartition(':')[2].lower()).partition('/')[0].partition('?')[0]}"


def _address(rest: str, scheme: str) -> str:
    host, slash, after = _without_user(rest, scheme).partition("/")
    return re.split(r"[?#]", host, maxsplit=1)[0] + (
        path(slash + re.split(r"[?#]", after, maxsplit=1)[0], host) if slash else ""
    )


def _without_user(rest: str, scheme: str) -> str:
    """Cut the user part to the last `@`, whatever a password holds that nobody quoted."""
    authority = re.split(r"[/?#]", rest, maxsplit=1)[0]
    before_query = re.split(r"[?#](?=[\w.%\[\]-]{0,80}=|$)", rest, maxsplit=1)[0]
    has_user = "@" in authority or not _HOST.fullmatch(authority) or scheme not in _WEB
    if has_user and "@" in before_query:
        return before_query.rpartition("@")[2]
    if _HOST.fullmatch(authority) or (scheme.endswith(_MANY) and _HOSTS.fullmatch(authority)):
        return rest
    return f"{authority.partition(':')[0]}:{HIDDEN}"  # a password with a blank, of which only the beginning is here


def path(text: str, host: str = "") -> str:
    """Return the path of an address with its tokens hidden.

    Args:
        text: The path, without a query.
        host: Where it is; empty if that is not known.
    """
    parts = text.split("/")
    hooked = _HOOK_HOST.search(host.lower()) is not None
    shown = parts[:1]
    for before, part in itertools.pairwise(parts):
        if part and (
            _HOOK.fullmatch(before)
            or (hooked and not _WORD.fullmatch(part))
            or (before.lower() == "services" and _SLACK.fullmatch(part))
        ):
            return "/".join((*shown, HIDDEN))
        shown.append(_shown(part, before, known=bool(host) or bool(shown[1:])))
    return "/".join(shown)


def _shown(part: str, before: str, *, known: bool) -> str:
    word = part.rstrip(".,;:!)]}")
    end = part[len(word) :]
    if len(word) < SHORTEST_TOKEN or _WORD.fullmatch(word):
        return part
    if re.fullmatch(r"bot[0-9]+(?::|%3[Aa]).*", word):
        return f"bot{HIDDEN}{end}"
    if (is_secret(before) or _CALLED.fullmatch(before)) and not word.isdecimal():
        return HIDDEN + end
    if not known and _UUID.fullmatch(word):
        return HIDDEN + end
    return part if _NOUN.fullmatch(before) or not is_random(word) else HIDDEN + end


SHORTEST_TOKEN = 4


def is_random(word: str) -> bool:
    """Return whether a word of letters, digits, `-` and `_` looks like drawn by lot; a UUID is an id."""
    core = re.sub(r"[-_.~:=+%]", "", word)
    if len(core) < _RANDOM or not core.isalnum() or not core.isascii() or _UUID.fullmatch(word):
        return False
    if not _LETTERS_AND_DIGITS.match(core):
        return False
    longest = _LONGER_UNITS if len(core) >= _LONG else _SHORT_UNITS
    return len(core) / len(_UNITS.findall(core)) < longest
