"""Addresses of HTTP that people write in settings."""

from __future__ import annotations

from urllib.parse import urlsplit


def problem_of(address: str) -> str:
    """Return what is wrong with an address of HTTP, which may be a secret and is not shown; empty if nothing is."""
    if " " in address or not (address.isascii() and address.isprintable()):
        return "it holds a space or another character that no address has"
    try:
        parts = urlsplit(address)
        port = parts.port
    except ValueError:
        return "its host or its port cannot be read"
    if parts.scheme not in ("http", "https"):
        return "it does not begin with https:// or http://"
    if not parts.hostname:
        return "it names no host"
    if parts.username is not None:
        return "it holds a user or a password"
    return "there is no port 0" if port == 0 else ""
