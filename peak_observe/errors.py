"""Every error of the package.

PeakObserveError                  exit code 1
├── CircuitOpenError              a call was refused; `name`, `retry_after`
├── AddressInUseError (OSError)   exit code 2; the port to serve on is taken
└── MissingExtraError (ImportError)   exit code 2; an optional part is not installed

Errors carry data, so that code can act on it without reading the message.
"""


class PeakObserveError(Exception):
    """Base of all errors that peak_observe raises on its own account."""

    exit_code = 1


class CircuitOpenError(PeakObserveError):
    """A circuit breaker refused the call without making it.

    Args:
        name: The breaker's name.
        retry_after: Seconds until the circuit lets a probe through; 0.0 while a probe is under way.
    """

    def __init__(self, name: str, retry_after: float = 0.0) -> None:
        super().__init__(name, retry_after)
        self.name = name
        self.retry_after = retry_after

    def __str__(self) -> str:
        when = f"next probe in {self.retry_after:.1f} s" if self.retry_after > 0 else "a probe is under way"
        return f"CircuitBreaker '{self.name}' is OPEN ({when})"


class AddressInUseError(PeakObserveError, OSError):
    """The address to listen on is taken by another process.

    Args:
        addr: The address asked for.
        port: The port asked for.
    """

    exit_code = 2

    def __init__(self, addr: str, port: int) -> None:
        super().__init__(addr, port)
        self.addr = addr
        self.port = port

    def __str__(self) -> str:
        return f"{self.addr}:{self.port} is in use by another process: choose another port (0 picks a free one)"


class MissingExtraError(PeakObserveError, ImportError):
    """Something optional was asked for that is not installed.

    Args:
        extra: The name of the extra that brings it.
        what: What needs it.
    """

    exit_code = 2

    def __init__(self, extra: str, what: str) -> None:
        super().__init__(extra, what)
        self.extra = extra
        self.what = what

    def __str__(self) -> str:
        return f"{self.what} needs the extra '{self.extra}': pip install 'peak-observe[{self.extra}]'"
