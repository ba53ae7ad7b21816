"""A room in memory for worlds, as thousands of syncs of a disk take their time."""

import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from faulty.driving import MEMORY
from faulty.world import World


@pytest.fixture(scope="module")
def new_world() -> Iterator[Callable[[], World]]:
    """Return a function that makes a world."""
    with ExitStack() as stack:
        yield lambda: World(Path(stack.enter_context(tempfile.TemporaryDirectory(dir=MEMORY))))
