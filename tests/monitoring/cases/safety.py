"""Trading switches and their guards."""

from tests.monitoring.cases.case import Case, series


def reason(values: str, text: str = "halted: fat finger") -> dict[str, str]:
    """Return whether trading is stopped for a reason."""
    return series("peak_trading_reason", values, switch="main", reason=text)


def trips(values: str, limit: str = "orders") -> dict[str, str]:
    """Return how often a limit of a guard was exceeded."""
    return series("peak_guard_trips_total", values, guard="main.orders", reason=limit)


def headroom(values: str) -> dict[str, str]:
    """Return what is left of a guard's tightest limit."""
    return series("peak_guard_headroom_ratio", values, guard="main.orders")


CASES = [
    Case(
        "PeakTradingHalted",
        "is halted and resumed",
        [reason("_x5 1x20 0x30")],
        {7: ("warning",), 24: ("warning",)},
        (3, 28),
    ),
    Case("PeakTradingHalted", "was halted before", [reason("0x30")], silent=(2, 20)),
    Case(
        "PeakTradingHalted",
        "is halted for another reason",
        [reason("1x10 0x30"), reason("_x10 1x10 0x20", "halted: drawdown")],
        {5: ("warning",), 15: ("warning",)},
        (30,),
    ),
    Case("PeakGuardTripped", "trips once", [trips("0x5 1x60"), trips("0x66", "same")], {8: ("critical",)}, (4, 40)),
    Case("PeakGuardTripped", "never trips", [trips("0x60")], silent=(5, 40)),
    Case("PeakGuardNear", "fills and empties", [headroom("1x5 0.1x20 1x60")], {10: ("warning",)}, (4, 50)),
    Case("PeakGuardNear", "has enough left", [headroom("0.25x40")], silent=(10, 30)),
]
