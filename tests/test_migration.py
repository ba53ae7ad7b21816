"""The tables of docs/migration.md are true: what stands under "here" can be written here."""

import ast
import asyncio
import inspect
import random
import re
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import peak_observe
from peak_observe import catalog
from peak_observe.resilience.health.checks import breaker_closed
from peak_observe.testing import ManualClock

PAGE = (Path(__file__).parent.parent / "docs" / "migration.md").read_text("utf-8")
SECTIONS = ("tenacity", "pybreaker", "stamina", "resilience4j", "Polly")
FACTORIES = ("retry_with_backoff", "circuit_breaker")
"""Whose arguments stand in the tables without their function."""
VARIABLE = re.compile(r"PEAK_OBSERVE_[A-Z]+=\w+")


def rows() -> Iterator[tuple[str, str, str]]:
    """Yield section, left and right cell of each row."""
    for section in SECTIONS:
        text = PAGE.partition(f"\n## {section}\n")[2].partition("\n## ")[0]
        for line in text.splitlines():
            cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
            if len(cells) == 2 and cells[1] not in {"here", "---"}:
                yield section, *cells


ROWS = list(rows())
SPANS = sorted({span for _, _, here in ROWS for span in re.findall(r"`([^`]+)`", here)})


def predicate(value: object) -> bool:
    """Stand for a function of an error or a result."""
    return False


def hook(event: object) -> None:
    """Stand for a function of an event."""


def function(error: object = None) -> None:
    """Stand for a function to be protected, or a fallback."""


@pytest.fixture
def names() -> Iterator[dict[str, Any]]:
    """Return what a reader has: the public names, and objects by the names that the tables use."""
    breaker = peak_observe.CircuitBreaker(name="kraken")
    places = {name: getattr(peak_observe, name) for name in peak_observe.__all__}
    yield places | {
        "breaker": breaker,
        "limit": peak_observe.rate_limit(1000, burst=100),
        "policy": peak_observe.Policy(peak_observe.circuit_breaker()),
        "func": peak_observe.circuit_breaker(peak_observe.retry_with_backoff(function)),
        "attempt": next(iter(peak_observe.retrying(1))),
        "decorator": lambda func: func,
        "event": threading.Event(),
        "HTTPError": OSError,
        "ManualClock": ManualClock,
        "breaker_closed": breaker_closed,
        "predicate": predicate,
        "hook": hook,
        "function": function,
        "random": random,
        "peak_observe": peak_observe,
    }
    peak_observe.enable_retries()  # a cell has turned them off


def arguments(span: str) -> bool:
    """Return whether a cell holds arguments without their function, as `max_attempts=5`."""
    try:
        call = ast.parse(f"f({span})", mode="eval").body
    except SyntaxError:
        return False
    return isinstance(call, ast.Call) and bool(call.keywords) and not call.args


def problems(span: str, names: dict[str, Any]) -> list[str]:
    """Return why none of the functions takes such arguments; nothing if one of them does."""
    found = []
    for factory in FACTORIES:
        try:
            eval(f"{factory}({span})", names)  # noqa: S307 - the text is our own page
        except (TypeError, ValueError) as error:
            found.append(f"{factory}: {error}")
        else:
            return []
    return found


def is_fact(word: str) -> bool:
    """Return whether a word is an argument of one of the functions, or a fact that a refusal tells."""
    known = [inspect.signature(getattr(peak_observe, factory)).parameters for factory in FACTORIES]
    return any(word in parameters for parameters in known) or hasattr(peak_observe.CircuitOpenError("kraken"), word)


def evaluate(span: str, names: dict[str, Any]) -> None:
    """Run a cell: an expression, a decorator, or the head of a block."""
    if not span.endswith(":"):
        found = eval(span.removeprefix("@"), names)  # noqa: S307 - as above
        if inspect.iscoroutine(found):
            asyncio.run(found)
        return
    inside = "with attempt: pass" if "attempt in" in span else "pass"
    exec(f"async def run():\n    {span}\n        {inside}", names)  # noqa: S102 - as above
    asyncio.run(names["run"]())


@pytest.mark.parametrize("span", SPANS)
def test_what_stands_under_here_is_here(span: str, names: dict[str, Any]) -> None:
    """Arguments are taken, names exist, expressions and blocks run."""
    if span in {metric.name for metric in catalog.METRICS}:
        return
    if VARIABLE.fullmatch(span):
        sources = Path(peak_observe.__file__).parent.rglob("*.py")
        assert any(f'"{span.partition("=")[0]}"' in path.read_text("utf-8") for path in sources)
    elif span == "peak_observe.resilience.health.checks":
        assert breaker_closed.__module__.startswith(span)
    elif span == "watch=True":
        assert "watch" in inspect.signature(peak_observe.Policy.from_toml).parameters
    elif span.isidentifier() and span not in names:
        assert is_fact(span)
    elif arguments(span):
        assert not problems(span, names)
    else:
        evaluate(span, names)


def test_every_row_says_what_is_here() -> None:
    """In code, or that there is none, or that it is always so."""
    for section, left, here in ROWS:
        assert "`" in here or here.startswith(("none", "always", "raise", "metrics")), (section, left)
    assert len(ROWS) > 150


def test_all_of_tenacity_has_a_row() -> None:
    """Every argument of its decorator, and every stop, wait and retry that it has."""
    text = "\n".join(left for section, left, _ in ROWS if section == "tenacity")
    arguments = "sleep stop wait retry before after before_sleep reraise retry_error_cls retry_error_callback"
    stops = "after_attempt after_delay before_delay all any never when_event_set"
    waits = "chain combine exponential fixed incrementing none random random_exponential full_jitter exponential_jitter"
    retries = (
        "all always any if_exception if_exception_type if_exception_cause_type if_not_exception_type if_not_result "
        "if_result never unless_exception_type if_exception_message if_not_exception_message"
    )
    wanted = arguments.split()
    for prefix, kinds in (("stop", stops), ("wait", waits), ("retry", retries)):
        wanted += [f"{prefix}_{kind}" for kind in kinds.split()]
    assert [name for name in wanted if not re.search(rf"\b{name}\b", text)] == []


def test_all_of_pybreaker_has_a_row() -> None:
    """Every argument of its constructor, and every method."""
    text = "\n".join(left for section, left, _ in ROWS if section == "pybreaker")
    wanted = (
        "fail_max reset_timeout success_threshold exclude listeners state_storage name throw_new_error_on_trip call "
        "call_async calling open half_open close fail_counter success_counter current_state state "
        "add_excluded_exception add_listener before_call failure success state_change CircuitBreakerError"
    )
    assert [name for name in wanted.split() if not re.search(rf"\b{name}\b", text)] == []
