"""A process that shares a circuit and a rate limit, and does as it is told by lines on its standard input."""

import json
import sys
import time
from contextlib import suppress
from pathlib import Path

from peak_observe import CircuitBreaker, CircuitOpenError, RateLimitedError, Shared, rate_limit

PATIENCE = 60.0
"""Seconds after which a member answers even if what it waits for did not come."""


class Member:
    """What a trading process has: a circuit around a service that is down or up, and a limit."""

    def __init__(self, url: str, folder: str, recovery: float, options: dict) -> None:
        self.shared = Shared(url, **{"close_spread": 0.0, **options})
        self.folder = Path(folder)
        self.breaker = CircuitBreaker(2, recovery, name="kraken", shared=self.shared)
        self.limit = rate_limit(10, per=1.0, wait=30.0, name="kraken", shared=self.shared)
        self.windows = rate_limit([(10, 1), (1000, 60)], wait=30.0, name="windows", shared=self.shared)
        self.quota = rate_limit([(60, 10_000)], name="quota", shared=self.shared)
        self.service = self.breaker.call(self._service)

    def _service(self) -> None:
        with (self.folder / "calls").open("ab") as calls:
            calls.write(b".")
        if (self.folder / "slow").exists():
            time.sleep(60)
        if (self.folder / "down").exists():
            raise ConnectionError("down")

    def call(self) -> list:
        """Call once: how it ended, and how long that took."""
        start = time.monotonic()
        try:
            self.service()
            how = "ok"
        except CircuitOpenError:
            how = "refused"
        except ConnectionError:
            how = "failed"
        return [how, time.monotonic() - start]

    def probe(self) -> str:
        """Call until a call is not refused; return how that one ended."""
        end = time.monotonic() + PATIENCE
        while (how := self.call()[0]) == "refused" and time.monotonic() < end:
            time.sleep(0.002)
        return how

    def hammer(self, seconds: float) -> dict:
        """Call again and again: how often it ended how, the longest call that was refused, and the latest wake-up."""
        counts, longest, end = {"ok": 0, "refused": 0, "failed": 0}, 0.0, time.monotonic() + seconds
        stall = 0.0
        while time.monotonic() < end:
            how, took = self.call()
            counts[how] += 1
            longest = max(longest, took if how == "refused" else 0.0)
            start = time.monotonic()
            time.sleep(0.002)
            stall = max(stall, time.monotonic() - start - 0.002)
        self.shared.flush(10)
        return {**counts, "longest": longest, "stall": stall}

    def turns(self, seconds: float) -> list[float]:
        """Take turns of the limit: when each came."""
        times, end = [], time.monotonic() + seconds
        while time.monotonic() < end:
            self.limit.acquire()
            times.append(time.monotonic())
        return times

    def window_turns(self, seconds: float) -> list[float]:
        """Take turns of the limit with windows: when each came."""
        times, end = [], time.monotonic() + seconds
        while time.monotonic() < end:
            self.windows.acquire()
            times.append(time.monotonic())
        return times

    def use_up(self) -> int:
        """Take all that the quota gives; return how much that was."""
        taken = 0
        with suppress(RateLimitedError):
            while True:
                self.quota.acquire()
                taken += 1
        return taken

    def nonces(self, count: int, ahead: float) -> list[int]:
        """Take nonces of one key with a clock that is so many seconds ahead."""
        return [self.shared.nonce("key", least=int((time.time() + ahead) * 1000)) for _ in range(count)]

    def find_out(self) -> float:
        """Call until the circuit opens; return when it did."""
        end = time.monotonic() + PATIENCE
        while self.call()[0] != "refused" and time.monotonic() < end:
            pass
        return time.monotonic()

    def notice(self, state: str) -> float:
        """Return when the circuit was first seen in a state, where one of not closed stands for all of them."""
        end = time.monotonic() + PATIENCE
        while (self.breaker.state.value == "closed") != (state == "closed") and time.monotonic() < end:
            time.sleep(0.0005)
        return time.monotonic()

    def told(self) -> bool:
        """Wait until the others know all that happened here."""
        return self.shared.flush(10)

    def state(self) -> str:
        """Return the state of the circuit."""
        return self.breaker.state.value

    def up(self) -> bool:
        """Return whether the engine is reached."""
        return self.shared.is_up

    def lock(self) -> None:
        """Take the lock of the file, and keep it."""
        self.kept = self.shared._session.engine._opened().locked()
        self.kept.__enter__()


def answer(found: object) -> None:
    """Write an answer as one line."""
    sys.stdout.write(json.dumps(found) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    member = Member(sys.argv[1], sys.argv[2], float(sys.argv[3]), json.loads(sys.argv[4]))
    answer("ready")
    for line in sys.stdin:
        name, *args = json.loads(line)
        answer(getattr(member, name)(*args))
