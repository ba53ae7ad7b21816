"""A refused call tells what opened the circuit, and keeps nothing of the call alive."""

import asyncio
import gc
import pickle
import threading
import traceback
import weakref
from collections.abc import Callable
from contextlib import suppress
from typing import Self

import pytest

from peak_observe import (
    CallTimeoutError,
    CircuitBreaker,
    CircuitOpenError,
    OutcomeUnknown,
    SummarizedError,
    retry_with_backoff,
)
from peak_observe.testing import ManualClock


class ApiError(Exception):
    """An error with facts of its own."""

    def __init__(self, status: int, body: object = None) -> None:
        super().__init__(f"status {status}")
        self.status = status
        self.body = body


class AwkwardError(Exception):
    """An error whose text needs what is not kept."""

    def __init__(self, response: object) -> None:
        super().__init__(response)
        self.response = response

    def __str__(self) -> str:
        return f"answer {self.response.code}"


class Response:
    """An answer of some size."""

    code = 503


def refused_after(error: BaseException, **options: object) -> CircuitOpenError:
    """Return the refusal of a circuit that an error has opened."""
    breaker = CircuitBreaker(1, 60, clock=ManualClock(), **options)

    def fail() -> None:
        raise error

    with pytest.raises(type(error)):
        breaker(fail)()
    return refusal_of(breaker)


def refusal_of(breaker: CircuitBreaker) -> CircuitOpenError:
    """Return the refusal of an open circuit."""
    with pytest.raises(CircuitOpenError) as raised:
        breaker(lambda: None)()
    return raised.value


def test_the_refusal_has_a_copy_of_the_error_as_its_cause() -> None:
    """Of the same class, with text and plain facts, so that code can act on it and tracebacks show it."""
    error = refused_after(ApiError(503))
    assert error.last_error is error.__cause__
    assert isinstance(error.last_error, ApiError)
    assert (str(error.last_error), error.last_error.status) == ("status 503", 503)
    text = "".join(traceback.format_exception(error))
    assert "ApiError: status 503" in text
    assert "The above exception was the direct cause" in text


def test_coroutines_and_blocks_tell_it_too() -> None:
    """Whatever way a call is refused."""
    breaker = CircuitBreaker(1, 60, clock=ManualClock())

    async def fail() -> None:
        raise ConnectionError("reset")

    async def enter() -> None:
        async with breaker:
            pass

    def block() -> None:
        with breaker:
            pass

    with pytest.raises(ConnectionError):
        asyncio.run(breaker(fail)())
    for call in (lambda: asyncio.run(breaker(fail)()), lambda: asyncio.run(enter()), block):
        with pytest.raises(CircuitOpenError) as raised:
            call()
        assert repr(raised.value.last_error) == "ConnectionError('reset')"


def test_nothing_of_the_failed_call_is_kept_alive() -> None:
    """No traceback, no frame, no object that the error held."""
    breaker, alive = CircuitBreaker(1, 60, clock=ManualClock()), []

    def fail() -> None:
        body, local = Response(), Response()
        alive.extend([weakref.ref(body), weakref.ref(local)])
        raise ApiError(503, body) from ValueError(local)

    with suppress(ApiError):
        breaker(fail)()
    gc.collect()
    assert [one() for one in alive] == [None, None]
    cause = refusal_of(breaker).last_error
    assert (cause.__traceback__, cause.__cause__, cause.__context__) == (None, None, None)
    assert vars(cause) == {"status": 503}


def test_each_refusal_has_a_copy_of_its_own() -> None:
    """One that many raise would collect the tracebacks of all."""
    breaker = CircuitBreaker(1, 60, clock=ManualClock())
    breaker.trip("by hand", error=ConnectionError("reset"))
    first = refusal_of(breaker).last_error
    for _ in range(3):
        with suppress(ConnectionError):
            raise first
    assert refusal_of(breaker).last_error is not first
    assert refusal_of(breaker).last_error.__traceback__ is None


LONG = "x" * 5000


@pytest.mark.parametrize(
    ("error", "kind", "text"),
    [
        (ConnectionError("reset"), ConnectionError, "reset"),
        (OSError(110, "Connection timed out"), TimeoutError, "[Errno 110] Connection timed out"),
        (KeyError("balance"), KeyError, "'balance'"),
        (ValueError(), ValueError, ""),
        (ValueError(Response), ValueError, str(Response)),
        (CallTimeoutError("orders", 5), CallTimeoutError, "orders took longer than 5 s and was cancelled"),
        (AwkwardError(Response()), SummarizedError, f"{__name__}.AwkwardError: answer 503"),
        (ValueError(LONG), SummarizedError, f"ValueError: {LONG[:1000]}"),
        (
            ExceptionGroup("tasks", [ValueError("a"), ExceptionGroup("more", [KeyError("b")])]),
            SummarizedError,
            "ExceptionGroup: tasks (2 sub-exceptions): ValueError: a; KeyError: 'b'",
        ),
        (UnicodeDecodeError("utf-8", b"\xff", 0, 1, "bad"), SummarizedError, None),
    ],
    ids=lambda value: value.__name__ if isinstance(value, type) else None,
)
def test_what_cannot_be_copied_is_summarized(error: Exception, kind: type, text: str | None) -> None:
    """A text of at most 1,000 characters, and the name of the class."""
    found = refused_after(error).last_error
    assert type(found) is kind
    assert text is None or str(found) == text


def test_a_class_that_does_harm_when_it_is_made_or_shown_does_none() -> None:
    """Whatever it raises, the refusal is the refusal."""

    class HostileError(Exception):
        def __new__(cls, *args: object) -> Self:
            if args != ("once",):
                raise RuntimeError("no copies")
            return super().__new__(cls, *args)

        def __str__(self) -> str:
            raise RuntimeError("no text")

    found = refused_after(HostileError("once")).last_error
    assert isinstance(found, SummarizedError)
    assert found.kind.endswith("HostileError")


def test_a_class_that_can_be_copied_once_only_is_summarized_then() -> None:
    """No refusal is any other error than a refusal."""

    class FickleError(Exception):
        made = 0

        def __new__(cls, *args: object) -> Self:
            cls.made += 1
            if cls.made > 2:
                raise RuntimeError("enough")
            return super().__new__(cls, *args)

    found = refused_after(FickleError("once")).last_error
    assert (type(found), found.text) == (SummarizedError, "once")


def test_notes_are_kept_as_text() -> None:
    """What a program wrote on the error, without the mark of the retry inside for retries around it."""
    breaker = CircuitBreaker(1, 60, clock=ManualClock())

    @breaker
    @retry_with_backoff(2, clock=ManualClock(), name="orders")
    def fail() -> None:
        error = ConnectionError("reset")
        error.add_note("while orders were fetched")
        raise error

    with pytest.raises(ConnectionError):
        fail()
    last = refusal_of(breaker).last_error
    assert [(type(note), note) for note in last.__notes__] == [(str, "while orders were fetched")]
    assert list(vars(last)) == ["__notes__"]


def test_an_unknown_outcome_of_the_past_is_not_taken_for_one_of_now() -> None:
    """A call that was refused left no order open."""
    clock = ManualClock()
    error = OutcomeUnknown("kraken", "create_order", "POST private/AddOrder", ("a1",), clock.now(), "timeout")
    refusal = refused_after(error)
    assert isinstance(refusal.last_error, SummarizedError)
    assert OutcomeUnknown.behind(refusal) is None


def test_a_failed_probe_is_the_newer_reason_and_a_closed_circuit_has_none() -> None:
    """While a probe is under way, the reason is still the last one."""
    clock, answers = ManualClock(), iter([ConnectionError("first"), ConnectionError("second"), None])
    breaker = CircuitBreaker(1, 60, clock=clock)

    @breaker
    def call() -> None:
        answer = next(answers)
        if answer:
            raise answer

    for text in ("first", "second"):
        with pytest.raises(ConnectionError):
            call()
        assert str(refusal_of(breaker).last_error) == text
        clock.advance(60)
    with breaker:  # the probe
        thread_refusals: list[CircuitOpenError] = []
        thread = threading.Thread(target=lambda: thread_refusals.append(refusal_of(breaker)))
        thread.start()
        thread.join()
    assert str(thread_refusals[0].last_error) == "second"
    breaker.force_open()
    assert refusal_of(breaker).last_error is None


@pytest.mark.parametrize(
    "open_it",
    [lambda breaker: breaker.trip("by hand"), lambda breaker: breaker.force_open()],
    ids=["trip", "force_open"],
)
def test_a_circuit_that_no_error_opened_has_no_cause(open_it: Callable[[CircuitBreaker], None]) -> None:
    """Nor a stale one."""
    breaker = CircuitBreaker(1, 60, clock=ManualClock())
    breaker.trip("before", error=ValueError("stale"))
    breaker.reset()
    open_it(breaker)
    error = refusal_of(breaker)
    assert (error.last_error, error.__suppress_context__) == (None, False)


def test_the_error_still_pickles() -> None:
    """The cause stays behind, as with all exceptions."""
    error = pickle.loads(pickle.dumps(refused_after(ConnectionError("reset"))))
    assert (error.name, error.retry_after, error.last_error) == ("circuit_breaker", 60.0, None)
