"""A job tells of its runs: last success, duration, outcome."""

import asyncio
import math
import subprocess
import sys
import threading

import pytest
from prometheus_client import CollectorRegistry

import peak_observe
from peak_observe import job
from peak_observe.measures import JOBS, JobReading
from peak_observe.testing import ManualClock

START = ManualClock().now().timestamp()


def told(name: str) -> JobReading:
    """Return what is told of a job."""
    return dict(JOBS.read())[name]


@pytest.fixture
def clock() -> ManualClock:
    """Time by hand."""
    return ManualClock()


def test_a_run_that_ends_well(clock) -> None:
    """Its end is the last success."""
    with job("jobs.good", clock=clock):
        clock.advance(90)
        running = told("jobs.good")
        assert (running.running_since, running.last_attempt, running.last_success) == (START, START, 0.0)
        assert (running.last_duration, running.outcome, running.runs) == (None, "", [0, 0, 0])
    found = told("jobs.good")
    assert (found.running_since, found.last_attempt, found.last_success) == (0.0, START, START + 90)
    assert (found.last_duration, found.outcome, found.runs) == (90.0, "success", [1, 0, 0])


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (ValueError("no space"), "failed"),
        (SystemExit(1), "failed"),
        (SystemExit("no space"), "failed"),
        (SystemExit(0), "success"),
        (SystemExit(), "success"),
        (KeyboardInterrupt(), "interrupted"),
        (asyncio.CancelledError(), "interrupted"),
        (GeneratorExit(), "interrupted"),
    ],
    ids=repr,
)
def test_what_is_raised_comes_through_and_says_how_it_ended(clock, error, outcome) -> None:
    """The very same object."""
    name = f"jobs.{error!r}"
    with pytest.raises(type(error)) as caught, job(name, clock=clock):
        clock.advance(2)
        raise error
    assert caught.value is error
    found = told(name)
    assert found.outcome == outcome
    assert (found.last_duration, found.running_since, sum(found.runs)) == (2.0, 0.0, 1)
    assert found.last_success == (START + 2 if outcome == "success" else 0.0)


def test_a_failure_does_not_hide_the_success_before(clock) -> None:
    """That is what an alert on its age needs."""
    run = job("jobs.both", clock=clock)
    with run:
        clock.advance(1)
    with pytest.raises(OSError, match="full"), run:
        clock.advance(10)
        raise OSError("full")
    found = told("jobs.both")
    assert (found.last_success, found.last_attempt, found.last_duration) == (START + 1, START + 1, 10.0)
    assert found.runs == [1, 1, 0]


def test_a_decorated_function_is_a_run_a_call(clock) -> None:
    """With its arguments and its result; also beside itself."""

    @job("jobs.decorated", clock=clock)
    def backup(depth: int) -> int:
        """Copy everything."""
        clock.advance(1)
        return depth if depth == 0 else backup(depth - 1)

    assert backup(2) == 0
    assert told("jobs.decorated").runs == [3, 0, 0]
    assert backup.__doc__ == "Copy everything."


def test_what_does_not_work_when_it_is_called_cannot_be_decorated() -> None:
    """Its duration would be that of nothing."""

    async def coroutine() -> None: ...

    def generator():
        yield

    for wrong in (coroutine, generator, 7):
        with pytest.raises(TypeError, match="decorates plain functions"):
            job("jobs.wrong")(wrong)


def test_runs_beside_each_other_are_one_job(clock) -> None:
    """The oldest one says since when; one object is one run."""
    first, second = job("jobs.beside", clock=clock), job("jobs.beside", clock=clock)
    with first:
        clock.advance(5)
        with second, pytest.raises(RuntimeError, match=r"'jobs\.beside' is running"), first:
            pass
        assert told("jobs.beside").running_since == START
    assert told("jobs.beside").runs == [2, 0, 0]


def test_many_threads_lose_no_run() -> None:
    """Neither counts nor runs under way."""

    def work() -> None:
        for _ in range(200):
            with job("jobs.threads"):
                pass

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = told("jobs.threads")
    assert (found.runs, found.running_since) == ([1600, 0, 0], 0.0)


@pytest.mark.parametrize("name", ["", None, 7, "\udc80"])
def test_a_name_that_cannot_be_a_label_is_refused(name) -> None:
    """At once."""
    with pytest.raises(ValueError, match="name"):
        job(name)


def test_a_job_is_served_by_its_process(clock) -> None:
    """Without any folder of snapshots; the duration only once there is one."""
    registry = CollectorRegistry()
    peak_observe.register(registry)
    run = job("jobs.served", clock=clock)
    labels = {"task": "jobs.served"}
    with run:
        assert registry.get_sample_value("peak_job_running_since_timestamp_seconds", labels) == START
        assert registry.get_sample_value("peak_job_last_duration_seconds", labels) is None
        clock.advance(3)
    assert registry.get_sample_value("peak_job_last_duration_seconds", labels) == 3.0
    assert registry.get_sample_value("peak_job_last_success_timestamp_seconds", labels) == START + 3
    assert registry.get_sample_value("peak_job_last_attempt_timestamp_seconds", labels) == START
    assert registry.get_sample_value("peak_job_runs_total", labels | {"outcome": "success"}) == 1.0


def test_names_beyond_the_limit_share_a_series(monkeypatch) -> None:
    """A job named by its date costs a warning, not a server."""
    monkeypatch.setattr(JOBS, "limit", len(JOBS.known()))
    for number in range(3):
        with job(f"jobs.overflow.{number}"):
            pass
    assert told("_overflow").runs == [3, 0, 0]


def test_jobs_of_one_series_add_up() -> None:
    """The latest run says how it went, the oldest under way since when."""
    first, second = JobReading(), JobReading()
    first.runs, first.last_attempt, first.running_since, first.outcome = [1, 0, 0], 5.0, 5.0, "success"
    second.runs, second.last_attempt, second.running_since, second.last_success = [0, 1, 0], 3.0, 3.0, 4.0
    assert first.since(first) == (False, False, False)
    assert first.since(second) == (True, True, True)
    first.add(second)
    first.retire()
    assert (first.runs, first.last_attempt, first.running_since) == ([1, 1, 0], 5.0, 3.0)
    assert (first.last_success, first.outcome) == (4.0, "success")


FORKED = """
import os
from peak_observe import job
from peak_observe.measures import JOBS
run = job("forked")
with run:
    child = os.fork()
    if child:
        os.waitpid(child, 0)
    # Parent and child both leave the block.
(_, told), = JOBS.read()
print("parent" if child else "child", told.runs, told.running_since, flush=True)
"""


def test_a_forked_child_does_not_end_its_parents_run() -> None:
    """It leaves the block too, but the run is the parent's."""
    done = subprocess.run([sys.executable, "-c", FORKED], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.splitlines() == ["child [0, 0, 0] 0.0", "parent [1, 0, 0] 0.0"]


@pytest.mark.parametrize(
    ("max_age", "seconds"), [("26h", 93_600.0), (90, 90.0), ("90min", 5_400.0), ("1.5 d", 129_600.0)]
)
def test_a_job_promises_how_old_its_last_success_may_get(max_age, seconds) -> None:
    """In seconds or in words; another place that names the job need not say it again."""
    name = f"jobs.promised.{max_age}"
    job(name, max_age=max_age)
    with job(name):
        pass
    assert told(name).max_age == seconds
    registry = CollectorRegistry()
    peak_observe.register(registry)
    assert registry.get_sample_value("peak_job_max_age_seconds", {"task": name}) == seconds


@pytest.mark.parametrize("max_age", [0, -1, "soon", "", True, math.nan, math.inf, "26 hours"])
def test_a_promise_that_makes_no_sense_is_refused(max_age) -> None:
    """And no job is made."""
    why = "at most a hundred years" if max_age == math.inf else "more than 0 seconds, or a time like '24h'"
    with pytest.raises(ValueError, match=f"max_age: it has to be {why}"):
        job("jobs.senseless", max_age=max_age)
    assert "jobs.senseless" not in dict(JOBS.read())
