"""Targets that nobody may change."""

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.conftest import binary


@pytest.fixture
def bound() -> Iterator[Callable[[Path, str], None]]:
    """Return a function that sets an attribute, which is taken away in the end."""
    done: list[tuple[str, str]] = []

    def bind(path: Path, name: str) -> None:
        if subprocess.run([binary("chattr"), f"+{name}", str(path)], capture_output=True, check=False).returncode:
            pytest.skip("this file system has no such attributes")
        done.append((f"-{name}", str(path)))

    yield bind
    for arguments in reversed(done):
        subprocess.run([binary("chattr"), *arguments], check=True)
