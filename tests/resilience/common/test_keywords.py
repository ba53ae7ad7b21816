"""A wrong argument is one error that says what was meant."""

import inspect
import typing

import pytest

from peak_observe import CircuitBreaker, circuit_breaker, retry_with_backoff, retrying
from peak_observe.resilience.breaker import settings as breaker_settings
from peak_observe.resilience.common.keywords import check_keywords
from peak_observe.resilience.retry import settings as retry_settings

BREAKER = {
    "fail_max": "failure_threshold",
    "max_failures": "failure_threshold",
    "failure_treshold": "failure_threshold",
    "Failure_Threshold": "failure_threshold",
    "reset_timeout": "recovery_timeout",
    "timeout_duration": "recovery_timeout",
    "recover_timeout": "recovery_timeout",
    "exclude": "ignore",
    "exceptions": "expected_exception",
    "on": "expected_exception",
    "fallback_function": "fallback",
    "slow_call_second": "slow_call_seconds",
}
RETRY = {
    "max_retries": r"max_attempts \(it counts the first call too\)",
    "max_retrys": r"max_attempts \(it counts the first call too\)",
    "max_tries": "max_attempts",
    "tries": "max_attempts",
    "attempts": "max_attempts",
    "stop": "max_attempts",
    "wait": "base_delay",
    "backoff": "base_delay",
    "max_wait": "max_delay",
    "exclude": "expected_exception with a function: lambda error",
    "exceptions": "expected_exception",
    "on": "expected_exception",
    "before_sleep": "on_retry",
}


@pytest.mark.parametrize(("wrong", "meant"), BREAKER.items())
@pytest.mark.parametrize("function", [CircuitBreaker, circuit_breaker])
def test_a_breaker_knows_typing_errors_and_the_names_of_others(function: object, wrong: str, meant: str) -> None:
    """For the class and the decorator."""
    with pytest.raises(TypeError, match=rf"^{function.__name__}\(\) got an .* {wrong!r}; did you mean {meant}\?$"):
        function(**{wrong: 1})


@pytest.mark.parametrize(("wrong", "meant"), RETRY.items())
@pytest.mark.parametrize("function", [retry_with_backoff, retrying])
def test_a_retry_knows_typing_errors_and_the_names_of_others(function: object, wrong: str, meant: str) -> None:
    """For the decorator and the loop."""
    with pytest.raises(TypeError, match=rf"^{function.__name__}\(\) got an .* {wrong!r}; did you mean {meant}"):
        function(**{wrong: 1})


@pytest.mark.parametrize(
    ("names", "function"),
    [
        (breaker_settings.FOREIGN_NAMES, CircuitBreaker),
        (breaker_settings.FOREIGN_NAMES, circuit_breaker),
        (retry_settings.FOREIGN_NAMES, retry_with_backoff),
    ],
)
def test_every_name_of_others_leads_to_an_argument(names: dict[str, str], function: object) -> None:
    """And is none itself."""
    known = inspect.signature(function).parameters
    for theirs, ours in names.items():
        assert ours.split()[0] in known
        assert not known.keys() & set(theirs.split())


@pytest.mark.parametrize("function", [CircuitBreaker, circuit_breaker, retry_with_backoff, retrying])
def test_a_mapping_in_the_first_place_is_a_configuration(function: object) -> None:
    """The message shows how to hand it over."""
    with pytest.raises(TypeError, match=rf"{function.__name__}\(\) takes keywords, not a mapping: .*\*\*settings"):
        function({"name": "keywords"})


@pytest.mark.parametrize("function", [CircuitBreaker, circuit_breaker, retry_with_backoff, retrying])
def test_signature_and_hints_are_those_of_the_function(function: object) -> None:
    """Every keyword is written out, with a type that can be read."""
    parameters = inspect.signature(function).parameters.values()
    assert not [one for one in parameters if one.kind in {one.VAR_KEYWORD, one.VAR_POSITIONAL}]
    inner = function.__init__ if isinstance(function, type) else function
    assert typing.get_type_hints(inner).keys() - {"return"} == inspect.signature(function).parameters.keys()


@pytest.mark.parametrize(
    "function", [CircuitBreaker, circuit_breaker, CircuitBreaker.configure, retry_with_backoff, retrying]
)
def test_every_keyword_has_its_line(function: object) -> None:
    """In the docstring, as one looks it up there."""
    lines = [line.strip().partition(":")[0] for line in function.__doc__.splitlines()]
    assert [name for name in inspect.signature(function).parameters if name not in {"self", *lines}] == []


def test_what_is_like_nothing_lists_what_there_is() -> None:
    """No guess is better than a wrong one."""

    @check_keywords()
    def call(first: int, *, second: int = 2) -> int:
        return first + second

    assert call(1, second=3) == 4
    with pytest.raises(TypeError, match=r"got an unexpected keyword argument 'colour'; there are first, second$"):
        call(1, colour=3)
    with pytest.raises(TypeError, match="missing 1 required positional argument: 'first'"):
        call()
