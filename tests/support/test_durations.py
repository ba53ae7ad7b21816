"""Durations as people write them."""

import pytest

from peak_observe.support import durations


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (60, 60),
        (0.5, 0.5),
        ("90", 90),
        ("90 s", 90),
        ("5min", 300),
        ("24h", 86_400),
        ("7d", 604_800),
        ("2w", 1_209_600),
    ],
)
def test_times(value: float | str, seconds: float) -> None:
    """Seconds, or a number with its unit."""
    assert durations.seconds(value) == seconds
