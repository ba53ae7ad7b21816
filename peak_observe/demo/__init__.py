"""Demo: a trading loop against an exchange that fails by script; circuits open and close on real ccxt errors."""

from __future__ import annotations

import itertools
import logging
import os
import signal
import sys
import threading
import time
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from peak_observe import configure, observe, start_exporter
from peak_observe.demo import workers
from peak_observe.demo.backups import backing_up
from peak_observe.demo.prometheus import started_prometheus
from peak_observe.demo.script import SCRIPT, Phase
from peak_observe.demo.view import Lines, Screen, View, summary
from peak_observe.demo.workers import checking, guarding, working
from peak_observe.testing import FakeExchange

if TYPE_CHECKING:
    from collections.abc import Iterator


def run(*, port: int, duration: float | None, once: bool, prometheus: bool) -> None:
    """Play the script until it ends, `duration` seconds are over or somebody presses Ctrl-C.

    Args:
        port: The port of `/metrics`; 0 picks a free one.
        duration: Seconds to run, or None for no limit.
        once: Whether to stop at the script's end instead of starting over.
        prometheus: Whether to start a Prometheus if there is one on PATH.

    Raises:
        ListenError: Another process listens on `port`.
    """
    logging.getLogger("peak_observe").addHandler(logging.NullHandler())  # the view tells the events itself
    # Commands write no snapshots, but this one is a program to be watched.
    configure(process="demo", snapshot_dir=os.environ.get("PEAK_OBSERVE_DIR"), snapshot_interval=1.0)
    console = Console()
    stop = threading.Event()
    deadline = None if duration is None else time.monotonic() + duration
    with ExitStack() as stack:
        stack.enter_context(_signals(stop))
        exporter = stack.enter_context(start_exporter(port))
        links = [f"metrics     {exporter.url}", f"health      {exporter.url.removesuffix('metrics')}readyz?verbose"]
        if prometheus:
            links.append(stack.enter_context(started_prometheus(exporter.port)))
        exchange = stack.enter_context(FakeExchange())
        links.append(stack.enter_context(backing_up(exchange.url)))
        view = Screen(console, links) if console.is_terminal else Lines(console, links)
        stack.callback(observe(view.on_event))
        stack.enter_context(view)
        stack.enter_context(working(exchange, stop))
        stack.enter_context(guarding(exchange))
        stack.enter_context(checking(exchange))
        for phase in SCRIPT if once else itertools.cycle(SCRIPT):
            if stop.is_set() or (deadline is not None and time.monotonic() >= deadline):
                break
            _play(phase, exchange, view, stop, deadline)
    for line in summary(Path(workers.__file__)):
        print(line)


def _play(phase: Phase, exchange: FakeExchange, view: View, stop: threading.Event, deadline: float | None) -> None:
    exchange.heal()
    if phase.fault:
        exchange.fail(phase.fault)
    view.on_phase(phase)
    end = time.monotonic() + phase.seconds
    if deadline is not None:
        end = min(end, deadline)
    while (left := end - time.monotonic()) > 0 and not stop.wait(min(left, 0.2)):
        if getattr(sys.stdout, "unread", False):  # the reader has left, as in `| head -1`
            stop.set()
        view.refresh()


@contextmanager
def _signals(stop: threading.Event) -> Iterator[None]:
    """Make SIGINT and SIGTERM an orderly end for as long as the demo runs."""
    before = {number: signal.signal(number, lambda *_: stop.set()) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
