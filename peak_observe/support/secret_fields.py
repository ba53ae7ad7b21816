"""Values of fields whose name is that of a secret: in JSON, headers, forms, options, XML and plain sentences."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from peak_observe.support.secret_names import is_header, is_secret, may_be_number, may_be_phrase
from peak_observe.support.secret_urls import is_random
from peak_observe.support.secret_values import HIDDEN

if TYPE_CHECKING:
    from collections.abc import Iterator

_FIELD = re.compile(
    r"(?<![A-Za-z0-9_.\-])(?P<name>[A-Za-z0-9_.\-]++)(?P<close>(?:\\*+[\"'`])?(?:\]|\[[\w\"']{0,20}\]|\(\))?)"
    r"(?P<blank>(?:(?<=[\"'`])\s*+|[ \t]*+))(?P<sign>=>|:=|==|[:=,])[ \t]*+"
    # A value of YAML on the next line, one of JSON on any line, or one with an anchor.
    r"(?:(?:[|>][+-]?[ \t]*+)?(?:\r?\n|\\{1,4}n)[ \t]++|(?<=[\"'`\s]:)\s*+)?(?:&\w++[ \t]++)?"
)
_OPTION = re.compile(
    r"(?<![^\s\"'\[=(,])--?(?P<name>[A-Za-z][\w-]*+)[\"']?,?[ \t]++"
    r"(?P<value>\"[^\"\r\n]++|'[^'\r\n]++|[^\s\-\"'][^\s\"']*+)"
)
_USER = re.compile(r"(?<!\S)(-u|--user|--proxy-user)([ \t=]++[\"']?(?![0-9]++:[0-9]++(?!\S))[^\s:\"'/]++):[^\s\"']++")
# Programs whose option is one letter.
_SHORT_OPTION = re.compile(
    r"\b((?:(?:mysql|mariadb|sshpass|7z)[\w-]*+[^\r\n|;&]{0,200}?[\s\"']-p"
    r"|(?:redis-cli\b[^\r\n|;&]{0,200}?[\s\"']-a|(?:sshpass|mongo\w*+|docker login)\b[^\r\n|;&]{0,200}?[\s\"']-p"
    r"|zip\b[^\r\n|;&]{0,200}?[\s\"']-P)[\"',]*+[ \t]++)[\"']?)[^\s\"',]++"
)
# Sentences and statements with a password and no sign before it.
_SAID = re.compile(
    r"((?:passw(?:or)?d|passwort|passphrase|pwd|identified by|(?:private|signing|secret)[ _-]?key|api[ _-]?secret"
    r"|mnemonic|seed(?: phrase)?)(?: is| was)?[ \t]++[bru]?)([\"'`])([^\"'`\r\n]++)\2",
    re.IGNORECASE,
)
_IS = re.compile(
    r"(\bpass(?:word|wd|phrase|wort) (?:is|was) )(?!\*)(?=[^\s\"']{0,40}[0-9!@#$%^&*])[^\s\"')\]]{4,}+", re.IGNORECASE
)
_LOGIN = re.compile(r"(\blogin[ \t]++\S++[ \t]++password[ \t]++)\S++")
_CALL = re.compile(r"(?<!\w)\w{0,40}(?:[aA]uth|[lL]ogin|[cC]redentials?|Cookie)(?=\([bru]?[\"'])")
_CLASS = re.compile(r"[A-Za-z_][\w.]*+(?=[(\[{])")
_ELEMENT = re.compile(r"(<(?:[\w.-]++:)?([\w.-]++)((?:\s[^<>]*+)?)>(?:<!\[CDATA\[)?)([^<>\]]++)(?=<|\]\]>)")
_ATTRIBUTE = re.compile(r"\b(?:name|key|id)[ \t]*+=[ \t]*+\\*[\"']([\w.-]++)")
# Groups repeat inside of atomic ones: possessive ones read too far in Python 3.11 before 3.11.5 (gh-106052).
_PART = re.compile(
    r"(\bname=\\*[\"']?([\w.-]++)\\*[\"']?(?:;[^\r\n\\]*+)?(?>(?:(?:\r?\n|(?:\\{1,4}r)?\\{1,4}n)[\w-]++:[^\r\n\\]*+)*)"
    r"(?:\r?\n|(?:\\{1,4}r)?\\{1,4}n){2})([^\r\n\\]++)"
)
# A name and its value as two fields, as in variables of containers and archives of requests.
_PAIR = re.compile(
    r"((?:name|key|header|variable|field)(?:\\*+[\"'])?[ \t]*+[:=][ \t]*+(?:\\*+[\"'])?)([A-Za-z0-9_.\-]{1,80}+)"
    r"((?:\\*+[\"'])?,?(?>(?:\s|\\{1,4}n)*)(?:\\*+[\"'])?value(?:\\*+[\"'])?[ \t]*+[:=][ \t]*+(?:\\*+[\"'])?)"
    r"([^\s\"'\\,}]++)",
    re.IGNORECASE,
)
# A word drawn by lot, and the words before it that may name it.
_RANDOM = re.compile(r"(?<![\w+/=.\-])[A-Za-z0-9+/_=-]{16,}+")
_CLAUSE_END = re.compile(r"(?<!\.)[.;,{}](?=\s)|[\r\n](?!$)")
_BEFORE = re.compile(r"[A-Za-z][\w-]*+")
_ID = re.compile(
    r"(?:(?:[a-z]*[_-])?id|[a-z]+I[dD]|[ou]id|[cu]{1,2}id|txn?id|\w*orders?|trades?|fills?|accounts?|positions?|deposits?|withdrawals?|transfers?|transactions?|txs?|hash(?:es)?"
    r"|address|contracts?|blocks?|requests?|traces?|spans?|sha\w*|md5|digest|commit)",
    re.IGNORECASE,
)
_QUOTE = re.compile(r"[bBrRuU]{0,2}(\"\"\"|\x27\x27\x27|\\*+[\"'`])")
_TO_QUOTE = {quote: re.compile(rf"(?>(?:[^{quote}\\]++|\\.)*)", re.DOTALL) for quote in "\"'`"}
# With the lines on which a header goes on, which begin with a blank.
_LINE = re.compile(r"(?>(?:[^\r\n\\]++|\\(?![rn])|(?:\r?\n|(?:\\r)?\\n)[ \t])*)")
_ONE_TOKEN = re.compile(r"(?:bearer|basic|token|apikey|bot|key)[ \t]++[^\s\"'\\,;]++", re.IGNORECASE)
_SCHEME = re.compile(r"(?:bearer|basic|token)[ \t]++(?=\S)", re.IGNORECASE)
# A delimiter belongs to the value where no blank, end or further field follows it.
_VALUE = re.compile(
    r"(?>(?:[^\s,;&\"'`}\])<>\\]++|[,;}\])<>\\](?![\s\"'\\nrt,;}\])]|$|[\w.-]{0,40}[\"']?[=:])|[\"'`](?=\w)|&(?![\w.%\[\]-]*=|$|\s))+)"
)
_PHRASE = re.compile(r"(?>(?:[^\r\n,;&\"'`}\])<>\\ \t]++|[ \t](?![\w.-]{1,40}[\"']?[=:]|[\r\n]|$))+)")
_HARMLESS = re.compile(
    r"(?:none|null|true|false|undefined|nan|yes|no|on|off|ok|[+-]\d?|\*+|<[^>]*>|\[?redacted\]?|)[.!]?", re.IGNORECASE
)
_CLAUSE = re.compile(r"[^\r\n\"'\\{}\[\]();:=&<>]{0,300}+")
_SENTENCE = re.compile(r"[A-Za-z]+(?:['-][A-Za-z]+)*[.!?]?(?:,? [A-Za-z]+(?:['-][A-Za-z]+)*[.!?]?){0,24}")
_REASONS = frozenset(
    (
        "a", "access", "active", "all", "allowed", "already", "amount", "an", "and", "api", "are", "at",
        "authentication", "bad", "balance", "be", "been", "belongs", "blocked", "by", "can", "cannot", "cant",
        "check", "correct", "denied", "deprecated", "did", "disabled", "does", "doesn't", "don't", "duplicate",
        "empty", "error", "exceeded", "exceeds", "exist", "exists", "expired", "failed", "failure", "for",
        "forbidden", "format", "found", "has", "have", "header", "in", "inactive", "incorrect", "insufficient",
        "invalid", "ip", "is", "isn't", "it", "its", "length", "limit", "long", "low", "lower", "malformed", "many",
        "match", "matched", "matches", "mismatch", "mismatched", "missing", "must", "needed", "needs", "no", "nor",
        "not", "of", "old", "on", "only", "or", "our", "out", "owner", "parameter", "permission", "permissions",
        "please", "read-only", "recognized", "refused", "rejected", "required", "reset", "restricted", "revoked",
        "short", "should", "small", "stale", "supported", "suspended", "temporarily", "than", "that", "the", "this",
        "to", "too", "unauthorized", "unknown", "unrecognized", "unsupported", "unused", "used", "valid", "value",
        "verification", "verified", "was", "were", "whitelist", "whitelisted", "window", "with", "without", "wrong",
        "you", "your",
    )
)  # fmt: skip
_COMPLAINT = re.compile(
    r"(?:^|[^a-z])(?:invalid|wrong|bad|incorrect|missing|unknown|expired|no|empty|malformed|rejected)"
    r"[ \t_-]+(?:[\w-]+[ \t]+)?$",
    re.IGNORECASE,
)


# A colour of a terminal, whose last letter stands before the name.
_COLOURED = re.compile(r"^[0-9]{1,3}m(?=\w)")


# The value of a quoted name that is followed by a sign itself is the name of the next field.
_NEXT = re.compile(r"\\*+[\"'`][ \t]*+[:=]")
_BRACKETS = ("(", "[", "{")
_BRACKET = re.compile(r"[()\[\]{}]")
# A line of source in a traceback: `key = config["x"]`.
_SOURCE = re.compile(r"[ \t]?[A-Za-z_][A-Za-z_.]*+[\[(]")
_AMOUNT = re.compile(r"[0-9]{1,6}(?![\w.])")
_NUMBER = re.compile(r"[0-9]{1,20}(?![\w.])")

NEAR = 60
"""Characters before a word in which the name of a secret is looked for."""

ADDRESS = 42
"""Characters of an address of Ethereum."""


class Span(NamedTuple):
    """Part of a text that is to be hidden."""

    start: int
    end: int


def without_values(text: str) -> str:
    """Return a text in which the values of fields with a secret's name are hidden; words of a sentence stay."""
    if "alue" in text or "ALUE" in text:
        text = _PAIR.sub(_pair, text)
    if "<" in text:
        text = _ELEMENT.sub(_element, text)
    if "name=" in text:
        text = _PART.sub(_part, text)
    text = _replaced(text, _spans(text))
    text = _replaced(text, _calls(text))
    if "-" in text:
        text = _USER.sub(rf"\1\2:{HIDDEN}", _OPTION.sub(_option, text))
        text = _SHORT_OPTION.sub(rf"\1{HIDDEN}", text)
    text = _IS.sub(rf"\1{HIDDEN}", _LOGIN.sub(rf"\1{HIDDEN}", _SAID.sub(_said, text)))
    return _RANDOM.sub(_random, text)


def _replaced(text: str, spans: Iterator[Span]) -> str:
    pieces, at = [], 0
    for start, end in spans:
        pieces += [text[at:start], HIDDEN]
        at = end
    return "".join((*pieces, text[at:]))


def _calls(text: str) -> Iterator[Span]:
    """Yield the arguments of calls such as `BasicAuth('bob', 'x')`."""
    at = 0
    while found := _CALL.search(text, at):
        at = _group(text, found.end())
        yield Span(found.end() + 1, max(found.end() + 1, at - 1))


def _element(found: re.Match[str]) -> str:
    attribute = _ATTRIBUTE.search(found[3])
    hidden = is_secret(found[2]) or (attribute is not None and is_secret(attribute[1]))
    return f"{found[1]}{HIDDEN}" if hidden and not _HARMLESS.fullmatch(found[4].strip()) else found[0]


def _part(found: re.Match[str]) -> str:
    return f"{found[1]}{HIDDEN}" if is_secret(found[2]) else found[0]


def _said(found: re.Match[str]) -> str:
    harmless = _HARMLESS.fullmatch(found[3]) or _says_why(found[3])
    return found[0] if harmless else f"{found[1]}{found[2]}{HIDDEN}{found[2]}"


def _pair(found: re.Match[str]) -> str:
    return f"{found[1]}{found[2]}{found[3]}{HIDDEN}" if is_secret(found[2]) else found[0]


def _random(found: re.Match[str]) -> str:
    """Hide what looks drawn by lot a few words after a secret's name; the address of a contract is that of a token."""
    word = found[0]
    if (len(word) == ADDRESS and word.startswith("0x")) or not is_random(word):
        return word
    clause = _CLAUSE_END.split(found.string[max(0, found.start() - NEAR) : found.start()])[-1]
    for before in reversed(_BEFORE.findall(clause)[-4:]):
        if _ID.fullmatch(before):
            return word
        if is_secret(before):
            return HIDDEN
    return word


def _option(found: re.Match[str]) -> str:
    if not is_secret(found["name"]) or found["value"].lower() in _REASONS or HIDDEN in found["value"]:
        return found[0]
    quote = found["value"][0] if found["value"][0] in "\"'" else ""
    return found[0][: found.start("value") - found.start()] + quote + HIDDEN


def _spans(text: str) -> Iterator[Span]:
    at = 0
    while found := _FIELD.search(text, at):
        at = found.end()
        name = _name(text, found)
        if not is_secret(name) or not _is_field(text, found):
            # The sign may be the end of this field's name only: in `x: key=1` the next name begins here.
            continue
        span = _value(text, found, name)
        if span is not None:
            yield span
            at = max(at, span.end)


def _name(text: str, found: re.Match[str]) -> str:
    """Return the name of a field without the letter of an escape before it: of a colour, or of a line's end."""
    name = found["name"]
    if text[found.start() - 1 : found.start()] == "\\" and name[0] in "nrt":
        return name[1:]
    return _COLOURED.sub("", name)


def _is_field(text: str, found: re.Match[str]) -> bool:
    if found["sign"] == ",":  # a pair, as in a list of headers: both are quoted
        return bool(found["close"]) and _QUOTE.match(text, found.end()) is not None
    return True


def _value(text: str, found: re.Match[str], name: str) -> Span | None:
    start = found.end()
    quote = _QUOTE.match(text, start)
    if quote is not None:
        return _quoted(text, quote, found["sign"], name)
    if _is_harmless(text, found, name):
        return None
    called = _CLASS.match(text, start)
    if called or text[start : start + 1] in _BRACKETS:
        return Span(start, _group(text, called.end() if called else start))
    if is_header(name):
        return _span(text, start, _header(text, start, around=text[found.start() - 1 : found.start()]))
    is_phrase = may_be_phrase(name) and found["sign"] != "="
    return _span(text, start, (_phrase if is_phrase else _plain)(text, start))


def _quoted(text: str, quote: re.Match[str], sign: str, name: str) -> Span | None:
    end = _closing(text, quote.end(), quote[1])
    value = text[quote.end() : end]
    pair = sign == "," and (is_secret(value) or _NEXT.match(text, end) is not None)
    says = not may_be_phrase(name) and " " in value and _says_why(value)
    return None if _HARMLESS.fullmatch(value) or pair or says else Span(quote.end(), end)


def _is_harmless(text: str, found: re.Match[str], name: str) -> bool:
    """Return whether what follows a name is a sentence about the secret, a line of source or an amount."""
    start = found.end()
    if found["sign"] != "=" and _is_reason(text, found):
        return True
    if found["blank"] and found["sign"] == "=" and _SOURCE.match(text, start):
        return True
    if may_be_number(name) and _NUMBER.match(text, start):
        return True
    return name[-1:] in "sS" and _AMOUNT.match(text, start) is not None and not may_be_phrase(name)


def _group(text: str, start: int) -> int:
    """Return where a group in brackets ends, or the text."""
    depth = 0
    for found in _BRACKET.finditer(text, start):
        depth += 1 if found[0] in _BRACKETS else -1
        if depth == 0:
            return found.end()
    return len(text)


def _span(text: str, start: int, end: int) -> Span | None:
    return None if end <= start or _HARMLESS.fullmatch(text, start, end) else Span(start, end)


def _header(text: str, start: int, *, around: str) -> int:
    found = _ONE_TOKEN.match(text, start) or _TO_QUOTE.get(around, _LINE).match(text, start)
    return found.end() if found else start


def _phrase(text: str, start: int) -> int:
    found = _PHRASE.match(text, start)
    return max(found.end() if found else start, _plain(text, start))


def _plain(text: str, start: int) -> int:
    scheme = _SCHEME.match(text, start)
    start = scheme.end() if scheme else start
    found = _VALUE.match(text, start)
    return found.end() if found else start


def _closing(text: str, start: int, quote: str) -> int:
    """Return where a quoted value ends: at its closing quote, which no further backslash escapes, or with the text."""
    if quote in _TO_QUOTE:
        found = _TO_QUOTE[quote].match(text, start)
        return found.end() if found else len(text)
    closing = re.compile(rf"(?<!\\){re.escape(quote)}").search(text, start)
    return closing.start() if closing else len(text)


def _is_reason(text: str, found: re.Match[str]) -> bool:
    """Return whether what follows a name is a sentence about the secret, as in `Invalid nonce: too low`."""
    end = _CLAUSE.match(text, found.end())
    clause = end[0].strip() if end else ""
    if end and text.startswith("=", end.end()):  # the first pair of several, as in a cookie
        return False
    if not _says_why(clause):
        return False
    if not may_be_phrase(found["name"]):
        return True
    return _COMPLAINT.search(text[max(0, found.start() - 40) : found.start()]) is not None


def _says_why(clause: str) -> bool:
    if not clause or not _SENTENCE.match(clause):
        return False
    words = clause.split(" ")[:24]
    if not all(_SENTENCE.fullmatch(word.rstrip(",.!?")) for word in words[:6] if word.rstrip(",.!?")):
        return False
    return any(word.rstrip(",.!?").lower() in _REASONS for word in words[:6])
