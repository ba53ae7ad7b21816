"""All errors of the package.

PeakObserveError                  exit code 1
├── AlreadyRunningError           exit code 5; another process holds what only one may; `name`, `pid`, `since`, `host`
├── BackupError                   exit code 1; a backup could not be made, changed or removed
│   ├── BackupNotFoundError (LookupError)   exit code 3; there is no such backup; `backup_id`
│   ├── BackupCorruptError        exit code 4; stored files are not what they were; `backup_id`, `problems`
│   ├── BackupUnreadableError     exit code 7; they cannot be read, as for want of a right; `backup_id`, `problems`
│   ├── RepositoryLockedError     exit code 5; another process works there; `holder`
│   ├── RestoreRefusedError       exit code 6; restoring would do harm; nothing was touched; `problems`, `reasons`
│   ├── StoreError                exit code 1; an off-site store refused a request or cannot be reached
│   │   └── ObjectMissingError    exit code 1; it has no such object
│   └── WrongKeyError             exit code 1; the private key at hand opens nothing there
├── CallTimeoutError (TimeoutError)   a call took too long and was cancelled; `name`, `seconds`
├── CircuitOpenError              a call was refused; `name`, `retry_after`, `reason`, `last_error`
├── ConfigError (ValueError)      exit code 2; a configuration file makes no sense; `path`, `key`
├── HeldBackError                 a call was not made, as the exchange asked to wait; `name`, `retry_after`
├── InstanceLockError             exit code 2; the lock of a single instance cannot be kept; `name`, `folder`
├── ListenError (OSError)         exit code 2; the address to serve on cannot be had; `addr`, `port`, `errno`
├── LoadError (ImportError)       exit code 2; a module or object cannot be had; `target`
├── MissingExtraError (ImportError)   exit code 2; an optional part is not installed
├── OrderJournalError             the order journal cannot be read or written; `path`, `problem`
├── OrderKeyConflict (ValueError)   a key names another order already; `key`, `known`, `given`
├── OrderNotPlaced                an order is known not to stand; `key`, `reason`, `final`
├── OutcomeUnknown                an order may or may not stand; `client_order_ids`, `order`, `at`, `method`, `endpoint`
├── RefusedError                  a limit of ours let a call not pass, which says nothing of the service it was for
│   ├── BulkheadFullError         too many calls are under way; `name`, `limit`
│   ├── DeadlineExceededError (TimeoutError)   its wait would pass the deadline; `name`, `needed`
│   ├── RateLimitedError          it came too soon; `name`, `retry_after`
│   ├── ShuttingDownError         the program is ending, so its wait was cut short; `name`
│   └── TradingHaltedError        trading is halted or reduced; `name`, `reason`, `state`, `until`
├── SharedStateError              exit code 3; the shared state cannot be reached; `address`, `reason`
├── SummarizedError               stands for an exception that is not kept itself; `kind`, `text`
└── UsageError                    exit code 2; a command was asked for what cannot be done

`RestoreCutOff` is no `Exception` but a `KeyboardInterrupt`: Ctrl-C ended a restore while it was being taken back.

Errors carry data, so that code can act on it without reading the message. `CircuitOpenError`, `HeldBackError`,
`OutcomeUnknown` and `TradingHaltedError` of an exchange client are also ccxt's `ExchangeNotAvailable`,
`RateLimitExceeded`, `ExchangeError` and `OperationRejected`.
"""

from collections.abc import Callable
from datetime import datetime
from functools import wraps
from typing import Self


def _redacted(text: Callable[..., str]) -> Callable[..., str]:
    """Return what makes a text, with the secrets taken out of it, and what would steer a terminal."""

    @wraps(text)
    def redacted(*args: object) -> str:
        from peak_observe.support.redact import clean, printable_lines  # late: most programs write no error

        return printable_lines(clean(text(*args)))

    return redacted


class PeakObserveError(Exception):
    """Base of all errors of peak_observe, whose texts hold no secret whatever they repeat."""

    exit_code = 1

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        if "__str__" in vars(cls):
            cls.__str__ = _redacted(cls.__str__)  # type: ignore[method-assign] # the same, cleaned

    def __repr__(self) -> str:
        return _redacted(super().__repr__)()

    def __str__(self) -> str:
        return _redacted(super().__str__)()


class AlreadyRunningError(PeakObserveError):
    """Another process holds what only one process may hold, such as the API key of an account.

    Args:
        name: What is held.
        pid: The process that holds it, 0 if that cannot be read.
        since: When that process began, ISO 8601 in UTC, empty if that cannot be read.
        host: The host that it runs on.
    """

    exit_code = 5

    def __init__(self, name: str, pid: int = 0, since: str = "", host: str = "") -> None:
        super().__init__(name, pid, since, host)
        self.name = name
        self.pid = pid
        self.since = since
        self.host = host

    def __str__(self) -> str:
        holder = f"process {self.pid} on {self.host}, which began at {self.since}," if self.pid else "another process"
        return f"{self.name!r} is running already: {holder} holds it; end that one first"


class InstanceLockError(PeakObserveError):
    """The lock that only one process may hold cannot be kept in its folder, so that nothing would be guarded.

    Args:
        name: What was to be held.
        folder: Where.
        reason: What the system says.
    """

    exit_code = 2

    def __init__(self, name: str, folder: str, reason: str) -> None:
        super().__init__(name, folder, reason)
        self.name = name
        self.folder = folder
        self.reason = reason

    def __str__(self) -> str:
        return (
            f"the lock of {self.name!r} cannot be kept in {self.folder}: {self.reason}; name a folder on this machine "
            "that may be written, by PEAK_OBSERVE_DIR or folder="
        )


class BackupError(PeakObserveError):
    """A backup could not be made, changed, restored or removed; the message gives the reason and what is unchanged."""


class BackupNotFoundError(BackupError, LookupError):
    """The repository holds no backup of this name.

    Args:
        backup_id: The name asked for.
        hint: The backups there are instead.
    """

    exit_code = 3

    def __init__(self, backup_id: str, hint: str = "") -> None:
        super().__init__(backup_id, hint)
        self.backup_id = backup_id
        self.hint = hint

    def __str__(self) -> str:
        return f"there is no backup {self.backup_id!r}" + (f"; {self.hint}" if self.hint else "")


class _ProblemsError(BackupError):
    """Error with a list of problems; its text names the first few."""

    shown = 3

    def __init__(self, backup_id: str, problems: tuple[str, ...]) -> None:
        super().__init__(backup_id, problems)
        self.backup_id = backup_id
        self.problems = problems

    def _listed(self) -> str:
        more = len(self.problems) - self.shown
        return "; ".join(self.problems[: self.shown]) + (f"; and {more} more" if more > 0 else "")


class BackupCorruptError(_ProblemsError):
    """Stored files of a backup differ from its manifest.

    Args:
        backup_id: The backup.
        problems: The differences, a line a file.
    """

    exit_code = 4

    def __str__(self) -> str:
        return f"backup {self.backup_id} is corrupt: {self._listed()}"


NEWER = "a newer peak-observe wrote it"


class BackupUnreadableError(_ProblemsError):
    """Stored files of a backup cannot be read, as for want of a right, which says nothing of their content.

    Args:
        backup_id: The backup.
        problems: The files that cannot be read, with the reasons, a line each.
    """

    exit_code = 7

    def __str__(self) -> str:
        listed = self._listed()
        mend = "use that version" if NEWER in listed else "run this as a user who may read it"
        return f"backup {self.backup_id} cannot be read: {listed}; {mend}"


class RepositoryLockedError(BackupError):
    """Another process or thread holds the lock of the repository.

    Args:
        path: The repository.
        holder: The process that works there, and since when, in words.
    """

    exit_code = 5

    def __init__(self, path: str, holder: str) -> None:
        super().__init__(path, holder)
        self.path = path
        self.holder = holder

    def __str__(self) -> str:
        return f"{self.path} is in use by {self.holder}: wait until that has ended"


class RestoreRefusedError(_ProblemsError):
    """A restore was refused because it would do harm; no live file was touched.

    Args:
        backup_id: The backup.
        problems: The reasons against it, each with the mend.
        reasons: Of which kinds that is: `unnamed`, `partial`, `failed`, `open`, `blocked`, `unmatched`, `inner`,
            `misplaced`, `lost` or `state_file`.
    """

    exit_code = 6

    def __init__(self, backup_id: str, problems: tuple[str, ...], reasons: tuple[str, ...] = ()) -> None:
        super().__init__(backup_id, problems)
        self.reasons = reasons

    def __reduce__(self) -> tuple[type[Self], tuple[str, tuple[str, ...], tuple[str, ...]], dict[str, object]]:
        return type(self), (self.backup_id, self.problems, self.reasons), self.__dict__

    def __str__(self) -> str:
        return f"backup {self.backup_id} is not restored: {self._listed()}"


class StoreError(BackupError):
    """An off-site store refused a request or cannot be reached; the message names the request and the reason."""


class ObjectMissingError(StoreError):
    """An off-site store has no object of that name."""


class WrongKeyError(BackupError):
    """The private key at hand does not open what is stored."""


class RestoreCutOff(KeyboardInterrupt):
    """Ctrl-C ended a restore while it was being brought to its end; files are between old and new.

    Args:
        repository: The repository, whose next use brings them to one of both; empty where only the command does, as
            the journal lies elsewhere: the repository was full, or is somebody else's.
        journal: The file that says what is left to do.
        command: Does it.
        untouched: Whether all files are still as before, and only those beside them have to go.
    """

    def __init__(
        self,
        repository: str,
        journal: str,
        command: str = "peak-observe backup recover",
        *,
        untouched: bool = False,
    ) -> None:
        super().__init__(repository, journal)
        self.repository = repository
        self.journal = journal
        self.command = command
        self.untouched = untouched

    def __str__(self) -> str:
        what = "files are between old and new"
        does = "brings all of them to one of both"
        if self.untouched:
            what, does = "all files are as before, and new ones lie beside them", "removes those"
        begin = f"interrupted in the middle: {what} (see {self.journal})"
        if not self.repository:
            return f"{begin}; `{self.command}` {does}"
        return f"{begin}; the next use of {self.repository} {does}, as does `{self.command}`"


class CircuitOpenError(PeakObserveError):
    """A circuit breaker refused the call without making it.

    Args:
        name: The breaker's name.
        retry_after: Seconds until the circuit lets a probe through; while one is under way, until that probably ends;
            0.0 where it stays open until somebody resets it.
        reason: Why, where it is not for failures.
    """

    __slots__ = ("name", "reason", "retry_after")  # an open circuit may have to make thousands of them a second

    def __init__(self, name: str, retry_after: float = 0.0, reason: str = "") -> None:
        self.args = name, retry_after, reason  # as Exception's own __init__ would do, in half the time
        self.name = name
        self.retry_after = retry_after
        self.reason = reason

    @property
    def last_error(self) -> BaseException | None:
        """Exception that opened the circuit, which is the cause of this error too; None if that was no exception.

        It is a copy: the class, and of arguments, attributes and notes the numbers and texts. Traceback, frames and
        objects are not kept. Where a class cannot be copied so, it is an `SummarizedError`. Pickling loses it.
        """
        return self.__cause__

    def __str__(self) -> str:
        wait = f"next probe in {self.retry_after:.1f} s" if self.retry_after > 0 else ""
        when = ", ".join(filter(None, (self.reason, wait))) or "until it is reset"
        return f"CircuitBreaker '{self.name}' is OPEN ({when})"


class SharedStateError(PeakObserveError):
    """The server or file of the shared state cannot be reached, or refuses.

    Args:
        address: Where it is, without user and password.
        reason: What is wrong, and how to mend it.
    """

    exit_code = 3

    def __init__(self, address: str, reason: str) -> None:
        super().__init__(address, reason)
        self.address = address
        self.reason = reason

    def __str__(self) -> str:
        return f"shared state at {self.address}: {self.reason}"


class SummarizedError(PeakObserveError):
    """Summary of an exception that is not kept itself, as `CircuitOpenError.last_error`.

    Args:
        kind: The name of its class, with its module.
        text: Its message.
    """

    def __init__(self, kind: str, text: str) -> None:
        super().__init__(kind, text)
        self.kind = kind
        self.text = text

    def __str__(self) -> str:
        return f"{self.kind}: {self.text}" if self.text else self.kind


class ConfigError(PeakObserveError, ValueError):
    """A configuration file cannot be read or is invalid.

    Args:
        path: The file.
        key: The key, with dots; empty where it is the whole file.
        problem: What was found and what is allowed.
    """

    exit_code = 2

    def __init__(self, path: str, key: str, problem: str) -> None:
        super().__init__(path, key, problem)
        self.path = path
        self.key = key
        self.problem = problem

    def __str__(self) -> str:
        return ": ".join(part for part in (self.path, self.key, self.problem) if part)


class LoadError(PeakObserveError, ImportError):
    """A module, or an object in one, cannot be imported.

    Args:
        target: What was asked for, as `module` or `module:name`.
        problem: Why not.
    """

    exit_code = 2

    def __init__(self, target: str, problem: str) -> None:
        super().__init__(target, problem)
        self.target = target
        self.problem = problem

    def __str__(self) -> str:
        return f"cannot load {self.target!r}: {self.problem}"


class HeldBackError(PeakObserveError):
    """A call was not made: the exchange's rate limit or ban lasts longer than the client waits.

    Args:
        name: The client's name.
        retry_after: Seconds until the exchange may be asked again.
        reason: The exchange's words, in short.
    """

    def __init__(self, name: str, retry_after: float, reason: str = "") -> None:
        super().__init__(name, retry_after, reason)
        self.name = name
        self.retry_after = retry_after
        self.reason = reason

    def __str__(self) -> str:
        said = f" ({self.reason})" if self.reason else ""
        return f"'{self.name}' is rate limited or banned for another {self.retry_after:.1f} s{said}"


class ListenError(PeakObserveError, OSError):
    """The address cannot be bound: in use, not of this machine, or not permitted.

    Args:
        addr: The address asked for.
        port: The port asked for.
        errno: The system's number for the reason, for instance `errno.EADDRINUSE`.
        strerror: The reason in the system's words.
    """

    exit_code = 2

    def __init__(self, addr: str, port: int, errno: int | None, strerror: str | None) -> None:
        super().__init__(errno, strerror)
        self.addr = addr
        self.port = port

    def __reduce__(self) -> tuple[type[Self], tuple[str, int, int | None, str | None], dict[str, object]]:
        return type(self), (self.addr, self.port, self.errno, self.strerror), self.__dict__

    def __str__(self) -> str:
        mend = "choose another address or port (0 picks a free one)"
        return f"cannot listen on {self.addr}:{self.port}: {self.strerror}; {mend}"


class MissingExtraError(PeakObserveError, ImportError):
    """An optional dependency is not installed.

    Args:
        extra: The name of the extra that brings it; several with commas.
        what: The part that needs it.
    """

    exit_code = 2

    def __init__(self, extra: str, what: str) -> None:
        super().__init__(extra, what)
        self.extra = extra
        self.what = what

    def __str__(self) -> str:
        names = self.extra.split(",")
        extras = "the extra" if len(names) == 1 else "the extras"
        listed = " and ".join(f"'{name}'" for name in names)
        return f"{self.what} needs {extras} {listed}: pip install 'peak-observe[{self.extra}]'"


class OrderJournalError(PeakObserveError):
    """The file of an order journal cannot be used, so nothing is sent that could not be recorded.

    Args:
        path: The file.
        problem: What is wrong with it, and the mend.
    """

    def __init__(self, path: str, problem: str) -> None:
        super().__init__(path, problem)
        self.path = path
        self.problem = problem

    def __str__(self) -> str:
        return f"order journal {self.path}: {self.problem}"


class OrderKeyConflict(PeakObserveError, ValueError):  # noqa: N818 - as the standard library's FileExistsError would say
    """The key of an order names another order already; nothing was sent.

    Args:
        key: The key.
        known: The order that has it, in words.
        given: The order that was to have it.
    """

    def __init__(self, key: str, known: str, given: str) -> None:
        super().__init__(key, known, given)
        self.key = key
        self.known = known
        self.given = given

    def __str__(self) -> str:
        differs = "" if self.known != self.given else " with other parameters, or at another exchange"
        return (
            f"the key {self.key!r} belongs to {self.known!r}, not to {self.given!r}{differs}: "
            "one key is one order, so give another order another key"
        )


class OrderNotPlaced(PeakObserveError):  # noqa: N818 - it names a state of the world, as OutcomeUnknown does
    """An order is known not to stand.

    Args:
        key: Its key in the journal.
        reason: Why.
        final: Whether the key is used up, as the exchange refused the order; else it may be submitted again.
    """

    def __init__(self, key: str, reason: str, final: bool = False) -> None:
        super().__init__(key, reason, final)
        self.key = key
        self.reason = reason
        self.final = final

    def __str__(self) -> str:
        mend = "give a new order a new key" if self.final else "submit it again with the same key"
        return f"the order {self.key!r} does not stand: {self.reason}; {mend}"


class OutcomeUnknown(PeakObserveError):  # noqa: N818 - it names a state of the world, not a mistake
    """A request that changes something was sent and its outcome is unknown.

    Sending it again may do it twice. Ask the exchange first, by the client order id or by the time.

    Args:
        name: The exchange client's name.
        method: The method that was called, such as `create_order`.
        endpoint: The endpoint, such as `POST private/AddOrder`.
        client_order_ids: By which the orders can be asked for, where there are any.
        at: When it was sent, in UTC.
        reason: How it ended, in short.
        order: Summary of its arguments, such as `limit buy 0.1 BTC/USD at 50000`.
    """

    def __init__(  # noqa: PLR0917 - pickle hands them over by position
        self,
        name: str,
        method: str,
        endpoint: str,
        client_order_ids: tuple[str, ...],
        at: "datetime",
        reason: str = "",
        order: str = "",
    ) -> None:
        super().__init__(name, method, endpoint, client_order_ids, at, reason, order)
        self.name = name
        self.method = method
        self.endpoint = endpoint
        self.client_order_ids = client_order_ids
        self.at = at
        self.reason = reason
        self.order = order

    @classmethod
    def behind(cls, error: BaseException | None) -> "OutcomeUnknown | None":
        """Return the unknown outcome that an error is or came from, None if there is none.

        An order that is cut off by `asyncio.wait_for`, `asyncio.timeout`, `task.cancel()` or Ctrl-C ends in their
        `TimeoutError`, `CancelledError` or `KeyboardInterrupt`: this finds what was left open.

        Args:
            error: The exception, also a group.
        """
        ahead, seen = [error], set()
        while ahead:
            found = ahead.pop(0)
            if isinstance(found, cls):
                return found
            if found is not None and id(found) not in seen:
                seen.add(id(found))
                members = found.exceptions if isinstance(found, BaseExceptionGroup) else ()
                ahead += [*members, found.__cause__, found.__context__]
        return None

    @property
    def client_order_id(self) -> str | None:
        """The client order id of the one order; of several the first."""
        return next(iter(self.client_order_ids), None)

    def __str__(self) -> str:
        ids = f", client order id {', '.join(self.client_order_ids)}" if self.client_order_ids else ""
        of = f" of {self.order}" if self.order else ""
        return (
            f"'{self.name}' {self.method} ({self.endpoint}){of} may or may not have been carried out: {self.reason}; "
            f"sent {self.at:%Y-%m-%d %H:%M:%S.%f} UTC{ids}; ask before sending it again"
        )


class UsageError(PeakObserveError):
    """A command cannot do what its arguments ask for; the message says why and how to fix it."""

    exit_code = 2


class CallTimeoutError(PeakObserveError, TimeoutError):
    """A call exceeded its time limit and was cancelled.

    Args:
        name: The operation's name.
        seconds: How long it was given; less than was configured where a deadline left less.
    """

    def __init__(self, name: str, seconds: float) -> None:
        super().__init__(name, seconds)
        self.name = name
        self.seconds = seconds

    def __str__(self) -> str:
        return f"{self.name} took longer than {self.seconds:g} s and was cancelled"


class RefusedError(PeakObserveError):
    """A limit rejected the call before it was made; a circuit breaker around it counts that as ignored."""


class BulkheadFullError(RefusedError):
    """The bulkhead was full for as long as the call may wait.

    Args:
        name: The bulkhead's name.
        limit: How many calls may be under way.
    """

    def __init__(self, name: str, limit: int) -> None:
        super().__init__(name, limit)
        self.name = name
        self.limit = limit

    def __str__(self) -> str:
        calls = "1 call is" if self.limit == 1 else f"{self.limit} calls are"
        return f"bulkhead '{self.name}' is full: {calls} under way"


class DeadlineExceededError(RefusedError, TimeoutError):
    """The call was not made: it would have to wait beyond its deadline.

    Args:
        name: The name of the limit.
        needed: Seconds that the wait would have taken, if that is known; else 0.0.
    """

    def __init__(self, name: str, needed: float = 0.0) -> None:
        super().__init__(name, needed)
        self.name = name
        self.needed = needed

    def __str__(self) -> str:
        wait = f"would have to wait {self.needed:.1f} s" if self.needed > 0 else "has to wait"
        return f"{self.name} {wait}, which is beyond the deadline"


class RateLimitedError(RefusedError):
    """The call was not made: its rate limit has no token for it within the time it may wait.

    Args:
        name: The rate limit's name.
        retry_after: Seconds until a call would pass at once.
    """

    def __init__(self, name: str, retry_after: float) -> None:
        super().__init__(name, retry_after)
        self.name = name
        self.retry_after = retry_after

    def __str__(self) -> str:
        return f"rate limit '{self.name}' is used up: next call in {self.retry_after:.3g} s"


class ShuttingDownError(RefusedError):
    """The call was not made: the program is ending, and does not wait for it any more.

    Args:
        name: What was waited for.
    """

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name

    def __str__(self) -> str:
        return f"{self.name} waits no longer: the program is shutting down"


class TradingHaltedError(RefusedError):
    """The call was not made: the trading switch is halted, or reduced to what closes positions.

    Args:
        name: The switch's name.
        reason: Why, as whoever halted it said.
        state: `halted`, `reduce_only`, or `refusing` where a guard cannot judge this one order.
        until: Unix time at which that ends by itself; None if somebody has to resume.
    """

    def __init__(self, name: str, reason: str, state: str = "halted", until: float | None = None) -> None:
        super().__init__(name, reason, state, until)
        self.name = name
        self.reason = reason
        self.state = state
        self.until = until

    def __str__(self) -> str:
        how = {"halted": "is halted", "reduce_only": "is reduced to orders with reduceOnly"}
        return f"trading '{self.name}' {how.get(self.state, 'refuses an order')}: {self.reason}"
