"""Circuits by key, one for each venue, symbol or host."""

from __future__ import annotations

from typing import Any

from peak_observe.clock import SYSTEM_CLOCK, Clock
from peak_observe.resilience.breaker.decorator import circuit_breaker
from peak_observe.resilience.breaker.keyed_circuits import IDLE_TIMEOUT, MAX_SIZE, Key, KeyedBreaker, KeyedCircuits
from peak_observe.resilience.breaker.settings import FOREIGN_NAMES, RecoveryTimeout
from peak_observe.resilience.common import strategy, validation
from peak_observe.resilience.common.callbacks import check_function
from peak_observe.resilience.common.keywords import check_keywords
from peak_observe.resilience.common.predicates import Expected
from peak_observe.support.shown import shown

_FOREIGN_NAMES = {
    "maxsize max_entries size limit capacity": "max_size",
    "idle idle_time max_idle expire_after idle_seconds": "idle_timeout",
    "namespace": "prefix",
}


class Breakers(KeyedCircuits):
    """Circuits by key, made when they are first asked for: one for each venue, symbol or host.

    `Breakers(failure_threshold=3)["kraken"]` is a `CircuitBreaker`, the same each time. `key in breakers`, `len()` and
    iteration tell of those that there are. A circuit that nobody has used for `idle_timeout` goes, and so do its
    series; not while it is open. When it comes back its counters go on where they were, so that rates do not jump. Past
    `max_size` the one that was used longest ago goes; an open one only if all are open, with a line in the log.

    Args:
        failure_threshold: Consecutive failures that open a circuit, at least 1.
        recovery_timeout: Seconds from opening to the probe, a sequence of them, or a function.
        expected_exception: Exceptions that count as failures: a type, a function, or a tuple of them.
        prefix: The beginning of the circuits' names; the rest is the key.
        max_size: How many circuits there are at most.
        idle_timeout: Seconds without use after which a circuit goes; None keeps it.
        clock: Where the time comes from; for tests.
        options: All other options of `circuit_breaker`, by name; they hold for each circuit.

    Raises:
        ValueError: An argument makes no sense; the message names it.
        TypeError: There is no such option; the message says which one was meant.
    """

    @check_keywords(FOREIGN_NAMES | _FOREIGN_NAMES, onward=circuit_breaker)
    def __init__(
        self,
        failure_threshold: int = 5,
        recovery_timeout: RecoveryTimeout = 60.0,
        expected_exception: Expected = Exception,
        *,
        prefix: str = "",
        max_size: int = MAX_SIZE,
        idle_timeout: float | None = IDLE_TIMEOUT,
        clock: Clock = SYSTEM_CLOCK,
        **options: Any,
    ) -> None:
        if "name" in options:
            raise TypeError("Breakers() names each circuit by its key: give prefix, or circuit_breaker(name=function)")
        _check_failure_threshold(failure_threshold)
        template: Any = circuit_breaker(failure_threshold, recovery_timeout, expected_exception, clock=clock, **options)
        if prefix != "":
            validation.check_name(prefix)
        validation.check_count("max_size", max_size)
        if idle_timeout is not None:
            validation.check_period("idle_timeout", idle_timeout)
        super().__init__(template.build, prefix=prefix, max_size=max_size, idle_timeout=idle_timeout, clock=clock)

    def by(self, key: Key) -> strategy.Strategy:
        """Return a decorator whose calls take the circuit of their key; also a part of a policy.

        Args:
            key: A function of the call's arguments that returns the key. Where it fails the name of the decorated
                function is the key, and the failure is logged once.

        Raises:
            ValueError: It is no plain function.
        """
        check_function("key", key, "the call's arguments")
        return strategy.Strategy(strategy.BREAKER, lambda name: KeyedBreaker(self, key, name), shared=True)

    def __repr__(self) -> str:
        return f"<Breakers of {len(self)}>"


def _check_failure_threshold(value: Any) -> None:
    if validation.is_function(value):
        raise ValueError(
            f"failure_threshold must be a whole number, not {shown(value)}: write Breakers(…).by(function)"
        )
