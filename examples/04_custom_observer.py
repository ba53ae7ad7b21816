"""Hear of every rare fact as a record: send it to a chat, write it to a file, count it elsewhere.

python examples/04_custom_observer.py
"""

from __future__ import annotations

import queue
import threading

from peak_observe import Event, GaveUp, RetryScheduled, Transition, circuit_breaker, observe, retry_with_backoff


class Chat:
    """Sends messages from a thread of its own, as an observer has to return at once."""

    def __init__(self) -> None:
        self._messages: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._send, daemon=True)
        self._thread.start()

    def tell(self, event: Event) -> None:
        """Choose what is worth a message; this runs on the trading thread."""
        match event:
            case Transition(name=name, new="open", reason=reason):
                self._messages.put(f"🔴 {name} is open: {reason}")
            case Transition(name=name, new="closed"):
                self._messages.put(f"🟢 {name} is closed again")
            case GaveUp(operation=operation, attempts=attempts, error=error):
                self._messages.put(f"⚠️ {operation} gave up after {attempts} attempts: {error}")
            case RetryScheduled():
                pass  # too many for a chat

    def close(self) -> None:
        """Send what is left."""
        self._messages.put(None)
        self._thread.join()

    def _send(self) -> None:
        while message := self._messages.get():
            print("to the chat:", message)  # your HTTP call


@circuit_breaker(failure_threshold=2, recovery_timeout=60, name="orders")
@retry_with_backoff(max_attempts=2, base_delay=0.01, name="balance")
def fetch_balance() -> float:
    """Fail."""
    raise TimeoutError("no answer within 10 s")


def main() -> None:
    """Let two operations fail and listen."""
    chat = Chat()
    stop = observe(chat.tell)
    for _ in range(2):
        try:
            fetch_balance()
        except TimeoutError:
            continue
    stop()
    chat.close()


if __name__ == "__main__":
    main()
