"""Configuration of the exporter: a TOML file of tables, or discovery where there is none."""

from __future__ import annotations

import glob
import math
import os
from graphlib import CycleError, TopologicalSorter
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit

from peak_observe.errors import ConfigError, MissingExtraError
from peak_observe.exporter.sources import own_metrics
from peak_observe.exporter.sources.backup_sources import Borg, Files, PeakRepositorySource, Restic
from peak_observe.exporter.sources.process_source import DiscoveredProcesses
from peak_observe.exporter.sources.registry import Definition
from peak_observe.exporter.sources.snapshot_folder import MAX_SERIES, MAX_TOTAL_BYTES, Limits
from peak_observe.exporter.sources.summed_processes import SummedProcesses
from peak_observe.measures.series import check_name
from peak_observe.resilience.health import config as health
from peak_observe.support import toml
from peak_observe.support.redact import redact
from peak_observe.support.secret_urls import origin
from peak_observe.support.shown import shown

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from peak_observe.exporter.sources.poller import Source

DEFAULT = Path("peak-observe.toml")
DIRECTORY = "PEAK_OBSERVE_DIR"
LONGEST = 604_800.0  # seconds; the system's locks have a longest timeout, and nobody looks at a backup less than weekly
COMMON = {"interval": toml.NUMBER, "timeout": toml.NUMBER}
BACKUP = {**COMMON, "max_age": toml.NUMBER}
PROGRAM = {**BACKUP, "program": str, "arguments": toml.TEXTS, "environment": toml.TEXTS_BY_NAME}


class Config(NamedTuple):
    """Configuration of the exporter.

    Args:
        path: The file; None where there is none.
        sources: What is asked again and again.
        checks: Health checks, each with the table that describes it.
        otlp: Where all metrics are pushed too; None for nowhere.
    """

    path: Path | None
    sources: tuple[Definition, ...]
    checks: tuple[tuple[Mapping[str, Any], health.Described], ...]
    otlp: Otlp | None = None


class Otlp(NamedTuple):
    """Collector that all metrics are pushed to over OTLP/HTTP.

    Args:
        endpoint: Its URL for metrics.
        interval: Seconds between two pushes.
        timeout: Seconds that one may take.
    """

    endpoint: str
    interval: float
    timeout: float


class Kind(NamedTuple):
    """Kind of a source: the keys of its tables, the required ones, and the default interval."""

    make: Callable[[Path, str, str, dict[str, Any]], Source]
    about: Callable[[dict[str, Any]], str]
    keys: dict[str, Any]
    needed: tuple[str, ...]
    interval: float
    timeout: float


def _ours(path: Path, source: str, name: str, table: dict[str, Any]) -> Source:
    folder = toml.resolved(path, table["path"])
    return PeakRepositorySource(source, name, path=folder, max_age=table.get("max_age"))


def _files(path: Path, source: str, name: str, table: dict[str, Any]) -> Source:
    folder = glob.escape(str(path.absolute().parent))
    patterns = [str(Path(folder) / os.path.expanduser(pattern)) for pattern in _texts(table["glob"])]  # noqa: PTH111 - no path
    minimum = table.get("min_bytes", 1)
    return Files(source, name, patterns=patterns, min_bytes=minimum, max_age=table.get("max_age"))


def _restic(path: Path, source: str, name: str, table: dict[str, Any]) -> Source:
    words = [table.get("program", "restic"), "snapshots", "--json", "--no-lock", "--repo", table["repository"]]
    if "password_file" in table:
        words += ["--password-file", str(toml.resolved(path, table["password_file"]))]
    return Restic(source, name, **_program(table, [*words, *_texts(table.get("arguments", []))]))


def _borg(_: Path, source: str, name: str, table: dict[str, Any]) -> Source:
    words = [table.get("program", "borg"), "list", "--json", *_texts(table.get("arguments", []))]
    return Borg(source, name, **_program(table, [*words, "--", table["repository"]]))


def _program(table: dict[str, Any], words: list[str]) -> dict[str, Any]:
    timeout = table.get("timeout", KINDS["restic"].timeout)
    # The program has to end before the source is given up, so that the better message wins.
    return {
        "words": words,
        "environment": table.get("environment", {}),
        "timeout": timeout * 0.9,
        "max_age": table.get("max_age"),
    }


def _texts(value: str | list[str]) -> list[str]:
    return [value] if isinstance(value, str) else value


KINDS = {
    "repositories": Kind(
        _ours, lambda table: f"backups in {table['path']}", {**BACKUP, "path": Path}, ("path",), 15.0, 10.0
    ),
    "files": Kind(
        _files,
        lambda table: f"files {', '.join(_texts(table['glob']))}",
        {**BACKUP, "glob": toml.TEXTS, "min_bytes": int},
        ("glob",),
        15.0,
        10.0,
    ),
    "restic": Kind(
        _restic,
        lambda table: f"restic repository {origin(table['repository'])}",
        {**PROGRAM, "repository": str, "password_file": Path},
        ("repository",),
        300.0,
        60.0,
    ),
    "borg": Kind(
        _borg,
        lambda table: f"borg repository {origin(table['repository'])}",
        {**PROGRAM, "repository": str},
        ("repository",),
        300.0,
        60.0,
    ),
}
"""Sections of tables that describe backups; the name of a table is the label `repository`."""
PROCESSES = {
    **COMMON,
    "directory": Path,
    "retain": toml.NUMBER,
    "max_bytes": int,
    "max_series": int,
    "max_accounts": int,
    "foreign_addresses": bool,
    "sum": bool,
}
OTLP = {**COMMON, "endpoint": str}
OTLP_PATH = "/v1/metrics"
SECTIONS = (*KINDS, "processes", "checks", "otlp")
ELSEWHERE = ("backup", "policies")  # what `peak-observe backup` and programs read of the same file


def load(path: Path | None, *, sum_processes: bool = False) -> Config:
    """Return what a file says is to be watched, or what there is by itself without one.

    Args:
        path: The file; None for the one in the working directory, if there is one.
        sum_processes: Whether processes are added up, whatever `[processes]` says.

    Raises:
        ConfigError: The file makes no sense; the error names file, key, what was found and what is allowed.
    """
    chosen = DEFAULT if path is None and os.path.lexists(DEFAULT) else path
    if chosen is None:
        return Config(None, tuple(_found(sum_processes=sum_processes)), ())
    document = toml.read(chosen)
    for section in document:
        if section not in (*SECTIONS, *ELSEWHERE):
            allowed = (
                f"there are [processes], [otlp], [checks.NAME] and {', '.join(f'[{kind}.NAME]' for kind in KINDS)}"
            )
            raise ConfigError(
                str(chosen), section, f"there is no such section{toml.near(section, SECTIONS)}; {allowed}"
            )
    checks = tuple(_checks(chosen, document))
    sources = (*_itself(), *_processes(chosen, document, sum_processes=sum_processes), *_backups(chosen, document))
    return Config(chosen, sources, checks, _otlp(chosen, document))


def _found(*, sum_processes: bool) -> Iterator[Definition]:
    yield from _itself()
    yield from _processes(DEFAULT, {}, sum_processes=sum_processes)
    if Path("backups").is_dir():
        yield _definition(DEFAULT, KINDS["repositories"], "repositories.backups", "backups", {"path": "backups"})


def _itself() -> Iterator[Definition]:
    yield Definition("exporter", {}, own_metrics.ThisProcess, 1.0, 10.0, "this process")
    yield Definition("checks", {}, own_metrics.Checks, 1.0, 10.0, "its health checks")


def _processes(path: Path, document: Mapping[str, Any], *, sum_processes: bool) -> Iterator[Definition]:
    table = document.get("processes", {})
    if not isinstance(table, dict):
        raise ConfigError(str(path), "processes", "it has to be a table [processes]")
    toml.check(path, "processes", table, PROCESSES)
    _check_times(path, "processes", table, ("interval", "timeout", "retain"))
    named = os.environ.get(DIRECTORY)
    folder = toml.resolved(path, table["directory"]) if "directory" in table else named and Path(named)
    if not folder:
        if "processes" in document:
            raise ConfigError(str(path), "processes", f"the key 'directory' is missing, and {DIRECTORY} is not set")
        return
    for key in ("max_bytes", "max_series", "max_accounts"):
        if table.get(key, 1) < 1:
            raise ConfigError(str(path), f"processes.{key}", f"it has to be at least 1, not {table[key]}")
    interval = table.get("interval", 5.0)
    summed = sum_processes or table.get("sum", False)
    source = SummedProcesses if summed else DiscoveredProcesses
    yield Definition(
        "processes",
        {**table, "directory": str(folder), "sum": summed},
        lambda: source(
            Path(folder),
            interval=interval,
            retain=table.get("retain", 86_400.0),
            limits=Limits(table.get("max_bytes", MAX_TOTAL_BYTES), table.get("max_series", MAX_SERIES)),
            max_accounts=table.get("max_accounts"),
            foreign_addresses=table.get("foreign_addresses", False),
        ),
        interval,
        table.get("timeout", 10.0),
        f"processes in {folder}{', added up' if summed else ''}",
    )


def _otlp(path: Path, document: Mapping[str, Any]) -> Otlp | None:
    table = document.get("otlp")
    if table is None:
        return None
    if not isinstance(table, dict):
        raise ConfigError(str(path), "otlp", "it has to be a table [otlp]")
    toml.check(path, "otlp", table, OTLP, ("endpoint",))
    _check_times(path, "otlp", table, ("interval", "timeout"))
    if find_spec("opentelemetry.exporter") is None:
        raise MissingExtraError("otlp", f"[otlp] of {path}")
    return Otlp(_collector(path, table["endpoint"]), table.get("interval", 15.0), table.get("timeout", 10.0))


def _collector(path: Path, endpoint: str) -> str:
    """Return the URL for metrics of a collector: OTLP's own path where none is given."""
    try:
        parts = urlsplit(endpoint)
        right = parts.scheme in ("http", "https") and parts.hostname and (parts.port or 1)
    except ValueError:
        right = False
    if not right or "@" in parts.netloc:
        problem = f"it has to be a URL such as http://127.0.0.1:4318 without a password, not {shown(redact(endpoint))}"
        raise ConfigError(str(path), "otlp.endpoint", f"{problem}; OTEL_EXPORTER_OTLP_HEADERS holds what is secret")
    return parts._replace(path=parts.path.rstrip("/") or OTLP_PATH).geturl()


def _backups(path: Path, document: Mapping[str, Any]) -> Iterator[Definition]:
    taken: dict[str, str] = {}
    for section, kind in KINDS.items():
        for name, table in toml.tables(path, document, section).items():
            where = f"{section}.{name}"
            if name in taken:
                problem = f"the name is taken by [{taken[name]}]: each repository needs one of its own"
                raise ConfigError(str(path), where, problem)
            taken[name] = where
            yield _checked(path, kind, where, name, table)


def _checked(path: Path, kind: Kind, where: str, name: str, table: dict[str, Any]) -> Definition:
    toml.check(path, where, table, kind.keys, kind.needed)
    _check_times(path, where, table, ("interval", "timeout", "max_age"))
    try:
        check_name(name)
    except ValueError as error:
        raise ConfigError(str(path), where, str(error)) from None
    for key in ("glob", "path", "repository", "program"):
        if key in table and not (table[key] and all(_texts(table[key]))):
            raise ConfigError(str(path), f"{where}.{key}", "it has to name something")
    if table.get("min_bytes", 0) < 0:
        raise ConfigError(str(path), f"{where}.min_bytes", f"it has to be at least 0, not {table['min_bytes']}")
    return _definition(path, kind, where, name, table)


def _check_times(path: Path, where: str, table: Mapping[str, Any], keys: tuple[str, ...]) -> None:
    for key in keys:
        value, longest = table.get(key, 1.0), LONGEST if key in COMMON else math.inf
        if not 0 < value <= longest or value == math.inf:
            limit = f", up to {longest:.0f}" if longest < math.inf else ""
            raise ConfigError(str(path), f"{where}.{key}", f"it has to be seconds above 0{limit}, not {shown(value)}")


def _definition(path: Path, kind: Kind, where: str, name: str, table: dict[str, Any]) -> Definition:
    return Definition(
        where,
        {**table, "folder": str(path.absolute().parent)},
        lambda: kind.make(path, where, name, table),
        table.get("interval", kind.interval),
        table.get("timeout", kind.timeout),
        redact(kind.about(table)),
    )


def _checks(path: Path, document: Mapping[str, Any]) -> Iterator[tuple[Mapping[str, Any], health.Described]]:
    tables = toml.tables(path, document, "checks")
    described = list(health.described(path, tables))
    try:
        TopologicalSorter({check.name: _texts(check.settings.get("depends_on", [])) for check in described}).prepare()
    except CycleError as error:
        circle = " -> ".join(error.args[1])
        raise ConfigError(str(path), "checks", f"checks depend on each other in a circle: {circle}") from None
    for check in described:
        yield {**tables[check.name], "folder": str(path.absolute().parent)}, check
