"""Modules and objects named on the command line, as people write them at night."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from peak_observe import HealthCheck
from peak_observe.errors import LoadError
from peak_observe.resilience.health import references


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], str]:
    """A function that makes a module of some text and returns its name."""
    monkeypatch.syspath_prepend(str(tmp_path))
    made: list[str] = []

    def make(text: str) -> str:
        name = f"loaded_{tmp_path.name}_{len(made)}"
        (tmp_path / f"{name}.py").write_text(text)
        made.append(name)
        return name

    yield make
    for name in made:
        sys.modules.pop(name, None)


def problem(target: str) -> str:
    """Return what is said of a target that cannot be loaded."""
    with pytest.raises(LoadError) as caught:
        references.load_registry(target)
    assert caught.value.exit_code == 2
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith(f"cannot load {target!r}: ")
    return caught.value.problem


REGISTRY = "from peak_observe import HealthCheck\n{} = HealthCheck()\n"


@pytest.mark.parametrize("name", references.USUAL)
def test_a_registry_under_a_usual_name_is_found(module: Callable, name: str) -> None:
    """Without naming it."""
    assert isinstance(references.load_registry(module(REGISTRY.format(name))), HealthCheck)


def test_a_registry_can_be_named(module: Callable) -> None:
    """With dots where it is inside something."""
    name = module(REGISTRY.format("mine") + "class Bot:\n    health = mine\n")
    assert references.load_registry(f"{name}:Bot.health") is references.load_registry(f"{name}:mine")


def test_a_module_without_a_registry_uses_that_of_the_process(module: Callable) -> None:
    """It has registered its checks there."""
    assert references.load_registry(module("health = 'a word'")) is None


def test_what_is_not_there_is_named(module: Callable) -> None:
    """The module, a package above it, or a name in it."""
    name = module("x = 1")
    assert problem("no_such.health") == "no module 'no_such' is installed or in the working directory"
    assert problem(f"{name}.sub") == f"no module '{name}.sub' is installed or in the working directory"
    assert problem(f"{name}:y.z") == f"{name} has no 'y.z'"
    assert problem(f"{name}:x") == "it is no HealthCheck but int"


@pytest.mark.parametrize("target", ["", ":x", ".health", "mytrader/health.py", "my-trader", "a..b"])
def test_what_is_no_module_name_is_refused(target: str) -> None:
    """A path, for instance."""
    assert problem(target) == "it has to be MODULE or MODULE:NAME, for instance mytrader.health"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("\nraise ValueError('token=S3CRET\\nsecond line')", ":2: ValueError: token=*** second line"),
        ("import sys\nsys.exit(0)", ":2: SystemExit: 0"),
        ("import no_such_library", ":1: ModuleNotFoundError: No module named 'no_such_library'"),
        ("def f(:", "SyntaxError: "),
    ],
)
def test_a_module_that_fails_says_where(module: Callable, text: str, message: str) -> None:
    """File and line of the user, without secrets, on one line."""
    found = problem(module(text))
    assert message in found
    assert "S3CRET" not in found


def test_an_interrupt_is_no_fault_of_the_module(module: Callable) -> None:
    """Whoever pressed Ctrl-C while it was importing wants to leave."""
    with pytest.raises(KeyboardInterrupt):
        references.load(module("raise KeyboardInterrupt"))
