"""Discovery of the server that has the keys: the master that a Sentinel names, or the node of a cluster's hash slot.

A step goes to one server by a plain client, with one timeout and no retry. Only who comes back to a server that was
away asks anew where it is, in the thread that does so; a call never waits for that.
"""

from __future__ import annotations

import re
from contextlib import suppress
from importlib import import_module
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol
from urllib.parse import parse_qsl, quote, unquote, urlencode

from peak_observe.coordination.engine import EngineError

if TYPE_CHECKING:
    from collections.abc import Callable

SCHEMES = ("redis+sentinel", "rediss+sentinel", "redis+cluster", "rediss+cluster")
UNCLEAR = (
    "the URL of the shared state makes no sense: write redis+sentinel://user:password@host:26379,host:26379/mymaster/0 "
    "or redis+cluster://user:password@host:6379, rediss for TLS, and '/', '@', '?' and '#' of a password "
    "as %2F, %40, %3F and %23"
)
_MOVED_WORDS = re.compile(r"\b(READONLY|NOREPLICAS|MASTERDOWN|CLUSTERDOWN)\b")
SENTINEL_PORT, PORT = 26379, 6379
HIGHEST_PORT = 65_535
_URL = re.compile(
    r"(rediss?)\+(sentinel|cluster)://(?:([^@/?#]*)@)?([^@/?#]+)(?:/([^@/?#]*))?(?:/(\d*))?(?:\?([^@#]*))?"
)
_HOST = re.compile(r"([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::(\d{1,5}))?")
_SENTINEL = "sentinel_"


class Place(NamedTuple):
    """URL of several servers, in its parts as they are written.

    Args:
        scheme: `redis`, or `rediss` for TLS.
        kind: `sentinel` or `cluster`.
        user: User and password for the server.
        hosts: The Sentinels, or nodes of the cluster, each with its port.
        service: What the Sentinels call the master.
        database: The number of the database.
        options: Those of redis-py, such as `ssl_ca_certs`, and user and password for Sentinels.
    """

    scheme: str
    kind: str
    user: str
    hosts: tuple[str, ...]
    service: str
    database: str
    options: tuple[tuple[str, str], ...]

    def url(self, host: str, *, of_sentinel: bool = False) -> str:
        """Return the URL of one server, or of a Sentinel, which has users of its own."""
        rest = urlencode([pair for pair in self.options if not pair[0].startswith(_SENTINEL)])
        user = self.sentinel_user if of_sentinel else self.user
        database = "" if of_sentinel else self.database
        return f"{self.scheme}://{user and user + '@'}{host}/{database or '0'}{rest and '?' + rest}"

    @property
    def shown(self) -> str:
        """The URL as logs may show it."""
        parts = [",".join(self.hosts), *filter(None, (self.service, self.database))]
        return f"{self.scheme}+{self.kind}://{'/'.join(parts)}"

    @property
    def sentinel_user(self) -> str:
        """User and password for the Sentinels, as a URL has them."""
        given = dict(self.options)
        name, password = (quote(given.get(f"{_SENTINEL}{part}", ""), safe="") for part in ("username", "password"))
        return f"{name}:{password}" if name or password else ""


def place_of(url: str) -> Place:
    """Return the parts of a URL of several servers.

    Raises:
        ValueError: It makes no sense; the message has no password.
    """
    found = _URL.fullmatch(url)
    if not found:
        raise ValueError(UNCLEAR)
    scheme, kind, user, hosts, first, database, query = (part or "" for part in found.groups())
    sentinel = kind == "sentinel"
    if bool(first) != sentinel and (sentinel or first.strip("0") or database):
        raise ValueError(UNCLEAR)
    named = tuple(_host(host, SENTINEL_PORT if sentinel else PORT) for host in hosts.split(","))
    options = tuple(parse_qsl(query, keep_blank_values=True))
    return Place(scheme, kind, user, named, unquote(first) if sentinel else "", database, options)


def _host(text: str, port: int) -> str:
    found = _HOST.fullmatch(text)
    number = int(found[2] or port) if found else 0
    if not found or not 1 <= number <= HIGHEST_PORT:
        raise ValueError(UNCLEAR)
    return f"{found[1]}:{number}"


class Discovery(Protocol):
    """Protocol of what finds the server that has the keys."""

    def locate(self) -> str:
        """Return its URL.

        Raises:
            EngineError: Nobody tells.
        """
        ...


class SentinelDiscovery:
    """Discovery of the master of a group that Sentinels watch.

    Args:
        place: The Sentinels and the name of the group.
        connect: Returns a client of a URL.
    """

    def __init__(self, place: Place, connect: Callable[[str], Any]) -> None:
        self._place = place
        self._connect = connect

    def locate(self) -> str:
        """Return the URL of the master that the first Sentinel knows that answers."""
        from redis.exceptions import RedisError

        module: Any = import_module("redis.sentinel")  # which has no types
        group = module.Sentinel([])
        group.sentinels = [self._connect(self._place.url(host, of_sentinel=True)) for host in self._place.hosts]
        try:
            host, port = group.discover_master(self._place.service)
        except module.MasterNotFoundError as error:
            refused = "Authentication" in str(error)  # of its text, which has all errors, no more is shown
            raise (
                _refused("a Sentinel")
                if refused
                else EngineError(f"no Sentinel tells of a master {self._place.service!r} that is up")
            ) from None
        except (RedisError, OSError) as error:
            raise EngineError(f"a Sentinel refuses: {type(error).__name__}", refused=True) from None
        finally:
            for sentinel in group.sentinels:
                _close(sentinel)
        return self._place.url(_joined(host, port))


class ClusterDiscovery:
    """Discovery of the node of a cluster that has the slot of a key.

    `RedisCluster` would read the table of all commands each time, and a call of it may ask several nodes.

    Args:
        place: Some nodes of the cluster; others that they name are asked later too.
        key: The key, of which the part in braces counts.
        connect: Returns a client of a URL.
    """

    def __init__(self, place: Place, key: str, connect: Callable[[str], Any]) -> None:
        from redis.crc import key_slot

        self._place = place
        self._connect = connect
        self._slot = key_slot(key.encode())
        self._nodes = place.hosts

    def locate(self) -> str:
        """Return the URL of the master that the first node names that answers."""
        problem = "no node of the cluster can be reached"
        for asked in self._nodes:
            table = self._table(asked)
            named = [(slots[0], slots[1], [_node(node, asked) for node in slots[2:]]) for slots in table]
            self._nodes = tuple(dict.fromkeys((*self._nodes, *(node for row in named for node in row[2]))))
            for first, last, nodes in named:
                if first <= self._slot <= last:
                    return self._place.url(nodes[0])
            if table:
                problem = f"no node of the cluster has slot {self._slot}"
        raise EngineError(problem)

    def _table(self, host: str) -> list[Any]:
        """Return what a node knows of slots; nothing where it does not answer."""
        from redis.exceptions import AuthenticationError, NoPermissionError, RedisError, ResponseError

        client = self._connect(self._place.url(host))
        try:
            return list(client.execute_command("CLUSTER", "SLOTS"))
        except AuthenticationError:
            raise _refused("a node of the cluster") from None
        except NoPermissionError:
            raise EngineError("the user of the cluster lacks a right; it needs: +cluster|slots", refused=True) from None
        except ResponseError:
            raise EngineError("the server is no node of a cluster: use redis:// for it", refused=True) from None
        except (RedisError, OSError):
            return []
        finally:
            _close(client)


def _node(told: Any, asked: str) -> str:
    """Return host and port of a node, which is at the host that was asked where it does not know its own."""
    return _joined(told[0], told[1]) if told[0] else f"{asked.rpartition(':')[0]}:{told[1]}"


def _close(client: Any) -> None:
    with suppress(Exception):  # it is given up anyway
        client.close()


def _refused(who: str) -> EngineError:
    return EngineError(f"{who} refuses the user or password that the URL names", refused=True)


def _joined(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def is_moved(error: Exception) -> bool:
    """Return whether a server says that it is not, or no more, the one to ask."""
    from redis.exceptions import AskError, ClusterError, ReadOnlyError, TryAgainError

    # Older servers put the word into the text of a script that failed.
    return isinstance(error, AskError | ClusterError | ReadOnlyError | TryAgainError) or bool(
        _MOVED_WORDS.search(str(error))
    )


def discovery_of(url: str, *, key: str, connect: Callable[[str], Any]) -> Discovery | None:
    """Return the discovery that a URL asks for; None for that of one server.

    Args:
        url: The URL.
        key: One of the keys, all of which have the same hash tag.
        connect: Returns a client of the URL of one server, with timeouts and no retry.

    Raises:
        ValueError: The URL makes no sense.
    """
    if url.partition("://")[0] not in SCHEMES:
        return None
    place = place_of(url)
    connect(place.url(place.hosts[0]))  # which connects to nothing, and refuses options that redis-py does not know
    return SentinelDiscovery(place, connect) if place.kind == "sentinel" else ClusterDiscovery(place, key, connect)
