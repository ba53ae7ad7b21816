"""Policies from mappings and TOML: all arguments flow through, and every mistake names its key and the mend."""

import asyncio
import gc
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import peak_observe
from peak_observe import Policy, RateLimitedError
from peak_observe.errors import ConfigError
from peak_observe.measures import BREAKERS, BULKHEADS, CHAOS, HEDGES, LIMITERS, RETRIES, TIMED
from peak_observe.resilience.policy import config

if TYPE_CHECKING:
    from collections.abc import Callable

NUMBERS = count()
WHOLE = """
[policies.NAME]
deadline = 20

[policies.NAME.timeout]
seconds = 5

[policies.NAME.retry]
max_attempts = 5
base_delay = 0.25
expected_exception = ["builtins.ConnectionError", "ccxt.NetworkError"]

[policies.NAME.circuit_breaker]
failure_threshold = 3
recovery_timeout = 30
buckets = [0.1, 1]

[policies.NAME.rate_limit]
limit = 15
per = 60
burst = 2

[policies.NAME.bulkhead]
limit = 4
wait = 1
"""


@pytest.fixture
def name() -> str:
    """Return a name that nobody has."""
    return f"policyfile-{next(NUMBERS)}"


def written(folder: Path, text: str) -> Path:
    """Return a file with this text."""
    path = folder / "bot.toml"
    path.write_text(text)
    return path


def is_temporary(error: Exception) -> bool:
    """Say so of all."""
    return True


def test_a_table_is_a_policy_in_the_recommended_order(name: str, tmp_path: Path) -> None:
    """Wherever its parts stand in the file; all settings arrive."""
    policy = Policy.from_toml(written(tmp_path, WHOLE.replace("NAME", name)), name)
    assert repr(policy) == f"<Policy '{name}' (deadline, bulkhead, circuit_breaker, retry, rate_limit, timeout)>"

    @policy
    async def work() -> None:
        pass

    breaker, retry = BREAKERS.get(name), RETRIES.get(name)
    assert (breaker.read().failure_threshold, breaker.read().recovery_timeout, breaker.bounds) == (3, 30, (0.1, 1.0))
    assert retry.read().max_attempts == 5
    assert (BULKHEADS.get(name).read().limit, LIMITERS.get(name).read().rate) == (4, 0.25)


def test_a_number_alone_is_the_first_argument(name: str) -> None:
    """For what has one that says it all."""
    policy = Policy.from_config({"bulkhead": 2, "rate_limit": 0.001}, name=name)
    work = policy(lambda: None)
    work()
    with pytest.raises(RateLimitedError):
        work()
    assert BULKHEADS.get(name).read().limit == 2


def test_hedges_timed_calls_and_chaos_are_parts_too(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """In their recommended places, with all that they take."""
    monkeypatch.setenv("PEAK_OBSERVE_CHAOS", "1")
    chaos = {"rate": 1, "fault": ["builtins.ConnectionError"], "latency": [0, 0.001], "seed": 3}
    hedge = {"after": 0.25, "max_hedges": 2, "budget": {"ratio": 0.5, "name": f"{name}.budget"}}
    policy = Policy.from_config({"chaos": chaos, "hedge": hedge, "timed": f"{name}.whole", "retry": 1}, name=name)
    assert repr(policy) == f"<Policy '{name}' (timed, retry, hedge, chaos)>"

    @policy
    async def work() -> None:
        pytest.fail("a call that is let fail is not made")

    with pytest.raises(ConnectionError, match="injected fault"):
        asyncio.run(work())
    assert sum(TIMED.get(f"{name}.whole").read().buckets) == 1
    assert (HEDGES.get(name).read().after, CHAOS.get(name).read().calls) == (0.25, [0, 0, 1])
    assert repr(Policy.from_config({"hedge": 0.5}, name=name).layers) == "1. hedge(after=0.5)"
    with pytest.raises(ConfigError, match=r"chaos\.latency: it must be seconds"):
        Policy.from_config({"chaos": {"latency": [2, 1]}}, name=name)


def test_another_order_can_be_asked_for(name: str) -> None:
    """From the outside in; it is checked like one in code."""
    config = {"circuit_breaker": {}, "retry": {}, "name": name}
    assert repr(Policy.from_config(config)).endswith("(circuit_breaker, retry)>")
    policy = Policy.from_config(config | {"order": ["retry", "circuit_breaker"]})
    assert repr(policy) == f"<Policy '{name}' (retry, circuit_breaker)>"


def test_exceptions_are_found_by_their_names(name: str) -> None:
    """With dots, or a colon before what is in the module."""
    calls = []

    def fail() -> None:
        calls.append(1)
        raise ConnectionError

    for named, expected in (("builtins.TimeoutError", 1), ("builtins:OSError", 3), (["json.JSONDecodeError"], 1)):
        calls.clear()
        config = {"retry": {"max_attempts": 3, "base_delay": 0, "expected_exception": named}}
        with pytest.raises(ConnectionError):
            Policy.from_config(config, name=name)(fail)()
        assert len(calls) == expected


@pytest.mark.parametrize(
    ("config", "key", "problem"),
    [
        ({"retri": {}}, "kraken.retri", "there is no such key; did you mean 'retry'?"),
        ({"xyz": {}}, "kraken.xyz", "there is no such key; there are bulkhead, circuit_breaker, retry"),
        (
            {"retry": {"max_atempts": 3}},
            "kraken.retry.max_atempts",
            "there is no such key; did you mean 'max_attempts'?",
        ),
        ({"retry": {"clock": 1}}, "kraken.retry.clock", "there is no such key; there are max_attempts"),
        ({"retry": {"max_attempts": 0}}, "kraken.retry.max_attempts", "it must be a whole number of at least 1, not 0"),
        ({"retry": "often"}, "kraken.retry", "it has to be a table, not 'often'"),
        ({"retry": True}, "kraken.retry", "it has to be a table, not True"),
        ({"rate_limit": {"burst": 2}}, "kraken.rate_limit", "the key 'limit' is missing"),
        ({"timeout": {"seconds": "5"}}, "kraken.timeout.seconds", "it has to be a number, not '5'"),
        ({"deadline": 0, "retry": {}}, "kraken.deadline", "it must be more than 0 seconds"),
        ({"name": 3, "retry": {}}, "kraken.name", "it has to be a string, not 3"),
        ({}, "kraken", "a policy needs a part"),
        ({"retry": {"tracing": "loud"}}, "kraken.retry.tracing", "it must be 'auto', 'always' or 'off', not 'loud'"),
        ({"retry": {"max_attempts": {"a": 1}}}, "kraken.retry.max_attempts", "it cannot be a table"),
        (
            {"retry": {"expected_exception": "ConnectionError"}},
            "kraken.retry.expected_exception",
            "did you mean 'builtins.ConnectionError'?",
        ),
        (
            {"retry": {"expected_exception": ["ccxt.NetworkErorr"]}},
            "kraken.retry.expected_exception",
            "'ccxt.NetworkErorr' cannot be found as module.name: module 'ccxt' has no attribute 'NetworkErorr'",
        ),
        (
            {"retry": {"expected_exception": "os.path"}},
            "kraken.retry.expected_exception",
            "it must be an exception type",
        ),
        (
            {"retry": {}, "rate_limit": 5, "order": ["rate_limit", "retry"]},
            "kraken.order",
            "rate_limit stands outside retry: each attempt",
        ),
        (
            {"retry": {}, "order": ["rate_limit"]},
            "kraken.order",
            "it has to be a list of retry, each once, not ['rate_",
        ),
        ({"retry": {}, "order": "retry"}, "kraken.order", "it has to be a list of retry, each once, not 'retry'"),
    ],
)
def test_every_mistake_names_its_key_and_the_mend(config: dict, key: str, problem: str) -> None:
    """So that an operator need not read code."""
    with pytest.raises(ConfigError) as error:
        Policy.from_config(config, name="kraken")
    assert error.value.key == key
    assert problem in error.value.problem
    assert "as_given" not in error.value.problem


def test_mistakes_in_a_file_name_the_file(tmp_path: Path) -> None:
    """And tables that are missing name those that are there."""
    path = written(tmp_path, "[policies.kraken.retry]\nmax_attempts = 0\n[policies.binance.retry]\n")
    with pytest.raises(ConfigError) as error:
        Policy.from_toml(path, "kraken")
    assert (
        str(error.value)
        == f"{path}: policies.kraken.retry.max_attempts: it must be a whole number of at least 1, not 0"
    )
    with pytest.raises(ConfigError, match="there is no policy 'karken'; did you mean 'kraken'") as error:
        Policy.from_toml(str(path), "karken")
    assert error.value.path == str(path)
    with pytest.raises(ConfigError, match=r"there is no policy 'x'; there are kraken, binance"):
        Policy.from_toml(path, "x")
    with pytest.raises(ConfigError, match=r"there is no table \[policies\.NAME\]"):
        Policy.from_toml(written(tmp_path, "[other]"), "kraken")
    with pytest.raises(ConfigError, match="No such file"):
        Policy.from_toml(tmp_path / "none.toml", "kraken")


def test_every_key_stands_in_the_document() -> None:
    """In the row of its part."""
    page = Path(peak_observe.__file__).parents[1] / "docs" / "policies.md"
    rows = {line.split("`")[1]: line for line in page.read_text("utf-8").splitlines() if line.startswith("| `")}
    for key in config.SETTINGS:
        assert key in rows
    for kind, function in config.FUNCTIONS.items():
        known, _ = config.parameters(function)
        listed = rows[kind]
        assert "and all others" in listed or [key for key in known if f"`{key}`" not in listed] == []


def decorator(
    first: "int" = 1,
    on: "type[Exception]" = Exception,
    hook: "Callable[[], None] | None" = None,
    label: "str" = "",
    budget: "Policy | str" = "",
) -> dict:
    """Return what it was given."""
    return {"first": first, "on": on, "hook": hook, "label": label, "budget": budget}


def test_arguments_of_a_function_flow_through() -> None:
    """Nothing is listed twice: what a function takes is what a file may say."""
    given = {"first": 2, "on": "builtins.ValueError", "hook": "gc.collect", "label": "a.b", "budget": "shared.one"}
    place = config.Place("", "x")
    expected = given | {"on": ValueError, "hook": gc.collect}
    assert config._part(decorator, given, place) == expected
    with pytest.raises(ConfigError, match=r"x\.lable: there is no such key; did you mean 'label'"):
        config._part(decorator, {"lable": ""}, place)


def test_a_table_inside_is_an_object_of_ours() -> None:
    """Made with the same errors."""
    place = config.Place("", "x.breaker")
    found = config._value({"failure_threshold": 2, "name": "policyfile.object"}, "CircuitBreaker | str", place)
    assert found.name == "policyfile.object"
    with pytest.raises(ConfigError, match=r"x\.breaker\.failure_threshold: it must be a whole number"):
        config._value({"failure_threshold": 0}, "CircuitBreaker | str", place)
