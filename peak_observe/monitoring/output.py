"""Files of the monitoring, written to a folder: generated ones anew each time, those to edit by hand only once."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, NamedTuple

from peak_observe.monitoring import alerts, dashboard_files, grafana_rules, provisioning, runbook_text
from peak_observe.monitoring.deployment import compose, kubernetes, systemd
from peak_observe.support.atomic_files import replace_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from peak_observe.monitoring.alert_files import Links

EXAMPLE = ".example"


class Change(NamedTuple):
    """Change of one file.

    Args:
        path: Where it lies.
        text: What it holds then.
        before: What it holds now; None if it is not there.
        kept: The file of the owner that stands in its place, beside which it is an example; None as a rule.
    """

    path: Path
    text: str
    before: str | None
    kept: Path | None = None

    @property
    def needed(self) -> bool:
        """Whether the file changes."""
        return self.before != self.text

    def diff(self) -> str:
        """Return the change as a unified diff; empty if there is none."""
        old, new = ((text or "").splitlines(keepends=True) for text in (self.before, self.text))
        name = str(self.path)
        return "".join(difflib.unified_diff(old, new, "/dev/null" if self.before is None else name, name))


def _prometheus(links: Links) -> tuple[dict[str, str], dict[str, str]]:
    rules = {"alerts/peak-observe.rules.yaml": alerts.prometheus_rules(links), "RUNBOOK.md": runbook_text.runbook()}
    return rules, provisioning.prometheus()


def _grafana(links: Links) -> tuple[dict[str, str], dict[str, str]]:
    generated = {**dashboard_files.files(runbook_url=links.runbook), **grafana_rules.generated(links)}
    return generated, {**provisioning.grafana(), **grafana_rules.by_hand()}


KINDS: dict[str, Callable[[Links], tuple[dict[str, str], dict[str, str]]]] = {
    "prometheus": _prometheus,
    "grafana": _grafana,
    "kubernetes": lambda links: (kubernetes.generated(links), kubernetes.by_hand()),
    "systemd": lambda _: ({}, systemd.files()),
    "compose": lambda _: ({}, compose.files()),
}
"""What is written for whom: the files that are generated, and those to edit by hand, by path."""


def changes(
    directory: Path, links: Links, *, kinds: Iterable[str] = ("prometheus", "grafana"), overwrite: bool = False
) -> list[Change]:
    """Return what writing into a folder would do, without doing it.

    A file to edit by hand that is there and differs is left alone; what would be written goes beside it as `.example`.

    Args:
        directory: The folder; need not exist.
        links: Where runbook and Grafana can be read.
        kinds: What the files are for, of `KINDS`.
        overwrite: Whether files to edit by hand are written anew too.

    Raises:
        OSError: A file cannot be read.
    """
    generated: dict[str, str] = {}
    by_hand: dict[str, str] = {}
    for kind in kinds:
        anew, once = KINDS[kind](links)
        generated |= anew
        by_hand |= once
    found = [_change(directory / name, text) for name, text in generated.items()]
    for name, text in by_hand.items():
        change = _change(directory / name, text)
        if change.needed and change.before is not None and not overwrite:
            beside = change.path.with_name(change.path.name + EXAMPLE)
            change = _change(beside, text)._replace(kept=change.path)
        found.append(change)
    return found


def write(found: list[Change]) -> None:
    """Make changes, each file by one rename.

    Raises:
        OSError: The folder or a file cannot be written.
    """
    for change in found:
        if change.needed:
            replace_text(change.path, change.text)


def _change(path: Path, text: str) -> Change:
    try:
        return Change(path, text, path.read_text(encoding="utf-8", errors="replace"))
    except FileNotFoundError:
        return Change(path, text, None)
