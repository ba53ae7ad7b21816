"""Circuits that share: open together, one probe, close together, and alone while the engine is away."""

import asyncio
import pickle
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from peak_observe import CircuitBreaker, CircuitOpenError, Shared, circuit_breaker

Share = Callable[..., Shared]
Until = Callable[[Callable[[], object]], object]


def fail() -> None:
    """Fail as a service does."""
    raise ConnectionError("down")


def opened(breaker: CircuitBreaker) -> None:
    """Open a circuit by its failures."""
    for _ in range(breaker.failure_threshold):
        with pytest.raises(ConnectionError):
            breaker.call(fail)()


def pair(share: Share, url: str, recovery: float = 60.0, **options: object) -> tuple[CircuitBreaker, CircuitBreaker]:
    """Return the circuits of two members."""
    return tuple(CircuitBreaker(2, recovery, name="kraken", shared=share(url, **options)) for _ in range(2))


def until_due(until: Until, *breakers: CircuitBreaker) -> None:
    """Wait until a probe is due: for these processes, and by the engine's clock, which may be a hair behind."""
    until(lambda: all(breaker.state.value == "half_open" for breaker in breakers))
    session = breakers[0]._controller.shared.session

    def due() -> bool:
        found = session.engine.sync(session.member).circuits.get("kraken")
        return found is not None and (found.state, found.left) == ("open", 0.0)

    until(due)


def test_what_one_sees_open_is_open_for_all(share: Share, url: str, until: Until) -> None:
    """The other one refuses without a call, and says who opened it."""
    first, second = pair(share, url)
    opened(first)
    until(lambda: second.state.value == "open")
    with pytest.raises(CircuitOpenError) as error:
        second.call(fail)()
    assert 0 < error.value.retry_after <= 60
    assert second.stats.failure_count == 0


def test_one_success_closes_for_all(share: Share, url: str, until: Until) -> None:
    """The one that did not probe closes by the word of the other."""
    first, second = pair(share, url, 0.1)
    opened(first)
    until_due(until, second)
    assert second.call(lambda: "fine")() == "fine"
    until(lambda: first.state.value == "closed")
    assert second.state.value == "closed"


def test_only_one_probes(share: Share, url: str, until: Until) -> None:
    """While the probe of one is under way, the other refuses."""
    first, second = pair(share, url, 0.1)
    opened(first)
    until_due(until, first, second)
    inside, leave = threading.Event(), threading.Event()

    def probe() -> None:
        inside.set()
        leave.wait(60)

    thread = threading.Thread(target=first.call(probe))
    thread.start()
    assert inside.wait(60)
    with pytest.raises(CircuitOpenError, match="a probe is under way"):
        second.call(fail)()
    leave.set()
    thread.join(60)
    until(lambda: second.state.value == "closed")


def test_a_probe_that_lasts_keeps_its_lease(share: Share, url: str, until: Until) -> None:
    """It is renewed for as long as the probe is under way."""
    first, second = pair(share, url, 0.1, lease=4.0)
    opened(first)
    until_due(until, first, second)
    with first:
        time.sleep(4.5)
        with pytest.raises(CircuitOpenError):
            second.call(fail)()
    until(lambda: second.state.value == "closed")


def test_a_late_result_is_fenced_off(share: Share, url: str, until: Until, monkeypatch: pytest.MonkeyPatch) -> None:
    """A probe whose process was held up closes nothing after another one has taken its lease."""
    first, second = pair(share, url, 0.1, lease=0.3)
    opened(first)
    until_due(until, first, second)
    link = first._controller.shared
    monkeypatch.setattr(link, "_renew", lambda: None)  # as if it was stopped
    with first:
        time.sleep(0.5)
        with pytest.raises(ConnectionError):
            second.call(fail)()
    until(lambda: first.state.value != "closed")
    assert first.stats.success_count == 1
    assert link.session.tally.read().leases[-1] == 1


def test_coroutines_claim_while_others_run(share: Share, url: str, until: Until) -> None:
    """The claim of a probe is awaited; two event loops, one after the other, may do it."""
    first, second = pair(share, url, 0.1)

    @second.call
    async def asked() -> int:
        return 7

    for _ in range(2):
        opened(first)
        until_due(until, second)
        assert asyncio.run(asked()) == 7
        until(lambda: first.state.value == "closed")


def test_a_claim_whose_task_is_cancelled_leaves_the_lease_to_the_next_call(
    share: Share, url: str, until: Until
) -> None:
    """The answer is heard though nobody waits for it: else no process could probe until the lease is over."""
    breaker, _ = pair(share, url, 0.1, lease=60.0)
    opened(breaker)
    until_due(until, breaker)

    @breaker
    async def asked() -> int:
        return 7

    async def cancelled() -> None:
        task = asyncio.create_task(asked())
        await asyncio.sleep(0)  # it waits for the answer now
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(cancelled())
    until(lambda: breaker._controller.shared.admits_probe(time.monotonic()))
    assert asyncio.run(asked()) == 7


def test_an_operator_opens_and_closes_for_all(share: Share, url: str, until: Until) -> None:
    """By hand in one process, or from outside."""
    first, second = pair(share, url)
    first.force_open()
    until(lambda: second.state.value == "forced_open")
    second.reset()
    until(lambda: first.state.value == "closed")
    outside = share(url)
    outside.force_open("kraken")
    until(lambda: first.state.value == second.state.value == "forced_open")
    outside.reset("kraken")
    until(lambda: first.state.value == second.state.value == "closed")


def test_who_joins_later_knows(share: Share, url: str) -> None:
    """A process that starts during an outage does not have to find out."""
    first = CircuitBreaker(2, 60, name="kraken", shared=share(url))
    opened(first)
    assert first._controller.shared.session.flush(20)
    assert CircuitBreaker(2, 60, name="kraken", shared=share(url)).state.value == "open"


def test_a_dry_run_opens_for_nobody(share: Share, url: str) -> None:
    """Mode `observe` tells the others nothing."""
    first, second = pair(share, url)
    first.configure(mode="observe")
    opened(first)
    assert first._controller.shared.session.flush(20)
    assert second.state.value == "closed"


def test_a_private_trip_opens_for_nobody_else(share: Share, url: str, until: Until) -> None:
    """A key that is refused is no trouble of the others; this one probes and closes alone."""
    first, second = pair(share, url)
    first.trip("key refused", pause=0.05, share=False)
    assert first._controller.shared.session.flush(20)
    assert (first.state.value, second.state.value) != ("closed", "open")
    assert second.state.value == "closed"
    until(lambda: first.state.value == "half_open")
    first.call(lambda: None)()
    assert first.state.value == "closed"


def test_a_closed_circuit_sends_nothing(share: Share, url: str) -> None:
    """Successes, and failures below the threshold, are no step of the engine."""
    breaker = CircuitBreaker(5, 60, name="kraken", shared=share(url))
    session = breaker._controller.shared.session
    before = session.tally.read().operations[:16]
    call = breaker.call(lambda: 1)
    for _ in range(500):
        call()
    with pytest.raises(ConnectionError):
        breaker.call(fail)()
    assert session.tally.read().operations[:16] == before


def test_two_circuits_of_one_process_share_too(share: Share, url: str, until: Until) -> None:
    """The one that did not open it follows, though it is the same process that tells."""
    shared = share(url)
    first = CircuitBreaker(2, 60, name="kraken", shared=shared)
    second = circuit_breaker(2, 60, name="kraken", shared=shared)(lambda: 1)
    opened(first)
    until(lambda: second.breaker.state.value == "open")


def test_the_default_is_that_of_the_environment(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without it, `default` is no sharing at all."""
    from peak_observe.coordination import default

    monkeypatch.delenv("PEAK_OBSERVE_SHARED", raising=False)
    assert CircuitBreaker(shared="default")._controller.shared is None
    monkeypatch.setenv("PEAK_OBSERVE_SHARED", f"file://{tmp_path}/state")
    made = CircuitBreaker(shared="default")._controller.shared
    assert made.session is CircuitBreaker(shared="default")._controller.shared.session
    default._made.pop(f"file://{tmp_path}/state").close()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"url": "http://x"}, "its scheme is 'http'"),
        ({"url": ""}, "url must be 'host'"),
        ({"url": 7}, "url must be 'host'"),
        ({"url": "file://relative"}, "must be absolute"),
        ({"url": "redis://127.0.0.1:port/0"}, "makes no sense"),
        ({"url": "redis://127.0.0.1:99999/0"}, "makes no sense"),
        ({"url": "redis://127.0.0.1/bots"}, "the number of the database"),
        ({"namespace": "a b"}, "namespace must be"),
        ({"timeout": 0}, "timeout must be a number of seconds from 0.001 to 5"),
        ({"lease": True}, "lease must be"),
        ({"quorum": 0}, "quorum must be"),
        ({"url": "file:///tmp/x", "quorum": 2}, "a file has one"),
        ({"scope": 1}, "scope must be"),
    ],
)
def test_bad_input_is_one_error(options: dict, said: str) -> None:
    """It names the thing and the mend."""
    with pytest.raises(ValueError) as error:
        Shared(**options)
    assert said in str(error.value)


def test_it_cannot_be_sent_to_another_process(share: Share, url: str) -> None:
    """A Shared has threads and connections; each process makes its own."""
    with pytest.raises(TypeError, match="make one there"):
        pickle.dumps(share(url))


@pytest.mark.parametrize(
    "url", ["redis://:hush/word@127.0.0.1:1/0", "redis://:hush@[::/0", "redis://:12/hush@h/0", "redis://h/0?p=a@hush"]
)
def test_no_error_of_a_url_has_its_password(url: str) -> None:
    """Also where it is taken for a host or a port."""
    with pytest.raises(ValueError, match="as %2F") as error:
        Shared(url)
    assert "hush" not in str(error.value)


@pytest.mark.parametrize("name", ["", None, 5, b"x"])
def test_names_are_text(tmp_path: Path, name: object) -> None:
    """Each way in says so."""
    with Shared(f"file://{tmp_path}/state") as shared:
        for way in (shared.force_open, shared.reset, lambda name: shared.hold(name, 1.0), shared.turns):
            with pytest.raises(ValueError, match="name must be text that is not empty"):
                way(name)


def test_a_hold_wants_seconds(tmp_path: Path) -> None:
    """It does not quietly hold nothing."""
    with Shared(f"file://{tmp_path}/state") as shared:
        for seconds in (float("nan"), "60", True, None):
            with pytest.raises(ValueError, match="seconds must be a number"):
                shared.hold("kraken", seconds)
        shared.hold("kraken", 10**400)


@pytest.mark.parametrize("shared", ["", b"host", 0, "nowhere"])
def test_what_is_no_shared_state_is_an_error(shared: object) -> None:
    """It does not quietly share nothing."""
    with pytest.raises(ValueError, match=r"shared must be|url must be"):
        CircuitBreaker(shared=shared)
