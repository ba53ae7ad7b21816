"""Both engines make the same steps: those of the pure records."""

import json
import math
import random
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import redis

from peak_observe import Shared
from peak_observe.clock import SYSTEM_CLOCK
from peak_observe.coordination import records, windows
from peak_observe.coordination.engine import Engine, EngineError
from peak_observe.coordination.records import CircuitRecord
from peak_observe.coordination.urls import build_engine
from peak_observe.coordination.windows import WindowLog, WindowRequest
from tests.conftest import binary
from tests.coordination.conftest import Server


@pytest.fixture
def engine(every_url: str):
    """An engine of each kind."""
    found = build_engine(every_url, namespace="tests", timeout=5.0, quorum=1, clock=SYSTEM_CLOCK)
    yield found
    found.close()


def test_it_makes_the_steps_of_the_records(engine: Engine) -> None:
    """A random walk gives the same states, eras, tokens and answers as the pure functions."""
    chance, record, token = random.Random(7), CircuitRecord(), 0
    for _ in range(150):
        step, now = chance.choice(["open", "claim", "settle", "override", "extend"]), time.monotonic()
        due = record.due <= now + 50  # times are far apart, so that a slow machine decides nothing
        if step == "open":
            given = {"era": record.era - chance.choice([0, 0, 1]), "seconds": chance.choice([0.0, 1000.0]), "by": "me"}
            record = records.opened(record, now, reason="r", **given)
            news = engine.open("n", reason="r", voter="h", **given)
        elif step == "claim":
            expected, record = records.claimed(record, now + (1 if due else 0), lease=1000, deadline=math.inf)
            answer, news = engine.claim("n", lease=1000)
            assert answer == expected
            token = news.token if answer == records.GRANTED else token
        elif step == "settle":
            given = {"token": token, "state": chance.choice(["closed", "open"]), "seconds": 0.0, "by": "me"}
            record = records.settled(record, now, reason="r", **given)
            news = engine.settle("n", reason="r", **given)
        elif step == "override":
            given = {"state": chance.choice(["closed", "forced_open", "disabled"]), "seconds": math.inf, "by": "me"}
            record = records.overridden(record, now, reason="r", **given)
            news = engine.override("n", reason="r", **given)
        else:
            record = records.extended(record, now, token=token, lease=1000)
            news = engine.extend("n", token=token, lease=1000)
        assert (news.era, news.state, news.token) == (record.era, record.state, record.token)
        assert (news.leased > 0) == (record.leased_until > now)


def test_turns_are_spaced(engine: Engine) -> None:
    """Five calls of ten a second get turns a tenth of a second apart; one that does not wait gets none."""
    given = {"interval": 100.0, "burst": 1, "weight": 1}
    waits = [engine.reserve("l", patience=math.inf, **given) for _ in range(3)]
    assert [round(wait / 100) for wait, granted in waits if granted] == [0, 1, 2]
    assert engine.reserve("l", patience=0.0, **given)[1] is False


def test_windows_are_those_of_the_pure_steps(engine: Engine) -> None:
    """A random walk of weights, patience, pauses and forgotten turns gives the same waits as the pure functions."""
    chance, pers = random.Random(11), (2000.0, 7000.0)
    logs, mark, begun = (WindowLog(), WindowLog()), "", time.monotonic()
    for _ in range(120):
        request = WindowRequest(
            ((5, pers[0]), (12, pers[1])),
            chance.choice([0, 0.5, 1, 1, 2.25]),
            chance.choice([0.0, 1000.5, 3000.5, math.inf]),
            delay=chance.choice([0.0, 0.0, 0.0, 300.0]),
            known=chance.choice([mark, mark, mark, "another"]),
            own=chance.choice([(0.0, 0.0), (0.5, 1.5)]),
            alone=chance.choice([(0.0, 0.0), (0.0, 0.0), (0.5, 0.5)]),
        )
        missing = request.missing([mark if log.groups else None for log in logs])
        expected, granted, logs = windows.reserved(logs, 0.0, request=request, missing=missing)
        wait, taken, found = engine.reserve_window("w", request=request)
        assert (taken, wait) == (granted, pytest.approx(expected, abs=time.monotonic() - begun + 0.01))
        mark = found
    assert max(log.groups[-1][0] for log in logs) > 5 * pers[1]


def test_windows_have_room_again_when_they_are_over(engine: Engine) -> None:
    """By the clock of the engine; a call that comes too early is told how long it would wait."""
    given = WindowRequest(((3, 0.5), (100, 1000.0)), 1, 0.0, own=(0.0, 0.0), alone=(0.0, 0.0))
    assert [engine.reserve_window("w", request=given)[:2] for _ in range(3)] == [(0.0, True)] * 3
    wait, taken, _ = engine.reserve_window("w", request=given._replace(weight=2, patience=60.0))
    assert taken
    assert wait <= 0.5
    time.sleep(wait + 0.6)
    assert engine.reserve_window("w", request=given._replace(weight=3))[:2] == (0.0, True)


def test_a_log_that_was_lost_has_another_mark(engine: Engine) -> None:
    """As long as a log is there, its mark is the same for whoever asks; another limit has a log of its own."""
    given = WindowRequest(((3, 1000.0),), 1, 0.0, own=(0.0,), alone=(0.0,))
    first, again = (engine.reserve_window("w", request=given)[2] for _ in range(2))
    assert first == again
    assert engine.reserve_window("other", request=given)[2] != first
    assert engine.reserve_window("other", request=given._replace(known=first, own=(3.0,)))[1] is False


def test_turns_can_be_postponed(engine: Engine) -> None:
    """None begins before, a shorter time changes nothing, and the next turn is as far behind as ever."""
    given = {"interval": 100.0, "burst": 0.0, "weight": 1, "patience": math.inf}
    engine.postpone("p", seconds=1000.0)
    engine.postpone("p", seconds=10.0)
    assert [round(engine.reserve("p", **given)[0] / 100) for _ in range(2)] == [10, 11]
    engine.postpone("p", seconds=500.0)
    assert round(engine.reserve("p", **given)[0] / 100) == 12


def test_nonces_rise(engine: Engine) -> None:
    """Whoever asks, with a clock behind or ahead; numbers of nanoseconds are exact."""
    assert [engine.nonce("key", least=least) for least in (7, 5, 5, 9, 10, 10)] == [7, 8, 9, 10, 11, 12]
    late = 1_780_000_000_123_456_789
    assert [engine.nonce("key", least=least) for least in (late, 9, late)] == [late, late + 1, late + 2]
    assert [engine.nonce("other", least=least) for least in (99, 99, 9)] == [99, 100, 101]


def test_what_it_lost_is_brought_back(engine: Engine) -> None:
    """Circuits and holds of a memory come back where nothing is, and what is newer stays."""
    opened = engine.open("n", era=0, seconds=1000, by="me", reason="down", voter="h")
    hold = engine.hold("kraken", seconds=1000, reason="banned")
    remembered = opened._replace(name="gone", era=4, token=7)
    engine.seed([remembered, opened._replace(era=0, state="closed")], [hold._replace(name="binance")])
    picture = engine.sync("me")
    assert (picture.circuits["gone"].era, picture.circuits["gone"].token) == (4, 7)
    assert picture.circuits["n"].state == "open"
    assert {name: round(hold.left / 100) for name, hold in picture.holds.items()} == {"kraken": 10, "binance": 10}
    assert picture.members == 1


def test_for_ever_stays_for_ever(engine: Engine) -> None:
    """A circuit that is forced open without an end has none, however it is read."""
    assert engine.override("n", state="forced_open", seconds=math.inf, by="me", reason="").left == math.inf
    assert engine.sync("me").circuits["n"].left == math.inf
    assert engine.claim("n", lease=1)[0] == records.EARLY


def test_members_are_counted_and_forgotten(engine: Engine) -> None:
    """Each process once."""
    assert engine.beat("a:1")[1] == 1
    assert engine.beat("b:2")[1] == 2
    assert engine.beat("a:1")[1] == 2


def test_every_key_of_the_server_expires(shared_server: Server) -> None:
    """And has the one hash tag of its namespace, so that they are in one slot of a cluster."""
    with redis.Redis(port=shared_server.port, decode_responses=True) as client:
        client.flushall()
        engine = build_engine(shared_server.url, namespace="bots", timeout=5.0, quorum=2, clock=SYSTEM_CLOCK)
        engine.sync("me")
        engine.open("n", era=0, seconds=60, by="me", reason="", voter="a")
        engine.open("n", era=0, seconds=60, by="me", reason="", voter="b")
        engine.hold("kraken", seconds=60, reason="")
        engine.reserve("l", interval=60, burst=1, weight=1, patience=9)
        engine.reserve_window("l", request=WindowRequest(((9, 60.0),), 1, 9.0, own=(0.0,), alone=(0.0,)))
        engine.nonce("key", least=1)
        keys = client.keys("*")
        assert len(keys) == 8
        assert all(key.startswith("{bots}:") for key in keys)
        assert all(client.pttl(key) > 0 for key in keys)
        engine.close()


def test_a_quorum_opens_only_with_so_many_hosts(shared_server: Server) -> None:
    """One bad host does not open for all."""
    engine = build_engine(shared_server.url, namespace="quorum", timeout=5.0, quorum=2, clock=SYSTEM_CLOCK)
    given = {"era": 0, "seconds": 60.0, "by": "me", "reason": ""}
    assert engine.open("q", voter="a", **given).state == "closed"
    assert engine.open("q", voter="a", **given).state == "closed"
    assert engine.open("q", voter="b", **given).state == "open"
    engine.close()


def answers(engine: Engine) -> bool:
    """Return whether the server of an engine answers in time."""
    try:
        engine.sync("me")
    except EngineError:
        return False
    return True


def test_a_ghost_claim_is_refused(server: Server, until: Callable) -> None:
    """A claim that timed out at the client and runs later in a server that hung takes no lease."""
    given = {"namespace": "tests", "quorum": 1, "clock": SYSTEM_CLOCK}
    engine, patient = (build_engine(server.url, timeout=timeout, **given) for timeout in (0.3, 5.0))
    patient.open("n", era=0, seconds=0.0, by="me", reason="", voter="h")
    until(lambda: answers(engine))
    server.stop()
    with pytest.raises(EngineError, match=r"did not answer within 0\.3 s"):
        engine.claim("n", lease=60)
    time.sleep(0.5)
    server.go_on()
    time.sleep(0.2)
    until(lambda: answers(engine))
    assert patient.sync("me").circuits["n"].token == 0
    engine.close()
    patient.close()


def test_a_user_with_the_documented_rights_can_do_everything(server: Server) -> None:
    """And one with fewer is told which are needed."""
    from peak_observe.coordination.redis_engine import RIGHTS

    with redis.Redis(port=server.port) as client:
        client.acl_setuser("bot", enabled=True, passwords=["+s3cret-pass"], reset=True)
        rights = RIGHTS.replace("{NAMESPACE}", "{tests}").split()
        client.execute_command("ACL", "SETUSER", "bot", *rights)
        client.execute_command("ACL", "SETUSER", "poor", "on", ">s3cret-pass", "~*", "+ping")
    url = f"redis://bot:s3cret-pass@127.0.0.1:{server.port}/0"
    engine = build_engine(url, namespace="tests", timeout=5.0, quorum=2, clock=SYSTEM_CLOCK)
    engine.wait_for_news(0.1)
    engine.sync("me")
    engine.open("n", era=0, seconds=0.0, by="me", reason="", voter="h")
    engine.claim("n", lease=1)
    engine.hold("kraken", seconds=1, reason="")
    engine.reserve("l", interval=1, burst=1, weight=1, patience=9)
    engine.reserve_window("l", request=WindowRequest(((9, 60.0),), 1, 9.0, own=(0.0,), alone=(0.0,)))
    engine.nonce("key", least=1)
    engine.nonce("key", least=1)
    engine.postpone("l", seconds=1)
    engine.seed([], [])
    engine.close()
    poor = build_engine(url.replace("bot:", "poor:"), namespace="tests", timeout=5.0, quorum=1, clock=SYSTEM_CLOCK)
    with pytest.raises(EngineError, match=r"lacks a right; it needs: .*\+eval"):
        poor.sync("me")
    poor.close()


def test_a_server_whose_clock_was_set_back_makes_nothing_last_longer(shared_server: Server) -> None:
    """What is left of an opening, a lease, a hold or a turn stays, though the hour comes once more."""
    with redis.Redis(port=shared_server.port, decode_responses=True) as client:
        client.flushall()
        engine = build_engine(shared_server.url, namespace="tests", timeout=5.0, quorum=1, clock=SYSTEM_CLOCK)
        engine.open("n", era=0, seconds=60, by="me", reason="", voter="h")
        engine.hold("kraken", seconds=60, reason="")
        engine.reserve("l", interval=60, burst=1, weight=1, patience=9)
        hour = 3_600_000
        for key, fields in (("{tests}:circuits", ("d", "a")), ("{tests}:holds", ("u", "a"))):
            for name, text in client.hgetall(key).items():
                row = json.loads(text)
                client.hset(key, name, json.dumps({**row, **{field: row[field] + hour for field in fields}}))
        given = WindowRequest(((1, 60.0),), 1, 0.0, own=(0.0,), alone=(0.0,))
        engine.reserve_window("w", request=given)
        kept = json.loads(client.get("{tests}:window:w"))
        client.set("{tests}:window:w", json.dumps({**kept, "s": str(int(kept["s"]) + hour * 1000)}), keepttl=True)
        full, seen = client.get("{tests}:turn:l").split()
        client.set("{tests}:turn:l", f"{int(full) + hour * 1000} {int(seen) + hour * 1000}", keepttl=True)
        picture = engine.sync("me")
        assert 50 < picture.circuits["n"].left <= 60
        assert 50 < picture.holds["kraken"].left <= 60
        assert 50 < engine.reserve("l", interval=60, burst=1, weight=1, patience=0)[0] <= 60
        assert 50 < engine.reserve_window("w", request=given)[0] <= 60
        engine.close()


def test_a_server_is_reached_by_its_socket(tmp_path: Path) -> None:
    """A `unix://` URL names it."""
    socket = tmp_path / "redis.sock"
    server = Server(binary("redis-server"), tmp_path, "--unixsocket", str(socket))
    try:
        with Shared(f"unix://{socket}", timeout=2.0) as shared:
            shared.force_open("kraken.private")
            assert shared.picture().circuits["kraken.private"].state == "forced_open"
    finally:
        server.kill()
