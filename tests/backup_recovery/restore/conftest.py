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


@pytest.fixture
def mounted(tmp_path: Path) -> Iterator[Callable[..., Path]]:
    """Return a function that mounts something, which is unmounted in the end."""
    places: list[Path] = []

    def mount(*options: str, on: Path) -> Path:
        if "remount" not in options[-1]:
            places.append(on)
        subprocess.run(["mount", *options, str(on)], check=True)
        return on

    yield mount
    for place in reversed(places):
        subprocess.run(["umount", "--lazy", str(place)], check=True)
