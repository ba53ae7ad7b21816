"""Orders of the journal."""

from tests.monitoring.cases.case import Case, series


def oldest(values: str) -> dict[str, str]:
    """Return the age of the oldest order of unknown fate."""
    return series("peak_orders_oldest_pending_seconds", values, exchange="kraken")


CASES = [
    Case("PeakOrderUnresolved", "for ten minutes", [oldest("0x5 0+60x10 0x30")], {14: ("critical",)}, (9, 30)),
    Case("PeakOrderUnresolved", "is found out within seconds", [oldest("0x5 15 0x30")], silent=(6, 20)),
    Case("PeakOrderUnresolved", "there is none", [oldest("0x60")], silent=(30,)),
]
