"""Imports of the extra `offsite`, with one clear error where it is not installed."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from peak_observe.errors import MissingExtraError


def library(name: str) -> Any:
    """Return a module of the extra `offsite`.

    Raises:
        MissingExtraError: It is not installed.
    """
    try:
        return import_module(name)
    except ImportError:
        raise MissingExtraError("offsite", "an off-site store") from None
