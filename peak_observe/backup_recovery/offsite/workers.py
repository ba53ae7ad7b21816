"""Requests in threads: a bounded number at once, so that memory stays bounded, and the first error ends all."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from typing import Self, TypeVar

T = TypeVar("T")
THREADS = 4


class Requests:
    """Threads that make requests.

    They are daemons: a request under way cannot be stopped, and Ctrl-C must not wait for it.

    Args:
        threads: How many there are.
    """

    def __init__(self, threads: int = THREADS) -> None:
        self._jobs: queue.Queue[Callable[[], object] | None] = queue.Queue(1)
        self._failed: list[BaseException] = []
        self._stop = threading.Event()
        self._threads = [
            threading.Thread(target=self._work, name=f"peak-observe-offsite-{number}", daemon=True)
            for number in range(threads)
        ]
        for thread in self._threads:
            thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            try:
                self._end()
            except BaseException:
                self._stop.set()
                raise
            self._raise()
        else:
            self._stop.set()

    def submit(self, job: Callable[[], object]) -> None:
        """Have a request made; wait while all threads are busy."""
        while True:
            self._raise()
            try:
                self._jobs.put(job, timeout=0.5)
            except queue.Full:
                continue
            return

    def _end(self) -> None:
        for _ in self._threads:
            self.submit_end()
        for thread in self._threads:
            while thread.is_alive():  # in slices, so that Ctrl-C is heard
                thread.join(0.5)
                if self._failed:
                    return

    def submit_end(self) -> None:
        """Tell one thread that nothing follows."""
        while not self._failed:
            try:
                self._jobs.put(None, timeout=0.5)
            except queue.Full:
                continue
            return

    def _work(self) -> None:
        while not self._stop.is_set():
            try:
                job = self._jobs.get(timeout=0.5)
            except queue.Empty:
                continue
            if job is None:
                return
            try:
                job()
            except BaseException as error:  # noqa: BLE001 - raised again in the thread that waits
                self._failed.append(error)
                self._stop.set()

    def _raise(self) -> None:
        if self._failed:
            raise self._failed[0]


def interruptible(request: Callable[[], T]) -> T:
    """Return what a request returns, and let Ctrl-C end the wait for it.

    Only the main thread hears signals, and only while it runs Python: there another thread makes the request.
    """
    if threading.current_thread() is not threading.main_thread():
        return request()
    answers: list[T] = []
    with Requests(1) as requests:
        requests.submit(lambda: answers.append(request()))
    return answers[0]
