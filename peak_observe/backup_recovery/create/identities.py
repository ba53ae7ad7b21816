"""Identities of what has no path of its own, by which programs that share a repository are told apart.

They stand among the sources of a part: the names of the state providers, and for each command the path of its output
with what tells the command from others of its name.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
from blake3 import blake3

from peak_observe.backup_recovery.repository.manifest import encode_name
from peak_observe.backup_recovery.repository.metadata import COMMAND

if TYPE_CHECKING:
    from collections.abc import Iterable

    from peak_observe.backup_recovery.create.commands import Command

_LENGTH = 16  # characters of a hash: it tells apart, and is no secret


def of_state(providers: Iterable[str], label: str | None) -> list[str]:
    """Return a source for each state provider, so that a new one leaves those of the others as they are.

    Args:
        providers: Their names.
        label: The name that was given to the program; None without one.
    """
    return [encode_name(provider if label is None else f"{label}: {provider}") for provider in providers]


def of_command(source: str, command: Command, label: str | None) -> str:
    """Return the source of a command: by the program's name, or else by what is run, which may hold a password.

    Args:
        source: The path of its output, as metadata has it.
        command: The command.
        label: The name that was given to the program; None without one.
    """
    found = blake3(msgspec.json.encode(command.words)).hexdigest()[:_LENGTH] if label is None else encode_name(label)
    return f"{source}{COMMAND}{found}"
