"""Typer options that commands share, spelled and explained once."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any, ClassVar

import typer
from typer.core import TyperCommand

from peak_observe.errors import UsageError
from peak_observe.support import toml
from peak_observe.support.shown import shown

DEFAULT_FILE = Path("peak-observe.toml")
DEFAULT_REPOSITORY = Path("backups")
LATEST = "latest"
PATHS = (
    *("--config.file", "--web.config.file", "--report"),
    *("--repository", "--config", "--data", "--to", "--temp-dir", "--state-file", "--identity"),
)
"""Options that name a file or folder."""

ConfigFile = Annotated[
    Path | None,
    typer.Option(
        "--config.file",
        metavar="FILE",
        help="TOML file; without it ./peak-observe.toml.",
        show_default=False,
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print nothing but errors.")]
Repository = Annotated[
    Path | None,
    typer.Option(metavar="DIR", help="Folder with the backups.", show_default=str(DEFAULT_REPOSITORY), readable=False),
]
Manager = Annotated[
    str | None,
    typer.Option("--app", metavar="MODULE[:NAME]", help="Module with your RecoveryManager and its state."),
]
Config = Annotated[
    list[Path] | None,
    typer.Option(
        "--config", metavar="PATH", help="File or folder of the configuration; may be repeated.", readable=False
    ),
]
Data = Annotated[
    list[Path] | None,
    typer.Option("--data", metavar="PATH", help="File or folder of the data; may be repeated.", readable=False),
]
Excluded = Annotated[
    list[str] | None,
    typer.Option("--exclude", metavar="PATTERN", help="What is left out, as '*.log' or 'cache/'; may be repeated."),
]
Only = Annotated[
    list[str] | None,
    typer.Option("--only", metavar="PART", help="config, data or state; may be repeated."),
]
Tag = Annotated[list[str] | None, typer.Option(metavar="TAG", help="Only those with this tag; may be repeated.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Show what would change, and change nothing.")]
To = Annotated[
    Path | None,
    typer.Option("--to", metavar="DIR", help="Restore into this folder, laid out as in the backup."),
]
Which = Annotated[
    str,
    typer.Argument(metavar="BACKUP", help="Its name, its beginning, or 'latest' (good one)."),
]


def found_file(table: str) -> Path | None:
    """Return `peak-observe.toml` of the working directory if it has a table of that name.

    Raises:
        ConfigError: It cannot be read, is no TOML, or has a table that was probably meant.
    """
    if not os.path.lexists(DEFAULT_FILE):  # a link to nothing is there, and an error
        return None
    # A file that nobody named may be for other commands alone.
    found = toml.read(DEFAULT_FILE)
    if table not in found and toml.near(table, found):
        toml.table(DEFAULT_FILE, table)  # which names both
    return DEFAULT_FILE if table in found else None


class PathsChecked(TyperCommand):
    """A command whose paths may begin with `~`, and are no empty texts, as an unset variable leaves them."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse the arguments; behind `--` there are no options.

        Raises:
            UsageError: A path is empty, or begins with the home folder of a user whom nobody knows.
        """
        end = args.index("--") if "--" in args else len(args)
        for number, arg in enumerate(args[:end]):
            option, equals, value = arg.partition("=")
            if option in PATHS and equals:
                args[number] = f"{option}={expanded(option, value)}"
            elif number and args[number - 1] in PATHS:
                args[number] = expanded(args[number - 1], arg)
        return super().parse_args(ctx, args)


def expanded(option: str, path: str) -> str:
    """Return a path with the home folder for a `~`, which no shell sees behind an equals sign or in a service's file.

    Raises:
        UsageError: It is empty, which would mean the working directory, or there is no such user.
    """
    if not path:
        raise UsageError(f"{option}: it has to be a path, not ''")
    found = os.path.expanduser(path)  # noqa: PTH111 - a slash at the end stays
    if path.startswith("~") and found == path:
        raise UsageError(f"{option}: {shown(path)} begins with the home folder of a user that this host does not know")
    return found


class RenamedOptions(PathsChecked):
    """A command whose old spellings of options keep working, with a hint to the new ones."""

    renamed: ClassVar[dict[str, str]] = {}

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse the arguments, old spellings replaced; behind `--` there are no options."""
        end = args.index("--") if "--" in args else len(args)
        for number, arg in enumerate(args[:end]):
            option, equals, value = arg.partition("=")
            if option in self.renamed:
                typer.echo(f"peak-observe: {option} is called {self.renamed[option]} now", err=True)
                args[number] = f"{self.renamed[option]}{equals}{value}"
        return super().parse_args(ctx, args)


class FileRenamed(RenamedOptions):
    """A command whose configuration file was given as `--file`."""

    renamed: ClassVar = {"--file": "--config.file"}


class ConfigRenamed(RenamedOptions):
    """A command whose configuration file was given as `--config`."""

    renamed: ClassVar = {"--config": "--config.file"}
