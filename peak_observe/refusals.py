"""The errors of calls that were not made, or cut off, by limits of ours; `errors.py` draws the whole tree."""

from peak_observe.errors import PeakObserveError


class CallTimeoutError(PeakObserveError, TimeoutError):
    """A call took longer than it may and was cancelled.

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
    """A call was not made, as a limit of ours stood against it; a circuit breaker around it counts that as ignored."""


class BulkheadFullError(RefusedError):
    """A call was not made, as its bulkhead was full for as long as it may wait.

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
    """A call was not made, as it would have had to wait beyond its deadline.

    Args:
        name: What was waited for: the name of the limit.
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
    """A call was not made, as its turn would come later than it may wait.

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
