"""The layers of a policy can be read: what stands where, and how it is configured."""

from itertools import count

import pytest

from peak_observe import (
    CircuitBreaker,
    Policy,
    bulkhead,
    chaos,
    circuit_breaker,
    hedge,
    part,
    rate_limit,
    retry_with_backoff,
    timed,
    timeout,
)
from peak_observe.testing import ManualClock

NUMBERS = count()


@pytest.fixture
def name() -> str:
    """Return a name that nobody has."""
    return f"layers.{next(NUMBERS)}"


def test_layers_read_from_the_outermost_to_the_innermost(name: str) -> None:
    """One a line, with the settings that were given, and the first ones by default."""
    policy = Policy(
        timed(buckets=(0.1, 1)),
        bulkhead(8, wait=2.0),
        circuit_breaker(recovery_timeout=30, expected_exception=(ConnectionError, TimeoutError)),
        retry_with_backoff(5, 0.25, jitter="full", expected_exception=ConnectionError),
        hedge(max_hedges=2),
        rate_limit(15, 60, burst=5, clock=ManualClock()),
        timeout(5),
        chaos(latency=(1, 2)),
        part(lambda func: func, kind="audit", outside="chaos"),
        name=name,
        deadline=20,
        order="as_given",
    )
    assert repr(policy.layers).splitlines() == [
        "1. deadline(seconds=20)",
        "2. timed(buckets=(0.1, 1))",
        "3. bulkhead(limit=8, wait=2)",
        (
            "4. circuit_breaker(failure_threshold=5, recovery_timeout=30, "
            "expected_exception=(ConnectionError, TimeoutError))"
        ),
        (
            "5. retry(max_attempts=5, base_delay=0.25, max_delay=60, exponential=True, "
            "expected_exception=ConnectionError, jitter='full')"
        ),
        "6. hedge(after=0.5, max_hedges=2)",
        "7. rate_limit(limit=15, per=60, burst=5)",
        "8. timeout(seconds=5)",
        "9. chaos(rate=0.02, latency=(1, 2))",
        "10. audit(outside='chaos')",
    ]
    assert [layer.kind for layer in policy.layers][:3] == ["deadline", "timed", "bulkhead"]
    assert repr(policy.layers[2]) == "bulkhead(limit=8, wait=2)"


def test_settings_are_those_of_now(name: str) -> None:
    """What `configure` changed shows."""
    breaker, places, rate = CircuitBreaker(3, name=name), bulkhead(2), rate_limit([(20, 1), (100, 10)])
    policy = Policy(places, breaker, rate, name=name)
    breaker.configure(recovery_timeout=5, ignore=KeyError)
    places.configure(limit=4, mode="observe")
    rate.configure(wait=3)
    assert [repr(layer) for layer in policy.layers] == [
        "bulkhead(limit=4, wait=0, mode='observe')",
        (
            f"circuit_breaker(name='{name}', failure_threshold=3, recovery_timeout=5, expected_exception=Exception, "
            "ignore=KeyError)"
        ),
        "rate_limit(limit=((20, 1), (100, 10)), per=1, wait=3)",
    ]


def test_the_circuit_of_a_decorated_function_shows(name: str) -> None:
    """Whichever way it was made; with a window there is no threshold."""
    policy = Policy(circuit_breaker(window=20, failure_ratio=0.5), name=name)
    policy(lambda: None)
    assert repr(policy.layers) == (
        f"1. circuit_breaker(name='{name}', recovery_timeout=60, expected_exception=Exception, window=20, "
        "failure_ratio=0.5)"
    )


def test_policies_inside_show_their_layers(name: str) -> None:
    """In their places."""
    inner = Policy(circuit_breaker(), rate_limit(5), name=name)
    assert [layer.kind for layer in Policy(retry_with_backoff(), inner).layers] == [
        "retry",
        "circuit_breaker",
        "rate_limit",
    ]


def test_layers_cannot_be_changed_from_outside(name: str) -> None:
    """They are a tuple."""
    layers = Policy(circuit_breaker(), name=name).layers
    assert isinstance(layers, tuple)
    assert (len(layers), layers[0].kind) == (1, "circuit_breaker")
