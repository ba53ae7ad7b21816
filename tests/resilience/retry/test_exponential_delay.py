"""The delays are exactly those of the contract."""

import pytest

from peak_observe.resilience.retry.backoff import decorrelated, exponential_delay, jittered


def test_delays_double_up_to_the_cap() -> None:
    """1, 2, 4, 8 … and never above the cap."""
    delays = [exponential_delay(attempt, base=1.0, cap=60.0, exponential=True) for attempt in range(1, 9)]
    assert delays == [1, 2, 4, 8, 16, 32, 60, 60]


def test_the_base_scales_them() -> None:
    """Half a second doubles to a second."""
    assert [exponential_delay(n, base=0.5, cap=3.0, exponential=True) for n in (1, 2, 3, 4)] == [0.5, 1, 2, 3]


def test_a_base_above_the_cap_is_cut_at_once() -> None:
    """The cap holds for the first delay too."""
    assert exponential_delay(1, base=90.0, cap=60.0, exponential=True) == 60.0


def test_constant_delays_are_the_base() -> None:
    """`exponential=False` never grows."""
    assert [exponential_delay(n, base=2.0, cap=60.0, exponential=False) for n in (1, 2, 50)] == [2, 2, 2]


@pytest.mark.parametrize("attempt", [1025, 10**6])
def test_a_great_many_attempts_overflow_nothing(attempt: int) -> None:
    """2 to the power of a million is no float; the cap is reached long before."""
    assert exponential_delay(attempt, base=1e-9, cap=60.0, exponential=True) == 60.0


def test_no_base_is_no_delay() -> None:
    """0 doubles to 0."""
    assert exponential_delay(10, base=0.0, cap=60.0, exponential=True) == 0.0


@pytest.mark.parametrize(
    ("share", "chance", "expected"),
    [(1.0, 0.0, 8.0), (1.0, 0.75, 2.0), (0.5, 1.0, 4.0), (0.1, 0.5, 7.6), (0.0, 0.9, 8.0)],
)
def test_jitter_only_shortens(share: float, chance: float, expected: float) -> None:
    """So a cap stays a cap, and the full delay is the longest."""
    assert jittered(8.0, share=share, chance=chance) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("previous", "chance", "expected"), [(0.0, 0.0, 1.0), (0.0, 1.0, 3.0), (4.0, 0.5, 6.5), (50.0, 0.9, 60.0)]
)
def test_decorrelated_delays_grow_from_the_one_before(previous: float, chance: float, expected: float) -> None:
    """Between the base and three times that, up to the cap."""
    assert decorrelated(previous, base=1.0, cap=60.0, chance=chance) == expected


def test_decorrelated_delays_never_leave_their_bounds() -> None:
    """However often, with the worst of luck."""
    delay = 0.0
    for _ in range(2000):
        delay = decorrelated(delay, base=1.0, cap=60.0, chance=1.0)
        assert 1.0 <= delay <= 60.0
