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


@pytest.mark.parametrize("value", [0.00001, 1e-300, 10**9, 3e9])
def test_numbers_of_any_size(value: float) -> None:
    """Also those that Python writes with an exponent."""
    assert durations.seconds(value) == value


@pytest.mark.parametrize("value", ["", "x", "-1", 0, -1, float("nan"), -float("inf"), True, None, [], "1e3", b"5", 1j])
def test_no_times(value: object) -> None:
    """One error that says what is taken."""
    with pytest.raises(ValueError, match="more than 0 seconds, or a time like '24h'"):
        durations.seconds(value)


@pytest.mark.parametrize("value", [float("inf"), 1e300, 10**400, "9" * 400, "36501d"])
def test_no_time_is_longer_than_a_hundred_years(value: float | str) -> None:
    """No clock or calendar goes so far."""
    with pytest.raises(ValueError, match="at most a hundred years"):
        durations.seconds(value)
