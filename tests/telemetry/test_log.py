"""One log line an event, where the program's own logging decides what becomes of it."""

import logging
from collections.abc import Iterator

import pytest

from peak_observe import CircuitBreaker, RetryBudget, retry_with_backoff
from peak_observe.measures import Names
from peak_observe.testing import ManualClock

SHOWN = "GET https://api.example/0/private/Balance"


def fail() -> None:
    """Fail with something that should not be logged."""
    raise ConnectionError(f"{SHOWN}?signature=hunter2")


@pytest.fixture
def lines(caplog: pytest.LogCaptureFixture) -> Iterator[list[logging.LogRecord]]:
    """Everything logged, from debug on."""
    caplog.set_level(logging.DEBUG, "peak_observe")
    handler = logging.Handler()
    records: list[logging.LogRecord] = []
    handler.emit = records.append
    logging.getLogger("peak_observe").addHandler(handler)
    yield records
    logging.getLogger("peak_observe").removeHandler(handler)


def test_the_life_of_a_circuit(lines) -> None:
    """Opening is a warning that says why and until when; the rest is information."""
    clock = ManualClock()
    breaker = CircuitBreaker(1, 60, name="log.circuit", clock=clock)
    with pytest.raises(ConnectionError):
        breaker.call(fail)()
    clock.advance(60)
    breaker.call(lambda: None)()
    assert [(r.name, r.levelname, r.getMessage()) for r in lines] == [
        (
            "peak_observe.breaker",
            "WARNING",
            f"circuit 'log.circuit' is open: 1 failure; next probe in 60.0 s; last error: ConnectionError: {SHOWN}",
        ),
        ("peak_observe.breaker", "INFO", "circuit 'log.circuit' is half_open: recovery timeout passed"),
        ("peak_observe.breaker", "INFO", "circuit 'log.circuit' is closed: probe succeeded"),
    ]


def test_the_life_of_a_retry(lines) -> None:
    """Each retry with its number and wait, then how it ended."""
    failures = iter([True, True, False])
    clock = ManualClock()
    retry_with_backoff(3, clock=clock, name="log.recovers")(lambda: fail() if next(failures) else None)()
    assert [(r.name, r.levelname, r.getMessage()) for r in lines] == [
        (
            "peak_observe.retry",
            "INFO",
            f"'log.recovers' failed (attempt 1 of 3), retry in 1.0 s: ConnectionError: {SHOWN}",
        ),
        (
            "peak_observe.retry",
            "INFO",
            f"'log.recovers' failed (attempt 2 of 3), retry in 2.0 s: ConnectionError: {SHOWN}",
        ),
        ("peak_observe.retry", "INFO", "'log.recovers' succeeded at attempt 3 after 3.0 s"),
    ]


def test_giving_up_is_a_warning(lines) -> None:
    """Somebody has to look."""
    with pytest.raises(ConnectionError):
        retry_with_backoff(2, clock=ManualClock(), name="log.exhausted")(fail)()
    last = lines[-1]
    assert (last.levelname, last.getMessage()) == (
        "WARNING",
        f"'log.exhausted' gave up after 2 attempts in 1.0 s: ConnectionError: {SHOWN}",
    )


def test_giving_up_early_says_why(lines) -> None:
    """Time and budget are not the service's fault alone."""
    budget = RetryBudget(0, 0, burst=1, name="log.budget", clock=ManualClock())
    for options in ({"timeout": 0.5}, {"budget": budget}):
        with pytest.raises(ConnectionError):
            retry_with_backoff(5, clock=ManualClock(), name="log.early", **options)(fail)()
    assert [line.getMessage() for line in lines if line.levelname == "WARNING"] == [
        f"'log.early' gave up after 1 attempt in 0.0 s (out of time): ConnectionError: {SHOWN}",
        f"'log.early' gave up after 2 attempts in 1.0 s (out of budget): ConnectionError: {SHOWN}",
    ]


def test_a_result_that_is_not_accepted_is_said_in_words(lines) -> None:
    """There is no exception to show."""
    retry_with_backoff(2, clock=ManualClock(), name="log.result", retry_result=lambda _: True)(lambda: "busy")()
    assert [(line.levelname, line.getMessage()) for line in lines] == [
        ("INFO", "'log.result' failed (attempt 1 of 2), retry in 1.0 s: its result was not accepted"),
        ("WARNING", "'log.result' gave up after 2 attempts in 1.0 s: its result was not accepted"),
    ]


def test_retries_inside_retries_are_a_warning(lines) -> None:
    """Which names both."""
    inner = retry_with_backoff(2, clock=ManualClock(), name="log.inner")(fail)
    with pytest.raises(ConnectionError):
        retry_with_backoff(2, clock=ManualClock(), name="log.outer")(inner)()
    assert [line.getMessage() for line in lines if "multiply" in line.getMessage()] == [
        "'log.inner' is retried inside the retry of 'log.outer', so their attempts multiply: retry in one place",
    ]


def test_what_is_not_retried_is_for_debugging(lines) -> None:
    """The caller gets the exception itself and knows best what it means."""
    with pytest.raises(ConnectionError):
        retry_with_backoff(expected_exception=ValueError, name="log.not_retryable")(fail)()
    (line,) = lines
    assert line.levelname == "DEBUG"
    assert line.getMessage().startswith("'log.not_retryable' is not retried (attempt 1): ConnectionError")


def test_too_many_names_are_a_warning(lines) -> None:
    """Once, with the likely cause."""
    names = Names("breaker", limit=1)
    for name in ("log.first", "log.second", "log.third"):
        names.series(name)
    (line,) = lines
    assert (line.name, line.levelname) == ("peak_observe.breaker", "WARNING")
    assert "more than 1 names of kind breaker (now 'log.second')" in line.getMessage()


def test_the_facts_are_structured(lines) -> None:
    """A JSON formatter finds them as attributes, errors as plain redacted text."""
    with pytest.raises(ConnectionError):
        CircuitBreaker(1, 60, name="log.extra", clock=ManualClock()).call(fail)()
    (line,) = lines
    assert line.peak_event == "Transition"
    assert (line.peak_name, line.peak_old, line.peak_new) == ("log.extra", "closed", "open")
    assert line.peak_retry_after == 60.0
    assert line.peak_error == f"ConnectionError: {SHOWN}"


def test_no_secret_is_logged(lines) -> None:
    """Neither in the message nor in the structured facts."""
    with pytest.raises(ConnectionError):
        CircuitBreaker(1, name="log.secret").call(
            retry_with_backoff(2, clock=ManualClock(), name="log.secret")(fail),
        )()
    assert len(lines) == 3
    assert "hunter2" not in " ".join(f"{r.getMessage()} {vars(r)}" for r in lines)


def test_a_percent_sign_in_a_name_is_harmless(lines) -> None:
    """Values are lazy arguments, never part of the format."""
    with pytest.raises(ConnectionError):
        CircuitBreaker(1, name="log.100%s").call(fail)()
    assert "circuit 'log.100%s' is open" in lines[0].getMessage()


def test_nothing_is_said_without_a_handler() -> None:
    """The library installs no handler and sets no level."""
    for name in ("peak_observe", "peak_observe.breaker", "peak_observe.retry"):
        logger = logging.getLogger(name)
        assert logger.handlers == []
        assert logger.level == logging.NOTSET
