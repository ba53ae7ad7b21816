"""A clock that stands, as texts that are made one after the other are compared byte by byte."""

from collections.abc import Iterator

import pytest

from peak_observe.telemetry.metrics import primitive_families
from peak_observe.testing import ManualClock


@pytest.fixture(autouse=True, scope="module")
def standing() -> Iterator[ManualClock]:
    """Time by hand of what a process tells of itself."""
    clock = ManualClock()
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(primitive_families, "SYSTEM_CLOCK", clock)
        yield clock
