"""Exchanges."""

from tests.monitoring.cases.case import BOTH, Case, series


def requests(outcome: str, values: str, endpoint: str = "POST AddOrder") -> dict[str, str]:
    """Return the requests to an endpoint."""
    return series("peak_exchange_requests_total", values, exchange="kraken", endpoint=endpoint, outcome=outcome)


def writes(outcome: str, values: str) -> dict[str, str]:
    """Return the requests that change something."""
    return series("peak_exchange_writes_total", values, exchange="kraken", outcome=outcome)


def banned(values: str) -> dict[str, str]:
    """Return the end of a ban."""
    return series("peak_exchange_banned_until_timestamp_seconds", values, exchange="kraken")


def age(kind: str, values: str) -> dict[str, str]:
    """Return the age of market data."""
    return series("peak_exchange_data_age_seconds", values, exchange="kraken", kind=kind)


def limit(kind: str, values: str) -> dict[str, str]:
    """Return the age past which market data are stale."""
    return series("peak_exchange_data_max_age_seconds", values, exchange="kraken", kind=kind)


def gaps(values: str) -> dict[str, str]:
    """Return how many candles were missing."""
    return series("peak_exchange_candle_gaps_total", values, exchange="kraken")


def used(values: str) -> dict[str, str]:
    """Return the share of the rate limit that is used up."""
    return series("peak_exchange_rate_limit_used_ratio", values, exchange="kraken")


def skew(values: str) -> dict[str, str]:
    """Return how far the exchange's clock is ahead."""
    return series("peak_exchange_clock_skew_seconds", values, exchange="kraken")


def slow(requests: str, slow: str) -> list[dict[str, str]]:
    """Return the requests that have a latency budget, and those that took longer."""
    by = {"exchange": "kraken", "group": "trade"}
    return [
        series("peak_exchange_budgeted_requests_total", requests, **by),
        series("peak_exchange_slow_requests_total", slow, **by),
    ]


UP = series("up", "1x200")
CASES = [
    Case(
        "PeakExchangeSlow",
        "a tenth is slow for a while",
        slow("0+10x90", "0x5 0+1x20 20x60"),
        {20: ("warning",)},
        (6, 80),
    ),
    Case(
        "PeakExchangeSlow",
        "few orders, all of them slow",
        slow("0x5 1x5 2x5 3x60", "0x5 1x5 2x5 3x60"),
        {20: ("warning",)},
        (12, 65),
    ),
    Case("PeakExchangeSlow", "one in fifty is slow", slow("0+50x60", "0+1x60"), silent=(12, 40)),
    Case("PeakExchangeSlow", "a single one is slow", slow("0x5 4x30", "0x5 1x30"), silent=(12, 30)),
    Case(
        "PeakMarketDataGap", "three are missing", [gaps("0x10 3x120")], {12: ("warning",), 60: ("warning",)}, (9, 100)
    ),
    Case(
        "PeakMarketDataGap",
        "one each hour is one alert",
        [gaps("0x10 1x59 2x59 3x59 4x120")],
        dict.fromkeys((12, 40, 68, 72, 100, 128, 160, 188, 220), ("warning",)),
        (9, 285),
    ),
    Case("PeakMarketDataGap", "were missing long ago", [gaps("7x60")], silent=(1, 30)),
    Case(
        "PeakExchangeErrors",
        "a third fails, then none",
        [requests("success", "0+20x20 430+30x60"), requests("transient", "0+10x20 200x60")],
        {12: ("warning",)},
        (4, 45),
    ),
    Case(
        "PeakExchangeErrors",
        "the key is refused",
        [requests("success", "5x40"), requests("auth", "0+10x40")],
        silent=(12, 30),
    ),
    Case(
        "PeakExchangeKeyRefused",
        "until it is changed",
        [requests("auth", "0x5 0+1x10 10x60")],
        {12: ("critical",)},
        (4, 45),
    ),
    Case(
        "PeakExchangeKeyRefused",
        "the circuit lets one request through in five minutes",
        [requests("auth", "0x5 1x5 2x5 3x5 4x5 5x5 6x5 7x5")],
        {25: ("critical",), 40: ("critical",)},
    ),
    Case("PeakExchangeKeyRefused", "once", [requests("auth", "0x5 1x60")], silent=(8, 30)),
    Case("PeakExchangeKeyRefused", "restarts", [requests("auth", "9x5 0x60")], silent=(8, 30)),
    Case(
        "PeakExchangeDown",
        "maintenance while circuits let a probe through a minute",
        [requests("success", "0+20x10 200x30 200+20x60"), requests("maintenance", "0x10 0+1x30 30x60")],
        {30: ("critical",)},
        (9, 70),
    ),
    Case(
        "PeakExchangeDown",
        "one endpoint of two fails",
        [requests("success", "0+99x40", "GET Ticker"), requests("transient", "0+1x40")],
        silent=(20, 40),
    ),
    Case(
        "PeakExchangeDown", "what fails is ours", [requests("auth", "0+9x40"), requests("bug", "0+9x40")], silent=(20,)
    ),
    Case(
        "PeakExchangeErrors",
        "one endpoint of two fails",
        [requests("success", "0+99x40", "GET Ticker"), requests("success", "0x40"), requests("transient", "0+1x40")],
        {20: BOTH},
    ),
    Case(
        "PeakExchangeErrors",
        "a gap in the scrapes",
        [requests("success", "0x40"), requests("transient", "0+10x10 _x4 150+10x20")],
        {12: BOTH, 25: BOTH},
    ),
    Case(
        "PeakExchangeErrors",
        "orders are refused",
        [requests("success", "0+1x40"), requests("rejected", "0+10x40")],
        silent=(12, 40),
    ),
    Case(
        "PeakExchangeErrors",
        "one of few fails",
        [requests("success", "0x40"), requests("transient", "0x5 1x30")],
        silent=(10, 15, 30),
    ),
    Case(
        "PeakExchangeErrors",
        "restarts",
        [requests("success", "900x10 0+10x30"), requests("transient", "500x10 0x30")],
        silent=(11, 18, 30),
    ),
    Case(
        "PeakExchangeFateUnknown",
        "an answer is lost",
        [UP, writes("ambiguous", "0x5 1x1600")],
        {6: ("critical",), 600: ("critical",), 1400: ("critical",)},
        (4, 1500),
    ),
    Case(
        "PeakExchangeFateUnknown",
        "the answer to the first order is lost",
        [series("up", "1x1600"), writes("ambiguous", "_x20 1x1600")],
        {22: ("critical",), 45: ("critical",), 1400: ("critical",)},
        (19, 1550),
    ),
    Case(
        "PeakExchangeFateUnknown",
        "one is known when Prometheus begins",
        [UP, writes("ambiguous", "3x60")],
        silent=(1, 10, 20),
    ),
    Case("PeakExchangeFateUnknown", "restarts", [UP, writes("ambiguous", "5x10 0x30")], silent=(11, 25)),
    Case(
        "PeakExchangeFateUnknown",
        "is back after a while",
        [series("up", "1x10 0x20 1x40"), writes("ambiguous", "5x10 stale _x19 5x40")],
        silent=(20, 32, 45, 55),
    ),
    Case(
        "PeakExchangeFateUnknown",
        "reads fail and orders are refused",
        [UP, requests("transient", "0+1x30"), writes("rejected", "0+1x30")],
        silent=(10, 30),
    ),
    Case("PeakExchangeBanned", "for 25 minutes", [banned("0x5 1800x60")], {9: ("warning",), 25: BOTH}, (5, 40)),
    Case(
        "PeakExchangeBanned",
        "for 90 seconds in every two minutes",
        [banned("0x5 390x1 510x1 630x1 750x1 870x1 990x1 1110x1 1230x1 1350x1 1470x1 1590x1 1710x1")],
        {10: ("warning",), 22: BOTH, 28: BOTH},
        (4,),
    ),
    Case("PeakExchangeRateLimitNear", "and eases", [used("0.5x5 0.99x30 0.4x30")], {20: ("warning",)}, (8, 55)),
    Case("PeakExchangeRateLimitNear", "for a moment", [used("0.5x5 0.99 0.4x30")], silent=(6, 20)),
    Case("PeakExchangeBanned", "for some seconds", [banned("0x5 375x30")], silent=(6, 7, 20)),
    Case("PeakExchangeBanned", "never", [banned("0x60")], silent=(30, 60)),
    Case(
        "PeakMarketDataStale",
        "nothing comes in for half an hour",
        [age("ticker_received", "1x120 61+60x30 1x60"), limit("ticker_received", "300x220")],
        {130: ("warning",), 145: BOTH},
        (124, 165),
    ),
    Case(
        "PeakMarketDataStale",
        "old prices come in",
        [age("ticker", "2x120 62+60x30 2x60"), age("ticker_received", "1x200"), limit("ticker", "300x220")],
        {130: ("warning",), 145: BOTH},
        (124, 165),
    ),
    Case(
        "PeakMarketDataStale",
        "for more than a day",
        [age("candles", "1x10 61+60x1560"), limit("candles", "300x1580")],
        {60: BOTH, 1550: BOTH},
        (5,),
    ),
    Case(
        "PeakMarketDataStale",
        "a price is asked for once",
        [age("ticker_received", "0+60x120"), limit("ticker_received", "NaN NaN NaN NaN")],
        silent=(30, 100),
    ),
    Case(
        "PeakMarketDataStale",
        "a price is asked for each hour",
        [age("ticker_received", "0+60x59 0+60x59 0+60x59"), limit("ticker_received", "10800x200")],
        silent=(59, 100, 170),
    ),
    Case(
        "PeakMarketDataStale",
        "candles of a day",
        [age("candles", "1x120 0+60x60"), limit("candles", "86400x200")],
        silent=(150, 180),
    ),
    Case(
        "PeakExchangeQuiet",
        "asks all day, then no more, then again",
        [requests("success", "0+2x600 1200x300 1200+2x60")],
        {700: ("warning",), 880: ("warning",)},
        (610, 950),
    ),
    Case(
        "PeakExchangeQuiet", "asks once an hour", [requests("success", "0x60 1x60 2x60 3x60 4x60")], silent=(200, 290)
    ),
    Case("PeakMarketDataStale", "nothing has been asked for", [age("ticker", "NaN NaN NaN NaN NaN")], silent=(2, 4)),
    Case("PeakExchangeClockSkew", "45 seconds ahead", [skew("0x5 45x20 0x30")], {14: BOTH}, (9, 35)),
    Case("PeakExchangeClockSkew", "behind, then right", [skew("0x5 -3x20 0x30")], {14: ("warning",)}, (9, 35)),
    Case("PeakExchangeClockSkew", "within what a header can tell", [skew("1.4x40")], silent=(20, 40)),
    Case(
        "PeakExchangeErrorBudgetBurn",
        "a fifth fails for an hour",
        [requests("success", "0+8x60 490+10x120"), requests("transient", "0+2x60 120x120")],
        {20: BOTH, 60: BOTH, 80: ("warning",)},
        (3, 110),
    ),
    Case(
        "PeakExchangeErrorBudgetBurn",
        "one in twelve fails",
        [requests("success", "0+23x100"), requests("maintenance", "0+2x100")],
        {60: ("warning",), 90: ("warning",)},
    ),
    Case(
        "PeakExchangeErrorBudgetBurn",
        "two of three fail",
        [requests("success", "0x5 1x60"), requests("transient", "0x5 1x5 2x60")],
        silent=(8, 15, 40),
    ),
    Case(
        "PeakExchangeErrorBudgetBurn",
        "what fails is ours",
        [
            requests("success", "0+1x90"),
            requests("transient", "0x90"),
            *(requests(outcome, "0+9x90") for outcome in ("auth", "rejected", "rate_limited", "clock", "bug")),
        ],
        silent=(10, 60, 90),
    ),
    Case(
        "PeakExchangeErrorBudgetLow",
        "one in twenty fails for hours",
        [requests("success", "0+19x200 3800+20x300"), requests("transient", "0+1x200 200x300")],
        {390: ("warning",)},
        (990,),
        step="2m",
    ),
    Case(
        "PeakExchangeErrorBudgetLow",
        "one in two hundred fails",
        [requests("success", "0+199x300"), requests("transient", "0+1x300")],
        silent=(300, 590),
        step="2m",
    ),
    Case(
        "PeakExchangeErrorBudgetBurn",
        "restarts",
        [requests("success", "9000x10 0+10x60"), requests("transient", "500x10 0x60")],
        silent=(11, 12, 30),
    ),
    Case(
        "PeakExchangeErrorBudgetBurn",
        "starts afresh",
        [requests("success", "_x5 0+10x60"), requests("transient", "_x5 0x60")],
        silent=(6, 30),
    ),
]
