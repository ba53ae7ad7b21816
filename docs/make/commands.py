"""The reference of the command line: what every `--help` says."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click
import typer

from peak_observe.cli import app

if TYPE_CHECKING:
    from collections.abc import Iterator

HEAD = """# Command line

Made by `make docs` from the commands themselves. `python -m peak_observe` is the same as `peak-observe`. Errors are
one line on stderr; exit code 2 is wrong usage, 130 Ctrl-C, and the others stand with their commands.
`peak-observe --install-completion` teaches the shell to complete commands, options and paths."""


def page() -> str:
    """Return the page."""
    return "\n".join([HEAD, *_help(typer.main.get_command(app), "peak-observe")]) + "\n"


def _help(command: click.Command, name: str) -> Iterator[str]:
    context = click.Context(
        command, info_name=name, terminal_width=100, max_content_width=100, **command.context_settings
    )
    yield from ("", f"## {name}", "", "```text", command.get_help(context).rstrip(), "```")
    for below, inner in getattr(command, "commands", {}).items():
        yield from _help(inner, f"{name} {below}")
