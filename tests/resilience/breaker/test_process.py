"""A breaker in a forked child, in a pickle, in a copy, and in the memory of what it refused."""

import copy
import gc
import os
import pickle
import signal
import threading
import warnings
import weakref
from collections.abc import Callable
from contextlib import suppress

import pytest

from peak_observe import CircuitBreaker, CircuitOpenError, CircuitState, observe
from peak_observe.measures import BREAKERS
from peak_observe.testing import ManualClock

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork on this system")


def in_a_child(work: Callable[[], object]) -> str:
    """Return what a forked child makes of `work`, as text."""
    reading, writing = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # threads at a fork are what is tested
        child = os.fork()
    if child == 0:
        signal.alarm(30)  # a child that waits for a lock is ended by the system
        try:
            answer = repr(work())
        except BaseException as error:
            answer = repr(error)
        os.write(writing, answer.encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        answer = pipe.read()
    os.waitpid(child, 0)
    return answer


def holding(*locks: object) -> Callable[[], None]:
    """Have another thread hold locks, and return the function that lets them go."""
    held, done = threading.Event(), threading.Event()

    def hold() -> None:
        for lock in locks:
            lock.acquire()
        held.set()
        done.wait(60)
        for lock in locks:
            lock.release()

    thread = threading.Thread(target=hold)
    thread.start()
    assert held.wait(60)

    def let_go() -> None:
        done.set()
        thread.join()

    return let_go


def test_a_child_has_locks_of_its_own() -> None:
    """Whatever another thread of the parent held when it was forked."""
    breaker = CircuitBreaker(1, name="process.locks")
    protected = breaker.call(lambda: 1 / 0)
    series = BREAKERS.get("process.locks")
    let_go = holding(breaker._controller.lock, series._lock, BREAKERS._lock)

    def work() -> tuple[object, ...]:
        with pytest.raises(ZeroDivisionError):
            protected()
        with pytest.raises(CircuitOpenError):
            protected()
        other = CircuitBreaker(name="process.locks.child").call(len)("four")
        observe(print)()
        return breaker.state.value, other, series.read().calls

    try:
        assert in_a_child(work) == "('open', 4, [0, 1, 0, 1])"
    finally:
        let_go()
    assert (breaker.state, series.read().calls) == (CircuitState.CLOSED, [0, 0, 0, 0])


def test_a_child_goes_on_where_its_parent_was() -> None:
    """With the state and the window; what either does afterwards the other does not see."""
    breaker = CircuitBreaker(name="process.state", window=4, failure_ratio=0.5, minimum_calls=4)
    for _ in range(3):
        with pytest.raises(ValueError), breaker:
            raise ValueError

    def work() -> tuple[object, ...]:
        before = breaker.snapshot()
        with pytest.raises(ValueError), breaker:
            raise ValueError
        return before.window_calls, before.failures, breaker.state.value

    assert in_a_child(work) == "(3, 3, 'open')"
    assert (breaker.state, breaker.snapshot().window_calls) == (CircuitState.CLOSED, 3)


def test_a_child_does_not_wait_for_the_probes_of_its_parents_threads() -> None:
    """They are not there."""
    clock = ManualClock()
    breaker = CircuitBreaker(1, name="process.probe", clock=clock)
    breaker.trip("test")
    clock.advance(60)
    inside, done = threading.Event(), threading.Event()

    @breaker.call
    def probe() -> None:
        inside.set()
        done.wait(60)

    thread = threading.Thread(target=probe)
    thread.start()
    assert inside.wait(60)
    try:
        answer = in_a_child(lambda: (breaker.snapshot().probes, breaker.call(len)("four"), breaker.state.value))
    finally:
        done.set()
        thread.join()
    assert answer == "(0, 4, 'closed')"


def test_a_breaker_is_not_pickled() -> None:
    """Two copies would know different things of one service; the error says what to do instead."""
    breaker = CircuitBreaker(name="process.pickle")
    with pytest.raises(TypeError, match=r"'process\.pickle' cannot be pickled.*call get_breaker\(\) there"):
        pickle.dumps({"breaker": breaker})


def test_a_copy_is_the_breaker_itself() -> None:
    """However deep what uses it is copied."""
    breaker = CircuitBreaker(name="process.copy")
    assert copy.copy(breaker) is breaker
    assert copy.deepcopy({"client": [breaker]})["client"][0] is breaker


def test_a_snapshot_and_a_refusal_are_pickled() -> None:
    """They are only facts."""
    breaker = CircuitBreaker(name="process.facts")
    breaker.force_open()
    snapshot = breaker.snapshot()
    assert pickle.loads(pickle.dumps(snapshot)) == snapshot
    with pytest.raises(CircuitOpenError) as refused, breaker:
        pass
    assert str(pickle.loads(pickle.dumps(refused.value))) == str(refused.value)


class Heavy:
    """Something large that a caller has at hand."""


def test_a_refusal_is_fresh_each_time_and_keeps_nothing_alive() -> None:
    """Neither the frames of those who were refused nor of the one who tripped it, without the garbage collector."""
    breaker = CircuitBreaker(1, name="process.fresh")
    protected, kept = breaker.call(lambda _: 1 / 0), []

    def caller() -> None:
        heavy = Heavy()
        kept.append(weakref.ref(heavy))
        with suppress(ZeroDivisionError, CircuitOpenError):
            protected(heavy)

    gc.disable()
    try:
        for _ in range(3):
            caller()
        assert [ref() for ref in kept] == [None, None, None]
    finally:
        gc.enable()
    with pytest.raises(CircuitOpenError) as one:
        protected(None)
    with pytest.raises(CircuitOpenError) as two:
        protected(None)
    assert one.value is not two.value
    assert two.value.__context__ is None
    assert one.value.last_error is not two.value.last_error
    assert (repr(two.value.last_error), two.value.last_error.__traceback__) == (
        "ZeroDivisionError('division by zero')",
        None,
    )
