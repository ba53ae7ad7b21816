"""Errors say what to do and carry what code needs."""

import copy
import errno
import pickle

import pytest

from peak_observe import (
    BulkheadFullError,
    CallTimeoutError,
    CircuitOpenError,
    DeadlineExceededError,
    ListenError,
    MissingExtraError,
    PeakObserveError,
    RateLimitedError,
    RefusedError,
)
from peak_observe.errors import ConfigError, LoadError, UsageError

TAKEN = ListenError("127.0.0.1", 80, errno.EADDRINUSE, "Address already in use")
CONFIG = ConfigError("health.toml", "checks.x.prot", "there is no such key; did you mean 'port'?")
ERRORS = [
    CircuitOpenError("orders", 12.34),
    CONFIG,
    TAKEN,
    LoadError("mytrader.health", "no module"),
    MissingExtraError("exchange", "x"),
    UsageError("nothing to check"),
]
REFUSALS = [
    BulkheadFullError("orders", 1),
    CallTimeoutError("orders", 2.5),
    DeadlineExceededError("orders", 2.5),
    RateLimitedError("orders", 2.5),
]


def test_a_refusal_says_the_name_and_when_to_come_back() -> None:
    """The message is the seed's, with the seconds until the next probe."""
    error = CircuitOpenError("orders", 12.34)
    assert str(error) == "CircuitBreaker 'orders' is OPEN (next probe in 12.3 s)"
    assert (error.name, error.retry_after) == ("orders", 12.34)


def test_a_refusal_without_an_end_says_so() -> None:
    """A circuit that was forced open lets no probe through until somebody resets it."""
    assert str(CircuitOpenError("orders")) == "CircuitBreaker 'orders' is OPEN (until it is reset)"


def test_a_missing_extra_says_what_to_install() -> None:
    """The message is a command."""
    error = MissingExtraError("exchange", "the demo")
    assert str(error) == "the demo needs the extra 'exchange': pip install 'peak-observe[exchange]'"
    both = MissingExtraError("exchange,exporter", "the demo")
    assert (
        str(both)
        == "the demo needs the extras 'exchange' and 'exporter': pip install 'peak-observe[exchange,exporter]'"
    )


def test_a_configuration_error_names_file_and_key() -> None:
    """And the file alone where it is the whole file."""
    assert str(CONFIG) == "health.toml: checks.x.prot: there is no such key; did you mean 'port'?"
    assert str(ConfigError("health.toml", "", "Is a directory")) == "health.toml: Is a directory"


def test_a_load_error_names_what_was_asked_for() -> None:
    """Before the reason."""
    assert str(LoadError("mytrader.health", "no module")) == "cannot load 'mytrader.health': no module"


def test_a_taken_address_says_how_to_mend_it() -> None:
    """The message names address, port and reason."""
    expected = (
        "cannot listen on 127.0.0.1:80: Address already in use; choose another address or port (0 picks a free one)"
    )
    assert str(TAKEN) == expected
    assert TAKEN.errno == errno.EADDRINUSE


@pytest.mark.parametrize("error", [*ERRORS, *REFUSALS], ids=lambda error: type(error).__name__)
def test_errors_are_of_the_family_and_survive_pickling(error: PeakObserveError) -> None:
    """Process pools hand errors over by pickle; nothing may be lost."""
    assert isinstance(error, PeakObserveError)
    noted = pickle.loads(pickle.dumps(error))
    noted.add_note("while it opened the books")
    for copied in (pickle.loads(pickle.dumps(noted)), copy.copy(noted)):
        assert (type(copied), str(copied), vars(copied)) == (type(error), str(error), vars(noted))


def test_the_tree_is_caught_by_the_built_in_types_too() -> None:
    """`except OSError` and `except ImportError` go on working."""
    assert issubclass(ListenError, OSError)
    assert issubclass(MissingExtraError, ImportError)
    assert issubclass(LoadError, ImportError)
    assert issubclass(ConfigError, ValueError)
    assert issubclass(DeadlineExceededError, TimeoutError)
    assert issubclass(CallTimeoutError, TimeoutError)


def test_refusals_of_limits_are_of_one_kind_and_calls_that_were_made_are_not() -> None:
    """A circuit ignores the former; one that took too long says something about the service."""
    assert {type(error) for error in REFUSALS if isinstance(error, RefusedError)} == {
        BulkheadFullError,
        DeadlineExceededError,
        RateLimitedError,
    }
    assert str(BulkheadFullError("orders", 1)) == "bulkhead 'orders' is full: 1 call is under way"


@pytest.mark.parametrize(("kind", "code"), [(CircuitOpenError, 1), *((type(error), 2) for error in ERRORS[1:])])
def test_exit_codes_live_on_the_classes(kind: type[PeakObserveError], code: int) -> None:
    """The command line ends with the code of the error."""
    assert kind.exit_code == code
