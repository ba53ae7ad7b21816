"""Executor with daemon threads for `asyncio.to_thread` and name resolution inside a check."""

from __future__ import annotations

import threading
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable


class DaemonExecutor(ThreadPoolExecutor):
    """Runs each call in a daemon thread, as the interpreter waits at its exit for the threads of other executors."""

    def __init__(self) -> None:
        super().__init__(max_workers=1)  # which never starts one
        self._daemons: list[threading.Thread] = []

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Start the call and return its future."""
        future: Future[Any] = Future()
        thread = threading.Thread(target=_call, args=(future, fn, args, kwargs), daemon=True)
        thread.start()
        self._daemons.append(thread)
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Wait for all calls, so that a check has not ended before its threads."""
        super().shutdown(wait, cancel_futures=cancel_futures)
        for thread in self._daemons if wait else ():
            thread.join()


def _call(future: Future[Any], fn: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    if future.set_running_or_notify_cancel():
        try:
            future.set_result(fn(*args, **kwargs))
        except BaseException as error:  # noqa: BLE001 - it belongs to whoever awaits the future
            future.set_exception(error)
