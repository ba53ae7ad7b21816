"""Three bots behind one address: one finds out that the exchange is down, all stop asking, and one probes for all.

python examples/14_shared_state.py
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path

BOT = """
import sys, time
from pathlib import Path
from peak_observe import CircuitBreaker, CircuitOpenError, Shared

shared = Shared(f"file://{sys.argv[1]}/shared")
calls, down = Path(sys.argv[1], "calls"), Path(sys.argv[1], "down")
breaker = CircuitBreaker(2, 1.0, name="kraken", shared=shared)

@breaker.call
def fetch():
    with calls.open("a") as file:
        file.write(".")
    if down.exists():
        raise ConnectionError("maintenance")

Path(sys.argv[1], f"ready-{sys.argv[2]}").touch()
while True:
    try:
        fetch()
    except (ConnectionError, CircuitOpenError):
        pass
    time.sleep(0.01)
"""


def main() -> None:
    """Let them work, take the exchange down, and count what reaches it."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        command = [sys.executable, "-W", "ignore", "-c", BOT, name]
        bots = [subprocess.Popen([*command, bot], stderr=subprocess.DEVNULL) for bot in ("a", "b", "c")]  # noqa: S603 - ours
        try:
            while len(list(folder.glob("ready-*"))) < len(bots):
                time.sleep(0.05)
            (folder / "down").touch()
            time.sleep(1.0)  # they find out
            before = calls(folder)
            time.sleep(3.0)
            print(f"three bots, down for 3 seconds: {calls(folder) - before} calls reached the exchange")
            (folder / "down").unlink()
            before = calls(folder)
            while calls(folder) - before < 100:  # noqa: PLR2004 - all are at work again
                time.sleep(0.05)
            print("it is back: all of them work again")
        finally:
            for bot in bots:
                bot.kill()
                bot.wait()


def calls(folder: Path) -> int:
    """Return how many calls reached the exchange."""
    return len((folder / "calls").read_bytes())


if __name__ == "__main__":
    main()
