"""The token bucket beside the plainest model of one: a number of tokens, and the same time."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from peak_observe.resilience.limits.token_bucket import TokenBucket

STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("pass"), st.integers(0, 5000)),
        st.tuples(st.just("ask"), st.sampled_from([0, 100, 1000, 10_000])),
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

    def ask(self, weight: int, patience: Fraction) -> tuple[bool, Fraction]:
        """Take tokens, and say for how long one waits for them; a full bucket is enough for any weight."""
        wait = max(Fraction(0), (min(weight, self.burst) - self.tokens) * self.interval)
        if wait > patience:
            return False, wait
        self.tokens -= weight
        return True, wait


@given(
    interval=st.integers(1, 2000), burst=st.integers(1, 5), weights=st.lists(st.integers(1, 7), min_size=1), steps=STEPS
)
def test_it_agrees_with_the_model(interval: int, burst: int, weights: list[int], steps: list[tuple[str, int]]) -> None:
    """To the last digit, over long runs of calls of any weight."""
    time = Fraction(0)
    bucket, model = TokenBucket(Fraction(interval, 1000), burst), Model(Fraction(interval, 1000), burst)
    for number, (step, count) in enumerate(steps):
        amount, weight = Fraction(count, 1000), weights[number % len(weights)]
        if step == "ask":
            admitted, wait = model.ask(weight, amount)
            assert bucket.peek(time, weight) == wait
            if admitted:
                assert bucket.reserve(time, weight).at == time + wait
        else:
            time += amount
            model.let_pass(amount)


@given(burst=st.integers(1, 5), asked=st.integers(1, 40), back=st.data())
def test_turns_given_back_from_the_end_are_free_again(burst: int, asked: int, back: st.DataObject) -> None:
    """In whatever order they come back; the next one gets the first of those that nobody follows."""
    bucket = TokenBucket(Fraction(1), burst)
    turns = [bucket.reserve(Fraction(0)) for _ in range(asked)]
    returned = back.draw(st.lists(st.sampled_from(range(asked)), unique=True))
    for index in returned:
        bucket.give_back(turns[index], Fraction(0))
    kept = max((index for index in range(asked) if index not in returned), default=-1)
    assert bucket.reserve(Fraction(0)).at == max(0, kept + 2 - burst)


@given(weights=st.lists(st.integers(0, 9), min_size=2), burst=st.integers(1, 5))
def test_nobody_overtakes(weights: list[int], burst: int) -> None:
    """Turns come in the order in which they were reserved, whatever the calls weigh."""
    bucket = TokenBucket(Fraction(1), burst)
    turns = [bucket.reserve(Fraction(0), weight).at for weight in weights]
    assert turns == sorted(turns)


def test_a_long_pause_gives_no_more_than_the_burst() -> None:
    """A laptop that slept does not storm the exchange."""
    bucket = TokenBucket(0.1, 3)
    found = []
    for _ in range(4):
        found.append(bucket.peek(1e6))
        bucket.reserve(1e6)
    assert found == [0, 0, 0, pytest.approx(0.1)]


def test_a_call_heavier_than_the_bucket_waits_for_a_full_one_and_is_paid_for_afterwards() -> None:
    """So the rate holds in the long run for calls of any weight."""
    bucket = TokenBucket(1.0, 2)
    assert bucket.reserve(0.0, 5).at == 0
    assert bucket.reserve(0.0, 1).at == 4
    assert bucket.peek(4.0, 5) == 2


def test_a_thousand_years_of_calls_are_as_even_as_the_first() -> None:
    """Rounding errors of floats are no wait."""
    bucket, time = TokenBucket(0.1, 1), 0.0
    for _ in range(5000):
        assert bucket.peek(time) == 0
        bucket.reserve(time)
        time += 0.1


def test_another_bucket_begins_with_as_many_tokens_missing() -> None:
    """Settings that change give nobody a second burst."""
    bucket, slower = TokenBucket(1.0, 4), TokenBucket(2.0, 4)
    for _ in range(4):
        bucket.reserve(10.0)
    slower.inherit(bucket, 10.0)
    assert slower.peek(10.0) == 2
