"""Errors say what to do and carry what code needs."""

import pickle

import pytest

from peak_observe import AddressInUseError, CircuitOpenError, MissingExtraError, PeakObserveError

ERRORS = [CircuitOpenError("orders", 12.34), AddressInUseError("127.0.0.1", 17326), MissingExtraError("exchange", "x")]


def test_a_refusal_says_the_name_and_when_to_come_back() -> None:
    """The message is the seed's, with the seconds until the next probe."""
    error = CircuitOpenError("orders", 12.34)
    assert str(error) == "CircuitBreaker 'orders' is OPEN (next probe in 12.3 s)"
    assert (error.name, error.retry_after) == ("orders", 12.34)


def test_a_refusal_during_a_probe_says_so() -> None:
    """While a probe is under way there are no seconds to tell."""
    assert str(CircuitOpenError("orders")) == "CircuitBreaker 'orders' is OPEN (a probe is under way)"


def test_a_missing_extra_says_what_to_install() -> None:
    """The message is a command."""
    error = MissingExtraError("exchange", "the demo")
    assert str(error) == "the demo needs the extra 'exchange': pip install 'peak-observe[exchange]'"


def test_a_taken_address_says_how_to_mend_it() -> None:
    """The message names address and port."""
    assert str(AddressInUseError("127.0.0.1", 80)).startswith("127.0.0.1:80 is in use by another process")


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_errors_are_of_the_family_and_survive_pickling(error: PeakObserveError) -> None:
    """Process pools hand errors over by pickle; nothing may be lost."""
    assert isinstance(error, PeakObserveError)
    copied = pickle.loads(pickle.dumps(error))
    assert (type(copied), str(copied), vars(copied)) == (type(error), str(error), vars(error))


def test_the_tree_is_caught_by_the_built_in_types_too() -> None:
    """`except OSError` and `except ImportError` go on working."""
    assert issubclass(AddressInUseError, OSError)
    assert issubclass(MissingExtraError, ImportError)


@pytest.mark.parametrize(("kind", "code"), [(CircuitOpenError, 1), (AddressInUseError, 2), (MissingExtraError, 2)])
def test_exit_codes_live_on_the_classes(kind: type[PeakObserveError], code: int) -> None:
    """The command line ends with the code of the error."""
    assert kind.exit_code == code
