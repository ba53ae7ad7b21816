"""The program that mypy and pyright check in `make lint` uses every public name, so that users' types are right."""

import re
from pathlib import Path

import peak_observe

ROOT = Path(__file__).parent.parent
PROGRAM = ROOT / "tests" / "typed" / "every_public_name.py"


def test_the_program_uses_every_public_name() -> None:
    """None is left out."""
    used = set(re.findall(r"\bpo\.(\w+)", PROGRAM.read_text("utf-8")))
    assert set(peak_observe.__all__) - used == set()


def test_both_type_checkers_look_at_it() -> None:
    """Strictly, in `make lint`, which CI runs."""
    settings = (ROOT / "pyproject.toml").read_text("utf-8")
    assert 'files = ["peak_observe", "tests/typed"]' in settings
    assert 'include = ["tests/typed"]' in settings
    assert 'typeCheckingMode = "strict"' in settings
    assert "\n[tool.mypy]\nstrict = true\n" in settings
    assert "pyright" in (ROOT / "Makefile").read_text("utf-8")
