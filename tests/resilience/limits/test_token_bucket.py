"""The token bucket beside the plainest model of one: a number of tokens, and the same clock with its jumps."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from peak_observe.resilience.limits.token_bucket import Bucket, Slot

STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("pass"), st.integers(0, 5000)),
        st.tuples(st.just("ask"), st.sampled_from([0, 100, 1000, 10_000])),
        st.tuples(st.just("step back"), st.integers(1, 10_000_000)),
        st.tuples(st.just("jump"), st.integers(1_000_000, 10_000_000)),
    ),
    max_size=80,
)


class Model:
    """Tokens that drip in and are taken, also those of the future: then their number is below 0."""

    def __init__(self, interval: Fraction, burst: int) -> None:
        self.interval, self.burst, self.tokens = interval, burst, Fraction(burst)

    def let_pass(self, seconds: Fraction) -> None:
        """Let tokens drip in."""
        self.tokens = min(Fraction(self.burst), self.tokens + seconds / self.interval)

    def ask(self, patience: Fraction) -> tuple[bool, Fraction]:
        """Take a token, and say for how long one waits for it."""
        wait = max(Fraction(0), (1 - self.tokens) * self.interval)
        if wait > patience:
            return False, wait
        self.tokens -= 1
        return True, wait


@given(interval=st.integers(1, 2000), burst=st.integers(1, 5), steps=STEPS)
def test_it_agrees_with_the_model(interval: int, burst: int, steps: list[tuple[str, int]]) -> None:
    """To the last digit, over long runs in which the clock jumps and steps back."""
    now = Fraction(1000)
    bucket, model = Bucket(Fraction(interval, 1000), burst, now), Model(Fraction(interval, 1000), burst)
    for step, number in steps:
        amount = Fraction(number, 1000)
        if step == "ask":
            slot = bucket.reserve(now, amount)
            admitted, wait = model.ask(amount)
            assert isinstance(slot, Slot) == admitted
            assert (slot.wait if admitted else slot) == wait
        elif step == "step back":
            now -= amount
        else:
            now += amount
            model.let_pass(amount)
        bucket.waiting(now)  # somebody looks: a way there and back that nobody saw is none


@given(burst=st.integers(1, 5), asked=st.integers(1, 12), back=st.data())
def test_slots_given_back_from_the_end_are_free_again(burst: int, asked: int, back: st.DataObject) -> None:
    """In whatever order they come back; the next one gets the first of those that nobody follows."""
    bucket = Bucket(Fraction(1), burst, Fraction(0))
    slots = [bucket.reserve(Fraction(0), Fraction(100)) for _ in range(asked)]
    returned = back.draw(st.lists(st.sampled_from(range(asked)), unique=True))
    for index in returned:
        bucket.give_back(slots[index], Fraction(0))
    kept = max((index for index in range(asked) if index not in returned), default=-1)
    follower = bucket.reserve(Fraction(0), Fraction(100))
    assert follower.wait == max(0, kept + 2 - burst)


def test_a_step_back_takes_no_tokens_away_and_costs_no_time() -> None:
    """A limiter that counts from the wall clock would refuse for an hour."""
    bucket = Bucket(1.0, 1, 5000.0)
    assert bucket.reserve(5000.0, 0).wait == 0
    assert bucket.reserve(1400.0, 10) == Slot(1.0, 2.0, 1.0)
    assert bucket.reserve(1402.0, 0).wait == 0


def test_a_long_pause_gives_no_more_than_the_burst() -> None:
    """A laptop that slept does not storm the exchange."""
    bucket = Bucket(0.1, 3, 0.0)
    found = [bucket.reserve(1e6, 0) for _ in range(4)]
    assert [isinstance(slot, Slot) for slot in found] == [True, True, True, False]
    assert found[3] == pytest.approx(0.1)


def test_those_that_wait_are_counted_by_the_time_alone() -> None:
    """As their turns come, they are fewer."""
    bucket = Bucket(1.0, 2, 0.0)
    slots = [bucket.reserve(0.0, 100) for _ in range(5)]
    assert [bucket.waiting(now) for now in (0.0, 1.0, 1.5, 2.0, 3.0, 99.0)] == [3, 2, 2, 1, 0, 0]
    assert slots[-1].wait == 3


def test_one_that_gave_up_in_the_middle_is_not_counted_among_them() -> None:
    """Its turn passes unused, as those behind it know when theirs is."""
    bucket = Bucket(1.0, 1, 0.0)
    slots = [bucket.reserve(0.0, 100) for _ in range(4)]
    bucket.give_back(slots[2], 0.0)
    assert bucket.waiting(0.0) == 2
    assert bucket.reserve(0.0, 100).wait == 4


def test_a_thousand_years_of_calls_are_as_even_as_the_first() -> None:
    """What floats leave over is no wait."""
    bucket, now = Bucket(0.1, 1, 0.0), 0.0
    for _ in range(5000):
        assert isinstance(bucket.reserve(now, 0), Slot)
        now += 0.1
