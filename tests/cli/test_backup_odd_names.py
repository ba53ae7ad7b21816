"""Paths that are not UTF-8: a repository, what is in it, and what is said of both."""

import os
from pathlib import Path

import pytest

from peak_observe import RecoveryManager
from peak_observe.backup_recovery.repository.reading import reading_of

from .conftest import Desk

ODD = os.fsdecode(b"odd\xff")


@pytest.fixture
def odd(desk: Desk) -> Desk:
    """Return a folder with a file whose name is not UTF-8."""
    desk.write(f"{ODD}/file{ODD}", "x")
    return desk


def test_a_repository_and_what_it_holds_may_have_any_name(odd: Desk) -> None:
    """Each command works with it, and what a program reads is JSON."""
    there = ["--repository", f"r{ODD}"]
    first = odd.run("create", *there, "--data", ODD, "--json")
    assert (first.code, first.err) == (0, "")
    assert first.json["sources"] == {"data": [f"{odd.folder}/odd%FF"]}
    again = odd.run("create", *there, "--data", ODD)
    assert (again.code, again.err) == (0, "")
    for command in (["list"], ["list", "--json"], ["show"], ["verify"], ["drill"], ["ls", "latest"]):
        done = odd.run(*command, *there)
        assert (done.code, done.err) == (0, ""), command
        done.out.encode()
    assert odd.run("restore", "latest", *there, "--to", f"out{ODD}").code == 0
    assert odd.read(f"out{ODD}/data/{ODD}/file{ODD}") == "x"
    assert odd.run("prune", *there, "--last", "1", "--json").json["remove"] == [first.json]


def test_what_is_missing_is_named(odd: Desk) -> None:
    """In a form that any terminal shows."""
    done = odd.run("create", "--repository", f"r{ODD}", "--data", f"gone{ODD}")
    assert (done.code, done.line) == (1, f"not in the backup: {odd.folder}/goneodd%FF: is missing")


def test_the_label_of_its_metrics_is_text(odd: Desk) -> None:
    """Written as in a manifest; one that was given must be text itself."""
    manager = RecoveryManager(Path(f"r{ODD}"))
    assert manager._repository.name == "rodd%FF"
    assert reading_of(manager._repository, kinds=(), max_age=None).configured > 0
    assert RecoveryManager("100%")._repository.name == "100%"
    assert RecoveryManager("bücher")._repository.name == "bücher"
    with pytest.raises(ValueError, match="name must be text that UTF-8 can hold"):
        RecoveryManager("backups", name=ODD)
    assert odd.run("create", "--repository", "backups", "--data", "data", "--name", ODD).code == 2
