"""Phrases that mean the same on every exchange, for errors that neither its dialect nor ccxt knows."""

from __future__ import annotations

import re

DUPLICATE_ID = re.compile(
    r"(?:duplicat\w*|repeated)\W{1,3}(?:client|cl_?ord|order ?link|cloid|ext\w*oid|order (?:id|sent))"
    r"|(?:client(?!_?tran)\w*|cl_?ord_?id|order_?link\w*|cloid|\boid)\b[^.\"]{0,30}"
    r"(?:duplicat|repeated|not unique|already (?:exist|used|in use|been used|taken))",
    re.IGNORECASE,
)
_STALE = (
    r"(?:expired|invalid|incorrect|wrong|outside|out of|too (?:old|far|late|early|small|low|high)|ahead|behind|used|"
    r"not (?:in|within)|differ\w*|drift\w*|skew\w*|must be (?:greater|within|increas\w*|larger|higher)|exceed\w*|"
    r"duplicate)"
)
_CLOCKS = (
    r"(?:nonce|recv_?window|timestamp for this request|request[-_ ]?time(?:stamp)?|server[-_ ]?time|"
    r"system (?:time|clock))"
)
CLOCK = re.compile(
    rf"\b{_CLOCKS}\b[^.\"]{{0,60}}\b{_STALE}\b|\b{_STALE}\b[^.\"]{{0,20}}\b{_CLOCKS}\b|\brequest (?:has |is )?expired",
    re.IGNORECASE,
)
TIMESTAMP = re.compile(
    rf"\b\w*timestamp\b[^.\"]{{0,60}}\b{_STALE}\b|\b{_STALE}\b[^.\"]{{0,20}}\b\w*timestamp\b", re.IGNORECASE
)
UNSURE = re.compile(
    r"time[d ]?-? ?out\b|internal (?:server |system |service )?error|system (?:is )?(?:error|busy|abnormal|exception)|"
    r"ser(?:ver|vice) (?:is )?(?:temporarily )?(?:error|busy|unavailable)|(?:unknown|unexpected) error|status unknown|"
    r"try again later|being processed|(?:still|in) process",
    re.IGNORECASE,
)
LIMIT = re.compile(
    r"too many (?:requests|visits|calls)|rate ?limit(?:ed| exceeded| reached)|too frequent|request frequency|throttled",
    re.IGNORECASE,
)
MAINTENANCE = re.compile(
    r"under (?:\w+ )?maintenance|being upgraded|system(?: is \w+)? upgrad\w+|due to the upgrade", re.IGNORECASE
)
