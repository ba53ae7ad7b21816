"""Many scrapers, and clients that are slow, silent, garbled or hostile: every good scrape is answered, nothing grows.

All of it is loopback and bounded: seconds in `make test`, a minute in `make nightly`.
"""

import asyncio
import base64
import contextlib
import gzip
import resource
import socket
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import bcrypt
import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from peak_observe.exporter.web import server

SCRAPERS = 200
PATIENCE = 60.0
SERIES = 10_000
MINE = f"""
from peak_observe import circuit_breaker
CIRCUITS = [circuit_breaker(name=f"circuit.{{number}}")(lambda: None) for number in range({SERIES} // 37)]

def trade():
    for call in CIRCUITS:
        call()
    return True
"""
CONFIG = '[checks.trade]\nkind = "python"\nfunction = "mine:trade"\ninterval = 0.5\n'
GOOD = (
    b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET /metrics HTTP/1.1\r\nHost: x\r\nAccept: application/openmetrics-text;version=1.0.0\r\n\r\n",
    b"GET /metrics HTTP/1.1\r\nHost: x\r\nAccept-Encoding: gzip\r\n\r\n",
    b"GET /metrics?name[]=peak_exporter_source_up HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
)
HOSTILE = (
    b"GET /metrics HTTP/1.1\r\n",  # half-open: nothing follows
    b"",  # silent
    b"GET /metrics HTTP/1.1\r\nX: " + b"a" * 1_000_000 + b"\r\n\r\n",
    b"GET /metrics?" + b"q" * 100_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET /../../etc/passwd HTTP/1.1\r\nHost: x\r\n\r\n",
    b"BREW /metrics HTTP/1.1\r\nHost: x\r\n\r\n",
    b"\x16\x03\x01\x02\x00\x01garbage\r\n\r\n",
    b"GET /metrics HTTP/9.9\r\n\r\n",
    b"GET /metrics HTTP/1.1\r\nContent-Length: 99999999999\r\nHost: x\r\n\r\nx",
    b"POST /-/reload HTTP/1.1\r\nTransfer-Encoding: chunked\r\nHost: x\r\n\r\nFFFFFFFFF\r\n",
    b"GET /metrics HTTP/1.1\r\nHost: x\r\nAuthorization: Basic " + b"=" * 5_000 + b"\r\n\r\n",
    b"GET /metrics?" + b"&".join([b"name[]=x"] * 2_000) + b" HTTP/1.1\r\nHost: x\r\n\r\n",
)


@contextlib.asynccontextmanager
async def connected(port: int) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """Open a connection for a while."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        yield reader, writer
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


async def ask(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: bytes) -> tuple[int, bytes]:
    """Send a request on a connection that is kept, and return status and whole body."""
    writer.write(request)
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    length = int(head.partition(b"content-length: ")[2].partition(b"\r\n")[0])
    body = await reader.readexactly(length)
    return int(head.split()[1]), gzip.decompress(body) if b"content-encoding: gzip" in head else body


async def scrape(port: int, number: int, until: float, bodies: list[bytes]) -> int:
    """Scrape again and again, at least twice, and return how often; an answer in a hundred is kept."""
    count = 0
    async with connected(port) as (reader, writer):
        while count < 2 or time.monotonic() < until:
            status, body = await ask(reader, writer, GOOD[(number + count) % len(GOOD)])
            assert status == 200
            assert b"peak_exporter_source_up" in body or b"</html>" in body
            count += 1
            if (number + count) % 100 == 0:
                bodies.append(body)
    return count


async def annoy(port: int, number: int, until: float) -> None:
    """Send nonsense, and leave without reading the answer, or stay."""
    while time.monotonic() < until:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            async with connected(port) as (reader, writer):
                writer.write(HOSTILE[number % len(HOSTILE)])
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(reader.read(100), 0.5)
        number += 7
        await asyncio.sleep(0.02)


async def dawdle(port: int, until: float) -> None:
    """Ask for everything, and read next to nothing of it."""
    async with connected(port) as (reader, writer):
        for _ in range(20):
            writer.write(GOOD[0])
        while time.monotonic() < until:
            await reader.read(10)
            await asyncio.sleep(0.2)


async def fire(port: int, seconds: float) -> tuple[int, list[bytes]]:
    """Return how many scrapes were answered, with some of them."""
    until = time.monotonic() + seconds
    bodies: list[bytes] = []
    async with asyncio.TaskGroup() as group:
        scrapers = [group.create_task(scrape(port, number, until, bodies)) for number in range(SCRAPERS)]
        for number in range(20):
            group.create_task(annoy(port, number, until))
        for _ in range(5):
            group.create_task(dawdle(port, until))
    return sum(task.result() for task in scrapers), bodies


@pytest.mark.parametrize("minute", [False, pytest.param(True, marks=pytest.mark.nightly)], ids=["short", "minute"])
def test_two_hundred_scrapers_among_hostile_clients(exporter: Callable, tmp_path: Path, minute: bool) -> None:
    """All good scrapes are whole and valid, the memory stays within 20 % and no descriptor is lost."""
    (tmp_path / "mine.py").write_text(MINE)
    running = exporter(CONFIG)
    running.eventually('peak_health_check_runs_total{check="trade",outcome="healthy"}')
    running.eventually("circuit.269")
    # What all these connections take once is no growth; measured, it is 13 MiB after 15 s and then stays for 100 s.
    asyncio.run(fire(running.port, 15.0 if minute else 1.0))
    before, opened = running.memory(), len(list(Path(f"/proc/{running.process.pid}/fd").iterdir()))
    count, bodies = asyncio.run(fire(running.port, 60.0 if minute else 2.0))
    assert count >= 2 * SCRAPERS
    after = running.memory()
    assert after < 1.2 * before
    assert bodies
    for body in {body[:1_000_000] for body in bodies[:5] if b"</html>" not in body}:
        parse = parse_openmetrics if body.endswith(b"# EOF\n") else parse_text
        assert list(parse(body.decode()))
    deadline = time.monotonic() + PATIENCE
    while len(list(Path(f"/proc/{running.process.pid}/fd").iterdir())) > opened + 20:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert running.end() == 0


def test_a_body_of_ten_thousand_series_is_quick(exporter: Callable, tmp_path: Path) -> None:
    """Under 50 ms, as the best of several on a machine that does other things too."""
    (tmp_path / "mine.py").write_text(MINE)
    running = exporter(CONFIG)
    running.eventually("circuit.269")

    def took() -> float:
        start = time.perf_counter()
        body = running.get(Accept_Encoding="gzip").body
        elapsed = time.perf_counter() - start
        assert gzip.decompress(body).count(b"\n") > 9_900
        return elapsed

    assert min(took() for _ in range(15)) < 0.05


def test_used_up_descriptors_are_weather(exporter: Callable) -> None:
    """While clients hold all there are nobody gets in; when they let go, the next scrape is answered."""
    running = exporter("")
    hard = resource.prlimit(running.process.pid, resource.RLIMIT_NOFILE)[1]
    resource.prlimit(running.process.pid, resource.RLIMIT_NOFILE, (40, hard))
    held: list[socket.socket] = []
    try:
        held += [socket.create_connection(("127.0.0.1", running.port), timeout=PATIENCE) for _ in range(60)]
        running.logged("no connection can be accepted: Too many open files")
    finally:
        for connection in held:
            connection.close()
    assert running.get().status == 200
    assert running.end() == 0


def test_a_slow_reader_is_waited_for_at_the_end(exporter: Callable, tmp_path: Path) -> None:
    """One that goes on reading gets all of its answer; one that has stopped is left after 5 s, of which 2 do here."""
    assert server.LAST_WORDS == 5
    (tmp_path / "mine.py").write_text(MINE.replace("circuit.", "circuit." + "x" * 700))
    (tmp_path / "sitecustomize.py").write_text("from peak_observe.exporter.web import server\nserver.LAST_WORDS = 2\n")
    running = exporter(CONFIG, PYTHONPATH=str(tmp_path))
    running.eventually("x269")
    with contextlib.ExitStack() as stack:
        reads, stopped = (stack.enter_context(socket.socket()) for _ in range(2))
        for client, buffer in ((reads, 65_536), (stopped, 4096)):  # 7 MB in pieces of 4 kB can take 2 s
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
            client.settimeout(PATIENCE)
            client.connect(("127.0.0.1", running.port))
            client.sendall(GOOD[0])
            assert client.recv(12, socket.MSG_WAITALL) == b"HTTP/1.1 200"
        start = time.monotonic()
        running.process.terminate()
        running.logged("stopping")
        received = b""
        while chunk := reads.recv(65_536):
            received += chunk
        head, _, body = received.partition(b"\r\n\r\n")
        assert len(body) == int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
        assert running.process.wait(PATIENCE) == 0
    assert time.monotonic() - start < 20


@pytest.fixture(scope="module")
def hasty(tmp_path_factory: pytest.TempPathFactory, serving: Callable) -> Iterator:
    """An exporter that waits a second where others wait half a minute."""
    folder = tmp_path_factory.mktemp("hasty")
    patience = "from peak_observe.exporter.web import http_protocol\nhttp_protocol.PATIENCE = 1.0\n"
    (folder / "sitecustomize.py").write_text(patience)
    with serving(folder, PYTHONPATH=str(folder)) as found:
        yield found


def until_ended(client: socket.socket, drip: bytes) -> float:
    """Send a byte now and then until the other side ends the connection, and return how long that took."""
    start = time.monotonic()
    client.settimeout(0.1)
    while time.monotonic() - start < PATIENCE:
        try:
            client.sendall(drip)
            if client.recv(100) == b"":
                return time.monotonic() - start
        except TimeoutError:
            continue
        except ConnectionError:
            return time.monotonic() - start
    raise AssertionError("it was not ended")


@pytest.mark.parametrize("drip", [b"", b"G"], ids=["silent", "dripping"])
def test_a_request_that_does_not_come_is_not_waited_for(hasty, drip: bytes) -> None:
    """Neither nothing nor a byte now and then holds a connection."""
    with socket.create_connection(("127.0.0.1", hasty.port), timeout=PATIENCE) as client:
        assert until_ended(client, drip) > 0.9
    with socket.create_connection(("127.0.0.1", hasty.port), timeout=PATIENCE) as client:
        client.sendall(GOOD[3])
        assert client.recv(12, socket.MSG_WAITALL) == b"HTTP/1.1 200"
        assert until_ended(client, b"G") > 0.9


def test_a_connection_is_kept_between_two_scrapes(hasty) -> None:
    """Prometheus asks again on the same one; its time begins with the next request."""

    async def main() -> None:
        async with connected(hasty.port) as (reader, writer):
            for _ in range(3):
                assert (await ask(reader, writer, GOOD[3]))[0] == 200
                await asyncio.sleep(1.2)  # longer than a request may take
            writer.write(GOOD[3] * 3)
            for _ in range(3):
                assert (await ask(reader, writer, b""))[0] == 200

    asyncio.run(main())


def guarded(exporter: Callable, folder: Path) -> tuple:
    """Start an exporter that wants a password, and return it with the right header."""
    hashed = bcrypt.hashpw(b"secret", bcrypt.gensalt(10)).decode()
    (folder / "web.yml").write_text(f"basic_auth_users: {{anna: {hashed}}}\n")
    return exporter("", "--web.config.file", "web.yml"), f"Basic {base64.b64encode(b'anna:secret').decode()}"


async def guess(port: int, name: str, source: str = "127.0.0.1") -> int:
    """Ask with a wrong password from an address, and return the status."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, local_addr=(source, 0))
    wrong = base64.b64encode(f"anna:{name}".encode())
    try:
        request = b"GET /metrics HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Basic " + wrong + b"\r\n\r\n"
        return (await ask(reader, writer, request))[0]
    finally:
        writer.close()


def test_guessing_passwords_holds_up_nobody(exporter: Callable, tmp_path: Path) -> None:
    """Bcrypt is run for one guess at a time, each gets an answer, and who is known gets his meanwhile."""
    running, right = guarded(exporter, tmp_path)
    assert running.get(Authorization=right).status == 200

    async def main() -> list[int]:
        async with asyncio.TaskGroup() as group:
            guesses = [group.create_task(guess(running.port, str(number))) for number in range(20)]
            await asyncio.wait(guesses, return_when=asyncio.FIRST_COMPLETED)
            answer = await asyncio.to_thread(running.get, Authorization=right)
            under_way = sum(not task.done() for task in guesses)
        assert answer.status == 200
        assert under_way > 0
        return [task.result() for task in guesses]

    assert asyncio.run(main()) == [401] * 20


def test_wrong_passwords_do_not_lock_out_the_right_one(exporter: Callable, tmp_path: Path) -> None:
    """Six times in six: known from before a reload, and new from another address than the guesses."""
    running, right = guarded(exporter, tmp_path)
    assert running.get(Authorization=right).status == 200

    async def flood(until: asyncio.Event, number: int) -> None:
        count = 0
        while not until.is_set():
            assert await guess(running.port, f"{number}-{count}", "127.0.0.2") == 401
            count += 1

    async def main() -> list[int]:
        until = asyncio.Event()
        async with asyncio.TaskGroup() as group:
            for number in range(25):
                group.create_task(flood(until, number))
            await asyncio.sleep(0.5)
            statuses = []
            for time_ in range(6):
                # At one go: a file that is empty for a moment asks nobody for a password.
                (tmp_path / "new.yml").write_text((tmp_path / "web.yml").read_text() + f"# {time_}\n")
                (tmp_path / "new.yml").replace(tmp_path / "web.yml")
                await asyncio.sleep(0.2)
                statuses.append((await asyncio.to_thread(running.get, Authorization=right)).status)
            # Not remembered: the same password, written otherwise.
            other = f"basic {right.partition(' ')[2]}"
            statuses.append((await asyncio.to_thread(running.get, Authorization=other)).status)
            until.set()
        return statuses

    assert asyncio.run(main()) == [200] * 7


def test_a_new_hash_forgets_who_was_verified(exporter: Callable, tmp_path: Path) -> None:
    """What stays remembered over a reload is the password of the hash that stands there now."""
    running, right = guarded(exporter, tmp_path)
    assert running.get(Authorization=right).status == 200
    hashed = bcrypt.hashpw(b"other", bcrypt.gensalt(10)).decode()
    (tmp_path / "web.yml").write_text(f"basic_auth_users: {{anna: {hashed}}}\n")
    deadline = time.monotonic() + PATIENCE
    while running.get(Authorization=right).status != 401:
        assert time.monotonic() < deadline
        time.sleep(0.1)
