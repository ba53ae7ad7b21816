"""The reference of the configuration files, from the schemas that check them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from peak_observe.cli.backup import config as backup
from peak_observe.exporter import config as exporter
from peak_observe.exporter.web import web_config
from peak_observe.resilience.health import config as health
from peak_observe.resilience.policy import config
from peak_observe.support import toml

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

HEAD = """# Configuration

Made by `make docs` from the schemas that check the files. All tables may stand in one file: `peak-observe exporter`,
`health` and `backup` read `peak-observe.toml` in the working directory, or the file that `--config.file` names.
Relative paths begin at the folder of the file. An unknown key, a value of another type, or a missing key is one error
that names file, table, key and mend.
"""

VALUES = {
    "Any": "a number",
    "Callable[[Any], bool]": "a function of the result",
    "Delays": "a list of seconds, or a function of attempt and error",
    "Errors": "an exception, a function of the error, or a list of them",
    "Expected": "an exception, a function of the error, or a list of them",
    "Fault": "an exception, a list of them, or a function that returns one",
    "Heed": "true, false, or a function of the answer",
    "Jitter": "`full`, `equal`, `decorrelated`, or a number from 0 to 1",
    "Joinable | str": "`default`, or a URL of a shared state",
    "Key": "a function of the arguments",
    "Latency": "seconds, or a list of the shortest and the longest",
    "Limit": "a number, or a list of pairs of a number and seconds",
    "Literal['warn', 'inner_only']": "`warn` or `inner_only`",
    "Mapping[str, float]": "a table of classes and shares",
    "Mode": "`enforce` or `observe`",
    "Nested": "`warn` or `inner_only`",
    "OnGiveUp": "a function of how it ended",
    "OnRetry": "a function of what is scheduled",
    "RecoveryTimeout": "seconds, a list of them, or a function of how often it reopened",
    "RetryAfter": "true, false, or a function of the error",
    "RetryBudget | str": "a name, or a table of the arguments of `RetryBudget`",
    "TracingMode": "`auto`, `always` or `off`",
    "Weight": "a number, or a function of the arguments",
    "bool": "true or false",
    "float": "a number",
    "int": "a whole number",
    "int | Callable[..., Any]": "a whole number",
    "object": "a value, a function of the error, or a table of the arguments of `last_good`",
    "str": "a string",
    "str | Callable[..., str]": "a string",
    "tuple[float, ...]": "a list of numbers",
}
"""What an argument of a type is to the one who writes a file."""
FALLBACK = ("fallback", VALUES["object"])
PARTS = tuple((name, "a table, or a number or name for its first key") for name in config.FUNCTIONS)


def page() -> str:
    """Return the page."""
    return "\n".join([HEAD, *_backup(), *_checks(), *_policies(), *_exporter(), *_web()]) + "\n"


def _backup() -> Iterator[str]:
    yield from ("## `[backup]`: for `peak-observe backup`", "", "What the keys mean: [Backups](../backups.md).", "")
    yield from _table(backup.KEYS)
    yield from ("", "### `[backup.keep]`: what `prune` keeps", "")
    yield from _table(backup.KEEP)


def _checks() -> Iterator[str]:
    yield from ("", "## `[checks.NAME]`: for `peak-observe health` and the exporter", "")
    yield from ("What the keys mean: [Health checks](../health-checks.md). Every check has these:", "")
    yield from _table({"kind": str, **health.SETTINGS}, ("kind",))
    for name, kind in sorted(health.KINDS.items()):
        yield from ("", f'### `kind = "{name}"`', "")
        yield from _table(kind.keys, kind.needed)


def _policies() -> Iterator[str]:
    yield from ("", "## `[policies.NAME]`: for `Policy.from_toml`", "")
    yield from (
        "What the keys mean: [Policies](../policies.md). Exceptions and functions are named as `module.name`.",
        "The word `none` is Python's None.",
        "",
    )
    yield from ("| key | value | needed |", "|---|---|---|")
    for name, words in (("name", "a string"), ("deadline", "a number"), ("order", "a list of parts"), FALLBACK, *PARTS):
        yield f"| `{name}` | {words} | no |"
    for name, function in config.FUNCTIONS.items():
        known, needed = config.parameters(function)
        yield from ("", f"### `[policies.NAME.{name}]`", "", "| key | value | needed |", "|---|---|---|")
        for key, annotation in known.items():
            words = VALUES[annotation.removesuffix(" | None")]
            yield f"| `{key}` | {words} | {'yes' if key in needed else 'no'} |"


def _exporter() -> Iterator[str]:
    yield from ("", "## For the exporter", "", "What the keys mean: [The exporter](../exporter.md).")
    yield from ("", "### `[processes]`", "")
    yield from _table(exporter.PROCESSES)
    yield from ("", "### `[otlp]`", "")
    yield from _table(exporter.OTLP, ("endpoint",))
    for name, kind in exporter.KINDS.items():
        yield from ("", f"### `[{name}.NAME]`", "")
        yield f"By default looked at every {kind.interval:g} seconds, and given up after {kind.timeout:g}."
        yield ""
        yield from _table(kind.keys, kind.needed)


def _web() -> Iterator[str]:
    yield from ("", "## The web configuration: `--web.config.file`", "", "A YAML file as exporter-toolkit reads it.")
    for name, keys in (("tls_server_config", web_config.TLS_KEYS), ("http_server_config", web_config.HTTP_KEYS)):
        yield from ("", f"### `{name}`", "", "| key | meaning |", "|---|---|")
        yield from (f"| `{key}` | {meaning} |" for key, meaning in keys.items())
    yield from ("", "### `basic_auth_users`", "", "Names, each with the bcrypt hash of its password.")


def _table(keys: Mapping[str, Any], needed: tuple[str, ...] = ()) -> Iterator[str]:
    yield from ("| key | value | needed |", "|---|---|---|")
    for key, kind in keys.items():
        yield f"| `{key}` | {toml.WORDS[kind]} | {'yes' if key in needed else 'no'} |"
