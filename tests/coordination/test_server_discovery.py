"""Shared state behind Sentinels and in a Redis Cluster: a failover, a slot that moves, passwords and certificates."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
import redis
import trustme

from peak_observe import CircuitBreaker, Shared, SharedStateError
from peak_observe.clock import SYSTEM_CLOCK
from peak_observe.coordination import server_discovery
from peak_observe.coordination.engine import EngineError
from peak_observe.coordination.redis_engine import RIGHTS
from peak_observe.coordination.server_discovery import place_of
from peak_observe.coordination.urls import build_engine
from peak_observe.support.redact import redact
from tests.conftest import binary, free_port
from tests.coordination.conftest import Server

Share = Callable[..., Shared]
Until = Callable[[Callable[[], object]], object]
WORDS = ("hush/@?#+ é", "for sentinels")
QUOTED = "hush%2F%40%3F%23%2B%20%C3%A9"
SLOTS = 16_384
TAG = "{peak-observe}"


class Sentinel(Server):
    """A Sentinel that watches one master, and elects another one with as many others as it takes."""

    def __init__(self, folder: Path, master: int, quorum: int, *lines: str) -> None:
        folder.mkdir()
        known = [f"sentinel monitor mymaster 127.0.0.1 {master} {quorum}"]
        known += ["sentinel down-after-milliseconds mymaster 700", "sentinel failover-timeout mymaster 5000"]
        (folder / "sentinel.conf").write_text("\n".join([*known, *lines, ""]))
        super().__init__(binary("redis-server"), folder)

    def command(self) -> list[str]:
        """Return its command line, of which the file comes first."""
        return [self.program, str(self.folder / "sentinel.conf"), "--sentinel", "--port", str(self.port)]


class Fleet:
    """Servers of one test."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.servers: list[Server] = []

    def __call__(self, *options: str) -> Server:
        """Start one more in a folder of its own."""
        folder = self.folder / str(len(self.servers))
        folder.mkdir()
        self.servers.append(Server(binary("redis-server"), folder, *options))
        return self.servers[-1]

    def sentinel(self, master: Server, quorum: int, *lines: str) -> Server:
        """Start a Sentinel."""
        self.servers.append(Sentinel(self.folder / str(len(self.servers)), master.port, quorum, *lines))
        return self.servers[-1]

    def cluster(self, nodes: int, until: Until, *options: str) -> list[Server]:
        """Start nodes that share all slots, the first one with that of our keys."""
        ports = [free_port() for _ in range(nodes)]  # by default 10,000 higher, which may be none
        made = [self("--cluster-enabled", "yes", "--cluster-port", str(port), *options) for port in ports]
        for number, (server, port) in enumerate(zip(made, ports, strict=True)):
            asked(server, "CLUSTER", "ADDSLOTSRANGE", number * SLOTS // nodes, (number + 1) * SLOTS // nodes - 1)
            asked(server, "CLUSTER", "SET-CONFIG-EPOCH", number + 1)
            asked(made[0], "CLUSTER", "MEET", "127.0.0.1", server.port, port)
        until(lambda: all(ready(server, nodes) for server in made))
        owner = asked(made[0], "CLUSTER", "KEYSLOT", TAG) * nodes // SLOTS
        return [made[owner], *made[:owner], *made[owner + 1 :]]


def asked(server: Server, *command: object, **options: object) -> object:
    """Return what a server answers."""
    with redis.Redis(port=server.port, socket_timeout=20, decode_responses=True, **options) as client:
        return client.execute_command(*command)


def ready(server: Server, nodes: int) -> bool:
    """Return whether a node knows so many others, and that they are well."""
    found = asked(server, "CLUSTER INFO")
    return found["cluster_state"] == "ok" and found["cluster_known_nodes"] == str(nodes)


def hosts(*servers: Server) -> str:
    """Return servers as a URL has them, after one that is dead."""
    return ",".join([f"127.0.0.1:{free_port()}", *(f"127.0.0.1:{server.port}" for server in servers)])


def port_of(shared: Shared) -> int:
    """Return the port of the server that has the keys, as far as a state knows."""
    return int(shared._session.engine._located.rpartition(":")[2].partition("/")[0])


def breakers(*states: Shared) -> list[CircuitBreaker]:
    """Return a circuit of one name in each."""
    return [CircuitBreaker(1, 600, name="kraken", shared=shared) for shared in states]


def states_of(made: list[CircuitBreaker]) -> set[str]:
    """Return in which states circuits are."""
    return {breaker.state.value for breaker in made}


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[Fleet]:
    """A function that starts servers, which end with the test."""
    made = Fleet(tmp_path)
    yield made
    for server in made.servers:
        with suppress(ProcessLookupError):
            server.kill()


def test_a_failover_of_sentinels_is_a_moment(share: Share, fleet: Fleet, until: Until) -> None:
    """The same circuits, with passwords for servers and Sentinel, through the replica that was promoted."""
    locked = ("--requirepass", WORDS[0], "--masterauth", WORDS[0])
    master = fleet(*locked)
    replica = fleet(*locked, "--replicaof", f"127.0.0.1 {master.port}")
    until(lambda: asked(replica, "ROLE", password=WORDS[0])[3] == "connected")
    guarded = [f'sentinel auth-pass mymaster "{WORDS[0]}"', f'requirepass "{WORDS[1]}"']
    sentinel = fleet.sentinel(master, 1, *guarded)
    url = f"redis+sentinel://:{QUOTED}@{hosts(sentinel)}/mymaster/0?sentinel_password=for+sentinels"
    first, second = share(url), share(url)
    pair = breakers(first, second)
    assert (first.is_up, second.is_up, port_of(first)) == (True, True, master.port)
    pair[0].trip("down")
    until(lambda: states_of(pair) == {"open"})
    assert not [text for text in (repr(first), first.address) if "hush" in text or "for+sentinels" in text]

    until(lambda: asked(sentinel, "SENTINEL", "REPLICAS", "mymaster", password=WORDS[1]))
    master.kill()
    until(lambda: (first.is_up, port_of(first), port_of(second)) == (True, replica.port, replica.port))
    assert states_of(pair) == {"open"}
    until(lambda: first.is_up and second.is_up)
    first.reset("kraken")
    until(lambda: states_of(pair) == {"closed"})


def test_a_cluster_is_asked_at_the_node_of_the_slot(share: Share, fleet: Fleet, until: Until) -> None:
    """By a user with the documented rights; a slot that moves to another node is a moment, and loses nothing."""
    owner, other, _ = fleet.cluster(3, until)
    for server in fleet.servers:
        rights = [*RIGHTS.replace("{NAMESPACE}", TAG).split(), "+cluster|slots"]
        asked(server, "ACL", "SETUSER", "bot", "on", ">hush", *rights)
    url = f"redis+cluster://bot:hush@{hosts(other)}"
    first, second = share(url), share(url)
    pair = breakers(first, second)
    assert (first.is_up, second.is_up, port_of(first)) == (True, True, owner.port)
    pair[0].trip("down")
    until(lambda: states_of(pair) == {"open"})
    move_slot(owner, other)
    until(lambda: (port_of(first), port_of(second)) == (other.port, other.port))
    until(lambda: first.is_up and second.is_up)
    assert states_of(pair) == {"open"}
    assert first.picture().circuits["kraken"].era == 1
    second.reset("kraken")
    until(lambda: states_of(pair) == {"closed"})


def test_news_in_a_cluster_come_by_plain_publish(fleet: Fleet, until: Until) -> None:
    """From the script on the node of the slot to who listens there or at another node: no sharded channel is needed."""
    owner, other = fleet.cluster(2, until)
    engine = build_engine(
        f"redis+cluster://127.0.0.1:{other.port}", namespace="peak-observe", timeout=5.0, quorum=1, clock=SYSTEM_CLOCK
    )
    with redis.Redis(port=other.port, decode_responses=True) as client, client.pubsub() as elsewhere:
        elsewhere.subscribe(f"{TAG}:news")
        assert elsewhere.get_message(timeout=20)["type"] == "subscribe"
        assert engine.wait_for_news(5.0).gap
        until(lambda: asked(owner, "PUBSUB", "NUMSUB", f"{TAG}:news")[1] == 1)
        engine.open("kraken", era=0, seconds=60, by="me", reason="", voter="me")
        news = until(lambda: engine.wait_for_news(1.0))  # after the answers to its subscriptions
        assert [change.state for change in news.changes] == ["open"]
        assert '"s":"open"' in elsewhere.get_message(timeout=20)["data"]
    engine.close()


def move_slot(source: Server, target: Server) -> None:
    """Move the slot of our keys as an operator does, key after key."""
    slot = asked(source, "CLUSTER", "KEYSLOT", TAG)
    ends = [asked(server, "CLUSTER", "MYID") for server in (source, target)]
    asked(target, "CLUSTER", "SETSLOT", slot, "IMPORTING", ends[0])
    asked(source, "CLUSTER", "SETSLOT", slot, "MIGRATING", ends[1])
    while keys := asked(source, "CLUSTER", "GETKEYSINSLOT", slot, 100):
        asked(source, "MIGRATE", "127.0.0.1", target.port, "", 0, 5000, "KEYS", *keys)
    for server in (target, source):
        asked(server, "CLUSTER", "SETSLOT", slot, "NODE", ends[1])


def test_certificates_hold_for_sentinels_too(fleet: Fleet, share: Share, tmp_path: Path) -> None:
    """`rediss+sentinel` encrypts the way to both, and a certificate of a stranger is not taken."""
    authority, files = trustme.CA(), []
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    trustme.CA().cert_pem.write_to_path(tmp_path / "other.pem")
    issued = authority.issue_cert("127.0.0.1")
    for part, pem in (("cert", issued.cert_chain_pems[0]), ("key", issued.private_key_pem)):
        pem.write_to_path(tmp_path / f"{part}.pem")
        files += [f"tls-{part}-file", f"{tmp_path}/{part}.pem"]
    ports = [free_port() for _ in range(2)]
    options = ["tls-ca-cert-file", f"{tmp_path}/ca.pem", "tls-auth-clients", "no", "tls-replication", "yes", *files]
    master = fleet(
        "--tls-port", str(ports[0]), *(f"--{word}" if at % 2 == 0 else word for at, word in enumerate(options))
    )
    lines = [" ".join(pair) for pair in zip(options[::2], options[1::2], strict=True)]
    plain, master.port = master.port, ports[0]
    fleet.sentinel(master, 1, f"tls-port {ports[1]}", *lines)
    master.port = plain
    url = f"rediss+sentinel://127.0.0.1:{ports[1]}/mymaster?ssl_ca_certs={tmp_path}"
    shared = share(f"{url}/ca.pem")
    shared.turns("orders")
    assert (shared.is_up, port_of(shared)) == (True, ports[0])
    stranger = share(f"{url}/other.pem")
    stranger.turns("orders")
    assert not stranger.is_up


@pytest.mark.parametrize("kind", ["sentinel", "cluster"])
def test_a_wrong_password_is_refused_at_once(share: Share, server: Server, kind: str) -> None:
    """For Sentinels, or for the nodes; the message has no password."""
    asked(server, "CONFIG", "SET", "requirepass", "right")
    url = f"redis+sentinel://127.0.0.1:{server.port}/m?sentinel_password=wr0ng"
    if kind == "cluster":
        url = f"redis+cluster://:wr0ng@127.0.0.1:{server.port}"
    with pytest.raises(SharedStateError, match="refuses the user or password that the URL names") as error:
        share(url).turns("orders")
    assert "wr0ng" not in str(error.value)


def test_a_server_that_is_none_of_a_cluster_is_said(share: Share, server: Server) -> None:
    """With the URL that fits it."""
    with pytest.raises(SharedStateError, match="no node of a cluster: use redis://"):
        share(f"redis+cluster://127.0.0.1:{server.port}").turns("orders")
    with pytest.raises(SharedStateError, match="a Sentinel refuses"):
        share(f"redis+sentinel://127.0.0.1:{server.port}/m").turns("orders")


@pytest.mark.parametrize("url", ["redis+sentinel://{}/mymaster", "redis+cluster://{}"])
def test_where_nobody_tells_each_goes_on_alone(share: Share, url: str) -> None:
    """As with one server that is dead."""
    shared = share(url.format(hosts()), timeout=0.2)
    (breaker,) = breakers(shared)
    assert not shared.is_up
    assert breaker.call(lambda: 7)() == 7
    with pytest.raises(SharedStateError):
        shared.picture()


@pytest.mark.parametrize(
    ("url", "server", "sentinel"),
    [
        ("redis+sentinel://h/m", "redis://x:1/0", "redis://h:26379/0"),
        (
            "rediss+sentinel://u:p%2F@h:7,[::1]/my%20m/3?ssl_ca_certs=/ca",
            "rediss://u:p%2F@x:1/3?ssl_ca_certs=%2Fca",
            None,
        ),
        (
            "redis+sentinel://h/m?sentinel_username=a&sentinel_password=b%40c",
            "redis://x:1/0",
            "redis://a:b%40c@h:26379/0",
        ),
        ("redis+cluster://:p@h", "redis://:p@x:1/0", None),
        ("redis+cluster://h:1,h:2/0", "redis://x:1/0", None),
    ],
)
def test_a_url_of_several_servers_makes_one_for_each(url: str, server: str, sentinel: str | None) -> None:
    """Users, database and options are those of the server; a Sentinel has its own user."""
    place = place_of(url)
    assert place.url("x:1") == server
    if sentinel:
        assert place.url(place.hosts[0], of_sentinel=True) == sentinel


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis+sentinel://u:hush@h,[::1]:7/m/3?sentinel_password=hush", "redis+sentinel://h:26379,[::1]:7/m/3"),
        ("rediss+cluster://:hush@a:1,b:2", "rediss+cluster://a:1,b:2"),
    ],
)
def test_logs_and_errors_have_the_servers_and_no_password(share: Share, url: str, shown: str) -> None:
    """Also after what is secret was taken out of all that is written."""
    shared = share(url)
    assert shared.address == shown
    assert redact(f"shared state at {shown} is away") == f"shared state at {shown} is away"


@pytest.mark.parametrize(
    "url",
    [
        "redis+sentinel://h:26379",
        "redis+sentinel://h/hush/x",
        "redis+sentinel:///m",
        "redis+sentinel://h:0/m",
        "redis+sentinel://h:99999/m",
        "redis+sentinel://h,/m",
        "redis+sentinel://:hu/sh@h/m",
        "redis+sentinel://:hu@sh@h/m",
        "redis+sentinel://h/m?x=hush@h",
        "redis+cluster://",
        "redis+cluster://h/1",
        "redis+cluster://h/0/1",
        "redis+cluster://h:1:2",
        "redis+sentinel://[::1/m",
    ],
)
def test_a_url_that_makes_no_sense_is_one_error(url: str) -> None:
    """It says how to write it, without the password that may be in it."""
    with pytest.raises(ValueError, match="makes no sense: write") as error:
        Shared(url)
    assert "hu" not in str(error.value).replace("should", "")


@pytest.mark.parametrize("text", ["READONLY You can't write", "NOREPLICAS Not enough good replicas to write."])
def test_a_server_that_is_no_longer_the_master_is_away(text: str) -> None:
    """Older ones say so in the text of a script that failed."""
    assert server_discovery.is_moved(redis.exceptions.ResponseError(f"Error running script: {text}"))
    assert not server_discovery.is_moved(redis.exceptions.ResponseError("WRONGTYPE"))


def test_a_master_without_its_replicas_is_away_until_it_has_them(share: Share, fleet: Fleet, until: Until) -> None:
    """It refuses to write, as one does that was cut off; nothing that joins is refused for it."""
    (server,) = fleet.cluster(1, until, "--min-replicas-to-write", "1")
    shared = share(f"redis+cluster://127.0.0.1:{server.port}")
    (breaker,) = breakers(shared)
    assert not shared.is_up
    assert breaker.call(lambda: 7)() == 7
    asked(server, "CONFIG", "SET", "min-replicas-to-write", 0)
    until(lambda: shared.is_up)


def test_a_forked_child_or_a_closed_state_needs_no_server(server: Server) -> None:
    """An engine that was never located has no connection to drop."""
    engine = build_engine(f"redis+cluster://{hosts()}", namespace="x", timeout=0.1, quorum=1, clock=SYSTEM_CLOCK)
    engine.forget_connections()
    engine.wake()
    with pytest.raises(EngineError, match="no node of the cluster can be reached"):
        engine.beat("me")
    engine.close()


class Caller:
    """A thread that takes turns and calls while the servers fail, and notes the longest wait.

    Args:
        shared: What it shares.
        breaker: A circuit that is closed.
    """

    def __init__(self, shared: Shared, breaker: CircuitBreaker) -> None:
        self.longest, self.refused = 0.0, 0
        self._turns, self._call = shared.turns("orders"), breaker.call(lambda: 1)
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def end(self) -> None:
        """Let it end."""
        self._end.set()
        self._thread.join(60)

    def _run(self) -> None:
        while not self._end.is_set():
            start = time.monotonic()
            turn = self._turns.reserve(1, 60, limit=1000, per=1, burst=1000)
            self._call()
            self.longest = max(self.longest, time.monotonic() - start)
            self.refused += turn is not None and not turn.granted
            time.sleep(0.01)


@pytest.mark.nightly
@pytest.mark.parametrize("trouble", ["killed", "stopped"])
@pytest.mark.parametrize("kind", ["sentinel", "cluster"])
def test_a_master_that_fails_holds_up_and_refuses_nobody(
    share: Share, fleet: Fleet, until: Until, kind: str, trouble: str
) -> None:
    """Three Sentinels, or masters of a cluster, promote the replica; an old master that comes back changes nothing."""
    if kind == "sentinel":
        master = fleet()
        replica = fleet("--replicaof", f"127.0.0.1 {master.port}")
        url = f"redis+sentinel://{hosts(*(fleet.sentinel(master, 2) for _ in range(3)))}/mymaster"
    else:
        quick = ("--cluster-node-timeout", "2000", "--cluster-replica-validity-factor", "0")
        master, *others = fleet.cluster(3, until, *quick)
        port = free_port()
        replica = fleet("--cluster-enabled", "yes", "--cluster-port", str(port), *quick)
        asked(master, "CLUSTER", "MEET", "127.0.0.1", replica.port, port)
        until(lambda: all(ready(server, 4) for server in fleet.servers))
        asked(replica, "CLUSTER", "REPLICATE", asked(master, "CLUSTER", "MYID"))
        url = f"redis+cluster://{hosts(*others)}"
    until(lambda: asked(replica, "ROLE")[3:4] == ["connected"])
    time.sleep(3.0)  # until all of them know the replica
    first, second = share(url, timeout=0.2), share(url, timeout=0.2)
    pair = breakers(first, second)
    held = [CircuitBreaker(1, 600, name="binance", shared=shared) for shared in (first, second)]
    held[0].trip("down")
    until(lambda: states_of(held) == {"open"})
    time.sleep(1.0)  # until the replica has it
    caller = Caller(first, pair[0])
    try:
        master.stop() if trouble == "stopped" else master.kill()
        until(lambda: not first.is_up)
        until(lambda: (port_of(first), port_of(second)) == (replica.port, replica.port))
        until(lambda: first.is_up and second.is_up)
        assert states_of(held) == {"open"}
        if trouble == "stopped":
            master.go_on()
            time.sleep(3.0)
        first.reset("binance")
        until(lambda: states_of(held) == {"closed"})
    finally:
        caller.end()
    assert (port_of(first), caller.refused) == (replica.port, 0)
    assert caller.longest < 2.0
