"""The order of a policy's parts: which one is refused, why, and that the one named instead is a good one."""

import re
from itertools import permutations

import pytest

from peak_observe.resilience.policy.order import RECOMMENDED, WRONG, Place, check, problems, recommended

BREAKER, BULKHEAD, DEADLINE = Place("circuit_breaker"), Place("bulkhead"), Place("deadline")
RETRY, RATE, SHORT, LONG = Place("retry"), Place("rate_limit"), Place("timeout", 1), Place("timeout", 9)


@pytest.mark.parametrize(
    "places",
    [
        (BREAKER, RETRY),
        (RETRY, BREAKER),
        (BULKHEAD, BREAKER, RETRY, RATE, SHORT),
        (BREAKER, RETRY, BULKHEAD),
        (RETRY, BREAKER, RATE),
        (SHORT, RETRY),
        (RETRY, SHORT),
        (LONG, BREAKER, RETRY, SHORT),
        (LONG, RETRY, SHORT),
        (SHORT, RATE),
        (RATE, RATE, SHORT),
        (BULKHEAD, RATE),
        (RATE, BULKHEAD),
        (BREAKER, BREAKER, RETRY),
        (RETRY, DEADLINE, BREAKER),
    ],
)
def test_what_makes_sense_passes(places: tuple[Place, ...]) -> None:
    """Where both orders of two parts mean something, both are taken."""
    check(places)


@pytest.mark.parametrize(
    ("places", "reason", "mend"),
    [
        ((RATE, RETRY), "each attempt is a call of the service", "write retry, rate_limit (outermost first)"),
        ((RATE, BREAKER), "while the circuit is open", "write circuit_breaker, rate_limit (outermost first)"),
        ((SHORT, BREAKER), "never learns of calls that hang", "write circuit_breaker, timeout(1) (outermost first)"),
        ((LONG, SHORT, BREAKER), "never learns of calls that hang", "write timeout(9), circuit_breaker, timeout(1) "),
        (
            (SHORT, BREAKER, LONG),
            "of 9 s inside that of 1 s can never",
            "write timeout(9), circuit_breaker, timeout(1) ",
        ),
        ((SHORT, RETRY, SHORT), "of 1 s inside that of 1 s can never", "or insist with order='as_given'"),
        ((RETRY, BREAKER, RETRY), "the attempts of both multiply", "or insist with order='as_given'"),
    ],
)
def test_what_makes_none_is_refused_with_the_reason_and_the_mend(
    places: tuple[Place, ...],
    reason: str,
    mend: str,
) -> None:
    """One that reads it need not look anything up."""
    with pytest.raises(ValueError, match=re.escape(reason)) as error:
        check(places)
    assert mend in str(error.value)


def test_what_is_recommended_is_right_whatever_was_written() -> None:
    """For each order of all parts, with one timeout and with two."""
    for parts in ((BULKHEAD, BREAKER, RETRY, RATE, SHORT), (LONG, BREAKER, RETRY, RATE, SHORT)):
        for order in permutations(parts):
            assert list(problems(recommended(order))) == []
            assert sorted(recommended(order)) == sorted(order)


def test_the_recommended_order_makes_sense_itself() -> None:
    """It is what a configuration file gets that asks for none."""
    check([Place(kind, 1.0 if kind == "timeout" else 0.0) for kind in RECOMMENDED])
    assert {kind for pair in WRONG for kind in pair} <= set(RECOMMENDED)
