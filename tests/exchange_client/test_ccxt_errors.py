"""Errors of clients are caught by loops that know ccxt's classes alone, and by ours."""

import copy
import pickle
import subprocess
import sys

import ccxt
import pytest

from peak_observe import CircuitOpenError, HeldBackError, OutcomeUnknown
from peak_observe.exchange_client.ccxt_errors import also_ccxt
from peak_observe.testing import FAULTS, Fault, ManualClock

NOW = ManualClock().now()
ERRORS = [
    (CircuitOpenError("kraken.trade", 3.0, "why"), ccxt.ExchangeNotAvailable),
    (HeldBackError("kraken", 20.0, "why"), ccxt.RateLimitExceeded),
    (OutcomeUnknown("kraken", "create_order", "POST x", ("id",), NOW, "why", "limit buy 1"), ccxt.ExchangeError),
]
EACH = pytest.mark.parametrize(("error", "counterpart"), ERRORS)


@EACH
def test_it_is_both(error, counterpart) -> None:
    """Of our class and of ccxt's, with the same name, facts and text."""
    combined = also_ccxt(error)
    assert isinstance(combined, type(error))
    assert isinstance(combined, counterpart)
    assert (str(combined), repr(combined), type(combined).__name__) == (str(error), repr(error), type(error).__name__)
    assert type(also_ccxt(error)) is type(combined)
    assert also_ccxt(combined) is combined


def test_an_unknown_outcome_is_no_network_error() -> None:
    """Loops send again what failed in the network."""
    assert not isinstance(also_ccxt(ERRORS[2][0]), ccxt.NetworkError)


@EACH
def test_it_survives_pickling_and_copying(error, counterpart) -> None:
    """Also its notes."""
    combined = also_ccxt(error)
    combined.add_note("a note")
    for again in (pickle.loads(pickle.dumps(combined)), copy.copy(combined), copy.deepcopy(combined)):
        assert type(again) is type(combined)
        assert (str(again), again.args, again.__notes__) == (str(error), error.args, ["a note"])


@EACH
def test_a_process_without_ccxt_reads_it_as_ours(error, counterpart) -> None:
    """A dashboard need not have what a bot has."""
    pickled = pickle.dumps(also_ccxt(error))
    code = "import pickle, sys; e = pickle.loads(bytes.fromhex(sys.argv[1])); print(type(e).__mro__[0].__name__, e)"
    code += "\nassert not [name for name in sys.modules if name.startswith('ccxt')]"
    ran = subprocess.run([sys.executable, "-c", code, pickled.hex()], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == f"{type(error).__name__} {error}"


@pytest.mark.parametrize("mode", ["sync", "async"])
def test_an_unchanged_loop_survives(mode, rig) -> None:
    """An open circuit, a ban and a lost order end in its own branches; the order is sent once."""
    rig = rig("binance")
    with rig.using(mode, name=f"loop.{mode}", failure_threshold=1, max_attempts=1) as client:
        branches = []

        def iteration(call):
            try:
                rig.run(mode, call)
            except ccxt.NetworkError as error:
                branches.append(("network", type(error).__name__))
            except ccxt.ExchangeError as error:
                branches.append(("exchange", type(error).__name__))

        rig.calls.clear()
        rig.fake.fail(Fault.lost_reply())
        iteration(lambda: client.create_order(rig.symbol, "limit", "buy", 0.1, 40_000))
        iteration(lambda: client.create_order(rig.symbol, "limit", "buy", 0.1, 40_000))
        assert len(rig.calls) == 1
        rig.fake.heal()
        rig.fake.fail(FAULTS["binance"]["banned"], times=1)
        iteration(lambda: client.fetch_ticker(rig.symbol))
        iteration(client.fetch_balance)
        assert client.breakers["trade"].stats.failure_count == 1
    assert branches == [
        ("exchange", "OutcomeUnknown"),
        ("network", "CircuitOpenError"),
        ("network", "DDoSProtection"),
        ("network", "HeldBackError"),
    ]


def test_a_refusal_leaves_no_trace_of_its_making(rig) -> None:
    """One error with one cause: none."""
    with rig().using("sync", name="trace") as client:
        client.breakers["public"].force_open()
        with pytest.raises(CircuitOpenError) as refused:
            client.fetch_ticker("BTC/USD")
    assert refused.value.__cause__ is None
    assert refused.value.__suppress_context__


def test_ccxt_is_not_imported_for_them() -> None:
    """Before a client is made there is none."""
    code = "import sys, peak_observe.exchange_client; print([n for n in sys.modules if n.startswith('ccxt')])"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"
