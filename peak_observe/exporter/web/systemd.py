"""Notify systemd of readiness and status by the protocol of sd_notify(3)."""

from __future__ import annotations

import os
import socket
import time
from contextlib import suppress

READY, STOPPING, ALIVE = "READY=1", "STOPPING=1", "WATCHDOG=1"


def notify(state: str) -> None:
    """Send a state to the socket that systemd named; without one, or if nobody listens there, nothing happens."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address.startswith(("/", "@")):
        return
    with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
        sender.settimeout(0)
        sender.connect(f"\0{address[1:]}" if address[0] == "@" else address)
        sender.sendall(state.encode())


def reloading() -> str:
    """Return the state of a reload that begins, with the time by which systemd knows its signal from others."""
    return f"RELOADING=1\nMONOTONIC_USEC={time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1_000}"
