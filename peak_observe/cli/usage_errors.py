"""Errors of usage in plain words, with a hint for options that other programs call otherwise."""

from __future__ import annotations

import difflib
import re
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import typer
from typer.core import TyperGroup

if TYPE_CHECKING:
    from collections.abc import Iterator

# Of Typer's own click or the real one, whichever the installed version has.
_UsageError: Any = typer.BadParameter.__base__

SYNONYMS = {
    "--web.listen-address": "--port --host --listen --listen-address --bind --address --interface",
    "--config.file": "--config --config-file --conf --file --settings",
    "--web.config.file": "--tls --auth --web-config",
    "--log.level": "--log-level --loglevel --level --verbose --debug",
    "--log.format": "--log-format --format",
    "--repository": "--repo --backup-dir --backups --dir --folder",
    "--to": "--out --output --dest --destination --target",
    "--app": "--module --import",
    "--duration": "--seconds --time",
}
"""Options with what other programs call them."""

# What the parser of values says, and what a person would.
_WORDS = (
    (re.compile(r"Value error, "), ""),
    (re.compile(r"Input should be a valid integer.*"), "it has to be a whole number."),
    (re.compile(r"Input should be a valid number.*"), "it has to be a number."),
    (re.compile(r"Input should be greater than or equal to (\S+)"), r"it has to be at least \1."),
    (re.compile(r"Input should be less than or equal to (\S+)"), r"it has to be at most \1."),
    (re.compile(r"Input should be greater than (\S+)"), r"it has to be more than \1."),
    (re.compile(r"Input should be "), "it has to be "),
)
_CHOICE = re.compile(r"'(?P<given>[^']*)' is not one of (?P<known>'.*')")
_CLOSE = 0.6


class PlainGroup(TyperGroup):
    """The command with all below it, whose errors of usage are said in plain words."""

    def make_context(self, *args: Any, **kwargs: Any) -> Any:
        """Parse the arguments of the command itself."""
        with _plain():
            return super().make_context(*args, **kwargs)

    def invoke(self, ctx: Any) -> Any:
        """Parse the arguments of the command below it, and run that."""
        with _plain():
            return super().invoke(ctx)


@contextmanager
def _plain() -> Iterator[None]:
    try:
        yield
    except _UsageError as error:
        error.message = plain(error.message)
        if hasattr(error, "possibilities"):
            _hint(error)
        raise


def plain(message: str) -> str:
    """Return what a parser of values says in plain words, with the choice that was probably meant."""
    for pattern, words in _WORDS:
        message = pattern.sub(words, message)
    choice = _CHOICE.search(message)
    if choice is None:
        return message
    near = difflib.get_close_matches(choice["given"].lower(), re.findall(r"'([^']*)'", choice["known"]), 1, _CLOSE)
    return f"{message.rstrip('.')}; did you mean {near[0]!r}?" if near else message


def _hint(error: Any) -> None:
    """Put the option that is called otherwise here into an error of an unknown one."""
    found = error.ctx.command.params if error.ctx is not None else []
    known = {option for parameter in found for option in parameter.opts}
    for option, names in SYNONYMS.items():
        if option in known and error.option_name in names.split():
            example = " HOST:PORT" if option == "--web.listen-address" else ""
            error.message = f"{error.message}. It is called {option}{example} here."
            error.possibilities = None
    if "--web.listen-address" not in known and error.option_name in SYNONYMS["--web.listen-address"].split():
        error.message = f"{error.message}. This command does not listen; `peak-observe exporter` and `demo` do."
        error.possibilities = None
