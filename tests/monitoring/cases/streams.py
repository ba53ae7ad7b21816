"""Websockets."""

from tests.monitoring.cases.case import Case, series

STREAM = {"exchange": "kraken", "stream": "ticker", "group": "all"}


def silence(values: str) -> dict[str, str]:
    """Return for how long a stream is silent."""
    return series("peak_stream_silence_seconds", values, **STREAM)


def allowed(values: str) -> dict[str, str]:
    """Return for how long it may be."""
    return series("peak_stream_max_silence_seconds", values, **STREAM)


def breaks(code: str, values: str) -> dict[str, str]:
    """Return the websockets that broke."""
    return series("peak_stream_breaks_total", values, exchange="kraken", code=code)


def dials(outcome: str, values: str) -> dict[str, str]:
    """Return the attempts to open a websocket."""
    return series("peak_stream_dials_total", values, exchange="kraken", outcome=outcome)


CASES = [
    Case(
        "PeakStreamSilent",
        "for ten minutes, then it speaks",
        [silence("0x5 60+60x10 0x50"), allowed("60x70")],
        {9: ("critical",)},
        (5, 40),
    ),
    Case("PeakStreamSilent", "for as long as is allowed", [silence("60x60"), allowed("60x60")], silent=(10, 60)),
    Case(
        "PeakStreamSilent", "nobody said how long", [silence("0+60x60"), allowed(" ".join(["NaN"] * 60))], silent=(30,)
    ),
    Case("PeakStreamSilent", "nobody watches it", [silence(" ".join(["NaN"] * 60)), allowed("60x60")], silent=(30,)),
    Case(
        "PeakStreamFlapping",
        "breaks each minute, then it lasts",
        [breaks("1006", "0+1x20 20x60"), breaks("1012", "0x80"), dials("failed", "0x80"), dials("timeout", "0x80")],
        {15: ("warning",)},
        (4, 60),
    ),
    Case(
        "PeakStreamFlapping",
        "cannot be opened",
        [breaks("1006", "0x5 1x30"), dials("failed", "0x5 0+2x30"), dials("timeout", "0x35")],
        {20: ("warning",)},
    ),
    Case(
        "PeakStreamFlapping",
        "one break",
        [breaks("1006", "0x5 1x60"), dials("failed", "0x65"), dials("opened", "1x5 2x60")],
        silent=(12, 30),
    ),
]
