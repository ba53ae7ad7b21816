"""Engine of many hosts: Redis 5 or newer, or Valkey, by redis-py."""

from __future__ import annotations

import json
import math
import secrets
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from peak_observe.coordination import record_steps, records
from peak_observe.coordination.engine import CircuitNews, EngineError, HoldNews, NewsBatch, SharedPicture, StoredRecord
from peak_observe.coordination.redis_scripts import SCRIPT
from peak_observe.coordination.server_discovery import discovery_of, is_moved
from peak_observe.errors import MissingExtraError

if TYPE_CHECKING:
    from collections.abc import Callable

    from peak_observe.coordination.windows import WindowRequest

ALIVE = 3.0
"""Seconds for which a process counts as a member after it was last heard of."""
KEEP = 86_400.0
"""Seconds for which records outlive the last member."""
CONNECTIONS = 64
"""Connections at most: one of the news, and one for each thread that asks, of which a session lets 16 ask at once."""
RIGHTS = "~{NAMESPACE}:* &{NAMESPACE}:* +eval +evalsha +ping +subscribe +unsubscribe +time +get +set +incr +publish "
RIGHTS += "+hget +hset +hdel +hgetall +zadd +zcard +zremrangebyscore +pexpire"
"""What a user of the server needs, as `ACL SETUSER` takes it; braces are part of the keys."""
PASSING = frozenset(["OOM", "READONLY", "MISCONF", "BUSY", "MASTERDOWN", "NOREPLICAS", "CLUSTERDOWN", "TRYAGAIN"])
"""Codes of errors that end by themselves: the server has no memory, a full disk, or another one takes over from it."""
_PASSING_TYPES = frozenset(
    {"OutOfMemoryError", "ReadOnlyError", "ClusterDownError", "TryAgainError", "MasterDownError"}
)


class RedisEngine:
    """Engine in which a server makes the steps, each by one script; news come by publish and subscribe.

    Args:
        url: `redis://`, `rediss://` or `unix://`, with password and database; or `redis+sentinel://` or
            `redis+cluster://` of several servers, of which one has all keys.
        namespace: What its keys begin with, as a hash tag, so that a cluster keeps them together.
        timeout: Seconds that a step, or a connection, takes at most.
        quorum: Hosts that have to see a circuit open before it is open for all.

    Raises:
        MissingExtraError: redis-py is not installed.
        ValueError: The URL is invalid; the message may quote its password.
    """

    def __init__(self, url: str, *, namespace: str, timeout: float, quorum: int) -> None:
        try:
            import redis
        except ImportError as error:
            raise MissingExtraError("shared", "Shared of a redis:// URL") from error
        self._redis: Any = redis
        self._timeout = timeout
        self._quorum = quorum
        tag = f"{{{namespace}}}"
        self._tag, self._channel = tag, f"{tag}:news"
        self._keys = [f"{tag}:circuits", f"{tag}:holds", f"{tag}:sequence", f"{tag}:members"]
        self._client: Any = None
        self._news: Any = None
        self._stale = False
        self._wake = f"{tag}:wake:{secrets.token_hex(8)}"
        self._ahead: float | None = None  # the server's milliseconds less ours, at the least
        self._kept = (0, 0)
        self._hash = ""
        self._discovery = discovery_of(url, key=tag, connect=self._client_of)
        self._located = ""  # the URL of the server that has the keys
        self._lost = self._discovery is not None
        self._locating = threading.Lock()
        if self._discovery is None:
            self._located, self._client = url, self._client_of(url)

    def _client_of(self, url: str) -> Any:
        from redis.backoff import NoBackoff
        from redis.connection import parse_url
        from redis.retry import Retry

        options = dict(parse_url(url))  # type: ignore[no-untyped-call] # redis-py has it without types
        if not url.startswith("unix:"):
            options.setdefault("socket_keepalive", True)
        # Its defaults wait for ever, or retry for seconds; what a URL says of these would hold up calls too.
        options |= {
            "socket_timeout": self._timeout,
            "socket_connect_timeout": self._timeout,
            "retry": Retry(NoBackoff(), 0),
            "retry_on_timeout": False,
            "max_connections": CONNECTIONS,
            "decode_responses": True,
            "protocol": 2,
        }
        pool = self._redis.ConnectionPool(**options)
        pool.connection_class(**pool.connection_kwargs)  # connects to nothing, and refuses unknown options
        return self._redis.Redis.from_pool(pool)  # whose close() closes the pool's connections too

    def _locate(self) -> None:
        """Find out which server has the keys, where the URL names several."""
        with self._locating:
            if self._discovery is None or not self._lost:
                return
            located, self._lost = self._discovery.locate(), False
            if located == self._located:
                return
            before, self._client, self._located = self._client, self._client_of(located), located
            self._ahead = None
        if before is not None:
            self._stale = True
            _quietly(before.close)

    @property
    def _server(self) -> Any:
        if self._client is None:
            self._locate()
        return self._client

    def open(self, name: str, *, era: int, seconds: float, by: str, reason: str, voter: str) -> CircuitNews:
        """Open a circuit that is closed in this era; with a quorum, vote for it."""
        votes = f"{self._tag}:votes:{name}"
        return _circuit(self._step("open", name, era, _ms(seconds), by, reason, self._quorum, voter, key=votes))

    def claim(self, name: str, *, lease: float) -> tuple[str, CircuitNews]:
        """Ask for the probe lease; the script has a deadline, as one that timed out here may run later there."""
        if self._ahead is None:
            self._compare_clocks(self._step("now"))
        deadline = math.floor(time.monotonic() * 1000 + (self._ahead or 0.0) + self._timeout * 1000)
        told = self._step("claim", name, _ms(lease), deadline)
        if told["o"] == records.LATE:
            self._ahead = None  # the clocks are apart: measure anew
        return told["o"], _circuit(told)

    def extend(self, name: str, *, token: int, lease: float) -> CircuitNews:
        """Lengthen a lease."""
        return _circuit(self._step("extend", name, token, _ms(lease)))

    def settle(self, name: str, *, token: int, state: str, seconds: float, by: str, reason: str) -> CircuitNews:
        """Close or reopen a circuit by the result of its probe."""
        return _circuit(self._step("settle", name, token, state, _ms(seconds), by, reason))

    def override(self, name: str, *, state: str, seconds: float, by: str, reason: str) -> CircuitNews:
        """Set a state by hand."""
        return _circuit(self._step("override", name, state, _ms(seconds), by, reason))

    def hold(self, name: str, *, seconds: float, reason: str) -> HoldNews:
        """Hold an exchange; a longer hold stays."""
        return _hold(self._step("hold", name, _ms(seconds), reason))

    def reserve(
        self, name: str, *, interval: float, burst: float, weight: float, patience: float
    ) -> tuple[float, bool]:
        """Reserve a turn."""
        wait, granted = self._run(
            "reserve", name, interval * 1e6, burst, weight, patience * 1e6, key=f"{self._tag}:turn:{name}"
        )
        return int(wait) / 1e6, bool(int(granted))

    def reserve_window(self, name: str, *, request: WindowRequest) -> tuple[float, bool, str]:
        """Reserve a turn in windows."""
        asked = {
            "w": [[limit, math.ceil(per * 1e6)] for limit, per in request.windows],
            "n": request.weight,
            "p": -1 if request.patience == math.inf else request.patience * 1e6,
            "d": math.ceil(request.delay * 1e6),
            "k": request.known,
            "o": request.own,
            "a": request.alone,
        }
        key = f"{self._tag}:window:{name}"
        wait, granted, mark = self._run("reserve_window", name, json.dumps(asked), key=key)
        return int(wait) / 1e6, bool(int(granted)), mark

    def postpone(self, name: str, *, seconds: float) -> None:
        """Let no turn begin for some seconds."""
        self._run("postpone", name, seconds * 1e6, key=f"{self._tag}:turn:{name}")

    def nonce(self, name: str, *, least: int) -> int:
        """Take the next nonce of a key."""
        return int(self._run("nonce", name, least, key=f"{self._tag}:nonce:{name}"))

    def seed(self, circuits: list[CircuitNews], holds: list[HoldNews]) -> None:
        """Bring back what the server lost."""
        kept = [{"h": hold.name, "d": _ms(hold.left), "r": hold.reason} for hold in holds]
        self._step("seed", json.dumps([_row(news) for news in circuits]), json.dumps(kept))

    def record(self, name: str, value: dict[str, Any] | None = None, *, after: int | None = None) -> StoredRecord:
        """Read a record, and replace it before if it was written `after` times."""
        if value is None:
            return record_steps.parsed(self._ask_records("load", name))
        return record_steps.parsed(self._ask_records("replace", name, after or 0, json.dumps(value)))

    def record_names(self) -> list[str]:
        """Return the names of all records."""
        return list(self._ask_records("names"))[::2]

    def _ask_records(self, *args: Any) -> Any:
        server = self._server
        try:
            return server.eval(record_steps.SCRIPT, 1, f"{self._tag}:records", *args)
        except Exception as error:  # noqa: BLE001 - as above
            raise self._failure(error) from None

    def sync(self, member: str) -> SharedPicture:
        """Take part for some seconds more, and read everything; where a server was lost, from who has its place."""
        self._locate()
        told = self._beat(member, "sync")
        self._kept = (len(told["c"]), len(told["h"]))
        circuits = {row["n"]: _circuit(row) for row in told["c"] or []}
        holds = {row["h"]: _hold(row) for row in told["h"] or []}
        return SharedPicture(told["q"], circuits, holds, told["m"])

    def beat(self, member: str) -> tuple[int, int]:
        """Take part for some seconds more; return the number of the last change and of members."""
        told = self._beat(member)
        before, self._kept = self._kept, (told["c"], told["h"])
        is_lost = any(was and not now for was, now in zip(before, self._kept, strict=True))
        return -1 if is_lost else told["q"], told["m"]

    def wait_for_news(self, seconds: float) -> NewsBatch | None:
        """Wait for changes; None if there were none."""
        if self._stale:
            self._stale = False
            self._drop_subscription()
        server = self._server
        try:
            if self._news is None:
                self._news = server.pubsub(ignore_subscribe_messages=True)
                self._news.subscribe(self._channel, self._wake)
                return NewsBatch(None, [], gap=True)
            message = self._news.get_message(timeout=seconds)
        except Exception as error:  # noqa: BLE001 - redis-py raises its own, OSError and more
            self._drop_subscription()
            raise self._failure(error) from None
        if message is None or message.get("type") != "message" or message["channel"] == self._wake:
            return None
        return _batch(message["data"])

    def renew_news(self) -> None:
        """Subscribe anew before the next wait: the connection may be dead without knowing, or the server another."""
        self._stale = True
        self._lost = self._discovery is not None

    def wake(self) -> None:
        """End the wait for news of this process, by a message to itself."""
        _quietly(lambda: self._client.publish(self._wake, ""))

    def _drop_subscription(self) -> None:
        news, self._news = self._news, None
        if news is not None:
            _quietly(news.close)

    def forget_connections(self) -> None:
        """Drop the sockets of the parent in a forked child; redis-py's pool sees the fork by itself."""
        self._locating = threading.Lock()
        if self._client is not None:
            pool = self._client.connection_pool
            # Its objects take these locks as they go, and a thread of the parent may have held them.
            pool._lock, pool._fork_lock = threading.RLock(), threading.RLock()  # noqa: SLF001 - no other way to renew them
            self._client = self._client_of(self._located)
        self._news = None

    def close(self) -> None:
        """Close all connections."""
        self._drop_subscription()
        if self._client is not None:
            _quietly(self._client.close)

    def _beat(self, member: str, step: str = "beat") -> Any:
        told = self._step(step, member, _ms(ALIVE))
        self._compare_clocks(told)
        return told

    def _compare_clocks(self, told: Any) -> None:
        # The answer was written before it came, so the server is at least so far ahead: deadlines come early, not late.
        self._ahead = told["now"] - time.monotonic() * 1000

    def _step(self, step: str, *args: Any, key: str = "") -> Any:
        return json.loads(self._run(step, *args, key=key))

    def _run(self, step: str, *args: Any, key: str = "") -> Any:
        keys = [*self._keys, key or self._keys[0]]
        given = [step, self._channel, _ms(KEEP), *args]
        server = self._server
        try:
            if self._hash:
                try:
                    return server.evalsha(self._hash, len(keys), *keys, *given)
                except self._redis.exceptions.NoScriptError:  # restarted, or flushed
                    pass
            answer = server.eval(SCRIPT, len(keys), *keys, *given)
        except Exception as error:  # noqa: BLE001 - as above
            raise self._failure(error) from None
        if not self._hash:
            import hashlib

            self._hash = hashlib.sha1(SCRIPT.encode(), usedforsecurity=False).hexdigest()
        return answer

    def _failure(self, error: Exception) -> EngineError:
        """Return our error of one of redis-py, without the URL, which has the password."""
        wrong = self._redis.exceptions
        if self._discovery is not None and is_moved(error):
            return EngineError("the server is no longer the one that has the keys")
        if isinstance(error, wrong.AuthenticationError):
            return EngineError("the server refuses the user or password that the URL names", refused=True)
        if isinstance(error, wrong.NoPermissionError):
            needed = RIGHTS.replace("{NAMESPACE}", self._tag)
            return EngineError(f"the user of the server lacks a right; it needs: {needed}", refused=True)
        if isinstance(error, wrong.TimeoutError):
            return EngineError(f"the server did not answer within {self._timeout:g} s")
        if isinstance(error, wrong.ResponseError):
            passing = type(error).__name__ in _PASSING_TYPES or str(error).partition(" ")[0] in PASSING
            return EngineError(f"the server refuses: {_brief(error)}", refused=not passing)
        return EngineError(f"the server cannot be reached: {_brief(error)}")


def _quietly(close: Callable[[], object]) -> None:
    with suppress(Exception):  # it is given up anyway
        close()


def _brief(error: Exception) -> str:
    from peak_observe.support.redact import message_of

    return message_of(error).rstrip(".")


def _ms(seconds: float) -> int:
    return -1 if seconds == math.inf else max(0, math.ceil(seconds * 1000))


def _seconds(ms: float) -> float:
    return math.inf if ms < 0 else ms / 1000


def _circuit(told: Any) -> CircuitNews:
    left, lease, age = _seconds(told["d"]), told["l"] / 1000, told["a"] / 1000
    return CircuitNews(told["n"], told["e"], told["s"], left, told["k"], lease, told["b"], told["r"], age)


def _row(news: CircuitNews) -> dict[str, Any]:
    row = {"n": news.name, "e": news.era, "s": news.state, "d": _ms(news.left), "k": news.token}
    return {**row, "b": news.by, "r": news.reason, "a": _ms(news.age)}


def _hold(told: Any) -> HoldNews:
    return HoldNews(told["h"], told["d"] / 1000, told["r"])


def _batch(data: Any) -> NewsBatch:
    try:
        told = json.loads(data)
        change = _hold(told) if "h" in told else _circuit(told)
        return NewsBatch(int(told["q"]), [change])
    except (ValueError, TypeError, KeyError):
        return NewsBatch(None, [], gap=True)  # somebody else talks on the channel
