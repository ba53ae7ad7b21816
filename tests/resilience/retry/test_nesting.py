"""Retries inside retries know of each other, whatever lies between them."""

import asyncio
import copy
import itertools
import pickle
import threading
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from functools import partial

import pytest

from peak_observe import RetriesNested, circuit_breaker, retry_with_backoff, retrying
from peak_observe.measures import RETRIES
from peak_observe.resilience.retry import nesting
from peak_observe.testing import ManualClock, RecordingObserver, no_delays

NAMES = (f"nesting.{number}" for number in itertools.count())


class Service:
    """Fails as often as it is told, and counts."""

    def __init__(self, failures: int = 10**6) -> None:
        self.failures = failures
        self.calls = 0

    def __call__(self) -> str:
        """Fail, or answer."""
        self.calls += 1
        if self.calls <= self.failures:
            raise ConnectionError("lost")
        return "answer"


@pytest.fixture(autouse=True)
def hasty() -> Iterator[None]:
    """Wait for nothing, with the real clock."""
    with no_delays():
        yield


def nested_in(name: str) -> int:
    """Return how many operations were retried inside one."""
    return RETRIES.get(name).read().nested


def pair(service: Callable[[], object], **outer_options: object) -> tuple[str, str, Callable[[], object]]:
    """Return the names of an outer and an inner retry, and both around a service."""
    outer, inner = next(NAMES), next(NAMES)
    inside = retry_with_backoff(3, name=inner)(service)
    return outer, inner, retry_with_backoff(2, name=outer, **outer_options)(lambda: inside())  # noqa: PLW0108 - the frame of a user between the two


def test_a_retry_inside_the_first_attempt_of_another_is_known() -> None:
    """It is told once, with both names, and counted every time."""
    service = Service()
    outer, inner, call = pair(service)
    with RecordingObserver() as seen:
        for _ in range(2):
            with pytest.raises(ConnectionError):
                call()
    assert service.calls == 12
    assert seen.of(RetriesNested) == [RetriesNested(inner, outer)]
    assert nested_in(outer) == 4
    assert nested_in(inner) == 0


def test_a_retry_inside_that_recovers_is_known_too() -> None:
    """It is a trap for the next outage; the outer retry sees the mark on the function, whatever lies between."""
    outer, inner = next(NAMES), next(NAMES)
    inside = circuit_breaker(name=next(NAMES))(retry_with_backoff(3, name=inner)(Service(1)))
    with RecordingObserver() as seen:
        assert retry_with_backoff(2, name=outer)(partial(inside))() == "answer"
    assert nested_in(outer) == 1
    assert seen.of(RetriesNested) == [RetriesNested(inner, outer)]


@pytest.mark.parametrize(("own_failures", "known"), [(0, 0), (1, 1)])
def test_one_that_recovers_behind_a_function_is_known_from_the_second_attempt_on(own_failures: int, known: int) -> None:
    """A first attempt sets nothing, as it has to cost nothing; a failure inside it would be known by its exception."""
    own, outer = Service(own_failures), next(NAMES)
    inside = retry_with_backoff(3, name=next(NAMES))(Service(1))

    def body() -> str:
        own()
        return inside()

    assert retry_with_backoff(2, name=outer)(body)() == "answer"
    assert nested_in(outer) == known


def test_a_coroutine_that_recovers_inside_another_is_known_by_the_function() -> None:
    """Async as well."""
    service, outer = Service(1), next(NAMES)

    @retry_with_backoff(2, name=outer)
    @retry_with_backoff(3, name=next(NAMES))
    async def inside() -> str:
        return service()

    assert asyncio.run(inside()) == "answer"
    assert nested_in(outer) == 1


def test_a_retry_beside_another_is_not_inside_it() -> None:
    """One after the other, also with one exception object for all failures."""
    error = ConnectionError("the same")
    name, other = next(NAMES), next(NAMES)

    def fail() -> None:
        raise error

    for one in (name, other, name):
        with pytest.raises(ConnectionError):
            retry_with_backoff(2, name=one)(fail)()
    assert nested_in(name) == nested_in(other) == 0


def test_one_attempt_is_no_retry() -> None:
    """Neither inside nor outside does it multiply anything."""
    outer, inner = next(NAMES), next(NAMES)
    for attempts in ((1, 3), (3, 1)):
        service = Service()
        inside = retry_with_backoff(attempts[1], name=inner)(service)
        with pytest.raises(ConnectionError):
            retry_with_backoff(attempts[0], name=outer)(lambda inside=inside: inside())()
        assert service.calls == 3
    assert nested_in(outer) == nested_in(inner) == 0


def test_inner_only_stops_the_multiplication() -> None:
    """What the inner one has given up on is not tried again, so there is nothing to warn of; it set the one mark."""
    service = Service()
    outer, inner, call = pair(service, nested="inner_only")
    with RecordingObserver() as seen, pytest.raises(ConnectionError) as caught:
        call()
    assert (seen.of(RetriesNested), nested_in(outer)) == ([], 0)
    assert service.calls == 3
    assert RETRIES.get(outer).read().calls == [0, 0, 0, 1, 0, 0]
    mark = nesting.mark_of(caught.value, 0)
    assert mark is not None
    assert mark.operation == inner


def test_the_inner_one_may_say_so_too() -> None:
    """For a library whose users do not know that it retries."""
    service, outer, inner = Service(), next(NAMES), next(NAMES)
    inside = retry_with_backoff(3, name=inner, nested="inner_only")(service)
    with pytest.raises(ConnectionError):
        retry_with_backoff(5, name=outer)(lambda: inside())()  # noqa: PLW0108 - as above
    assert service.calls == 3


def test_inner_only_still_retries_what_fails_outside_the_inner_one() -> None:
    """That is nobody else's to retry."""
    service, steps = Service(), iter([ValueError("own"), None])
    inside = retry_with_backoff(3, name=next(NAMES))(service)

    def call() -> None:
        if error := next(steps):
            raise error
        inside()

    with pytest.raises(ConnectionError):
        retry_with_backoff(5, name=next(NAMES), nested="inner_only")(call)()
    assert service.calls == 3
    assert next(steps, "used up") == "used up"


class AppError(Exception):
    """What a program makes of a failure."""


@pytest.mark.parametrize("how", ["from", "during", "group"])
def test_an_exception_that_was_translated_is_still_known(how: str) -> None:
    """By what it came from, or holds."""
    service = Service()
    inside = retry_with_backoff(3, name=next(NAMES))(service)

    def call() -> None:
        try:
            inside()
        except ConnectionError as error:
            if how == "group":
                raise ExceptionGroup("all", [error]) from None
            if how == "during":
                raise AppError  # noqa: B904 - that it is not said is what is tested
            raise AppError from error

    with pytest.raises((AppError, ExceptionGroup)):
        retry_with_backoff(5, name=next(NAMES), nested="inner_only")(call)()
    assert service.calls == 3


def test_a_circuit_breaker_between_them_changes_nothing() -> None:
    """It lets exceptions through as they are."""
    service, outer, inner = Service(), next(NAMES), next(NAMES)
    inside = circuit_breaker(name=next(NAMES))(retry_with_backoff(3, name=inner)(service))
    with RecordingObserver() as seen, pytest.raises(ConnectionError):
        retry_with_backoff(2, name=outer)(inside)()
    assert seen.of(RetriesNested) == [RetriesNested(inner, outer)]


def test_coroutines_are_known_through_awaits_and_tasks() -> None:
    """Also in a task that was started within a first attempt, which no context variable tells of."""
    service, outer, inner = Service(), next(NAMES), next(NAMES)

    @retry_with_backoff(3, name=inner)
    async def inside() -> str:
        return service()

    async def in_tasks() -> None:
        await asyncio.gather(asyncio.create_task(inside()), inside())

    async def awaiting() -> None:
        await inside()

    for body in (in_tasks, awaiting):
        with RecordingObserver() as seen, pytest.raises(ConnectionError):
            asyncio.run(retry_with_backoff(2, name=outer)(body)())
        assert seen.of(RetriesNested) == ([RetriesNested(inner, outer)] if body is in_tasks else [])
    assert nested_in(outer) >= 4


def test_threads_are_known_by_the_exception() -> None:
    """An executor hands over no context, but the exception."""
    service, outer, inner = Service(), next(NAMES), next(NAMES)
    inside = retry_with_backoff(3, name=inner)(service)
    for options, calls in (({"nested": "inner_only"}, 3), ({}, 9)):
        with ThreadPoolExecutor(1) as pool, pytest.raises(ConnectionError):
            retry_with_backoff(2, name=outer, **options)(lambda pool=pool: pool.submit(inside).result())()
        assert service.calls == calls
    assert nested_in(outer) == 2


def test_of_three_the_nearest_is_named() -> None:
    """Each knows the one around it."""
    service, names = Service(), [next(NAMES) for _ in range(3)]
    call: Callable[[], object] = service
    for name in names:
        call = retry_with_backoff(2, name=name)(lambda call=call: call())
    with RecordingObserver() as seen, pytest.raises(ConnectionError):
        call()
    assert service.calls == 8
    assert seen.of(RetriesNested) == [RetriesNested(names[0], names[1]), RetriesNested(names[1], names[2])]


def test_loops_and_generators_are_known() -> None:
    """Whatever form a retry has."""
    service, outer, middle, inner = Service(), next(NAMES), next(NAMES), next(NAMES)
    inside = retry_with_backoff(2, name=inner)(service)

    @retry_with_backoff(2, name=middle)
    def items() -> Iterator[object]:
        yield inside()

    with pytest.raises(ConnectionError):
        for attempt in retrying(2, name=outer):
            with attempt:
                next(items())
    assert nested_in(middle) == 4
    assert nested_in(outer) == 2


def test_nothing_of_a_call_stays_in_the_context() -> None:
    """Neither the retry nor its deadline leaks into what is called next."""
    before = dict(copy_context())
    _, _, call = pair(Service(), timeout=60)
    with pytest.raises(ConnectionError):
        call()
    pair(Service(1), timeout=60)[2]()
    for attempt in retrying(2, name=next(NAMES), timeout=60):
        with attempt:
            break
    after = dict(copy_context())
    assert not any(value for key, value in after.items() if value is not before.get(key))


def test_an_exception_keeps_one_mark_and_can_be_copied_and_pickled() -> None:
    """The outermost retry sets it."""
    outer, _, call = pair(Service())
    with pytest.raises(ConnectionError) as caught:
        call()
    mark = nesting.mark_of(caught.value, 0)
    assert mark is not None
    assert mark.operation == outer
    for again in (copy.copy(caught.value), pickle.loads(pickle.dumps(caught.value))):
        assert (str(again), nesting.mark_of(again, 0)) == ("lost", mark)


def test_a_traceback_ends_with_the_exception() -> None:
    """Without a line of ours behind it, and the exception has no public attribute that its program did not set."""
    _, _, call = pair(Service())
    with pytest.raises(ConnectionError) as caught:
        call()
    assert traceback.format_exception(caught.value)[-1] == "ConnectionError: lost\n"
    assert not hasattr(caught.value, "__notes__")
    assert not [name for name in vars(caught.value) if not name.startswith("_")]


def test_one_object_for_all_failures_keeps_its_notes() -> None:
    """However often it is raised."""
    error, clock, name = ConnectionError("the same"), ManualClock(), next(NAMES)
    error.add_note("written by the program")

    @retry_with_backoff(2, clock=clock, name=name)
    def fail() -> None:
        clock.advance(1)
        raise error

    for _ in range(3):
        with pytest.raises(ConnectionError):
            fail()
    assert error.__notes__ == ["written by the program"]


class _StubbornError(Exception):
    """Takes no attributes."""

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(name)


class _OddMarkError(Exception):
    """Has something else where the mark would be."""

    def __init__(self) -> None:
        vars(self)["__peak_observe_retry__"] = None


@pytest.mark.parametrize("kind", [_StubbornError, _OddMarkError])
def test_an_exception_of_a_shape_of_its_own_comes_through(kind: type[Exception]) -> None:
    """Unchanged."""

    def fail() -> None:
        raise kind

    with pytest.raises(kind):
        retry_with_backoff(2, name=next(NAMES))(fail)()


@pytest.mark.parametrize(("attempts", "error"), [(1, ConnectionError), (3, KeyError)])
def test_what_was_not_retried_gets_no_mark(attempts: int, error: type[Exception]) -> None:
    """There is nothing to tell."""

    def fail() -> None:
        raise error

    with pytest.raises(error) as caught:
        retry_with_backoff(attempts, expected_exception=ConnectionError, name=next(NAMES))(fail)()
    assert nesting.mark_of(caught.value, 0) is None


def test_threads_do_not_see_each_others_retries() -> None:
    """Both retry at the same time, neither inside the other."""
    names, barrier = [next(NAMES), next(NAMES)], threading.Barrier(2)

    def run(name: str) -> None:
        def fail() -> None:
            barrier.wait()
            raise ConnectionError

        with pytest.raises(ConnectionError):
            retry_with_backoff(3, name=name)(fail)()

    threads = [threading.Thread(target=run, args=(name,)) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [nested_in(name) for name in names] == [0, 0]


@pytest.mark.parametrize("nested", ["outer_only", None, True])
def test_nonsense_is_refused(nested: object) -> None:
    """There are two ways."""
    with pytest.raises(ValueError, match="nested must be 'warn' or 'inner_only'"):
        retry_with_backoff(nested=nested)


class _ForwardingError(Exception):
    """Hands every attribute on to something that is not there any more."""

    def __getattr__(self, name: str) -> object:
        raise RuntimeError(name)


def test_an_exception_with_attributes_of_its_own_kind_is_retried_as_any_other() -> None:
    """Nothing that is asked of it may cost the operation."""
    steps = iter([_ForwardingError(), None])

    def call() -> str:
        if error := next(steps):
            raise error
        return "answer"

    assert retry_with_backoff(2, name=next(NAMES))(call)() == "answer"
