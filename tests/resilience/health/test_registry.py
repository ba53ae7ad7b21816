"""Registering, running and asking: what a trading program does with its checks."""

import asyncio
import gc
import inspect
import os
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Callable

import pytest

import peak_observe
from peak_observe import HealthChanged, HealthCheck
from peak_observe.testing import ManualClock, RecordingObserver


def test_a_run_returns_results_by_name(health: HealthCheck) -> None:
    """In the order of registration."""
    health.register("simple", lambda: True)
    health.register("detailed", lambda: (False, "down"))
    health.register("full", lambda: (True, "up", {"connections": 10}))
    results = health.run_all()
    assert list(results) == health.names() == ["simple", "detailed", "full"]
    assert [(r.healthy, r.message, r.details) for r in results.values()] == [
        (True, "", None),
        (False, "down", None),
        (True, "up", {"connections": 10}),
    ]
    assert all(result.timestamp.tzinfo for result in results.values())


def test_an_empty_registry_is_healthy(health: HealthCheck) -> None:
    """Nothing was promised, nothing is broken."""
    assert health.run_all() == {}
    assert health.is_system_healthy() is True
    assert health.get_status()["summary"] == {"total": 0, "passed": 0, "failed": 0}


def test_the_status_has_the_known_form(health: HealthCheck) -> None:
    """Verdict, time, checks and summary."""
    health.register("database", lambda: (True, "Database is healthy"))
    health.register("api", lambda: False)
    status = health.get_status()
    assert (status["healthy"], status["status"]) == (False, "unhealthy")
    assert status["timestamp"] == "2026-01-01T00:00:00+00:00"
    assert status["checks"]["database"]["message"] == "Database is healthy"
    assert status["summary"] == {"total": 2, "passed": 1, "failed": 1}


def test_the_decorator_registers_and_returns_the_function(health: HealthCheck) -> None:
    """The function stays what it is."""

    @health.check("database", critical=False, tags=["core"])
    def database() -> bool:
        return True

    assert database() is True
    result = health.run_all()["database"]
    assert (result.healthy, result.critical, result.tags) == (True, False, ("core",))


def test_a_decorator_without_a_name_is_refused(health: HealthCheck) -> None:
    """Otherwise somebody would believe in a check that nobody runs."""
    with pytest.raises(TypeError, match=r"takes the check's name: @health_check.check\('…'\), not <function"):

        @health.check
        def database() -> bool:
            return True


def test_the_signature_is_pinned() -> None:
    """Users' code depends on names, order and defaults."""
    parameters = inspect.signature(HealthCheck.register).parameters.values()
    assert [str(parameter.replace(annotation=inspect.Parameter.empty)) for parameter in parameters] == [
        "self",
        "name",
        "check_func",
        "timeout=5.0",
        "interval=None",
        "ttl=None",
        "critical=True",
        "tags=()",
        "failure_threshold=1",
        "success_threshold=1",
        "depends_on=()",
    ]
    names = [name for name in dir(HealthCheck) if not name.startswith("_")]
    assert names == [
        "after_fork",
        "async_get_status",
        "async_is_system_healthy",
        "async_results",
        "async_run_all",
        "check",
        "get_status",
        "have_run",
        "is_system_healthy",
        "names",
        "register",
        "results",
        "run_all",
        "start",
        "stop",
        "unregister",
    ]


def test_registering_again_replaces(health: HealthCheck) -> None:
    """The later check has the name."""
    health.register("api", lambda: False)
    health.register("api", lambda: True)
    assert health.run_all()["api"].healthy


def test_unregister_says_whether_there_was_one(health: HealthCheck) -> None:
    """Twice is no error, as closing twice is none."""
    health.register("api", lambda: True)
    assert health.unregister("api") is True
    assert health.unregister("api") is False
    assert health.run_all() == {}


def test_the_global_registry_is_one(health: HealthCheck) -> None:
    """The package and its room give the same object."""
    from peak_observe.resilience import health_check

    assert peak_observe.health_check is health_check
    assert isinstance(health_check, HealthCheck)


def test_the_dictionary_of_checks_can_be_used_in_tests(health: HealthCheck) -> None:
    """As people did with the code this replaces: look into it, call from it, set and delete one, clear it."""

    def api() -> tuple[bool, str]:
        return True, "direct"

    health.register("api", api)
    assert dict(health._checks) == {"api": api}
    health._checks["database"] = lambda: True
    del health._checks["api"]
    assert list(health.run_all()) == list(health._checks) == ["database"]
    assert len(health._checks) == 1
    with pytest.raises(KeyError):
        del health._checks["api"]
    health._checks.clear()
    assert health.run_all() == {}


def test_a_name_that_is_registered_twice_is_logged(health: HealthCheck, caplog: pytest.LogCaptureFixture) -> None:
    """With both functions; not where the same function is registered again."""

    def first() -> bool:
        return True

    def second() -> bool:
        return False

    for check_func in (first, first, second):
        health.register("api", check_func)
    (line,) = caplog.messages
    assert line.startswith("check 'api' is registered twice: ")
    assert line.index("second") < line.index("takes the place of") < line.index("first")
    assert health._checks["api"] is second


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"timeout": 0}, "timeout must be more than 0"),
        ({"timeout": float("inf")}, "timeout must be a finite number"),
        ({"timeout": "5"}, "timeout must be a finite number"),
        ({"interval": -1}, "interval must be a finite number"),
        ({"ttl": -1}, "ttl must be a finite number"),
        ({"critical": 1}, "critical must be True or False"),
        ({"tags": 5}, "tags must be a string or several"),
        ({"tags": [5]}, "tags must be a string or several"),
        ({"failure_threshold": 0}, "failure_threshold must be a whole number"),
        ({"success_threshold": 1.5}, "success_threshold must be a whole number"),
        ({"depends_on": [None]}, "depends_on must be a string or several"),
        ({"depends_on": "x"}, "check 'x' would depend on itself"),
    ],
)
def test_nonsense_is_refused_by_name(health: HealthCheck, settings: dict, message: str) -> None:
    """One ValueError that names the argument, and nothing is registered."""
    with pytest.raises(ValueError, match=message):
        health.register("x", lambda: True, **settings)
    assert health.names() == []


@pytest.mark.parametrize("name", ["", None, 5, "\ud800"])
def test_a_name_is_a_text(health: HealthCheck, name: object) -> None:
    """It becomes a label."""
    with pytest.raises(ValueError, match="name"):
        health.register(name, lambda: True)


def test_what_cannot_be_called_is_refused(health: HealthCheck) -> None:
    """Most likely its result was passed."""
    with pytest.raises(TypeError, match="'x' must be a function without arguments, not True"):
        health.register("x", True)


def test_crashing_checks_are_unhealthy_and_harm_nobody(health: HealthCheck) -> None:
    """Exceptions, exits and an interrupt raised inside a check."""
    for error in (ValueError("boom"), SystemExit(3), KeyboardInterrupt(), GeneratorExit()):

        def crash(error: BaseException = error) -> None:
            raise error

        health.register(type(error).__name__, crash)
    health.register("sound", lambda: True)
    results = health.run_all()
    assert [name for name, result in results.items() if result.healthy] == ["sound"]
    assert {result.status for result in results.values()} == {"healthy", "error"}
    assert results["ValueError"].message == "Exception: boom (ValueError)"


def test_async_checks_run_beside_plain_ones(health: HealthCheck) -> None:
    """A coroutine function, a lambda that returns a coroutine, a callable object."""

    async def ping() -> tuple[bool, str]:
        await asyncio.sleep(0)
        return True, "pong"

    class Ping:
        async def __call__(self) -> bool:
            return True

    health.register("coroutine", ping)
    health.register("lambda", lambda: ping())  # noqa: PLW0108 - not known as a coroutine function from outside
    health.register("object", Ping())
    health.register("plain", lambda: True)
    assert all(result.healthy for result in health.run_all().values())
    assert health.run_all()["coroutine"].message == "pong"


def test_coroutines_run_on_the_callers_loop(health: HealthCheck) -> None:
    """A client that belongs to a loop is used on that loop, while the loop goes on."""
    seen = []

    async def check() -> bool:
        seen.append(asyncio.get_running_loop())
        return True

    async def main() -> None:
        health.register("async", check)
        health.register("plain", lambda: seen.append("thread") or True)
        assert (await health.async_run_all())["async"].healthy
        assert asyncio.get_running_loop() in seen

    asyncio.run(main())
    assert "thread" in seen


def test_run_all_on_a_loop_does_not_deadlock(health: HealthCheck) -> None:
    """The blocking form inside a coroutine blocks the loop but ends, coroutine checks included."""

    async def check() -> bool:
        return True

    async def main() -> bool:
        health.register("async", check)
        health.start(interval=60)
        try:
            return health.run_all()["async"].healthy
        finally:
            health.stop()

    assert asyncio.run(main())


@pytest.mark.usefixtures("own_series")
def test_two_hundred_checks_take_as_long_as_one(health: HealthCheck) -> None:
    """Side by side, not one after the other."""
    for number in range(200):
        health.register(f"slow-{number}", lambda: not time.sleep(0.1))
    started = time.perf_counter()
    results = health.run_all()
    assert time.perf_counter() - started < 10  # 20 s one after the other; the machine may be busy
    assert len(results) == 200
    assert all(result.healthy for result in results.values())


@pytest.mark.usefixtures("own_series")
def test_a_thousand_checks(health: HealthCheck) -> None:
    """More than run side by side at once, and every one gets its turn."""
    ran = []
    for number in range(1000):
        health.register(f"check-{number}", lambda number=number: ran.append(number) is None)
    assert sum(result.healthy for result in health.run_all().values()) == 1000
    assert sorted(ran) == list(range(1000))


def test_a_hanging_check_is_a_timeout_and_holds_up_nobody(health: HealthCheck, hang: Callable) -> None:
    """The run ends when its time is up; the next run says that it still hangs, at once."""
    health.register("hang", hang, timeout=0.1)
    health.register("quick", lambda: True)
    results = health.run_all()
    assert (results["hang"].status, results["hang"].message) == ("timeout", "no answer within 0.1 s")
    assert results["quick"].healthy
    took = []
    for _ in range(20):
        started = time.perf_counter()
        again = health.run_all()["hang"]
        took.append(time.perf_counter() - started)
    assert min(took) < 0.1  # the quickest, as the machine may be busy
    assert again.status == "timeout"
    assert again.message.startswith("still running after ")
    assert hang.calls == 1


def test_a_check_that_came_back_is_run_again(health: HealthCheck, hang: Callable, wait_until: Callable) -> None:
    """Once it has ended, late as it was, it gets another chance."""
    health.register("hang", hang, timeout=0.05)
    health.run_all()
    hang.release()
    wait_until(lambda: health.run_all()["hang"].healthy)


def test_a_check_slower_than_its_timeout_is_a_timeout(health: HealthCheck, wait_until: Callable) -> None:
    """A coroutine is ended at its timeout."""
    ended = []

    async def slow() -> bool:
        try:
            await asyncio.sleep(30)
        finally:
            ended.append(True)
        return True

    health.register("slow", slow, timeout=0.05)
    assert health.run_all()["slow"].status == "timeout"
    wait_until(lambda: ended)


def test_a_timeout_of_the_checks_own_is_an_error(health: HealthCheck) -> None:
    """A TimeoutError that the check raises is not our timeout."""

    async def fail() -> bool:
        raise TimeoutError("the exchange's")

    health.register("x", fail)
    assert health.run_all()["x"].message == "Exception: the exchange's (TimeoutError)"


def test_hanging_checks_never_pile_up_threads(health: HealthCheck, hang: Callable) -> None:
    """However often it is run or registered anew under its name."""
    for _ in range(20):
        health.register("hang", hang, timeout=0.01)
        result = health.run_all()["hang"]
    assert hang.calls <= 4
    assert "runs of checks that had this name before still hang" in result.message
    health.unregister("hang")
    health.register("hang", hang, timeout=0.01)
    health.run_all()
    assert hang.calls <= 4


def test_threads_and_descriptors_stay_flat_over_a_thousand_runs(health: HealthCheck, wait_until: Callable) -> None:
    """A leak would stop a bot after some nights."""

    async def ping() -> bool:
        return True

    def crash() -> None:
        raise ValueError

    health.register("plain", lambda: True)
    health.register("async", ping)
    health.register("crash", crash)
    health.run_all()
    before = count_resources()
    for _ in range(1000):
        health.run_all()
    wait_until(lambda: count_resources() <= before)


def count_resources() -> tuple[int, int]:
    """Return how many threads and open files this process has."""
    return threading.active_count(), len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - the plainest way to count


def test_registration_during_a_run(health: HealthCheck) -> None:
    """Checks that register, replace and remove others, and themselves, while all are running."""

    def restless() -> bool:
        health.register("late", lambda: True)
        health.unregister("victim")
        health.register("restless", lambda: (True, "replaced"))
        return True

    health.register("restless", restless)
    health.register("victim", lambda: not time.sleep(0.05))
    results = health.run_all()
    assert set(results) == {"restless", "victim"}
    assert set(health.run_all()) == {"restless", "late"}
    assert health.run_all()["restless"].message == "replaced"


def test_many_threads_share_one_run(health: HealthCheck, wait_until: Callable) -> None:
    """Whoever asks while a check is running waits for that run."""
    calls, gate = [], threading.Event()

    def slow() -> bool:
        calls.append(1)
        return gate.wait(60)

    health.register("slow", slow)
    results: list = []
    threads = [threading.Thread(target=lambda: results.append(health.run_all()["slow"])) for _ in range(8)]
    for thread in threads:
        thread.start()
    wait_until(lambda: calls)
    time.sleep(0.1)
    gate.set()
    for thread in threads:
        thread.join()
    assert len(calls) <= 2  # a thread may come when the run has just ended
    assert len(results) == 8
    assert all(result.healthy for result in results)


def test_verdict_and_status_share_one_run_inside_ttl(health: HealthCheck, clock: ManualClock) -> None:
    """Asking twice runs once, until the result is too old."""
    calls = []
    health.register("counted", lambda: calls.append(1) is None, ttl=10)
    health.is_system_healthy()
    health.get_status()
    assert len(calls) == 1
    clock.advance(10)
    health.get_status()
    assert len(calls) == 2
    health.run_all()
    assert len(calls) == 3, "run_all() always runs"


def test_without_ttl_every_question_is_fresh(health: HealthCheck) -> None:
    """What was mended a moment ago shows at once."""
    broken = [True]
    health.register("config", lambda: not broken[0])
    assert not health.is_system_healthy()
    broken.clear()
    broken.append(False)
    assert health.is_system_healthy()


def test_a_wall_clock_that_jumps_changes_no_age(health: HealthCheck, clock: ManualClock) -> None:
    """Ages are monotonic; timestamps follow the wall clock."""
    calls = []
    health.register("counted", lambda: calls.append(1) is None, ttl=10)
    health.get_status()
    clock.jump(86_400)
    health.get_status()
    assert len(calls) == 1


def test_a_failure_that_is_not_critical_degrades(health: HealthCheck) -> None:
    """The system may trade, and everybody can see what is amiss."""
    health.register("database", lambda: True)
    health.register("telegram", lambda: False, critical=False)
    assert health.is_system_healthy() is True
    status = health.get_status()
    assert (status["healthy"], status["status"]) == (True, "degraded")
    assert status["summary"]["failed"] == 1


def test_only_and_tags_select(health: HealthCheck) -> None:
    """With those that a selected check depends on."""
    health.register("network", lambda: True)
    health.register("exchange", lambda: True, tags="trading", depends_on=["network"])
    health.register("disk", lambda: True, tags=["host"])
    assert list(health.run_all(only="disk")) == ["disk"]
    assert list(health.run_all(tags=["trading"])) == ["network", "exchange"]
    assert list(health.run_all(only=["exchange", "disk"], tags=["host"])) == ["disk"]
    assert health.run_all(only="network", tags="host") == {}


def test_an_unknown_name_is_an_error_with_what_is_near(health: HealthCheck) -> None:
    """A typing error is no healthy system."""
    health.register("database", lambda: True, tags="trading")
    with pytest.raises(KeyError, match="no check is named 'databse'; near: database"):
        health.run_all(only=["databse"])
    with pytest.raises(KeyError, match="no check has the tag 'tradng'; near: trading"):
        health.run_all(tags=["trading", "tradng"])
    with pytest.raises(KeyError, match="no check is named 'xyz'"):
        asyncio.run(health.async_run_all(only="xyz"))


def test_a_failed_dependency_skips_with_the_reason(health: HealthCheck) -> None:
    """The root shows as failed, what stands on it as skipped, and neither is run for nothing."""
    calls = []
    health.register("orders", lambda: calls.append("orders") is None, depends_on=["exchange"])
    health.register("exchange", lambda: calls.append("exchange") is None, depends_on=["network"])
    health.register("network", lambda: (False, "no route"))
    results = health.run_all()
    assert calls == []
    assert (results["exchange"].status, results["exchange"].healthy) == ("skipped", False)
    assert results["exchange"].message == "'network' is not healthy: no route"
    assert results["orders"].message == "'exchange' is not healthy: 'network' is not healthy: no route"
    health.register("network", lambda: True)
    assert health.is_system_healthy()
    assert calls == ["exchange", "orders"]


def test_a_dependency_that_is_not_there_skips(health: HealthCheck) -> None:
    """It may be registered later."""
    health.register("orders", lambda: True, depends_on="exchange")
    assert health.run_all()["orders"].message == "depends on 'exchange', which is not registered"
    health.register("exchange", lambda: True)
    assert health.run_all()["orders"].healthy


def test_circles_are_refused_when_they_would_close(health: HealthCheck) -> None:
    """Nobody waits for ever."""
    health.register("a", lambda: True, depends_on=["b"])
    health.register("b", lambda: True, depends_on=["c"])
    with pytest.raises(ValueError, match="check 'c' would depend on itself: a leads back to it"):
        health.register("c", lambda: True, depends_on=["a"])
    health.register("c", lambda: True)
    assert health.is_system_healthy()


def test_thresholds_keep_a_check_from_flapping(health: HealthCheck) -> None:
    """Three failures in a row turn it, two successes in a row turn it back; in between the message counts."""
    answers = iter([True, False, False, True, False, False, False, True, False, True, True])
    health.register("api", lambda: (next(answers), "x"), failure_threshold=3, success_threshold=2)
    seen = [(result.healthy, result.message) for result in (health.run_all()["api"] for _ in range(11))]
    assert seen == [
        (True, "x"),
        (True, "x (failure 1 of 3)"),
        (True, "x (failure 2 of 3)"),
        (True, "x"),
        (True, "x (failure 1 of 3)"),
        (True, "x (failure 2 of 3)"),
        (False, "x"),
        (False, "x (success 1 of 2)"),
        (False, "x"),
        (False, "x (success 1 of 2)"),
        (True, "x"),
    ]


def test_the_first_run_decides_at_once(health: HealthCheck) -> None:
    """A system is not called healthy because it has not failed often enough yet."""
    health.register("api", lambda: False, failure_threshold=3)
    assert not health.is_system_healthy()


def test_changes_are_events(health: HealthCheck) -> None:
    """The first failure, the recovery, and nothing in between or of a check that begins well."""
    answers = iter([False, False, True, True])
    health.register("events.api", lambda: (next(answers), "said"))
    health.register("events.sound", lambda: True)
    with RecordingObserver() as seen:
        for _ in range(4):
            health.run_all()
    news = [(event.name, event.healthy, event.status, event.message) for event in seen.of(HealthChanged)]
    assert news == [("events.api", False, "unhealthy", "said"), ("events.api", True, "healthy", "said")]


def test_a_check_that_was_removed_makes_no_news(health: HealthCheck) -> None:
    """It went away while it was running."""

    def leave() -> bool:
        health.unregister("events.leaver")
        return False

    health.register("events.leaver", leave)
    with RecordingObserver() as seen:
        health.run_all()
    assert seen.of(HealthChanged) == []


def test_an_observer_may_use_the_registry(health: HealthCheck) -> None:
    """Events are told after every lock is released."""
    health.register("events.asked", lambda: False)
    seen = []
    stop = peak_observe.observe(lambda event: seen.append(health.names()))
    health.run_all()
    stop()
    assert seen == [["events.asked"]]


def test_a_removed_check_is_let_go(health: HealthCheck, wait_until: Callable) -> None:
    """Neither its thread, nor its series, nor the registry keep it or what it refers to."""

    class Client:
        def check(self) -> bool:
            return True

    client = Client()
    gone = weakref.ref(client)
    health.register("client", client.check)
    health.run_all()
    health.unregister("client")
    del client
    gc.collect()
    wait_until(lambda: gone() is None)


def test_a_circle_through_a_check_that_is_not_there_yet_is_refused(health: HealthCheck) -> None:
    """Even of two, and replacing a check opens no way around."""
    health.register("a", lambda: True, depends_on=["b"])
    with pytest.raises(ValueError, match="check 'b' would depend on itself: a leads back to it"):
        health.register("b", lambda: True, depends_on=["a"])
    assert health.run_all()["a"].status == "skipped"


def test_asking_on_the_loop_again_and_again_piles_up_nothing(health: HealthCheck, wait_until: Callable) -> None:
    """Each blocking call stops the coroutine it should wait for, and a few times gets a loop of its own."""
    calls: list[int] = []

    async def check() -> bool:
        calls.append(1)
        await asyncio.sleep(0)
        return True

    async def main() -> list[str]:
        health.register("async", check)
        health.start(interval=600)
        started = time.monotonic()
        while not health._registered["async"]._execution:
            assert time.monotonic() < started + 30
        found = [health.run_all()["async"].status for _ in range(3)]
        health.stop()
        return found

    assert asyncio.run(main()) == ["healthy"] * 3
    assert len(calls) <= 4


def test_async_run_all_that_is_cancelled_leaves_nothing_behind(
    health: HealthCheck, hang: Callable, wait_until: Callable
) -> None:
    """The task that asked ends at once, and so does its loop."""
    health.register("hang", hang, timeout=60)
    before = threading.active_count()

    async def main() -> None:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(health.async_run_all(), 0.1)

    started = time.monotonic()
    asyncio.run(main())
    assert time.monotonic() - started < 30
    hang.release()
    wait_until(lambda: threading.active_count() == before)


def test_a_check_that_leaks_tasks_and_threads_is_tidied_up_after(health: HealthCheck, wait_until: Callable) -> None:
    """What a coroutine left on its loop is cancelled, and its threads are waited for before it runs again."""
    release, begun = threading.Event(), []

    async def leaky() -> bool:
        begun.append(asyncio.create_task(asyncio.sleep(600)))
        asyncio.get_running_loop().run_in_executor(None, release.wait, 60)
        return True

    before = threading.active_count()
    health.register("leaky", leaky, timeout=0.1)
    for _ in range(10):
        assert health.run_all()["leaky"].status == "timeout"
    assert len(begun) == 1
    release.set()
    wait_until(lambda: threading.active_count() == before)
    assert begun[0].cancelled()
    assert health.run_all()["leaky"].healthy


def test_a_failure_of_a_coroutines_thread_is_the_checks(health: HealthCheck) -> None:
    """As it would be on any loop."""

    async def check() -> bool:
        await asyncio.to_thread(int, "x")
        return True

    health.register("async", check)
    assert health.run_all()["async"].message.startswith("Exception: invalid literal")


def test_a_crash_keeps_nothing_alive(health: HealthCheck, wait_until: Callable) -> None:
    """Neither the exception nor what its frames referred to."""

    class Book:
        """Something large."""

    gone: list = []

    def crash() -> None:
        book = Book()
        gone.append(weakref.ref(book))
        raise ValueError(book)

    health.register("crash", crash)
    for _ in range(3):
        health.run_all()
    gc.collect()
    wait_until(lambda: not any(ref() for ref in gone))


def test_a_check_replaced_before_its_turn_piles_up_nothing(health: HealthCheck, hang: Callable) -> None:
    """It is counted under its name, though nobody knows it any more."""
    for _ in range(10):

        def first() -> bool:
            health.register("hang", hang, timeout=0.01)
            return True

        health.register("first", first)
        health.register("hang", hang, timeout=0.01, depends_on=["first"])
        health.run_all()
    assert hang.calls <= 4


def test_threads_that_the_system_does_not_give_are_a_timeout_with_its_reason() -> None:
    """One after the other while some run; none at all is told and is no traceback."""
    program = """
import threading, time
from peak_observe import HealthCheck
health = HealthCheck()
health.register("x", lambda: True)
threading.stack_size(1 << 46)  # more than any machine has
print(health.run_all()["x"].message)
threading.stack_size(0)
print(health.run_all()["x"].message)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout == "could not be started: can't start new thread\n\n", done.stderr


def test_stop_during_a_run_harms_neither(health: HealthCheck, wait_until: Callable) -> None:
    """The run that somebody waits for goes on."""
    gate, results = threading.Event(), []
    health.register("slow", lambda: gate.wait(60))
    health.start(interval=600)
    runner = threading.Thread(target=lambda: results.append(health.run_all()["slow"]))
    runner.start()
    health.stop()
    gate.set()
    runner.join(60)
    assert results[0].healthy


def test_a_check_waits_for_a_thread_while_others_run() -> None:
    """The next one that ends gives its thread back."""
    program = """
import threading, time
from peak_observe import HealthCheck
health, scarce = HealthCheck(), threading.Event()

def slow():
    threading.stack_size(1 << 46)
    scarce.set()
    time.sleep(0.3)
    threading.stack_size(0)
    return True

health.register("slow", slow)
health.register("first", lambda: scarce.wait(60))
health.register("second", lambda: True, depends_on=["first"])
print([(result.name, result.healthy) for result in health.run_all().values()])
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout == "[('slow', True), ('first', True), ('second', True)]\n", done.stderr


def test_a_forked_process_runs_its_checks_itself() -> None:
    """Though one was under way in the parent, whose thread did not follow."""
    program = """
import os, threading, warnings
from peak_observe import HealthCheck
warnings.simplefilter("ignore")  # newer Pythons warn of any fork with threads
health, gate = HealthCheck(), threading.Event()
health.register("x", lambda: gate.wait(60), timeout=1)
assert health.run_all()["x"].status == "timeout"
child = os.fork()
gate.set()
if child == 0:
    os._exit(0 if health.run_all()["x"].healthy else 1)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout == "0\n", done.stderr


def test_a_coroutine_that_fails_on_the_loop_is_an_error(health: HealthCheck) -> None:
    """And one whose task somebody cancels too; the loop goes on."""

    async def fail() -> None:
        raise ValueError("boom")

    async def cancelled() -> None:
        asyncio.current_task().cancel()
        await asyncio.sleep(600)

    async def main() -> dict:
        health.register("fail", fail)
        health.register("cancelled", cancelled)
        return await health.async_run_all()

    results = asyncio.run(main())
    assert {name: result.message for name, result in results.items()} == {
        "fail": "Exception: boom (ValueError)",
        "cancelled": "Exception: CancelledError",
    }
