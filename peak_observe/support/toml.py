"""TOML files that people write: reading them, and one clear error for what makes no sense."""

from __future__ import annotations

import difflib
import os
import stat
import tomllib
from collections.abc import Mapping
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Annotated, Any

import msgspec

from peak_observe.errors import ConfigError
from peak_observe.support.shown import shown

if TYPE_CHECKING:
    from collections.abc import Iterable

NUMBER: Any = float
TEXTS: Any = str | list[str]
TEXTS_BY_NAME: Any = dict[str, str]
DURATION: Any = float | str
RATE: Any = Annotated[float | str, "bytes a second"]
TABLE: Any = dict[str, Any]
WORDS: dict[Any, str] = {
    str: "a string",
    int: "a whole number",
    bool: "true or false",
    Path: "a path",
    NUMBER: "a number",
    TEXTS: "a string or a list of strings",
    TEXTS_BY_NAME: "a table",
    DURATION: "a number of seconds or a time like '24h'",
    RATE: "bytes a second, or a rate like '2MB/s'",
    TABLE: "a table",
}
"""The types a value may have, as a person calls them."""


def read(path: Path) -> dict[str, Any]:
    """Return what a TOML file holds.

    Raises:
        ConfigError: It cannot be read, is no TOML, or anybody may write it: such files name programs to run.
    """
    try:
        open_to_all = path.stat().st_mode & stat.S_IWOTH
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise ConfigError(str(path), "", error.strerror or str(error)) from None
    except UnicodeDecodeError as error:
        raise ConfigError(str(path), "", f"not valid TOML: {error}") from None
    if open_to_all:
        problem = f"anybody may change this file, and it can name programs to run: chmod o-w {quote(str(path))}"
        raise ConfigError(str(path), "", problem)
    try:
        return tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # TOMLDecodeError, which names the line
        raise ConfigError(str(path), "", f"not valid TOML: {error}") from None


def table(path: Path, name: str, *, of_tables: bool = False) -> dict[str, Any]:
    """Return the one table of a TOML file that somebody asks for; the others are not theirs.

    Args:
        path: The file.
        name: The table's name.
        of_tables: Whether it has to consist of tables, and of one at least.

    Raises:
        ConfigError: The file cannot be read, is no TOML, or has no such table.
    """
    tables = read(path)
    found = tables.get(name, {})
    if not isinstance(found, dict) or (of_tables and not all(isinstance(item, dict) for item in found.values())):
        rule = f"consist of tables [{name}.NAME]" if of_tables else f"be a table, not {shown(found)}"
        raise ConfigError(str(path), name, f"it has to {rule}")
    if name not in tables or (of_tables and not found):
        title = f"{name}.NAME" if of_tables else name
        raise ConfigError(str(path), "", f"there is no table [{title}]{_near_table(name, tables)}")
    return found


def tables(path: Path, found: Mapping[str, Any], name: str) -> dict[str, dict[str, Any]]:
    """Return the tables below one of those that a file holds; none if it is not there.

    Args:
        path: The file, for the error.
        found: What it holds.
        name: The table's name.

    Raises:
        ConfigError: It does not consist of tables.
    """
    inner = found.get(name, {})
    if not isinstance(inner, dict) or not all(isinstance(item, dict) for item in inner.values()):
        raise ConfigError(str(path), name, f"it has to consist of tables [{name}.NAME]")
    return inner


def check(
    path: Path | str,
    where: str,
    table: Mapping[str, Any],
    allowed: Mapping[str, Any],
    needed: Iterable[str] = (),
) -> None:
    """Check the keys of a table and the types of its values.

    Args:
        path: The file; empty for a mapping.
        where: The table's name, with dots; empty for the file itself.
        table: The table.
        allowed: The keys it may have, each with a type: one of `WORDS`, or `Any`.
        needed: The keys it cannot do without.

    Raises:
        ConfigError: A key is unknown, has a value of another type, or is missing.
    """
    if not isinstance(table, Mapping):
        raise ConfigError(str(path), where, f"it has to be a table, not {shown(table)}")
    for key, value in table.items():
        name = f"{where}.{key}" if where else str(key)
        if key not in allowed:
            raise ConfigError(str(path), name, f"there is no such key{near(key, allowed) or _all(allowed)}")
        try:
            msgspec.convert(value, str if allowed[key] is Path else allowed[key])
        except msgspec.ValidationError:
            problem = f"it has to be {WORDS[allowed[key]]}, not {shown(value)}"
            raise ConfigError(str(path), name, problem) from None
    missing = [key for key in needed if key not in table]
    if missing:
        raise ConfigError(str(path), where, f"the key {missing[0]!r} is missing")


def resolved(path: Path, value: str) -> Path:
    """Return a path that stands in a file: relative to the file's folder, or to the home folder behind a `~`.

    Raises:
        ConfigError: It begins with the home folder of a user that this host does not know.
    """
    found = os.path.expanduser(value)  # noqa: PTH111 - whose error names neither file nor mend
    if value.startswith("~") and found == value:
        problem = f"this host knows no home folder for {shown(value)}; a file of that name is {shown(f'./{value}')}"
        raise ConfigError(str(path), "", problem)
    return path.absolute().parent / found


def near(word: object, known: Iterable[str]) -> str:
    """Return the end of a message, with the known word that was probably meant; empty if none is like it."""
    found = difflib.get_close_matches(str(word), list(known), n=1)
    return f"; did you mean {found[0]!r}?" if found else ""


def _near_table(name: str, known: Iterable[str]) -> str:
    found = difflib.get_close_matches(name, [key for key in known if key != name], n=1)
    return f"; did you mean [{name}] where it says [{found[0]}]?" if found else ""


def _all(known: Iterable[str]) -> str:
    return f"; there are {', '.join(known)}"
