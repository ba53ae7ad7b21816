"""Jobs: record last success, duration and outcome of work that begins and ends."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from functools import wraps
from types import TracebackType
from typing import ParamSpec, Self, TypeVar, cast

from peak_observe.catalog import JOB_OUTCOMES
from peak_observe.clock import SYSTEM_CLOCK, Clock
from peak_observe.measures import JOBS, JobReading, increased
from peak_observe.support.keywords import check_keywords
from peak_observe.support.shown import shown
from peak_observe.telemetry.snapshot import program_end, writer

SUCCESS, FAILED, INTERRUPTED = range(len(JOB_OUTCOMES))
P = ParamSpec("P")
T = TypeVar("T")


class _Task:
    """All runs of one job name in this process."""

    def __init__(self) -> None:
        self.running: dict[job, float] = {}
        self._told = JobReading()
        self._lock = threading.Lock()

    def promise(self, max_age: float) -> None:
        with self._lock:
            self._told.max_age = max_age

    def begin(self, run: job, at: float) -> None:
        with self._lock:
            self.running[run] = at
            self._told.last_attempt = at

    def end(self, run: job, outcome: int, at: float, seconds: float) -> None:
        with self._lock:
            # A forked child that leaves its parent's block has nothing to tell of it.
            if self.running.pop(run, None) is None:
                return
            told = self._told
            told.runs = increased(told.runs, outcome)
            told.last_duration, told.outcome = seconds, JOB_OUTCOMES[outcome]
            if outcome == SUCCESS:
                told.last_success = at

    def read(self) -> JobReading:
        """Return how things stand."""
        with self._lock:
            reading = JobReading()
            reading.add(self._told)
            reading.running_since = min(self.running.values(), default=0.0)
            return reading

    def forget_runs(self) -> None:
        """In a forked child: the runs under way, and whatever the lock was doing, are the parent's."""
        self.running.clear()
        self._told.outcome = ""
        self._lock = threading.Lock()


_tasks: dict[str, _Task] = {}
_lock = threading.Lock()


def _task(name: str) -> _Task:
    with _lock:
        known = _tasks.get(name)
        if known is None:
            series = JOBS.series(name)
            known = _tasks.get(series.name)
            if known is None:
                known = _tasks[series.name] = _Task()
                series.join(known, known.read)
        return known


def _after_fork() -> None:
    global _lock  # noqa: PLW0603 - the old one may be held by a thread that is not here
    _lock = threading.Lock()
    for task in _tasks.values():
        task.forget_runs()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


class job:  # noqa: N801 - it is used as a verb: `with job("nightly-backup"):`
    """Record one run of a job, as a context manager or a decorator of plain functions.

    Exceptions of the block come through. `Exception` and `sys.exit()` with a code other than 0 are `failed`; Ctrl-C and
    cancellation are `interrupted`; so is a run whose process was killed, which the exporter notices.

    Args:
        name: The name of the job, the same at every run; the label `task`.
        max_age: Time that may pass from one success to the next before `PeakJobOverdue` fires, in seconds or as
            `90min`, `26h` or `8d`; without it, that of another `job` of the name, else nothing is promised.
        clock: Where time comes from.

    Raises:
        ValueError: The name is not a string that UTF-8 can hold, or empty; or `max_age` is no time.
    """

    @check_keywords({"maxage every deadline": "max_age"})
    def __init__(self, name: str, *, max_age: float | str | None = None, clock: Clock = SYSTEM_CLOCK) -> None:
        promised = None if max_age is None else _seconds(max_age)
        self.name = name
        self._clock = clock
        self._task = _task(name)
        if promised is not None:
            self._task.promise(promised)
        self._began = 0.0

    def __enter__(self) -> Self:
        if self in self._task.running:
            raise RuntimeError(f"job {self.name!r} is running: make another one for a run beside it")
        self._began = self._clock.monotonic()
        self._task.begin(self, self._clock.now().timestamp())
        writer.soon()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        program_end.recorded(error)
        seconds = self._clock.monotonic() - self._began
        self._task.end(self, _outcome(error), self._clock.now().timestamp(), seconds)
        writer.soon()

    def __call__(self, func: Callable[P, T]) -> Callable[P, T]:
        """Return `func` as a job: each call is a run.

        Raises:
            TypeError: `func` is a coroutine function or a generator function, whose call does not do the work.
        """
        import inspect

        if not callable(func) or inspect.iscoroutinefunction(func) or inspect.isgeneratorfunction(func):
            raise TypeError(f"job() decorates plain functions, not {shown(func)}: use `with job(...)` inside it")

        @wraps(func)
        def run(*args: P.args, **kwargs: P.kwargs) -> T:
            with job(self.name, clock=self._clock):
                return func(*args, **kwargs)

        return cast("Callable[P, T]", run)


def _seconds(max_age: float | str) -> float:
    from peak_observe.support.durations import seconds

    try:
        return seconds(max_age)
    except ValueError as error:
        raise ValueError(f"max_age: {error}") from None


def _outcome(error: BaseException | None) -> int:
    if error is None or (isinstance(error, SystemExit) and error.code in (None, 0)):
        return SUCCESS
    interrupted = not isinstance(error, Exception | SystemExit)
    return INTERRUPTED if interrupted else FAILED
