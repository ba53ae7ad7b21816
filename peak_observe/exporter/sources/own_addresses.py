"""Addresses of this host."""

from __future__ import annotations

import ipaddress
import os
import socket


def is_own(target: str) -> bool:
    """Return whether host:port is on this host: loopback, or an address of one of its interfaces.

    Args:
        target: The host is an address, `localhost` or this host's name; no other name is looked up.
    """
    host = target.rpartition(":")[0].removeprefix("[").removesuffix("]").lower()
    if host in ("localhost", os.uname().nodename.lower()):
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    if address.is_unspecified or address.is_multicast:
        return False
    return address.is_loopback or _is_local(str(address), address.version)


def _is_local(address: str, version: int) -> bool:
    """Return whether the kernel would send to an address from the same address; nothing is sent."""
    try:
        with socket.socket(socket.AF_INET6 if version == 6 else socket.AF_INET, socket.SOCK_DGRAM) as probe:  # noqa: PLR2004 - IPv6
            probe.connect((address, 9))
            return bool(probe.getsockname()[0] == address)
    except OSError:
        return False
