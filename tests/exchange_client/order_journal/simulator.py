"""Simulator of orders under faults and SIGKILL: the real client against a fake exchange, and what came of each intent.

`python -m tests.exchange_client.order_journal.simulator [INTENTS]` prints the table of all ways to place orders.
"""

import json
import random
import subprocess
import sys
import tempfile
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from peak_observe.exchange_client.order_journal.journal import OrderJournal
from peak_observe.testing import FakeExchange, Fault
from tests.coverage_data import unmeasured
from tests.exchange_client.order_journal.bot import BELIEF, STRATEGIES, SharedClock

BOT = Path(__file__).with_name("bot.py")
SYMBOLS = {"kraken": "BTC/USD", "binance": "BTC/USDT", "bybit": "BTC/USDT"}
PLACES = {"kraken": "AddOrder", "binance": "POST order", "bybit": "POST order/create"}
LOOKS = {
    "kraken": ("OpenOrders", "ClosedOrders"),
    "binance": ("GET order",),
    "bybit": ("GET order/realtime", "GET order/history"),
}
MAINTENANCE = {
    "kraken": Fault.api_error("EService:Unavailable"),
    "binance": Fault.coded(-1016, "This service is no longer available.", code=503),
    "bybit": Fault.bybit_error(10019, "service restarting"),
}
LATENCY, LAG = 0.02, 4.0
"""Seconds that a request takes, and after which an order shows at the latest."""

LIVES, LAST_STEP = 8, 60
"""Orders of one life, and the last step at which it may be killed."""


@dataclass
class Result:
    """What came of the intents of a run."""

    intents: int = 0
    duplicates: int = 0
    lost: int = 0
    unknown: int = 0
    kills: Counter = field(default_factory=Counter)
    faults: Counter = field(default_factory=Counter)
    lives: int = 0
    failed: int = 0

    def add(self, other: "Result") -> None:
        """Take in another run."""
        for name, value in vars(other).items():
            setattr(self, name, getattr(self, name) + value)


class DrawnExchange(FakeExchange):
    """Fake exchange that draws a fault for each request."""

    def __init__(self, dialect: str, clock: SharedClock, draw: random.Random) -> None:
        super().__init__(dialect=dialect, clock=clock)
        self.drawn: Counter = Counter()
        self._clock, self._draw, self._own = clock, draw, dialect
        self._resting = False

    def _handle(self, call):
        self._clock.sleep(LATENCY)
        self._resting = "limit" in (call.params.get("ordertype"), call.params.get("type", "").lower(),
                                    call.params.get("orderType", "").lower())  # fmt: skip
        return super()._handle(call)

    def _take(self, name: str):
        _, released = super()._take(name)
        kind, fault = self._drawn(name)
        self.drawn[kind] += 1
        return fault, released

    def _drawn(self, name: str):
        draw = self._draw
        if name == PLACES[self._own]:
            return draw.choice(self._of_orders()) if draw.random() < 0.4 else ("none", Fault())
        if name in LOOKS[self._own]:
            lag = Fault.stale(draw.uniform(0.0, LAG))
            return draw.choice(self._of_looks()) if draw.random() < 0.1 else ("visibility lag", lag)
        return "none", Fault()

    def _of_orders(self):
        draw = self._draw
        # A proxy that repeats an order which filled at once is beyond all that a client can do.
        repeated = [("repeated", Fault.repeated(draw.uniform(0.0, 20.0)))] if self._resting else []
        return [
            ("lost before", Fault.reset()),
            ("lost after", Fault.lost_reply()),
            ("late", Fault.arrives_late(draw.uniform(0.5, 9.0))),
            ("very late", Fault.arrives_late(draw.uniform(9.0, 60.0))),
            ("cut off", Fault.truncated()),
            *self._of_looks(),
            *repeated,
        ]

    def _of_looks(self):
        return [
            ("lost before", Fault.reset()),
            ("rate limit", Fault.rate_limited(2)),
            ("maintenance", MAINTENANCE[self._own]),
            ("gateway", Fault.status(502)),
        ]


class Zygote:
    """Process that forks the bots, with the clock that they share with the exchanges."""

    def __init__(self, folder: Path) -> None:
        path = folder / "clock"
        self.clock = SharedClock(path)
        self._process = subprocess.Popen(
            [sys.executable, str(BOT), str(path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=unmeasured(),  # each life ends without a word of its coverage
        )

    def live(self, command: dict) -> dict:
        """Let a bot live, and return how it ended."""
        self._process.stdin.write(f"{json.dumps(command)}\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())

    def close(self) -> None:
        """End the process."""
        self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def simulate(strategy: str, dialect: str, intents: int, seed: int, zygote: Zygote, folder: Path) -> Result:
    """Return what came of some intents that were placed in one way."""
    draw, result = random.Random(f"{strategy} {dialect} {seed}"), Result(intents=intents)
    folder.mkdir(parents=True)
    with DrawnExchange(dialect, zygote.clock, random.Random(seed)) as exchange:
        base = {"exchange": dialect, "url": exchange.url, "config": exchange.config()}
        base |= {"strategy": strategy, "folder": str(folder)}
        orders = [_order(number, dialect) for number in range(intents)]
        for start in range(0, intents, LIVES):
            command = {**base, "orders": orders[start : start + LIVES]}
            kills = draw.randint(1, 3)
            while True:
                end = zygote.live({**command, "kill_at": draw.randint(1, LAST_STEP) if kills else 0})
                result.lives += 1
                kills = max(0, kills - 1)
                if "killed" not in end:
                    break
                result.kills[end["killed"]] += 1
                zygote.clock.sleep(draw.uniform(0.1, 3.0))
            result.failed += "failed" in end
        zygote.clock.sleep(300.0)  # whatever is under way arrives
        placed = Counter(round(float(order.volume), 5) for order in exchange.orders)
        result.faults = exchange.drawn
    believed = _believed(folder, strategy)
    for key, _, _, _, amount, _ in orders:
        result.duplicates += max(0, placed[amount] - 1)
        result.lost += key in believed and not placed[amount]
        result.unknown += key not in believed
    return result


def _order(number: int, dialect: str) -> list:
    resting = number % 3 != 0
    amount = round(0.01 + number * 0.00001, 5)  # by which it is known at the exchange, whatever its id
    return [str(number), SYMBOLS[dialect], "limit" if resting else "market", "buy", amount, 40_000 if resting else None]


def _believed(folder: Path, strategy: str) -> set[str]:
    """Return the keys whose order stands, as the bot believes."""
    if STRATEGIES[strategy].__name__ == "journaled":
        with OrderJournal(folder / "orders.sqlite") as journal:
            return {intent.key for intent in journal.store.select(("open", "closed"))}
    return set((folder / BELIEF).read_text().split())


def table(intents: int, seed: int = 1) -> dict[str, Result]:
    """Return the result of each way to place orders, over all dialects."""
    results = {}
    with tempfile.TemporaryDirectory() as name, Zygote(Path(name)) as zygote:
        for strategy in STRATEGIES:
            results[strategy] = Result()
            for dialect in SYMBOLS:
                folder = Path(name, f"{strategy} {dialect}")
                results[strategy].add(simulate(strategy, dialect, intents // 3, seed, zygote, folder))
    return results


def main() -> None:
    """Print the table."""
    intents = int(sys.argv[1]) if len(sys.argv) > 1 else 300
    sys.stdout.write(f"{'':18}{'intents':>9}{'duplicates':>12}{'lost':>6}{'unknown':>9}{'kills':>7}\n")
    for strategy, result in table(intents).items():
        kills = sum(result.kills.values())
        sys.stdout.write(
            f"{strategy:18}{result.intents:9}{result.duplicates:12}{result.lost:6}{result.unknown:9}{kills:7}\n"
        )


if __name__ == "__main__":
    main()
